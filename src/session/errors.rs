//! Errors and notices on their way to the client: sanitized, or the proxy's own.
//!
//! Deliberately absent: what they may say (`diagnostic`), and what they do to the session (`answers`).

use super::diagnostic::{self, Fields};
use super::{Fatal, Io, Session, to_client};
use crate::wire::{Diagnostic, Report, backend};

impl Session {
    /// Why the proxy made PostgreSQL fail, if it did.
    pub(super) fn own_error(&mut self, fields: &Fields<'_>, io: &mut Io<'_>) -> Result<(), Fatal> {
        match self.copy_fault.take() {
            Some(fault) => {
                let report = Report {
                    detail: fault.detail.as_deref(),
                    hint: fault.hint.as_deref(),
                    ..Report::error(fault.sqlstate, &fault.message)
                };
                to_client::error(io.client, &report);
                Ok(())
            }
            None => self.error_to_client(fields, io),
        }
    }

    pub(super) fn error_to_client(
        &self,
        fields: &Fields<'_>,
        io: &mut Io<'_>,
    ) -> Result<(), Fatal> {
        let path = self.confirmed.settings.search_path();
        let sanitized = diagnostic::error(fields, path.schemas());
        let fields = sanitized
            .iter()
            .map(|(code, text)| (*code, text.as_bytes()));
        crate::wire::write::backend::diagnostic_fields(io.client, backend::ERROR, fields)?;
        Ok(())
    }
}

pub(super) fn fields<'a>(diagnostic: &Diagnostic<'a>) -> Fields<'a> {
    let mut fields = Fields::default();
    for (code, value) in diagnostic.iter() {
        if let Ok(value) = crate::wire::utf8(value) {
            fields.set(code, value);
        }
    }
    fields
}

pub(super) fn notice_to_client(notice: &Diagnostic<'_>, io: &mut Io<'_>) -> Result<(), Fatal> {
    if let Some(sanitized) = diagnostic::notice(&fields(notice)) {
        let fields = sanitized
            .iter()
            .map(|(code, text)| (*code, text.as_bytes()));
        crate::wire::write::backend::diagnostic_fields(io.client, backend::NOTICE, fields)?;
    }
    Ok(())
}
