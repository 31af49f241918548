//! A line of COPY TO STDOUT in the text format with its defaults, as PostgreSQL sends it: one in each message.
//!
//! Deliberately absent: what clients write ([`super::CopyReader`]), which is looser.

use std::borrow::Cow;
use std::ops::Range;

use super::{lines, write};

/// What stands for NULL.
const NULL: &[u8] = b"\\N";

/// A line, and whether anything in it is escaped or NULL.
pub struct Line<'l> {
    text: &'l [u8],
    escapes: bool,
}

impl<'l> Line<'l> {
    /// The line in a message; `None` if there is no line in it, or more.
    pub fn read(data: &'l [u8]) -> Option<Self> {
        let text = data.strip_suffix(b"\n")?;
        let escapes = memchr::memchr2(b'\\', b'\n', text).is_some();
        let one = !escapes || memchr::memchr(b'\n', text).is_none();
        one.then_some(Self { text, escapes })
    }

    /// Without its end.
    pub fn text(&self) -> &'l [u8] {
        self.text
    }

    /// Where its fields are. There is one at least.
    pub fn fields(&self) -> impl Iterator<Item = Range<usize>> + use<'l> {
        let ends = memchr::memchr_iter(b'\t', self.text).chain([self.text.len()]);
        let mut start = 0_usize;
        ends.map(move |end| std::mem::replace(&mut start, end.saturating_add(1))..end)
    }

    /// Is anything in it escaped, or NULL?
    pub fn has_escapes(&self) -> bool {
        self.escapes
    }

    /// The value of a field; `None` is NULL.
    pub fn value(&self, field: Range<usize>) -> Option<Cow<'l, [u8]>> {
        let field = self.text.get(field).unwrap_or_default();
        if !self.escapes || memchr::memchr(b'\\', field).is_none() {
            return Some(Cow::Borrowed(field));
        }
        (field != NULL).then(|| Cow::Owned(lines::unescaped(field)))
    }
}

/// Is there anything in the value that is escaped, or another control character?
pub fn is_special(value: &[u8]) -> bool {
    write::is_special(value, b'\t')
}

/// Makes a field of the value that was appended from `start` on.
pub fn escape(out: &mut Vec<u8>, start: usize) {
    let value = out.get(start..).unwrap_or_default();
    if is_special(value) {
        let value = value.to_vec();
        out.truncate(start);
        write::text(&value, b'\t', out);
    }
}
