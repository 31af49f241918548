//! Encodings of several bytes a character: `encoding_rs` decodes them, except where PostgreSQL knows a
//! character less (`without`), more or another (`with`). The way back is the way forth reversed, except
//! where several bytes mean one character and PostgreSQL prefers others (`back`).

use std::collections::HashMap;
use std::sync::OnceLock;

use super::Unconvertible;

/// An encoding.
pub(super) struct Multi {
    facts: Facts,
    tables: OnceLock<Tables>,
}

/// What it is, and where PostgreSQL differs from the standard of the web.
#[derive(Clone, Copy)]
struct Facts {
    base: &'static encoding_rs::Encoding,
    /// How many bytes a character has, by its first, and whether they may be.
    length: fn(&[u8]) -> Option<usize>,
    /// Sequences without a character: first and last.
    without: &'static [(u32, u32)],
    /// Sequences with a character of PostgreSQL's own: the first, its character, how many follow.
    with: &'static [(u32, u32, u32)],
    /// Of several sequences of one character the last is meant, not the first.
    last: bool,
    /// Characters that are written otherwise.
    back: &'static [(char, u32)],
}

/// Made when they are first needed.
struct Tables {
    forth: HashMap<u32, char>,
    back: HashMap<char, u32>,
}

const fn multi(facts: Facts) -> Multi {
    Multi {
        facts,
        tables: OnceLock::new(),
    }
}

const fn facts(base: &'static encoding_rs::Encoding, length: fn(&[u8]) -> Option<usize>) -> Facts {
    Facts {
        base,
        length,
        without: &[],
        with: &[],
        last: false,
        back: &[],
    }
}

/// KS X 1001
pub(super) static EUC_KR: Multi = multi(Facts {
    with: &[(0xA2E8, 0x327E, 1)],
    ..facts(encoding_rs::EUC_KR, euc)
});

/// Code page 949
pub(super) static UHC: Multi = multi(Facts {
    with: &[
        (0xA2E8, 0x327E, 1),
        (0xC9A1, 0xE000, 94),
        (0xFEA1, 0xE05E, 94),
    ],
    ..facts(encoding_rs::EUC_KR, wide)
});

/// GB 2312
pub(super) static EUC_CN: Multi = multi(Facts {
    without: &[
        (0xA2A1, 0xA2B0),
        (0xA2E3, 0xA2E4),
        (0xA2EF, 0xA2F0),
        (0xA2FD, 0xA2FE),
        (0xA4F4, 0xA4FE),
        (0xA5F7, 0xA5FE),
        (0xA6B9, 0xA6C0),
        (0xA6D9, 0xA6FE),
        (0xA7C2, 0xA7D0),
        (0xA7F2, 0xA7FE),
        (0xA8BB, 0xA8C4),
        (0xA8EA, 0xA9A3),
        (0xA9F0, 0xAFFE),
        (0xD7FA, 0xD7FE),
        (0xF8A1, 0xFEFE),
    ],
    with: &[(0xA1A4, 0x30FB, 1), (0xA1AA, 0x2015, 1)],
    ..facts(encoding_rs::GBK, euc)
});

/// Code page 936
pub(super) static GBK: Multi = multi(Facts {
    without: &[
        (0xA140, 0xA1A0),
        (0xA240, 0xA2A0),
        (0xA2AB, 0xA2B0),
        (0xA2E3, 0xA2E4),
        (0xA2EF, 0xA2F0),
        (0xA2FD, 0xA3A0),
        (0xA440, 0xA4A0),
        (0xA4F4, 0xA5A0),
        (0xA5F7, 0xA6A0),
        (0xA6B9, 0xA6C0),
        (0xA6D9, 0xA6DF),
        (0xA6EC, 0xA6ED),
        (0xA6F3, 0xA6F3),
        (0xA6F6, 0xA7A0),
        (0xA7C2, 0xA7D0),
        (0xA7F2, 0xA7FE),
        (0xA896, 0xA8A0),
        (0xA8BC, 0xA8BC),
        (0xA8BF, 0xA8BF),
        (0xA8C1, 0xA8C4),
        (0xA8EA, 0xA8FE),
        (0xA958, 0xA958),
        (0xA95B, 0xA95B),
        (0xA95D, 0xA95F),
        (0xA989, 0xA995),
        (0xA997, 0xA9A3),
        (0xA9F0, 0xA9FE),
        (0xAAA1, 0xAAFE),
        (0xABA1, 0xABFE),
        (0xACA1, 0xACFE),
        (0xADA1, 0xADFE),
        (0xAEA1, 0xAEFE),
        (0xAFA1, 0xAFFE),
        (0xD7FA, 0xD7FE),
        (0xF8A1, 0xF8FE),
        (0xF9A1, 0xF9FE),
        (0xFAA1, 0xFAFE),
        (0xFBA1, 0xFBFE),
        (0xFCA1, 0xFCFE),
        (0xFDA1, 0xFDFE),
        (0xFE50, 0xFEFE),
    ],
    // It writes the euro as a byte that it does not read.
    back: &[('€', 0x80)],
    ..facts(encoding_rs::GBK, wide)
});

