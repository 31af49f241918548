//! Parse, Execute, Close: the extended query protocol of a restricted role.
//!
//! What the client names lives upstream under names the proxy makes, each used once, so that no slip
//! of bookkeeping can join a name to another statement's masks. Each Parse is followed by a Describe
//! of the proxy's own: the shape of a result is known, and checked, before its first row.

use std::sync::{Arc, Mutex, OnceLock};

use bytes::BytesMut;

use super::missing::{ident, missing_portal, outdated};
use super::prepared::{Prepared, Told};
use super::replies::Expected;
use super::{FAILING, Fatal, Io, Moment, Session, Step, planning, to_client, to_upstream};
use crate::ident::Ident;
use crate::pg::{Oid, sqlstate};
use crate::plan::{Given, Plan, Refusal, stands_alone};
use crate::sql::tree::{Statement, Transaction};
use crate::wire::frontend::{Execute, Named, Parse, Target};
use crate::wire::write::WriteError;

/// Why a statement is prepared upstream.
pub(super) enum Occasion<'t> {
    /// The client asks for it, with this text.
    Asked(&'t [u8]),
    /// In place of another, of which the client was told this; it knows nothing of the new one.
    Again(Option<Vec<Told>>),
}

impl Session {
    pub(super) fn on_parse(
        &mut self,
        parse: &Parse<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let types: Vec<Oid> = parse.types.iter().collect();
        let planned =
            ident(parse.name).and_then(|name| Ok((name, self.plan_one(parse.query, &types, at)?)));
        match planned {
            Ok((name, _)) if !name.as_str().is_empty() && self.replies.leaves_open(&name) => {
                Ok(Step::Later)
            }
            Ok((name, (source, plan))) => {
                if let Err(refusal) = self.may_be_new(&name) {
                    // That is an error also where nothing but the end of a transaction may be prepared.
                    let ends = ends_transaction(&source);
                    let aborted = Self::in_aborted(&refusal).filter(|_| !ends);
                    self.refuse_with(&refusal, "", aborted, io)?;
                    return Ok(Step::Continue);
                }
                self.send_parse(
                    name,
                    plan,
                    (source, types),
                    Occasion::Asked(parse.query),
                    io,
                )?;
                Ok(Step::Continue)
            }
            Err(refusal) if !at.last && planning::is_unknown_name(&refusal) => Ok(Step::Unknown),
            Err(refusal) => {
                // As PostgreSQL does, whatever it thinks of the new one.
                if parse.name.is_empty() {
                    self.drop_unnamed(io)?;
                }
                let text = crate::wire::utf8(parse.query).unwrap_or_default();
                self.refuse_extended(&refusal, text, io)?;
                Ok(Step::Continue)
            }
        }
    }

