//! `keys`: the ring's file, and where its passphrase comes from.
//!
//! [`PassphraseSource`] is the seam for key management systems. A command is the implementation for all
//! of them: each has a program that unwraps or prints a secret. Deliberately absent: a shell, and
//! anything of the command's output in a message.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::Secret;
use super::load::Loader;
use crate::limits;
use crate::policy::read::{Fields, texts};
use crate::policy::yaml::{Node, Value};
use crate::policy::{PolicyError, shown};

/// Where the passphrase of a key ring comes from. It is asked for whenever the ring is opened.
pub trait PassphraseSource: fmt::Debug + Send + Sync {
    /// The passphrase, which may take a while to come.
    ///
    /// # Errors
    /// What went wrong, in words without a secret.
    fn passphrase(&self) -> Result<Secret, String>;
}

impl PassphraseSource for Secret {
    fn passphrase(&self) -> Result<Secret, String> {
        Ok(self.clone())
    }
}

/// `{command: [program, argument, …]}`: its standard output, without the line's end, is the passphrase.
/// What it says of errors goes to pgveil's own standard error.
#[derive(Clone, Debug)]
pub struct PassphraseCommand {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

impl PassphraseCommand {
    /// Long enough for a service on the other side of the Earth, short enough for a person who waits.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    fn run(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        let mut child = (command.stdout(Stdio::piped()).spawn()).map_err(|e| e.to_string())?;
        let output = child.stdout.take().ok_or("it has no output")?;
        let (sender, output_read) = mpsc::channel();
        // Not joined: a process it left behind may hold the pipe open for ever.
        thread::spawn(move || {
            // With room for all of it, so that no copy stays behind when the buffer grows.
            let mut bytes = Zeroizing::new(Vec::with_capacity(limits::PASSPHRASE_BYTES + 1));
            let bound = u64::try_from(limits::PASSPHRASE_BYTES + 1).unwrap_or(u64::MAX);
            let read = output.take(bound).read_to_end(&mut bytes);
            // The other side has given up by then, or takes it.
            drop(sender.send(read.map(|_| bytes)));
        });
        let deadline = Instant::now() + self.timeout;
        let too_long = || format!("it took longer than {} s", self.timeout.as_secs_f32());
        let Some(output) = received(&output_read, deadline) else {
            end(&mut child);
            return Err(too_long());
        };
        if matches!(&output, Ok(bytes) if bytes.len() > limits::PASSPHRASE_BYTES) {
            end(&mut child);
            return Err("its output is too long".to_owned());
        }
        let status = loop {
            match child.try_wait().map_err(|e| e.to_string())? {
                Some(status) => break status,
                None if Instant::now() >= deadline => {
                    end(&mut child);
                    return Err(too_long());
                }
                None => thread::sleep(limits::PASSPHRASE_POLL),
            }
        };
        if !status.success() {
            return Err(format!("it failed: {status}"));
        }
        output.map_err(|e| e.to_string())
    }
}

fn received<T>(from: &mpsc::Receiver<T>, deadline: Instant) -> Option<T> {
    let left = deadline.saturating_duration_since(Instant::now());
    from.recv_timeout(left).ok()
}

/// It is ended whether or not anybody can be told that it was.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

impl PassphraseSource for PassphraseCommand {
    fn passphrase(&self) -> Result<Secret, String> {
        let failed = |what: String| {
            let program = self.program.display();
            format!("keys.passphrase: the command {program}: {what}")
        };
        let output = self.run().map_err(failed)?;
        let text = std::str::from_utf8(&output);
        let text = text.map_err(|_| failed("its output is not UTF-8".to_owned()))?;
        match text.trim_end_matches(['\n', '\r']) {
            "" => Err(failed("it printed nothing".to_owned())),
            passphrase => Ok(Secret::new(passphrase.to_owned())),
        }
    }
}

/// A source, shared by all who may ask it.
type Source = Arc<dyn PassphraseSource>;

