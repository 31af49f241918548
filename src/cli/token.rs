//! `pgveil token encode` and `pgveil token decode`: values to tokens of a domain and back, for roles the
//! domain's `detokenize` names.
//!
//! Both need the right: who may make tokens of values may look for the value behind a token. A run
//! leaves one record in the audit log before it prints anything, with counts. What is no token is not
//! told apart: forged, of another domain, or of a key that is retired.
//!
//! Deliberately absent: proving who runs the command. Whoever can read the configuration and the
//! passphrase has the keys.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use thiserror::Error;
use zeroize::Zeroizing;

use super::audited::{AuditError, AuditLog};
use super::out::{note, user};
use crate::audit::{Event, Outcome, Record, Who};
use crate::limits::TOKEN_INPUT_BYTES;
use crate::mask::token::TokenKey;
use crate::mask::{ColumnType, TokenColumn};
use crate::pg::sqlstate;
use crate::pg::types::oid;
use crate::policy::{Errors, Policy, TokenDef, nearest};
use crate::server::config::Config;
use crate::server::{keys, policy_files, today};
use crate::wire::copy::{self, CopyFormat, CopyReader};

/// What to do with values.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Tokens → the values they stand for
    Decode(DecodeArgs),
    /// Values → their tokens
    Encode(EncodeArgs),
}

/// `pgveil token decode`
#[derive(Args, Debug)]
pub struct DecodeArgs {
    /// Whose tokens, and by what right.
    #[command(flatten)]
    right: RightArgs,
    /// Tokens; without any they are read from standard input, one a line, as COPY writes them
    #[arg(value_name = "TOKEN")]
    tokens: Vec<String>,
}

/// `pgveil token encode`
#[derive(Args, Debug)]
pub struct EncodeArgs {
    /// Whose tokens, and by what right.
    #[command(flatten)]
    right: RightArgs,
    /// What the values are
    #[arg(long = "type", value_enum, default_value_t = ValueType::Text)]
    value_type: ValueType,
    /// Values; without any they are read from standard input, one a line, as COPY writes them. Other
    /// users of the machine can see arguments
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
}

#[derive(Args, Debug)]
struct RightArgs {
    /// Configuration file
    #[arg(short, long, value_name = "FILE", default_value = "pgveil.yaml")]
    config: PathBuf,
    /// The role whose right it is
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// The token domain
    #[arg(long, value_name = "NAME")]
    domain: String,
}

/// A family of values that may have equal tokens.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    /// text, varchar, char
    Text,
    /// smallint, integer, bigint
    Integer,
    /// uuid
    Uuid,
}

/// Why nothing was printed.
#[derive(Debug, Error)]
pub enum TokenError {
    /// Configuration, policy or key ring are wrong.
    #[error("{0}")]
    Setting(Errors),
    /// It must be recorded, and is not.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The policy has no such role or domain.
    #[error("the policy has no {what} `{name}`{near}")]
    Unknown {
        /// What it is.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What may have been meant.
        near: String,
    },
    /// The policy does not give the right.
    #[error("{0}")]
    Denied(String),
    /// The domain does not do this.
    #[error("{0}")]
    Unfit(String),
    /// What was given is not one value a line.
    #[error("line {0} of standard input is not one value as COPY writes it")]
    Input(usize),
    /// It is too much.
    #[error("standard input is longer than {} MiB: give it in parts", TOKEN_INPUT_BYTES / 1024 / 1024)]
    TooLong,
    /// A stream failed.
    #[error(transparent)]
    Stream(#[from] io::Error),
}

impl From<Errors> for TokenError {
    fn from(errors: Errors) -> Self {
        Self::Setting(errors)
    }
}

/// Values as they are read and printed; `None` is NULL.
type Values = Vec<Option<Zeroizing<Vec<u8>>>>;

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Decode,
    Encode(ValueType),
}

