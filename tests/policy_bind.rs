//! Policies against a live server: names become columns, masks fit types, rules reach partitions and
//! parents; and the promises in `policies/tests` hold.
//!
//! Runs tests/corpus/bind: a case's input is `=== schema.sql` and the policy's files; its output
//! what every role sees of every user column, or the exact messages.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot set its stage has failed"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use datadriven::{TestCase, walk};
use pgveil::catalog::{Catalog, ColumnId, Relation, RelationKind};
use pgveil::cli::bank;
use pgveil::cli::cluster::{Cluster, ClusterOptions, SUPERUSER, TcpAuth};
use pgveil::cli::policy::{CheckArgs, MessageFormat, check};
use pgveil::mask::token::{KeyRing, KeyRingFile, NewKey, TokenKind};
use pgveil::policy::{
    Binding, Check, Date, Grants, Policy, Severity, SourceFile, Treatment, WriteGrant, bind,
    check_against,
};
use pgveil::server::policy_files;
use pgveil::upstream::introspect::introspect;
use pgveil::upstream::{TlsMode, UpstreamOptions, UpstreamTls, connect};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

const BASE: &str = "version: 1\nmode: enforce\n";

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let options = ClusterOptions {
            tcp_auth: TcpAuth::Trust,
            ..ClusterOptions::default()
        };
        Cluster::start(&options).unwrap()
    })
}

/// Was the server built with ICU?
fn icu() -> bool {
    let sql = "SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i'";
    cluster().run("postgres", sql).unwrap().trim() == "t"
}

/// A catalog of a new database with this schema.
fn catalog(schema: &str) -> Catalog {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let database = format!("policy{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    cluster()
        .run("postgres", &format!("CREATE DATABASE {database}"))
        .unwrap();
    cluster().run(&database, schema).unwrap();
    let options = UpstreamOptions {
        host: cluster().address().ip().to_string(),
        port: cluster().address().port(),
        tls: UpstreamTls::new(TlsMode::Disable, None).unwrap(),
        user: SUPERUSER.to_owned(),
        password: None,
        database,
        params: vec![("search_path".to_owned(), "pg_catalog, pg_temp".to_owned())],
        minor: 0,
    };
    Runtime::new().unwrap().block_on(async {
        let mut connection = connect(&options).await.unwrap();
        introspect(&mut connection).await.unwrap().catalog
    })
}

/// A ring with one key, `person-2026`.
fn keys() -> &'static KeyRing {
    static RING: OnceLock<KeyRing> = OnceLock::new();
    RING.get_or_init(|| {
        let mut file = KeyRingFile::empty([1; 16]);
        let key = NewKey {
            bytes: Zeroizing::new([7; 64]),
            id: [3; 16],
            nonce: [5; 24],
            created: "2026-11-21".to_owned(),
        };
        file.add(b"test", "person-2026", key).unwrap();
        file.open(b"test").unwrap()
    })
}

fn today() -> Date {
    Date::parse("2026-11-22").unwrap()
}

#[test]
fn corpus() {
    walk("tests/corpus/bind", |file| file.run(run));
}

