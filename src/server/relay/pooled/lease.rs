//! Getting a connection and giving it back: what takes longer than one look.

use std::sync::Arc;

use super::{Flow, Pooled};
use crate::limits;
use crate::pg::sqlstate;
use crate::pooling::Residue;
use crate::server::binding::failure;
use crate::server::database::Failure;
use crate::server::pool::{NoRoom, Server};
use crate::server::registry::{Flags, State};
use crate::server::relay::End;
use crate::server::upstreams;

impl Pooled {
    /// Gives the connection back.
    pub(super) fn detach(&self, flow: &mut Flow) {
        let Some(server) = flow.server.take() else {
            return;
        };
        self.borrowed.set(None);
        self.client.attach(0);
        self.client.set_state(State::Idle);
        flow.link.settled();
        if server.lease.is_calm() {
            self.pool.give(server);
            return;
        }
        // A cancel request is on its way: it must not reach the next client.
        let pool = Arc::clone(&self.pool);
        drop(tokio::spawn(async move {
            while !server.lease.is_calm() {
                tokio::time::sleep(limits::CANCEL_PAUSE).await;
            }
            // The signal was sent before the request was over; now it arrives, and finds nothing.
            tokio::time::sleep(limits::CANCEL_PAUSE).await;
            pool.give(server);
        }));
    }

    pub(super) fn attached(&self, flow: &mut Flow, server: Box<Server>) {
        self.borrowed.set(Some(Arc::clone(&server.lease)));
        self.client.attach(server.pid());
        self.client.set_state(State::Active);
        flow.link.attached();
        flow.server = Some(server);
    }
    /// Waits for a connection, and makes it hold what the session holds.
    pub(super) async fn attach(&self, flow: &mut Flow) -> Result<(), End> {
        self.client.set_state(State::Waiting);
        let signal = self.client.signal();
        let attached = async {
            signal.none(Flags::PAUSE).await;
            let connect = async |room| {
                upstreams::lent(
                    &self.shared,
                    &self.login,
                    &self.database.name,
                    &self.start,
                    room,
                )
                .await
            };
            let borrowed = self.pool.borrow(&self.start, connect).await;
            let mut server = borrowed.map_err(no_room)?.map_err(|e| failure(&e))?;
            server.set(&flow.settings).await.map_err(|e| failure(&e))?;
            if !server.is_quiet() {
                return Err(Failure {
                    sqlstate: sqlstate::CONNECTION_FAILURE.to_owned(),
                    message: "server closed the connection unexpectedly".to_owned(),
                });
            }
            Ok::<_, Failure>(server)
        };
        let server = tokio::select! {
            server = attached => server.map_err(End::Refused)?,
            flags = signal.any(Flags::KILL | Flags::DRAIN) => {
                let killed = flags.any(Flags::KILL);
                return Err(if killed { End::Killed } else { End::Drained });
            }
        };
        self.attached(flow, server);
        Ok(())
    }

    /// Finds out what the transaction left, and gives the connection back if it can be.
    pub(super) async fn settle(&self, flow: &mut Flow, found: Residue) -> Result<(), End> {
        let Some(server) = &mut flow.server else {
            return Ok(());
        };
        if found.has(Residue::UNSEEN) {
            flow.pinned = true;
            flow.for_good = true;
            flow.link.settled();
            return Ok(());
        }
        let hidden = flow.link.settled().to_vec();
        let mut theirs = Vec::new();
        let holding = server.holding(&hidden, &mut theirs).await;
        flow.to_client.push(&theirs);
        flow.from_server.put(&server.take_beginning());
        let holding = holding.map_err(|error| match error.server() {
            Some(_) => End::Refused(failure(&error)),
            None => End::Upstream,
        })?;
        flow.settings = holding.settings;
        flow.link.holds(&flow.settings);
        flow.pinned = holding.state;
        if !flow.pinned {
            if !flow.from_server.is_empty() {
                return Err(End::Fault("malformed message from the server"));
            }
            self.detach(flow);
        }
        Ok(())
    }
}

fn no_room(why: NoRoom) -> Failure {
    Failure {
        sqlstate: sqlstate::TOO_MANY_CONNECTIONS.to_owned(),
        message: match why {
            NoRoom::Full => "sorry, too many clients wait for a connection already",
            NoRoom::Timeout => "timeout while waiting for a free connection to the server",
        }
        .to_owned(),
    }
}