/// Runs the command. 1 if one of the values could not be turned.
///
/// # Errors
/// Nothing was printed.
pub fn run(
    command: TokenCommand,
    input: &mut dyn Read,
    out: &mut dyn Write,
) -> Result<ExitCode, TokenError> {
    let (work, right, given) = match command {
        TokenCommand::Decode(args) => (Work::Decode, args.right, args.tokens),
        TokenCommand::Encode(args) => (Work::Encode(args.value_type), args.right, args.values),
    };
    let config = Config::load(&right.config)?;
    let audit = AuditLog::of(&config)?;
    let policy = policy_files::load(&config.policies)?;
    let who = who(&right, &policy)?;
    let domain = find("token domain", &right.domain, &policy.tokens)?;
    let records = Records {
        who,
        work,
        domain: &right.domain,
        audit,
    };
    if let Err(denied) = may(&right.role, domain, &policy) {
        records.refused(&denied)?;
        return Err(TokenError::Denied(denied));
    }
    let ring = keys(&config)?;
    let keys = ring.get(&domain.key).ok_or_else(|| {
        let what = format!("the key ring has no key `{}`", domain.key);
        TokenError::Unfit(what)
    })?;
    let columns = columns(work, domain, keys)?;
    let values = if given.is_empty() {
        read(input)?
    } else {
        let values = given
            .into_iter()
            .map(|v| Some(Zeroizing::new(v.into_bytes())));
        values.collect()
    };
    let turned: Values = (values.iter())
        .map(|value| value.as_ref().and_then(|value| turn(work, value, &columns)))
        .collect();
    let asked = values.iter().flatten().count();
    let done = turned.iter().flatten().count();
    records.done(done, asked)?;
    let mut text = Zeroizing::new(Vec::new());
    for value in turned {
        let row = vec![value.map(|mut value| std::mem::take(&mut *value))];
        copy::write(false, &row, &mut text).map_err(|e| TokenError::Unfit(e.message))?;
    }
    out.write_all(&text)?;
    out.flush()?;
    if done == asked {
        return Ok(ExitCode::SUCCESS);
    }
    let left = asked.saturating_sub(done);
    note(format_args!(
        "pgveil: {left} of {asked} {} \"{}\": \\N stands for them",
        work.unfit(),
        right.domain
    ));
    Ok(ExitCode::FAILURE)
}

impl Work {
    fn kind(self) -> &'static str {
        match self {
            Self::Decode => "DECODE",
            Self::Encode(_) => "ENCODE",
        }
    }

    fn unfit(self) -> &'static str {
        match self {
            Self::Decode => "are no tokens of domain",
            Self::Encode(_) => "are no values that have a token of this type in domain",
        }
    }
}

/// Who acts, as far as it is known: the operating system's user, and the role that is claimed.
fn who(right: &RightArgs, policy: &Policy) -> Result<Arc<Who>, TokenError> {
    find("role", &right.role, &policy.roles)?;
    Ok(Arc::new(Who {
        login: user()?,
        role: right.role.clone(),
        application_name: "pgveil token".to_owned(),
        ..Who::default()
    }))
}

fn find<'a, T>(
    what: &'static str,
    name: &str,
    among: &'a std::collections::BTreeMap<Arc<str>, T>,
) -> Result<&'a T, TokenError> {
    among.get(name).ok_or_else(|| TokenError::Unknown {
        what,
        name: name.to_owned(),
        near: nearest(name, among.keys().map(|known| &**known))
            .map_or_else(String::new, |near| format!(": did you mean `{near}`?")),
    })
}

/// Has the role the right, today?
fn may(role: &str, domain: &TokenDef, policy: &Policy) -> Result<(), String> {
    let today = today();
    if !domain.detokenize.iter().any(|(named, _)| named == role) {
        return Err(format!(
            "role `{role}` may not turn tokens of domain `{}`: its `detokenize` does not name it",
            domain.name
        ));
    }
    let ended = policy.roles.get(role).and_then(|role| role.expires);
    if let Some(last) = ended.filter(|last| today > *last) {
        return Err(format!("role `{role}` expired on {last}"));
    }
    match domain.expired(today) {
        Some(last) => Err(format!("token domain `{}` expired on {last}", domain.name)),
        None => Ok(()),
    }
}

