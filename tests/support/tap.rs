//! The tap: knows every stored value a role must not see, and searches bytes for pieces of them.
//!
//! A secret is a window of [`WINDOW`] bytes of a stored value that occurs nowhere in the masked copy
//! of the database, so whatever the role may see raises no alarm.

use std::collections::HashSet;

/// Six bytes: two Chinese characters, six digits. Shorter pieces turn up by chance.
const WINDOW: usize = 6;

/// What must not reach one role.
pub(super) struct Tap {
    secrets: HashSet<[u8; WINDOW]>,
}

impl Tap {
    /// `stored` is the database as text, `masked` its masked copy.
    pub(super) fn new(stored: &str, masked: &str) -> Self {
        let mut visible: HashSet<_> = windows(masked.as_bytes()).collect();
        for value in masked.split(['\n', '|']) {
            visible.extend(windows(&squeezed(value.as_bytes())));
        }
        let mut secrets = HashSet::new();
        for value in stored.split(['\n', '|']) {
            for window in windows(value.as_bytes()).filter(|window| !visible.contains(window)) {
                secrets.insert(window);
                let mut backwards = window;
                backwards.reverse();
                if !visible.contains(&backwards) {
                    secrets.insert(backwards);
                }
            }
        }
        assert!(!secrets.is_empty(), "nothing is protected from this role");
        Self { secrets }
    }

    /// The first secret in these bytes: plain, in capitals, backwards, in hexadecimal or escaped.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<String> {
        let bytes = without_tokens(bytes);
        let texts = [unhex(&bytes), squeezed(&bytes), bytes];
        (texts.iter())
            .flat_map(|text| windows(text))
            .find(|window| self.secrets.contains(window))
            .map(|window| String::from_utf8_lossy(&window).into_owned())
    }
}

fn windows(bytes: &[u8]) -> impl Iterator<Item = [u8; WINDOW]> {
    bytes.windows(WINDOW).map(|window| {
        let mut folded = [0; WINDOW];
        folded.copy_from_slice(window);
        folded.make_ascii_lowercase();
        folded
    })
}

/// Tokens are random letters, in which anything turns up sooner or later.
fn without_tokens(bytes: &[u8]) -> Vec<u8> {
    const PREFIX: &[u8] = b"tok_";
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let token = rest.strip_prefix(PREFIX).map_or(&[][..], |token| {
            let in_token = |byte: &u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(byte);
            let length = token.iter().take_while(|byte| in_token(byte)).count();
            token.get(..length).unwrap()
        });
        if token.len() >= 24 {
            out.push(b' ');
            rest = rest.get(PREFIX.len() + token.len()..).unwrap();
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// Every run of hexadecimal digits, decoded, `\x` or not.
fn unhex(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in bytes.split(|byte| !byte.is_ascii_hexdigit()) {
        for pair in run.chunks_exact(2) {
            let digits = std::str::from_utf8(pair).unwrap();
            out.push(u8::from_str_radix(digits, 16).unwrap());
        }
        out.push(0);
    }
    out
}

/// Letters and digits alone: values taken apart, one character a column.
fn squeezed(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .copied()
        .filter(|b| b.is_ascii_alphanumeric() || !b.is_ascii())
        .collect()
}

#[test]
fn the_tap_finds_a_value_in_disguise_and_only_then() {
    let tap = Tap::new("ada.zyxwvu@example.com|Lund", "a*********@example.com|Lund");
    for leak in [
        "ada.zyxwvu",
        "ADA.ZYXWVU",
        "\\x7a7978777675",
        "z y x w v u",
        "uvwxyz",
    ] {
        assert!(tap.find(leak.as_bytes()).is_some(), "{leak}");
    }
    for fine in ["a*********@example.com", "Lund", "ada", "zyxw"] {
        assert_eq!(tap.find(fine.as_bytes()), None);
    }
}
