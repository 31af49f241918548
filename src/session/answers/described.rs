//! What PostgreSQL says of a statement's parameters and rows, before there are any: it must be what the
//! plan said, and goes to the client in the plan's words.

use bytes::Bytes;

use super::super::replies::Expected;
use super::super::rows::{self, Rows};
use super::super::{Fatal, Io, Session, to_client};
use super::{malformed, unexpected};
use crate::pg::Oid;
use crate::wire::RowDescription;

impl Session {
    pub(in crate::session) fn on_description(
        &mut self,
        body: Option<&[u8]>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        match self.replies.head() {
            Some(Expected::Query {
                running,
                failed: false,
                ..
            }) => {
                let running = running.front_mut().ok_or_else(unexpected)?;
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
                }
                return Ok(());
            }
            Some(Expected::DescribeStatement {
                prepared,
                visible,
                parameters: true,
            }) => {
                let described = match (body, prepared.plan.outputs()) {
                    (Some(body), Some(outputs)) => {
                        Rows::new(outputs, body)?;
                        Some((body, outputs))
                    }
                    (None, None) => None,
                    _ => return Err(unexpected()),
                };
                let kept = body.map(Bytes::copy_from_slice);
                // A second Describe of the same statement: PostgreSQL itself keeps the shape fixed.
                drop(prepared.shape.set(kept));
                if *visible {
                    match described {
                        Some((body, outputs)) => rows::describe(outputs, body, io.client)?,
                        None => to_client::no_data(io.client),
                    }
                }
            }
            Some(Expected::DescribePortal { outputs, of }) => match (body, outputs) {
                (Some(body), Some(outputs)) => {
                    if let Some(prepared) = of {
                        prepared.describe(outputs, body, io.client)?;
                    } else {
                        Rows::new(outputs, body)?;
                        rows::describe(outputs, body, io.client)?;
                    }
                }
                (None, None) => to_client::no_data(io.client),
                _ => return Err(unexpected()),
            },
            _ => return Err(unexpected()),
        }
        self.replies.pop();
        Ok(())
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
