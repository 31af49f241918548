//! Short texts, fast: almost every value of a row is one.
//!
//! A call to copy or to look through a few bytes of any number costs more than the bytes do. So what is
//! short is taken by the sixteen, and in steps that are the same for every text. Deliberately absent:
//! what is done with the texts, and any trust in them: all of it works on any bytes.

/// What is copied and looked at together: a vector register of every x86-64 and AArch64.
const TOGETHER: usize = 16;

/// Appends the first `len` bytes of `from`, or nothing when it has fewer. Of a short piece more is
/// copied, if `from` has more, and taken off again.
pub(super) fn append(out: &mut Vec<u8>, from: &[u8], len: usize) {
    if len <= TOGETHER
        && let Some(more) = from.first_chunk::<TOGETHER>()
    {
        let end = out.len().saturating_add(len);
        out.extend_from_slice(more);
        out.truncate(end);
    } else {
        out.extend_from_slice(from.get(..len).unwrap_or_default());
    }
}

/// Are all bytes ASCII?
pub(super) fn is_ascii(text: &[u8]) -> bool {
    // The first and the last of them overlap, or are next to each other.
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk())
        && text.len() <= 16
    {
        return (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & HIGH_BITS == 0;
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk())
        && text.len() <= 32
    {
        let both = u128::from_ne_bytes(*first) | u128::from_ne_bytes(*last);
        return both & WIDE_HIGH_BITS == 0;
    }
    text.is_ascii()
}

const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
const WIDE_HIGH_BITS: u128 = u128::from_ne_bytes([0x80; 16]);

/// How many bytes the character at the front has; `None` where none is well formed. (Unicode, table
/// 3-7.)
#[expect(
    clippy::unnested_or_patterns,
    reason = "a line of the table is a line here"
)]
pub(super) fn width(text: &[u8]) -> Option<usize> {
    match *text {
        [..0x80, ..] => Some(1),
        [0xc2..=0xdf, 0x80..=0xbf, ..] => Some(2),
        [0xe0, 0xa0..=0xbf, 0x80..=0xbf, ..]
        | [0xe1..=0xec, 0x80..=0xbf, 0x80..=0xbf, ..]
        | [0xed, 0x80..=0x9f, 0x80..=0xbf, ..]
        | [0xee..=0xef, 0x80..=0xbf, 0x80..=0xbf, ..] => Some(3),
        [0xf0, 0x90..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
        | [0xf1..=0xf3, 0x80..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
        | [0xf4, 0x80..=0x8f, 0x80..=0xbf, 0x80..=0xbf, ..] => Some(4),
        _ => None,
    }
}

/// Are the bytes UTF-8?
pub(super) fn is_utf8(text: &[u8]) -> bool {
    if text.len() >= TOGETHER.saturating_add(BEFORE) {
        return is_plain_utf8(text) || std::str::from_utf8(text).is_ok();
    }
    let mut rest = text;
    while !rest.is_empty() {
        let Some(next) = width(rest).and_then(|width| rest.get(width..)) else {
            return false;
        };
        rest = next;
    }
    true
}

/// What stands before a byte and may ask for it: the longest plain character has three bytes.
const BEFORE: usize = 2;

/// True only of UTF-8, and of all of it that has at least [`TOGETHER`] and [`BEFORE`] bytes and is
/// made of ASCII and of [plain](is_plain) characters. Without a branch on what the text is.
fn is_plain_utf8(text: &[u8]) -> bool {
    // The first two bytes have none before them.
    let Some(first) = width(text) else {
        return false;
    };
    if first == 1 && width(text.get(1..).unwrap_or_default()).is_none() {
        return false;
    }
    let mut rest = text;
    while rest.len() > TOGETHER.saturating_add(BEFORE) {
        if !is_plain(rest) {
            return false;
        }
        rest = rest.get(TOGETHER..).unwrap_or_default();
    }
    // The last ones once more, with what is left; and nothing is asked for behind them.
    let last = (text.len())
        .checked_sub(TOGETHER.saturating_add(BEFORE))
        .and_then(|at| text.get(at..));
    let ends = matches!(*text, [.., ..0xe0, ..0xc0]);
    ends && last.is_some_and(is_plain)
}

/// Each of the [`TOGETHER`] bytes behind the first [`BEFORE`]: continues a character if one of those
/// before it asks for that, and only then; and begins none of four bytes, and none of which only some
/// second bytes are allowed.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "the same steps for every byte are done for all of them at once"
)]
fn is_plain(text: &[u8]) -> bool {
    let from = |at: usize| text.get(at..)?.first_chunk::<TOGETHER>();
    let (Some(second), Some(last), Some(these)) = (from(0), from(1), from(BEFORE)) else {
        return false;
    };
    let mut odd = [0_u8; TOGETHER];
    for (((odd, second), last), this) in odd.iter_mut().zip(second).zip(last).zip(these) {
        let asked = (*last >= 0xc0) | (*second >= 0xe0);
        let continues = *this & 0xc0 == 0x80;
        let rare = (*this >= 0xf0) | (*this == 0xe0) | (*this == 0xed) | (*this & 0xfe == 0xc0);
        *odd = u8::from((asked != continues) | rare);
    }
    u128::from_ne_bytes(odd) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{append, is_ascii, is_utf8, width};

    #[test]
    fn every_short_sequence_of_telling_bytes_is_what_the_standard_library_says() {
        // The ends of each range in the table, and their neighbours.
        const TELLING: [u8; 23] = [
            0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
            0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        for at in 0..TELLING.len().pow(4) {
            let pick = |nth: u32| TELLING[at / TELLING.len().pow(nth) % TELLING.len()];
            let text = [pick(0), pick(1), pick(2), pick(3)];
            let first = match std::str::from_utf8(&text) {
                Ok(all) => all.chars().next(),
                Err(error) => std::str::from_utf8(&text[..error.valid_up_to()])
                    .ok()
                    .and_then(|valid| valid.chars().next()),
            };
            assert_eq!(width(&text), first.map(char::len_utf8), "{text:x?}");
            // Wherever it stands in a text that is looked at by the sixteen.
            for before in [0, 14, 16] {
                let mut long = [b'a'; 40];
                long[before..before + 4].copy_from_slice(&text);
                for end in [before + 4, before + 20] {
                    let long = &long[..end];
                    let valid = std::str::from_utf8(long).is_ok();
                    assert_eq!(is_utf8(long), valid, "{long:x?}");
                }
            }
        }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => "[ -~]{1,9}".prop_map(String::into_bytes),
            8 => "[一-龥]{1,9}".prop_map(String::into_bytes),
            4 => any::<char>().prop_map(|char| char.to_string().into_bytes()),
            1 => prop::collection::vec(any::<u8>(), 1..3),
        ];
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn texts_are_what_the_standard_library_says(text in bytes()) {
            prop_assert_eq!(is_utf8(&text), std::str::from_utf8(&text).is_ok());
            prop_assert_eq!(is_ascii(&text), text.iter().all(u8::is_ascii));
            for end in 0..text.len() {
                prop_assert_eq!(is_utf8(&text[..end]), std::str::from_utf8(&text[..end]).is_ok());
                prop_assert_eq!(is_ascii(&text[end..]), text[end..].is_ascii());
            }
        }

        #[test]
        fn no_more_is_appended_than_was_asked_for(from in bytes(), len in 0..70_usize) {
            let mut out = b"before".to_vec();
            append(&mut out, &from, len);
            let expected = from.get(..len).unwrap_or_default();
            prop_assert_eq!(out, [b"before", expected].concat());
        }
    }
}
