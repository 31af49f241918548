//! What is known of a text that a token of the kind `siv` went into, whatever the token stands for: how
//! it begins, which characters follow, how many there are at least.
//!
//! Every method errs on one side: a text the real token could give is always among those that
//! [`Known`] describes, so what holds of all of them holds of it. Deliberately absent: SQL, whose
//! functions are named in `analyze::outline`.

use super::codec::PREFIX;
use super::facts::{SHORTEST, in_tokens};
use super::pattern::{Characters, Pattern};
use super::siv::IV_SIZE;
use super::{TokenColumn, TokenKind};

/// A text of which a token is part, as far as it is known.
#[derive(Clone)]
pub struct Known {
    begins: String,
    /// What may follow the beginning; nothing does if it is absent.
    rest: Option<Characters>,
    /// How many characters there are at least.
    least: usize,
    /// It is as long as what PostgreSQL computes of the token's outline.
    measured: bool,
}

impl TokenColumn {
    /// What is known of every token of the column. `None` if they are of another kind, or of values
    /// that PostgreSQL does not know the length of.
    pub fn known(&self) -> Option<Known> {
        if self.kind() != TokenKind::Siv || self.cells().is_some() {
            return None;
        }
        let alphabet = (0..=127_u8)
            .map(char::from)
            .filter(|c| in_tokens(*c) && *c != '_');
        Some(Known {
            begins: [PREFIX, self.key_id()].concat(),
            rest: Some(alphabet.fold(Characters::default(), Characters::with)),
            least: SHORTEST,
            measured: true,
        })
    }
}

impl Known {
    /// The whole of it is known.
    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// Its length is that of the same of the outline.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// It is a token and no more.
    pub fn is_token(&self) -> bool {
        self.measured && self.least == SHORTEST && self.begins.starts_with(PREFIX)
    }

    /// How it begins.
    pub fn beginning(&self) -> &str {
        &self.begins
    }

    /// It has characters, and its first one is known.
    pub fn has_first(&self) -> bool {
        !self.begins.is_empty()
    }

    /// Every character is one byte.
    pub fn is_ascii(&self) -> bool {
        !self.characters().others
    }

    fn characters(&self) -> Characters {
        Characters::of(&self.begins).and(self.rest.unwrap_or_default())
    }

    /// Is there a character in the text that this never has?
    pub fn lacks(&self, text: &str) -> bool {
        let characters = self.characters();
        text.chars().any(|c| !characters.has(c))
    }

    /// Does it stay as it is in small letters, whatever the language?
    pub fn lacks_capitals(&self) -> bool {
        self.is_ascii() && !('A'..='Z').any(|c| self.characters().has(c))
    }

    /// Is it known where the text stands in it first, or that it does not?
    pub fn finds(&self, text: &str) -> bool {
        self.begins.contains(text) || self.lacks(text)
    }

    /// Does it, or does it not, begin with the text, whatever the token?
    pub fn decides_beginning(&self, text: &str) -> bool {
        self.begins.starts_with(text) || self.lacks(text) || !agree(&self.begins, text)
    }

    /// Is it another text than this?
    pub fn is_never(&self, text: &str) -> bool {
        self.lacks(text)
            || text.chars().count() < self.least
            || !text.starts_with(&self.begins)
            || (self.rest.is_none() && text != self.begins)
    }

