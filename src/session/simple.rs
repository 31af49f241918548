//! Query: plan every statement of the string, then send them as one string again, so that implicit
//! transactions stay PostgreSQL's.
//!
//! What cannot be parsed refuses the whole string. A statement that is refused for what it means fails at
//! its turn, as in PostgreSQL, which analyzes each when those before it are done: they run, and what a COMMIT
//! among them committed stays. Inside a transaction block a refusal aborts the transaction.
//!
//! Inside a block a statement that is given tokens is sent by itself (`parts`).

use std::collections::VecDeque;
use std::sync::Arc;

use super::replies::{Behind, Expected, Running, Sent, room};
use super::transaction::Completion;
use super::uploads::{Reading, not_alone};
use super::{
    FAILING, FAILING_AT_ITS_TURN, Fatal, Io, Moment, Session, Step, planning, to_client,
    to_upstream,
};
use crate::plan::{Given, Plan, Refusal, Uploaded, stands_alone};
use crate::sql::Shaped;
use crate::sql::parse::Parsed;
use crate::sql::tree::Statement;
use crate::wire::WriteError;
use crate::wire::backend::TransactionStatus;
use crate::wire::frontend::{Query, Target};

/// A plan to be sent.
struct Planned {
    plan: Arc<Plan>,
    /// The client did not write it.
    hidden: bool,
}

/// What a string's statements came to.
struct Turns {
    plans: Vec<Planned>,
    /// The one behind them was refused: those behind that one are not looked at.
    refused: Option<Refusal>,
    /// The one behind them is sent by itself, when so many are done.
    next: Option<(Arc<Plan>, usize)>,
}

/// What stands between two statements of a string.
const BETWEEN: &str = ";\n";

impl Session {
    pub(super) fn on_query(
        &mut self,
        query: &Query<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let encoding = self.speculative.settings.encoding();
        let mut parts = std::mem::take(&mut self.parts);
        parts.encoding.get_or_insert(encoding);
        let uploaded = match std::mem::take(&mut self.uploads.reading) {
            // The error was its answer.
            Reading::Failed => return Ok(Step::Continue),
            Reading::Done(uploaded) => Some(uploaded),
            Reading::No | Reading::Waits | Reading::Asked => None,
        };
        if parts.failed {
            return Ok(Step::Continue);
        }
        self.drop_unnamed(io)?;
        self.query = room(std::mem::take(&mut self.query));
        self.query.extend_from_slice(query.text);
        let first = parts.done == 0;
        let shaped = (first && planning::may_be_kept(query.text, &self.speculative))
            .then(|| planning::shaped(query.text))
            .flatten();
        if let Some(shaped) = &shaped {
            let scope = planning::scope(&self.role, &self.speculative);
            self.key.set_shape(scope, shaped);
            if let Some(plan) = at.plans.find(&self.key, shaped)
                && plan.epoch() == at.snapshot.epoch
            {
                return self
                    .send_again(&plan, shaped, at, io)
                    .map(|()| Step::Continue);
            }
        }
        let (text, parsed, looked) = match planning::parse(query.text, at.snapshot) {
            Ok(parsed) => parsed,
            Err(refusal) => {
                let text = crate::wire::utf8(query.text).unwrap_or_default();
                self.refuse_query(&refusal, text, io)?;
                return Ok(Step::Continue);
            }
        };
        let of_part = |parsed: Vec<Parsed>| {
            let statements = parsed.into_iter().map(|p| p.statement);
            let real = statements.filter(|s| !matches!(s, Statement::Empty));
            real.skip(parts.done)
        };
        let statements: Vec<Statement> = of_part(parsed).collect();
        let again = |n: usize| {
            let (_, parsed, _) = planning::parse(query.text, at.snapshot).ok()?;
            of_part(parsed).nth(n)
        };
        let of = statements.len();
        let alone = matches!(&*statements, [only] if stands_alone(only));
        let executes = |s: &Statement| matches!(s, Statement::Execute { .. });
        let several = statements.len() > 1 || statements.iter().any(executes);
        let before = several.then(|| self.speculative.clone());
        let turns = self.plan_all(statements, again, uploaded.as_ref(), at);
        let (plans, refused) = (turns.plans, turns.refused);
        if let Some(refusal) = &refused
            && (plans.is_empty() || (!at.last && planning::is_unknown_name(refusal)))
        {
            if let Some(before) = before {
                self.speculative = before;
                self.forget_doomed();
            }
            if !at.last && planning::is_unknown_name(refusal) {
                self.uploads.reading = uploaded.map_or(Reading::No, Reading::Done);
                self.parts = parts;
                return Ok(Step::Unknown);
            }
            self.refuse_query(refusal, &text, io)?;
            return Ok(Step::Continue);
        }
        let bound = match (&turns.next, plans.first()) {
            (Some((plan, 0)), _) => Some((Arc::clone(plan), of > 1)),
            (_, Some(only)) if only.plan.uploads().is_some() => {
                Some((Arc::clone(&only.plan), false))
            }
            _ => None,
        };
        if let Some((plan, more)) = bound {
            if let Some(before) = before {
                self.speculative = before;
            }
            self.parts = parts;
            return match uploaded {
                Some(uploaded) if uploaded.is_for(&plan) => {
                    let sent = self.send_bound(&plan, &uploaded, more, at, io)?;
                    Ok(self.part_sent(sent && more, 1))
                }
                _ => self.read_for_query(&plan, io),
            };
        }
        if let Some((_, count)) = turns.next {
            self.parts = parts;
            let sent = self.send_query(&plans, Behind::More, at, io)?;
            return Ok(self.part_sent(sent, count));
        }
        if let (Some(shaped), [only]) = (shaped.filter(|_| alone), &*plans) {
            at.plans.keep(&self.key, &shaped, &looked, &only.plan);
        }
        let behind = refused.map_or(Behind::Nothing, |refusal| {
            Behind::Refused(self.refusal(&refusal, &text))
        });
        self.send_query(&plans, behind, at, io)?;
        Ok(Step::Continue)
    }

