//! Statements of SQL that drop prepared statements: `DEALLOCATE name` is answered here, or drops one made
//! for it; behind others the client waits.

use super::Link;
use super::walk::Walk;
use crate::pooling::expected::Due;
use crate::pooling::statements::{self, GONE};
use crate::pooling::words::{Item, Words};
use crate::wire::TransactionStatus;
use crate::wire::write::backend as to_client;

impl Link {
    /// The name in `DEALLOCATE name`, if it is, or by an answer that is due may be, that of a statement of
    /// the protocol.
    pub(super) fn dropped(&self, body: &[u8]) -> Option<Vec<u8>> {
        let name = deallocated(statements::text(body))?;
        (self.names.contains_key(name.as_slice()) || self.depends(&name)).then_some(name)
    }

    /// A Query of that kind, as some drivers send it, is answered here: the connection at hand may never
    /// have known the statement.
    pub(super) fn deallocate(&mut self, name: &[u8], reply: &mut Vec<u8>) -> bool {
        if self.open || self.copying || self.failed || !self.expected.is_empty() {
            return false;
        }
        if self.names.remove(name).is_none() {
            return false;
        }
        let mut out = bytes::BytesMut::new();
        let status = if self.in_transaction {
            TransactionStatus::InTransaction
        } else {
            TransactionStatus::Idle
        };
        if to_client::command_complete(&mut out, "DEALLOCATE").is_err() {
            return false;
        }
        to_client::ready(&mut out, status);
        reply.extend_from_slice(&out);
        true
    }

    /// An unnamed Parse of that kind: what goes on in its place drops a statement made for that, under a
    /// name of its own, whatever the connection holds. The client's is forgotten.
    pub(super) fn drop_by_sql(
        &mut self,
        name: Vec<u8>,
        walk: &mut Walk<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Vec<u8>> {
        let statement = self.names.remove(name.as_slice())?;
        walk.flush(out);
        statements::close(GONE, out);
        self.expected.push(Due::Dropped(name.into(), statement));
        // No statement has this number.
        statements::parse(GONE, b"\0\0\0", out);
        self.expected.push(Due::Made(u64::MAX));
        Some([b"DEALLOCATE ", GONE, b"\0\0\0"].concat())
    }
}

/// Does the text drop prepared statements, or may it?
pub(super) fn drops_statements(text: &[u8]) -> bool {
    let drops: [&[u8]; 2] = [b"deallocate", b"discard"];
    Words::new(text).any(|item| match item {
        Item::Word(word) => drops.iter().any(|d| word.eq_ignore_ascii_case(d)),
        _ => false,
    })
}

/// The name in `DEALLOCATE [PREPARE] name`, folded as PostgreSQL does.
fn deallocated(text: &[u8]) -> Option<Vec<u8>> {
    let mut words = Words::new(text);
    let is = |item: &Item<'_>, word: &str| matches!(item, Item::Word(w) if w.eq_ignore_ascii_case(word.as_bytes()));
    if !is(&words.next()?, "deallocate") {
        return None;
    }
    let mut name = words.next()?;
    if is(&name, "prepare") {
        name = words.next()?;
    }
    let name = match name {
        Item::Word(word) if word.eq_ignore_ascii_case(b"all") => return None,
        Item::Word(word) => word.to_ascii_lowercase(),
        Item::Quoted(name, true) => name.to_vec(),
        Item::Quoted(name, false) => String::from_utf8_lossy(name).replace("\"\"", "\"").into(),
        _ => return None,
    };
    matches!(words.next(), None | Some(Item::Semicolon))
        .then_some(name)
        .filter(|_| words.next().is_none())
}