    /// Of several, one of which it is.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let common = (self.begins.chars().zip(other.begins.chars()))
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a)
            .collect();
        let same = self.rest.is_none() && other.rest.is_none() && self.begins == other.begins;
        let rest = (!same).then(|| self.characters().and(other.characters()));
        Self {
            begins: common,
            rest,
            least: self.least.min(other.least),
            measured: self.measured && other.measured,
        }
    }

    /// Its first so many characters.
    #[must_use]
    pub fn first(self, count: usize) -> Self {
        let begins: String = self.begins.chars().take(count).collect();
        let cut = self.begins.chars().count() >= count;
        Self {
            begins,
            rest: self.rest.filter(|_| !cut),
            least: self.least.min(count),
            ..self
        }
    }

    /// What is left without its first so many.
    #[must_use]
    pub fn after(self, count: usize) -> Self {
        Self {
            begins: self.begins.chars().skip(count).collect(),
            least: self.least.saturating_sub(count),
            ..self
        }
    }

    /// Some of its characters, and how many is known of no more than of the whole.
    #[must_use]
    pub fn some(self, least: usize) -> Self {
        Self {
            rest: Some(self.characters()),
            begins: String::new(),
            least: self.least.min(least),
            ..self
        }
    }

    /// The same characters in another order.
    #[must_use]
    pub fn shuffled(self) -> Self {
        let least = self.least;
        self.some(least)
    }

    /// In capitals. In Turkish a dotted i keeps its dot, so what becomes of one is not known.
    #[must_use]
    pub fn upper(self) -> Self {
        let turn = |c: char| c.to_ascii_uppercase();
        let of = |set: Characters| {
            let upper = set
                .all()
                .map(turn)
                .fold(Characters::default(), Characters::with);
            Characters {
                others: set.others || set.has('i'),
                ..upper
            }
        };
        let mut begins = String::new();
        let mut known = true;
        for c in self.begins.chars() {
            known &= c != 'i' && c.is_ascii();
            if known {
                begins.push(turn(c));
            }
        }
        let rest = of(self.characters());
        Self {
            begins,
            rest: if known && self.rest.is_none() {
                None
            } else {
                Some(rest)
            },
            ..self
        }
    }

    /// Hexadecimal digits, so many.
    #[must_use]
    pub fn digest(self, length: usize) -> Self {
        Self {
            begins: String::new(),
            rest: Some(Characters::of("0123456789abcdef")),
            least: length,
            measured: true,
        }
    }

    /// With characters put in and others left out: what it has are these and its own.
    #[must_use]
    pub fn changed(self, put_in: &str) -> Self {
        let rest = self.characters().and(Characters::of(put_in));
        Self {
            begins: String::new(),
            rest: Some(rest),
            least: 0,
            measured: false,
        }
    }

    /// With a text before it.
    #[must_use]
    pub fn behind(self, text: &str) -> Self {
        Self {
            begins: [text, &self.begins].concat(),
            least: self.least.saturating_add(text.chars().count()),
            ..self
        }
    }

    /// With a text behind it: which, if it is known.
    #[must_use]
    pub fn followed(self, text: Option<&str>) -> Self {
        let more = text.map_or(Characters::ALL, Characters::of);
        match (self.rest, text) {
            (None, Some(text)) => Self {
                begins: [&self.begins, text].concat(),
                least: self.least.saturating_add(text.chars().count()),
                ..self
            },
            (rest, _) => Self {
                rest: Some(rest.unwrap_or_default().and(more)),
                least: (self.least).saturating_add(text.map_or(0, |t| t.chars().count())),
                ..self
            },
        }
    }

    /// With another such text behind it.
    #[must_use]
    pub fn then(self, other: &Self) -> Self {
        let (begins, rest) = match self.rest {
            None => ([&*self.begins, &other.begins].concat(), other.rest),
            Some(rest) => (self.begins, Some(rest.and(other.characters()))),
        };
        Self {
            begins,
            rest,
            least: self.least.saturating_add(other.least),
            measured: self.measured && other.measured,
        }
    }

    /// Somewhere in a text of which no more is known.
    #[must_use]
    pub fn within(self) -> Self {
        Self {
            begins: String::new(),
            rest: Some(Characters::ALL),
            least: 0,
            ..self
        }
    }

    /// Nothing: the empty text.
    #[must_use]
    pub fn empty(self) -> Self {
        Self {
            begins: String::new(),
            rest: None,
            least: 0,
            measured: true,
        }
    }

    /// One of several such texts: PostgreSQL may take another of the outlines than of the tokens.
    #[must_use]
    pub fn any_of_them(self) -> Self {
        Self {
            measured: false,
            ..self
        }
    }

    /// Does a LIKE pattern match whatever the token is, or never?
    pub fn decides_like(&self, pattern: &str) -> bool {
        Pattern::like(pattern).is_some_and(|pattern| self.decides(&pattern))
    }

    /// The same of an ILIKE pattern, where small letters are the same in every language.
    pub fn decides_ilike(&self, pattern: &str) -> bool {
        let turns = |c: char| !c.is_ascii() || c == 'I' || c == 'i';
        self.lacks_capitals()
            && !pattern.contains(turns)
            && self.decides_like(&pattern.to_ascii_lowercase())
    }

    /// Does a regular expression match whatever the token is, or never? Of the simplest only it is known.
    pub fn decides_regex(&self, pattern: &str) -> bool {
        Pattern::regex(pattern).is_some_and(|pattern| self.decides(&pattern))
    }

    fn decides(&self, pattern: &Pattern) -> bool {
        let more = self.least.saturating_sub(self.begins.chars().count());
        pattern.is_decided(&self.begins, self.rest, more)
    }
}

