//! A line of COPY TO STDOUT in the text format with its defaults, as PostgreSQL sends it: one in each message.
//!
//! Deliberately absent: what clients write ([`super::CopyReader`]), which is looser.

use std::borrow::Cow;

use super::{lines, write};

/// What stands for NULL.
const NULL: &[u8] = b"\\N";

/// The line in a message; `None` if there is no line in it, or more.
pub fn line(data: &[u8]) -> Option<&[u8]> {
    let line = data.strip_suffix(b"\n")?;
    memchr::memchr(b'\n', line).is_none().then_some(line)
}

/// Its fields, as they are written.
pub struct Fields<'l>(Option<&'l [u8]>);

impl<'l> Fields<'l> {
    /// Of a line without its end.
    pub fn of(line: &'l [u8]) -> Self {
        Self(Some(line))
    }
}

impl<'l> Iterator for Fields<'l> {
    type Item = &'l [u8];

    fn next(&mut self) -> Option<&'l [u8]> {
        let rest = self.0?;
        let Some((field, after)) =
            memchr::memchr(b'\t', rest).and_then(|at| rest.split_at_checked(at))
        else {
            self.0 = None;
            return Some(rest);
        };
        self.0 = after.get(1..);
        Some(field)
    }
}

/// A field's value; `None` is NULL.
pub fn value(field: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'\\', field).is_none() {
        return Some(Cow::Borrowed(field));
    }
    (field != NULL).then(|| Cow::Owned(lines::unescaped(field)))
}

/// A value as a field.
pub fn write_value(value: &[u8], out: &mut Vec<u8>) {
    write::text(value, b'\t', out);
}