fn run(case: &mut TestCase) -> String {
    let default: String = case
        .try_take_arg("default")
        .unwrap()
        .unwrap_or("deny".into());
    case.expect_empty().unwrap();
    let mut files: Vec<(&str, String)> = Vec::new();
    for line in case.input.lines() {
        match line.strip_prefix("=== ") {
            Some(name) => files.push((name, String::new())),
            None => writeln!(files.last_mut().unwrap().1, "{line}").unwrap(),
        }
    }
    let (_, schema) = files.remove(0);
    let policy = policy(&default, &files);
    let catalog = catalog(&schema);
    match bind(&policy, &catalog, keys(), today()) {
        Ok(Binding { policy, warnings }) => {
            let warnings: String = warnings.iter().map(ToString::to_string).collect();
            // Every case has a database of its own.
            let mut out = warnings.replace(&catalog.database, "DATABASE");
            let roles: BTreeSet<_> = policy.roles.keys().collect();
            for role in roles {
                describe(&policy.roles[role], &catalog, &mut out);
            }
            out
        }
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn policy(default: &str, files: &[(&str, String)]) -> Policy {
    let base = format!("{BASE}defaults: {{unclassified_column: {default}}}\n");
    let sources: Vec<_> = [("base.yaml", base)]
        .iter()
        .chain(files)
        .map(|(name, text)| SourceFile::new(name, text.as_bytes()).unwrap())
        .collect();
    match Policy::parse(&sources) {
        Ok(policy) => policy,
        Err(errors) => panic!("{errors}"),
    }
}

/// Only a server that was built with ICU has such a collation.
#[test]
fn a_column_whose_collation_looks_at_letters_cannot_be_encrypted() {
    if !icu() {
        return;
    }
    let catalog = catalog(
        "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false);
        CREATE TABLE t (name text COLLATE loose)",
    );
    let encrypt = "encrypt:\n  public.t.name: person-2026\n";
    let roles = "roles: {x: {match: {login: x}, kind: service}}\n";
    let policy = policy("clear", &[("p.yaml", format!("{encrypt}{roles}"))]);
    let errors = bind(&policy, &catalog, keys(), today()).err().unwrap();
    let said: String = errors.iter().map(ToString::to_string).collect();
    assert!(
        said.contains("its collation is not deterministic"),
        "{said}"
    );
}

fn user_relations(catalog: &Catalog) -> Vec<&Relation> {
    let mut relations: Vec<&Relation> = catalog
        .relations
        .values()
        .map(AsRef::as_ref)
        .filter(|r| r.schema != "pg_catalog" && r.schema != "information_schema")
        .filter(|r| !matches!(r.kind, RelationKind::Sequence | RelationKind::CompositeType))
        .collect();
    relations.sort_by_key(|r| (r.schema.clone(), r.name.clone()));
    relations
}

fn describe(grants: &Grants, catalog: &Catalog, out: &mut String) {
    let unrestricted = if grants.unrestricted {
        " unrestricted"
    } else {
        ""
    };
    writeln!(out, "{}:{unrestricted}", grants.role).unwrap();
    for relation in user_relations(catalog) {
        for column in &relation.columns {
            let id = ColumnId {
                relation: relation.oid,
                attnum: column.attnum,
            };
            let rule = grants.rule(id);
            let word = word(&rule.treatment, &rule.name);
            let (schema, table, column) = (&relation.schema, &relation.name, &column.name);
            let (class, origin) = (&rule.class, &rule.origin);
            writeln!(out, "  {schema}.{table}.{column} {word} {class} {origin}").unwrap();
        }
        if let Some(grant) = grants.write.get(&relation.oid) {
            let (schema, table) = (&relation.schema, &relation.name);
            writeln!(out, "  write {schema}.{table}{}", granted(grant)).unwrap();
        }
    }
    for (schema, function) in grants.functions.iter().collect::<BTreeSet<_>>() {
        writeln!(out, "  call {schema}.{function}").unwrap();
    }
}

fn granted(grant: &WriteGrant) -> String {
    let mut out = String::new();
    for (word, held) in [("insert", grant.insert), ("delete", grant.delete)] {
        if held {
            write!(out, " {word}").unwrap();
        }
    }
    match &grant.update {
        None => out.push_str(" update"),
        Some(columns) if grant.updates => {
            let columns: BTreeSet<&str> =
                columns.iter().map(pgveil::ident::Ident::as_str).collect();
            let columns: Vec<&str> = columns.into_iter().collect();
            write!(out, " update({})", columns.join(", ")).unwrap();
        }
        Some(_) => {}
    }
    if grant.plaintext {
        out.push_str(" plaintext");
    }
    match &grant.probe {
        None => out.push_str(" probe"),
        Some(columns) if columns.is_empty() => {}
        Some(columns) => {
            let columns: BTreeSet<&str> =
                columns.iter().map(pgveil::ident::Ident::as_str).collect();
            let columns: Vec<&str> = columns.into_iter().collect();
            write!(out, " probe({})", columns.join(", ")).unwrap();
        }
    }
    out
}

fn word(treatment: &Treatment, name: &str) -> String {
    match treatment {
        Treatment::Clear => "clear".to_owned(),
        Treatment::Mask(_) => format!("mask({name})"),
        Treatment::Token(token) => match (token.kind(), token.cells()) {
            (TokenKind::Decrypted, _) => "decrypt".to_owned(),
            (TokenKind::Masked, _) => format!("decrypt, mask({name})"),
            (_, Some(_)) => format!("decrypt, token({name})"),
            (_, None) => format!("token({name})"),
        },
        Treatment::Nullify => "nullify".to_owned(),
        Treatment::Deny => "deny".to_owned(),
    }
}

/// `policies/` binds to the sample bank without a remark, leaves no column unclassified, and keeps
/// what its own tests promise.
#[test]
fn the_sample_policy_keeps_its_promises() {
    let policy = policy_files::load(Path::new("policies")).unwrap();
    let catalog = catalog(&bank::script());
    let Binding {
        policy: bound,
        warnings,
    } = bind(&policy, &catalog, keys(), today()).unwrap();
    assert!(
        warnings.iter().all(|w| w.severity == Severity::Note),
        "{warnings:?}"
    );
    for relation in user_relations(&catalog) {
        for column in &relation.columns {
            let id = ColumnId {
                relation: relation.oid,
                attnum: column.attnum,
            };
            let class = &bound.roles["app"].rule(id).class;
            let view = relation.kind == RelationKind::View;
            assert!(
                view || **class != *"unclassified",
                "{}.{}",
                relation.name,
                column.name
            );
        }
    }
    let mut checked = 0;
    for test in &policy.tests {
        let Check::Value {
            column,
            input,
            output,
        } = &test.check
        else {
            continue;
        };
        let relation = catalog
            .relation(&column.table.schema, &column.table.name)
            .unwrap();
        let id = ColumnId {
            relation: relation.oid,
            attnum: relation.column(&column.column).unwrap().attnum,
        };
        let rule = bound.roles[test.role.as_str()].rule(id);
        let seen = match &rule.treatment {
            Treatment::Clear => input.clone(),
            Treatment::Nullify => "nullify".to_owned(),
            Treatment::Deny => "deny".to_owned(),
            Treatment::Mask(mask) => {
                assert!(mask.at_output(), "{}: not a mask of text", test.name);
                let mut out = Vec::new();
                mask.apply(input.as_bytes(), &mut out);
                String::from_utf8(out).unwrap()
            }
            Treatment::Token(_) => panic!("{}: tokens depend on the key", test.name),
        };
        assert_eq!(seen, *output, "{}", test.name);
        checked += 1;
    }
    assert!(checked > 10, "{checked} promises");
}

/// `policy check --dsn` finds what `serve` would find, keys apart.
#[test]
fn checking_needs_no_keys() {
    let policy = policy_files::load(Path::new("policies")).unwrap();
    let catalog = catalog(&bank::script());
    let remarks = check_against(&policy, &catalog, today()).unwrap();
    assert!(
        remarks.iter().all(|r| r.severity == Severity::Note),
        "{remarks:?}"
    );
    let empty = KeyRingFile::empty([0; 16]).open(b"").unwrap();
    let Err(errors) = bind(&policy, &catalog, &empty, today()) else {
        panic!("bound without a key");
    };
    let faults = errors.iter().filter(|e| e.severity == Severity::Error);
    let messages: Vec<&str> = faults.map(|e| e.message.as_str()).collect();
    assert_eq!(messages, ["the key ring has no key `person-2026`"]);
}

/// Tokens that do not say which key made them do not change with a rotation, and binding says so.
#[test]
fn a_rotated_key_is_said_of_tokens_that_go_on_with_the_old_one() {
    let policy = "classes: {a: {level: C2}, b: {level: C2}, c: {level: C2}}
columns: {public.t: {a: a, b: b, c: c}}
tokens:
  rotated: {kind: siv, key: k}
  fixed: {kind: hmac, key: k}
  shaped: {kind: ff1, format: uuid, key: k}
roles: {r: {match: {login: r}, kind: service}}
treat: {class: {a: {r: token(rotated)}, b: {r: token(fixed)}, c: {r: token(shaped)}}}
defaults: {unclassified_column: deny}
";
    let source = SourceFile::new("p.yaml", format!("{BASE}{policy}").as_bytes()).unwrap();
    let Ok(policy) = Policy::parse(&[source]) else {
        panic!("the policy is wrong");
    };
    let catalog = catalog("CREATE TABLE t (id int, a text, b text, c uuid)");
    let new = |seed| NewKey {
        bytes: Zeroizing::new([seed; 64]),
        id: [seed; 16],
        nonce: [seed; 24],
        created: "2026-11-21".to_owned(),
    };
    let mut file = KeyRingFile::empty([1; 16]);
    let first = file.add(b"test", "k", new(1)).unwrap().to_owned();
    let bound = |file: &KeyRingFile| {
        let binding = bind(&policy, &catalog, &file.open(b"test").unwrap(), today()).unwrap();
        let table = catalog
            .relations
            .values()
            .find(|r| r.name.as_str() == "t")
            .unwrap();
        let key = |attnum| {
            let column = ColumnId {
                relation: table.oid,
                attnum,
            };
            match &binding.policy.roles["r"].rule(column).treatment {
                Treatment::Token(token) => token.key_id().to_owned(),
                _ => panic!("not a token"),
            }
        };
        let said: Vec<String> = binding.warnings.iter().map(|w| w.message.clone()).collect();
        ([key(2), key(3), key(4)], said.join("\n"))
    };
    assert_eq!(
        bound(&file),
        ([(); 3].map(|()| first.clone()), String::new())
    );
    let second = file.rotate(b"test", "k", new(2)).unwrap().to_owned();
    let (keys, said) = bound(&file);
    assert_eq!(keys, [second.clone(), first.clone(), first.clone()]);
    for domain in ["fixed", "shaped"] {
        let beginning = format!("token domain `{domain}` goes on with key {first} of `k`");
        assert!(said.contains(&beginning), "{said}");
    }
    assert_eq!(said.lines().count(), 2, "{said}");
    file.retire(b"test", &first, "2026-11-22").unwrap();
    assert_eq!(
        bound(&file),
        ([(); 3].map(|()| second.clone()), String::new())
    );
}

/// `policy check --dsn` reads the database itself: what fits, what does not, and what is not there.
#[test]
fn policies_are_checked_against_a_database() {
    cluster()
        .run("postgres", "CREATE DATABASE checked")
        .unwrap();
    cluster().run("checked", &bank::script()).unwrap();
    let checked = |database: &str| {
        let mut out = Vec::new();
        let address = cluster().address();
        let args = CheckArgs {
            dir: Some("policies".into()),
            config: None,
            dsn: Some(format!(
                "postgresql://{SUPERUSER}@{address}/{database}?sslmode=disable"
            )),
            database: None,
            format: MessageFormat::Human,
        };
        let code = check(&args, &mut out).unwrap();
        (code == ExitCode::SUCCESS, String::from_utf8(out).unwrap())
    };
    let (fits, said) = checked("checked");
    assert!(fits && said.ends_with("; fits checked\n"), "{said}");
    cluster()
        .run(
            "checked",
            "ALTER TABLE bank.customers RENAME mobile TO phone",
        )
        .unwrap();
    let (fits, said) = checked("checked");
    assert!(
        !fits && said.contains("error: bank.customers has no column mobile\n"),
        "{said}"
    );
    let (fits, said) = checked("absent");
    assert!(!fits, "{said}");
    assert!(said.contains("error: database absent: "), "{said}");
    assert!(said.contains("does not exist"), "{said}");
}
