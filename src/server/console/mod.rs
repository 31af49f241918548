//! The console: a database `pgveil` that is none, where administrators look at the process and steer
//! it, in the words of PgBouncer's.
//!
//! Whoever is named in `admin_users` or `stats_users` connects to it as to any database. One command a
//! message, by the simple or the extended protocol, without parameters. Every command leaves an audit
//! record. Deliberately absent: SET, and any answer with SQL text, a literal or a secret in it.

mod access;
mod act;
mod command;
mod numbers;
mod settings;
mod show;
mod stats;
mod table;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) use self::access::is_meant;
use self::access::{Rank, enter, rank};
use self::act::Complaint;
pub(crate) use self::command::Shutdown;
use self::command::{Command, Subject};
pub(crate) use self::stats::{Stats, keep as keep_stats};
use self::table::{Cell, Column, describe, row};
use super::Shared;
use super::metrics::Metrics;
use super::registry::{Client, Flags};
use crate::audit::{Event, Outcome, Record};
use crate::client::{ClientConnection, ClientStream, Reply, dismiss};
use crate::limits;
use crate::pg::sqlstate;
use crate::pg::types::Format;
use crate::wire::frame::{self, FrameBuffer, Limits};
use crate::wire::frontend::{FrontendMessage, Target};
use crate::wire::{Report, TransactionStatus, WriteError};

/// Its name.
const DATABASE: &str = "pgveil";

/// Serves a client that has authenticated.
pub(super) async fn serve(shared: &Arc<Shared>, client: ClientConnection) {
    let login = Arc::clone(client.identity.login());
    let asked = client.startup.replication.is_some();
    let rank = rank(&shared.config, &login).filter(|_| !asked);
    let entered = rank.and_then(|rank| Some((rank, enter(shared, &client, rank)?)));
    let Some((rank, place)) = entered else {
        Metrics::add(&shared.metrics.failed_logins);
        tracing::info!(%login, "console refused");
        let message = "permission denied for the console";
        let report = Report::fatal(sqlstate::INVALID_AUTHORIZATION, message);
        return client.dismiss(&report).await;
    };
    let who = Arc::clone(&place.facts.who);
    let console = Console {
        shared: Arc::clone(shared),
        client: place,
        rank,
        statements: HashMap::new(),
        portals: HashMap::new(),
        skipping: false,
    };
    if let Err(error) = console.run(client).await {
        tracing::info!(session = who.session, %error, "console connection lost");
    }
    if let Ok(ticket) = shared.sink.reserve(Record::new(Event::Logout, who)) {
        ticket.finish(|record| record.decision = Outcome::Allow);
    }
}

/// One session.
struct Console {
    shared: Arc<Shared>,
    client: Client,
    rank: Rank,
    statements: HashMap<Vec<u8>, Command>,
    portals: HashMap<Vec<u8>, Portal>,
    /// An error came: everything up to Sync is passed over.
    skipping: bool,
}

/// A command about to be executed, or being fetched from.
struct Portal {
    command: Command,
    formats: Vec<Format>,
    /// What is left to fetch, once it was executed.
    left: Option<std::vec::IntoIter<Vec<Cell>>>,
}

/// Why a session ends.
enum Stop {
    Left,
    Said(&'static str, &'static str),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<WriteError> for Stop {
    fn from(_: WriteError) -> Self {
        Self::Said(sqlstate::INTERNAL_ERROR, "the answer is too long")
    }
}

impl Console {
    async fn run(mut self, client: ClientConnection) -> io::Result<()> {
        let mut stream = client.stream;
        match self.converse(&mut stream, client.unsent).await {
            Stop::Left => Ok(()),
            Stop::Io(error) => Err(error),
            Stop::Said(sqlstate, message) => {
                dismiss(stream, &Report::fatal(sqlstate, message)).await;
                Ok(())
            }
        }
    }

    async fn converse(&mut self, stream: &mut ClientStream, unsent: Reply) -> Stop {
        let mut buffer = FrameBuffer::new();
        let mut reply = match self.welcome(unsent) {
            Ok(reply) => reply,
            Err(stop) => return stop,
        };
        loop {
            if let Err(error) = send(stream, std::mem::take(&mut reply)).await {
                return Stop::Io(error);
            }
            match self.turn(stream, &mut buffer).await {
                Ok(answer) => reply = answer,
                Err(stop) => return stop,
            }
        }
    }

