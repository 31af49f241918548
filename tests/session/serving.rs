//! The proxy as a process of its own, beside the commands that share its files: its clock, its signals.
//!
//! What a policy ends with a day ends with it. The test sets the clock: a library before libc's adds a
//! number of seconds, which is read from a file, to the time of day.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use pgveil::cli::keys;

use super::client::{Answer, Client};
use super::restart::{listening, until_read};
use super::rotation::key_of;
use super::stage::{PASSWORD, Stage, soon};

const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *out)
{
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, out);
    if (id == CLOCK_REALTIME) {
        FILE *file = fopen(getenv("PGVEIL_TEST_CLOCK"), "r");
        long seconds = 0;
        if (file != NULL) {
            if (fscanf(file, "%ld", &seconds) != 1)
                abort();
            fclose(file);
        }
        out->tv_sec += seconds;
    }
    return result;
}
"#;

const POLICY: &str = "
version: 1
mode: enforce
databases: [stage]
defaults: {unclassified_column: clear, unparsed_sql: deny, unknown_login: deny}
classes: {email: {level: C2}}
columns:
  public.people: {email: email}
tokens:
  mine: {kind: siv, key: k, expires: 2030-06-15, detokenize: [support, watched]}
  others: {kind: siv, key: k, expires: 2030-06-16}
  counted: {kind: ff1, format: integer, key: k, detokenize: [support]}
roles:
  support: {match: {login: support}, kind: human}
  watched: {match: {login: watched}, kind: third_party, expires: 2030-06-15}
treat:
  class: {email: {support: token(mine), watched: token(others)}}
";

/// 2030-06-15 12:00 UTC: `date -u -d '2030-06-15 12:00' +%s`
const NOON: u64 = 1_907_755_200;

struct Proxy {
    addr: SocketAddr,
    clock: PathBuf,
    process: Child,
    folder: tempfile::TempDir,
}

