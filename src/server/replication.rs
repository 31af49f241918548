//! What a startup packet's `replication` asks for.
//!
//! Deliberately absent: who may have it (`connection`).

/// `replication` in a startup packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Replication {
    /// False, in PostgreSQL's words for it.
    Off,
    /// True: of no database in particular.
    Physical,
    /// `database`, or something PostgreSQL refuses.
    Logical,
}

impl Replication {
    /// As `ProcessStartupPacket` and `parse_bool` do: words may be cut while they stay unique.
    pub(super) fn read(value: &str) -> Self {
        let value = value.to_ascii_lowercase();
        let one_of = |words: [&str; 4]| {
            words.iter().any(|word| *word == value)
                || (!value.is_empty() && words.iter().take(2).any(|w| w.starts_with(&value)))
        };
        if one_of(["true", "yes", "on", "1"]) {
            Self::Physical
        } else if one_of(["false", "no", "off", "0"]) || value == "of" {
            Self::Off
        } else {
            Self::Logical
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Replication;

    #[test]
    fn replication_is_read_as_postgresql_reads_it() {
        use Replication::{Logical, Off, Physical};
        let answers = [
            ("true", Physical),
            ("T", Physical),
            ("ye", Physical),
            ("on", Physical),
            ("1", Physical),
            ("false", Off),
            ("n", Off),
            ("of", Off),
            ("off", Off),
            ("0", Off),
            ("database", Logical),
            // PostgreSQL refuses these; they must not pass for off.
            ("", Logical),
            ("o", Logical),
            ("10", Logical),
        ];
        for (value, want) in answers {
            assert_eq!(Replication::read(value), want, "{value}");
        }
    }
}
