//! The console's commands, in PgBouncer's words.

/// What SHOW shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Clients,
    Config,
    Databases,
    Denied,
    Help,
    Lists,
    Pools,
    Servers,
    State,
    Stats,
    StatsAverages,
    StatsTotals,
    Users,
    Version,
}

/// How SHUTDOWN ends the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shutdown {
    /// `SHUTDOWN`: at once.
    Now,
    /// `SHUTDOWN WAIT_FOR_SERVERS`: each session when it is idle, as on SIGTERM.
    WaitForServers,
    /// `SHUTDOWN WAIT_FOR_CLIENTS`: when the last client has left of its own accord.
    WaitForClients,
}

/// A command. Databases are as written: PostgreSQL's names are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    /// Nothing between semicolons.
    Empty,
    /// `KILL [db]`
    Kill(Option<String>),
    /// `KILL_CLIENT id`, and `KILL id`
    KillClient(u64),
    Pause(Option<String>),
    Reload,
    Resume(Option<String>),
    Show(Subject),
    Shutdown(Shutdown),
}

const SUBJECTS: [(&str, Subject, &str); 14] = [
    ("CLIENTS", Subject::Clients, "SHOW CLIENTS"),
    ("CONFIG", Subject::Config, "SHOW CONFIG"),
    ("DATABASES", Subject::Databases, "SHOW DATABASES"),
    ("DENIED", Subject::Denied, "SHOW DENIED"),
    ("HELP", Subject::Help, "SHOW HELP"),
    ("LISTS", Subject::Lists, "SHOW LISTS"),
    ("POOLS", Subject::Pools, "SHOW POOLS"),
    ("SERVERS", Subject::Servers, "SHOW SERVERS"),
    ("STATE", Subject::State, "SHOW STATE"),
    ("STATS", Subject::Stats, "SHOW STATS"),
    (
        "STATS_AVERAGES",
        Subject::StatsAverages,
        "SHOW STATS_AVERAGES",
    ),
    ("STATS_TOTALS", Subject::StatsTotals, "SHOW STATS_TOTALS"),
    ("USERS", Subject::Users, "SHOW USERS"),
    ("VERSION", Subject::Version, "SHOW VERSION"),
];

impl Command {
    /// Reads one command; `None` if it is none. What it was is not repeated to anybody.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches(';').trim_end();
        if text.is_empty() {
            return Some(Self::Empty);
        }
        let (verb, rest) = match text.split_once(char::is_whitespace) {
            Some((verb, rest)) => (verb, rest.trim()),
            None => (text, ""),
        };
        let verb = verb.to_ascii_uppercase();
        let bare = rest.is_empty();
        match verb.as_str() {
            "SHOW" => SUBJECTS
                .iter()
                .find(|(word, ..)| rest.eq_ignore_ascii_case(word))
                .map(|(_, subject, _)| Self::Show(*subject)),
            "HELP" if bare => Some(Self::Show(Subject::Help)),
            "RELOAD" if bare => Some(Self::Reload),
            "PAUSE" => database(rest).ok().map(Self::Pause),
            "RESUME" => database(rest).ok().map(Self::Resume),
            "KILL" => match rest.parse() {
                Ok(id) => Some(Self::KillClient(id)),
                Err(_) => database(rest).ok().map(Self::Kill),
            },
            "KILL_CLIENT" => rest.parse().ok().map(Self::KillClient),
            "SHUTDOWN" => match rest.to_ascii_uppercase().as_str() {
                "" => Some(Self::Shutdown(Shutdown::Now)),
                "WAIT_FOR_SERVERS" => Some(Self::Shutdown(Shutdown::WaitForServers)),
                "WAIT_FOR_CLIENTS" => Some(Self::Shutdown(Shutdown::WaitForClients)),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the audit record calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Kill(_) => "KILL",
            Self::KillClient(_) => "KILL_CLIENT",
            Self::Pause(_) => "PAUSE",
            Self::Reload => "RELOAD",
            Self::Resume(_) => "RESUME",
            Self::Show(subject) => SUBJECTS
                .iter()
                .find(|(_, known, _)| known == subject)
                .map_or("SHOW", |(_, _, kind)| kind),
            Self::Shutdown(Shutdown::Now) => "SHUTDOWN",
            Self::Shutdown(Shutdown::WaitForServers) => "SHUTDOWN WAIT_FOR_SERVERS",
            Self::Shutdown(Shutdown::WaitForClients) => "SHUTDOWN WAIT_FOR_CLIENTS",
        }
    }

