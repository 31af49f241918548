//! What a session knows of its transaction: PostgreSQL's own word (ReadyForQuery), and the state that
//! commits and rolls back with it.
//!
//! There are two copies of [`State`]: *confirmed*, what PostgreSQL has acknowledged, and
//! *speculative*, what will hold if everything sent so far succeeds. Statements are planned against
//! the second; after an error it is thrown away and made anew from the first.

use foldhash::HashMap;

use super::settings::Settings;
use super::temp::Temp;
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::plan::{CursorEntry, Effect, PreparedEntry};
use crate::wire::backend::TransactionStatus;

/// How a statement's effect ended, from its command tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completion {
    /// As the plan says.
    AsPlanned,
    /// COMMIT of a failed transaction: PostgreSQL answered ROLLBACK.
    RolledBack,
}

/// The named things and settings of a session.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) temp: Temp,
    pub(crate) prepared: HashMap<Ident, PreparedEntry>,
    pub(crate) cursors: HashMap<Ident, CursorEntry>,
    /// Cursors declared in this transaction, in order; savepoints cut it.
    declared: Vec<Ident>,
    marks: Vec<(Ident, usize)>,
    /// In an explicit transaction block.
    pub(crate) block: bool,
    /// An error aborted it: COMMIT rolls back.
    aborted: bool,
    /// Something was applied since the last transaction ended: its end means something.
    changed: bool,
    /// What was written is tested when the transaction ends, and the error would tell of the order of rows.
    defers: bool,
}

impl State {
    /// Has it a cursor WITH HOLD whose rows tell of their order by the error they fail with?
    pub(super) fn holds_order(&self) -> bool {
        let mut cursors = self.cursors.values();
        cursors.any(|cursor| cursor.hold && cursor.plan.facts().ordered)
    }

    /// An error aborted the transaction block.
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// A session that starts with these settings, acting as `user` upstream.
    pub(crate) fn new(search_path: &str, encoding: Encoding, user: Ident) -> Self {
        Self {
            settings: Settings::new(search_path, encoding, user),
            temp: Temp::default(),
            prepared: HashMap::default(),
            cursors: HashMap::default(),
            declared: Vec::new(),
            marks: Vec::new(),
            block: false,
            aborted: false,
            changed: false,
            defers: false,
        }
    }

    /// A statement was executed that leaves tests to the end of the transaction, which tell of the order of rows.
    pub(super) fn defer(&mut self) {
        self.defers = true;
        self.changed = true;
    }

    /// Was there one in this transaction?
    pub(super) fn is_deferring(&self) -> bool {
        self.defers
    }

    /// Applies what a plan said its completion does.
    pub(crate) fn apply(&mut self, effect: &Effect, completion: Completion) {
        self.changed |= !matches!(effect, Effect::None);
        match effect {
            // Its portal's plan has what it is.
            Effect::None | Effect::BoundSearchPath { .. } => {}
            Effect::CreateTemp {
                table,
                drop_on_commit,
            } => self.temp.create(table, *drop_on_commit),
            Effect::DropTemp(names) => self.temp.drop(names),
            Effect::DiscardTemp => self.temp.discard(),
            Effect::SearchPath {
                local,
                path,
                written,
            } => self.settings.set(*local, path.clone(), written.as_deref()),
            Effect::ClientEncoding { local, encoding } => {
                self.settings.set_encoding(*local, *encoding);
            }
            Effect::ResetAll => self.reset(),
            // BEGIN inside an implicit transaction does not commit what came before it: the block
            // takes it over.
            Effect::Begin => self.block = true,
            Effect::Commit if completion == Completion::AsPlanned && !self.aborted => self.commit(),
            Effect::Commit | Effect::Rollback => self.rollback(),
            Effect::Savepoint(name) => {
                self.settings.savepoint(name.clone());
                self.temp.savepoint(name.clone());
                self.marks.push((name.clone(), self.declared.len()));
            }
            Effect::Release(name) => {
                self.settings.release(name);
                self.temp.release(name);
                if let Some(at) = self.mark(name) {
                    self.marks.truncate(at);
                }
            }
            Effect::RollbackTo(name) => self.rollback_to(name),
            Effect::Prepare(name, entry) => {
                self.prepared.insert(name.clone(), entry.clone());
            }
            Effect::Deallocate(Some(name)) => drop(self.prepared.remove(name)),
            Effect::Deallocate(None) => self.prepared.clear(),
            Effect::Declare(name, entry) => {
                self.declared.push(name.clone());
                self.cursors.insert(name.clone(), entry.clone());
            }
            Effect::CloseCursor(Some(name)) => self.close(name),
            Effect::CloseCursor(None) => self.cursors.clear(),
            Effect::DiscardAll => {
                self.reset();
                self.temp.discard();
                self.prepared.clear();
                self.cursors.clear();
            }
        }
    }

    fn reset(&mut self) {
        self.settings.set(false, None, None);
        self.settings.set_encoding(false, None);
    }

    /// A cursor or portal is gone.
    pub(crate) fn close(&mut self, name: &Ident) {
        self.cursors.remove(name);
    }

    fn mark(&self, name: &Ident) -> Option<usize> {
        self.marks.iter().rposition(|(n, _)| n == name)
    }

    fn rollback_to(&mut self, name: &Ident) {
        self.aborted = false;
        self.settings.rollback_to(name);
        self.temp.rollback_to(name);
        if let Some(at) = self.mark(name) {
            self.marks.truncate(at.saturating_add(1));
            let keep = self.marks.last().map_or(0, |(_, n)| *n);
            for gone in self.declared.split_off(keep.min(self.declared.len())) {
                self.close(&gone);
            }
        }
    }

