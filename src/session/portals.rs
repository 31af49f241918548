//! A session's portals, by the client's names for them.
//!
//! The unnamed one, which almost every statement is bound to, has a place of its own: it comes and
//! goes with each of them.

use std::sync::{Arc, OnceLock};

use foldhash::HashMap;

use super::prepared::Prepared;
use crate::pg::types::Format;

/// A portal of the extended protocol.
pub(super) struct Portal {
    pub(super) upstream: Vec<u8>,
    pub(super) prepared: Arc<Prepared>,
    pub(super) formats: Formats,
    /// The segment (up to a Sync) that made it; it is gone when that one's transaction is.
    pub(super) segment: u64,
    /// How many statements had been executed when it was bound.
    pub(super) after: u64,
    /// It was executed.
    pub(super) begun: OnceLock<()>,
}

/// The formats of a result, as Bind asks for them: almost always one for all of its columns.
#[derive(Clone)]
pub(super) enum Formats {
    All([Format; 1]),
    Each(Box<[Format]>),
}

impl Formats {
    /// No format is text for all of them.
    pub(super) fn of(formats: impl IntoIterator<Item = Format>) -> Self {
        let mut formats = formats.into_iter();
        let (first, second) = (formats.next(), formats.next());
        match (first, second) {
            (first, None) => Self::All([first.unwrap_or(Format::Text)]),
            (first, second) => Self::Each(first.into_iter().chain(second).chain(formats).collect()),
        }
    }

    pub(super) fn as_slice(&self) -> &[Format] {
        match self {
            Self::All(format) => format,
            Self::Each(formats) => formats,
        }
    }
}

#[derive(Default)]
pub(super) struct Portals {
    unnamed: Option<Arc<Portal>>,
    named: HashMap<Vec<u8>, Arc<Portal>>,
    /// One that has ended: the next takes its room. A thread that frees what another took pays for it
    /// more than for all else of a portal.
    spare: Option<Arc<Portal>>,
}

impl Portals {
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Portal>> {
        match name {
            b"" => self.unnamed.as_ref(),
            name => self.named.get(name),
        }
    }

    /// A new one, in the place of the one that has the name, if there is one.
    pub(super) fn bind(&mut self, name: &[u8], portal: Portal) {
        let portal = match self.spare.take() {
            Some(mut spare) => match Arc::get_mut(&mut spare) {
                Some(room) => {
                    *room = portal;
                    spare
                }
                None => Arc::new(portal),
            },
            None => Arc::new(portal),
        };
        self.set(name, portal);
    }

    /// In the place of the one that has the name, if there is one.
    pub(super) fn set(&mut self, name: &[u8], portal: Arc<Portal>) {
        match name {
            b"" => self.unnamed = Some(portal),
            name => {
                self.named.insert(name.to_vec(), portal);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Arc<Portal>> {
        match name {
            b"" => self.unnamed.take(),
            name => self.named.remove(name),
        }
    }

    pub(super) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }

    /// A transaction is over, and with it what was made in this segment or before.
    pub(super) fn end(&mut self, segment: u64) {
        let ended = self.unnamed.take_if(|portal| portal.segment <= segment);
        self.spare = ended.or(self.spare.take());
        if !self.named.is_empty() {
            self.named.retain(|_, portal| portal.segment > segment);
        }
    }

    pub(super) fn len(&self) -> usize {
        (self.named.len()).saturating_add(usize::from(self.unnamed.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::Formats;
    use crate::pg::types::Format::{Binary, Text};

    #[test]
    fn formats_are_those_asked_for_and_text_if_none_is() {
        for (asked, read) in [
            (&[][..], &[Text][..]),
            (&[Binary], &[Binary]),
            (&[Text, Binary], &[Text, Binary]),
            (&[Binary, Text, Text], &[Binary, Text, Text]),
        ] {
            let formats = Formats::of(asked.iter().copied());
            assert_eq!(formats.as_slice(), read);
        }
    }
}
