//! Runs `tests/corpus/analyze`: SQL → lineage, for a role that sees everything (`role=R` for what the
//! role's denied columns and views change). Every statement is also prepared by PostgreSQL, so a case
//! cannot be about SQL that does not exist.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "plan/stage.rs"]
#[expect(dead_code, reason = "rows and the masked copy are for tests/plan.rs")]
mod stage;
#[path = "analyze/types.rs"]
mod types;

use std::fmt::Write as _;

use datadriven::{TestCase, walk};
use pgveil::analyze::lineage::{Lineage, Source, Uses};
use pgveil::analyze::{Grounds, analyze};
use pgveil::catalog::temp::TempTables;
use pgveil::policy::{Grants, Treatment};
use pgveil::refusal::Refusal;
use pgveil::sql::parse;
use stage::{Connection, Stage, public_path};

#[test]
fn analyze_corpus() {
    let stage = Stage::build();
    let server = stage.connect("clinic");
    walk("tests/corpus/analyze", |file| {
        file.run(|case| run(&stage, &server, case));
    });
}

fn run(stage: &Stage, server: &Connection<'_>, case: &mut TestCase) -> String {
    assert_eq!(case.directive, "analyze");
    let role: Option<String> = case.try_take_arg("role").unwrap();
    case.expect_empty().unwrap();
    let clear = Grants::for_tests("anyone", Treatment::Clear, []);
    let grants = match &role {
        Some(role) => &stage.snapshot.policy.roles[role.as_str()],
        None => &clear,
    };
    let result = lineage(stage, grants, &case.input);
    if let Err(e) = stage.runtime.block_on(server.client.prepare(&case.input)) {
        // What PostgreSQL refuses, so must we.
        assert!(result.is_err(), "{}: {}", case.input, stage::words(e));
    }
    match result {
        Ok(lineage) => describe(&lineage),
        Err(r) => format!("refuse {}\n  ERROR:  {}\n", r.sqlstate, r.message),
    }
}

fn lineage(stage: &Stage, grants: &Grants, sql: &str) -> Result<Lineage, Refusal> {
    let mut statements = parse(sql)?;
    assert_eq!(statements.len(), 1, "one statement a case");
    let mut statement = statements.remove(0).statement;
    let (search_path, temp) = (public_path(), TempTables::default());
    let grounds = Grounds {
        catalog: &stage.snapshot.catalog,
        grants,
        search_path: &search_path,
        temp: &temp,
        search_path_text: "public",
        client_encoding: pgveil::pg::encoding::Encoding::utf8(),
        views: 0,
        declared: &[],
    };
    let mut lineage = analyze(&mut statement, grounds)?;
    // What `decide` does when rows go to the client.
    for output in std::mem::take(&mut lineage.outputs) {
        lineage.mark_all(&output.sources, Uses::IDENTITY);
        lineage.outputs.push(output);
    }
    Ok(lineage)
}

fn describe(lineage: &Lineage) -> String {
    let mut out = String::new();
    let width = lineage
        .outputs
        .iter()
        .map(|o| o.name.as_str().len())
        .max()
        .unwrap_or(0);
    for (n, output) in (1..).zip(&lineage.outputs) {
        let sources: Vec<String> = output.sources.iter().map(|s| column(lineage, *s)).collect();
        let sources = if sources.is_empty() {
            "-".to_owned()
        } else {
            sources.join(", ")
        };
        writeln!(out, "{n} {:width$}  {sources}", output.name.as_str()).unwrap();
    }
    for (index, relation) in (0_u32..).zip(&lineage.relations) {
        let id = pgveil::sql::tree::RelationId(index);
        let mut notes = String::new();
        for (set, word) in [
            (relation.whole_row, " whole row"),
            (relation.in_place, " in place"),
            (relation.written, " written"),
        ] {
            if set {
                notes.push_str(word);
            }
        }
        writeln!(out, "{}{notes}", table(lineage, id)).unwrap();
        for (attnum, uses) in &relation.columns {
            let name = relation
                .relation
                .attribute(*attnum)
                .map_or("(system)", |c| c.name.as_str());
            writeln!(out, "  {name}: {}", words(*uses)).unwrap();
        }
    }
    for e in &lineage.equalities {
        let side = |sources: &[Source]| {
            let names: Vec<String> = sources.iter().map(|s| column(lineage, *s)).collect();
            if names.is_empty() {
                "-".to_owned()
            } else {
                names.join(", ")
            }
        };
        // Grouped or made distinct: compared with itself, which its uses say already.
        if e.left != e.right {
            writeln!(out, "{} = {}", side(&e.left), side(&e.right)).unwrap();
        }
    }
    out
}

fn words(uses: Uses) -> String {
    let others = [Uses::IDENTITY, Uses::PRESENCE, Uses::ORDER, Uses::COMPUTE];
    let weak = others.into_iter().fold(Uses::SEARCH, Uses::with);
    let equality = if uses.within(weak.with(Uses::NODE_TREE)) {
        "search"
    } else {
        "equality"
    };
    let words: Vec<&str> = [
        (Uses::IDENTITY, "identity"),
        (Uses::PRESENCE, "presence"),
        (Uses::EQUALITY, equality),
        (Uses::ORDER, "order"),
        (Uses::COMPUTE, "compute"),
        (Uses::NODE_TREE, "node tree"),
    ]
    .into_iter()
    .filter_map(|(use_, word)| uses.has(use_).then_some(word))
    .collect();
    if words.is_empty() {
        "mentioned".to_owned()
    } else {
        words.join(", ")
    }
}

/// `patients`; `patients#2` for the second reference to it.
fn table(lineage: &Lineage, id: pgveil::sql::tree::RelationId) -> String {
    let index = usize::try_from(id.0).unwrap();
    let relation = &lineage.relations[index].relation;
    let earlier = lineage.relations[..index]
        .iter()
        .filter(|r| r.relation.oid == relation.oid)
        .count();
    let schema = if relation.schema == "public" {
        String::new()
    } else {
        format!("{}.", relation.schema.as_str())
    };
    let number = if earlier == 0 {
        String::new()
    } else {
        format!("#{}", earlier + 1)
    };
    format!("{schema}{}{number}", relation.name.as_str())
}

fn column(lineage: &Lineage, s: Source) -> String {
    let (relation, attnum) = match s {
        Source::Column { relation, attnum } => (relation, attnum),
        Source::List(list) => {
            let list = &lineage.lists[usize::try_from(list.0).unwrap()];
            return match list.members.len() {
                1 => "a constant".to_owned(),
                many => format!("{many} constants"),
            };
        }
    };
    let used = &lineage.relations[usize::try_from(relation.0).unwrap()].relation;
    let name = used
        .attribute(attnum)
        .map_or("(system)", |c| c.name.as_str());
    format!("{}.{name}", table(lineage, relation))
}
