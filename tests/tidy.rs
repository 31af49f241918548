//! The repository's opinions about itself: what a reviewer would otherwise have to notice.
//!
//! Deliberately absent: anything rustfmt, clippy or the compiler already says.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules in layer order: each may name only itself and those before it.
const LAYERS: [&str; 19] = [
    "ident", "limits", "pg", "refusal", "wire", "mask", "catalog", "policy", "snapshot", "sql",
    "analyze", "plan", "audit", "pooling", "client", "upstream", "session", "server", "cli",
];

/// Where sockets, files, clocks and randomness may be touched.
const DOORS: [&str; 4] = ["client", "upstream", "server", "cli"];

/// What pure code never says.
const IMPURE: [&str; 15] = [
    "async ",
    ".await",
    "tokio::",
    "std::fs",
    "fs::read",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "SystemTime",
    "Instant::now",
    "getrandom",
    "std::env",
    "env::var",
    "std::process",
    "File::open",
];

/// Words that may be used only in certain places, and why.
const CONFINED: [(&str, &[&str], &str); 7] = [
    (
        "SqlText::new(",
        &["src/sql/", "src/plan/", "src/session/"],
        "SQL for PostgreSQL is made by the printer, by the planner's verbatim plan and by the session's fixed texts",
    ),
    (
        "sqlparser::",
        &[
            "src/sql/parse.rs",
            "src/sql/parse/",
            "src/sql/lower/",
            "src/sql/lower.rs",
            "src/sql/scan",
        ],
        "sqlparser's tree and its Display must not leave sql::parse and sql::lower",
    ),
    (
        "serde_yaml::",
        &["src/policy/", "src/server/config"],
        "YAML is read in two places, both of which refuse duplicate keys",
    ),
    (
        "own_row(",
        &["src/client/reply.rs", "src/server/console/"],
        "rows of the proxy's own are the console's; every other row comes from the masker",
    ),
    ("Plan::new(", &["src/plan/"], "only the planner makes plans"),
    (
        "println!",
        &["src/main.rs"],
        "commands write through cli::out, which survives a closed pipe",
    ),
    (
        "unbounded_channel",
        &[],
        "everything is bounded; see limits.rs",
    ),
];

/// Lines of a file before its tests. The design aims at 400 and most files are half of that.
const MAX_LINES: usize = 450;

/// What stands at the top of the repository, dotfiles and build output aside.
const TOP: [&str; 9] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "docker-compose.yml",
    "policies",
    "src",
    "tests",
];

/// Runners of the folders in `tests/corpus`; `clinic` is the database they run against.
const RUNNERS: [(&str, &str); 11] = [
    ("analyze", "tests/analyze.rs"),
    ("bind", "tests/policy_bind.rs"),
    ("bypass", "tests/e2e.rs"),
    ("clinic", "tests/e2e.rs"),
    ("e2e", "tests/e2e.rs"),
    ("language", "tests/policy.rs"),
    ("mask", "tests/mask/corpus.rs"),
    ("plan", "tests/plan.rs"),
    ("policy", "tests/policy.rs"),
    ("tools", "tests/e2e.rs"),
    ("wire", "tests/e2e.rs"),
];

/// One source file, with its path from the repository's root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Code lines before the tests, with their numbers; comments are left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.before_tests()
            .enumerate()
            .map(|(i, line)| (i + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn before_tests(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| *line != "#[cfg(test)]")
    }

    /// `plan` for `src/plan/decide.rs`, `ident` for `src/ident.rs`.
    fn module(&self) -> &str {
        let below = self.path.trim_start_matches("src/");
        below.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources(folder: &str) -> Vec<Source> {
    let sources: Vec<Source> = files(folder, "rs")
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        })
        .collect();
    assert!(
        !sources.is_empty() || !root().join(folder).exists(),
        "no sources under {folder}"
    );
    sources
}

#[track_caller]
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Names after `crate::` in a line; several in `crate::{a, b}`.
fn imports(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in line.split("crate::").skip(1) {
        let group = part
            .strip_prefix('{')
            .map_or(part, |g| g.split('}').next().unwrap());
        let items: Vec<&str> = if part.starts_with('{') {
            group.split(',').collect()
        } else {
            vec![group]
        };
        for item in items {
            let end = item.trim().find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = item.trim();
            names.push(end.map_or(name, |end| name.get(..end).unwrap()));
        }
    }
    names
}

