//! Plan: a statement this session may run, with the masks its results need.

use std::sync::{Arc, OnceLock};

use foldhash::HashMap;

use super::copy_in::CopyTokens;
use super::copy_out::CopyExport;
use super::param::Parameters;
use super::uploads::{Given, Uploads};
use crate::catalog::{Relation, SearchPath, TempTables};
use crate::ident::Ident;
use crate::mask::{OutputRule, Transform};
use crate::pg::Oid;
use crate::pg::encoding::Encoding;
use crate::policy::Grants;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::sql::SqlText;
use crate::sql::tree::{CopyDirection, Statement};

/// What a successful completion of a plan does to the session's own state. The session applies it
/// speculatively when it sends the plan (later messages of the pipeline are planned against that)
/// and keeps it when `CommandComplete` arrives.
#[derive(Clone)]
pub enum Effect {
    /// Nothing.
    None,
    /// `SET [LOCAL] search_path`; `None` returns to the session's default. PostgreSQL is sent a
    /// stand-in (`SET pgveil.search_path`), whose command tag and errors are the client's.
    SearchPath {
        /// `LOCAL`
        local: bool,
        /// The new value.
        path: Option<Vec<Ident>>,
        /// How `set_config` wrote it, which is how it is shown.
        written: Option<Box<str>>,
    },
    /// The same with the value of a parameter, which is known when it is bound: the plan of the portal
    /// says what it is.
    BoundSearchPath {
        /// `is_local`
        local: bool,
        /// `$n`
        parameter: u16,
    },
    /// `SET [LOCAL] client_encoding`; `None` returns to the session's default. A stand-in, too.
    ClientEncoding {
        /// `LOCAL`
        local: bool,
        /// The new value.
        encoding: Option<Encoding>,
    },
    /// `RESET ALL`
    ResetAll,
    /// BEGIN
    Begin,
    /// COMMIT (also when PostgreSQL answers ROLLBACK)
    Commit,
    /// ROLLBACK
    Rollback,
    /// SAVEPOINT
    Savepoint(Ident),
    /// RELEASE
    Release(Ident),
    /// ROLLBACK TO
    RollbackTo(Ident),
    /// `PREPARE name AS …`: the statement exists upstream as the entry says.
    Prepare(Ident, PreparedEntry),
    /// `DEALLOCATE`; `None` is ALL.
    Deallocate(Option<Ident>),
    /// `DECLARE`: the cursor exists upstream as the entry says.
    Declare(Ident, CursorEntry),
    /// `CLOSE`; `None` is ALL.
    CloseCursor(Option<Ident>),
    /// `DISCARD ALL`
    DiscardAll,
    /// A temporary table was made.
    CreateTemp {
        /// What is known of it.
        table: Arc<Relation>,
        /// `ON COMMIT DROP`
        drop_on_commit: bool,
    },
    /// Temporary tables were dropped.
    DropTemp(Vec<Ident>),
    /// `DISCARD TEMP`
    DiscardTemp,
}

/// A prepared statement of the session, whether by Parse or by PREPARE.
#[derive(Clone)]
pub struct PreparedEntry {
    /// Its name upstream: made by the proxy, used once, so that no mistake in bookkeeping can join a
    /// name to another statement's masks.
    pub upstream: Ident,
    /// The statement's own plan.
    pub plan: Arc<Plan>,
    /// What it was planned from, to plan it again: PREPARE, or a statement that came by Parse.
    pub source: Arc<Statement>,
    /// The search path it was planned with.
    pub search_path: SearchPath,
}

/// A cursor of the session.
#[derive(Clone)]
pub struct CursorEntry {
    /// Its name upstream, made by the proxy.
    pub upstream: Ident,
    /// The plan of its rows.
    pub plan: Arc<Plan>,
    /// `WITH HOLD`: it outlives its transaction.
    pub hold: bool,
    /// The DECLARE it was planned from, to plan it again.
    pub source: Arc<Statement>,
    /// The search path it was planned with; it keeps what was found by that.
    pub search_path: SearchPath,
}

/// What planning may know of the session.
pub struct PlanContext<'a> {
    /// Catalog and policy.
    pub snapshot: &'a Snapshot,
    /// The role's grants, from that snapshot.
    pub grants: &'a Grants,
    /// The client's search path (`"$user"` resolved).
    pub search_path: &'a SearchPath,
    /// The search path as the client set it, for `SHOW search_path`.
    pub search_path_text: &'a str,
    /// The client's encoding, for `SHOW client_encoding`.
    pub client_encoding: Encoding,
    /// The session's temporary tables.
    pub temp: &'a TempTables,
    /// Prepared statements.
    pub prepared: &'a HashMap<Ident, PreparedEntry>,
    /// Cursors.
    pub cursors: &'a HashMap<Ident, CursorEntry>,
    /// How it gets what was read for it.
    pub given: Given<'a>,
    /// The types the client declares parameters to be of; 0 leaves one open.
    pub declared: &'a [Oid],
    /// A name for a prepared statement or cursor this statement may create upstream, unused so far.
    pub fresh_name: Ident,
}