    fn welcome(&self, unsent: Reply) -> Result<Reply, Stop> {
        // Nothing here can be cancelled by a key: PAUSE ends with its connection.
        let mut key = [0; 4];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let pid = i32::try_from(self.client.id & 0x7fff_ffff).unwrap_or(0);
        let version = format!("14.0 ({})", show::version());
        let parameters = [
            ("server_version", version.as_str()),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO"),
            ("TimeZone", "UTC"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
        ];
        let reply = unsent.welcome(parameters, pid, &key)?;
        Ok(reply.ready(TransactionStatus::Idle))
    }

    /// Reads one message and answers it.
    async fn turn(
        &mut self,
        stream: &mut ClientStream,
        buffer: &mut FrameBuffer,
    ) -> Result<Reply, Stop> {
        const MALFORMED: Stop = Stop::Said(sqlstate::PROTOCOL_VIOLATION, "invalid message format");
        let (tag, whole) = loop {
            let header = buffer
                .next_header(&Limits::FRONTEND)
                .map_err(|_| MALFORMED)?;
            if header.is_some_and(|(_, total)| total > limits::COMMAND_BYTES) {
                return Err(Stop::Said(
                    sqlstate::PROGRAM_LIMIT_EXCEEDED,
                    "command is too long",
                ));
            }
            if let Some(found) = buffer
                .next_frame(&Limits::FRONTEND)
                .map_err(|_| MALFORMED)?
            {
                break found;
            }
            let signal = self.client.signal();
            let mut room = buffer.room();
            tokio::select! {
                read = stream.read_buf(&mut room) => if read? == 0 {
                    return Err(Stop::Left);
                },
                _ = signal.any(Flags::KILL | Flags::DRAIN) => return Err(Stop::Said(
                    sqlstate::ADMIN_SHUTDOWN,
                    "terminating connection due to administrator command",
                )),
            }
        };
        let body = frame::body(&whole);
        self.client.counters.received(whole.len());
        let message = FrontendMessage::read(tag, body).map_err(|_| MALFORMED)?;
        if self.skipping && !matches!(message, FrontendMessage::Sync | FrontendMessage::Terminate) {
            return Ok(Reply::new());
        }
        self.answer(message, stream).await
    }

    async fn answer(
        &mut self,
        message: FrontendMessage<'_>,
        stream: &ClientStream,
    ) -> Result<Reply, Stop> {
        let reply = Reply::new();
        match message {
            FrontendMessage::Query(query) => {
                let reply = self.simple(query.text, stream).await?;
                return Ok(reply.ready(TransactionStatus::Idle));
            }
            FrontendMessage::Parse(parse) => {
                let command = std::str::from_utf8(parse.query)
                    .ok()
                    .and_then(Command::parse);
                return Ok(match command {
                    Some(_) if self.statements.len() >= limits::COMMANDS_PREPARED => self.fail(
                        sqlstate::PROGRAM_LIMIT_EXCEEDED,
                        "too many prepared statements",
                    ),
                    Some(command) => {
                        self.statements.insert(parse.name.to_vec(), command);
                        reply.parse_complete()
                    }
                    None => self.invalid(),
                });
            }
            FrontendMessage::Bind(bind) => {
                let Some(command) = self.statements.get(bind.statement).cloned() else {
                    return Ok(self.no_statement());
                };
                if self.portals.len() >= limits::COMMANDS_PREPARED {
                    return Ok(self.fail(sqlstate::PROGRAM_LIMIT_EXCEEDED, "too many portals"));
                }
                let formats = bind.result_formats.iter().collect();
                let portal = Portal {
                    command,
                    formats,
                    left: None,
                };
                self.portals.insert(bind.portal.to_vec(), portal);
                return Ok(reply.bind_complete());
            }
            FrontendMessage::Describe(named) => return self.describe(named.kind, named.name),
            FrontendMessage::Execute(execute) => {
                let most = usize::try_from(execute.max_rows).unwrap_or(0);
                return self.execute(execute.portal, most, stream).await;
            }
            FrontendMessage::Close(named) => {
                match named.kind {
                    Target::Statement => drop(self.statements.remove(named.name)),
                    Target::Portal => drop(self.portals.remove(named.name)),
                }
                return Ok(reply.close_complete());
            }
            FrontendMessage::Sync => {
                self.skipping = false;
                self.portals.clear();
                return Ok(reply.ready(TransactionStatus::Idle));
            }
            FrontendMessage::Terminate => return Err(Stop::Left),
            FrontendMessage::FunctionCall(_) => {
                let reply = self.invalid();
                self.skipping = false;
                return Ok(reply.ready(TransactionStatus::Idle));
            }
            FrontendMessage::Flush
            | FrontendMessage::CopyData(_)
            | FrontendMessage::CopyDone
            | FrontendMessage::CopyFail(_) => {}
        }
        Ok(reply)
    }

    async fn simple(&mut self, text: &[u8], stream: &ClientStream) -> Result<Reply, Stop> {
        let Some(command) = std::str::from_utf8(text).ok().and_then(Command::parse) else {
            let reply = self.invalid();
            self.skipping = false;
            return Ok(reply);
        };
        match act::run(self, &command, stream).await {
            Ok(None) if command == Command::Empty => Ok(Reply::new().empty_query()),
            Ok(answer) => {
                let mut reply = usage(Reply::new(), &command);
                if let Some(table) = answer.filter(|table| !table.columns.is_empty()) {
                    reply = describe(reply, &table.columns, &[])?;
                    for cells in &table.rows {
                        reply = row(reply, cells, &[])?;
                    }
                }
                Ok(reply.command_complete(command.tag())?)
            }
            Err(why) => Ok(complain(&why)),
        }
    }

    fn describe(&mut self, kind: Target, name: &[u8]) -> Result<Reply, Stop> {
        let mut reply = Reply::new();
        let (command, formats) = match kind {
            Target::Statement => match self.statements.get(name) {
                Some(command) => {
                    reply = reply.no_parameters()?;
                    (command, &[][..])
                }
                None => return Ok(self.no_statement()),
            },
            Target::Portal => match self.portals.get(name) {
                Some(portal) => (&portal.command, portal.formats.as_slice()),
                None => return Ok(self.no_portal()),
            },
        };
        let columns = self.columns(command);
        if columns.is_empty() {
            return Ok(reply.no_data());
        }
        Ok(describe(reply, &columns, formats)?)
    }

    fn columns(&self, command: &Command) -> Vec<Column> {
        match command {
            Command::Show(subject) => show::show(&self.shared, *subject).columns,
            _ => Vec::new(),
        }
    }

    async fn execute(
        &mut self,
        name: &[u8],
        most: usize,
        stream: &ClientStream,
    ) -> Result<Reply, Stop> {
        let Some(mut portal) = self.portals.remove(name) else {
            return Ok(self.no_portal());
        };
        let mut reply = Reply::new();
        let mut left = match portal.left.take() {
            Some(left) => left,
            None => match act::run(self, &portal.command, stream).await {
                Ok(table) => {
                    reply = usage(reply, &portal.command);
                    table.map_or_else(Vec::new, |table| table.rows).into_iter()
                }
                Err(why) => {
                    self.skipping = true;
                    return Ok(complain(&why));
                }
            },
        };
        let most = if most == 0 { usize::MAX } else { most };
        for cells in left.by_ref().take(most) {
            reply = row(reply, &cells, &portal.formats)?;
        }
        let reply = if left.len() > 0 {
            reply.portal_suspended()
        } else if portal.command == Command::Empty {
            reply.empty_query()
        } else {
            reply.command_complete(portal.command.tag())?
        };
        portal.left = Some(left);
        self.portals.insert(name.to_vec(), portal);
        Ok(reply)
    }

    fn fail(&mut self, sqlstate: &'static str, message: &str) -> Reply {
        self.skipping = true;
        complain(&Complaint {
            sqlstate,
            message: message.to_owned(),
            detail: None,
        })
    }

    /// The text is not repeated: it may be a query meant for another connection.
    fn invalid(&mut self) -> Reply {
        self.fail(sqlstate::SYNTAX_ERROR, "invalid command, use SHOW HELP;")
    }

    fn no_statement(&mut self) -> Reply {
        let message = "prepared statement does not exist";
        self.fail(sqlstate::INVALID_STATEMENT_NAME, message)
    }

    fn no_portal(&mut self) -> Reply {
        self.fail(sqlstate::INVALID_CURSOR_NAME, "portal does not exist")
    }
}

async fn send(stream: &mut ClientStream, reply: Reply) -> io::Result<()> {
    stream.write_all(&reply.into_bytes()).await?;
    stream.flush().await
}

fn complain(why: &Complaint) -> Reply {
    Reply::new().error(&Report {
        detail: why.detail.as_deref(),
        ..Report::error(why.sqlstate, &why.message)
    })
}

/// SHOW HELP's answer is a notice, as PgBouncer's.
fn usage(reply: Reply, command: &Command) -> Reply {
    const USAGE: &str = "
	SHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION
	SHOW STATS|STATS_TOTALS|STATS_AVERAGES|LISTS|STATE|DENIED
	RELOAD
	PAUSE [<db>]
	RESUME [<db>]
	KILL [<db>]
	KILL_CLIENT <client_id>
	SHUTDOWN
	SHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS";
    if *command != Command::Show(Subject::Help) {
        return reply;
    }
    reply.notice(&Report {
        severity: "NOTICE",
        detail: Some(USAGE),
        ..Report::error("00000", "Console usage")
    })
}