/// The domain, bound to a type of each family that comes into question.
fn columns(
    work: Work,
    domain: &TokenDef,
    keys: &[Arc<TokenKey>],
) -> Result<Vec<TokenColumn>, TokenError> {
    let unfit = |what: &dyn std::fmt::Display| {
        TokenError::Unfit(format!("token domain `{}`: {what}", domain.name))
    };
    let kind = domain.built();
    let kind = kind.ok_or_else(|| unfit(&"its format is not built in this version"))?;
    if work == Work::Decode && !kind.is_reversible() {
        return Err(unfit(&"tokens of kind hmac cannot be turned back"));
    }
    let wanted = match work {
        Work::Encode(ValueType::Text) => vec![oid::TEXT],
        Work::Encode(ValueType::Integer) => vec![oid::INT8],
        Work::Encode(ValueType::Uuid) => vec![oid::UUID],
        // The token itself says of which family it is.
        Work::Decode => vec![oid::TEXT, oid::INT8, oid::UUID],
    };
    let mut bound = Vec::new();
    let mut refused = None;
    for oid in wanted {
        let sql = match oid {
            oid::TEXT => "pg_catalog.text",
            oid::INT8 => "pg_catalog.int8",
            _ => "pg_catalog.uuid",
        };
        let ty = ColumnType {
            oid,
            typmod: -1,
            sql: sql.into(),
            collation: None,
            element: None,
            domain: false,
        };
        match TokenColumn::bind(&domain.name, kind, keys, &ty) {
            Ok(column) => bound.push(column),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if bound.is_empty() => Err(unfit(&error)),
        _ => Ok(bound),
    }
}

fn turn(work: Work, value: &[u8], columns: &[TokenColumn]) -> Option<Zeroizing<Vec<u8>>> {
    match work {
        Work::Decode => columns.iter().find_map(|column| column.decode(value)),
        Work::Encode(_) => {
            std::str::from_utf8(value).ok()?;
            let mut token = Zeroizing::new(Vec::new());
            columns.first()?.encode(value, &mut token).ok()?;
            Some(token)
        }
    }
}

/// Standard input, one value a line.
fn read(input: &mut dyn Read) -> Result<Values, TokenError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let bound = u64::try_from(TOKEN_INPUT_BYTES).unwrap_or(u64::MAX);
    input
        .take(bound.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > TOKEN_INPUT_BYTES {
        return Err(TokenError::TooLong);
    }
    let mut reader = CopyReader::new(&CopyFormat::Text {
        delimiter: b'\t',
        null: "\\N".into(),
    });
    reader.push(&bytes);
    let mut values = Values::new();
    loop {
        let fault = |_| TokenError::Input(values.len().saturating_add(1));
        let Some(mut row) = reader.next(true).map_err(fault)? else {
            return Ok(values);
        };
        match (row.pop(), row.is_empty()) {
            (Some(value), true) => values.push(value.map(Zeroizing::new)),
            _ => return Err(TokenError::Input(values.len().saturating_add(1))),
        }
    }
}

/// The record of one run.
struct Records<'a> {
    who: Arc<Who>,
    work: Work,
    domain: &'a str,
    audit: AuditLog,
}

impl Records<'_> {
    fn refused(self, why: &str) -> Result<(), TokenError> {
        self.write(|record| {
            record.decision = Outcome::Refuse;
            record.sqlstate = Some(sqlstate::INSUFFICIENT_PRIVILEGE.to_owned());
            record.reason = Some(why.to_owned());
        })
    }

    fn done(self, done: usize, asked: usize) -> Result<(), TokenError> {
        let left = asked.saturating_sub(done);
        let unfit = self.work.unfit();
        self.write(|record| {
            record.decision = Outcome::Allow;
            record.rows = u64::try_from(done).unwrap_or(u64::MAX);
            record.reason = (left > 0).then(|| format!("{left} {unfit}"));
        })
    }

    fn write(self, say: impl FnOnce(&mut Record)) -> Result<(), TokenError> {
        let mut about = Record::new(Event::Token, self.who);
        about.kind = self.work.kind();
        about.target = Some(self.domain.to_owned());
        say(&mut about);
        Ok(self.audit.write(about)?)
    }
}
