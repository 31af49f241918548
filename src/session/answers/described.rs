//! What PostgreSQL says of a statement's parameters and rows, before there are any: it must be what the
//! plan said, and goes to the client in the plan's words.

use std::sync::Arc;

use bytes::Bytes;

use super::super::prepared::Prepared;
use super::super::replies::{Expected, Sent};
use super::super::rows::{self, Rows};
use super::super::{Fatal, Io, Session, to_client};
use super::{malformed, unexpected};
use crate::mask::OutputRule;
use crate::pg::{Oid, sqlstate};
use crate::wire::{Report, RowDescription};

impl Session {
    pub(in crate::session) fn on_description(
        &mut self,
        body: Option<&[u8]>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let start = io.client.len();
        let (fits, of) = match self.replies.head() {
            Some(Expected::Query {
                running,
                failed: false,
                sent,
                ..
            }) => {
                let running = running.front_mut().ok_or_else(unexpected)?;
                if *sent != Sent::Query && body.is_none() && running.plan.outputs().is_none() {
                    return Ok(());
                }
                let outputs = running.plan.outputs().ok_or_else(unexpected)?;
                let body = body.ok_or_else(unexpected)?;
                // A catalog that moved shows here first. The statement's own checks fail next; until
                // they do, no row has a place to go.
                let latest = self.latest.of(&running.plan);
                if let Ok(rows) = latest.describe(outputs, body, io.client) {
                    running.rows = Some(rows);
                } else {
                    RowDescription::read(body).map_err(|_| malformed())?;
                    self.moved = true;
                    self.misfit = true;
                }
                return Ok(());
            }
            Some(Expected::DescribeStatement {
                prepared,
                visible,
                parameters: true,
            }) => {
                // A second Describe of the same statement: PostgreSQL itself keeps the shape fixed.
                drop(prepared.shape.set(body.map(Bytes::copy_from_slice)));
                let visible = *visible;
                let fits = fits(body, prepared.plan.outputs(), |outputs, body| {
                    Rows::new(outputs, body)?;
                    if visible {
                        rows::describe(outputs, body, io.client)?;
                    }
                    Ok(())
                });
                if visible && body.is_none() {
                    to_client::no_data(io.client);
                }
                (fits, Some(Arc::clone(prepared)))
            }
            Some(Expected::DescribePortal { outputs, of }) => {
                let fits = fits(body, outputs.as_ref(), |outputs, body| {
                    if let Some(prepared) = of {
                        return prepared.describe(outputs, body, io.client);
                    }
                    Rows::new(outputs, body)?;
                    rows::describe(outputs, body, io.client)
                });
                if body.is_none() {
                    to_client::no_data(io.client);
                }
                (fits, of.clone())
            }
            _ => return Err(unexpected()),
        };
        self.replies.pop();
        if fits {
            return Ok(());
        }
        io.client.truncate(start);
        if let Some(body) = body {
            RowDescription::read(body).map_err(|_| malformed())?;
        }
        self.on_misfit(of.as_ref(), io)
    }

    /// A statement is complete, and may not be if the client was not told of its result.
    pub(super) fn was_described(&self) -> Result<(), Fatal> {
        if self.misfit {
            return Err(rows::shape());
        }
        Ok(())
    }

    /// What PostgreSQL described is not what was planned: its catalog is another by now.
    fn on_misfit(&mut self, of: Option<&Arc<Prepared>>, io: &mut Io<'_>) -> Result<(), Fatal> {
        self.moved = true;
        match (self.replies.executes(), of) {
            // Its own checks fail then; until they do, no row has a place to go.
            (Some(next), Some(of)) if Arc::ptr_eq(next, of) => {
                self.misfit = true;
                Ok(())
            }
            // PostgreSQL sees no error, and would do what the client takes for skipped.
            (Some(_), _) => Err(Fatal {
                sqlstate: sqlstate::SERIALIZATION_FAILURE,
                message: CHANGED,
            }),
            (None, _) => {
                let report = Report::error(sqlstate::SERIALIZATION_FAILURE, CHANGED);
                to_client::error(io.client, &report);
                self.failed = true;
                self.unheard = true;
                self.skipping = !self.replies.skip_to_sync();
                Ok(())
            }
        }
    }

    pub(in crate::session) fn on_parameters(
        &mut self,
        types: &[Oid],
        whole: &[u8],
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        match self.replies.head() {
            Some(Expected::DescribeStatement {
                prepared,
                visible,
                parameters: parameters @ false,
            }) => {
                *parameters = true;
                let own = match prepared.plan.parameters() {
                    None => None,
                    Some(own) => {
                        let told = own.describe(prepared.declared(), types);
                        Some(told.ok_or_else(unexpected)?)
                    }
                };
                // A second Describe tells the same.
                drop(
                    prepared
                        .parameters
                        .set(own.clone().unwrap_or_else(|| types.to_vec())),
                );
                match own {
                    _ if !*visible => {}
                    None => io.client.extend_from_slice(whole),
                    Some(own) => to_client::parameter_description(io.client, &own)?,
                }
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }
}

const CHANGED: &str = "a relation of this statement was changed while it was prepared";

/// Is the result that is described the one that was planned? That there is none fits always: what is
/// executed has its rows checked by the plan.
fn fits(
    body: Option<&[u8]>,
    outputs: Option<&Arc<[OutputRule]>>,
    describe: impl FnOnce(&Arc<[OutputRule]>, &[u8]) -> Result<(), Fatal>,
) -> bool {
    match (body, outputs) {
        (Some(body), Some(outputs)) => describe(outputs, body).is_ok(),
        (Some(_), None) => false,
        (None, _) => true,
    }
}