#[test]
fn modules_import_only_upward() {
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut faults = Vec::new();
    for source in sources("src") {
        if source.path == "src/lib.rs" || source.path == "src/main.rs" {
            continue;
        }
        let Some(own) = rank(source.module()) else {
            faults.push(format!(
                "{}: module {} has no layer",
                source.path,
                source.module()
            ));
            continue;
        };
        for (number, line) in source.code() {
            for name in imports(line) {
                if rank(name).is_some_and(|imported| imported > own) {
                    faults.push(format!(
                        "{}:{number}: imports {name}, a layer below",
                        source.path
                    ));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn only_doors_server_and_cli_touch_the_world() {
    let mut faults = Vec::new();
    for source in sources("src") {
        if DOORS.contains(&source.module()) || ["main", "lib"].contains(&source.module()) {
            continue;
        }
        for (number, line) in source.code() {
            // Channels are values passed between tasks: no socket, no clock.
            let line = line.replace("tokio::sync::", "");
            for word in IMPURE.into_iter().filter(|word| line.contains(word)) {
                faults.push(format!("{}:{number}: {word} in pure code", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn confined_words_stay_where_they_belong() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            for (word, places, why) in CONFINED {
                let here = places.iter().any(|place| source.path.starts_with(place));
                if line.contains(word) && !here {
                    faults.push(format!("{}:{number}: {word} ({why})", source.path));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for source in sources(folder) {
            let lines = source.before_tests().count();
            if folder == "src" && lines > MAX_LINES {
                faults.push(format!("{}: {lines} lines before its tests", source.path));
            }
            if !source.text.starts_with("//! ") {
                faults.push(format!("{}: does not start with //!", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn a_new_form_of_sqlparser_is_a_compile_error() {
    // Where its tree is read, every variant is named and no field is skipped beside one that is
    // taken. A form refused whole may be written `Form { .. }`.
    let mut faults = Vec::new();
    let lower = sources("src")
        .into_iter()
        .filter(|source| source.path.starts_with("src/sql/"));
    let mut readers = 0;
    for source in lower.filter(|source| source.code().any(|(_, line)| line.contains("ast::Expr::")))
    {
        readers += 1;
        for (number, line) in source.code() {
            let line = line.trim();
            if line.starts_with("_ =>") {
                faults.push(format!(
                    "{}:{number}: `_ =>` hides a new variant",
                    source.path
                ));
            }
            if line == ".." || line.contains(", .. }") || line.contains(", ..)") {
                faults.push(format!("{}:{number}: `..` hides a new field", source.path));
            }
        }
    }
    assert!(readers > 0, "nothing reads sqlparser's tree");
    report(&faults);
}

#[test]
fn every_limit_has_its_reason() {
    let text = fs::read_to_string(root().join("src/limits.rs")).unwrap();
    let mut previous = "";
    let mut constants = 0;
    for line in text.lines().take_while(|line| *line != "#[cfg(test)]") {
        if line.starts_with("pub const") {
            constants += 1;
            assert!(
                previous.starts_with("///"),
                "src/limits.rs: no reason for {line}"
            );
        }
        previous = line;
    }
    assert!(constants > 0);
}

#[test]
fn nothing_is_left_unfinished() {
    // Spelt apart, so that this file does not find itself.
    let words = [
        ["FIX", "ME"],
        ["XX", "X:"],
        ["TO", "DO"],
        ["dbg", "!("],
        ["todo", "!("],
        ["unimplemented", "!("],
    ];
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for source in sources(folder) {
            for (number, line) in source.text.lines().enumerate() {
                for word in words
                    .map(|word| word.concat())
                    .iter()
                    .filter(|word| line.contains(*word))
                {
                    faults.push(format!("{}:{}: {word}", source.path, number + 1));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn every_corpus_folder_has_cases_and_a_runner() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("tests/corpus")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match RUNNERS.iter().find(|(folder, _)| *folder == name) {
            None => faults.push(format!("tests/corpus/{name}: no runner is known")),
            Some((_, runner)) => {
                let text = fs::read_to_string(root().join(runner)).unwrap_or_default();
                if !text.contains(&format!("corpus/{name}")) {
                    faults.push(format!("{runner} does not run tests/corpus/{name}"));
                }
            }
        }
        if fs::read_dir(&path).unwrap().next().is_none() {
            faults.push(format!("tests/corpus/{name}: no cases"));
        }
    }
    report(&faults);
}

#[test]
fn the_top_of_the_repository_stays_clear() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with('.') && name != "target" && !TOP.contains(&name.as_str()) {
            faults.push(format!("{name}: does not belong at the top"));
        }
    }
    report(&faults);
}