/// Code page 932
pub(super) static SJIS: Multi = multi(Facts {
    without: &[(0xF040, 0xF9FC)],
    last: true,
    back: &[
        ('¢', 0x8191),
        ('£', 0x8192),
        ('¥', 0x5C),
        ('¬', 0x81CA),
        ('‖', 0x8161),
        ('‾', 0x7E),
        ('−', 0x817C),
        ('√', 0x81E3),
        ('∠', 0x81DA),
        ('∩', 0x81BF),
        ('∪', 0x81BE),
        ('∫', 0x81E7),
        ('∵', 0x81E6),
        ('≒', 0x81E0),
        ('≡', 0x81DF),
        ('⊥', 0x81DB),
        ('〜', 0x8160),
        ('￢', 0x81CA),
    ],
    ..facts(encoding_rs::SHIFT_JIS, sjis)
});

/// JIS X 0208, 0212, and what IBM and NEC added
pub(super) static EUC_JP: Multi = multi(Facts {
    without: &[(0xF9A1, 0xFCFE), (0x008F_A2B7, 0x008F_A2B7)],
    with: &EUC_JP_OWN,
    back: &[('\u{a6}', 0x008F_A2C3)],
    ..facts(encoding_rs::EUC_JP, euc_jp)
});

/// What the web's EUC_JP has not, or otherwise.
static EUC_JP_OWN: [(u32, u32, u32); 77] = [
    (0x008F_A2C3, 0xFFE4, 1),
    (0x008F_F3F3, 0x2170, 10),
    (0x008F_F3FD, 0x2160, 2),
    (0x008F_F4A1, 0x2162, 8),
    (0x008F_F4A9, 0xFF07, 1),
    (0x008F_F4AA, 0xFF02, 1),
    (0x008F_F4AB, 0x3231, 1),
    (0x008F_F4AC, 0x2116, 1),
    (0x008F_F4AD, 0x2121, 1),
    (0x008F_F4AE, 0x70BB, 1),
    (0x008F_F4AF, 0x4EFC, 1),
    (0x008F_F4B0, 0x50F4, 1),
    (0x008F_F4B1, 0x51EC, 1),
    (0x008F_F4B2, 0x5307, 1),
    (0x008F_F4B3, 0x5324, 1),
    (0x008F_F4B4, 0xFA0E, 1),
    (0x008F_F4B5, 0x548A, 1),
    (0x008F_F4B6, 0x5759, 1),
    (0x008F_F4B7, 0xFA0F, 2),
    (0x008F_F4B9, 0x589E, 1),
    (0x008F_F4BA, 0x5BEC, 1),
    (0x008F_F4BB, 0x5CF5, 1),
    (0x008F_F4BC, 0x5D53, 1),
    (0x008F_F4BD, 0xFA11, 1),
    (0x008F_F4BE, 0x5FB7, 1),
    (0x008F_F4BF, 0x6085, 1),
    (0x008F_F4C0, 0x6120, 1),
    (0x008F_F4C1, 0x654E, 1),
    (0x008F_F4C2, 0x663B, 1),
    (0x008F_F4C3, 0x6665, 1),
    (0x008F_F4C4, 0xFA12, 1),
    (0x008F_F4C5, 0xF929, 1),
    (0x008F_F4C6, 0x6801, 1),
    (0x008F_F4C7, 0xFA13, 2),
    (0x008F_F4C9, 0x6A6B, 1),
    (0x008F_F4CA, 0x6AE2, 1),
    (0x008F_F4CB, 0x6DF8, 1),
    (0x008F_F4CC, 0x6DF2, 1),
    (0x008F_F4CD, 0x7028, 1),
    (0x008F_F4CE, 0xFA15, 2),
    (0x008F_F4D0, 0x7501, 1),
    (0x008F_F4D1, 0x7682, 1),
    (0x008F_F4D2, 0x769E, 1),
    (0x008F_F4D3, 0xFA17, 1),
    (0x008F_F4D4, 0x7930, 1),
    (0x008F_F4D5, 0xFA18, 4),
    (0x008F_F4D9, 0x7AE7, 1),
    (0x008F_F4DA, 0xFA1C, 2),
    (0x008F_F4DC, 0x7DA0, 1),
    (0x008F_F4DD, 0x7DD6, 1),
    (0x008F_F4DE, 0xFA1E, 1),
    (0x008F_F4DF, 0x8362, 1),
    (0x008F_F4E0, 0xFA1F, 1),
    (0x008F_F4E1, 0x85B0, 1),
    (0x008F_F4E2, 0xFA20, 2),
    (0x008F_F4E4, 0x8807, 1),
    (0x008F_F4E5, 0xFA22, 1),
    (0x008F_F4E6, 0x8B7F, 1),
    (0x008F_F4E7, 0x8CF4, 1),
    (0x008F_F4E8, 0x8D76, 1),
    (0x008F_F4E9, 0xFA23, 3),
    (0x008F_F4EC, 0x90DE, 1),
    (0x008F_F4ED, 0xFA26, 1),
    (0x008F_F4EE, 0x9115, 1),
    (0x008F_F4EF, 0xFA27, 2),
    (0x008F_F4F1, 0x9592, 1),
    (0x008F_F4F2, 0xF9DC, 1),
    (0x008F_F4F3, 0xFA29, 1),
    (0x008F_F4F4, 0x973B, 1),
    (0x008F_F4F5, 0x974D, 1),
    (0x008F_F4F6, 0x9751, 1),
    (0x008F_F4F7, 0xFA2A, 3),
    (0x008F_F4FA, 0x999E, 1),
    (0x008F_F4FB, 0x9AD9, 1),
    (0x008F_F4FC, 0x9B72, 1),
    (0x008F_F4FD, 0xFA2D, 1),
    (0x008F_F4FE, 0x9ED1, 1),
];