    /// The tag of its CommandComplete, as PgBouncer has it: the first word.
    pub(super) fn tag(&self) -> &'static str {
        let kind = self.kind();
        kind.split_once(' ').map_or(kind, |(first, _)| first)
    }

    /// What it is about: a database, or a session's number.
    pub(super) fn target(&self) -> Option<String> {
        match self {
            Self::Kill(database) | Self::Pause(database) | Self::Resume(database) => {
                database.clone()
            }
            Self::KillClient(id) => Some(id.to_string()),
            Self::Empty | Self::Reload | Self::Show(_) | Self::Shutdown(_) => None,
        }
    }

    /// It changes nothing: for `stats_users` too.
    pub(super) fn only_looks(&self) -> bool {
        matches!(self, Self::Empty | Self::Show(_))
    }
}

/// It is no name.
struct NoName;

/// One name, bare or in double quotes, or none.
fn database(text: &str) -> Result<Option<String>, NoName> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(rest) = text.strip_prefix('"') {
        let inner = rest.strip_suffix('"').ok_or(NoName)?;
        // What is left when pairs are taken out must not be a quote.
        let open = inner.replace("\"\"", "").contains('"');
        if open || inner.is_empty() {
            return Err(NoName);
        }
        return Ok(Some(inner.replace("\"\"", "\"")));
    }
    let bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    if text.chars().all(bare) {
        Ok(Some(text.to_owned()))
    } else {
        Err(NoName)
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Shutdown, Subject};

    #[test]
    fn commands_are_read_as_pgbouncer_reads_them() {
        let name = |n: &str| Some(n.to_owned());
        for (text, command) in [
            ("show pools", Command::Show(Subject::Pools)),
            (
                "  SHOW\n Stats_Totals ; ",
                Command::Show(Subject::StatsTotals),
            ),
            ("pause", Command::Pause(None)),
            ("PAUSE clinic;", Command::Pause(name("clinic"))),
            (
                "RESUME \"my \"\"own\"\" db\"",
                Command::Resume(name("my \"own\" db")),
            ),
            ("KILL", Command::Kill(None)),
            ("KILL clinic", Command::Kill(name("clinic"))),
            ("KILL 17", Command::KillClient(17)),
            ("KILL_CLIENT 17", Command::KillClient(17)),
            ("SHUTDOWN", Command::Shutdown(Shutdown::Now)),
            (
                "shutdown wait_for_clients",
                Command::Shutdown(Shutdown::WaitForClients),
            ),
            ("", Command::Empty),
            (";", Command::Empty),
        ] {
            assert_eq!(Command::parse(text), Some(command), "{text}");
        }
        for text in [
            "SELECT 1",
            "SHOW",
            "SHOW SECRETS",
            "SHOW POOLS; SHOW CLIENTS",
            "RELOAD now",
            "PAUSE a b",
            "PAUSE \"a",
            "PAUSE \"\"",
            "KILL_CLIENT clinic",
            "SHUTDOWN WAIT",
        ] {
            assert_eq!(Command::parse(text), None, "{text}");
        }
    }

    #[test]
    fn records_and_tags_have_their_words() {
        let command = Command::parse("show stats_averages").unwrap();
        assert_eq!(
            (command.kind(), command.tag()),
            ("SHOW STATS_AVERAGES", "SHOW")
        );
        let command = Command::parse("kill 5").unwrap();
        assert_eq!(command.tag(), "KILL_CLIENT");
        assert_eq!(command.target().as_deref(), Some("5"));
        assert!(!command.only_looks());
    }
}
