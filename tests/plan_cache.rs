//! A plan found by its shape is the plan that would have been made.
//!
//! Every statement of the corpus, for every role that sees masks or tokens: planned once and kept, then
//! written again with other constants, and both found and planned anew. What is found must be what is
//! planned, byte for byte. The same test, told that nobody ever looked at a constant, must fail.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "plan/stage.rs"]
#[expect(dead_code, reason = "this test runs nothing on the server")]
mod stage;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use foldhash::HashMap;

use pgveil::catalog::temp::{TempTables, temp_table};
use pgveil::ident::Ident;
use pgveil::pg::encoding::Encoding;
use pgveil::plan::{
    Effect, Given, Plan, PlanContext, PlanKey, Plans, Refusal, Scope, UploadRow, Uploaded,
    plan_statement, stands_alone,
};
use pgveil::sql::Shaped;
use pgveil::sql::tree::{Looked, Statement};
use stage::{Stage, public_path};

/// How often each statement is written with other constants.
const TIMES: usize = 3;

const ROLES: [&str; 4] = ["support", "analyst", "partner", "owner"];

#[test]
fn what_is_found_is_what_would_be_planned() {
    let stage = Stage::build();
    let found = compare(&stage, &ROLES, &Looked::clone);
    assert_eq!(found.wrong, Vec::<String>::new());
    // Were nothing found, nothing were compared.
    assert!(found.hits > 1_000, "{} hits", found.hits);
    assert!(found.misses > 500, "{} misses", found.misses);
    let blind = compare(&stage, &ROLES, &|looked| {
        looked.forget();
        looked.clone()
    });
    assert!(blind.wrong.len() > 50, "{}", blind.wrong.len());
}

/// Kinds of looking, one by one: what must be found with another constant, and what must not.
#[test]
fn constants_that_decide_something_are_known_and_others_are_not() {
    let stage = Stage::build();
    for (role, kept, other, serves) in [
        ("support", "SELECT 1", "SELECT 2", true),
        ("support", "SELECT 1", "SELECT 3000000000", false),
        ("support", "SELECT 3000000000", "SELECT 4000000000", true),
        ("support", "SELECT 1.5", "SELECT 1e9", true),
        ("support", "SELECT 1", "SELECT '1'", false),
        ("support", "SELECT 'a'", "SELECT E'\\'\\x41'", true),
        ("support", "SELECT 'a'", "SELECT $x$it's$x$", true),
        ("support", "SELECT 'a'", "SELECT 'b'\n'c'", true),
        ("support", "SELECT B'01'", "SELECT B'10'", false),
        (
            "support",
            "SELECT id, email FROM patients WHERE city = 'Paris' LIMIT 3",
            "select  ID , Email from patients where City='it''s' limit 7 -- x",
            true,
        ),
        (
            "support",
            "SELECT id, city FROM patients WHERE id IN (1, 2)",
            "SELECT id, city FROM patients WHERE id IN (7, 8)",
            true,
        ),
        (
            "support",
            "SELECT id, city FROM patients WHERE id IN (1, 2)",
            "SELECT id, city FROM patients WHERE id IN (7, 8, 9)",
            false,
        ),
        (
            "support",
            "SELECT id, email FROM patients ORDER BY 1",
            "SELECT id, email FROM patients ORDER BY 2",
            false,
        ),
        (
            "support",
            "SELECT city, count(*) FROM patients GROUP BY 1",
            "SELECT city, count(*) FROM patients GROUP BY 2",
            false,
        ),
        (
            "support",
            "SELECT 'patients'::regclass",
            "SELECT 'visits'::regclass",
            false,
        ),
        (
            "support",
            "SELECT current_setting('search_path')",
            "SELECT current_setting('TimeZone')",
            false,
        ),
        (
            "support",
            "SELECT date '2020-01-01', numeric(5,2) '1'",
            "SELECT date '2021-12-31', numeric(5,2) '7'",
            true,
        ),
        (
            "support",
            "SELECT numeric(5,2) '1'",
            "SELECT numeric(5,3) '1'",
            false,
        ),
        (
            "support",
            "SELECT interval '1' day",
            "SELECT interval '2' day",
            true,
        ),
        // The view has constants of its own.
        (
            "support",
            "SELECT * FROM mail_domains LIMIT 1",
            "SELECT * FROM mail_domains LIMIT 2",
            true,
        ),
        (
            "analyst",
            "SELECT id FROM patients WHERE email = 'x'",
            "SELECT id FROM patients WHERE email = 'y'",
            false,
        ),
        (
            "analyst",
            "SELECT id FROM patients WHERE city = 'x'",
            "SELECT id FROM patients WHERE city = 'y'",
            true,
        ),
    ] {
        let mut cached = Cached::new(&stage, role, &Looked::clone);
        let planned = cached.plan(kept);
        assert!(planned.is_ok(), "{kept}: {}", planned.err().unwrap());
        cached.keep(kept);
        assert!(cached.find(kept).is_some(), "{kept}");
        assert_eq!(cached.find(other).is_some(), serves, "{kept}\n{other}");
        let wrong = cached.differs(other);
        assert_eq!(wrong, None);
    }
}