/// Both bytes from 0xA1.
fn euc(bytes: &[u8]) -> Option<usize> {
    let high = |byte: &u8| (0xA1..=0xFE).contains(byte);
    bytes.iter().all(high).then_some(2)
}

fn euc_jp(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0x8F, rest @ ..] => euc(rest).map(|_| 3),
        [0x8E, rest @ ..] => euc(rest).map(|_| 2),
        _ => euc(bytes),
    }
}

fn sjis(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0xA1..=0xDF, ..] => Some(1),
        [0x81..=0x9F | 0xE0..=0xFC] | [_, 0x40..=0x7E | 0x80..=0xFC, ..] => Some(2),
        _ => None,
    }
}

/// PostgreSQL takes any second byte that is not NUL, and then looks for the character.
fn wide(bytes: &[u8]) -> Option<usize> {
    (bytes.get(1) != Some(&0)).then_some(2)
}

/// Bytes as one number.
fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

impl Multi {
    pub(super) fn decode(&self, bytes: &[u8], out: &mut String) -> Result<usize, Unconvertible> {
        let tables = self.tables();
        let mut used = 0;
        while let Some([first, ..]) = bytes.get(used..) {
            if first.is_ascii() {
                out.push(char::from(*first));
                used = used.saturating_add(1);
                continue;
            }
            let here = bytes.get(used..).unwrap_or_default();
            let seen = here.get(..here.len().min(3)).unwrap_or_default();
            let length = self.length_of(seen).ok_or(Unconvertible::Invalid)?;
            let Some(sequence) = here.get(..length) else {
                return Ok(used);
            };
            let found = tables.forth.get(&number(sequence));
            out.push(*found.ok_or(Unconvertible::Untranslatable)?);
            used = used.saturating_add(length);
        }
        Ok(used)
    }

    /// How long the sequence is that begins here, as far as it can be seen.
    fn length_of(&self, seen: &[u8]) -> Option<usize> {
        let (first, _) = seen.split_at_checked(1)?;
        let length = (self.facts.length)(first)?;
        let sequence = seen.get(..length).unwrap_or(seen);
        (self.facts.length)(sequence)
    }

    pub(super) fn encode(&self, c: char, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let found = self.tables().back.get(&c);
        let number = *found.ok_or(Unconvertible::Untranslatable)?;
        let bytes = number.to_be_bytes();
        out.extend(bytes.iter().skip_while(|byte| **byte == 0));
        Ok(())
    }

    fn tables(&self) -> &Tables {
        self.tables.get_or_init(|| self.made())
    }

    fn made(&self) -> Tables {
        let mut tables = Tables {
            forth: HashMap::new(),
            back: HashMap::new(),
        };
        for first in 0x80..=0xFF_u8 {
            self.add(&[first], &mut tables);
        }
        for first in 0x80..=0xFF_u8 {
            for second in 0x30..=0xFF_u8 {
                self.add(&[first, second], &mut tables);
            }
        }
        for second in 0xA1..=0xFE_u8 {
            for third in 0xA1..=0xFE_u8 {
                self.add(&[0x8F, second, third], &mut tables);
            }
        }
        for (c, number) in self.facts.back {
            tables.back.insert(*c, *number);
        }
        tables
    }

    fn add(&self, sequence: &[u8], tables: &mut Tables) {
        if self.length_of(sequence) != Some(sequence.len()) {
            return;
        }
        let number = number(sequence);
        let own = self.facts.with.iter().find_map(|(from, c, n)| {
            let at = number.checked_sub(*from).filter(|at| at < n)?;
            char::from_u32(c.saturating_add(at))
        });
        let without = |(from, to): &(u32, u32)| (*from..=*to).contains(&number);
        let c = match own {
            Some(own) => own,
            None if self.facts.without.iter().any(without) => return,
            None => {
                let decoded = self
                    .facts
                    .base
                    .decode_without_bom_handling_and_without_replacement(sequence);
                let decoded = decoded.unwrap_or_default();
                let mut chars = decoded.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => c,
                    _ => return,
                }
            }
        };
        tables.forth.insert(number, c);
        if self.facts.last || !tables.back.contains_key(&c) {
            tables.back.insert(c, number);
        }
    }
}
