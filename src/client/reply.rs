//! Reply: what can be written to a client.
//!
//! Made of things that hold no value of the database, of PostgreSQL's value-free messages, or, for an
//! unrestricted role's plan, of what PostgreSQL sent. Rows of a restricted role come from the masker.
//! Deliberately absent: a constructor that takes bytes and asks for nothing.

use bytes::{Bytes, BytesMut};

use crate::plan::Plan;
use crate::wire::row::Field;
use crate::wire::write::backend as write;
use crate::wire::{Report, TransactionStatus, WriteError};

/// Whole messages on their way to a client.
#[derive(Default)]
pub struct Reply(BytesMut);

impl Reply {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the end of authentication.
    pub(super) fn authenticated(end: BytesMut) -> Self {
        Self(end)
    }

    /// An error of the proxy's own.
    #[must_use]
    pub fn error(mut self, report: &Report<'_>) -> Self {
        write::error(&mut self.0, report);
        self
    }

    /// A notice of the proxy's own.
    #[must_use]
    pub fn notice(mut self, report: &Report<'_>) -> Self {
        write::notice(&mut self.0, report);
        self
    }

    /// ReadyForQuery
    #[must_use]
    pub fn ready(mut self, status: TransactionStatus) -> Self {
        write::ready(&mut self.0, status);
        self
    }

    /// CommandComplete of a command the proxy answered itself.
    pub fn command_complete(mut self, tag: &'static str) -> Result<Self, WriteError> {
        write::command_complete(&mut self.0, tag)?;
        Ok(self)
    }

    /// ParseComplete
    #[must_use]
    pub fn parse_complete(mut self) -> Self {
        write::parse_complete(&mut self.0);
        self
    }

    /// BindComplete
    #[must_use]
    pub fn bind_complete(mut self) -> Self {
        write::bind_complete(&mut self.0);
        self
    }

    /// CloseComplete
    #[must_use]
    pub fn close_complete(mut self) -> Self {
        write::close_complete(&mut self.0);
        self
    }

    /// NoData
    #[must_use]
    pub fn no_data(mut self) -> Self {
        write::no_data(&mut self.0);
        self
    }

    /// ParameterDescription of a command without parameters.
    pub fn no_parameters(mut self) -> Result<Self, WriteError> {
        write::parameter_description(&mut self.0, &[])?;
        Ok(self)
    }

    /// PortalSuspended
    #[must_use]
    pub fn portal_suspended(mut self) -> Self {
        write::portal_suspended(&mut self.0);
        self
    }

    /// RowDescription of what the proxy answers of itself.
    pub fn own_columns(mut self, fields: &[Field<'_>]) -> Result<Self, WriteError> {
        write::row_description(&mut self.0, fields)?;
        Ok(self)
    }

    /// A row of what the proxy answers of itself: names and counts, and no value of the database. For
    /// the console alone; the repository's own tests hold it to that.
    pub fn own_row<'v>(
        mut self,
        values: impl ExactSizeIterator<Item = Option<&'v [u8]>>,
    ) -> Result<Self, WriteError> {
        write::data_row(&mut self.0, values)?;
        Ok(self)
    }

    /// EmptyQueryResponse
    #[must_use]
    pub fn empty_query(mut self) -> Self {
        write::empty_query(&mut self.0);
        self
    }

    /// What ends authentication, up to ReadyForQuery: AuthenticationOk, the settings, the cancel key.
    pub fn welcome<'p>(
        mut self,
        parameters: impl IntoIterator<Item = (&'p str, impl AsRef<[u8]>)>,
        pid: i32,
        key: &[u8],
    ) -> Result<Self, WriteError> {
        write::authentication_ok(&mut self.0);
        for (name, value) in parameters {
            write::raw_parameter_status(&mut self.0, name.as_bytes(), value.as_ref())?;
        }
        write::backend_key_data(&mut self.0, pid, key)?;
        Ok(self)
    }

    /// PostgreSQL's own notices, whole, for a plan without masks; `None` for any other plan.
    pub fn notices(mut self, frames: &[u8], plan: &Plan) -> Option<Self> {
        self.0.extend_from_slice(frames);
        plan.is_verbatim().then_some(self)
    }

    /// PostgreSQL's own bytes, for a plan without masks; `None` for any other plan.
    pub fn verbatim(bytes: BytesMut, plan: &Plan) -> Option<Self> {
        plan.is_verbatim().then_some(Self(bytes))
    }

    /// The bytes to write.
    pub fn into_bytes(self) -> Bytes {
        self.0.freeze()
    }
}
