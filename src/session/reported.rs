//! Settings that are the proxy's own, as the client is told of them: when it is welcomed, and before
//! ReadyForQuery where one has changed, as PostgreSQL reports its own.
//!
//! `search_path` is reported since PostgreSQL 18: of it the client is told where the server reports its own.
//! Deliberately absent: what is PostgreSQL's (`startup` says which of that a client may know).

use bytes::BytesMut;

use super::settings::Settings;
use super::to_client;
use crate::pg::encoding::Encoding;
use crate::wire::WriteError;

/// What the client was last told.
pub(super) struct Reported {
    encoding: Encoding,
    /// `None` where the server does not report it.
    path: Option<String>,
}

impl Reported {
    /// What it is told when it is welcomed.
    pub(super) fn new(settings: &Settings, reports_path: bool) -> Self {
        Self {
            encoding: settings.encoding(),
            path: reports_path.then(|| settings.text().to_owned()),
        }
    }

    /// Tells of what has changed; what is written is UTF-8.
    pub(super) fn tell(
        &mut self,
        settings: &Settings,
        out: &mut BytesMut,
    ) -> Result<(), WriteError> {
        let encoding = settings.encoding();
        if encoding != self.encoding {
            self.encoding = encoding;
            to_client::parameter_status(out, "client_encoding", encoding.name())?;
        }
        if let Some(path) = &mut self.path
            && path != settings.text()
        {
            settings.text().clone_into(path);
            to_client::parameter_status(out, "search_path", path)?;
        }
        Ok(())
    }
}

/// A setting's value as a client is welcomed with it: its own where PostgreSQL's is a pin.
pub fn at_welcome(
    (path, encoding): (&str, Encoding),
    (name, value): (&str, &str),
) -> Option<Vec<u8>> {
    match name {
        "client_encoding" => Some(encoding.name().into()),
        "search_path" => Some(encoding.encode_lossy(path)),
        name => super::is_reported(name).then(|| value.into()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::settings::Settings;
    use super::{Reported, at_welcome};
    use crate::ident::Ident;
    use crate::pg::encoding::Encoding;
    use crate::wire::backend::ParameterStatus;
    use crate::wire::frame::{Limits, frames};

    fn path(names: &[&str]) -> Vec<Ident> {
        names.iter().map(|n| Ident::exact(n)).collect()
    }

    fn told(reported: &mut Reported, settings: &Settings) -> Vec<(String, String)> {
        let mut out = BytesMut::new();
        reported.tell(settings, &mut out).unwrap();
        let read = |frame: crate::wire::frame::Frame<'_>| {
            let status = ParameterStatus::read(frame.body()).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(status.name), text(status.value))
        };
        let all = frames(&out, &Limits::BACKEND);
        all.map(|frame| read(frame.unwrap())).collect()
    }

    #[test]
    fn the_clients_own_path_is_reported_where_the_server_reports_its_own() {
        let start = "\"$user\",public";
        let mut settings = Settings::new(start, Encoding::utf8(), Ident::exact("bob"));
        let (mut new, mut old) = (
            Reported::new(&settings, true),
            Reported::new(&settings, false),
        );
        assert!(told(&mut new, &settings).is_empty());
        settings.set(false, Some(path(&["a", "B c"])), None);
        let changed = [("search_path".to_owned(), "a, \"B c\"".to_owned())];
        assert_eq!(told(&mut new, &settings), changed);
        assert!(told(&mut new, &settings).is_empty());
        assert!(told(&mut old, &settings).is_empty());
        settings.rollback();
        let back = [("search_path".to_owned(), start.to_owned())];
        assert_eq!(told(&mut new, &settings), back);
        assert!(told(&mut old, &settings).is_empty());
    }

    #[test]
    fn a_pin_is_shown_to_nobody() {
        let (start, latin1) = ("a, \"é\"", Encoding::by_name("LATIN1").unwrap());
        let shown = |name, value| at_welcome((start, latin1), (name, value));
        let own = shown("search_path", "pg_catalog, pg_temp");
        assert_eq!(own.unwrap(), b"a, \"\xe9\"");
        assert_eq!(shown("client_encoding", "UTF8").unwrap(), b"LATIN1");
        assert_eq!(shown("TimeZone", "UTC").unwrap(), b"UTC");
        assert_eq!(shown("transform_null_equals", "off"), None);
    }
}
