//! Prepared statements as clients made them, each text and its types once for all who prepare it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes};
use dashmap::DashMap;

use super::residue::{Residue, residue};
use super::routines::Routines;
use super::words;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::frontend;

/// Names of the proxy's own statements begin so; a client's that do are kept apart from them.
pub(super) const PREFIX: &[u8] = b"pgveil_s";

/// A name no connection knows.
pub(super) const NOWHERE: &[u8] = b"pgveil_s0";

/// A name of a statement that is made to be deallocated.
pub(super) const GONE: &[u8] = b"pgveil_gone";

/// One text with its parameter types.
pub struct Statement {
    /// Unique in the process.
    pub(super) id: u64,
    /// Its name on every connection that knows it.
    pub(super) name: Box<[u8]>,
    /// The body of its Parse behind the name: text, NUL, types.
    pub(super) body: Bytes,
    /// Where it is kept for others, if it is.
    key: Option<Bytes>,
    /// What running it may leave behind, by the routines of this version: version and bits.
    judged: AtomicU64,
    /// Names of settings it may set that the server does not list.
    pub(super) hidden: Box<[String]>,
}

impl Statement {
    /// What running it may leave behind.
    pub(super) fn residue(&self, routines: &Routines) -> Residue {
        let judged = self.judged.load(Ordering::Relaxed);
        let [bits, version @ ..] = judged.to_le_bytes();
        if version == routines.version() {
            return Residue::from_bits(bits);
        }
        let found = residue(self.text(), routines, &mut |_| {});
        self.judge(found, routines);
        found
    }

    fn judge(&self, found: Residue, routines: &Routines) {
        let [a, b, c, d, e, f, g] = routines.version();
        let judged = u64::from_le_bytes([found.bits(), a, b, c, d, e, f, g]);
        self.judged.store(judged, Ordering::Relaxed);
    }

    /// Its text.
    pub(super) fn text(&self) -> &[u8] {
        text(&self.body)
    }

    /// Appends its Parse, under the name `name`.
    pub(super) fn parse(&self, name: &[u8], out: &mut Vec<u8>) {
        parse(name, &self.body, out);
    }
}

/// The text at the front of a Parse's body behind the name.
pub(super) fn text(body: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, body).unwrap_or(body.len());
    body.get(..end).unwrap_or_default()
}

/// Appends a Parse.
pub(super) fn parse(name: &[u8], body: &[u8], out: &mut Vec<u8>) {
    head(
        frontend::PARSE,
        name.len().saturating_add(1).saturating_add(body.len()),
        out,
    );
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(body);
}

/// Appends a Close of a statement.
pub(super) fn close(name: &[u8], out: &mut Vec<u8>) {
    head(frontend::CLOSE, name.len().saturating_add(2), out);
    out.push(b'S');
    out.extend_from_slice(name);
    out.push(0);
}

/// Appends the header of a message with a body of that length. (Bodies are cut from messages that
/// arrived whole: their lengths fit.)
pub(super) fn head(tag: u8, body: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(body.saturating_add(HEADER_BYTES).saturating_sub(1));
    out.put_u8(tag);
    out.put_u32(length.unwrap_or(u32::MAX));
}

/// The name of a statement on the connections that know it.
pub(super) fn name(id: u64) -> Box<[u8]> {
    [PREFIX, id.to_string().as_bytes()]
        .concat()
        .into_boxed_slice()
}

/// The number in a name of the proxy's own.
pub(super) fn number(name: &[u8]) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// May a connection hold a statement of the proxy's own under this name?
pub(super) fn is_own(name: &[u8]) -> bool {
    name.starts_with(PREFIX)
}

/// All statements that clients of the process have prepared; those of nobody are kept as long as there
/// are few: a connection that holds one may be asked for it again.
pub struct Statements {
    known: DashMap<Bytes, Arc<Statement>>,
    next: AtomicU64,
    /// How many entries there may be before those of nobody are thrown out.
    sweep: AtomicU64,
}

/// Fewer are never swept.
const SWEEP: u64 = 1_024;

impl Default for Statements {
    fn default() -> Self {
        Self {
            known: DashMap::new(),
            next: AtomicU64::new(1),
            sweep: AtomicU64::new(SWEEP),
        }
    }
}

