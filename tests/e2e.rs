//! Runs `tests/corpus/e2e`, `tests/corpus/bypass` and `tests/corpus/wire` through `pgveil serve` and
//! a real PostgreSQL. How to read and add cases: `tests/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set its stage has failed"
)]

mod support;

#[path = "e2e/beside.rs"]
mod beside;
#[path = "e2e/copied.rs"]
mod copied;
#[path = "e2e/copy.rs"]
mod copy;
#[path = "e2e/half.rs"]
mod half;
#[path = "e2e/heirs.rs"]
mod heirs;
#[path = "e2e/hmac.rs"]
mod hmac;
#[path = "e2e/integers.rs"]
mod integers;
#[path = "e2e/later.rs"]
mod later;
#[path = "e2e/lone.rs"]
mod lone;
#[path = "e2e/narrowed.rs"]
mod narrowed;
#[path = "e2e/pointed.rs"]
mod pointed;
#[path = "e2e/sealed.rs"]
mod sealed;
#[path = "e2e/siv.rs"]
mod siv;
#[path = "e2e/stored.rs"]
mod stored;
#[path = "e2e/tabulated.rs"]
mod tabulated;
#[path = "e2e/tokens.rs"]
mod tokens;
#[path = "e2e/tools.rs"]
mod tools;
#[path = "e2e/twins.rs"]
mod twins;
#[path = "e2e/uploads.rs"]
mod uploads;
#[path = "e2e/wire.rs"]
mod wire;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use support::client::{Answer, Client};
use support::stage::{Role, Stage};

/// The clinic, built on first use.
fn clinic() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| Stage::build(None))
}

/// The same, through a proxy whose sessions share few connections.
fn lending() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| Stage::with(None, "transaction, size: 4"))
}

/// The same, with its texts stored encrypted.
fn sealed_clinic() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(Stage::sealed)
}

/// The same, half encrypted, with a rotated key, over lent connections.
fn half_sealed_clinic() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(Stage::half)
}

/// How often a draw is repeated. Of two equal chances the same comes each time once in 10¹⁴.
const DRAWS: usize = 48;

/// Rows, else the command tags, else the error. A refusal's words are the business of `corpus/plan`.
fn show(answer: &Answer) -> String {
    match answer {
        Answer::Rows(lines, tags) => {
            let lines = if lines.is_empty() { tags } else { lines };
            lines
                .iter()
                .fold(String::new(), |out, line| out + line + "\n")
        }
        Answer::Error(state, _) if ["42501", "0A000"].contains(&state.as_str()) => {
            format!("refused {state}\n")
        }
        Answer::Error(state, message) => format!("ERROR {state} {message}\n"),
    }
}

fn role_of(case: &datadriven::TestCase) -> Role {
    match case
        .args
        .get("role")
        .and_then(|names| names.first())
        .map(String::as_str)
    {
        Some("owner") => Role::Owner,
        Some("support") => Role::Support,
        Some("analyst") => Role::Analyst,
        Some("partner") => Role::Partner,
        other => panic!("{}: role {other:?}", case.directive),
    }
}

/// A row's order says nothing without ORDER BY.
fn in_any_order(answer: Answer, sql: &str) -> Answer {
    match answer {
        Answer::Rows(mut rows, tags) if !sql.to_lowercase().contains("order by") => {
            rows.sort();
            Answer::Rows(rows, tags)
        }
        other => other,
    }
}

/// The sessions of one corpus: cases that leave nothing behind share them, since logging in costs
/// more than a query.
struct Sessions {
    stage: &'static Stage,
    proxied: HashMap<Role, Client>,
    direct: HashMap<&'static str, Client>,
}

impl Sessions {
    fn new(stage: &'static Stage) -> Self {
        Self {
            stage,
            proxied: HashMap::new(),
            direct: HashMap::new(),
        }
    }