/// The cache keeps a bounded number of plans of one shape, and goes on without it.
#[test]
fn a_shape_that_is_always_planned_differently_is_not_kept_for_ever() {
    let stage = Stage::build();
    let mut cached = Cached::new(&stage, "support", &Looked::clone);
    let items = (1..=40)
        .map(|n| format!("{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    let by = |n: usize| format!("SELECT {items} ORDER BY {n}");
    (1..=40).for_each(|n| cached.keep(&by(n)));
    let kept = (1..=40).filter(|n| cached.find(&by(*n)).is_some()).count();
    assert_eq!(kept, pgveil::limits::PLANS_OF_ONE_SHAPE);
}

#[test]
fn the_scope_is_part_of_the_key() {
    let stage = Stage::build();
    let text = "SELECT id FROM patients";
    let mut cached = Cached::new(&stage, "support", &Looked::clone);
    cached.keep(text);
    assert!(cached.find(text).is_some());
    for (role, user, search_path, encoding) in [
        ("analyst", "u", "public", "UTF8"),
        ("support", "v", "public", "UTF8"),
        ("support", "u", "public, ward", "UTF8"),
        ("support", "u", "public", "LATIN1"),
        ("supportu", "", "public", "UTF8"),
    ] {
        cached.scope = Scope {
            role,
            user,
            search_path,
            encoding,
        };
        assert!(
            cached.find(text).is_none(),
            "{role} {user} {search_path} {encoding}"
        );
    }
}

struct Found {
    hits: usize,
    misses: usize,
    wrong: Vec<String>,
}

/// What is said to have been looked at, given what was.
type Watch<'w> = &'w dyn Fn(&Looked) -> Looked;

fn compare(stage: &Stage, roles: &[&str], watch: Watch<'_>) -> Found {
    let statements = corpus();
    let strings: Vec<String> = (statements.iter())
        .flat_map(|text| constants(text).into_iter().map(|at| text[at].to_owned()))
        .filter(|constant| constant.ends_with('\''))
        .collect();
    let mut random = Random(0x5eed);
    let mut found = Found {
        hits: 0,
        misses: 0,
        wrong: Vec::new(),
    };
    for (turn, role) in roles.iter().enumerate() {
        let mut cached = Cached::new(stage, role, watch);
        // Every statement for one role, and together all of them.
        let mine = statements.iter().skip(turn).step_by(roles.len());
        for text in mine {
            cached.keep(text);
            let times = if constants(text).is_empty() { 1 } else { TIMES };
            for _ in 0..times {
                let other = written_otherwise(text, &strings, &mut random);
                match cached.find(&other) {
                    Some(_) => found.hits += 1,
                    None => found.misses += 1,
                }
                found.wrong.extend(cached.differs(&other));
                // Shapes known by several plans, too.
                if random.below(4) == 0 {
                    cached.keep(&other);
                }
            }
        }
    }
    found
}

/// What was read of a temporary table stands in the text of a simple query, and of a cursor declared by
/// one. It is no other cursor for that: when the catalog is read again, it goes on.
#[test]
fn a_cursor_that_reads_a_temporary_table_is_the_same_on_a_newer_snapshot() {
    let stage = Stage::build();
    let mut temp = TempTables::default();
    temp.add(temp_table(
        &Ident::exact("up"),
        &[(Ident::exact("tok"), Some(25))],
    ));
    let declare = |given: Given<'_>| {
        let sql = "DECLARE c CURSOR FOR SELECT p.id FROM patients p JOIN up ON up.tok = p.email";
        let (mut parsed, _) = Shaped::scan(sql).unwrap().parse().unwrap();
        let context = PlanContext {
            snapshot: &stage.snapshot,
            grants: &stage.snapshot.policy.roles["analyst"],
            search_path: &public_path(),
            search_path_text: "public",
            client_encoding: Encoding::utf8(),
            prepared: &HashMap::default(),
            cursors: &HashMap::default(),
            temp: &temp,
            given,
            declared: &[],
            fresh_name: Ident::exact("fresh"),
        };
        let plan = plan_statement(parsed.remove(0).statement, &context).unwrap();
        let Effect::Declare(_, entry) = plan.effect() else {
            panic!("no cursor");
        };
        (entry.plan.clone(), plan)
    };
    let (_, asked) = declare(Given::Written(None));
    let mut uploaded = Uploaded::new(asked.uploads().unwrap());
    let row = |value: &'static [u8]| UploadRow {
        upload: b"0",
        value: Some(value),
    };
    uploaded.add(&row(b"o'clock")).unwrap();
    let (cursor, sent) = declare(Given::Written(Some(&uploaded)));
    assert!(sent.uploads().is_none() && sent.parameters().is_none());
    assert!(sent.sql().as_str().contains("o''clock") && !sent.sql().as_str().contains("$1"));
    let (again, bound) = declare(Given::Bound);
    assert!(bound.uploads().is_some() && bound.sql().as_str().contains("$1"));
    assert!(again.accepts(&cursor));
    // Of another table nothing was read.
    temp.clear();
    temp.add(temp_table(
        &Ident::exact("up"),
        &[
            (Ident::exact("n"), Some(23)),
            (Ident::exact("tok"), Some(25)),
        ],
    ));
    assert!(!asked.uploads().unwrap().are_of(&temp));
}