impl Statements {
    /// The statement of this Parse body (behind the name), prepared under these settings: constants in
    /// it were read by them, `'1/2/2026'` by DateStyle.
    pub(super) fn intern(
        &self,
        body: &[u8],
        settings: &[u8],
        routines: &Routines,
    ) -> Arc<Statement> {
        // A Parse ends with its types: no text can pretend to be a setting.
        let key = [settings, body].concat();
        if let Some(known) = self.known.get(key.as_slice()) {
            return Arc::clone(&known);
        }
        // What was the time for one client is not for another.
        if words::tells_time(text(body)) {
            return self.private(body, routines);
        }
        let key = Bytes::from(key);
        let body = key.slice(settings.len()..);
        let statement = Arc::new(self.make(body, Some(key.clone()), routines));
        self.known.insert(key, Arc::clone(&statement));
        self.sweep();
        statement
    }

    /// The same for nobody else: prepared under settings that are not known.
    pub(super) fn private(&self, body: &[u8], routines: &Routines) -> Arc<Statement> {
        Arc::new(self.make(Bytes::copy_from_slice(body), None, routines))
    }

    fn make(&self, body: Bytes, key: Option<Bytes>, routines: &Routines) -> Statement {
        let mut hidden = Vec::new();
        let found = residue(text(&body), routines, &mut |name| {
            hidden.push(name.to_owned());
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let statement = Statement {
            id,
            name: name(id),
            body,
            key,
            judged: AtomicU64::new(0),
            hidden: hidden.into_boxed_slice(),
        };
        statement.judge(found, routines);
        statement
    }

    /// Whoever prepares this text next gets a statement of its own: this one's plan is out of date, and
    /// connections that hold it will go on saying so.
    pub(super) fn retire(&self, statement: &Statement) {
        if let Some(key) = &statement.key {
            self.known
                .remove_if(key, |_, known| known.id == statement.id);
        }
    }

    /// Whoever prepares anything next gets a statement of its own: the catalog is another, and what was
    /// prepared on the old one may have had other columns.
    pub fn outdate(&self) {
        self.known.clear();
    }

    /// Throws out what nobody holds any more, each time the table has doubled.
    fn sweep(&self) {
        let len = u64::try_from(self.known.len()).unwrap_or(u64::MAX);
        if len < self.sweep.load(Ordering::Relaxed) {
            return;
        }
        self.known
            .retain(|_, statement| Arc::strong_count(statement) > 1);
        let left = u64::try_from(self.known.len()).unwrap_or(u64::MAX);
        self.sweep
            .store(left.saturating_mul(2).max(SWEEP), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Statements, is_own, number};
    use crate::pooling::{Residue, Routines};

    #[test]
    fn a_text_with_its_types_is_kept_once() {
        let statements = Statements::default();
        let judge = &Routines::default();
        let a = statements.intern(b"SELECT 1\0\0\0", b"", judge);
        let b = statements.intern(b"SELECT 1\0\0\0", b"", judge);
        let c = statements.intern(b"SELECT 1\0\0\x01\0\0\0\x17", b"", judge);
        assert_eq!((a.id, a.text()), (b.id, &b"SELECT 1"[..]));
        assert_ne!(a.id, c.id);
        let d = statements.intern(b"SELECT 1\0\0\0", b"datestyle\0DMY\0", judge);
        assert_ne!(a.id, d.id);
        assert_eq!(d.text(), b"SELECT 1");
        assert_ne!(statements.private(b"SELECT 1\0\0\0", judge).id, a.id);
        assert_eq!(number(&a.name), Some(a.id));
        assert!(is_own(&a.name) && !is_own(b"s1"));
    }

    #[test]
    fn a_retired_statement_is_not_given_again() {
        let statements = Statements::default();
        let routines = Routines::default();
        let old = statements.intern(b"SELECT 1\0\0\0", b"", &routines);
        statements.retire(&old);
        let new = statements.intern(b"SELECT 1\0\0\0", b"", &routines);
        assert_ne!(old.id, new.id);
        statements.retire(&old);
        assert_eq!(
            statements.intern(b"SELECT 1\0\0\0", b"", &routines).id,
            new.id
        );
    }

    #[test]
    fn it_is_judged_again_when_the_functions_change() {
        let old = Routines::default();
        let new = Routines::new(["f".to_owned()], false);
        let statement = Statements::default().intern(b"SELECT f()\0\0\0", b"", &old);
        assert_eq!(statement.residue(&old), Residue::NONE);
        assert_eq!(statement.residue(&new), Residue::UNSEEN);
        assert_eq!(statement.residue(&old), Residue::NONE);
    }

    #[test]
    fn what_nobody_holds_is_swept() {
        let statements = Statements::default();
        for i in 0..5_000 {
            let body = format!("SELECT {i}\0\0\0");
            drop(statements.intern(body.as_bytes(), b"", &Routines::default()));
        }
        assert!(statements.known.len() <= 1_024);
    }
}
