//! Sets of characters, and patterns over them: what LIKE and the simplest regular expressions make of
//! all texts of a kind at once.
//!
//! A pattern is walked as an automaton by every text there may be; where all of them end as it ends, or
//! none does, it is decided. Deliberately absent: alternatives, groups, classes by name.

use crate::limits;

/// A set of characters.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Characters {
    pub(super) ascii: u128,
    /// Those beyond ASCII, all or none.
    pub(super) others: bool,
}

impl Characters {
    pub(super) const ALL: Self = Self {
        ascii: u128::MAX,
        others: true,
    };

    pub(super) fn of(text: &str) -> Self {
        text.chars().fold(Self::default(), Self::with)
    }

    pub(super) fn with(mut self, c: char) -> Self {
        match u32::from(c) {
            code @ 0..=127 => self.ascii |= 1 << code,
            _ => self.others = true,
        }
        self
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            ascii: self.ascii | other.ascii,
            others: self.others || other.others,
        }
    }

    pub(super) fn has(self, c: char) -> bool {
        match u32::from(c) {
            code @ 0..=127 => self.ascii & (1 << code) != 0,
            _ => self.others,
        }
    }

    pub(super) fn all(self) -> impl Iterator<Item = char> {
        (0..=127_u8).map(char::from).filter(move |c| self.has(*c))
    }
}

/// What a pattern is made of, one character after the other.
#[derive(Default)]
pub(super) struct Pattern {
    steps: Vec<Step>,
}

struct Step {
    one: Characters,
    /// Any number of them, or none.
    many: bool,
}

/// How far into a pattern a text has come: before which steps it may stand, as bits.
type Reached = u128;

impl Pattern {
    fn push(&mut self, one: Characters, many: bool) -> Option<()> {
        (self.steps.len() < limits::PATTERN_STEPS).then(|| self.steps.push(Step { one, many }))
    }

