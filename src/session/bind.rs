//! Bind: which statement, which values, and whose the portal's name is.
//!
//! PostgreSQL looks at the statement first, then at how many formats and values there are, whether the
//! transaction is aborted, the portal's name, and the values. Whether a name is taken is left to it: of a portal
//! or cursor that is known here, its name upstream is asked for again, and nothing goes on until it is answered.

use std::sync::{Arc, OnceLock};

use super::missing::{duplicate_portal, ident};
use super::portals::{Formats, Portal};
use super::prepared::Prepared;
use super::replies::Expected;
use super::{Fatal, Io, Moment, Session, Step, planning, to_upstream};
use crate::pg::sqlstate;
use crate::plan::{Refusal, Uploaded};
use crate::wire::WriteError;
use crate::wire::frontend::Bind;

impl Session {
    pub(super) fn on_bind(
        &mut self,
        bind: &Bind<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let named = Some(bind.portal).filter(|name| !name.is_empty());
        let portal = named.and_then(|name| self.portals.get(name));
        if portal.is_some_and(|portal| self.replies.owes_end_of(portal.segment)) {
            // Its transaction may be over by then.
            return Ok(Step::Later);
        }
        if ident(bind.statement).is_ok_and(|name| self.replies.leaves_open(&name)) {
            return Ok(Step::Later);
        }
        let refusal = match self.prepared(bind.statement, at, io)? {
            _ if self.portals.len() >= crate::limits::STATEMENTS_PER_SESSION => {
                Refusal::error(sqlstate::PROGRAM_LIMIT_EXCEEDED, "too many portals")
            }
            Ok(Some(_)) if !bind.formats.fits(bind.values.len()) => unfit(bind),
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
        };
        self.refuse_named(&refusal, bind.portal, io)?;
        Ok(Step::Continue)
    }

    /// What has the name of a portal that is to be made, as PostgreSQL knows it.
    fn taken(&self, name: &[u8]) -> Option<Vec<u8>> {
        if name.is_empty() {
            return None;
        }
        if let Some(portal) = self.portals.get(name) {
            return Some(portal.upstream.clone());
        }
        let cursor = self.speculative.cursors.get(&ident(name).ok()?)?;
        Some(cursor.upstream.as_str().as_bytes().to_vec())
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
        let taken = self.taken(bind.portal);
        let bound = prepared.bound(bind, uploaded, &qualified);
        let told = bound.and_then(|bound| Ok((bound, prepared.plan.with_values(&bind.values)?)));
        let (bound, told) = match told {
            Ok(told) => told,
            // Of the values PostgreSQL looks only at their number before.
            Err(refusal) if taken.is_some() && refusal.sqlstate != sqlstate::PROTOCOL_VIOLATION => {
                return Ok(Err(duplicate_portal(bind.portal)));
            }
            Err(refusal) => return Ok(Err(refusal)),
        };
        let formats = Formats::of(bind.result_formats.iter());
        let is_taken = taken.is_some();
        let upstream = match taken {
            Some(taken) => taken,
            None if bind.portal.is_empty() => Vec::new(),
            None => self.names.fresh().as_str().as_bytes().to_vec(),
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
        let instead = if is_taken {
            // Nothing goes on until it has answered.
            to_upstream::flush(io.upstream);
            Some(Box::new((bind.portal.to_vec(), portal)))
        } else {
            self.portals.bind(bind.portal, portal);
            None
        };
        self.replies.push(Expected::Bind { instead });
        Ok(Ok(()))
    }
}

/// Formats of another number than values.
fn unfit(bind: &Bind<'_>) -> Refusal {
    let (formats, values) = (bind.formats.len(), bind.values.len());
    let message = format!("bind message has {formats} parameter formats but {values} parameters");
    Refusal::error(sqlstate::PROTOCOL_VIOLATION, message)
}
