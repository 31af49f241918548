//! What would become of the statements of an observed role. They go through as they are; here they
//! are planned beside, against what the session's state most probably is, and what would have been
//! masked or refused is recorded.
//!
//! Nothing here can reach the client or PostgreSQL: there is nothing to write into. A message that
//! was not seen costs a record, or puts the guessed search path off until the transaction ends.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Start;
use super::diagnostic;
use super::planning::{self, Names};
use super::renew::renew;
use super::transaction::{Completion, State};
use crate::audit::{Event, Outcome, Record, Sink, Who};
use crate::limits;
use crate::plan::{Effect, Facts, Plan, Refusal};
use crate::snapshot::Snapshot;
use crate::sql::parse::too_long;
use crate::sql::tree::Statement;
use crate::wire::backend::TransactionStatus;

/// What was seen of a statement.
pub enum Seen<'a> {
    /// The text of a Query or a Parse.
    Text(&'a [u8]),
    /// A text longer than a restricted role may send.
    TooLong,
    /// A call by the fast path.
    FunctionCall,
}

/// What enforcing would have done with it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Statements that would have been masked.
    pub masked: u64,
    /// Statements that would have been refused.
    pub refused: u64,
    /// Records the audit log had no room for.
    pub lost: u64,
    /// A name is not in the catalog: nothing was recorded, and a fresh catalog may know it.
    pub unknown: bool,
}

/// The guessed state of one observed session.
pub struct Observer {
    who: Arc<Who>,
    role: Arc<str>,
    sink: Sink,
    confirmed: State,
    speculative: State,
    /// Effects not confirmed yet, by segment.
    pending: VecDeque<(u64, Arc<Plan>)>,
    status: TransactionStatus,
    names: Names,
    decisions: u64,
}

impl Observer {
    /// A session that has just started.
    pub fn new(who: Arc<Who>, sink: Sink, start: Start) -> Self {
        let state = State::new(&start.search_path, start.encoding, start.user);
        Self {
            role: Arc::from(who.role.as_str()),
            who,
            sink,
            confirmed: state.clone(),
            speculative: state,
            pending: VecDeque::new(),
            status: TransactionStatus::Idle,
            names: Names::default(),
            decisions: 0,
        }
    }

    /// A statement the client sent before the `segment`-th ReadyForQuery it is owed. `last`: the
    /// catalog was refreshed for it.
    pub fn statement(
        &mut self,
        seen: &Seen<'_>,
        segment: u64,
        snapshot: &Snapshot,
        last: bool,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let grants = snapshot.policy.roles.get(&self.role);
        if grants.is_some_and(|grants| grants.unrestricted) {
            return verdict;
        }
        let text = match seen {
            Seen::Text(text) => text,
            Seen::TooLong => {
                self.refuse(&too_long().into(), Facts::default(), &mut verdict);
                return verdict;
            }
            Seen::FunctionCall => {
                self.refuse(&function_call(), Facts::default(), &mut verdict);
                return verdict;
            }
        };
        let text = self.speculative.settings.encoding().decode(text);
        // What is not of the encoding is left for the parser to refuse.
        let text = text.as_deref().map_or(&b"\xff"[..], str::as_bytes);
        let parsed = match planning::parse(text, snapshot) {
            Ok((_, parsed, _)) => parsed,
            Err(refusal) => {
                self.refuse(&refusal, Facts::default(), &mut verdict);
                return verdict;
            }
        };
        let before = (self.speculative.clone(), self.pending.len());
        let mut decided = Vec::new();
        let statements = parsed.into_iter().map(|p| p.statement);
        for statement in statements.filter(|s| !matches!(s, Statement::Empty)) {
            // What cannot be renewed is what the plan refuses.
            drop(renew(
                &statement,
                &self.role,
                snapshot,
                &mut self.speculative,
            ));
            let (plan, facts) = planning::observe(
                statement,
                &self.role,
                snapshot,
                &self.speculative,
                &mut self.names,
            );
            match plan {
                Ok(plan) => {
                    self.assume(plan, segment);
                    decided.push((None, facts));
                }
                Err(refusal) if !last && planning::is_unknown_name(&refusal) => {
                    self.speculative = before.0;
                    self.pending.truncate(before.1);
                    verdict.unknown = true;
                    return verdict;
                }
                // PostgreSQL runs it all the same.
                Err(refusal) => decided.push((Some(refusal), facts)),
            }
        }
        for (refusal, facts) in decided {
            match refusal {
                Some(refusal) => self.refuse(&refusal, facts, &mut verdict),
                None if facts.columns.is_empty() => {}
                None => self.mask(facts, &mut verdict),
            }
        }
        verdict
    }

    /// A plan's effect as if it had succeeded.
    fn assume(&mut self, plan: Plan, segment: u64) {
        if matches!(plan.effect(), Effect::None) {
            return;
        }
        let plan = Arc::new(plan);
        self.speculative.apply(plan.effect(), Completion::AsPlanned);
        if self.pending.len() < limits::STATEMENTS_PER_SESSION {
            self.pending.push_back((segment, plan));
        }
    }

    /// The `segment`-th ReadyForQuery came; `failed`: after an error.
    pub fn ready(&mut self, segment: u64, status: TransactionStatus, failed: bool) {
        while self.pending.front().is_some_and(|(of, ..)| *of <= segment) {
            let Some((_, plan)) = self.pending.pop_front() else {
                break;
            };
            let completion = if self.status == TransactionStatus::Failed {
                Completion::RolledBack
            } else {
                Completion::AsPlanned
            };
            if !failed {
                self.confirmed.apply(plan.effect(), completion);
            }
        }
        self.status = status;
        self.confirmed.ready(status, failed);
        self.speculative = self.confirmed.clone();
        for (_, plan) in &self.pending {
            self.speculative.apply(plan.effect(), Completion::AsPlanned);
        }
    }

    fn mask(&mut self, facts: Facts, verdict: &mut Verdict) {
        verdict.masked = verdict.masked.saturating_add(1);
        self.record(facts, verdict, |record| record.would = Some(Outcome::Mask));
    }

    fn refuse(&mut self, refusal: &Refusal, facts: Facts, verdict: &mut Verdict) {
        verdict.refused = verdict.refused.saturating_add(1);
        self.record(facts, verdict, |record| {
            record.would = Some(Outcome::Refuse);
            record.sqlstate = Some(refusal.sqlstate.to_owned());
            record.reason = Some(diagnostic::reason(refusal));
        });
    }

    /// Takes no room that an enforced role's statement may need.
    fn record(&mut self, facts: Facts, verdict: &mut Verdict, fill: impl FnOnce(&mut Record)) {
        self.decisions = self.decisions.saturating_add(1);
        let mut record = Record::new(Event::Statement, Arc::clone(&self.who));
        record.decision_number = Some(self.decisions);
        record = record.with_facts(Arc::new(facts));
        fill(&mut record);
        match self.sink.reserve_spare(record) {
            Ok(ticket) => ticket.finish(|record| record.decision = Outcome::Observe),
            Err(_) => verdict.lost = verdict.lost.saturating_add(1),
        }
    }
}

fn function_call() -> Refusal {
    Refusal::denied("the function call protocol is not allowed for this role")
}