/// A statement this session may run, with the masks its results need. Made only in this module.
#[must_use = "a plan does nothing until it is sent"]
pub struct Plan {
    sql: SqlText,
    verbatim: bool,
    outputs: Option<Arc<[OutputRule]>>,
    copy: Option<CopyDirection>,
    /// The data of its COPY is UTF-8 whatever the client's encoding is.
    utf8: bool,
    /// What its COPY FROM decodes.
    copy_tokens: Option<Arc<CopyTokens>>,
    copy_export: Option<Arc<CopyExport>>,
    parameters: Option<Arc<Parameters>>,
    uploads: Option<Arc<Uploads>>,
    names: Option<Names>,
    effect: Effect,
    facts: Arc<Facts>,
    epoch: u64,
}

/// What of the session's own a statement names, as the client calls it and as it is called upstream. The
/// client's name may come to mean another.
#[derive(Clone)]
pub enum Names {
    /// FETCH and MOVE
    Cursor(Ident, Ident),
    /// EXECUTE
    Prepared(Ident, Ident),
}

/// What the audit record says of the statement: names, never values.
#[derive(Clone, Default)]
pub struct Facts {
    /// `SELECT`, `UPDATE`, …
    pub kind: &'static str,
    /// What the client asked for, if it is a change that a SELECT reads: its completion is to name that.
    pub changes: Option<&'static str>,
    /// Relations read or written, `schema.name`.
    pub relations: Vec<String>,
    /// Their OIDs.
    pub oids: Vec<Oid>,
    /// The temporary ones among them, as the session had them.
    pub temporary: Vec<Arc<Relation>>,
    /// Protected columns used, `schema.name.column`, with what was done: `mask at the output`,
    /// `mask at the source`, `token`, `nullify`, `probe`.
    pub columns: Vec<(String, &'static str)>,
    /// Errors of it name no table, which would tell a key by which it is partitioned.
    pub nameless: bool,
    /// Which error it fails with would tell of the order of its rows.
    pub ordered: bool,
    /// The same of errors that come when its transaction ends.
    pub defers: bool,
    /// PostgreSQL describes its rows before it makes the first: errors before that are of its text.
    pub described: bool,
    /// It only reads: a rollback would undo nothing of it.
    pub reads: bool,
    /// The relations and columns as they stand in every record of the plan.
    pub told: Told,
}

/// What is made of a plan's facts once. A clone makes its own: it may be changed.
#[derive(Default)]
pub struct Told(OnceLock<Box<[u8]>>);

impl Told {
    /// What was made first, or is now.
    pub fn get_or_make(&self, make: impl FnOnce() -> Box<[u8]>) -> &[u8] {
        self.0.get_or_init(make)
    }
}

impl Clone for Told {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Plan {
    /// The one constructor of a restricted role's plan.
    pub(super) fn decided(sql: SqlText, effect: Effect, facts: Facts) -> Self {
        Self {
            sql,
            verbatim: false,
            outputs: None,
            copy: None,
            utf8: false,
            copy_tokens: None,
            copy_export: None,
            parameters: None,
            uploads: None,
            names: None,
            effect,
            facts: Arc::new(facts),
            epoch: 0,
        }
    }

    pub(super) fn set_outputs(&mut self, outputs: Arc<[OutputRule]>) {
        self.outputs = Some(outputs);
    }

    pub(super) fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>) {
        self.parameters = parameters;
    }

    pub(super) fn set_names(&mut self, names: Names) {
        self.names = Some(names);
    }

    pub(super) fn set_uploads(&mut self, uploads: Option<Arc<Uploads>>) {
        self.uploads = uploads;
    }

    pub(super) fn set_copy_tokens(&mut self, tokens: Option<Arc<CopyTokens>>) {
        self.copy_tokens = tokens;
    }

    pub(super) fn set_copy_export(&mut self, export: Option<Arc<CopyExport>>) {
        self.copy_export = export;
    }

    pub(super) fn set_effect(&mut self, effect: Effect) {
        self.effect = effect;
    }

    /// Rows of `columns` columns that pass as they are, because no value of a relation is in them:
    /// SHOW, EXPLAIN without protected columns.
    pub(super) fn passing(mut self, columns: usize) -> Self {
        let pass = OutputRule {
            transform: Transform::Pass,
            expect: None,
            origin: None,
            name: None,
        };
        self.outputs = Some(vec![pass; columns].into());
        self
    }

    pub(super) fn copying(mut self, direction: CopyDirection) -> Self {
        self.copy = Some(direction);
        self
    }

