//! Runs `tests/corpus/plan`: SQL and role → what is sent and what is masked, or the refusal.
//!
//! Beside the text, three things are checked of every case: PostgreSQL accepts what is sent; the
//! columns it then describes are those of the client's statement; and for `support`, the rows are
//! those of the client's own statement on the masked copy written by hand.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot set its stage has failed"
)]

#[path = "plan/shapes.rs"]
mod shapes;
#[path = "plan/stage.rs"]
mod stage;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;

use datadriven::{TestCase, TestFile, walk_exclusive};
use foldhash::HashMap;
use pgveil::catalog::SearchPath;
use pgveil::catalog::temp::TempTables;
use pgveil::ident::Ident;
use pgveil::mask::Transform;
use pgveil::plan::{Effect, Plan, PlanContext, Refusal, explain_statement, plan_statement};
use pgveil::policy::Treatment;
use pgveil::sql::parse;
use pgveil::sql::tree::{CopyDirection, Statement};
use stage::{Connection, Rows, Stage, mask_rows, public_path, words};

#[test]
fn plan_corpus() {
    let stage = Stage::build();
    let copy = stage.masked_copy();
    let server = stage.connect("clinic");
    let abbreviations = abbreviations(&stage);
    let wrong = RefCell::new(Vec::new());
    server.run("SET search_path = pg_catalog, pg_temp").unwrap();
    let icu = icu(&server);
    let skipped = |file: &TestFile| !icu && file.filename.ends_with("letters.test");
    let play = |file: &mut TestFile| {
        file.run(|case| {
            let mut session = Session {
                stage: &stage,
                server: &server,
                copy: &copy,
                abbreviations: &abbreviations,
                wrong: &wrong,
                role: case.take_arg("role").unwrap(),
                search_path: public_path(),
                search_path_text: "\"$user\", public".to_owned(),
                prepared: HashMap::default(),
                cursors: HashMap::default(),
                temp: TempTables::default(),
                names: 0,
            };
            match case.directive.as_str() {
                "plan" => session.run(case),
                "errors" => session.errors(&case.input),
                other => panic!("no directive {other}"),
            }
        });
    };
    walk_exclusive("tests/corpus/plan", play, skipped);
    explain_asks_the_planner(&stage);
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Was the server built with ICU? Without it no collation is nondeterministic.
fn icu(server: &Connection<'_>) -> bool {
    let sql = "SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i'";
    server.run(sql).unwrap() == [[Some("t".to_owned())]]
}

/// `pgveil policy explain` says the same, column by column, and where each rule is written.
fn explain_asks_the_planner(stage: &Stage) {
    let explain = |arguments: &[&str]| {
        let explained = Command::new(env!("CARGO_BIN_EXE_pgveil"))
            .args([
                "policy",
                "explain",
                "--policies",
                "tests/corpus/clinic/policies",
            ])
            .args(["--dsn", &stage.url("clinic")])
            .args(arguments)
            .output()
            .unwrap();
        (
            explained.status.code(),
            String::from_utf8(explained.stdout).unwrap(),
        )
    };
    let sql = "SELECT id, email, upper(name) AS loud FROM patients";
    let (code, text) = explain(&["--role", "support", "--sql", sql]);
    let words: Vec<Vec<&str>> = text
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(words[1][..2], ["id", "public.patients.id"]);
    assert_eq!(
        words[2][..8],
        "email public.patients.email email mask email at the output"
            .split(' ')
            .collect::<Vec<_>>()[..]
    );
    let rule = words[2][8].rsplit_once(':').unwrap();
    assert_eq!(rule.0, "tests/corpus/clinic/policies/clinic.yaml");
    let policy = std::fs::read_to_string(rule.0).unwrap();
    let line = policy
        .lines()
        .nth(rule.1.parse::<usize>().unwrap() - 1)
        .unwrap();
    assert!(line.contains("support: mask(email)"), "{line}");
    assert_eq!(words[3].join(" "), "loud computed from masked values");
    assert!(
        text.contains("\nsent: SELECT \"patients\".\"id\", \"patients\".\"email\""),
        "{text}"
    );
    // A temporary table is known to what comes after it, until it is dropped.
    let uploads = "CREATE TEMP TABLE up (tok text); \
                   SELECT id FROM patients WHERE email NOT IN (SELECT tok FROM up)";
    let (code, text) = explain(&["--role", "analyst", uploads]);
    assert_eq!(code, Some(0), "{text}");
    let dropped = format!("{uploads}; DROP TABLE up; TABLE up");
    let (code, text) = explain(&["--role", "analyst", &dropped]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("ERROR:  42P01: "), "{text}");
    let (code, text) = explain(&[
        "--role",
        "analyst",
        "PREPARE p AS SELECT upper(name) FROM patients",
    ]);
    assert_eq!(code, Some(1), "{text}");
    let words = [
        "ERROR:  42501: cannot compute with column name",
        "\nDETAIL: ",
        "\nHINT:   ",
    ];
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    let (code, text) = explain(&["--role", "nobody", "SELECT 1"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("its roles are analyst, owner, partner, support"),
        "{text}"
    );
}

/// One client's session: a case's statements are planned and executed one after the other.
struct Session<'s> {
    stage: &'s Stage,
    server: &'s Connection<'s>,
    copy: &'s Connection<'s>,
    abbreviations: &'s [Abbreviation],
    /// Cases whose text may be as expected and whose answer is not.
    wrong: &'s RefCell<Vec<String>>,
    role: String,
    search_path: SearchPath,
    search_path_text: String,
    prepared: HashMap<Ident, pgveil::plan::PreparedEntry>,
    cursors: HashMap<Ident, pgveil::plan::CursorEntry>,
    temp: TempTables,
    names: u32,
}

impl Session<'_> {
    fn run(&mut self, case: &mut TestCase) -> String {
        case.expect_empty().unwrap();
        let mut out = String::new();
        self.server.run("BEGIN").unwrap();
        self.copy.run("ROLLBACK; BEGIN").unwrap();
        let input = self.with_tokens(&case.input);
        match parse(&input) {
            Err(e) => show_refusal(&Refusal::from(e), &mut out),
            Ok(statements) => {
                let only = statements.len() == 1;
                for parsed in statements {
                    // The client's own text, when it is one statement: to run on the masked copy.
                    let original = only.then_some(input.as_str());
                    self.statement(parsed.statement, original, &mut out);
                }
            }
        }
        self.server.run("ROLLBACK").unwrap();
        // One by one: the client has prepared statements of its own.
        for entry in self.prepared.values() {
            let deallocate = format!("DEALLOCATE {}", entry.upstream.quoted());
            self.server.run(&deallocate).unwrap();
        }
        out
    }

    /// `errors role=R`: statements, one a line, and whether the client is told which error came.
    fn errors(&self, input: &str) -> String {
        let mut out = String::new();
        for sql in input.lines() {
            let statement = parse(sql).unwrap().remove(0).statement;
            let told = match plan_statement(statement, &self.context("pgveil_1")) {
                Ok(plan) if plan.facts().ordered => "hidden".to_owned(),
                Ok(_) => "told".to_owned(),
                Err(refusal) => format!("refused: {}", refusal.message),
            };
            writeln!(out, "{told}").unwrap();
        }
        out
    }

    /// `<person:ada@example.com>` is the token of that text in that domain.
    fn with_tokens(&self, sql: &str) -> String {
        let grants = &self.stage.snapshot.policy.roles[self.role.as_str()];
        let mut out = String::new();
        let mut rest = sql;
        while let Some((before, after)) = rest.split_once('<') {
            out.push_str(before);
            let named = after.split_once('>').and_then(|(inside, after)| {
                let (domain, plain) = inside.split_once(':')?;
                let tokens = self
                    .stage
                    .snapshot
                    .catalog
                    .relations
                    .values()
                    .flat_map(|r| {
                        r.columns.iter().filter_map(|c| {
                            let rule = grants.explicit(pgveil::catalog::ColumnId {
                                relation: r.oid,
                                attnum: c.attnum,
                            })?;
                            match &rule.treatment {
                                Treatment::Token(t) if &*rule.name == domain => Some(t),
                                _ => None,
                            }
                        })
                    });
                let mut token = Vec::new();
                let column = tokens.into_iter().next()?;
                column.encode(plain.as_bytes(), &mut token).unwrap();
                Some((String::from_utf8(token).unwrap(), after))
            });
            let (token, after) = named.unwrap_or_else(|| ("<".to_owned(), after));
            (out, rest) = (out + &token, after);
        }
        out + rest
    }

    fn context(&self, fresh_name: &str) -> PlanContext<'_> {
        PlanContext {
            snapshot: &self.stage.snapshot,
            grants: &self.stage.snapshot.policy.roles[self.role.as_str()],
            search_path: &self.search_path,
            search_path_text: &self.search_path_text,
            client_encoding: pgveil::pg::encoding::Encoding::utf8(),
            prepared: &self.prepared,
            cursors: &self.cursors,
            temp: &self.temp,
            given: pgveil::plan::Given::Bound,
            declared: &[],
            fresh_name: Ident::exact(fresh_name),
        }
    }

    fn statement(&mut self, statement: Statement, original: Option<&str>, out: &mut String) {
        self.names += 1;
        let context = self.context(&format!("pgveil_{}", self.names));
        let explained = explain_statement(statement.clone(), &context);
        let reads = matches!(statement, Statement::Query(_));
        let plan = match plan_statement(statement, &context) {
            Ok(plan) => plan,
            Err(refusal) => {
                assert_eq!(explained, Err(refusal.clone()), "explain and plan differ");
                return show_refusal(&refusal, out);
            }
        };
        let explained = explained.unwrap();
        let sent = plan.sql().as_str();
        writeln!(
            out,
            "send\n  {}",
            abbreviated(self.abbreviations, &self.stage.snapshot.catalog, sent)
        )
        .unwrap();
        // What is said is done.
        for (told, rule) in explained
            .iter()
            .zip(plan.outputs().into_iter().flat_map(|o| o.iter()))
        {
            let made = !matches!(rule.transform, Transform::Pass | Transform::Name(_));
            assert_eq!(told.place.contains("at the output"), made, "{}", told.name);
        }
        let width = explained
            .iter()
            .map(|c| c.name.chars().count())
            .max()
            .unwrap_or(0);
        if !explained.is_empty() {
            writeln!(out, "show").unwrap();
        }
        for (n, c) in (1..).zip(&explained) {
            let place = if c.place.is_empty() {
                String::new()
            } else {
                format!(", {}", c.place)
            };
            writeln!(out, "  {n} {:width$}  {}{place}", c.name, c.treatment).unwrap();
        }
        let columns = plan.facts().columns.iter();
        for (column, _) in columns.filter(|(_, what)| *what == "probe") {
            writeln!(out, "probe\n  {column}").unwrap();
        }
        if let Err(what) = self.execute(&plan, reads, original) {
            self.wrong
                .borrow_mut()
                .push(format!("{}\n{sent}\n{what}", original.unwrap_or_default()));
        }
        match plan.effect() {
            Effect::SearchPath { path, .. } => {
                self.search_path = path
                    .as_ref()
                    .map_or_else(public_path, |p| SearchPath::new(p));
                let plain = |s: &Ident| {
                    s.as_str()
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b == b'_')
                };
                let shown = |s: &Ident| if plain(s) { s.to_string() } else { s.quoted() };
                let shown = path.iter().flatten().map(shown).collect::<Vec<_>>();
                self.search_path_text = shown.join(", ");
            }
            Effect::Prepare(name, entry) => drop(self.prepared.insert(name.clone(), entry.clone())),
            Effect::Deallocate(Some(name)) => drop(self.prepared.remove(name)),
            Effect::Declare(name, entry) => drop(self.cursors.insert(name.clone(), entry.clone())),
            Effect::CloseCursor(Some(name)) => drop(self.cursors.remove(name)),
            Effect::CreateTemp { table, .. } => self.temp.add(Arc::clone(table)),
            Effect::DropTemp(names) => names.iter().for_each(|n| self.temp.remove(n)),
            _ => {}
        }
    }

    /// PostgreSQL runs what is sent.
    fn execute(&self, plan: &Plan, reads: bool, original: Option<&str>) -> Result<(), String> {
        let (sent, client) = (plan.sql().as_str(), &self.server.client);
        if matches!(
            plan.effect(),
            Effect::Begin | Effect::Commit | Effect::Rollback
        ) {
            return Ok(());
        }
        let runtime = &self.stage.runtime;
        match plan.copy() {
            Some(CopyDirection::To) => {
                return runtime
                    .block_on(client.copy_out(sent))
                    .map(drop)
                    .map_err(words);
            }
            Some(CopyDirection::From) => {
                // Never finished, so PostgreSQL drops it.
                let copied = runtime.block_on(client.copy_in::<_, bytes::Bytes>(sent));
                return copied.map(drop).map_err(words);
            }
            None => {}
        }
        match self.describes(plan) {
            // A server built without libxml has the grammar and no more.
            Err(error) if error.starts_with("0A000 unsupported XML feature") => return Ok(()),
            described => described?,
        }
        // A parameter stands where PREPARE's own text does not.
        if sent.contains('$') && !sent.starts_with("PREPARE") {
            return runtime
                .block_on(client.prepare(sent))
                .map(drop)
                .map_err(words);
        }
        let rows = self.server.run(sent)?;
        match original {
            // SELECT INTO reads, and returns nothing.
            Some(original) if reads && plan.outputs().is_some() && self.role == "support" => {
                self.compare(plan, rows, original)
            }
            _ => Ok(()),
        }
    }

    /// PostgreSQL names the tables the plan expects it to name, and none where the plan names one.
    fn describes(&self, plan: &Plan) -> Result<(), String> {
        let Some(rules) = plan.outputs() else {
            return Ok(());
        };
        let described = self.server.origins(plan.sql().as_str())?;
        for (rule, described) in rules.iter().zip(described) {
            let silent = rule.expect.is_none() && rule.origin.is_none();
            if described != rule.expect && !silent {
                return Err(format!("from {described:?}, expected {:?}", rule.expect));
            }
        }
        Ok(())
    }

    /// The client is told the tables that PostgreSQL names on the masked copy. Views may be expanded,
    /// and are told as what they are made of; system columns are not told.
    fn tells(&self, plan: &Plan, original: &str) -> Result<(), String> {
        let catalog = &self.stage.snapshot.catalog;
        let rules = plan.outputs().unwrap().iter();
        for (rule, wanted) in rules.zip(self.copy.origins(original)?) {
            let told = rule.origin.or(rule.expect);
            let named = wanted.and_then(|(oid, _)| catalog.relation_by_oid(oid));
            let table = wanted.is_none() || named.is_some_and(|r| r.definition.is_none());
            let system = wanted.is_some_and(|(_, attnum)| attnum < 0);
            if told != wanted && table && !system {
                return Err(format!("told {told:?}, on the masked copy {wanted:?}"));
            }
        }
        Ok(())
    }

    /// What the client's statement gives on the masked copy, as the contract wants it.
    fn compare(&self, plan: &Plan, mut rows: Rows, original: &str) -> Result<(), String> {
        let (sent, wanted) = (
            self.server.shape(plan.sql().as_str())?,
            self.copy.shape(original)?,
        );
        if sent != wanted {
            return Err(format!("columns {sent:?}, on the masked copy {wanted:?}"));
        }
        self.tells(plan, original)?;
        mask_rows(plan, &mut rows);
        let mut wanted = self.copy.run(original)?;
        if !original.to_lowercase().contains("order by") {
            rows.sort();
            wanted.sort();
        }
        if rows == wanted {
            return Ok(());
        }
        Err(format!("rows {rows:?}, on the masked copy {wanted:?}"))
    }
}