/// A cache, and what plans for it.
struct Cached<'s> {
    stage: &'s Stage,
    plans: Plans,
    key: PlanKey,
    role: &'s str,
    scope: Scope<'s>,
    watch: Watch<'s>,
}

impl<'s> Cached<'s> {
    fn new(stage: &'s Stage, role: &'s str, watch: Watch<'s>) -> Self {
        Self {
            stage,
            plans: Plans::default(),
            key: PlanKey::default(),
            role,
            scope: Scope {
                role,
                user: "u",
                search_path: "public",
                encoding: "UTF8",
            },
            watch,
        }
    }

    /// The plan of a text of one statement, and what was looked at for it.
    fn plan(&self, text: &str) -> Result<(Arc<Plan>, Looked), String> {
        let parsed = Shaped::scan(text).and_then(Shaped::parse);
        let (parsed, looked) = parsed.map_err(|e| Refusal::from(e).message)?;
        let [only] = parsed.try_into().map_err(|_| "several statements")?;
        let plan = self.planned(only.statement)?;
        Ok((plan, looked))
    }

    fn planned(&self, statement: Statement) -> Result<Arc<Plan>, String> {
        let search_path = public_path();
        let context = PlanContext {
            snapshot: &self.stage.snapshot,
            grants: &self.stage.snapshot.policy.roles[self.role],
            search_path: &search_path,
            search_path_text: "public",
            client_encoding: Encoding::utf8(),
            prepared: &HashMap::default(),
            cursors: &HashMap::default(),
            temp: &TempTables::default(),
            given: Given::Bound,
            declared: &[],
            fresh_name: Ident::exact("fresh"),
        };
        if !stands_alone(&statement) {
            return Err("not a statement that is kept".to_owned());
        }
        plan_statement(statement, &context)
            .map(Arc::new)
            .map_err(|refusal| refusal.message)
    }

    fn keep(&mut self, text: &str) {
        let (Ok(shaped), Ok((plan, looked))) = (Shaped::scan(text), self.plan(text)) else {
            return;
        };
        self.key.set_shape(self.scope, &shaped);
        let looked = (self.watch)(&looked);
        self.plans.keep(&self.key, &shaped, &looked, &plan);
    }

    /// The plan that is found, and what would be sent.
    fn find(&mut self, text: &str) -> Option<(Arc<Plan>, String)> {
        let shaped = Shaped::scan(text).ok()?;
        self.key.set_shape(self.scope, &shaped);
        let plan = self.plans.find(&self.key, &shaped)?;
        let mut sql = String::new();
        plan.sql()
            .write_with(&shaped, |piece| sql.push_str(piece))
            .unwrap();
        Some((plan, sql))
    }

