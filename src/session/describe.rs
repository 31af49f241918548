//! Describe: which statement or portal is meant, and what its rows need.
//!
//! Deliberately absent: the description itself, which is PostgreSQL's, checked when it comes
//! (`answers`).

use std::sync::{Arc, Mutex, OnceLock};

use super::missing::{ident, missing_portal, missing_statement};
use super::prepared::Prepared;
use super::replies::Expected;
use super::{Fatal, Io, Moment, Session, Step, to_upstream};
use crate::ident::Ident;
use crate::mask::OutputRule;
use crate::plan::{PreparedEntry, Refusal};
use crate::wire::frontend::{Named, Target};

/// What the rows of a portal need; `None` for none.
type Outputs = Option<Arc<[OutputRule]>>;

impl Session {
    pub(super) fn on_describe(
        &mut self,
        named: &Named<'_>,
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Step, Fatal> {
        let refusal = match named.kind {
            Target::Portal => {
                let portal = self.portals.get(named.name);
                if let Some(portal) = portal.filter(|p| self.still_means(&p.prepared.plan)) {
                    to_upstream::describe(io.upstream, Target::Portal, &portal.upstream)?;
                    self.replies.push(Expected::DescribePortal {
                        outputs: portal.prepared.plan.outputs().cloned(),
                        of: Some(Arc::clone(&portal.prepared)),
                    });
                    self.flush_untold(io);
                    return Ok(Step::Continue);
                }
                if let Some((upstream, outputs)) = self.cursor(named.name) {
                    let upstream = upstream.as_str().as_bytes();
                    to_upstream::describe(io.upstream, Target::Portal, upstream)?;
                    let of = None;
                    self.replies.push(Expected::DescribePortal { outputs, of });
                    self.flush_untold(io);
                    return Ok(Step::Continue);
                }
                missing_portal(named.name)
            }
            Target::Statement => match self.described(named.name, at, io)? {
                Ok(None) => return Ok(Step::Later),
                Ok(Some(prepared)) => {
                    self.waits_for = None;
                    self.describe_statement(&prepared, true, io)?;
                    self.flush_untold(io);
                    return Ok(Step::Continue);
                }
                Err(refusal) => refusal,
            },
        };
        self.refuse_named(&refusal, named.name, io)?;
        Ok(Step::Continue)
    }

    /// A cursor's upstream name and what its rows need. SQL's DECLARE makes portals too: psycopg
    /// describes its cursors before it fetches from them.
    fn cursor(&self, name: &[u8]) -> Option<(Ident, Outputs)> {
        let cursor = self.speculative.cursors.get(&ident(name).ok()?)?;
        Some((cursor.upstream.clone(), cursor.plan.outputs().cloned()))
    }

    /// A statement to be described; one made by SQL's PREPARE has no details yet.
    fn described(
        &mut self,
        name: &[u8],
        at: &Moment<'_>,
        io: &mut Io<'_>,
    ) -> Result<Result<Option<Arc<Prepared>>, Refusal>, Fatal> {
        let known = match ident(name) {
            Ok(name) if self.replies.leaves_open(&name) => return Ok(Ok(None)),
            Ok(name) => match self.speculative.prepared.get(&name) {
                Some(entry) => entry.clone(),
                None => return Ok(Err(missing_statement(&name))),
            },
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !self.still_means(&known.plan) {
            return self.prepared(name, at, io);
        }
        Ok(Ok(Some(self.details_of(known))))
    }

    /// What the extended protocol knows of a statement; one made by SQL's PREPARE has no details until
    /// it is asked for, and again after it was renewed.
    pub(super) fn details_of(&mut self, entry: PreparedEntry) -> Arc<Prepared> {
        let known = self.details.get(&entry.upstream);
        if let Some(known) = known
            && (known.types.is_some() || Arc::ptr_eq(&known.plan, &entry.plan))
        {
            return Arc::clone(known);
        }
        let prepared = match known {
            Some(known) => known.renewed(&entry.plan, entry.search_path),
            None => Prepared {
                upstream: entry.upstream.clone(),
                plan: entry.plan,
                types: None,
                source: entry.source,
                search_path: entry.search_path,
                shape: Arc::new(OnceLock::new()),
                parameters: Arc::new(OnceLock::new()),
                told: None,
                changed: OnceLock::new(),
                remembered: Mutex::default(),
            },
        };
        let prepared = Arc::new(prepared);
        self.details.insert(entry.upstream, Arc::clone(&prepared));
        prepared
    }
}
