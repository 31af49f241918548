//! Text inside values in binary format: found by type, converted, put back.
//!
//! Types are those of `pg_type.dat`; what is not known here is not converted, and said so: a type of an
//! extension may hold text anywhere.

use std::borrow::Cow;

use crate::pg::Oid;
use crate::pg::encoding::Unconvertible;

/// Why a value cannot be converted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// A text in it cannot.
    Characters(Unconvertible),
    /// What of it is text is not known.
    Type,
}

/// Converts one text.
type Convert<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, Unconvertible>;

/// name, text, json, unknown, bpchar, varchar, refcursor, cstring
const TEXTS: [Oid; 8] = [19, 25, 114, 705, 1042, 1043, 1790, 2275];

/// jsonb, jsonpath: a version, then text.
const VERSIONED: [Oid; 2] = [3802, 4072];

/// Types without text: numbers, times, networks, geometry, bits, identifiers, bytea, ranges of those.
const PLAIN: [Oid; 56] = [
    16, 17, 18, 20, 21, 22, 23, 24, 26, 27, 28, 29, 30, 600, 601, 602, 603, 604, 628, 650, 700,
    701, 718, 774, 790, 829, 869, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2202, 2203,
    2204, 2205, 2206, 2278, 2950, 2970, 3220, 3734, 3769, 3904, 3906, 3908, 3910, 3912, 3926, 4089,
    4096, 5069,
];

/// Arrays of all those; the elements' type stands in the value.
const ARRAYS: [Oid; 49] = [
    143, 199, 629, 651, 719, 775, 791, 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010,
    1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1027, 1028, 1040, 1041,
    1115, 1182, 1183, 1185, 1187, 1231, 1263, 1270, 1561, 1563, 2201, 2207, 2287, 2951, 3221, 3807,
];

const RECORD: Oid = 2249;

/// How deep arrays and records may be in each other.
const DEPTH: usize = 16;

/// The value with its texts converted.
pub(super) fn convert<'v>(
    ty: Oid,
    value: &'v [u8],
    by: Convert<'_>,
) -> Result<Cow<'v, [u8]>, Trouble> {
    inner(ty, value, by, DEPTH)
}

fn inner<'v>(
    ty: Oid,
    value: &'v [u8],
    by: Convert<'_>,
    depth: usize,
) -> Result<Cow<'v, [u8]>, Trouble> {
    let depth = depth.checked_sub(1).ok_or(Trouble::Type)?;
    if PLAIN.contains(&ty) {
        return Ok(Cow::Borrowed(value));
    }
    if TEXTS.contains(&ty) {
        return by(value).map(Cow::Owned).map_err(Trouble::Characters);
    }
    if VERSIONED.contains(&ty) {
        let (version, text) = value.split_at_checked(1).ok_or(Trouble::Type)?;
        let mut out = version.to_vec();
        out.extend(by(text).map_err(Trouble::Characters)?);
        return Ok(Cow::Owned(out));
    }
    let mut parts = Parts {
        rest: value,
        out: Vec::with_capacity(value.len()),
    };
    if ARRAYS.contains(&ty) {
        parts.array(by, depth)?;
    } else if ty == RECORD {
        parts.record(by, depth)?;
    } else {
        return Err(Trouble::Type);
    }
    if parts.rest.is_empty() {
        Ok(Cow::Owned(parts.out))
    } else {
        Err(Trouble::Type)
    }
}

/// A composite value, taken apart and put together again.
struct Parts<'v> {
    rest: &'v [u8],
    out: Vec<u8>,
}

impl Parts<'_> {
    fn word(&mut self) -> Result<u32, Trouble> {
        let (word, rest) = self.rest.split_first_chunk::<4>().ok_or(Trouble::Type)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*word))
    }

    /// A word that stays.
    fn kept(&mut self) -> Result<u32, Trouble> {
        let word = self.word()?;
        self.out.extend_from_slice(&word.to_be_bytes());
        Ok(word)
    }

    fn value(&mut self, ty: Oid, by: Convert<'_>, depth: usize) -> Result<(), Trouble> {
        let length = self.word()?;
        if length == u32::MAX {
            self.out.extend_from_slice(&length.to_be_bytes());
            return Ok(());
        }
        let length = usize::try_from(length).map_err(|_| Trouble::Type)?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or(Trouble::Type)?;
        self.rest = rest;
        let value = inner(ty, value, by, depth)?;
        let length = u32::try_from(value.len()).map_err(|_| Trouble::Type)?;
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(&value);
        Ok(())
    }

    /// Dimensions, flags, the elements' type, each dimension's length and lower bound, elements.
    fn array(&mut self, by: Convert<'_>, depth: usize) -> Result<(), Trouble> {
        let dimensions = self.kept()?;
        self.kept()?;
        let ty = self.kept()?;
        let bounds = dimensions.checked_mul(2).filter(|n| *n <= 12);
        for _ in 0..bounds.ok_or(Trouble::Type)? {
            self.kept()?;
        }
        while !self.rest.is_empty() {
            self.value(ty, by, depth)?;
        }
        Ok(())
    }

    /// A count, then each field's type and value.
    fn record(&mut self, by: Convert<'_>, depth: usize) -> Result<(), Trouble> {
        for _ in 0..self.kept()? {
            let ty = self.kept()?;
            self.value(ty, by, depth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ARRAYS, PLAIN, TEXTS, Trouble, VERSIONED, convert};
    use crate::pg::encoding::Unconvertible;

    fn louder(text: &[u8]) -> Result<Vec<u8>, Unconvertible> {
        if text == b"bad" {
            return Err(Unconvertible::Invalid);
        }
        Ok([text, b"!"].concat())
    }

    #[test]
    fn no_type_is_two_things() {
        let mut all = [&TEXTS[..], &VERSIONED, &PLAIN, &ARRAYS].concat();
        let n = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), n);
    }

    #[test]
    fn texts_are_found_in_arrays_and_records() {
        let word = |n: u32| n.to_be_bytes().to_vec();
        let array = |text: &[u8], length: u32| {
            let parts = [word(1), word(0), word(25), word(2), word(1), word(length)];
            [parts.concat(), text.to_vec(), word(u32::MAX)].concat()
        };
        assert_eq!(
            convert(1009, &array(b"a", 1), &louder).unwrap(),
            array(b"a!", 2)
        );
        let record = |text: &[u8], length: u32| {
            let fields = [word(2), word(23), word(4), word(7), word(25), word(length)];
            [fields.concat(), text.to_vec()].concat()
        };
        assert_eq!(
            convert(2249, &record(b"ab", 2), &louder).unwrap(),
            record(b"ab!", 3)
        );
        assert_eq!(convert(3802, b"\x01{}", &louder).unwrap(), &b"\x01{}!"[..]);
        assert_eq!(convert(17, b"bad", &louder).unwrap(), &b"bad"[..]);
    }

    #[test]
    fn what_is_not_known_or_not_well_formed_is_not_converted() {
        assert_eq!(convert(16_400, b"x", &louder), Err(Trouble::Type));
        assert_eq!(convert(0, b"x", &louder), Err(Trouble::Type));
        let bad = Trouble::Characters(Unconvertible::Invalid);
        assert_eq!(convert(25, b"bad", &louder), Err(bad));
        for value in [&b""[..], b"\0\0\0\x01", b"\0\0\0\x02\0\0\0\x17\0\0\0\x04ab"] {
            assert_eq!(convert(2249, value, &louder), Err(Trouble::Type));
            assert_eq!(convert(1009, value, &louder), Err(Trouble::Type));
        }
    }
}