    /// Sends a plan that was made for another text of this shape.
    fn send_again(
        &mut self,
        plan: &Arc<Plan>,
        text: &Shaped<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let running = match self.running(plan, at) {
            Ok(running) => running,
            Err(refusal) => return self.refuse_query(&refusal, "", io),
        };
        self.assume(plan);
        if self.is_held(&running) {
            let mut sql = String::new();
            let whole = plan
                .sql()
                .write_with(text, |piece: &str| sql.push_str(piece));
            whole.ok_or(WriteError::TooLong)?;
            return self.send_held(&sql, running, io);
        }
        to_upstream::query_pieces(io.upstream, |push| plan.sql().write_with(text, push))?;
        self.uploads.executed = self.uploads.executed.saturating_add(1);
        self.expect(VecDeque::from([running]), Behind::Nothing, Sent::Query);
        Ok(())
    }

    /// Plans in order, each against the effects of those before it; `again` reads one of them anew. Leaves
    /// the effects of all but the last one applied, and of that one too if it is not the string's last.
    fn plan_all(
        &mut self,
        statements: Vec<Statement>,
        again: impl Fn(usize) -> Option<Statement>,
        uploaded: Option<&Uploaded>,
        at: &Moment<'_>,
    ) -> Turns {
        let mut plans: Vec<Planned> = Vec::with_capacity(statements.len());
        // COPY takes no parameters, and a string of several takes none either.
        let binds = matches!(&*statements, [only] if !matches!(only, Statement::Copy(_)));
        for (count, statement) in statements.into_iter().enumerate() {
            if let Some(last) = plans.last() {
                self.assume(&Arc::clone(&last.plan));
            }
            let whole = plans.len();
            let planned = self.plan_next(statement, &mut plans, (binds, uploaded), at);
            let given = |p: &Planned| p.plan.uploads().is_some();
            let first = !binds && plans.get(whole..).is_some_and(|new| new.iter().any(given));
            if planned.is_ok() && !first {
                continue;
            }
            let itself = (!binds).then(|| again(count)).flatten();
            let before = plans.iter().take(whole).map(|p| &p.plan);
            let (refused, next) = match (self.by_itself(itself, before, at.snapshot), planned) {
                (Some(Ok(plan)), _) => (None, Some((plan, count))),
                (Some(Err(refusal)), Err(_)) | (None, Err(refusal)) => (Some(refusal), None),
                // Of what it needs nothing is written but what temporary tables hold: it may be the first.
                (Some(Err(_)) | None, Ok(())) => continue,
            };
            // What was to go before it would be seen without it.
            plans.truncate(whole);
            return Turns {
                plans,
                refused,
                next,
            };
        }
        Turns {
            plans,
            refused: None,
            next: None,
        }
    }

