//! Which statements one connection holds, the least recently used first to go.

use foldhash::HashMap;

use super::statements::Statement;

/// The prepared statements of one connection.
pub struct Known {
    /// Statement → when it was last used.
    used: HashMap<u64, u64>,
    clock: u64,
    most: usize,
}

/// What a statement needs before it can be used on a connection.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Missing {
    Nothing,
    /// It has to be made.
    Parse,
    /// It has to be made, and this one, not used for long, closed before.
    Instead(u64),
}

impl Known {
    /// A new connection, which may hold `most`.
    pub fn new(most: usize) -> Self {
        Self {
            used: HashMap::default(),
            clock: 0,
            most: most.max(1),
        }
    }

    /// The statement is here.
    pub(super) fn has(&self, statement: &Statement) -> bool {
        self.used.contains_key(&statement.id)
    }

    /// The statement is about to be used here.
    pub(super) fn touch(&mut self, statement: &Statement) -> Missing {
        self.clock = self.clock.wrapping_add(1);
        if let Some(used) = self.used.get_mut(&statement.id) {
            *used = self.clock;
            return Missing::Nothing;
        }
        let full = self.used.len() >= self.most;
        let oldest = full
            .then(|| self.used.iter().min_by_key(|(_, used)| **used))
            .flatten()
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.used.remove(&id);
        }
        self.used.insert(statement.id, self.clock);
        oldest.map_or(Missing::Parse, Missing::Instead)
    }

    /// It is not there after all.
    pub(super) fn forget(&mut self, id: u64) {
        self.used.remove(&id);
    }

    /// It is still there.
    pub(super) fn keep(&mut self, id: u64) {
        self.used.insert(id, self.clock);
    }

    /// None is there any more.
    pub(super) fn clear(&mut self) {
        self.used.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Missing};
    use crate::pooling::{Routines, Statements};

    #[test]
    fn the_longest_unused_goes_first() {
        let statements = Statements::default();
        let of = |text: &str| statements.intern(text.as_bytes(), b"", &Routines::default());
        let (a, b, c) = (of("a\0"), of("b\0"), of("c\0"));
        let mut known = Known::new(2);
        assert_eq!(known.touch(&a), Missing::Parse);
        assert_eq!(known.touch(&b), Missing::Parse);
        assert_eq!(known.touch(&a), Missing::Nothing);
        assert_eq!(known.touch(&c), Missing::Instead(b.id));
        assert_eq!(known.touch(&a), Missing::Nothing);
        known.forget(a.id);
        assert_eq!(known.touch(&a), Missing::Parse);
    }
}