    /// A LIKE pattern. `None` for one that is too long, or that PostgreSQL would not take.
    pub(super) fn like(text: &str) -> Option<Self> {
        let mut pattern = Self::default();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            match c {
                '%' => pattern.push(Characters::ALL, true)?,
                '_' => pattern.push(Characters::ALL, false)?,
                '\\' => pattern.push(Characters::default().with(characters.next()?), false)?,
                c => pattern.push(Characters::default().with(c), false)?,
            }
        }
        Some(pattern)
    }

    /// A regular expression of characters and sets of them, each with a count. `None` for every other.
    pub(super) fn regex(text: &str) -> Option<Self> {
        let mut pattern = Self::default();
        let text = if let Some(rest) = text.strip_prefix('^') {
            rest
        } else {
            pattern.push(Characters::ALL, true)?;
            text
        };
        let (text, open) = match text.strip_suffix('$') {
            Some(rest) => (rest, false),
            None => (text, true),
        };
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let one = match c {
                '.' => Characters::ALL,
                '[' => {
                    let inside: String = characters.by_ref().take_while(|c| *c != ']').collect();
                    one_of(&inside)?
                }
                c if is_literal(c) => Characters::default().with(c),
                _ => return None,
            };
            let (times, many) = match characters.peek() {
                Some('*') => (0, true),
                Some('+') => (1, true),
                Some('{') => {
                    characters.next();
                    let digits: String = characters.by_ref().take_while(|c| *c != '}').collect();
                    let times = digits.parse::<usize>().ok().filter(|n| *n > 0)?;
                    (times, false)
                }
                _ => (1, false),
            };
            if many {
                characters.next();
            }
            // What follows a count changes what it means.
            if (times != 1 || many) && matches!(characters.peek(), Some('*' | '+' | '?' | '{')) {
                return None;
            }
            for _ in 0..times {
                pattern.push(one, false)?;
            }
            if many {
                pattern.push(one, true)?;
            }
        }
        if open {
            pattern.push(Characters::ALL, true)?;
        }
        Some(pattern)
    }

    /// Does it match every text that begins so and goes on with `more` characters at least of those that
    /// may follow, or none of them? `rest` is absent where nothing follows.
    pub(super) fn is_decided(&self, begins: &str, rest: Option<Characters>, more: usize) -> bool {
        let of_text = Characters::of(begins).and(rest.unwrap_or_default());
        if of_text.others && self.tells_others_apart() {
            return false;
        }
        let mut reached = self.start();
        for c in begins.chars() {
            reached = self.step(reached, c);
        }
        let Some(rest) = rest else {
            return true;
        };
        let rest = self.telling(rest);
        let mut at = vec![reached];
        // To know fewer of them is to know less.
        for _ in 0..more.min(limits::PATTERN_STEPS) {
            at = self.onward(&at, &rest);
            if at.len() > limits::PATTERN_STATES {
                return false;
            }
        }
        // However many characters more there are.
        let mut all = at.clone();
        while !at.is_empty() {
            at = self.onward(&at, &rest);
            at.retain(|reached| !all.contains(reached));
            all.extend(at.iter().copied());
            if all.len() > limits::PATTERN_STATES {
                return false;
            }
        }
        let matching = all.iter().filter(|reached| self.ends(**reached)).count();
        matching == 0 || matching == all.len()
    }

    /// Does it take one character beyond ASCII and not another? Those are known as all or none.
    fn tells_others_apart(&self) -> bool {
        let apart = |step: &Step| step.one.others && step.one != Characters::ALL;
        self.steps.iter().any(apart)
    }

    /// Of some characters those it tells apart from each other: each of its own, and one for the rest.
    fn telling(&self, characters: Characters) -> Vec<char> {
        let own = |step: &Step| step.one != Characters::ALL;
        let own = self.steps.iter().filter(|step| own(step));
        let own = own.fold(Characters::default(), |all, step| all.and(step.one));
        let (mut telling, others): (Vec<char>, Vec<char>) =
            characters.all().partition(|c| own.has(*c));
        telling.extend(others.first());
        telling.extend(characters.others.then_some('\u{80}'));
        telling
    }

    fn start(&self) -> Reached {
        self.without_characters(1)
    }

    /// With what is reached for no character: behind each step of any number.
    fn without_characters(&self, mut reached: Reached) -> Reached {
        for (at, step) in self.steps.iter().enumerate() {
            if step.many && reached & (1 << at) != 0 {
                reached |= 1 << at.saturating_add(1);
            }
        }
        reached
    }

    fn step(&self, reached: Reached, c: char) -> Reached {
        let mut next = 0;
        for (at, step) in self.steps.iter().enumerate() {
            if reached & (1 << at) != 0 && step.one.has(c) {
                next |= 1 << at.saturating_add(usize::from(!step.many));
            }
        }
        self.without_characters(next)
    }

    /// Where one more character leads.
    fn onward(&self, at: &[Reached], characters: &[char]) -> Vec<Reached> {
        let mut next = Vec::new();
        for reached in at {
            for c in characters {
                let to = self.step(*reached, *c);
                if !next.contains(&to) {
                    next.push(to);
                }
            }
        }
        next
    }

    fn ends(&self, reached: Reached) -> bool {
        reached & (1 << self.steps.len()) != 0
    }
}

/// Characters a regular expression takes for themselves.
fn is_literal(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '@' | '_' | '-' | ' ' | ',' | ':' | ';' | '=' | '/' | '#')
}

/// What stands in brackets: characters and ranges of letters or digits.
fn one_of(inside: &str) -> Option<Characters> {
    let mut set = Characters::default();
    let mut characters = inside.chars().peekable();
    while let Some(first) = characters.next() {
        let plain = |c: char| c.is_ascii_alphanumeric();
        if characters.peek() == Some(&'-') {
            characters.next();
            let last = characters
                .next()
                .filter(|last| plain(*last) && plain(first))?;
            if first > last {
                return None;
            }
            set = (first..=last).fold(set, Characters::with);
        } else if plain(first) || matches!(first, '*' | '.' | '+' | '@' | '_' | '?' | '$' | ' ') {
            set = set.with(first);
        } else {
            return None;
        }
    }
    (set != Characters::default()).then_some(set)
}

#[cfg(test)]
pub(super) mod tests {
    /// LIKE, as slowly as it can be said.
    pub(in crate::mask::token) fn is_like(text: &str, pattern: &str) -> bool {
        let mut pattern = pattern.chars();
        let mut rest = text.chars();
        match pattern.next() {
            None => text.is_empty(),
            Some('%') => {
                is_like(text, pattern.as_str())
                    || rest.next().is_some()
                        && is_like(rest.as_str(), &format!("%{}", pattern.as_str()))
            }
            Some('_') => rest.next().is_some() && is_like(rest.as_str(), pattern.as_str()),
            Some('\\') => rest.next() == pattern.next() && is_like(rest.as_str(), pattern.as_str()),
            Some(c) => rest.next() == Some(c) && is_like(rest.as_str(), pattern.as_str()),
        }
    }
}