    /// With `ENCODING 'UTF8'`.
    pub(super) fn in_utf8(mut self, utf8: bool) -> Self {
        self.utf8 = utf8;
        self
    }

    /// The data of its COPY is not to be converted.
    pub fn copies_utf8(&self) -> bool {
        self.utf8
    }

    pub(super) fn at_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// May what is half read for an older plan be read on? Its rows would have come for this plan, and
    /// gone to the client alike: the same text over the same relations, with the same masks behind it.
    /// Only tokens may be of an older key, which they then are from the first row to the last.
    pub fn accepts(&self, other: &Self) -> bool {
        let outputs = |plan: &Self| plan.outputs.clone().unwrap_or_default();
        let (mine, others) = (outputs(self), outputs(other));
        self.sql == other.sql
            && self.facts.oids == other.facts.oids
            && self.outputs.is_some() == other.outputs.is_some()
            && self.decodes_like(other)
            && mine.len() == others.len()
            && mine.iter().zip(others.iter()).all(|(a, b)| a.accepts(b))
    }

    /// For what is read on when `newer` [accepts](Plan::accepts) it: as it was, on the newer snapshot.
    pub fn carried_to(&self, newer: &Self) -> Self {
        Self {
            sql: newer.sql.clone(),
            verbatim: newer.verbatim,
            outputs: self.outputs.clone(),
            copy: newer.copy,
            utf8: newer.utf8,
            copy_tokens: newer.copy_tokens.clone(),
            copy_export: newer.copy_export.clone(),
            parameters: newer.parameters.clone(),
            uploads: newer.uploads.clone(),
            names: newer.names.clone(),
            effect: newer.effect.clone(),
            facts: Arc::clone(&newer.facts),
            epoch: newer.epoch,
        }
    }

    /// The statement enters COPY mode.
    pub fn copy(&self) -> Option<CopyDirection> {
        self.copy
    }

    /// The data of its COPY FROM has tokens, which become what they stand for.
    pub fn copy_tokens(&self) -> Option<&Arc<CopyTokens>> {
        self.copy_tokens.as_ref()
    }

    /// The snapshot it was decided on.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What goes upstream.
    pub fn sql(&self) -> &SqlText {
        &self.sql
    }

    /// The client's own text, unparsed: only for unrestricted roles.
    pub fn is_verbatim(&self) -> bool {
        self.verbatim
    }

    /// The rows' rules by position; `None` if the statement returns no rows, and then a DataRow
    /// closes the session. A verbatim plan has no rules and passes everything.
    pub fn outputs(&self) -> Option<&Arc<[OutputRule]>> {
        self.outputs.as_ref()
    }

    /// How the client's parameters become PostgreSQL's; `None`: they are the same.
    pub fn parameters(&self) -> Option<&Arc<Parameters>> {
        self.parameters.as_ref()
    }

    /// The cursor or prepared statement it names.
    pub fn names(&self) -> Option<&Names> {
        self.names.as_ref()
    }

    /// What has to be read first, and bound with it.
    pub fn uploads(&self) -> Option<&Arc<Uploads>> {
        self.uploads.as_ref()
    }

    /// The types of PostgreSQL's parameters, given those the client names for its own.
    pub fn parameter_types(&self, named: &[Oid]) -> Result<Vec<Oid>, Refusal> {
        match &self.parameters {
            None => Ok(named.to_vec()),
            Some(parameters) => parameters.types(named),
        }
    }

    fn decodes_like(&self, other: &Self) -> bool {
        let reads = match (&self.copy_tokens, &other.copy_tokens) {
            (None, None) => true,
            (Some(a), Some(b)) => a.reads_like(b),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let writes = match (&self.copy_export, &other.copy_export) {
            (None, None) => true,
            (Some(a), Some(b)) => a.accepts(b),
            (None, Some(_)) | (Some(_), None) => false,
        };
        reads && writes
    }

    /// Values bound for the one plan go where they would go for the other.
    pub fn binds_like(&self, other: &Self) -> bool {
        match (&self.parameters, &other.parameters) {
            (None, None) => true,
            (Some(a), Some(b)) => a.agree(b),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// What is made of the data of its COPY on the way to the client.
    pub fn copy_export(&self) -> Option<&Arc<CopyExport>> {
        self.copy_export.as_ref()
    }

    /// What its completion does to the session.
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// For the audit record.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }
}

/// An unrestricted or observed role's statement: a decision too, not a way round it. `None` if the
/// role is restricted.
pub fn plan_verbatim(grants: &Grants) -> Option<Plan> {
    grants.is_verbatim().then(|| Plan {
        sql: SqlText::new(String::new()),
        verbatim: true,
        outputs: None,
        copy: None,
        utf8: false,
        copy_tokens: None,
        copy_export: None,
        parameters: None,
        uploads: None,
        names: None,
        effect: Effect::None,
        facts: Arc::default(),
        epoch: 0,
    })
}