    /// `rows role=R`: one statement, by both protocols; what is answered must be what PostgreSQL
    /// answers on R's masked copy.
    fn rows(&mut self, role: Role, sql: &str) -> String {
        // Who skips locked rows would skip those of another test in the same database.
        static LOCKS: Mutex<()> = Mutex::new(());
        let _alone = sql.contains("FOR UPDATE").then(|| LOCKS.lock());
        let stage = self.stage;
        let client = self
            .proxied
            .entry(role)
            .or_insert_with(|| stage.connect(role));
        let answer = in_any_order(client.simple(sql), sql);
        let extended = in_any_order(client.extended(sql), sql);
        stage.assert_silent(role, client, sql);
        assert_eq!(
            answer, extended,
            "simple and extended protocol differ on: {sql}"
        );
        if let (Answer::Rows(..), Some(copy)) = (&answer, stage.masked_copy(role)) {
            let direct = self
                .direct
                .entry(copy)
                .or_insert_with(|| stage.direct(copy));
            let expected = in_any_order(direct.simple(sql), sql);
            assert_eq!(answer, expected, "differs from the masked copy: {sql}");
        }
        show(&answer)
    }

    /// `draws role=R`: a statement whose rows PostgreSQL may choose, and below it one that gives all it
    /// may choose from. It is run again and again: every answer must be of rows of the masked copy, and
    /// what PostgreSQL would always have chosen, because it is stored first or indexed first, must not
    /// come every time.
    fn draws(&mut self, role: Role, script: &str) -> String {
        let (sql, all) = script.split_once('\n').unwrap();
        let mut client = self.stage.connect(role);
        let possible = match self.stage.masked_copy(role) {
            Some(copy) => self.stage.direct(copy).simple(all),
            None => client.simple(all),
        };
        let Answer::Rows(possible, _) = possible else {
            return show(&possible);
        };
        let mut seen = Vec::new();
        for turn in 0..DRAWS {
            let answer = if turn % 2 == 0 {
                client.simple(sql)
            } else {
                client.extended(sql)
            };
            self.stage.assert_silent(role, &mut client, sql);
            let Answer::Rows(rows, _) = answer else {
                return show(&answer);
            };
            assert!(!rows.is_empty(), "nothing was drawn: {sql}");
            for row in &rows {
                assert!(possible.contains(row), "{row} is not possible: {sql}");
            }
            seen.push(rows);
        }
        if seen.iter().all(|rows| *rows == seen[0]) {
            format!("always\n{}\n", seen[0].join("\n"))
        } else {
            "varies\n".to_owned()
        }
    }

    /// `attack role=R`: each line one message of the same session, a new one for each case. What is
    /// answered must be what PostgreSQL answers on R's masked copy, the system catalogs aside, which
    /// know of the stored database only.
    fn attack(&self, role: Role, script: &str) -> String {
        let mut client = self.stage.connect(role);
        let mut direct = (self.stage.masked_copy(role)).map(|copy| self.stage.direct(copy));
        let mut out = String::new();
        for sql in script.lines() {
            // By their names: a token's place among others says nothing to a reader.
            let answer = tokens::name(self.stage, client.simple(sql));
            let answer = in_any_order(answer, sql);
            // Numbers that the wing hides turn up among those that are seen: there the copy decides.
            if self.stage.analysts.get().is_none() {
                self.stage.assert_silent(role, &mut client, sql);
            }
            if let (Answer::Rows(..), Some(direct), false) =
                (&answer, &mut direct, sql.contains("pg_"))
            {
                // The copy is another database; a name may start with the stored one's.
                let there = sql.replace("clinic.public.", "public.");
                let expected = tokens::name(self.stage, direct.simple(&there));
                let expected = in_any_order(expected, sql);
                // The analyst's copy is one of the patients; others have no room for their tokens.
                let copied = sql.contains("patients") && !sql.contains("payroll");
                if role != Role::Analyst || copied {
                    assert_eq!(answer, expected, "differs from the masked copy: {sql}");
                }
            }
            out.push_str(&show(&answer));
        }
        out
    }
}

fn run(folder: &str, stage: &'static Stage) {
    let mut sessions = Sessions::new(stage);
    datadriven::walk(folder, |file| {
        file.run(|case| -> String {
            let (role, input) = (role_of(case), tokens::put_in(stage, case.input.trim_end()));
            let input = input.as_str();
            let out = match case.directive.as_str() {
                "rows" => sessions.rows(role, input),
                "attack" => sessions.attack(role, input),
                "draws" => sessions.draws(role, input),
                other => panic!("no directive {other}"),
            };
            tokens::take_out(stage, &out)
        });
    });
}

#[test]
fn e2e() {
    run("tests/corpus/e2e", clinic());
}

#[test]
fn e2e_over_lent_connections() {
    run("tests/corpus/e2e", lending());
}

#[test]
fn bypass() {
    run("tests/corpus/bypass", clinic());
}

