//! `pgveil policy explain`: what a role gets of each output column of a statement, or the refusal.
//!
//! Deliberately absent: any judgement. The planner that serves the role is asked; nothing is sent
//! but the reading of the catalog.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use foldhash::HashMap;

use clap::Args;
use unicode_width::UnicodeWidthStr as _;

use super::dsn;
use super::serve::runtime;
use crate::catalog::SearchPath;
use crate::catalog::temp::TempTables;
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::plan::{
    Effect, ExplainedColumn, Given, Plan, PlanContext, Refusal, explain_statement, plan_statement,
};
use crate::policy::{Errors, Policy, PolicyError, bind_without_keys};
use crate::server::config::{Config, Upstream};
use crate::server::{policy_files, read_catalog, today};
use crate::snapshot::Snapshot;
use crate::sql::Shaped;
use crate::sql::tree::Statement;

/// `pgveil policy explain`
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The statement, or several.
    pub sql: String,
    /// Who asks.
    #[arg(short, long)]
    pub role: String,
    /// The configuration: which policy, which database, and its catalog login.
    #[arg(short, long, value_name = "FILE", default_value = "pgveil.yaml")]
    pub config: PathBuf,
    /// Instead of a configuration, a database: postgresql://user@host:port/database?sslmode=… The
    /// password may stand in PGPASSWORD instead.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub dsn: Option<String>,
    /// The policy's directory, or one file [default: what the configuration says, or policies].
    #[arg(short, long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// With a configuration: the database, if the policy names none or several.
    #[arg(short, long, value_name = "NAME", conflicts_with = "dsn")]
    pub database: Option<String>,
    /// The session's search path.
    #[arg(
        long,
        value_name = "SCHEMAS",
        value_delimiter = ',',
        default_value = "public"
    )]
    pub search_path: Vec<String>,
    /// Show what PostgreSQL would be sent.
    #[arg(long = "sql")]
    pub show_sql: bool,
}

