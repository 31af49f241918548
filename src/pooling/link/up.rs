//! From the client: names of prepared statements become those of the connection, and statements are made
//! where they are missed.

use std::sync::Arc;

use super::deallocate::drops_statements;
use super::front::{cstr, missing, names};
use super::walk::Walk;
use super::{Link, LinkError, Taken, Unnamed, Upward};
use crate::limits;
use crate::pooling::expected::Due;
use crate::pooling::known::{Known, Missing};
use crate::pooling::residue::{Residue, residue};
use crate::pooling::routines::Routines;
use crate::pooling::statements::{self, NOWHERE, Statement};
use crate::wire::frame::{HEADER_BYTES, Limits, body};
use crate::wire::frontend;

/// Functions of large objects (`pg_proc.dat`), which drivers call by number: what they open is closed
/// with the transaction.
const LARGE_OBJECTS: [u32; 16] = [
    715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172,
];

impl Link {
    /// Takes what the client sent. If `same` is false, `out` holds what goes to the server instead.
    /// `reply` takes what the client is answered at once.
    pub fn take_client(
        &mut self,
        bytes: &[u8],
        at: &mut Upward<'_>,
        out: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<Taken, LinkError> {
        let mut walk = Walk::new(bytes, &mut self.up_left);
        let (mut left, mut queries) = (false, 0_u64);
        while let Some((tag, total)) = walk.next(Limits::FRONTEND).map_err(|_| LinkError::Client)? {
            if tag == frontend::TERMINATE {
                left = true;
                break;
            }
            if !self.client_message(tag, total, &mut walk, at, out, reply)? {
                break;
            }
            let query = matches!(
                tag,
                frontend::QUERY | frontend::EXECUTE | frontend::FUNCTION_CALL
            );
            queries = queries.saturating_add(u64::from(query));
        }
        let (used, same) = walk.finish(&mut self.up_left, out);
        Ok(Taken {
            used,
            same,
            left,
            queries,
        })
    }

    /// One message of the client; false if more of it has to come first.
    fn client_message(
        &mut self,
        tag: u8,
        total: usize,
        walk: &mut Walk<'_>,
        at: &mut Upward<'_>,
        out: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<bool, LinkError> {
        let rest = walk.rest();
        let whole = rest.get(..total).map(body);
        let named = matches!(
            tag,
            frontend::PARSE | frontend::BIND | frontend::DESCRIBE | frontend::CLOSE
        );
        if !self.is_settled(tag, walk, out) {
            return Ok(false);
        }
        if named && self.drops {
            if self.later() {
                return Ok(false);
            }
            self.drops = false;
        }
        match tag {
            frontend::QUERY | frontend::FUNCTION_CALL if self.skipping => {}
            frontend::QUERY => {
                match whole {
                    Some(text) => {
                        if let Some(name) = self.dropped(text) {
                            if self.later() {
                                return Ok(false);
                            }
                            if self.deallocate(&name, reply) {
                                walk.replace(total, out);
                                return Ok(true);
                            }
                        }
                        let text = statements::text(text);
                        let found = self.judge(text, at.routines);
                        self.drops |= found.has(Residue::STATE) && drops_statements(text);
                    }
                    None if total > limits::READ_WHOLE_BYTES => self.note(Residue::UNSEEN),
                    None => return Ok(false),
                }
                self.reach(walk, out);
                self.unnamed = None;
                self.open = false;
                self.expected.push(Due::Query);
            }
            frontend::PARSE => {
                let Some(body) = whole else { return Ok(false) };
                let (name, rest) = cstr(body)?;
                return Ok(self.parse(name, rest, total, walk, at, out));
            }
            frontend::BIND => {
                let Some(names) = names(rest, total) else {
                    return missing(whole);
                };
                return Ok(self.bind(names, total, walk, at, out));
            }
            frontend::DESCRIBE | frontend::CLOSE => {
                let Some(body) = whole else { return Ok(false) };
                return self.named(tag, body, total, walk, at, out);
            }
            frontend::SYNC => self.synced(),
            frontend::FUNCTION_CALL => {
                let Some(oid) = rest.get(HEADER_BYTES..).and_then(<[u8]>::first_chunk) else {
                    return missing(whole);
                };
                if !LARGE_OBJECTS.contains(&u32::from_be_bytes(*oid)) {
                    self.note(Residue::UNSEEN);
                }
                self.reach(walk, out);
                self.open = false;
                self.expected.push(Due::Query);
            }
            frontend::COPY_DONE | frontend::COPY_FAIL => {
                walk.pass(total);
                self.copy_ends(walk, out);
                return Ok(true);
            }
            frontend::COPY_DATA => self.ahead |= self.open && !self.copying,
            _ => self.open = true,
        }
        walk.pass(total);
        Ok(true)
    }

    fn judge(&mut self, text: &[u8], routines: &Routines) -> Residue {
        let hidden = &mut self.hidden;
        let found = residue(text, routines, &mut |name| remember(hidden, name));
        self.note(found);
        self.note_unreadable();
        found
    }

    /// What comes next has to wait for answers, if any are due.
    pub(super) fn later(&mut self) -> bool {
        self.waits = self.is_owed();
        self.waits
    }

    /// A Query or a function call in a segment that no Sync has closed.
    fn reach(&mut self, walk: &mut Walk<'_>, out: &mut Vec<u8>) {
        if self.open && !self.copying {
            walk.flush(out);
            statements::close(NOWHERE, out);
            self.expected.push(Due::Reached);
        }
    }

    fn note_unreadable(&mut self) {
        if self.unreadable {
            self.note(Residue::UNSEEN);
        }
    }

    /// False if it has to wait.
    fn parse(
        &mut self,
        name: &[u8],
        text: &[u8],
        total: usize,
        walk: &mut Walk<'_>,
        at: &mut Upward<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        if name.is_empty() {
            let dropped = self.dropped(text);
            if dropped.is_some() && self.later() {
                return false;
            }
            let dropping = dropped.and_then(|name| self.drop_by_sql(name, walk, out));
            self.open = true;
            let mut hidden = Vec::new();
            let remember = &mut |name: &str| remember(&mut hidden, name);
            let residue = residue(statements::text(text), at.routines, remember);
            let sent = dropping.as_deref().unwrap_or(text);
            let mut kept = self.unnamed.take().map_or_else(Vec::new, |old| old.body);
            kept.clear();
            kept.extend_from_slice(sent);
            self.unnamed = Some(Unnamed {
                body: kept,
                residue,
                hidden,
            });
            self.unnamed_here = true;
            self.expected.push(Due::Passed);
            match dropping {
                Some(sent) => {
                    walk.replace(total, out);
                    statements::parse(b"", &sent, out);
                }
                None => walk.pass(total),
            }
            return true;
        }
        if self.depends(name) && self.later() {
            return false;
        }
        if let Some(taken) = self.statement(name, at) {
            self.open = true;
            // PostgreSQL says that the name is taken, in its own words.
            walk.replace(total, out);
            self.make(&taken, at.known, out);
            statements::parse(&taken.name, text, out);
            self.expected.push(Due::Doomed);
            return true;
        }
        let statement = if self.altered {
            at.statements.private(text, at.routines)
        } else {
            at.statements.intern(text, &self.settings, at.routines)
        };
        if self.expected.is_open(name, Some(statement.id)) && self.later() {
            return false;
        }
        self.open = true;
        walk.replace(total, out);
        match at.known.touch(&statement) {
            // Where a transaction is aborted it is an error to parse most of them.
            Missing::Nothing if self.failed || self.expected.is_owed() => {
                statement.parse(NOWHERE, out);
                self.expected.push(Due::Here(name.into()));
                statements::close(NOWHERE, out);
                self.expected.push(Due::Reached);
            }
            Missing::Nothing => {
                statements::close(NOWHERE, out);
                self.expected.push(Due::Here(name.into()));
            }
            missing => {
                self.evict(&missing, out);
                statement.parse(&statement.name, out);
                self.expected.push(Due::Parsed(name.into(), statement.id));
            }
        }
        self.names.insert(name.into(), statement);
        true
    }

    /// The client's statement of this name. One that would have to be made while settings may not be
    /// those it is shared by becomes the client's own.
    fn statement(&mut self, name: &[u8], at: &Upward<'_>) -> Option<Arc<Statement>> {
        let statement = self.names.get(name)?;
        if !self.altered || at.known.has(statement) {
            return Some(Arc::clone(statement));
        }
        let own = at.statements.private(&statement.body, at.routines);
        self.names.insert(name.into(), Arc::clone(&own));
        Some(own)
    }

    /// Closes what has to give way.
    fn evict(&mut self, missing: &Missing, out: &mut Vec<u8>) {
        if let Missing::Instead(old) = missing {
            statements::close(&statements::name(*old), out);
            self.expected.push(Due::Unmade(*old));
        }
    }

    /// Makes a statement on the connection, if it is missed there.
    fn make(&mut self, statement: &Arc<Statement>, known: &mut Known, out: &mut Vec<u8>) {
        let missing = known.touch(statement);
        if missing != Missing::Nothing {
            self.evict(&missing, out);
            statement.parse(&statement.name, out);
            self.expected.push(Due::Made(statement.id));
        }
    }

    /// Makes the connection's unnamed statement the client's, or none if it has none.
    fn make_unnamed(&mut self, walk: &mut Walk<'_>, out: &mut Vec<u8>) {
        if self.unnamed_here {
            return;
        }
        walk.flush(out);
        if let Some(unnamed) = self.unnamed.as_ref().filter(|u| !u.body.is_empty()) {
            statements::parse(b"", &unnamed.body, out);
            self.expected.push(Due::Made(0));
        } else {
            statements::close(b"", out);
            self.expected.push(Due::Unmade(0));
        }
        self.unnamed_here = true;
    }

    /// False if it has to wait.
    fn bind(
        &mut self,
        names: (&[u8], &[u8]),
        total: usize,
        walk: &mut Walk<'_>,
        at: &mut Upward<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let (portal, name) = names;
        if self.depends(name) && self.later() {
            return false;
        }
        self.open = true;
        self.note_unreadable();
        if name.is_empty() {
            if let Some(unnamed) = &self.unnamed {
                for name in &unnamed.hidden {
                    remember(&mut self.hidden, name);
                }
                self.note(unnamed.residue);
            }
            self.make_unnamed(walk, out);
            walk.pass(total);
            return true;
        }
        let statement = self.statement(name, at);
        let target: &[u8] = if let Some(statement) = &statement {
            self.note(statement.residue(at.routines));
            for name in &statement.hidden {
                remember(&mut self.hidden, name);
            }
            walk.flush(out);
            self.make(statement, at.known, out);
            &statement.name
        } else {
            // Made by SQL's PREPARE, or not at all.
            self.note(Residue::STATE);
            walk.flush(out);
            if statements::is_own(name) {
                NOWHERE
            } else {
                name
            }
        };
        let head = portal.len().saturating_add(name.len()).saturating_add(2);
        let rest = total.saturating_sub(HEADER_BYTES).saturating_sub(head);
        let length = portal.len().saturating_add(target.len()).saturating_add(2);
        statements::head(frontend::BIND, length.saturating_add(rest), out);
        out.extend_from_slice(portal);
        out.push(0);
        out.extend_from_slice(target);
        out.push(0);
        walk.cut(HEADER_BYTES.saturating_add(head), total);
        true
    }

    /// What a segment that is not answered yet did to this statement decides which it is.
    pub(super) fn depends(&self, name: &[u8]) -> bool {
        if name.is_empty() {
            return self.expected.is_unnamed_open();
        }
        let id = self.names.get(name).map(|statement| statement.id);
        self.expected.is_open(name, id)
    }

    /// Describe and Close; false if it has to wait.
    fn named(
        &mut self,
        tag: u8,
        body: &[u8],
        total: usize,
        walk: &mut Walk<'_>,
        at: &mut Upward<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, LinkError> {
        let (kind, rest) = body.split_first().ok_or(LinkError::Client)?;
        let (name, _) = cstr(rest)?;
        let of_statement = *kind == b'S';
        if of_statement && self.depends(name) && self.later() {
            return Ok(false);
        }
        self.open = true;
        match (tag, of_statement) {
            (frontend::CLOSE, false) => {
                self.expected.push(Due::PortalClosed);
                walk.pass(total);
            }
            (frontend::CLOSE, true) if name.is_empty() => {
                self.unnamed = None;
                self.unnamed_here = false;
                self.expected.push(Due::PortalClosed);
                walk.pass(total);
            }
            (frontend::CLOSE, true) => {
                walk.replace(total, out);
                let statement = self.names.remove(name);
                let own = statement.is_some() || statements::is_own(name);
                if !own {
                    self.note(Residue::STATE);
                }
                // The connection keeps it, for whoever wants it next.
                statements::close(if own { NOWHERE } else { name }, out);
                self.expected.push(Due::Closed(name.into(), statement));
            }
            (_, false) => walk.pass(total),
            (_, true) if name.is_empty() => {
                self.make_unnamed(walk, out);
                walk.pass(total);
            }
            (_, true) => {
                walk.replace(total, out);
                let statement = self.statement(name, at);
                let target: &[u8] = match &statement {
                    Some(statement) => {
                        self.make(statement, at.known, out);
                        &statement.name
                    }
                    None if statements::is_own(name) => NOWHERE,
                    None => name,
                };
                statements::head(tag, target.len().saturating_add(2), out);
                out.push(b'S');
                out.extend_from_slice(target);
                out.push(0);
            }
        }
        Ok(true)
    }
}

fn remember(hidden: &mut Vec<String>, name: &str) {
    // One more than may be says that there are too many.
    if hidden.len() <= limits::HIDDEN_SETTINGS && !hidden.iter().any(|known| known == name) {
        hidden.push(name.to_owned());
    }
}