    /// May a statement of this name be made? Only the unnamed one may exist already.
    fn may_be_new(&self, name: &Ident) -> Result<(), Refusal> {
        if self.speculative.prepared.len() >= crate::limits::STATEMENTS_PER_SESSION {
            return Err(Refusal::error(
                sqlstate::PROGRAM_LIMIT_EXCEEDED,
                "too many prepared statements",
            ));
        }
        if !name.as_str().is_empty() && self.speculative.prepared.contains_key(name) {
            return Err(Refusal::error(
                sqlstate::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        Ok(())
    }

    fn plan_one(
        &mut self,
        query: &[u8],
        types: &[Oid],
        at: &Moment<'_>,
    ) -> Result<(Arc<Statement>, Arc<Plan>), Refusal> {
        let plain = planning::may_be_kept(query, &self.speculative);
        if plain {
            let scope = planning::scope(&self.role, &self.speculative);
            self.key.set_text(scope, query, types.iter().copied());
            if let Some(planned) = at.plans.find_text(&self.key)
                && planned.1.epoch() == at.snapshot.epoch
            {
                return Ok(planned);
            }
        }
        let (_, parsed, _) = planning::parse(query, at.snapshot)?;
        let mut statements = parsed.into_iter().map(|p| p.statement);
        let statement = statements.next().unwrap_or(Statement::Empty);
        if statements.next().is_some() {
            return Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let alone = plain && stands_alone(&statement);
        let planned = self.plan_source(Arc::new(statement), types, at)?;
        if alone {
            at.plans.keep_text(&self.key, &planned);
        }
        Ok(planned)
    }

    pub(super) fn plan_source(
        &mut self,
        source: Arc<Statement>,
        types: &[Oid],
        at: &Moment<'_>,
    ) -> Result<(Arc<Statement>, Arc<Plan>), Refusal> {
        let [statement] = self
            .renewed(source.as_ref().clone(), at)?
            .try_into()
            .map_err(
                // To prepare anew takes a string of several.
                |_| outdated().hint("DEALLOCATE it and PREPARE it again."),
            )?;
        let plan = self.planned(statement, at.snapshot, (Given::Bound, types))?;
        planning::check_parameter_types(&plan, types, &self.role, at.snapshot, &self.speculative)?;
        Ok((source, plan))
    }

    pub(super) fn send_parse(
        &mut self,
        name: Ident,
        plan: Arc<Plan>,
        (source, types): (Arc<Statement>, Vec<Oid>),
        occasion: Occasion<'_>,
        io: &mut Io<'_>,
    ) -> Result<Arc<Prepared>, Fatal> {
        if let Some(old) = self.speculative.prepared.remove(&name) {
            let unnamed = name.as_str().is_empty().then(|| name.clone());
            self.close_upstream(&old.upstream, unnamed, false, io)?;
        }
        let upstream = self.names.fresh();
        let sent = plan.parameter_types(&types).map_err(|_refusal| {
            Fatal::unexpected("the types of parameters changed after they were checked")
        })?;
        to_upstream::parse(
            io.upstream,
            upstream.as_str().as_bytes(),
            plan.sql().as_str(),
            &sent,
        )?;
        let (text, told) = match occasion {
            Occasion::Asked(text) => (Some(text.into()), None),
            Occasion::Again(told) => (None, told),
        };
        let prepared = Arc::new(Prepared {
            upstream: upstream.clone(),
            plan,
            types: Some(types),
            source,
            search_path: self.speculative.settings.search_path().clone(),
            shape: Arc::new(OnceLock::new()),
            parameters: Arc::new(OnceLock::new()),
            told,
            changed: OnceLock::new(),
            remembered: Mutex::default(),
        });
        self.speculative
            .prepared
            .insert(name.clone(), prepared.entry());
        self.details.insert(upstream, Arc::clone(&prepared));
        self.replies.push(Expected::Parse {
            name,
            prepared: Arc::clone(&prepared),
            visible: text.is_some(),
            text,
        });
        self.describe_statement(&prepared, false, io)?;
        Ok(prepared)
    }

    pub(super) fn describe_statement(
        &mut self,
        prepared: &Arc<Prepared>,
        visible: bool,
        io: &mut Io<'_>,
    ) -> Result<(), WriteError> {
        let name = prepared.upstream.as_str().as_bytes();
        to_upstream::describe(io.upstream, Target::Statement, name)?;
        self.replies.push(Expected::DescribeStatement {
            prepared: Arc::clone(prepared),
            visible,
            parameters: false,
        });
        Ok(())
    }

    fn close_upstream(
        &mut self,
        upstream: &Ident,
        statement: Option<Ident>,
        visible: bool,
        io: &mut Io<'_>,
    ) -> Result<(), WriteError> {
        to_upstream::close(io.upstream, Target::Statement, upstream.as_str().as_bytes())?;
        self.replies.push(Expected::Close {
            statement,
            upstream: Some(upstream.clone()),
            visible,
        });
        Ok(())
    }

    /// Whatever makes the unnamed statement anew drops it first, and a Query does.
    pub(super) fn drop_unnamed(&mut self, io: &mut Io<'_>) -> Result<(), WriteError> {
        let name = Ident::exact("");
        match self.speculative.prepared.remove(&name) {
            Some(old) => self.close_upstream(&old.upstream, Some(name), false, io),
            None => Ok(()),
        }
    }

    pub(super) fn on_execute(
        &mut self,
        execute: &Execute<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let ready = match self.portals.get(execute.portal).cloned() {
            None => Err(missing_portal(execute.portal)),
            Some(portal) if portal.prepared.plan.epoch() == at.snapshot.epoch => Ok(portal),
            Some(portal) => match self.portal_again(&portal, at) {
                Ok(portal) => {
                    self.portals.set(execute.portal, Arc::clone(&portal));
                    Ok(portal)
                }
                Err(refusal) if planning::is_unknown_name(&refusal) => return Ok(Step::Unknown),
                Err(refusal) => {
                    self.portals.remove(execute.portal);
                    Err(refusal)
                }
            },
        };
        let ready = ready.and_then(|portal| {
            self.still_holds(&portal)?;
            let running = self.running(&portal.prepared.plan, at)?;
            Ok((portal, running))
        });
        match ready {
            Ok((portal, running)) => {
                to_upstream::execute(io.upstream, &portal.upstream, execute.max_rows)?;
                self.uploads.executed = self.uploads.executed.saturating_add(1);
                let plan = Arc::clone(&portal.prepared.plan);
                self.assume(&plan);
                let running = self.replies.boxed(running);
                self.replies.push(Expected::Execute { running, portal });
                self.flush_untold(io);
            }
            Err(refusal) => self.refuse_named(&refusal, execute.portal, io)?,
        }
        Ok(Step::Continue)
    }

    pub(super) fn on_close(&mut self, named: &Named<'_>, io: &mut Io<'_>) -> Result<Step, Fatal> {
        match named.kind {
            Target::Portal => {
                if let Some(portal) = self.portals.remove(named.name) {
                    to_upstream::close(io.upstream, Target::Portal, &portal.upstream)?;
                    self.replies.push(Expected::Close {
                        statement: None,
                        upstream: None,
                        visible: true,
                    });
                    return Ok(Step::Continue);
                }
            }
            Target::Statement => {
                let name = ident(named.name).ok();
                if name
                    .as_ref()
                    .is_some_and(|name| self.replies.leaves_open(name))
                {
                    return Ok(Step::Later);
                }
                if let Some(name) = name
                    && let Some(entry) = self.speculative.prepared.remove(&name)
                {
                    self.dirty = true;
                    self.close_upstream(&entry.upstream, Some(name), true, io)?;
                    return Ok(Step::Continue);
                }
            }
        }
        // Closing what does not exist is no error.
        let mut reply = BytesMut::new();
        to_client::close_complete(&mut reply);
        self.replies.push(Expected::Local(reply));
        Ok(Step::Continue)
    }

    /// Refuses a message of the extended protocol: PostgreSQL is made to fail at the same place, and
    /// both sides discard what comes until Sync.
    pub(super) fn refuse_extended(
        &mut self,
        refusal: &Refusal,
        text: &str,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let aborted = Self::in_aborted(refusal);
        self.refuse_with(refusal, text, aborted, io)
    }

    /// The same of a message that names a statement or `portal`: PostgreSQL looks for that first. Of a string
    /// that failed the unnamed portal is left, and PostgreSQL crashes if it is to be executed (seen with 15.18).
    pub(super) fn refuse_named(
        &mut self,
        refusal: &Refusal,
        portal: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let aborted = match refusal.sqlstate {
            sqlstate::INVALID_STATEMENT_NAME => None,
            sqlstate::INVALID_CURSOR_NAME if !portal.is_empty() => None,
            _ => Self::in_aborted(refusal),
        };
        self.refuse_with(refusal, "", aborted, io)
    }

    pub(super) fn refuse_with(
        &mut self,
        refusal: &Refusal,
        text: &str,
        aborted: Option<BytesMut>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let reply = self.refusal(refusal, text);
        self.close_doomed(io)?;
        self.waits_for = None;
        // Asks for the answer now: the client may send Flush instead of Sync, and that is discarded.
        to_upstream::parse(io.upstream, b"", FAILING, &[])?;
        to_upstream::flush(io.upstream);
        self.replies.push(Expected::Refusal {
            reply,
            aborted,
            simple: false,
        });
        self.skipping = true;
        Ok(())
    }
}

/// May it stand in an aborted transaction?
fn ends_transaction(statement: &Statement) -> bool {
    use Transaction::{Commit, Rollback, RollbackTo};
    matches!(
        statement,
        Statement::Transaction(Commit(_) | Rollback(_) | RollbackTo(_))
    )
}
