//! Statements that read no relation: transaction control, settings, cursors' ends, DISCARD.

use super::plan::{Effect, Facts, Names, Plan, PlanContext};
use crate::analyze::{kept_by_sql, kept_name, kept_sql, not_listed, not_shown, unpinned_sql};
use crate::catalog::allow::{SETTABLE, Unheeded, unheeded};
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::SqlText;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{Statement, Transaction};

pub(super) fn plan(statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let (kind, effect): (&'static str, Effect) = match &statement {
        Statement::Empty => ("EMPTY", Effect::None),
        Statement::Transaction(t) => transaction(t),
        Statement::SetTransaction { .. } => ("SET", Effect::None),
        Statement::SetConstraints { names, deferred } => {
            return super::constraints::set(names, *deferred, ctx);
        }
        Statement::Set {
            local,
            name,
            values,
        } => return set(*local, name, values, &statement, ctx),
        Statement::Show(name) => return show(name, &statement, ctx),
        Statement::Reset(name) => return reset(name, &statement, ctx),
        Statement::Deallocate(name) => return deallocate(name.as_ref(), statement.clone(), ctx),
        Statement::Close(name) => return close(name.as_ref(), statement.clone(), ctx),
        Statement::Discard(what) => {
            let effect = match &**what {
                "all" => Effect::DiscardAll,
                "temp" | "temporary" => Effect::DiscardTemp,
                _ => Effect::None,
            };
            ("DISCARD", effect)
        }
        // What there is none of can be ended: connection pools do, to reset a session.
        Statement::Unlisten(_) => ("UNLISTEN", Effect::None),
        Statement::Listen(_) | Statement::Notify(..) => {
            return Err(Refusal::denied(
                "LISTEN and NOTIFY are not available to a restricted role",
            )
            .detail("Triggers notify with stored rows."));
        }
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_)
        | Statement::Copy(_)
        | Statement::CreateTable(_)
        | Statement::DropTable { .. }
        | Statement::Comment(_)
        | Statement::Truncate { .. }
        | Statement::CreateIndex(_)
        | Statement::DropIndex { .. }
        | Statement::Analyze(_)
        | Statement::Explain { .. }
        | Statement::Prepare { .. }
        | Statement::Execute { .. }
        | Statement::Declare { .. }
        | Statement::Fetch { .. } => {
            return Err(Refusal::error(
                sqlstate::INTERNAL_ERROR,
                "statement reads relations",
            ));
        }
    };
    Ok(Plan::decided(
        print(&statement, &Rewrite::default())?,
        effect,
        facts(kind),
    ))
}

pub(super) fn facts(kind: &'static str) -> Facts {
    Facts {
        kind,
        ..Facts::default()
    }
}

fn transaction(t: &Transaction) -> (&'static str, Effect) {
    match t {
        Transaction::Begin(_) => ("BEGIN", Effect::Begin),
        Transaction::Start(_) => ("START TRANSACTION", Effect::Begin),
        Transaction::Commit(_) => ("COMMIT", Effect::Commit),
        Transaction::Rollback(_) => ("ROLLBACK", Effect::Rollback),
        Transaction::Savepoint(s) => ("SAVEPOINT", Effect::Savepoint(s.clone())),
        Transaction::Release(s) => ("RELEASE", Effect::Release(s.clone())),
        Transaction::RollbackTo(s) => ("ROLLBACK", Effect::RollbackTo(s.clone())),
    }
}

/// One that is set, and a custom one that the role's policy names.
fn settable(name: &str, ctx: &PlanContext<'_>) -> Result<(), Refusal> {
    match name.contains('.') {
        true if ctx.grants.may_set(name) => Ok(()),
        true => Err(not_listed(name, &ctx.grants.role)),
        false if SETTABLE.contains(&name) => Ok(()),
        false => Err(not_settable(name)),
    }
}

fn not_settable(name: &str) -> Refusal {
    Refusal::denied(format!("permission denied to set parameter \"{name}\""))
        .detail("It is not among the settings a restricted role may change.")
        .hint(format!(
            "Settable are search_path, client_encoding, {}.",
            SETTABLE.join(", ")
        ))
}

