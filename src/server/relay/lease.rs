//! What a session that borrows its connections has of them: how it gets one and gives it back, and how
//! its conversation looks to the one at hand.
//!
//! Deliberately absent: the client's side, which is `pooled` for unrestricted roles and `restricted`
//! for the others.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::End;
use super::bytes::{Inbox, Outbox};
use super::verbatim::changes_catalog;
use crate::limits;
use crate::pg::sqlstate;
use crate::pooling::probe::Settings;
use crate::pooling::{Link, Residue, Rest, Routines, Taken, Upward};
use crate::server::Shared;
use crate::server::binding::failure;
use crate::server::config::Login;
use crate::server::database::{Database, Failure};
use crate::server::observe::{Ear, Hearing};
use crate::server::pool::{NoRoom, Pool, Server, Start};
use crate::server::registry::{Entry, Flags, State};
use crate::server::upstreams;
use crate::upstream::Borrowed;
use crate::wire::backend;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; limits::READ_BYTES].into_boxed_slice(),
        output: Vec::new(),
        reply: Vec::new(),
    });
}

/// What is read into, and what is written from if it had to be changed. It belongs to the thread, so
/// that a session at rest holds none.
pub(super) struct Scratch {
    pub(super) input: Box<[u8]>,
    pub(super) output: Vec<u8>,
    pub(super) reply: Vec<u8>,
}

impl Scratch {
    /// Lends the thread's.
    pub(super) fn with<T>(look: impl FnOnce(&mut Self) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            let found = look(scratch);
            // One long message is no reason to keep as much room for ever.
            if scratch.output.capacity() > limits::PENDING_BYTES {
                scratch.output = Vec::new();
            }
            found
        })
    }
}

/// Who borrows, and from whom.
pub(in crate::server) struct Borrower {
    pub(in crate::server) shared: Arc<Shared>,
    pub(in crate::server) database: Arc<Database>,
    pub(in crate::server) client: Arc<Entry>,
    pub(in crate::server) pool: Arc<Pool>,
    pub(in crate::server) start: Arc<Start>,
    pub(in crate::server) login: Login,
    pub(in crate::server) borrowed: Arc<Borrowed>,
}

/// What is borrowed, and what the session holds whichever connection it has.
pub(super) struct Held {
    pub(super) link: Link,
    pub(super) server: Option<Box<Server>>,
    /// To be held by every connection it gets.
    settings: Settings,
    routines: Arc<Routines>,
    /// The connection stays: it holds what cannot be taken along.
    pinned: bool,
    /// And that is not going to change.
    for_good: bool,
    /// A command changed the catalog; said when its transaction is over.
    changed: bool,
    pub(super) from_server: Inbox,
    pub(super) to_server: Outbox,
    /// Of an observed role.
    hearing: Option<Box<Hearing>>,
}

impl Held {
    /// Goes on with what waits for the server; true if that is done.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        match &mut self.server {
            Some(server) => self.to_server.drive(cx, &mut server.connection.stream),
            None => Ok(false),
        }
    }
}

/// How it goes on when the conversation came to rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rested {
    /// As before: something is under way, or there is nothing to be done.
    On,
    /// The transaction is over, and this may be left of it.
    Settle(Residue),
}

impl Borrower {
    /// Nothing is borrowed yet. `ear` is of an observed role.
    pub(super) fn begin(&self, ear: Option<Ear>) -> Held {
        let mut link = Link::new();
        if let Some(welcome) = self.start.welcome() {
            for (name, value) in &welcome.reported {
                link.setting(name.as_bytes(), value.as_bytes());
            }
        }
        Held {
            link,
            server: None,
            settings: Settings::default(),
            routines: self.database.routines(),
            pinned: false,
            for_good: false,
            changed: false,
            from_server: Inbox::default(),
            to_server: Outbox::default(),
            hearing: ear.map(|ear| Box::new(Hearing::new(ear))),
        }
    }

    /// Nothing is borrowed any more. After a kill a cancel request still has to find what runs.
    pub(super) fn end(&self, end: &End) {
        self.client.attach(0);
        if !matches!(end, End::Killed) {
            self.borrowed.set(None);
        }
    }

    /// What functions leave behind may have changed.
    pub(super) fn renew(&self, held: &mut Held) {
        held.routines = self.database.routines();
    }

    /// Gets a connection if one that will do is at hand; true if it is.
    pub(super) fn take_at_hand(&self, held: &mut Held) -> bool {
        if self.client.signal().now().any(Flags::PAUSE) {
            return false;
        }
        match self.pool.lend(&self.start) {
            Some(server) if server.settings == held.settings => {
                self.attached(held, server);
                true
            }
            Some(server) => {
                self.pool.give(server);
                false
            }
            None => false,
        }
    }

    /// Waits for a connection, and makes it hold what the session holds. There is none afterwards if the
    /// client cancelled what it wants one for.
    pub(super) async fn attach(&self, held: &mut Held) -> Result<(), End> {
        let cancelled = self.borrowed.waits();
        self.client.set_state(State::Waiting);
        let signal = self.client.signal();
        let attached = async {
            signal.none(Flags::PAUSE).await;
            let database = &self.database.name;
            let (shared, login) = (&self.shared, &self.login);
            let borrowed =
                upstreams::borrow(shared, &self.pool, login, database, &self.start).await;
            let mut server = borrowed.map_err(no_room)?.map_err(|e| failure(&e))?;
            server.set(&held.settings).await.map_err(|e| failure(&e))?;
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
            Ok(()) = cancelled => {
                self.client.set_state(State::Idle);
                held.link.cancel();
                return Ok(());
            }
        };
        self.attached(held, server);
        Ok(())
    }

