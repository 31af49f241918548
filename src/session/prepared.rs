//! A prepared statement: what the client was told of it, and what its rows and values need.
//!
//! Deliberately absent: its names, of which the client's are the session's state (`transaction`).

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::BytesMut;

use super::Fatal;
use super::rows::{self, Remembered, Rows, Shape};
use crate::catalog::SearchPath;
use crate::ident::Ident;
use crate::mask::OutputRule;
use crate::pg::Oid;
use crate::pg::types::Format;
use crate::plan::{Bound, Plan, PreparedEntry, Qualify, Refusal, Uploaded};
use crate::sql::tree::Statement;
use crate::wire::frontend::Bind;

/// A prepared statement as it exists upstream under one name, used once.
pub(super) struct Prepared {
    pub(super) upstream: Ident,
    pub(super) plan: Arc<Plan>,
    /// The client's parameter types, to prepare it again; absent for SQL's PREPARE.
    pub(super) types: Option<Vec<Oid>>,
    /// What the client wrote.
    pub(super) source: Arc<Statement>,
    /// The search path it was planned with.
    pub(super) search_path: SearchPath,
    /// Set when PostgreSQL has described it.
    pub(super) shape: Arc<OnceLock<Shape>>,
    /// Its parameters' types, when PostgreSQL has described it.
    pub(super) parameters: Arc<OnceLock<Vec<Oid>>>,
    /// What the client believes that it returns, if it was prepared before.
    pub(super) told: Option<Vec<Told>>,
    /// It returns something else; unset while the shape is.
    pub(super) changed: OnceLock<bool>,
    /// Of the plan and the shape above. Locked for no longer than it is looked at.
    pub(super) remembered: Mutex<Remembered>,
}

/// What a client is told of a result's column, and may rely on.
pub(super) type Told = (Vec<u8>, Oid, i32);

impl Prepared {
    /// The same statement upstream, decided on a newer snapshot: what was sent would be sent again, so
    /// that PostgreSQL's rows are those the new plan speaks of.
    pub(super) fn renewed(&self, plan: &Arc<Plan>, search_path: SearchPath) -> Self {
        Self {
            upstream: self.upstream.clone(),
            plan: Arc::clone(plan),
            types: self.types.clone(),
            source: Arc::clone(&self.source),
            search_path,
            shape: Arc::clone(&self.shape),
            parameters: Arc::clone(&self.parameters),
            told: self.told.clone().or_else(|| self.tells()),
            changed: OnceLock::new(),
            remembered: Mutex::default(),
        }
    }

    /// How its rows become the client's, in these formats.
    pub(super) fn rows(&self, formats: &[Format]) -> Result<Arc<Rows>, Fatal> {
        let unexpected = || Fatal::unexpected("a row came for a statement that returns none");
        let outputs = self.plan.outputs().ok_or_else(unexpected)?;
        let shape = self.shape.get().and_then(Option::as_ref);
        self.remembered()
            .rows(outputs, shape.ok_or_else(unexpected)?, formats)
    }

    /// Checks the description of one of its portals and appends the client's. `outputs` are its plan's.
    pub(super) fn describe(
        &self,
        outputs: &Arc<[OutputRule]>,
        description: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), Fatal> {
        self.remembered()
            .describe(outputs, description, out)
            .map(drop)
    }

    /// What its description says is known, and can be said in any encoding.
    pub(super) fn is_described_in_ascii(&self) -> bool {
        let names = |rule: &OutputRule| rule.name.as_ref().is_none_or(|name| name.is_ascii());
        let outputs = self.plan.outputs();
        match self.shape.get() {
            None => false,
            Some(None) => true,
            Some(Some(described)) => {
                described.is_ascii() && outputs.is_none_or(|rules| rules.iter().all(names))
            }
        }
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What the client is told of its result; `None` while that is not known.
    pub(super) fn tells(&self) -> Option<Vec<Told>> {
        let shape = self.shape.get()?.as_ref();
        let (Some(description), Some(outputs)) = (shape, self.plan.outputs()) else {
            return Some(Vec::new());
        };
        rows::told(outputs, description)
    }

    /// Its result is not what the client was told of it.
    pub(super) fn changed(&self) -> bool {
        let Some(told) = &self.told else {
            return false;
        };
        if let Some(changed) = self.changed.get() {
            return *changed;
        }
        // Asked with every Bind, and the same from then on.
        (self.tells()).is_some_and(|tells| *self.changed.get_or_init(|| *told != tells))
    }

    /// The parameter types the client named.
    pub(super) fn declared(&self) -> &[Oid] {
        self.types.as_deref().unwrap_or_default()
    }

    /// PostgreSQL's values of a client's, with what was read for it; `None` if they are the same.
    pub(super) fn bound<'v>(
        &self,
        bind: &Bind<'v>,
        uploaded: Option<&Uploaded>,
        qualified: &Qualify<'_>,
    ) -> Result<Option<Bound<'v>>, Refusal> {
        let Some(parameters) = self.plan.parameters() else {
            return Ok(None);
        };
        let maps = match self.plan.uploads().zip(uploaded) {
            Some((uploads, uploaded)) => uploads.maps(uploaded)?,
            None => Vec::new(),
        };
        let (declared, values) = (self.declared().len(), (bind.formats, bind.values));
        let bound = parameters.bind(declared, values, maps, qualified);
        bound.map(Some)
    }

    pub(super) fn entry(&self) -> PreparedEntry {
        PreparedEntry {
            upstream: self.upstream.clone(),
            plan: Arc::clone(&self.plan),
            source: Arc::clone(&self.source),
            search_path: self.search_path.clone(),
        }
    }
}