    /// Plans one of a string, with what has to go before it.
    fn plan_next(
        &mut self,
        statement: Statement,
        plans: &mut Vec<Planned>,
        (binds, uploaded): (bool, Option<&Uploaded>),
        at: &Moment<'_>,
    ) -> Result<(), Refusal> {
        let mut todo = self.renewed(statement, at)?.into_iter().peekable();
        while let Some(statement) = todo.next() {
            let given = if binds {
                Given::Bound
            } else {
                Given::Written(uploaded.filter(|_| plans.is_empty()))
            };
            let plan = self.planned(statement, at.snapshot, (given, &[]))?;
            if plan.uploads().is_some() && !plans.is_empty() {
                return Err(not_alone());
            }
            let hidden = todo.peek().is_some();
            if hidden {
                self.assume(&plan);
            }
            plans.push(Planned { plan, hidden });
        }
        Ok(())
    }

    /// Applies a plan's effect as if it had succeeded.
    pub(super) fn assume(&mut self, plan: &Arc<Plan>) {
        use crate::plan::Effect;
        match plan.effect() {
            Effect::None => {}
            effect => {
                self.dirty = true;
                self.speculative.apply(effect, Completion::AsPlanned);
                if matches!(
                    effect,
                    Effect::Commit | Effect::Rollback | Effect::DiscardAll
                ) {
                    self.portals.clear();
                }
            }
        }
    }