fn set(
    local: bool,
    name: &str,
    values: &[Box<str>],
    statement: &Statement,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    let only = match values {
        [v] => Some(&**v),
        _ => None,
    };
    match name {
        "search_path" => {
            let path = (!values.is_empty())
                .then(|| values.iter().map(|v| Ident::exact(v)).collect::<Vec<_>>());
            let effect = Effect::SearchPath {
                local,
                path,
                written: None,
            };
            return Ok(stand_in("search_path", local, false, effect));
        }
        // What else there is of these is refused as it is read.
        "role" | "session_authorization" if values.is_empty() => {
            return Ok(stand_in(name, local, false, Effect::None));
        }
        "client_encoding" => {
            let encoding = match values {
                [] => None,
                [name] => Some(encoding(name)?),
                _ => {
                    return Err(Refusal::error(
                        sqlstate::INVALID_PARAMETER_VALUE,
                        "SET client_encoding takes only one argument",
                    ));
                }
            };
            let effect = Effect::ClientEncoding { local, encoding };
            return Ok(stand_in("client_encoding", local, false, effect));
        }
        // Pinned: what is in force already may be set again.
        "standard_conforming_strings" if only.is_some_and(|v| is_bool(v, true)) => {}
        "transform_null_equals" if only.is_some_and(|v| is_bool(v, false)) => {}
        "array_nulls" if only.is_some_and(|v| is_bool(v, true)) => {}
        // What a dump says of the texts of XML and of where its tables go.
        "xmloption" if only.is_some_and(|v| v.eq_ignore_ascii_case("content")) => {}
        "default_tablespace" if only == Some("") => {}
        "default_table_access_method" if only == Some("heap") => {}
        "names" => {}
        _ => match unheeded(name) {
            Some(setting) => return keep(local, setting, values, ctx),
            None => settable(name, ctx)?,
        },
    }
    Ok(Plan::decided(
        print(statement, &Rewrite::default())?,
        Effect::None,
        facts("SET"),
    ))
}

pub(super) fn is_utf8(v: &str) -> bool {
    Encoding::by_name(v).is_some_and(|e| e.canonical() == Encoding::utf8())
}

/// The encoding of that name, if the proxy converts it as PostgreSQL does.
pub fn encoding(name: &str) -> Result<Encoding, Refusal> {
    Encoding::by_name(name).ok_or_else(|| {
        if Encoding::is_unconverted(name) {
            return no_encoding();
        }
        Refusal::error(
            sqlstate::INVALID_PARAMETER_VALUE,
            "invalid value for parameter \"client_encoding\"",
        )
    })
}

fn no_encoding() -> Refusal {
    let names: Vec<&str> = Encoding::all().map(Encoding::name).collect();
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "this client encoding is not supported for restricted roles",
    )
    .hint(format!("Supported are {}.", names.join(", ")))
}

/// PostgreSQL's own search path and client encoding are pinned; the client's are the proxy's state. A
/// setting of that name in our own namespace gives the client PostgreSQL's command tag, and its error
/// in a failed transaction.
fn stand_in(name: &str, local: bool, is_reset: bool, effect: Effect) -> Plan {
    let name = format!("\"pgveil\".\"{name}\"");
    let sql = match (is_reset, local) {
        (true, _) => format!("RESET {name}"),
        (false, true) => format!("SET LOCAL {name} TO ''"),
        (false, false) => format!("SET {name} TO ''"),
    };
    let kind = if is_reset { "RESET" } else { "SET" };
    Plan::decided(SqlText::new(sql), effect, facts(kind))
}

fn show(name: &str, statement: &Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let text = |value: &str| {
        let quoted = value.replace('\'', "''");
        format!("'{quoted}'::\"pg_catalog\".\"text\"")
    };
    let own = [
        ("search_path", text(ctx.search_path_text)),
        ("client_encoding", text(ctx.client_encoding.name())),
    ];
    if let Some((_, value)) = own.iter().find(|(own, _)| name == *own) {
        let sql = SqlText::new(format!("SELECT {value} AS \"{name}\""));
        return Ok(Plan::decided(sql, Effect::None, facts("SHOW")).passing(1));
    }
    if name.contains('.') && !ctx.grants.may_set(name) {
        return Err(not_shown(name, &ctx.grants.role));
    }
    if name == "all" {
        return Ok(show_all(ctx));
    }
    if let Some(setting) = unheeded(name) {
        known(setting, ctx)?;
        let sql = SqlText::new(format!("SELECT {} AS \"{name}\"", kept_sql(setting)));
        return Ok(Plan::decided(sql, Effect::None, facts("SHOW")).passing(1));
    }
    Ok(Plan::decided(
        print(statement, &Rewrite::default())?,
        Effect::None,
        facts("SHOW"),
    )
    .passing(1))
}

/// What PostgreSQL shows, and what it does not know of the session.
fn show_all(ctx: &PlanContext<'_>) -> Plan {
    let quoted = |text: &str| text.replace('\'', "''");
    let theirs = format!(
        "CASE s.name WHEN 'search_path' THEN '{}' WHEN 'client_encoding' THEN '{}' \
         ELSE pg_catalog.current_setting(s.name) END",
        quoted(ctx.search_path_text),
        quoted(ctx.client_encoding.name())
    );
    let sql = format!(
        "SELECT s.name, COALESCE({}, {}) AS setting, s.short_desc AS description \
         FROM pg_catalog.pg_settings AS s \
         ORDER BY pg_catalog.lower(s.name) COLLATE pg_catalog.\"C\"",
        kept_by_sql("s.name"),
        unpinned_sql("s.name", &theirs),
    );
    Plan::decided(SqlText::new(sql), Effect::None, facts("SHOW")).passing(3)
}