/// Explains statements; exit code 1 if one is refused, or the policy or the database has faults.
///
/// # Errors
/// `out` cannot be written.
pub fn explain(args: &ExplainArgs, out: &mut dyn Write) -> io::Result<ExitCode> {
    let (text, allowed) = match explained(args) {
        Ok(explained) => explained,
        Err(errors) => (errors.to_string(), false),
    };
    out.write_all(text.as_bytes())?;
    Ok(if allowed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What there is to say, and whether every statement may run.
fn explained(args: &ExplainArgs) -> Result<(String, bool), Errors> {
    let (upstream, dir, named) = if let Some(url) = &args.dsn {
        let (upstream, database) =
            dsn::parse(url).map_err(|e| PolicyError::error(format!("--dsn: {e}")))?;
        (upstream, PathBuf::from("policies"), Some(database))
    } else {
        let config = Config::load(&args.config)?;
        (config.upstream, config.policies, args.database.clone())
    };
    let policy = policy_files::load(args.policies.as_deref().unwrap_or(&dir))?;
    let snapshot = snapshot(&policy, &upstream, &database(&policy, named)?)?;
    let role = args.role.as_str();
    let Some(grants) = snapshot.policy.roles.get(role) else {
        let mut known: Vec<&str> = snapshot.policy.roles.keys().map(AsRef::as_ref).collect();
        known.sort_unstable();
        let error = PolicyError::error(format!("the policy has no role `{role}`"));
        return Err(error
            .help(format!("its roles are {}", known.join(", ")))
            .into());
    };
    if grants.unrestricted {
        let text = format!("{role} is unrestricted: its statements go through as they are.\n");
        return Ok((text, true));
    }
    let observed = if grants.observe {
        format!("{role} is observed: its statements go through as they are. Were it enforced:\n")
    } else {
        String::new()
    };
    let path: Vec<Ident> = args
        .search_path
        .iter()
        .map(|s| Ident::exact(s.trim()))
        .collect();
    let context = PlanContext {
        snapshot: &snapshot,
        grants,
        search_path: &SearchPath::new(&path),
        search_path_text: &args.search_path.join(", "),
        client_encoding: Encoding::utf8(),
        prepared: &HashMap::default(),
        cursors: &HashMap::default(),
        temp: &TempTables::default(),
        given: Given::Bound,
        declared: &[],
        fresh_name: Ident::exact("pgveil_1"),
    };
    let read = Shaped::scan(&args.sql).and_then(|shaped| {
        shaped.check_version(snapshot.catalog.version)?;
        shaped.parse()
    });
    let statements = match read {
        Ok((statements, _)) => statements,
        Err(unsupported) => {
            let said = refusal(&unsupported.into());
            return Ok((format!("{observed}{said}"), grants.observe));
        }
    };
    let mut text = observed;
    let mut allowed = true;
    let mut temp = TempTables::default();
    for parsed in statements {
        let context = PlanContext {
            temp: &temp,
            fresh_name: context.fresh_name.clone(),
            ..context
        };
        match one(parsed.statement, &context, args.show_sql) {
            Ok((lines, plan)) => {
                text.push_str(&lines);
                // The statements after it know the table.
                match plan.effect() {
                    Effect::CreateTemp { table, .. } => temp.add(Arc::clone(table)),
                    Effect::DropTemp(names) => names.iter().for_each(|name| temp.remove(name)),
                    _ => {}
                }
            }
            Err(r) => {
                text.push_str(&refusal(&r));
                allowed &= grants.observe;
            }
        }
    }
    Ok((text, allowed))
}

fn database(policy: &Policy, named: Option<String>) -> Result<String, Errors> {
    let only = match policy.databases.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    named.or(only).ok_or_else(|| {
        let error = PolicyError::error("the policy names no database, or several");
        error.help("say which is meant: --database NAME").into()
    })
}

fn snapshot(policy: &Policy, upstream: &Upstream, database: &str) -> Result<Snapshot, Errors> {
    let fault = |what: String| PolicyError::error(format!("database {database}: {what}"));
    let runtime = runtime().map_err(|e| fault(e.to_string()))?;
    let catalog = runtime
        .block_on(read_catalog(upstream, database))
        .map_err(fault)?;
    let bound = bind_without_keys(policy, &catalog, today())?.policy;
    Ok(Snapshot {
        catalog: catalog.into(),
        policy: bound.into(),
        epoch: 1,
    })
}

fn one(
    statement: Statement,
    context: &PlanContext<'_>,
    show_sql: bool,
) -> Result<(String, Plan), Refusal> {
    let plan = plan_statement(statement.clone(), context)?;
    let columns = explain_statement(statement, context)?;
    let mut text = if columns.is_empty() {
        format!("{}: returns no column of a relation\n", plan.facts().kind)
    } else {
        table(&columns)
    };
    if show_sql {
        text.push_str("sent: ");
        text.push_str(plan.sql().as_str());
        text.push('\n');
    }
    Ok((text, plan))
}

/// Columns aligned for a terminal.
fn table(columns: &[ExplainedColumn]) -> String {
    let heading = ["column", "from", "class", "gets", "masked", "rule"].map(str::to_owned);
    let mut rows = vec![heading];
    rows.extend(columns.iter().map(|c| {
        [
            c.name.clone(),
            c.sources.join(", "),
            c.class.clone(),
            c.treatment.clone(),
            c.place.to_owned(),
            c.rule.clone(),
        ]
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()).saturating_add(2)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A refusal as psql would show it.
fn refusal(r: &Refusal) -> String {
    let mut text = format!("ERROR:  {}: {}\n", r.sqlstate, r.message);
    for (word, said) in [("DETAIL", &r.detail), ("HINT", &r.hint)] {
        if let Some(said) = said {
            // Writing to a String cannot fail.
            let word = format!("{word}:");
            writeln!(text, "{word:8}{said}").unwrap_or_default();
        }
    }
    text
}
