//! Who may use the console, and what for.

use std::sync::Arc;

use super::DATABASE;
use crate::audit::{Event, Outcome, Record, Who};
use crate::client::ClientConnection;
use crate::server::config::Config;
use crate::server::registry::{Client, Facts};
use crate::server::{Shared, asked};

/// What a login may do here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// `admin_users`
    Admin,
    /// `stats_users`
    Stats,
}

/// The connection is meant for the console: its database's name is nobody else's as soon as somebody
/// may use it.
pub(in crate::server) fn is_meant(config: &Config, database: &str) -> bool {
    database == DATABASE && !(config.admin_users.is_empty() && config.stats_users.is_empty())
}

/// What this login may do; `None` for nothing.
pub(super) fn rank(config: &Config, login: &str) -> Option<Rank> {
    let named = |list: &[String]| list.iter().any(|name| name == login);
    match (named(&config.admin_users), named(&config.stats_users)) {
        (true, _) => Some(Rank::Admin),
        (false, true) => Some(Rank::Stats),
        (false, false) => None,
    }
}

/// A place in the registry, and a record of the login; `None` when there is no room for one.
pub(super) fn enter(shared: &Arc<Shared>, client: &ClientConnection, rank: Rank) -> Option<Client> {
    let number = shared.registry.number();
    let who = Arc::new(Who {
        session: format!("{number:x}"),
        login: client.identity.login().to_string(),
        // In parentheses: no role of a policy.
        role: match rank {
            Rank::Admin => "(admin)",
            Rank::Stats => "(stats)",
        }
        .to_owned(),
        peer: client.identity.peer().to_string(),
        database: DATABASE.to_owned(),
        application_name: asked::application_name(&asked::parameters(&client.startup)),
        ..Who::default()
    });
    let login = Record::new(Event::Login, Arc::clone(&who));
    let ticket = shared.sink.reserve(login).ok()?;
    ticket.finish(|record| record.decision = Outcome::Allow);
    let facts = Facts {
        who,
        database: Arc::from(DATABASE),
        user: Arc::from(""),
        peer: client.identity.peer(),
        local: client.stream.tcp().local_addr().ok(),
        tls: client.stream.is_tls(),
        console: true,
    };
    shared.registry.enter(number, facts).ok()
}
