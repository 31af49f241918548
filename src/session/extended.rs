//! Parse, Bind, Describe, Execute, Close: the extended query protocol of a restricted role.
//!
//! What the client names lives upstream under names the proxy makes, each used once, so that no slip
//! of bookkeeping can join a name to another statement's masks. Each Parse is followed by a Describe
//! of the proxy's own: the shape of a result is known, and checked, before its first row.

use std::sync::{Arc, OnceLock};

use super::missing::{ident, missing_portal, missing_statement, outdated};
use super::replies::{Expected, Portal, Prepared};
use super::{FAILING, Fatal, Io, Moment, Session, Step, planning, to_client, to_upstream};
use crate::ident::Ident;
use crate::pg::types::Format;
use crate::pg::{Oid, sqlstate};
use crate::plan::{Plan, Refusal};
use crate::wire::frontend::{Bind, Execute, Named, Parse, Target};
use crate::wire::write::WriteError;

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
            Ok((name, (text, plan))) => {
                self.send_parse(name, plan, (text, types), at, io, true)?;
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
        types: &[Oid],
        at: &Moment<'_>,
    ) -> Result<(String, Arc<Plan>), Refusal> {
        let (text, parsed) = planning::parse(query)?;
        let mut statements = parsed.into_iter().map(|p| p.statement);
        let statement = statements
            .next()
            .unwrap_or(crate::sql::tree::Statement::Empty);
        if statements.next().is_some() {
            return Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let plan = planning::plan(
            statement,
            &self.role,
            at.snapshot,
            &self.speculative,
            &mut self.names,
        )?;
        plan.parameter_types(types)?;
        Ok((text, plan))
    }

    fn send_parse(
        &mut self,
        name: Ident,
        plan: Arc<Plan>,
        source: (String, Vec<Oid>),
        at: &Moment<'_>,
        io: &mut Io<'_>,
        visible: bool,
    ) -> Result<Arc<Prepared>, Fatal> {
        if let Some(old) = self.speculative.prepared.remove(&name) {
            self.close_upstream(&old.upstream, None, io)?;
        }
        let upstream = self.names.fresh();
        let types = plan.parameter_types(&source.1).map_err(|_refusal| {
            Fatal::unexpected("the types of parameters changed after they were checked")
        })?;
        to_upstream::parse(
            io.upstream,
            upstream.as_str().as_bytes(),
            plan.sql().as_str(),
            &types,
        )?;
        let prepared = Arc::new(Prepared {
            upstream: upstream.clone(),
            plan,
            source: Some(source),
            epoch: at.snapshot.epoch,
            shape: Arc::new(OnceLock::new()),
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

    /// The statement a client names, planned in the current snapshot, with its shape asked for.
    fn prepared(
        &mut self,
        name: &[u8],
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<Arc<Prepared>, Refusal>, Fatal> {
        let name = match ident(name) {
            Ok(name) => name,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(entry) = self.speculative.prepared.get(&name).cloned() else {
            return Ok(Err(missing_statement(&name)));
        };
        let known = self.details.get(&entry.upstream).cloned();
        match known {
            Some(known) if known.epoch == at.snapshot.epoch => Ok(Ok(known)),
            Some(known) => self.prepared_again(name, &known, at, io),
            None => {
                let epoch = self.speculative.epochs.get(&entry.upstream).copied();
                if epoch != Some(at.snapshot.epoch) {
                    return Ok(Err(outdated()));
                }
                let prepared = Arc::new(Prepared {
                    upstream: entry.upstream.clone(),
                    plan: entry.plan,
                    source: None,
                    epoch: at.snapshot.epoch,
                    shape: Arc::new(OnceLock::new()),
                });
                self.details.insert(entry.upstream, Arc::clone(&prepared));
                self.describe_statement(&prepared, false, io)?;
                Ok(Ok(prepared))
            }
        }
    }

    /// A statement of an older snapshot, decided anew.
    fn prepared_again(
        &mut self,
        name: Ident,
        known: &Arc<Prepared>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<Arc<Prepared>, Refusal>, Fatal> {
        let Some((text, types)) = &known.source else {
            return Ok(Err(outdated()));
        };
        let (text, plan) = match self.plan_one(text.as_bytes(), types, at) {
            Ok(planned) => planned,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(renewed) = known.renewed(&plan, at.snapshot.epoch) {
            let renewed = Arc::new(renewed);
            self.speculative.prepared.insert(name, renewed.entry());
            self.dirty = true;
            self.details
                .insert(renewed.upstream.clone(), Arc::clone(&renewed));
            return Ok(Ok(renewed));
        }
        let types = types.clone();
        self.send_parse(name, plan, (text, types), at, io, false)
            .map(Ok)
    }

    /// A portal of an older snapshot: its columns may have got tighter since it was opened.
    fn portal_again(&mut self, portal: &Portal, at: &Moment<'_>) -> Result<Arc<Portal>, Refusal> {
        let Some((text, types)) = &portal.prepared.source else {
            return Err(outdated());
        };
        let (_, plan) = self.plan_one(text.as_bytes(), types, at)?;
        let renewed = portal.prepared.renewed(&plan, at.snapshot.epoch);
        let prepared = renewed.ok_or_else(outdated)?;
        Ok(Arc::new(Portal {
            upstream: portal.upstream.clone(),
            prepared: Arc::new(prepared),
            formats: portal.formats.clone(),
            segment: portal.segment,
        }))
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
                Ok(prepared) => match self.send_bind(bind, prepared, io)? {
                    Ok(()) => return Ok(Step::Continue),
                    Err(refusal) => refusal,
                },
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
    ) -> Result<Result<(), Refusal>, WriteError> {
        let bound = match prepared.bound(bind) {
            Ok(bound) => bound,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let formats: Vec<Format> = bind.result_formats.iter().collect();
        let upstream = if bind.portal.is_empty() {
            Vec::new()
        } else {
            self.names.fresh().as_str().as_bytes().to_vec()
        };
        let statement = prepared.upstream.as_str().as_bytes().to_vec();
        match &bound {
            None => to_upstream::bind_raw(io.upstream, &upstream, &statement, bind.raw)?,
            Some(bound) => to_upstream::bind(
                io.upstream,
                &upstream,
                &statement,
                &bound.formats,
                bound.values.iter().map(Option::as_deref),
                &formats,
            )?,
        }
        let portal = Portal {
            upstream,
            prepared,
            formats,
            segment: self.segment,
        };
        self.portals.insert(bind.portal.to_vec(), Arc::new(portal));
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
            Some(portal) if portal.prepared.epoch == at.snapshot.epoch => Ok(portal),
            Some(portal) => self.portal_again(&portal, at),
        };
        let ready = ready.and_then(|portal| {
            let running = self.running(&portal.prepared.plan, at)?;
            Ok((portal, Box::new(running)))
        });
        match ready {
            Ok((portal, running)) => {
                to_upstream::execute(io.upstream, &portal.upstream, execute.max_rows)?;
                let plan = Arc::clone(&portal.prepared.plan);
                self.assume(&plan, at.snapshot.epoch);
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
