//! Commands that do something, and the record each command leaves.

use std::sync::Arc;

use super::command::{Command, Shutdown};
use super::show::{self, is_own};
use super::table::Table;
use super::{Console, Rank};
use crate::audit::{Event, Outcome, Record};
use crate::client::ClientStream;
use crate::limits;
use crate::pg::sqlstate;
use crate::server::Shared;
use crate::server::registry::Flags;

/// Why a command was not carried out.
pub(super) struct Complaint {
    pub(super) sqlstate: &'static str,
    pub(super) message: String,
    pub(super) detail: Option<String>,
}

fn complaint<T>(sqlstate: &'static str, message: impl Into<String>) -> Result<T, Complaint> {
    Err(Complaint {
        sqlstate,
        message: message.into(),
        detail: None,
    })
}

/// Carries out one command. It leaves an audit record whatever comes of it, and without room for one
/// nothing is done.
pub(super) async fn run(
    console: &Console,
    command: &Command,
    stream: &ClientStream,
) -> Result<Option<Table>, Complaint> {
    let who = Arc::clone(&console.client.facts.who);
    let Ok(ticket) = console.shared.sink.reserve(Record::new(Event::Admin, who)) else {
        return complaint(
            sqlstate::INSUFFICIENT_RESOURCES,
            "the audit log cannot take another record",
        );
    };
    let done = if command.only_looks() || console.rank == Rank::Admin {
        carry_out(console, command, stream).await
    } else {
        complaint(sqlstate::INSUFFICIENT_PRIVILEGE, "admin access needed")
    };
    ticket.finish(|record| {
        record.kind = command.kind();
        record.target = command.target();
        record.decision = match &done {
            Ok(_) => Outcome::Allow,
            Err(why) if why.sqlstate == sqlstate::INSUFFICIENT_PRIVILEGE => Outcome::Refuse,
            Err(_) => Outcome::Error,
        };
        record.sqlstate = done.as_ref().err().map(|why| why.sqlstate.to_owned());
    });
    done
}

async fn carry_out(
    console: &Console,
    command: &Command,
    stream: &ClientStream,
) -> Result<Option<Table>, Complaint> {
    let shared = &console.shared;
    match command {
        Command::Empty => {}
        Command::Show(subject) => return Ok(Some(show::show(shared, *subject))),
        Command::Reload => reload(shared).await?,
        Command::Pause(database) => {
            let database = known(shared, database.as_deref())?;
            if shared.registry.is_paused(database.unwrap_or_default()) {
                return complaint(sqlstate::OBJECT_NOT_IN_STATE, "already suspended/paused");
            }
            shared.registry.pause(database);
            released(console, database, stream).await?;
        }
        Command::Resume(database) => {
            let database = known(shared, database.as_deref())?;
            if !shared.registry.resume(database) {
                let message = match database {
                    Some(name) => format!("database {name} is not paused"),
                    None => "pooler is not paused/suspended".to_owned(),
                };
                return complaint(sqlstate::OBJECT_NOT_IN_STATE, message);
            }
        }
        Command::Kill(database) => {
            let database = known(shared, database.as_deref())?;
            // Paused first: whoever comes back at once waits for RESUME.
            shared.registry.pause(database);
            shared.registry.kill_database(database);
        }
        Command::KillClient(id) => {
            if !shared.registry.kill(*id) {
                return complaint(sqlstate::UNDEFINED_OBJECT, "client not found");
            }
        }
        Command::Shutdown(how) => shut_down(shared, *how),
    }
    tracing::info!(
        command = command.kind(),
        session = console.client.facts.who.session,
        "console"
    );
    Ok(None)
}

/// A database there is here.
fn known<'n>(shared: &Shared, database: Option<&'n str>) -> Result<Option<&'n str>, Complaint> {
    let Some(name) = database else {
        return Ok(None);
    };
    if is_own(name) {
        return complaint(
            sqlstate::INVALID_PARAMETER_VALUE,
            "the console's own database is not paused or killed",
        );
    }
    if shared.databases.contains_key(name)
        || shared.rules().policy.databases.contains(&name.to_owned())
    {
        return Ok(Some(name));
    }
    complaint(
        sqlstate::INVALID_CATALOG_NAME,
        format!("no such database: {name}"),
    )
}

async fn reload(shared: &Arc<Shared>) -> Result<(), Complaint> {
    if let Err(errors) = shared.reload() {
        return Err(Complaint {
            sqlstate: sqlstate::CONFIG_FILE_ERROR,
            message: "the policy was not loaded, the old one stays in force".to_owned(),
            detail: Some(errors.to_string()),
        });
    }
    Shared::follow_listed(shared);
    // Whoever is told that it is done may rely on it. PostgreSQL, or the attempt to reach it, ends in
    // time: what asks for the catalog has a timeout.
    while !shared.refreshed().await {}
    Ok(())
}

/// Waits until no session has a server any more: in session mode until they have all left.
async fn released(
    console: &Console,
    database: Option<&str>,
    stream: &ClientStream,
) -> Result<(), Complaint> {
    let registry = &console.shared.registry;
    let signal = console.client.signal();
    loop {
        if registry.attached(database) == 0 {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(limits::PAUSE_POLL) => {}
            _ = signal.any(Flags::KILL | Flags::DRAIN) => break,
            () = gone(stream) => break,
        }
        if !registry.is_paused(database.unwrap_or_default()) {
            break;
        }
    }
    // The pause itself stays, unless it was taken back.
    complaint(
        sqlstate::QUERY_CANCELED,
        "canceling PAUSE before all servers were released",
    )
}

/// Resolves when the client has left.
async fn gone(stream: &ClientStream) {
    let mut byte = [0; 1];
    match stream.tcp().peek(&mut byte).await {
        Ok(0) | Err(_) => {}
        // It sends on: nothing to learn from.
        Ok(_) => std::future::pending().await,
    }
}

fn shut_down(shared: &Shared, how: Shutdown) {
    shared.shutdown.send_replace(Some(how));
}