    /// The transaction committed: cursors without HOLD are gone.
    pub(crate) fn commit(&mut self) {
        self.settings.commit();
        self.temp.commit();
        self.declared.clear();
        self.cursors.retain(|_, c| c.hold);
        self.end();
    }

    /// The transaction rolled back: its cursors are gone, held ones of earlier ones stay.
    pub(crate) fn rollback(&mut self) {
        self.settings.rollback();
        self.temp.rollback();
        for gone in std::mem::take(&mut self.declared) {
            self.close(&gone);
        }
        self.cursors.retain(|_, c| c.hold);
        self.end();
    }

    fn end(&mut self) {
        self.marks.clear();
        self.block = false;
        self.aborted = false;
        self.changed = false;
        self.defers = false;
    }

    /// ReadyForQuery: outside a block an implicit transaction ended here.
    pub(crate) fn ready(&mut self, status: TransactionStatus, failed: bool) {
        match status {
            TransactionStatus::Idle if !self.changed && !self.block => {}
            TransactionStatus::Idle if failed => self.rollback(),
            TransactionStatus::Idle => self.commit(),
            TransactionStatus::InTransaction => self.block = true,
            TransactionStatus::Failed => {
                self.block = true;
                self.aborted = true;
                self.settings.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Completion, State};
    use crate::catalog::SearchPath;
    use crate::ident::Ident;
    use crate::pg::encoding::Encoding;
    use crate::plan::{CursorEntry, Effect, Plan, plan_verbatim};
    use crate::policy::{Grants, Treatment};
    use crate::sql::tree::Statement;
    use crate::wire::backend::TransactionStatus;

    fn state() -> State {
        State::new("public", Encoding::utf8(), Ident::exact("u"))
    }

    fn set(name: &str) -> Effect {
        Effect::SearchPath {
            local: false,
            path: Some(vec![Ident::exact(name)]),
            written: None,
        }
    }

    /// A plan, whatever it says.
    fn nothing() -> Arc<Plan> {
        let mut grants = Grants::for_tests("r", Treatment::Clear, []);
        grants.unrestricted = true;
        Arc::new(plan_verbatim(&grants).unwrap())
    }

    fn declare(name: &str, hold: bool) -> Effect {
        Effect::Declare(
            Ident::exact(name),
            CursorEntry {
                upstream: Ident::exact(&format!("up_{name}")),
                plan: nothing(),
                hold,
                source: Arc::new(Statement::Empty),
                search_path: SearchPath::new(&[]),
            },
        )
    }

    fn run(state: &mut State, effects: &[Effect]) {
        for effect in effects {
            state.apply(effect, Completion::AsPlanned);
        }
    }

    fn names(state: &State) -> Vec<String> {
        let mut names: Vec<_> = state.cursors.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn an_implicit_transaction_that_fails_undoes_its_settings() {
        let mut s = state();
        run(&mut s, &[set("a")]);
        s.ready(TransactionStatus::Idle, true);
        assert_eq!(s.settings.text(), "public");
        run(&mut s, &[set("a")]);
        s.ready(TransactionStatus::Idle, false);
        assert_eq!(s.settings.text(), "a");
    }

    #[test]
    fn a_block_keeps_settings_tentative_until_it_ends() {
        let mut s = state();
        run(&mut s, &[Effect::Begin, set("a")]);
        s.ready(TransactionStatus::InTransaction, false);
        assert!(s.block);
        s.apply(&Effect::Commit, Completion::RolledBack);
        assert_eq!(s.settings.text(), "public");
        assert!(!s.block);
    }

    #[test]
    fn commit_of_an_aborted_block_rolls_back_before_postgresql_says_so() {
        let sp = Ident::exact("s");
        let mut s = state();
        run(
            &mut s,
            &[Effect::Begin, Effect::Savepoint(sp.clone()), set("a")],
        );
        s.ready(TransactionStatus::Failed, true);
        let mut speculative = s.clone();
        run(&mut speculative, &[Effect::Commit]);
        assert_eq!(speculative.settings.text(), "public");
        assert!(!speculative.block);
        // What was done after the savepoint is undone, and the block goes on.
        run(&mut s, &[Effect::RollbackTo(sp), set("b"), Effect::Commit]);
        assert_eq!(s.settings.text(), "b");
    }

    #[test]
    fn commit_in_the_middle_of_a_string_survives_a_later_error() {
        let mut s = state();
        run(&mut s, &[Effect::Begin, set("a"), Effect::Commit, set("b")]);
        s.ready(TransactionStatus::Idle, true);
        assert_eq!(s.settings.text(), "a");
    }

    #[test]
    fn cursors_live_as_long_as_their_transaction_unless_held() {
        let mut s = state();
        run(
            &mut s,
            &[Effect::Begin, declare("c", false), declare("h", true)],
        );
        assert_eq!(names(&s), ["c", "h"]);
        run(&mut s, &[Effect::Commit]);
        assert_eq!(names(&s), ["h"]);
        run(
            &mut s,
            &[Effect::Begin, declare("k", true), Effect::Rollback],
        );
        assert_eq!(names(&s), ["h"]);
    }

    #[test]
    fn rollback_to_closes_the_cursors_declared_since() {
        let mut s = state();
        let sp = Ident::exact("s");
        run(
            &mut s,
            &[
                Effect::Begin,
                declare("a", false),
                Effect::Savepoint(sp.clone()),
            ],
        );
        run(
            &mut s,
            &[declare("b", true), Effect::RollbackTo(sp.clone())],
        );
        assert_eq!(names(&s), ["a"]);
        run(&mut s, &[declare("c", false), Effect::Release(sp)]);
        assert_eq!(names(&s), ["a", "c"]);
    }
}