fn reset(name: &str, statement: &Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    match name {
        "search_path" => {
            let effect = Effect::SearchPath {
                local: false,
                path: None,
                written: None,
            };
            return Ok(stand_in("search_path", false, true, effect));
        }
        "client_encoding" => {
            let effect = Effect::ClientEncoding {
                local: false,
                encoding: None,
            };
            return Ok(stand_in("client_encoding", false, true, effect));
        }
        "role" | "session_authorization" => {
            return Ok(stand_in(name, false, true, Effect::None));
        }
        "all" => {
            let mut plan = Plan::decided(
                print(statement, &Rewrite::default())?,
                Effect::None,
                facts("RESET"),
            );
            plan.set_effect(Effect::ResetAll);
            return Ok(plan);
        }
        "standard_conforming_strings"
        | "transform_null_equals"
        | "xmloption"
        | "default_tablespace"
        | "default_table_access_method" => {}
        _ => match unheeded(name) {
            Some(setting) => {
                known(setting, ctx)?;
                let own = Statement::Reset(kept_name(setting).into());
                let sql = print(&own, &Rewrite::default())?;
                return Ok(Plan::decided(sql, Effect::None, facts("RESET")));
            }
            None => settable(name, ctx)?,
        },
    }
    Ok(Plan::decided(
        print(statement, &Rewrite::default())?,
        Effect::None,
        facts("RESET"),
    ))
}

/// PostgreSQL's own setting stays; the value is kept under a name of ours.
fn keep(
    local: bool,
    setting: &Unheeded,
    values: &[Box<str>],
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    known(setting, ctx)?;
    let values = match values {
        [] => Vec::new(),
        [one] => vec![setting.shown(one)?.into()],
        _ => {
            return Err(Refusal::error(
                sqlstate::INVALID_PARAMETER_VALUE,
                format!("SET {} takes only one argument", setting.name),
            ));
        }
    };
    let own = Statement::Set {
        local,
        name: kept_name(setting).into(),
        values,
    };
    let sql = print(&own, &Rewrite::default())?;
    Ok(Plan::decided(sql, Effect::None, facts("SET")))
}

/// The server has the setting.
fn known(setting: &Unheeded, ctx: &PlanContext<'_>) -> Result<(), Refusal> {
    if setting.is_known(ctx.snapshot.catalog.version) {
        return Ok(());
    }
    Err(setting.unknown())
}

/// A boolean setting's value, as PostgreSQL reads the common spellings of it.
fn is_bool(value: &str, wanted: bool) -> bool {
    let spellings = if wanted {
        ["on", "true", "yes", "1"]
    } else {
        ["off", "false", "no", "0"]
    };
    spellings.iter().any(|s| value.eq_ignore_ascii_case(s))
}

fn deallocate(
    name: Option<&Ident>,
    statement: Statement,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    let mut statement = statement;
    let mut names = None;
    if let (Some(name), Statement::Deallocate(Some(upstream))) = (name, &mut statement) {
        let entry = ctx.prepared.get(name).ok_or_else(|| {
            Refusal::error(
                sqlstate::INVALID_STATEMENT_NAME,
                format!("prepared statement \"{name}\" does not exist"),
            )
        })?;
        *upstream = entry.upstream.clone();
        names = Some(Names::Prepared(name.clone(), entry.upstream.clone()));
    }
    let sql = print(&statement, &Rewrite::default())?;
    Ok(naming(
        Plan::decided(sql, Effect::Deallocate(name.cloned()), facts("DEALLOCATE")),
        names,
    ))
}

fn close(
    name: Option<&Ident>,
    statement: Statement,
    ctx: &PlanContext<'_>,
) -> Result<Plan, Refusal> {
    let mut statement = statement;
    let mut names = None;
    if let (Some(name), Statement::Close(Some(upstream))) = (name, &mut statement) {
        let entry = ctx.cursors.get(name).ok_or_else(|| {
            Refusal::error(
                sqlstate::INVALID_CURSOR_NAME,
                format!("cursor \"{name}\" does not exist"),
            )
        })?;
        *upstream = entry.upstream.clone();
        names = Some(Names::Cursor(name.clone(), entry.upstream.clone()));
    }
    let sql = print(&statement, &Rewrite::default())?;
    Ok(naming(
        Plan::decided(
            sql,
            Effect::CloseCursor(name.cloned()),
            facts("CLOSE CURSOR"),
        ),
        names,
    ))
}

/// A statement made by Parse may be executed again, when the name is another's.
fn naming(mut plan: Plan, names: Option<Names>) -> Plan {
    if let Some(names) = names {
        plan.set_names(names);
    }
    plan
}
