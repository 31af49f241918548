//! What stands at the front of a message's body.

use super::LinkError;
use crate::wire::frame::HEADER_BYTES;

/// A text up to its NUL, and what follows.
pub(super) fn cstr(bytes: &[u8]) -> Result<(&[u8], &[u8]), LinkError> {
    let end = memchr::memchr(0, bytes).ok_or(LinkError::Client)?;
    let (text, rest) = bytes.split_at_checked(end).ok_or(LinkError::Client)?;
    Ok((text, rest.get(1..).unwrap_or_default()))
}

/// The two names at the front of a Bind, once they are here.
pub(super) fn names(rest: &[u8], total: usize) -> Option<(&[u8], &[u8])> {
    let here = rest.get(HEADER_BYTES..total.min(rest.len()))?;
    let (portal, rest) = cstr(here).ok()?;
    let (statement, _) = cstr(rest).ok()?;
    Some((portal, statement))
}

/// A message whose names do not end is malformed once it is whole.
pub(super) fn missing(whole: Option<&[u8]>) -> Result<bool, LinkError> {
    match whole {
        Some(_) => Err(LinkError::Client),
        None => Ok(false),
    }
}
