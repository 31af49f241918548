//! Parse, Bind, Describe, Execute, Close: the extended query protocol of a restricted role.
//!
//! What the client names lives upstream under names the proxy makes, each used once, so that no slip
//! of bookkeeping can join a name to another statement's masks. Each Parse is followed by a Describe
//! of the proxy's own: the shape of a result is known, and checked, before its first row.

use std::sync::{Arc, Mutex, OnceLock};

use super::missing::{ident, missing_portal, outdated};
use super::portals::{Formats, Portal};
use super::prepared::{Prepared, Told};
use super::replies::Expected;
use super::{FAILING, Fatal, Io, Moment, Session, Step, planning, to_client, to_upstream};
use crate::ident::Ident;
use crate::pg::{Oid, sqlstate};
use crate::plan::{Given, Plan, Refusal, Uploaded, stands_alone};
use crate::sql::tree::Statement;
use crate::wire::frontend::{Bind, Execute, Named, Parse, Target};
use crate::wire::write::WriteError;

/// Why a statement is prepared upstream.
pub(super) enum Occasion {
    /// The client asks for it.
    Asked,
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
        let planned = self
            .statement_name(parse.name)
            .and_then(|name| Ok((name, self.plan_one(parse.query, &types, at)?)));
        match planned {
            Ok((name, (source, plan))) => {
                self.send_parse(name, plan, (source, types), Occasion::Asked, io)?;
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

    /// The name of a new statement; only the unnamed one may exist already.
    fn statement_name(&self, name: &[u8]) -> Result<Ident, Refusal> {
        let name = ident(name)?;
        if self.speculative.prepared.len() >= crate::limits::STATEMENTS_PER_SESSION {
            return Err(Refusal::error(
                sqlstate::PROGRAM_LIMIT_EXCEEDED,
                "too many prepared statements",
            ));
        }
        if !name.as_str().is_empty() && self.speculative.prepared.contains_key(&name) {
            return Err(Refusal::error(
                sqlstate::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        Ok(name)
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
        occasion: Occasion,
        io: &mut Io<'_>,
    ) -> Result<Arc<Prepared>, Fatal> {
        if let Some(old) = self.speculative.prepared.remove(&name) {
            self.close_upstream(&old.upstream, None, false, io)?;
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
        let (visible, told) = match occasion {
            Occasion::Asked => (true, None),
            Occasion::Again(told) => (false, told),
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
            visible,
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
        self.details.remove(upstream);
        self.replies.push(Expected::Close { statement, visible });
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

    pub(super) fn on_bind(
        &mut self,
        bind: &Bind<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let named = Some(bind.portal).filter(|name| !name.is_empty());
        let taken = named.is_some_and(|name| {
            self.portals.get(name).is_some()
                || ident(name).is_ok_and(|name| self.speculative.cursors.contains_key(&name))
        });
        let portal = named.and_then(|name| self.portals.get(name));
        if portal.is_some_and(|portal| self.replies.owes_end_of(portal.segment)) {
            // Its transaction may be over by then.
            return Ok(Step::Later);
        }
        let refusal = if taken {
            let name = String::from_utf8_lossy(bind.portal);
            Refusal::error(
                sqlstate::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            )
        } else if self.portals.len() >= crate::limits::STATEMENTS_PER_SESSION {
            Refusal::error(sqlstate::PROGRAM_LIMIT_EXCEEDED, "too many portals")
        } else {
            match self.prepared(bind.statement, at, io)? {
                Ok(Some(prepared)) => {
                    self.waits_for = None;
                    let uploaded = if prepared.plan.uploads().is_some() {
                        let Some(uploaded) = self.read_for_bind(bind, &prepared, io)? else {
                            return Ok(Step::Later);
                        };
                        Some(uploaded)
                    } else {
                        None
                    };
                    match self.send_bind(bind, prepared, uploaded.as_ref(), at, io)? {
                        Ok(()) => return Ok(Step::Continue),
                        Err(refusal) => refusal,
                    }
                }
                Ok(None) => return Ok(Step::Later),
                Err(refusal) if !at.last && planning::is_unknown_name(&refusal) => {
                    return Ok(Step::Unknown);
                }
                Err(refusal) => refusal,
            }
        };
        self.refuse_extended(&refusal, "", io)?;
        Ok(Step::Continue)
    }

    fn send_bind(
        &mut self,
        bind: &Bind<'_>,
        prepared: Arc<Prepared>,
        uploaded: Option<&Uploaded>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<(), Refusal>, WriteError> {
        let qualified = |kind, text: &str| {
            planning::qualified_name(kind, text, &self.role, at.snapshot, &self.speculative)
        };
        let bound = match prepared.bound(bind, uploaded, &qualified) {
            Ok(bound) => bound,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let told = match prepared.plan.with_values(&bind.values) {
            Ok(told) => told,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let formats = Formats::of(bind.result_formats.iter());
        let upstream = if bind.portal.is_empty() {
            Vec::new()
        } else {
            self.names.fresh().as_str().as_bytes().to_vec()
        };
        let statement = prepared.upstream.as_str().as_bytes();
        match &bound {
            None => to_upstream::bind_raw(io.upstream, &upstream, statement, bind.raw)?,
            Some(bound) => to_upstream::bind(
                io.upstream,
                &upstream,
                statement,
                &bound.formats,
                bound.values.iter().map(Option::as_deref),
                formats.as_slice(),
            )?,
        }
        let prepared = match told {
            Some(plan) => {
                let search_path = prepared.search_path.clone();
                Arc::new(prepared.renewed(&Arc::new(plan), search_path))
            }
            None => prepared,
        };
        let portal = Portal {
            upstream,
            prepared,
            formats,
            segment: self.segment,
            after: self.uploads.executed,
            begun: OnceLock::new(),
        };
        self.portals.bind(bind.portal, portal);
        self.replies.push(Expected::Bind);
        Ok(Ok(()))
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
            Err(refusal) => self.refuse_extended(&refusal, "", io)?,
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
                        visible: true,
                    });
                    return Ok(Step::Continue);
                }
            }
            Target::Statement => {
                let name = ident(named.name).ok();
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
        let mut reply = bytes::BytesMut::new();
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
        let reply = self.refusal(refusal, text);
        self.close_doomed(io)?;
        self.waits_for = None;
        // Asks for the answer now: the client may send Flush instead of Sync, and that is discarded.
        to_upstream::parse(io.upstream, b"", FAILING, &[])?;
        to_upstream::flush(io.upstream);
        self.replies.push(Expected::Refusal {
            reply,
            simple: false,
        });
        self.skipping = true;
        Ok(())
    }
}