    /// What is wrong with what is found, if something is.
    fn differs(&mut self, text: &str) -> Option<String> {
        let (found, sql) = self.find(text)?;
        let wrong = match self.plan(text) {
            Err(refused) => format!("is refused: {refused}"),
            Ok((planned, _)) if sql != planned.sql().as_str() => {
                format!("sends {}\nnot   {sql}", planned.sql().as_str())
            }
            Ok((planned, _)) if !same_beside_the_text(&planned, &found) => {
                "is masked, recorded or applied otherwise".to_owned()
            }
            Ok(_) => return None,
        };
        Some(format!("{}: {text}\n{wrong}", self.role))
    }
}

fn same_beside_the_text(a: &Plan, b: &Plan) -> bool {
    let outputs = |plan: &Plan| plan.outputs().map(|o| o.to_vec());
    let same_outputs = match (outputs(a), outputs(b)) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.accepts(b) && b.accepts(a))
        }
        _ => false,
    };
    let facts = |plan: &Plan| {
        let f = plan.facts();
        (
            f.kind,
            f.relations.clone(),
            f.oids.clone(),
            f.columns.clone(),
        )
    };
    let effect = |plan: &Plan| match plan.effect() {
        Effect::None => 0,
        Effect::Begin => 1,
        Effect::Commit => 2,
        Effect::Rollback => 3,
        _ => 4,
    };
    same_outputs
        && facts(a) == facts(b)
        && (effect(a), effect(b) < 4) == (effect(b), true)
        && a.parameters().is_none()
        && b.parameters().is_none()
        && a.copy().is_none()
        && b.copy().is_none()
}

/// Where the strings and numbers of a text stand.
fn constants(text: &str) -> Vec<Range<usize>> {
    let Ok(shaped) = Shaped::scan(text) else {
        return Vec::new();
    };
    (0..shaped.constants())
        .map(|n| shaped.constant_range(n).unwrap())
        .collect()
}

/// The same shape with some other constants.
fn written_otherwise(text: &str, strings: &[String], random: &mut Random) -> String {
    let shape = |text: &str| {
        let mut key = PlanKey::default();
        let scope = Scope {
            role: "",
            user: "",
            search_path: "",
            encoding: "UTF8",
        };
        Shaped::scan(text).ok().map(|shaped| {
            key.set_shape(scope, &shaped);
            key
        })
    };
    let before = shape(text);
    let mut out = text.to_owned();
    for at in constants(text).into_iter().rev() {
        if random.below(3) == 0 {
            continue;
        }
        let constant = &text[at.clone()];
        let replaced = if constant.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            const NUMBERS: [&str; 13] = [
                "0",
                "1",
                "2",
                "3",
                "7",
                "12",
                "100",
                "2147483647",
                "2147483648",
                "9223372036854775807",
                "9223372036854775808",
                "1.5",
                "3e2",
            ];
            NUMBERS[random.below(NUMBERS.len())].to_owned()
        } else {
            match random.below(6) {
                0 => "''".to_owned(),
                1 => "'it''s'".to_owned(),
                2 => r"E'a\\b\n\x41'".to_owned(),
                3 => "$q$ '; -- \0".replace('\0', "$q$"),
                4 => "'1'".to_owned(),
                _ => strings[random.below(strings.len())].clone(),
            }
        };
        let mut other = out.clone();
        other.replace_range(at, &replaced);
        // Another type of number is another shape, and a string may run into its neighbours.
        if shape(&other) == before {
            out = other;
        }
    }
    out
}

/// Every input of the corpus, whole and line by line.
fn corpus() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["plan", "e2e", "bypass", "tools", "analyze"] {
        let folder = Path::new("tests/corpus").join(folder);
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let file = fs::read_to_string(file).unwrap();
            for case in file.split("\n\n") {
                let input = case.split("\n----").next().unwrap();
                let lines = input.lines().filter(|l| !l.starts_with('#'));
                // Without the directive.
                let lines: Vec<&str> = lines.skip(1).collect();
                texts.push(lines.join("\n"));
                texts.extend(lines.iter().map(|l| (*l).to_owned()));
            }
        }
    }
    texts.sort();
    texts.dedup();
    texts.retain(|text| text.len() < 1_500);
    texts
}

/// A small generator of numbers that look random (Numerical Recipes' `ranqd1`, 64 bits wide).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}
