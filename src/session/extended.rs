//! Parse, Bind, Describe, Execute, Close: the extended query protocol of a restricted role.
//!
//! What the client names lives upstream under names the proxy makes, each used once, so that no slip
//! of bookkeeping can join a name to another statement's masks. Each Parse is followed by a Describe
//! of the proxy's own: the shape of a result is known, and checked, before its first row.

use std::sync::{Arc, OnceLock};

use super::missing::{ident, missing_portal, missing_statement, outdated};
use super::renew::closed;
use super::replies::{Expected, Portal, Prepared, Told};
use super::{FAILING, Fatal, Io, Moment, Session, Step, planning, to_client, to_upstream};
use crate::ident::Ident;
use crate::pg::{Oid, sqlstate};
use crate::plan::{Plan, Refusal};
use crate::sql::tree::Statement;
use crate::wire::frontend::{Bind, Execute, Named, Parse, Target};
use crate::wire::write::WriteError;

/// Why a statement is prepared upstream.
enum Occasion {
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
            .and_then(|name| Ok((name, self.plan_one(parse.query, at)?)));
        match planned {
            Ok((name, (source, plan))) => {
                self.send_parse(name, plan, (source, types), Occasion::Asked, io)?;
                Ok(Step::Continue)
            }
            Err(refusal) if !at.last && planning::is_unknown_name(&refusal) => Ok(Step::Unknown),
            Err(refusal) => {
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
        at: &Moment<'_>,
    ) -> Result<(Arc<Statement>, Arc<Plan>), Refusal> {
        let (_, parsed) = planning::parse(query)?;
        let mut statements = parsed.into_iter().map(|p| p.statement);
        let statement = statements.next().unwrap_or(Statement::Empty);
        if statements.next().is_some() {
            return Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        self.plan_source(Arc::new(statement), at)
    }

    fn plan_source(
        &mut self,
        source: Arc<Statement>,
        at: &Moment<'_>,
    ) -> Result<(Arc<Statement>, Arc<Plan>), Refusal> {
        let [statement] = self
            .renewed(source.as_ref().clone(), at)?
            .try_into()
            .map_err(
                // To prepare anew takes a string of several.
                |_| outdated().hint("DEALLOCATE it and PREPARE it again."),
            )?;
        let plan = planning::plan(
            statement,
            &self.role,
            at.snapshot,
            &self.speculative,
            &mut self.names,
        )?;
        Ok((source, plan))
    }

    fn send_parse(
        &mut self,
        name: Ident,
        plan: Arc<Plan>,
        (source, types): (Arc<Statement>, Vec<Oid>),
        occasion: Occasion,
        io: &mut Io<'_>,
    ) -> Result<Arc<Prepared>, Fatal> {
        if let Some(old) = self.speculative.prepared.remove(&name) {
            self.close_upstream(&old.upstream, None, io)?;
        }
        let upstream = self.names.fresh();
        to_upstream::parse(
            io.upstream,
            upstream.as_str().as_bytes(),
            plan.sql().as_str(),
            &types,
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
            search_path: self.speculative.settings.search_path(),
            shape: Arc::new(OnceLock::new()),
            parameters: Arc::new(OnceLock::new()),
            told,
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
        io: &mut Io<'_>,
    ) -> Result<(), WriteError> {
        let visible = statement.is_some();
        to_upstream::close(io.upstream, Target::Statement, upstream.as_str().as_bytes())?;
        self.details.remove(upstream);
        self.replies.push(Expected::Close { statement, visible });
        Ok(())
    }

    /// The statement a client names, planned in the current snapshot, with its shape asked for; `None`
    /// while it is not known what that is.
    fn prepared(
        &mut self,
        name: &[u8],
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<Option<Arc<Prepared>>, Refusal>, Fatal> {
        let name = match ident(name) {
            Ok(name) => name,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(entry) = self.speculative.prepared.get(&name).cloned() else {
            return Ok(Err(missing_statement(&name)));
        };
        let known = self.details.get(&entry.upstream).cloned();
        if let Some(known) = known
            && let Some(types) = known.types.clone()
        {
            return self.prepared_again(name, &known, types, at, io);
        }
        let execute = Statement::Execute {
            name: name.clone(),
            args: Vec::new(),
        };
        if let Err(refusal) = self.plan_source(Arc::new(execute), at) {
            return Ok(Err(refusal));
        }
        let Some(entry) = self.speculative.prepared.get(&name).cloned() else {
            return Ok(Err(missing_statement(&name)));
        };
        let asked = self.details.contains_key(&entry.upstream);
        let prepared = self.details_of(entry);
        if !asked {
            self.describe_statement(&prepared, false, io)?;
        }
        Ok(usable(prepared))
    }

    /// A statement made by Parse, decided anew if the snapshot or the search path is another.
    fn prepared_again(
        &mut self,
        name: Ident,
        known: &Arc<Prepared>,
        types: Vec<Oid>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<Option<Arc<Prepared>>, Refusal>, Fatal> {
        let search_path = self.speculative.settings.search_path();
        if known.plan.epoch() == at.snapshot.epoch && known.search_path == search_path {
            return Ok(usable(Arc::clone(known)));
        }
        let (source, plan) = match self.plan_source(Arc::clone(&known.source), at) {
            Ok(planned) => planned,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if plan.sql() == known.plan.sql() {
            let renewed = Arc::new(known.renewed(&plan, search_path));
            self.speculative.prepared.insert(name, renewed.entry());
            self.dirty = true;
            self.details
                .insert(renewed.upstream.clone(), Arc::clone(&renewed));
            return Ok(usable(renewed));
        }
        let told = known.told.clone().or_else(|| known.tells());
        let prepared = self.send_parse(name, plan, (source, types), Occasion::Again(told), io)?;
        if prepared.told.is_none() {
            return Ok(Ok(Some(prepared)));
        }
        // PostgreSQL would refuse to return something else than it said it would. Whether it does is
        // known when it has described the statement.
        to_upstream::flush(io.upstream);
        self.waits_for = Some(prepared);
        Ok(Ok(None))
    }

    /// A portal of an older snapshot: what it shows may be something else today.
    fn portal_again(&mut self, portal: &Portal, at: &Moment<'_>) -> Result<Arc<Portal>, Refusal> {
        let prepared = &portal.prepared;
        let planned = planning::again(
            &prepared.source,
            &prepared.upstream,
            &self.role,
            at.snapshot,
            &self.speculative,
            Some(&prepared.search_path),
        );
        match planned {
            Ok(plan) if plan.same(&prepared.plan) => Ok(Arc::new(Portal {
                upstream: portal.upstream.clone(),
                prepared: Arc::new(prepared.renewed(&Arc::new(plan), prepared.search_path.clone())),
                formats: portal.formats.clone(),
                segment: portal.segment,
            })),
            Err(refusal) if !at.last && planning::is_unknown_name(&refusal) => Err(refusal),
            _ => Err(closed("portal", "Bind it")),
        }
    }

    pub(super) fn on_bind(
        &mut self,
        bind: &Bind<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let taken = !bind.portal.is_empty()
            && (self.portals.contains_key(bind.portal)
                || ident(bind.portal).is_ok_and(|n| self.speculative.cursors.contains_key(&n)));
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
                    self.send_bind(bind, prepared, io)?;
                    return Ok(Step::Continue);
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
        io: &mut Io<'_>,
    ) -> Result<(), WriteError> {
        let upstream = if bind.portal.is_empty() {
            Vec::new()
        } else {
            self.names.fresh().as_str().as_bytes().to_vec()
        };
        let statement = prepared.upstream.as_str().as_bytes().to_vec();
        to_upstream::bind_raw(io.upstream, &upstream, &statement, bind.raw)?;
        let portal = Portal {
            upstream,
            prepared,
            formats: bind.result_formats.iter().collect(),
            segment: self.segment,
        };
        self.portals.insert(bind.portal.to_vec(), Arc::new(portal));
        self.replies.push(Expected::Bind);
        Ok(())
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
                    self.portals
                        .insert(execute.portal.to_vec(), Arc::clone(&portal));
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
            let running = self.running(&portal.prepared.plan, at)?;
            Ok((portal, Box::new(running)))
        });
        match ready {
            Ok((portal, running)) => {
                to_upstream::execute(io.upstream, &portal.upstream, execute.max_rows)?;
                let plan = Arc::clone(&portal.prepared.plan);
                self.assume(&plan);
                self.replies.push(Expected::Execute { running, portal });
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
                    self.close_upstream(&entry.upstream, Some(name), io)?;
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

/// The statement, unless it returns something else than the client was told.
fn usable(prepared: Arc<Prepared>) -> Result<Option<Arc<Prepared>>, Refusal> {
    if prepared.changed() {
        return Err(outdated());
    }
    Ok(Some(prepared))
}
