//! The text of a constant, which tells when somebody looks at it.
//!
//! A plan may serve another statement of the same shape only if nothing that made it knew the
//! constants in which the two differ. So the text of a constant that stands in a client's statement is
//! reached in two ways only: [`Constant::value`], which is remembered, and the printer's own, which
//! writes down where in the text it goes ([`SqlText`](crate::sql::SqlText)). Whoever compares two
//! constants has looked at both. What a number's [type](NumberType) is, and whether a constant is a
//! string or a number, belongs to the shape and may be asked for freely.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::position::Position;

/// Which constants of one text were looked at, by their place among its constants.
#[derive(Clone)]
pub struct Looked(Arc<[AtomicBool]>);

impl Looked {
    /// Was the constant at this place looked at? One that the text does not have was.
    pub fn at(&self, place: usize) -> bool {
        (self.0.get(place)).is_none_or(|looked| looked.load(Ordering::Relaxed))
    }

    /// They are the same text's.
    pub(in crate::sql) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// As if nobody had looked: for the test that such a plan would serve where it must not.
    #[cfg(feature = "internals")]
    pub fn forget(&self) {
        self.0
            .iter()
            .for_each(|looked| looked.store(false, Ordering::Relaxed));
    }

    fn look(&self, place: usize) {
        if let Some(looked) = self.0.get(place) {
            looked.store(true, Ordering::Relaxed);
        }
    }
}

/// Hands out the constants of one text in order.
pub(in crate::sql) struct Constants {
    looked: Looked,
    next: usize,
    /// They are not a client's, or nobody will ask who looked at them.
    closed: bool,
}

impl Constants {
    /// Of a client's text with so many.
    pub(in crate::sql) fn new(count: usize) -> Self {
        Self {
            looked: Looked((0..count).map(|_| AtomicBool::new(false)).collect()),
            next: 0,
            closed: false,
        }
    }

    /// Of a text whose constants are as good as the proxy's own: a view's, which stands in every
    /// statement that reads it.
    pub(in crate::sql) fn closed() -> Self {
        Self {
            closed: true,
            ..Self::new(0)
        }
    }

    /// They are of a text that a client wrote.
    pub(in crate::sql) fn are_a_clients(&self) -> bool {
        !self.closed
    }

    /// The next one, and where it stands.
    pub(in crate::sql) fn next(&mut self, text: String, position: Position) -> Constant {
        let place = self.next;
        self.next = place.saturating_add(1);
        Constant {
            text: text.into(),
            written: (!self.closed).then(|| (place, self.looked.clone())),
            position,
        }
    }

    /// Which of them were looked at, now and later.
    pub(in crate::sql) fn looked(&self) -> Looked {
        self.looked.clone()
    }
}

/// The text of a number or a string.
#[derive(Clone)]
pub struct Constant {
    text: Box<str>,
    /// Its place among the constants of the client's text; absent if the proxy made it.
    written: Option<(usize, Looked)>,
    position: Position,
}

impl Constant {
    /// Where it was written.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The text, looked at.
    pub fn value(&self) -> &str {
        if let Some((place, looked)) = &self.written {
            looked.look(*place);
        }
        &self.text
    }

    /// The type of a number.
    pub fn number_type(&self) -> NumberType {
        NumberType::of(&self.text)
    }

    /// For the printer: the text, its place, which must be written down wherever the text goes, and whose
    /// place it is. `None` for a constant of the proxy's.
    pub(in crate::sql) fn unseen(&self) -> Option<(&str, usize, &Looked)> {
        let (place, looked) = self.written.as_ref()?;
        Some((&self.text, *place, looked))
    }
}

impl PartialEq for Constant {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Eq for Constant {}

impl From<&str> for Constant {
    fn from(text: &str) -> Self {
        Self {
            text: text.into(),
            written: None,
            position: Position::default(),
        }
    }
}

impl From<String> for Constant {
    fn from(text: String) -> Self {
        Self {
            text: text.into(),
            written: None,
            position: Position::default(),
        }
    }
}

impl From<Box<str>> for Constant {
    fn from(text: Box<str>) -> Self {
        Self {
            text,
            written: None,
            position: Position::default(),
        }
    }
}

/// The type PostgreSQL gives to a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberType {
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `numeric`
    Numeric,
}

impl NumberType {
    /// Of a number as it is written.
    pub fn of(text: &str) -> Self {
        match (text.parse::<i32>(), text.parse::<i64>()) {
            (Ok(_), _) => Self::Int4,
            (Err(_), Ok(_)) => Self::Int8,
            (Err(_), Err(_)) => Self::Numeric,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Constants, NumberType, Position};

    #[test]
    fn who_looks_is_seen_and_who_prints_or_copies_is_not() {
        let mut written = Constants::new(4);
        let constants: Vec<_> = (0..4)
            .map(|_| written.next("1".to_owned(), Position::default()))
            .collect();
        let looked = written.looked();
        assert!(matches!(constants[0].clone().unseen(), Some(("1", 0, of)) if of.is(&looked)));
        assert_eq!(constants[0].number_type(), NumberType::Int4);
        assert_eq!(constants[1].clone().value(), "1");
        assert!(constants[2] == constants[3]);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|at| looked.at(at)),
            [false, true, true, true, true]
        );
    }

    #[test]
    fn closed_constants_have_no_place() {
        let constant = Constants::closed().next("1".to_owned(), Position::default());
        assert!(constant.unseen().is_none());
        assert_eq!(constant.value(), "1");
    }

    #[test]
    fn types_of_numbers_are_postgresqls() {
        for (text, ty) in [
            ("0", NumberType::Int4),
            ("2147483647", NumberType::Int4),
            ("2147483648", NumberType::Int8),
            ("9223372036854775807", NumberType::Int8),
            ("9223372036854775808", NumberType::Numeric),
            ("1.0", NumberType::Numeric),
            ("1e3", NumberType::Numeric),
            (".5", NumberType::Numeric),
        ] {
            assert_eq!(NumberType::of(text), ty, "{text}");
        }
    }
}