    fn attached(&self, held: &mut Held, server: Box<Server>) {
        self.borrowed.set(Some(Arc::clone(&server.lease)));
        self.client.attach(server.pid());
        self.client.set_state(State::Active);
        held.link.attached();
        held.server = Some(server);
    }

    /// Gives the connection back.
    fn detach(&self, held: &mut Held) {
        let Some(server) = held.server.take() else {
            return;
        };
        self.borrowed.set(None);
        self.client.attach(0);
        self.client.set_state(State::Idle);
        held.link.settled();
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

    /// Reads once what the server says. `on` takes what of it is for the client.
    pub(super) fn hear(
        &self,
        cx: &mut Context<'_>,
        held: &mut Held,
        scratch: &mut Scratch,
        on: impl FnOnce(&[u8], &mut Context<'_>) -> std::io::Result<()>,
    ) -> Result<Poll<Rested>, End> {
        let Some(server) = &mut held.server else {
            return Ok(Poll::Pending);
        };
        let stream = &mut server.connection.stream;
        let Poll::Ready(read) = held.from_server.read(cx, stream, &mut scratch.input) else {
            return Ok(Poll::Pending);
        };
        // A reset says no more than an end does.
        let Ok(Some(came)) = read else {
            return Err(End::Upstream);
        };
        scratch.output.clear();
        let bytes = held.from_server.bytes(&scratch.input, came);
        let knew = held.changed;
        let (changed, hearing) = (&mut held.changed, &mut held.hearing);
        let taken = held
            .link
            .take_server(
                bytes,
                &mut server.known,
                self.pool.statements(),
                &mut scratch.output,
                |tag, body| {
                    *changed |= tag == backend::COMMAND_COMPLETE && changes_catalog(body);
                    if let Some(hearing) = hearing {
                        hearing.answered(tag, body);
                    }
                },
            )
            .map_err(|_| malformed())?;
        if held.changed && !knew {
            // What this transaction prepares is prepared on what it changed.
            self.pool.statements().outdate();
        }
        on(taken.goes_on(bytes, &scratch.output), cx)?;
        held.from_server.keep(&scratch.input, came, taken.used);
        Ok(Poll::Ready(self.rested(held)))
    }

    /// Says to the server what the client says, over the connection there is. What the client is
    /// answered at once is in `reply`.
    pub(super) fn say(
        &self,
        cx: &mut Context<'_>,
        held: &mut Held,
        bytes: &[u8],
        output: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Option<Taken>, End> {
        let Some(server) = &mut held.server else {
            return Ok(None);
        };
        output.clear();
        reply.clear();
        let mut at = Upward {
            known: &mut server.known,
            statements: self.pool.statements(),
            routines: &held.routines,
        };
        let taken = held
            .link
            .take_client(bytes, &mut at, output, reply)
            .map_err(|_| End::Fault("invalid frontend message"))?;
        let out = taken.goes_on(bytes, output);
        held.to_server
            .write(cx, &mut server.connection.stream, out)?;
        if let Some(hearing) = &mut held.hearing {
            hearing.asked(bytes.get(..taken.used).unwrap_or_default());
            if let Some(status) = reply.last_chunk::<1>() {
                hearing.answered(backend::READY, status);
            }
        }
        Ok(Some(taken))
    }

    /// The conversation may have come to rest.
    pub(super) fn rested(&self, held: &mut Held) -> Rested {
        let Rest::Resting(found) = held.link.rest() else {
            return Rested::On;
        };
        if std::mem::take(&mut held.changed) {
            // What others prepared meanwhile was prepared on the old catalog.
            self.pool.statements().outdate();
            self.database.request();
        }
        // The rest of a notification, or the like, is on its way.
        if !held.from_server.is_empty() {
            return Rested::On;
        }
        if !found.is_none() && !held.for_good {
            return Rested::Settle(found);
        }
        if !held.pinned {
            self.detach(held);
        }
        Rested::On
    }

    /// Finds out what the transaction left, and gives the connection back if it can be. `theirs` takes
    /// what PostgreSQL says to its client meanwhile.
    pub(super) async fn settle(
        &self,
        held: &mut Held,
        found: Residue,
        theirs: &mut Vec<u8>,
    ) -> Result<(), End> {
        let Some(server) = &mut held.server else {
            return Ok(());
        };
        if found.has(Residue::UNSEEN) {
            held.pinned = true;
            held.for_good = true;
            held.link.settled();
            return Ok(());
        }
        let hidden = held.link.settled().to_vec();
        let holding = server.holding(&hidden, theirs).await;
        held.from_server.put(&server.take_beginning());
        // A simple query leaves no unnamed statement.
        held.link.attached();
        let holding = match holding {
            Ok(holding) => holding,
            // The client's own timeout, or its request to cancel, met the question: asked again after
            // the next transaction.
            Err(error) if error.is_cancelled() => {
                held.pinned = true;
                held.link.note(found);
                return Ok(());
            }
            Err(error) if error.server().is_some() => return Err(End::Refused(failure(&error))),
            Err(_) => return Err(End::Upstream),
        };
        held.settings = holding.settings;
        held.link.holds(&held.settings);
        held.pinned = holding.state;
        if !held.pinned && held.from_server.is_empty() {
            self.detach(held);
        }
        Ok(())
    }
}

fn malformed() -> End {
    End::Fault("malformed message from the server")
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