fn show_refusal(r: &Refusal, out: &mut String) {
    writeln!(out, "refuse {}\n  ERROR:  {}", r.sqlstate, r.message).unwrap();
    for (word, text) in [("DETAIL", &r.detail), ("HINT", &r.hint)] {
        if let Some(text) = text {
            // Where a rule is written is the policy's business, and its lines move.
            let text = without_lines(text);
            writeln!(out, "  {:8}{text}", format!("{word}:")).unwrap();
        }
    }
}

fn without_lines(text: &str) -> String {
    let mut parts = text.split(".yaml:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(".yaml");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

/// A mask's SQL around its operand, and the mask's name: nobody reads the former in a case.
struct Abbreviation {
    name: String,
    pieces: Vec<String>,
}

fn abbreviations(stage: &Stage) -> Vec<Abbreviation> {
    const OPERAND: &str = "\u{1}";
    let mut found: Vec<Abbreviation> = Vec::new();
    let snapshot = &stage.snapshot;
    for grants in snapshot.policy.roles.values() {
        for relation in snapshot.catalog.relations.values() {
            for column in &relation.columns {
                let id = pgveil::catalog::ColumnId {
                    relation: relation.oid,
                    attnum: column.attnum,
                };
                let Some(rule) = grants.explicit(id) else {
                    continue;
                };
                let Treatment::Mask(mask) = &rule.treatment else {
                    continue;
                };
                let pieces: Vec<String> = mask
                    .sql(OPERAND)
                    .split(OPERAND)
                    .map(str::to_owned)
                    .collect();
                if found.iter().all(|a| a.pieces != pieces) {
                    found.push(Abbreviation {
                        name: rule.name.to_string(),
                        pieces,
                    });
                }
            }
        }
    }
    // Tokens that are looked up in what was read, where every value has one.
    for (ty, map) in ["varchar", "uuid", "int4", "int8"]
        .into_iter()
        .flat_map(|ty| (1..10).map(move |map| (ty, map)))
    {
        let text = format!("CAST({OPERAND} AS \"pg_catalog\".\"text\")");
        let lookup = format!(
            "CASE WHEN {OPERAND} IS NULL THEN NULL ELSE CAST(COALESCE(\"pg_catalog\".\
             \"jsonb_object_field_text\"(${map}, {text}), \"pg_catalog\".\"encode\"(\"pg_catalog\".\
             \"convert_to\"({text}, 'pgveil.value_not_read'), 'hex')) AS \"pg_catalog\".\"{ty}\") END"
        );
        found.push(Abbreviation {
            name: format!("{ty} in ${map}"),
            pieces: lookup.split(OPERAND).map(str::to_owned).collect(),
        });
    }
    // The longest first: one mask's SQL may begin like another's.
    found.sort_by_key(|a| std::cmp::Reverse(a.pieces.iter().map(String::len).sum::<usize>()));
    found
}

/// `<pin "crm"."patients">` for the checks that tie a statement to the catalog it was planned on: each
/// relation, then `name COLUMN` for a column checked by name, `rule` for a view's, `expression` for a
/// generated column's, `children`. `(…)` for the list that binds a relation's columns by position.
fn without_pins(catalog: &pgveil::catalog::Catalog, sql: &str) -> String {
    const START: &str = "CASE WHEN \"pg_catalog\".\"oideq\"('";
    const END: &str =
        "THEN true ELSE \"pg_catalog\".\"current_setting\"('pgveil.catalog_moved') IS NULL END";
    let mut out = sql.to_owned();
    while let Some(at) = out.find(START) {
        let end = out[at..].find(END).unwrap() + at;
        let mut words = Vec::new();
        for check in out[at..end].split(" AND ") {
            let quoted: Vec<&str> = check.split('\'').skip(1).step_by(2).collect();
            match () {
                () if check.contains("\"oideq\"") => words.push(quoted[0].to_owned()),
                () if check.contains("'2604'") => words.push("expression".to_owned()),
                () if check.contains("object_names") => words.push(format!("name {}", quoted[4])),
                () if check.contains("pg_rewrite") => words.push("rule".to_owned()),
                () if check.contains("pg_partition_tree") || check.contains("pg_inherits") => {
                    words.push("children".to_owned());
                }
                () => {}
            }
        }
        out.replace_range(at..end + END.len(), &format!("<pin {}>", words.join(" ")));
    }
    for relation in catalog.relations.values() {
        let columns: Vec<String> = relation.columns.iter().map(|c| c.name.quoted()).collect();
        if !columns.is_empty() {
            let name = format!("{}.{}", relation.schema.quoted(), relation.name.quoted());
            let list = format!(" ({})", columns.join(", "));
            let mut from = 0;
            while let Some(at) = out[from..].find(&name).map(|at| at + from + name.len()) {
                from = at;
                let rest = &out[at..];
                if let Some(alias) = rest.strip_prefix(" AS \"")
                    && let Some(end) = alias.find('"')
                    && alias[end + 1..].starts_with(&list)
                {
                    let at = at + " AS \"".len() + end + 1;
                    out.replace_range(at..at + list.len(), " (…)");
                }
            }
        }
    }
    out
}

/// `<email of "p"."email">` for each mask.
/// `<defaults beds.state, …>` for the OIDs of defaults that are shown as they stand.
fn with_defaults_named(catalog: &pgveil::catalog::Catalog, sql: &str) -> String {
    const START: &str = "\"oid\" OPERATOR(\"pg_catalog\".=) ANY (CAST('{";
    let mut out = sql.to_owned();
    let mut from = 0;
    while let Some(at) = out[from..]
        .find(START)
        .map(|at| from + at + START.len() - 2)
    {
        let end = out[at..].find("}'").unwrap() + at + 2;
        let listed: Vec<&str> = out[at + 2..end - 2].split(',').collect();
        let mut names = Vec::new();
        for relation in catalog.relations.values() {
            for c in relation.columns.iter().filter(|c| c.default_oid != 0) {
                if listed.contains(&c.default_oid.to_string().as_str()) {
                    names.push(format!("{}.{}", relation.name, c.name));
                }
            }
        }
        assert_eq!(names.len(), listed.len(), "{sql}");
        names.sort();
        let named = format!("<defaults {}>", names.join(", "));
        out.replace_range(at..end, &named);
        from = at + named.len();
    }
    out
}

fn abbreviated(
    abbreviations: &[Abbreviation],
    catalog: &pgveil::catalog::Catalog,
    sql: &str,
) -> String {
    let mut out = with_defaults_named(catalog, &without_pins(catalog, sql));
    for a in abbreviations {
        let (Some(first), Some(second)) = (a.pieces.first(), a.pieces.get(1)) else {
            continue;
        };
        let mut from = 0;
        while let Some(at) = out[from..].find(first.as_str()).map(|at| at + from) {
            let rest = &out[at + first.len()..];
            let operand = rest.find(second.as_str()).map(|end| rest[..end].to_owned());
            let whole = operand.as_ref().map(|operand| a.pieces.join(operand));
            match (operand, whole) {
                (Some(operand), Some(whole))
                    if operand.starts_with('"') && out[at..].starts_with(&whole) =>
                {
                    let short = format!("<{} of {operand}>", a.name);
                    out.replace_range(at..at + whole.len(), &short);
                    from = at + short.len();
                }
                _ => from = at + first.len().max(1),
            }
            while !out.is_char_boundary(from) {
                from += 1;
            }
        }
    }
    out
}