impl Loader<'_> {
    pub(super) fn keys(&mut self, node: &Node) -> Option<(PathBuf, Option<Source>)> {
        let mut fields = Fields::open(node, "keys", &mut self.faults)?;
        let ring = fields.require("ring", &mut self.faults);
        let passphrase = fields.take("passphrase");
        fields.finish(&mut self.faults);
        let ring = ring.and_then(|n| self.path(n, "ring"));
        let passphrase = passphrase.map(|n| self.passphrase(n));
        match passphrase {
            Some(passphrase) => Some((ring?, Some(passphrase?))),
            None => Some((ring?, None)),
        }
    }

    /// A secret as any other, or a command that prints it.
    fn passphrase(&mut self, node: &Node) -> Option<Source> {
        let is_command = match &node.value {
            Value::Map(entries) => entries
                .iter()
                .any(|(key, _)| matches!(key.text.as_str(), "command" | "timeout")),
            Value::Scalar(_) | Value::List(_) | Value::Invalid => false,
        };
        if !is_command {
            let secret = self.secret(node, "passphrase")?;
            return Some(Arc::new(secret));
        }
        let mut fields = Fields::open(node, "passphrase", &mut self.faults)?;
        let command = fields.require("command", &mut self.faults);
        let timeout = fields.take("timeout");
        fields.finish(&mut self.faults);
        let timeout = self.time(timeout, "timeout", PassphraseCommand::TIMEOUT);
        let command = command?;
        if !matches!(command.value, Value::List(_)) {
            let error = PolicyError::at(&command.span, "command is a list of words");
            let help =
                "no shell takes it apart: [vault, kv, get, -field=passphrase, secret/pgveil]";
            self.faults.push(error.help(help));
            return None;
        }
        let before = self.faults.list.len();
        let words = texts(command, "a word of the command", &mut self.faults);
        if self.faults.list.len() > before {
            return None;
        }
        let mut words = words.into_iter();
        let Some((program, span)) = words.next().filter(|(program, _)| !program.is_empty()) else {
            self.faults.at(&command.span, "command names no program");
            return None;
        };
        if program.contains('\0') {
            let message = format!("no program is called `{}`", shown(&program));
            self.faults.at(&span, message);
            return None;
        }
        let program = PathBuf::from(program);
        // As in a shell: what has a slash is a path, anything else is looked for in PATH.
        let program = match program.components().count() {
            1 => program,
            _ => self.folder().join(program),
        };
        Some(Arc::new(PassphraseCommand {
            program,
            arguments: words.map(|(word, _)| word).collect(),
            timeout: timeout?,
        }))
    }
}

/// The passphrase of a ring, for one that has none the empty one.
pub(in crate::server) fn ask(source: Option<&Source>) -> Result<Secret, String> {
    match source {
        Some(source) => source.passphrase(),
        None => Ok(Secret::new(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::{PassphraseCommand, PassphraseSource as _};

    fn shell(script: &str, timeout: Duration) -> Result<String, String> {
        let command = PassphraseCommand {
            program: PathBuf::from("sh"),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            timeout,
        };
        command
            .passphrase()
            .map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn what_a_command_prints_is_the_passphrase() {
        let patience = Duration::from_secs(20);
        for (script, passphrase) in [
            ("printf ' two words '", " two words "),
            ("echo lines; echo two", "lines\ntwo"),
            ("cat; printf 'x\\r\\n'", "x"),
        ] {
            assert_eq!(shell(script, patience).as_deref(), Ok(passphrase));
        }
        for (script, error) in [
            ("echo hunter2; exit 3", "it failed: exit status: 3"),
            ("echo hunter2; kill -9 $$", "it failed: signal: 9 (SIGKILL)"),
            ("true", "it printed nothing"),
            ("echo", "it printed nothing"),
            ("printf '\\377'", "its output is not UTF-8"),
            ("yes hunter2", "its output is too long"),
        ] {
            let said = shell(script, patience).expect_err(script);
            let beginning = "keys.passphrase: the command sh: ";
            assert_eq!(said, format!("{beginning}{error}"));
        }
    }

    #[test]
    fn a_command_that_takes_too_long_is_not_waited_for() {
        let begun = Instant::now();
        for script in [
            "sleep 60",
            "exec sleep 60",
            "echo x; exec >&-; exec sleep 60",
        ] {
            let said = shell(script, Duration::from_millis(300)).expect_err(script);
            assert!(said.ends_with("it took longer than 0.3 s"), "{said}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        let nothing = PassphraseCommand {
            program: PathBuf::from("/nowhere/pgveil-no-such-program"),
            arguments: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        let said = nothing.passphrase().expect_err("no program");
        assert!(said.contains("No such file"), "{said}");
    }
}
