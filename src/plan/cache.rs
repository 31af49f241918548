//! Plans that are used again: by any session of a role, for any text of the same shape.
//!
//! What a plan depends on is its key, or was never looked at:
//!
//! - *The text.* The key is the text's shape (`sql::Shaped`): its tokens, but of a string or number
//!   only what it is. Those constants that somebody looked at on the way to the plan
//!   ([`Looked`]) must have the same text again; the others are put where they went. Planning is a
//!   function, so it would have looked at the same ones again, seen the same, and come to the same.
//! - *The role and the search path*, which are in the key: see [`Scope`].
//! - *The snapshot.* A cache belongs to one, and goes with it.
//! - *The session's own things*, its temporary tables, cursors and prepared statements: a plan is kept
//!   only if it was made without them, and found only for a session that has none it could mean. That
//!   is for the session to see to.
//!
//! Deliberately absent: refusals, which are not worth the room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use super::plan::{Effect, Plan};
use crate::limits;
use crate::pg::Oid;
use crate::sql::Shaped;
use crate::sql::tree::{Looked, Statement};

/// What of a session a plan may depend on.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The policy's role.
    pub role: &'a str,
    /// Whom `$user` stands for.
    pub user: &'a str,
    /// The search path as written.
    pub search_path: &'a str,
    /// The client's encoding, which a statement may ask for.
    pub encoding: &'a str,
}

/// What a plan is found by.
#[derive(Default, PartialEq, Eq)]
pub struct PlanKey(Vec<u8>);

impl PlanKey {
    fn begin(&mut self, scope: Scope<'_>) {
        self.0.clear();
        for part in [scope.role, scope.user, scope.search_path, scope.encoding] {
            // PostgreSQL's names and settings hold no NUL.
            self.0.extend_from_slice(part.as_bytes());
            self.0.push(0);
        }
    }

    /// The key of every text of one shape.
    pub fn set_shape(&mut self, scope: Scope<'_>, text: &Shaped<'_>) {
        self.begin(scope);
        text.write_key(&mut self.0);
    }

    /// The key of one text to be prepared with these types of parameters.
    pub fn set_text(&mut self, scope: Scope<'_>, text: &[u8], types: impl Iterator<Item = Oid>) {
        self.begin(scope);
        // A text holds no NUL.
        self.0.extend_from_slice(text);
        self.0.push(0);
        for ty in types {
            self.0.extend_from_slice(&ty.to_be_bytes());
        }
    }
}

/// A plan, and the constants it knows, by their place.
struct Variant {
    known: Box<[(usize, Box<str>)]>,
    plan: Arc<Plan>,
}

impl Variant {
    fn serves(&self, text: &Shaped<'_>) -> bool {
        (self.known.iter()).all(|(at, known)| text.constant_text(*at) == Some(known))
    }
}

/// A statement and its plan.
pub type Planned = (Arc<Statement>, Arc<Plan>);

/// The plans of one snapshot.
#[derive(Default)]
pub struct Plans {
    shapes: DashMap<Box<[u8]>, Arc<[Variant]>>,
    texts: DashMap<Box<[u8]>, Planned>,
    /// Bytes of keys and of what is sent, roughly.
    bytes: AtomicUsize,
}

impl Plans {
    /// The plan of `text`, whose key this is. What is sent is to be written with the text's constants.
    pub fn find(&self, key: &PlanKey, text: &Shaped<'_>) -> Option<Arc<Plan>> {
        let variants = self.shapes.get(key.0.as_slice())?;
        let found = variants.iter().find(|variant| variant.serves(text))?;
        Some(Arc::clone(&found.plan))
    }

    /// Keeps the plan of `text` if it may serve again.
    pub fn keep(&self, key: &PlanKey, text: &Shaped<'_>, looked: &Looked, plan: &Arc<Plan>) {
        // Parameters are bound by name and value: a simple query has none.
        let reusable =
            plan.is_reusable() && plan.parameters().is_none() && plan.sql().is_of(looked);
        if !reusable || !self.has_room(&key.0, plan) {
            return;
        }
        let known = (0..text.constants())
            .filter(|at| looked.at(*at))
            .map(|at| Some((at, text.constant_text(at)?.into())))
            .collect::<Option<_>>();
        let Some(known) = known else { return };
        let plan = Arc::clone(plan);
        let mut variants =
            (self.shapes.entry(key.0.as_slice().into())).or_insert_with(|| [].into());
        if variants.len() >= limits::PLANS_OF_ONE_SHAPE || variants.iter().any(|v| v.serves(text)) {
            return;
        }
        let added = Variant { known, plan };
        let before = variants.iter().map(|v| Variant {
            known: v.known.clone(),
            plan: Arc::clone(&v.plan),
        });
        *variants = before.chain([added]).collect();
    }

    /// What was prepared from this text before.
    pub fn find_text(&self, key: &PlanKey) -> Option<Planned> {
        self.texts.get(key.0.as_slice()).map(|found| found.clone())
    }

    /// Keeps it if it may serve again.
    pub fn keep_text(&self, key: &PlanKey, planned: &Planned) {
        if planned.1.is_reusable() && self.has_room(&key.0, &planned.1) {
            self.texts.insert(key.0.as_slice().into(), planned.clone());
        }
    }

    /// Takes room for one more plan. When there is none, all are dropped: those in use come back soon.
    fn has_room(&self, key: &[u8], plan: &Plan) -> bool {
        let size = key.len().saturating_add(plan.sql().as_str().len());
        if size > limits::CACHED_PLAN_BYTES {
            return false;
        }
        // A plan's own parts are some times its text.
        let size = size.saturating_mul(4).saturating_add(1024);
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) > limits::CACHED_PLANS_BYTES {
            self.shapes.clear();
            self.texts.clear();
            self.bytes.store(size, Ordering::Relaxed);
        }
        true
    }
}

impl Plan {
    /// It says nothing of one session or one moment but what its text says.
    fn is_reusable(&self) -> bool {
        self.copy().is_none()
            && match self.effect() {
                Effect::None | Effect::Begin | Effect::Commit | Effect::Rollback => true,
                Effect::SearchPath { .. }
                | Effect::BoundSearchPath { .. }
                | Effect::ClientEncoding { .. }
                | Effect::ResetAll
                | Effect::Savepoint(_)
                | Effect::Release(_)
                | Effect::RollbackTo(_)
                | Effect::Prepare(..)
                | Effect::Deallocate(_)
                | Effect::Declare(..)
                | Effect::CloseCursor(_)
                | Effect::DiscardAll
                | Effect::CreateTemp { .. }
                | Effect::DropTemp(_)
                | Effect::DiscardTemp => false,
            }
    }
}

/// A statement's plan may serve other sessions: it can mean nothing of its own but temporary tables and
/// cursors (`CURRENT OF`).
pub fn stands_alone(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Query(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_)
            | Statement::Transaction(_)
    )
}