/// Where the analyst has a masked copy too.
#[test]
fn bypass_beside_a_copy_with_tokens() {
    run("tests/corpus/bypass/tokens.test", siv::stage());
}

#[test]
fn bypass_over_lent_connections() {
    run("tests/corpus/bypass", lending());
}

/// Nobody can tell that what is stored is encrypted, but by what is refused: a case is answered as it is
/// in the clinic, or not at all. Returns how many were answered, of how many that the clinic answers.
fn run_sealed(folder: &str, sealed: &'static Stage) -> (usize, usize) {
    let mut sessions = [Sessions::new(clinic()), Sessions::new(sealed)];
    let (mut answered, mut all) = (0, 0);
    datadriven::walk(folder, |file| {
        file.run(|case| -> String {
            let role = role_of(case);
            let [plain, sealed] = [0, 1].map(|n| {
                let stage = sessions[n].stage;
                let input = tokens::put_in(stage, case.input.trim_end());
                let out = match case.directive.as_str() {
                    "rows" => sessions[n].rows(role, &input),
                    "draws" => sessions[n].draws(role, &input),
                    _ => sessions[n].attack(role, &input),
                };
                tokens::take_out(stage, &out)
            });
            if case.directive != "attack" && !plain.starts_with("refused") {
                all += 1;
                if sealed.starts_with("refused") {
                    return plain;
                }
                answered += 1;
                assert_eq!(sealed, plain, "differs from the clinic: {}", case.input);
            }
            plain
        });
    });
    (answered, all)
}

#[test]
fn e2e_of_encrypted_columns() {
    let (answered, all) = run_sealed("tests/corpus/e2e", sealed_clinic());
    assert!(answered * 2 > all, "{answered} of {all}");
}

#[test]
fn e2e_of_half_encrypted_columns() {
    let (answered, all) = run_sealed("tests/corpus/e2e", half_sealed_clinic());
    assert!(answered * 5 > all * 2, "{answered} of {all}");
}

#[test]
fn bypass_of_encrypted_columns() {
    run_sealed("tests/corpus/bypass", sealed_clinic());
}

#[test]
fn bypass_of_half_encrypted_columns() {
    run_sealed("tests/corpus/bypass", half_sealed_clinic());
}

#[test]
fn tools() {
    // Tools ask what their server's version is and then for what that version has: the statements were
    // recorded on 15, and elsewhere name columns that PostgreSQL itself does not know.
    let version = clinic().direct("clinic").simple("SHOW server_version_num");
    if !matches!(&version, Answer::Rows(rows, _) if rows.iter().any(|v| v.starts_with("15"))) {
        eprintln!("tests/corpus/tools was recorded on PostgreSQL 15; not played on {version:?}");
        return;
    }
    datadriven::walk("tests/corpus/tools", |file| {
        let mut tool = tools::Tool::new();
        file.run(|case| match case.directive.as_str() {
            "ask" => tool.ask(case.input.trim_end()),
            "play" => tool.play(case.input.trim_end()),
            other => panic!("no directive {other}"),
        });
    });
}

fn play(stage: &'static Stage) {
    // A file is one session per role; owner's are played to PostgreSQL itself as well.
    datadriven::walk("tests/corpus/wire", |file| {
        let mut sessions = wire::Sessions::default();
        file.run(|case| sessions.play(stage, role_of(case), &case.directive, &case.input));
    });
}

#[test]
fn wire() {
    play(clinic());
}

#[test]
fn wire_over_lent_connections() {
    play(lending());
}

#[test]
fn the_stage_is_set_from_corpus_clinic() {
    // The folder tests/corpus/clinic is data for the others; here it is checked against itself: the
    // owner sees what is stored, and the masked copy differs from it in every protected column.
    let stage = clinic();
    let stored = stage
        .direct("clinic")
        .simple("SELECT * FROM patients WHERE id = 1");
    let masked = stage
        .direct("clinic_support")
        .simple("SELECT * FROM patients WHERE id = 1");
    let (Answer::Rows(stored, _), Answer::Rows(masked, _)) = (stored, masked) else {
        panic!("no rows")
    };
    let differing: Vec<usize> = stored[0]
        .split(" | ")
        .zip(masked[0].split(" | "))
        .enumerate()
        .filter_map(|(column, (stored, masked))| (stored != masked).then_some(column))
        .collect();
    assert_eq!(differing, [1, 2, 3, 4, 5, 6, 8]);
}