    fn send_query(
        &mut self,
        plans: &[Planned],
        behind: Behind,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<bool, Fatal> {
        let mut running = VecDeque::with_capacity(plans.len());
        let mut text = String::new();
        let mut begins = 0_usize;
        for Planned { plan, hidden } in plans {
            if !text.is_empty() {
                text.push_str(BETWEEN);
            }
            let sql = plan.sql().as_str();
            text.push_str(sql);
            match self.running(plan, at) {
                Ok(r) => running.push_back(Running {
                    hidden: *hidden,
                    begins,
                    ..r
                }),
                Err(refusal) => return self.refuse_query(&refusal, "", io).map(|()| false),
            }
            if plans.len() > 1 {
                begins = begins
                    .saturating_add(sql.chars().count())
                    .saturating_add(BETWEEN.len());
            }
        }
        if let Behind::Refused(_) = behind {
            text.push_str(BETWEEN);
            text.push_str(FAILING_AT_ITS_TURN);
            self.close_doomed(io)?;
        } else if let (Behind::Nothing, Some(last)) = (&behind, plans.last()) {
            self.assume(&last.plan);
        }
        let held = |only: &Running| plans.len() == 1 && self.is_held(only);
        if matches!(behind, Behind::Nothing)
            && running.front().is_some_and(held)
            && let Some(only) = running.pop_front()
        {
            return self.send_held(&text, only, io).map(|()| true);
        }
        to_upstream::query(io.upstream, &text)?;
        self.uploads.executed = self.uploads.executed.saturating_add(1);
        self.expect(running, behind, Sent::Query);
        Ok(true)
    }

    /// Sends one statement of a Query with what was read for it: as parameters, so that nothing of
    /// it stands in a text that PostgreSQL may log.
    fn send_bound(
        &mut self,
        plan: &Arc<Plan>,
        uploaded: &Uploaded,
        more: bool,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<bool, Fatal> {
        let sent = plan
            .bound_alone(uploaded)
            .and_then(|(types, bound)| Ok((types, bound, self.running(plan, at)?)));
        let (types, bound, running) = match sent {
            Ok(sent) => sent,
            Err(refusal) => return self.refuse_query(&refusal, "", io).map(|()| false),
        };
        self.assume(plan);
        to_upstream::parse(io.upstream, b"", plan.sql().as_str(), &types)?;
        let values = bound.values.iter().map(Option::as_deref);
        to_upstream::bind(io.upstream, b"", b"", &bound.formats, values, &[])?;
        to_upstream::describe(io.upstream, Target::Portal, b"")?;
        to_upstream::execute(io.upstream, b"", 0)?;
        let sent = self.close_bound(&running, io);
        self.uploads.executed = self.uploads.executed.saturating_add(1);
        let behind = if more { Behind::More } else { Behind::Nothing };
        self.expect(VecDeque::from([running]), behind, sent);
        Ok(true)
    }

    /// Sends the only statement of a Query without what would commit it.
    fn send_held(&mut self, sql: &str, running: Running, io: &mut Io<'_>) -> Result<(), Fatal> {
        to_upstream::parse(io.upstream, b"", sql, &[])?;
        to_upstream::bind(io.upstream, b"", b"", &[], std::iter::empty(), &[])?;
        to_upstream::describe(io.upstream, Target::Portal, b"")?;
        to_upstream::execute(io.upstream, b"", 0)?;
        let sent = self.close_bound(&running, io);
        self.uploads.executed = self.uploads.executed.saturating_add(1);
        self.expect(VecDeque::from([running]), Behind::Nothing, sent);
        Ok(())
    }

    fn close_bound(&self, running: &Running, io: &mut Io<'_>) -> Sent {
        if self.is_held(running) {
            to_upstream::flush(io.upstream);
            return Sent::Held;
        }
        to_upstream::sync(io.upstream);
        Sent::Bound
    }

    fn expect(&mut self, running: VecDeque<Running>, behind: Behind, sent: Sent) {
        let segment = self.next_segment();
        if !running.is_empty() {
            // In its place PostgreSQL makes one for each statement.
            self.portals.remove(b"");
        }
        let refused = matches!(behind, Behind::Refused(_));
        self.alone = running.len() == 1 && !refused && !self.uploads.open;
        let reads = |running: &Running| running.plan.facts().reads && !running.has_effect();
        self.reads = !self.uploads.open && running.iter().all(reads);
        self.replies.push(Expected::Query {
            running,
            behind,
            segment,
            text: std::mem::take(&mut self.query),
            failed: false,
            sent,
        });
    }

    /// A plan about to be sent, with its place in the audit log.
    pub(super) fn running(
        &mut self,
        plan: &Arc<Plan>,
        at: &Moment<'_>,
    ) -> Result<Running, Refusal> {
        let ticket = self.ticket(Some(plan))?;
        self.nameless |= plan.facts().nameless;
        Ok(Running::new(Arc::clone(plan), at.now, ticket))
    }

    /// A function call, which is no statement.
    pub(super) fn on_function_call(&mut self, io: &mut Io<'_>) -> Result<Step, Fatal> {
        let refusal = Refusal::denied("the function call protocol is not allowed for this role")
            .hint("Call the function with SELECT.");
        self.refuse_query(&refusal, "", io)?;
        Ok(Step::Continue)
    }

    /// Refuses a Query (or a function call): error, then ReadyForQuery.
    pub(super) fn refuse_query(
        &mut self,
        refusal: &Refusal,
        text: &str,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let reply = self.refusal(refusal, text);
        let aborted = Self::in_aborted(refusal);
        self.close_doomed(io)?;
        // What a pipeline without Sync has done so far ends with it.
        let idle = self.replies.is_empty() && self.status == TransactionStatus::Idle;
        if idle && !self.uploads.open {
            io.client.extend_from_slice(&reply);
            to_client::ready(io.client, TransactionStatus::Idle);
            return Ok(());
        }
        to_upstream::query(io.upstream, FAILING)?;
        let segment = self.next_segment();
        self.replies.push(Expected::Refusal {
            reply,
            aborted,
            simple: true,
        });
        self.replies.push(Expected::Ready { segment });
        Ok(())
    }
}
