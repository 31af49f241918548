//! Request: what can be written to PostgreSQL.
//!
//! Statements come from a [`Plan`] or from the proxy's own [`SqlText`]; everything else refers to what
//! such a statement made. Deliberately absent: a constructor that takes a restricted client's bytes.

use bytes::{Bytes, BytesMut};

use crate::plan::Plan;
use crate::sql::SqlText;
use crate::wire::WriteError;
use crate::wire::frontend::{Bind, Target};
use crate::wire::write::frontend as write;

/// Whole messages on their way to PostgreSQL.
#[derive(Clone)]
pub struct Request(Bytes);

impl Request {
    fn build(
        write: impl FnOnce(&mut BytesMut) -> Result<(), WriteError>,
    ) -> Result<Self, WriteError> {
        let mut out = BytesMut::new();
        write(&mut out)?;
        Ok(Self(out.freeze()))
    }

    /// Query
    pub fn query(plan: &Plan) -> Result<Self, WriteError> {
        Self::query_text(plan.sql())
    }

    /// Query, with a text the proxy made itself.
    pub fn query_text(sql: &SqlText) -> Result<Self, WriteError> {
        Self::build(|out| write::query(out, sql.as_str()))
    }

    /// Parse, under a name the proxy made.
    pub fn parse(upstream_name: &str, plan: &Plan, types: &[u32]) -> Result<Self, WriteError> {
        Self::parse_text(upstream_name, plan.sql(), types)
    }

    /// Parse, with a text the proxy made itself.
    pub fn parse_text(
        upstream_name: &str,
        sql: &SqlText,
        types: &[u32],
    ) -> Result<Self, WriteError> {
        Self::build(|out| write::parse(out, upstream_name.as_bytes(), sql.as_str(), types))
    }

    /// Bind, under names the proxy made, with the parameters and formats of a client's Bind.
    pub fn bind(portal: &str, statement: &str, bind: &Bind<'_>) -> Result<Self, WriteError> {
        Self::build(|out| write::bind_raw(out, portal.as_bytes(), statement.as_bytes(), bind.raw))
    }

    /// Describe
    pub fn describe(kind: Target, name: &str) -> Result<Self, WriteError> {
        Self::build(|out| write::describe(out, kind, name.as_bytes()))
    }

    /// Execute; zero rows means all of them.
    pub fn execute(portal: &str, max_rows: i32) -> Result<Self, WriteError> {
        Self::build(|out| write::execute(out, portal.as_bytes(), max_rows))
    }

    /// Close
    pub fn close(kind: Target, name: &str) -> Result<Self, WriteError> {
        Self::build(|out| write::close(out, kind, name.as_bytes()))
    }

    /// CopyData of a COPY FROM STDIN that a plan began.
    pub fn copy_data(data: &[u8]) -> Result<Self, WriteError> {
        Self::build(|out| write::copy_data(out, data))
    }

    /// CopyFail, with the proxy's own reason.
    pub fn copy_fail(reason: &'static str) -> Result<Self, WriteError> {
        Self::build(|out| write::copy_fail(out, reason))
    }

    fn fixed(write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut out = BytesMut::new();
        write(&mut out);
        Self(out.freeze())
    }

    /// CopyDone
    pub fn copy_done() -> Self {
        Self::fixed(write::copy_done)
    }

    /// Sync
    pub fn sync() -> Self {
        Self::fixed(write::sync)
    }

    /// Flush
    pub fn flush() -> Self {
        Self::fixed(write::flush)
    }

    /// Terminate
    pub fn terminate() -> Self {
        Self::fixed(write::terminate)
    }

    /// An unrestricted client's own messages, whole; `None` for any plan that is not verbatim.
    pub fn verbatim(frames: Bytes, plan: &Plan) -> Option<Self> {
        plan.is_verbatim().then_some(Self(frames))
    }

    /// The bytes to write.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to write, to put several requests into one write.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}
