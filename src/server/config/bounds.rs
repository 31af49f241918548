//! `pool`, `max_connections` and `tcp`: how much, how many, how long.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::load::Loader;
use super::{MaxConnections, Pool, PoolMode, Tcp};
use crate::policy::read::{Fields, entries, integer, word};
use crate::policy::time::duration;
use crate::policy::yaml::Node;

impl Loader<'_> {
    pub(super) fn pool(&mut self, node: Option<&Node>) -> Option<Pool> {
        const MODES: &[(&str, PoolMode)] = &[
            ("session", PoolMode::Session),
            ("transaction", PoolMode::Transaction),
        ];
        let default = Pool::default();
        let Some(node) = node else {
            return Some(default);
        };
        let mut fields = Fields::open(node, "pool", &mut self.faults)?;
        let mode = fields.take("mode");
        let size = fields.take("size");
        let queue = fields.take("queue");
        let queue_timeout = fields.take("queue_timeout");
        let idle_timeout = fields.take("idle_timeout");
        let server_lifetime = fields.take("server_lifetime");
        fields.finish(&mut self.faults);
        let mode = match mode {
            Some(node) => word(node, "mode", MODES, &mut self.faults),
            None => Some(default.mode),
        };
        let size = self.number(size, "size", 1..=100_000, default.size);
        let queue = self.number(queue, "queue", 0..=1_000_000, default.queue);
        let wait = self.time(queue_timeout, "queue_timeout", default.queue_timeout);
        let idle = self.time(idle_timeout, "idle_timeout", default.idle_timeout);
        let life = self.time(server_lifetime, "server_lifetime", default.server_lifetime);
        Some(Pool {
            mode: mode?,
            size: size?,
            queue: queue?,
            queue_timeout: wait?,
            idle_timeout: idle?,
            server_lifetime: life?,
        })
    }

    pub(super) fn max_connections(&mut self, node: Option<&Node>) -> Option<MaxConnections> {
        let default = MaxConnections::default();
        let Some(node) = node else {
            return Some(default);
        };
        let mut fields = Fields::open(node, "max_connections", &mut self.faults)?;
        let total = fields.take("total");
        let roles = fields.take("roles");
        let logins = fields.take("logins");
        fields.finish(&mut self.faults);
        let total = self.number(total, "total", 1..=100_000, default.total);
        let roles = self.numbers(roles, "roles");
        let logins = self.numbers(logins, "logins");
        Some(MaxConnections {
            total: total?,
            roles: roles?,
            logins: logins?,
        })
    }

    pub(super) fn tcp(&mut self, node: Option<&Node>) -> Option<Tcp> {
        let default = Tcp::default();
        let Some(node) = node else {
            return Some(default);
        };
        let mut fields = Fields::open(node, "tcp", &mut self.faults)?;
        let idle = fields.take("keepalive_idle");
        let interval = fields.take("keepalive_interval");
        let probes = fields.take("keepalive_probes");
        let user_timeout = fields.take("user_timeout");
        fields.finish(&mut self.faults);
        let idle = self.seconds(idle, "keepalive_idle", default.idle);
        let interval = self.seconds(interval, "keepalive_interval", default.interval);
        let probes = self.number(probes, "keepalive_probes", 1..=100, default.probes);
        let user_timeout = match user_timeout {
            Some(node) => Some(Some(self.positive(node, "user_timeout")?)),
            None => Some(None),
        };
        Some(Tcp {
            idle: idle?,
            interval: interval?,
            probes: probes?,
            user_timeout: user_timeout?,
        })
    }

    /// A number for each name; `*` stands for those that are not named.
    fn numbers(&mut self, node: Option<&Node>, what: &str) -> Option<BTreeMap<String, u32>> {
        let Some(node) = node else {
            return Some(BTreeMap::new());
        };
        let mut numbers = BTreeMap::new();
        for (name, node) in entries(node, what, &mut self.faults)? {
            let number = self.number(Some(node), what, 0..=100_000, 0);
            numbers.insert(name.text.clone(), number?);
        }
        Some(numbers)
    }

    /// What was written and could not be read does not turn into the default.
    fn number(
        &mut self,
        node: Option<&Node>,
        what: &str,
        bounds: RangeInclusive<i64>,
        default: u32,
    ) -> Option<u32> {
        match node {
            Some(node) => integer(node, what, bounds, &mut self.faults)
                .and_then(|number| u32::try_from(number).ok()),
            None => Some(default),
        }
    }

    pub(super) fn time(
        &mut self,
        node: Option<&Node>,
        what: &str,
        default: Duration,
    ) -> Option<Duration> {
        match node {
            Some(node) => self.positive(node, what),
            None => Some(default),
        }
    }

    /// No time at all would mean either "at once" or "never", and nobody remembers which.
    fn positive(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let found = duration(node, what, &mut self.faults)?;
        if found.is_zero() {
            self.faults
                .at(&node.span, format!("{what} is longer than nothing"));
            return None;
        }
        Some(found)
    }

    /// What TCP counts in whole seconds, up to the kernel's own bound.
    fn seconds(&mut self, node: Option<&Node>, what: &str, default: Duration) -> Option<Duration> {
        const MOST: u64 = 32_767;
        let found = self.time(node, what, default)?;
        let whole = found.subsec_nanos() == 0 && found.as_secs() <= MOST;
        if let (Some(node), false) = (node, whole) {
            let message = format!("{what} is a number of seconds between 1 and {MOST}");
            self.faults.at(&node.span, message);
            return None;
        }
        Some(found)
    }
}