impl Proxy {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        library(&path("clock.c"), &path("clock.so"));
        fs::write(path("policy.yaml"), POLICY).unwrap();
        keys::new_key(&path("ring"), "k", PASSWORD.as_bytes(), "2030-01-01").unwrap();
        let password = format!("password: {{env: {VARIABLE}}}");
        let login = format!("{{user: stage_login, {password}}}");
        let configuration = format!(
            "listen: 127.0.0.1:0
upstream:
  address: {}
  tls: {{mode: disable}}
  logins: {{\"*\": {login}}}
  catalog: {login}
users: {{support: {{{password}}}, watched: {{{password}}}}}
policies: policy.yaml
keys: {{ring: ring, passphrase: {{command: [sh, -c, 'echo \"${VARIABLE}\"']}}}}
audit: audit.jsonl
",
            Stage::shared().cluster.address()
        );
        fs::write(path("pgveil.yaml"), configuration).unwrap();
        set(&path("clock"), NOON);
        let log = fs::File::create(path("log")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_pgveil"))
            .args(["serve", "-c"])
            .arg(path("pgveil.yaml"))
            .env(VARIABLE, PASSWORD)
            .env("LD_PRELOAD", path("clock.so"))
            .env("PGVEIL_TEST_CLOCK", path("clock"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let addr = listening(&path("log"), &mut process);
        until_read(addr);
        Self {
            addr,
            clock: path("clock"),
            process,
            folder,
        }
    }

    /// A command on the same configuration: whether it worked, and what it said.
    fn command(&self, args: &[&str]) -> (bool, String) {
        self.run(&[args, &["-c", "pgveil.yaml"]].concat())
    }

    fn run(&self, args: &[&str]) -> (bool, String) {
        let (done, out, said) = self.fed(args, "", None);
        (done, out + &said)
    }

    /// A command with something on its standard input, perhaps with the proxy's clock: whether it
    /// worked, what it printed, and what it said.
    fn fed(&self, args: &[&str], input: &str, clock: Option<&Path>) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgveil"));
        if let Some(clock) = clock {
            command.env("LD_PRELOAD", self.folder.path().join("clock.so"));
            command.env("PGVEIL_TEST_CLOCK", clock);
        }
        let mut child = command
            .args(args)
            .env(VARIABLE, PASSWORD)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that does not read it has closed it by now.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap_or_default();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn hang_up(&self) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn connect(&self, user: &str) -> Result<Client, String> {
        Client::connect(self.addr, user, PASSWORD, "stage")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

const VARIABLE: &str = "PGVEIL_TEST_PASSWORD";

fn library(source: &Path, library: &Path) {
    fs::write(source, CLOCK).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([library, source])
        .arg("-ldl")
        .status();
    assert!(compiled.unwrap().success());
}

/// Makes it this time for the proxy.
fn set(clock: &Path, unix: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let shift = unix - now.unwrap().as_secs();
    // Whole or not at all: the proxy reads it at any time.
    let new = clock.with_extension("new");
    fs::write(&new, shift.to_string()).unwrap();
    fs::rename(new, clock).unwrap();
}

fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Rows(rows, _) => rows.join(", "),
        Answer::Error(state, message) => format!("{state} {message}"),
    }
}

const ONE: &str = "SELECT email FROM people WHERE id = 1";
const DENIED: &str = "42501 permission denied for column email";

#[test]
fn a_domain_ends_with_its_last_day_in_open_sessions_too() {
    let proxy = Proxy::start();
    let mut client = proxy.connect("support").unwrap();
    let mut idle = proxy.connect("support").unwrap();
    let mut other = proxy.connect("watched").unwrap();
    let token = shown(&client.simple(ONE));
    assert!(token.starts_with("tok_"), "{token}");
    let kept = shown(&other.simple(ONE));
    client.simple("PREPARE p AS SELECT email FROM people");
    client.send(b'P', format!("s\0{ONE}\0\0\0").as_bytes());
    client.send(b'S', b"");
    client.until_ready();
    client.simple("DECLARE c CURSOR WITH HOLD FOR SELECT email FROM people; FETCH 1 FROM c");
    assert_eq!(shown(&idle.simple("TABLE people")).matches('|').count(), 6);

    // The last second of its day.
    let midnight = NOON + 12 * 3_600;
    set(&proxy.clock, midnight - 1_000);
    assert_eq!(shown(&client.simple(ONE)), token);
    set(&proxy.clock, midnight);
    // The very next statement, before anything has had time to look at the clock.
    let find = format!("SELECT id FROM people WHERE email = '{token}'");
    assert_eq!(shown(&client.simple(&find)), DENIED);
    assert_eq!(shown(&client.simple("EXECUTE p")), DENIED);
    client.send(b'B', b"\0s\0\0\0\0\0\0\0");
    client.send(b'E', b"\0\0\0\0\0");
    client.send(b'S', b"");
    assert_eq!(shown(&client.answer()), DENIED);
    let closed = shown(&client.simple("FETCH 1 FROM c"));
    assert!(
        closed.starts_with("24000 cursor \"c\" was closed"),
        "{closed}"
    );
    // The column is not there any more.
    assert_eq!(shown(&idle.simple("TABLE people")).matches('|').count(), 3);
    idle.send(b'Q', format!("{ONE}\0").as_bytes());
    let told = idle.until_ready();
    let error = told.iter().find(|message| message.kind == b'E').unwrap();
    let error = String::from_utf8_lossy(&error.body);
    let why = "The role saw tokens of domain \"mine\" (";
    assert!(
        error.contains(why) && error.contains("which expired on 2030-06-15."),
        "{error}"
    );

    // A domain that lasts a day longer, for a role that may not connect again.
    assert_eq!(shown(&other.simple(ONE)), kept);
    assert!(proxy.connect("watched").is_err());
    set(&proxy.clock, midnight + 24 * 3_600);
    assert_eq!(shown(&other.simple(ONE)), DENIED);
    for domain in ["mine", "others"] {
        let said = format!("token domain `{domain}` expired on");
        soon(&said, || {
            let log = fs::read_to_string(proxy.folder.path().join("log")).unwrap();
            log.contains(&said)
        });
    }
}

#[test]
fn a_ring_changed_by_the_commands_is_taken_at_sighup() {
    let proxy = Proxy::start();
    let mut client = proxy.connect("support").unwrap();
    let first = shown(&client.simple(ONE));
    let (done, said) = proxy.command(&["keys", "rotate", "k"]);
    assert!(done && said.starts_with("made key k ("), "{said}");
    assert_eq!(shown(&client.simple(ONE)), first);
    proxy.hang_up();
    let mut second = String::new();
    soon("no other key is used", || {
        second = shown(&client.simple(ONE));
        second != first
    });
    assert!(said.contains(&format!("({})", key_of(&second))), "{said}");
    let find = format!("SELECT id FROM people WHERE email = '{first}'");
    assert_eq!(shown(&client.simple(&find)), "1");
    let (listed, keys) = proxy.command(&["keys", "list"]);
    assert!(listed && keys.lines().count() == 2, "{keys}");
    for (command, refused) in [
        (["keys", "retire", key_of(&second)], "rotate the name first"),
        // No key has it: ids are letters and the digits from 2 on.
        (["keys", "retire", "0000"], "has no key with this id"),
        (["keys", "rotate", "other"], "has no key of this name"),
        (["keys", "new", "k"], "already has a key of this name"),
    ] {
        let (done, said) = proxy.command(&command);
        assert!(!done && said.contains(refused), "{command:?}: {said}");
    }
    let (done, said) = proxy.command(&["keys", "retire", key_of(&first)]);
    assert!(done, "{said}");
    // A command that fails says so, and nothing changes.
    let config = fs::read_to_string(proxy.folder.path().join("pgveil.yaml")).unwrap();
    let failing = config.replace("sh, -c", "sh, -c, 'exit 4', --");
    fs::write(proxy.folder.path().join("failing.yaml"), failing).unwrap();
    let args = ["keys", "rotate", "k", "-c", "failing.yaml"];
    let (done, said) = proxy.run(&args);
    let why = "keys.passphrase: the command sh: it failed: exit status: 4";
    assert!(!done && said.contains(why), "{said}");
}

#[test]
fn who_has_the_right_turns_tokens_back_and_it_is_recorded() {
    let proxy = Proxy::start();
    let all = "SELECT email FROM people WHERE email IS NOT NULL ORDER BY id";
    let mine = shown(&proxy.connect("support").unwrap().simple(all));
    let (ada, grace) = mine.split_once(", ").unwrap();
    let foreign = shown(&proxy.connect("watched").unwrap().simple(ONE));
    let right = |work, role, domain| {
        let args = [
            "token",
            work,
            "-c",
            "pgveil.yaml",
            "--role",
            role,
            "--domain",
            domain,
        ];
        args.to_vec()
    };
    let decode = right("decode", "support", "mine");
    let encode = right("encode", "support", "mine");

    let (done, out, said) = proxy.fed(&[&decode[..], &[ada, grace]].concat(), "", None);
    assert_eq!(
        (done, &*out, &*said),
        (true, "ada@example.com\ngrace@example.com\n", "")
    );
    let (done, out, _) = proxy.fed(&encode, "ada@example.com\n\\N\ngrace@example.com\n", None);
    assert_eq!((done, out), (true, format!("{ada}\n\\N\n{grace}\n")));
    // What COPY writes comes back as COPY writes it.
    let odd = "tab\\t back\\\\slash\\nline";
    let (_, token, _) = proxy.fed(&encode, odd, None);
    let (_, out, _) = proxy.fed(&decode, &token, None);
    assert_eq!(out, format!("{odd}\n"));
    for (ty, value, as_shown) in [
        ("integer", "007", "7"),
        ("integer", "-9223372036854775808", "-9223372036854775808"),
        (
            "uuid",
            "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
    ] {
        let args = [&encode[..], &["--type", ty]].concat();
        let (_, token, _) = proxy.fed(&args, value, None);
        let (done, out, _) = proxy.fed(&decode, &token, None);
        assert_eq!((done, out), (true, format!("{as_shown}\n")), "{ty}");
    }

    // Integers that stay integers, alike in both types of them.
    let numbers = "0\n-7\n2147483647\n9223372036854775807\n\\N\n";
    let (done, tokens, _) = proxy.fed(
        &[
            &right("encode", "support", "counted")[..],
            &["--type", "integer"],
        ]
        .concat(),
        numbers,
        None,
    );
    let made: Vec<i64> = tokens.lines().filter_map(|l| l.parse().ok()).collect();
    assert!(
        done && made.len() == 4 && i32::try_from(made[2]).is_ok(),
        "{tokens}"
    );
    assert!(
        made[1] < 0 && made[0] > 0 && made[2] > 0 && made[3] > 0,
        "{tokens}"
    );
    let counted = right("decode", "support", "counted");
    let (done, out, _) = proxy.fed(&counted, &tokens, None);
    assert_eq!((done, &*out), (true, numbers));
    let (done, out, _) = proxy.fed(&counted, "9223372036854775808\n5.0\ntok_a\n", None);
    assert_eq!((done, &*out), (false, "\\N\n\\N\n\\N\n"));

    // What is no token of the domain is told apart by nothing.
    let key = key_of(ada);
    let (retired, _) = proxy.command(&["keys", "rotate", "k"]);
    assert!(retired && proxy.command(&["keys", "retire", key]).0);
    let last = if grace.ends_with('a') { 'b' } else { 'a' };
    let forged = format!("{}{last}", grace.get(..grace.len() - 1).unwrap());
    let (_, new, _) = proxy.fed(&encode, "ada@example.com", None);
    let cut = new.trim_end().get(..20).unwrap();
    let input = format!("{ada}\n{forged}\n{foreign}\n{cut}\nada@example.com\n\n{new}");
    let (done, out, said) = proxy.fed(&decode, &input, None);
    assert_eq!(
        (done, &*out),
        (false, "\\N\n\\N\n\\N\n\\N\n\\N\n\\N\nada@example.com\n")
    );
    let why = "pgveil: 6 of 7 are no tokens of domain \"mine\": \\N stands for them\n";
    assert_eq!(said, why);
    let (done, out, said) = proxy.fed(&[&encode[..], &["--type", "integer"]].concat(), "5x", None);
    assert!(
        !done && out == "\\N\n" && said.contains("1 of 1 are no values"),
        "{said}"
    );

    let clock = proxy.clock.as_path();
    set(clock, NOON + 12 * 3_600);
    for (args, at, why) in [
        (
            right("decode", "watched", "others"),
            None,
            "its `detokenize` does not name it",
        ),
        (
            right("encode", "watched", "others"),
            None,
            "its `detokenize` does not name it",
        ),
        (
            right("decode", "watched", "mine"),
            Some(clock),
            "role `watched` expired on 2030-06-15",
        ),
        (
            decode.clone(),
            Some(clock),
            "token domain `mine` expired on 2030-06-15",
        ),
        (
            right("decode", "suport", "mine"),
            None,
            "no role `suport`: did you mean `support`?",
        ),
        (
            right("decode", "support", "other"),
            None,
            "no token domain `other`: did you mean `others`?",
        ),
    ] {
        let (done, out, said) = proxy.fed(&args, &new, at);
        assert!(
            !done && out.is_empty() && said.contains(why),
            "{args:?}: {out}{said}"
        );
    }
    let (done, out, said) = proxy.fed(&decode, "a\tb\n", None);
    assert!(
        !done && out.is_empty() && said.contains("line 1 of standard input"),
        "{said}"
    );

    // Every run that began has its record, with counts and no value.
    let audit = fs::read_to_string(proxy.folder.path().join("audit.jsonl")).unwrap();
    let records: Vec<&str> = audit
        .lines()
        .filter(|l| l.contains("\"event\":\"token\""))
        .collect();
    let with = |what: &str| records.iter().filter(|r| r.contains(what)).count();
    assert_eq!(with("\"decision\":\"refuse\""), 4, "{records:?}");
    assert_eq!(with("\"role\":\"support\""), records.len() - 3);
    assert_eq!(with("\"reason\":\"6 are no tokens of domain\""), 1);
    assert_eq!(with("\"rows\":2,"), 2);
    assert!(
        records.iter().all(|r| r.contains("\"login\":\"uid ")),
        "{records:?}"
    );
    // In full: four digits of one are found by chance among the digits of times and ids.
    for value in ["ada@", "grace", "tok_", "9223372036854775808", "a0eebc99"] {
        assert_eq!(with(value), 0, "{value}");
    }
    // Without an audit log nothing is turned.
    let config = fs::read_to_string(proxy.folder.path().join("pgveil.yaml")).unwrap();
    let silent = config.replace("audit: audit.jsonl\n", "");
    fs::write(proxy.folder.path().join("silent.yaml"), silent).unwrap();
    let nowhere = config.replace("audit.jsonl", "no/such/audit.jsonl");
    fs::write(proxy.folder.path().join("nowhere.yaml"), nowhere).unwrap();
    for (file, why) in [
        ("silent.yaml", "names no audit log"),
        ("nowhere.yaml", "no/such/audit.jsonl: No such file"),
    ] {
        let mut args = decode.clone();
        args[3] = file;
        let (done, out, said) = proxy.fed(&args, &new, None);
        assert!(!done && out.is_empty() && said.contains(why), "{out}{said}");
    }
}