/// Does the shorter of two texts begin the longer?
fn agree(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The outline of a token, as SQL around the plaintext, which stands in it twice: what all tokens of its
/// length have in common, under the plaintext's collation.
pub fn outline_sql(begins: &str) -> [String; 3] {
    let op = |symbol: &str| format!(" OPERATOR(\"pg_catalog\".{symbol}) ");
    let function = |name: &str| format!("\"pg_catalog\".\"{name}\"(");
    let (join, left, repeat) = (op("||"), function("left"), function("repeat"));
    let bytes = function("octet_length") + &function("convert_to");
    // As many characters of base32 as `codec::write_token` makes of the bytes and of the IV before them.
    let base32 = format!(
        ", 'UTF8')){}{IV_SIZE}){}8){}4){}5)))",
        op("+"),
        op("*"),
        op("+"),
        op("/")
    );
    [
        format!("({left}"),
        format!(", 0){join}'{begins}'{join}{repeat}'a', (((({bytes}"),
        base32,
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::super::pattern::tests::is_like;
    use super::Known;
    use crate::mask::token::{TokenKey, TokenKind};
    use crate::mask::{ColumnType, TokenColumn};
    use crate::pg::types::oid;

    fn column() -> TokenColumn {
        let text = ColumnType {
            oid: oid::TEXT,
            typmod: -1,
            sql: "pg_catalog.text".into(),
            collation: None,
            element: None,
            domain: false,
        };
        let key = TokenKey::new("ai2z", Zeroizing::new([7; 64])).expect("an id");
        TokenColumn::bind("d", TokenKind::Siv, &[Arc::new(key)], &text).expect("fits")
    }

    fn token(plain: &str) -> String {
        let mut out = Vec::new();
        column()
            .encode(plain.as_bytes(), &mut out)
            .expect("a token");
        String::from_utf8(out).expect("text")
    }

    fn known() -> Known {
        column().known().expect("siv")
    }

    /// Many tokens of one length, and their outline.
    fn tokens() -> Vec<String> {
        let mut tokens: Vec<String> = (0..40).map(|n| token(&format!("{n:03}"))).collect();
        let outline = format!("{:a<width$}", known().beginning(), width = tokens[0].len());
        tokens.push(outline);
        tokens
    }

    /// The formula of [`super::outline_sql`], in its own words.
    #[test]
    fn an_outline_is_as_long_as_the_token() {
        for bytes in 0..300 {
            let length = known().beginning().len() + ((bytes + 16) * 8usize).div_ceil(5);
            assert_eq!(token(&"x".repeat(bytes)).len(), length, "of {bytes} bytes");
        }
        let sql = super::outline_sql("tok_ai2z").join("x");
        assert!(sql.contains("OPERATOR(\"pg_catalog\".+) 16)"), "{sql}");
        assert_eq!(sql.matches('(').count(), sql.matches(')').count(), "{sql}");
    }

    #[test]
    fn what_is_decided_of_a_pattern_is_so_of_every_token() {
        let alphabet = [
            "%", "_", "t", "ok_", "tok_ai2z", "q", "1", "A", "@", "\\_", "é",
        ];
        let (tokens, mut said) = (tokens(), [0, 0]);
        for a in alphabet {
            for b in alphabet {
                for c in alphabet {
                    for d in ["", "%", "_", "a"] {
                        let pattern = [a, b, c, d].concat();
                        let decided = known().decides_like(&pattern);
                        said[usize::from(decided)] += 1;
                        let matching = tokens.iter().filter(|t| is_like(t, &pattern)).count();
                        let same = matching == 0 || matching == tokens.len();
                        assert!(same || !decided, "{pattern}: {matching}");
                    }
                }
            }
        }
        assert!(said[0] > 100 && said[1] > 100, "{said:?}");
        for (pattern, decided) in [
            ("tok\\_%", true),
            ("%@%", true),
            ("%tok%", true),
            ("%1%", true),
            ("%ok_ai2z%", true),
            ("____________________%", true),
            ("张%", true),
            ("%a%", true), // in the key's id
            ("%b%", false),
            ("tok_ai2zb%", false),
            ("%a", false),
            ("__________________________________________", false),
        ] {
            assert_eq!(known().decides_like(pattern), decided, "{pattern}");
        }
    }

    #[test]
    fn what_is_decided_whatever_the_case() {
        for (pattern, decided) in [
            ("TOK%", true),
            ("%@Example.com", true),
            ("%B%", false),
            ("%I%", false),
            ("%i@%", false),
            ("%É%", false),
        ] {
            assert_eq!(known().decides_ilike(pattern), decided, "{pattern}");
        }
        assert!(!known().upper().decides_ilike("tok%"));
    }

    #[test]
    fn what_is_decided_of_a_regular_expression() {
        for (pattern, decided) in [
            ("^tok_", true),
            ("^[A-Z]", true),
            ("[*]{3}", true),
            ("@q", true),
            ("^1[38]", true),
            ("[a-z2-7]{20}", true),
            ("^[a-z2-7_]+$", true),
            ("^tok_.*$", true),
            ("b+", false),
            ("[0-9]{6}", false),
            ("b$", false),
            ("(tok)", false),
            ("tok|x", false),
            ("\\d", false),
            ("[^a]", false),
            ("@?", false),
            ("@{0}", false),
            ("@{1,2}", false),
            ("@*?", false),
            ("***=@", false),
        ] {
            assert_eq!(known().decides_regex(pattern), decided, "{pattern}");
        }
    }

    fn last_five(text: &str) -> String {
        text.chars()
            .skip(text.chars().count().saturating_sub(5))
            .collect()
    }

    /// Each change of what is known, beside the same change of the tokens.
    #[test]
    fn what_is_known_of_a_changed_token_holds_of_each() {
        type Change = (&'static str, fn(Known) -> Known, fn(&str) -> String);
        let changes: [Change; 11] = [
            ("itself", |k| k, |t| t.to_owned()),
            ("first 3", |k| k.first(3), |t| t.chars().take(3).collect()),
            (
                "first 12",
                |k| k.first(12),
                |t| t.chars().take(12).collect(),
            ),
            ("after 2", |k| k.after(2), |t| t.chars().skip(2).collect()),
            (
                "after 20",
                |k| k.after(20),
                |t| t.chars().skip(20).collect(),
            ),
            ("last 5", |k| k.some(5), last_five),
            ("reversed", Known::shuffled, |t| t.chars().rev().collect()),
            ("upper", Known::upper, str::to_uppercase),
            ("behind", |k| k.behind("é/"), |t| format!("é/{t}")),
            ("followed", |k| k.followed(Some("!")), |t| format!("{t}!")),
            ("twice", |k| k.clone().then(&k), |t| t.repeat(2)),
        ];
        let tokens = tokens();
        let questions = [
            "", "t", "T", "tok", "TOK_", "k_a", "a", "i", "!", "é", "@", "/tok",
        ];
        for (name, change, same) in changes {
            for (second, again, as_well) in changes {
                let known = again(change(known()));
                let texts: Vec<String> = tokens.iter().map(|t| as_well(&same(t))).collect();
                let what = format!("{name}, {second}");
                for text in &texts {
                    assert!(text.starts_with(known.beginning()), "{what}: {text}");
                    assert!(!known.is_never(text), "{what}: {text}");
                    assert!(!known.is_whole() || text == known.beginning(), "{what}");
                }
                let all_or_none = |holds: &dyn Fn(&str) -> bool| {
                    let holding = texts.iter().filter(|t| holds(t)).count();
                    holding == 0 || holding == texts.len()
                };
                for q in questions {
                    let place = texts[0].find(q);
                    let finds = texts.iter().all(|t| t.find(q) == place);
                    assert!(finds || !known.finds(q), "{what}: {q}");
                    assert!(
                        !known.lacks(q) || texts.iter().all(|t| !t.contains(q)),
                        "{what}: {q}"
                    );
                    let begins = all_or_none(&|t| t.starts_with(q));
                    assert!(begins || !known.decides_beginning(q), "{what}: {q}");
                    let pattern = format!("%{q}%");
                    let like = all_or_none(&|t| is_like(t, &pattern));
                    assert!(like || !known.decides_like(&pattern), "{what}: {q}");
                }
            }
        }
    }
}
