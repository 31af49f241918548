//! One parsed statement → a plan or a refusal: reading statements here, the rest in `utility`.

use std::sync::Arc;

use super::decide::{Delivery, decide};
use super::facts::facts;
use super::param::Parameters;
use super::plan::{CursorEntry, Effect, Facts, Names, Plan, PlanContext, PreparedEntry};
use super::rewrite::{relations, shared};
use super::tabulated::Tabulate;
use super::uploads::{Given, Uploads};
use super::utility;
use crate::analyze::{Grounds, ObjectKind, analyze, analyze_values};
use crate::ident::Ident;
use crate::mask::OutputRule;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, print};
use crate::sql::tree::{Expr, Node, Statement};

/// A statement whose relations are decided.
pub(super) struct Read {
    pub(super) rewrite: Rewrite,
    pub(super) outputs: Vec<OutputRule>,
    pub(super) parameters: Option<Arc<Parameters>>,
    /// What has to be read first.
    pub(super) uploads: Option<Arc<Uploads>>,
    /// The maps of what was read as they would be bound, if they are written.
    pub(super) unwritten: Option<Vec<String>>,
    pub(super) names: Vec<Ident>,
    /// Types of the outputs, as far as they are known.
    pub(super) types: Vec<Option<Oid>>,
    pub(super) facts: Facts,
}

/// The whole decision for one parsed statement.
pub fn plan_statement(statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    plan(statement, ctx).map(|p| p.at_epoch(ctx.snapshot.epoch))
}

fn plan(mut statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    if let Statement::Query(q) = &mut statement
        && let Some(table) = super::temp::select_into(q)
    {
        return super::temp::create(Box::new(table), ctx);
    }
    if let Statement::Query(q) = &mut statement
        && let Some(effect) = super::set_config::search_path(q)?
    {
        let mut plan = read_rows(&mut statement, ctx)?;
        plan.set_effect(effect);
        return Ok(plan);
    }
    match statement {
        Statement::CreateTable(_)
        | Statement::DropTable { .. }
        | Statement::Comment(_)
        | Statement::Truncate { .. }
        | Statement::CreateIndex(_)
        | Statement::DropIndex { .. }
        | Statement::Analyze(_) => return super::temp::plan(statement, ctx),
        _ => {}
    }
    match &mut statement {
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_) => read_rows(&mut statement, ctx),
        Statement::Explain {
            statement: inner, ..
        } => {
            // What the statement itself would be refused for is not the point.
            if involves_protected(inner, ctx)? {
                return Err(no_explain());
            }
            let read = read(inner, (Delivery::Stream, Tabulate::No), ctx)?;
            if !read.facts.columns.is_empty() {
                return Err(no_explain());
            }
            Ok(
                Plan::decided(print(&statement, &read.rewrite)?, Effect::None, read.facts)
                    .passing(1),
            )
        }
        Statement::Prepare { .. } => prepare(statement, ctx),
        Statement::Execute { .. } => execute(statement, ctx),
        Statement::Declare { .. } => declare(statement, ctx),
        Statement::Fetch { .. } => fetch(statement, ctx),
        Statement::Copy(_) => super::copy::copy(statement, ctx),
        _ => utility::plan(statement, ctx),
    }
}

fn no_explain() -> Refusal {
    Refusal::denied("EXPLAIN is refused where a protected column is involved")
        .detail("Plans quote literals, row counts and filters over stored values.")
        .hint("Ask the proxy: pgveil policy explain --role ROLE 'QUERY'.")
}

fn read_rows(statement: &mut Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let read = read(statement, (Delivery::Rows, Tabulate::Yes), ctx)?;
    let mut plan = Plan::decided(print(statement, &read.rewrite)?, Effect::None, read.facts);
    plan.set_parameters(read.parameters);
    plan.set_uploads(read.uploads);
    if returns_rows(statement) {
        plan.set_outputs(shared(read.outputs));
    }
    Ok(plan)
}

fn returns_rows(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_) => true,
        Statement::Insert(i) => !i.returning.is_empty(),
        Statement::Update(u) => !u.returning.is_empty(),
        Statement::Delete(d) => !d.returning.is_empty(),
        Statement::Merge(m) => !m.returning.is_empty(),
        _ => false,
    }
}

pub(super) fn grounds<'a>(ctx: &PlanContext<'a>) -> Grounds<'a> {
    Grounds {
        catalog: &ctx.snapshot.catalog,
        grants: ctx.grants,
        search_path: ctx.search_path,
        search_path_text: ctx.search_path_text,
        client_encoding: ctx.client_encoding,
        temp: ctx.temp,
        views: 0,
        declared: ctx.declared,
    }
}

/// Does the statement involve a relation that has a protected column, used or not? Row counts and
/// index choices in a plan come from all of a relation's columns.
fn involves_protected(statement: &Statement, ctx: &PlanContext<'_>) -> Result<bool, Refusal> {
    let lineage = analyze(&mut statement.clone(), grounds(ctx))?;
    for r in &lineage.relations {
        if crate::analyze::is_beside_protected(&r.relation, grounds(ctx))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Analyzes and decides a statement that reads relations.
pub(super) fn read(
    statement: &mut Statement,
    (delivery, tabulate): (Delivery, Tabulate),
    ctx: &PlanContext<'_>,
) -> Result<Read, Refusal> {
    let grounds = grounds(ctx);
    // Written they would stand beside their values in the server's log.
    let tabulate = match ctx.given {
        Given::Bound => tabulate,
        Given::Written(_) => Tabulate::No,
    };
    current_of(statement, ctx)?;
    let mut lineage = analyze(statement, grounds)?;
    let decisions = decide(&mut lineage, (delivery, tabulate), grounds)?;
    let narrowed = super::narrowed::narrowed(statement, &lineage, &decisions);
    let kind = kind(statement);
    let ordered = super::order::settle(statement, delivery, &lineage, &decisions, grounds)?;
    let mut rewrite = Rewrite::default();
    let placed = super::held::place(&decisions, &lineage, narrowed, ctx.given, &mut rewrite)?;
    relations(&lineage, &decisions, &placed, grounds, &mut rewrite)?;
    super::hidden::hide(statement, &lineage, &decisions, &mut rewrite)?;
    let parameters = super::settings::parameters(placed.parameters, &lineage, delivery)?;
    let mut facts = facts(&lineage, &decisions);
    facts.kind = kind;
    let selects = matches!(statement, Statement::Query(_));
    facts.changes = Some(kind).filter(|kind| selects && *kind != "SELECT");
    facts.ordered = ordered;
    let mut written = lineage.relations.iter().filter(|used| used.written);
    facts.defers = ordered && written.any(|used| used.relation.deferrable);
    facts.described = only_reads(statement);
    let names = lineage.outputs.iter().map(|o| o.name.clone()).collect();
    let types = lineage.outputs.iter().map(|o| o.ty).collect();
    Ok(Read {
        rewrite,
        outputs: decisions.output_rules(&lineage),
        parameters,
        uploads: placed.uploads,
        unwritten: placed.unwritten,
        names,
        types,
        facts,
    })
}

/// `WHERE CURRENT OF` names the cursor as it is called upstream.
fn current_of(statement: &mut Statement, ctx: &PlanContext<'_>) -> Result<(), Refusal> {
    let filter = match statement {
        Statement::Update(u) => &mut u.filter,
        Statement::Delete(d) => &mut d.filter,
        _ => return Ok(()),
    };
    if let Some(Expr::CurrentOf(cursor)) = filter {
        let Some(entry) = ctx.cursors.get(cursor) else {
            return Err(no_cursor(cursor));
        };
        *cursor = entry.upstream.clone();
    }
    Ok(())
}

fn no_cursor(cursor: &Ident) -> Refusal {
    Refusal::error(
        sqlstate::INVALID_CURSOR_NAME,
        format!("cursor \"{cursor}\" does not exist"),
    )
}

fn only_reads(statement: &mut Statement) -> bool {
    !statement.any_within(&mut |node| matches!(node, Node::Change(_)))
}

fn kind(statement: &Statement) -> &'static str {
    match statement {
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        _ => "SELECT",
    }
}

/// What a parameter names, with its schema, if the catalog knows it without one.
pub fn qualified_name(kind: ObjectKind, text: &str, ctx: &PlanContext<'_>) -> Option<String> {
    crate::analyze::qualified_name(kind, text, grounds(ctx))
}

/// `PREPARE name (types) AS …`: created upstream under a fresh name, so that the name's masks are the
/// statement's whatever happens to the client's.
fn prepare(mut statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let source = statement.clone();
    let Statement::Prepare {
        name,
        types,
        statement: inner,
    } = &mut statement
    else {
        return Err(not_understood());
    };
    if ctx.prepared.contains_key(name) {
        return Err(Refusal::error(
            sqlstate::DUPLICATE_PREPARED_STATEMENT,
            format!("prepared statement \"{name}\" already exists"),
        ));
    }
    let source = Arc::new(source);
    let declared = crate::analyze::resolve_types(types, grounds(ctx))?;
    let client_name = std::mem::replace(name, ctx.fresh_name.clone());
    let context = PlanContext {
        declared: &declared,
        fresh_name: ctx.fresh_name.clone(),
        ..*ctx
    };
    let read = read(inner, (Delivery::Rows, Tabulate::No), &context)?;
    if read.uploads.is_some() || read.unwritten.is_some() {
        return Err(super::uploads::not_prepared());
    }
    let rows = returns_rows(inner);
    let mut of = Plan::decided(
        print(inner, &read.rewrite)?,
        Effect::None,
        read.facts.clone(),
    );
    if rows {
        of.set_outputs(shared(read.outputs));
    }
    if let Some(parameters) = &read.parameters {
        *types = parameters.type_names(&declared, &ctx.snapshot.catalog)?;
    }
    of.set_parameters(read.parameters);
    let entry = PreparedEntry {
        upstream: ctx.fresh_name.clone(),
        plan: Arc::new(of.at_epoch(ctx.snapshot.epoch)),
        source,
        search_path: ctx.search_path.clone(),
    };
    let sql = print(&statement, &read.rewrite)?;
    Ok(Plan::decided(
        sql,
        Effect::Prepare(client_name, entry),
        named(read.facts, "PREPARE"),
    ))
}

fn execute(mut statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let Statement::Execute { name, args } = &mut statement else {
        return Err(not_understood());
    };
    let Some(entry) = ctx.prepared.get(name) else {
        return Err(Refusal::error(
            sqlstate::INVALID_STATEMENT_NAME,
            format!("prepared statement \"{name}\" does not exist"),
        ));
    };
    if entry.plan.epoch() != ctx.snapshot.epoch {
        return Err(outdated("prepared statement"));
    }
    if !analyze_values(args, grounds(ctx))?.relations.is_empty() {
        return Err(Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "cannot use subquery in EXECUTE parameter",
        ));
    }
    if let Some(parameters) = entry.plan.parameters() {
        *args = parameters.decode_arguments(args)?;
    }
    let upstream = entry.upstream.clone();
    let names = Names::Prepared(std::mem::replace(name, upstream.clone()), upstream);
    let mut facts = named(Facts::clone(entry.plan.facts()), "EXECUTE");
    facts.described = false;
    // What is called for the values may write.
    facts.reads &= args.is_empty();
    let outputs = entry.plan.outputs().cloned();
    let mut plan = Plan::decided(print(&statement, &Rewrite::default())?, Effect::None, facts);
    if let Some(outputs) = outputs {
        plan.set_outputs(outputs);
    }
    plan.set_names(names);
    Ok(plan)
}

fn declare(mut statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let source = Arc::new(statement.clone());
    let Statement::Declare {
        name,
        binary,
        query,
        hold,
        ..
    } = &mut statement
    else {
        return Err(not_understood());
    };
    let (binary, hold) = (*binary, *hold);
    let client_name: Ident = std::mem::replace(name, ctx.fresh_name.clone());
    let mut inner = Statement::Query(query.clone());
    let read = read(&mut inner, (Delivery::Cursor, Tabulate::Yes), ctx)?;
    // It is its own only where it is planned again.
    let known = ctx.cursors.get(&client_name);
    if known.is_some_and(|cursor| cursor.upstream != ctx.fresh_name) {
        return Err(Refusal::error(
            sqlstate::DUPLICATE_CURSOR,
            format!("cursor \"{client_name}\" already exists"),
        ));
    }
    if binary
        && read
            .outputs
            .iter()
            .any(|o| matches!(o.transform, crate::mask::Transform::Token(_)))
    {
        return Err(
            Refusal::denied("a BINARY cursor cannot return tokens").hint("Leave BINARY out.")
        );
    }
    if let Statement::Query(q) = inner {
        *query = q;
    }
    let sql = print(&statement, &read.rewrite)?;
    // What tells whether a newer plan is the same has no room for what was read once.
    let compared = match read.unwritten {
        None => sql.clone(),
        Some(maps) => print(
            &statement,
            &Rewrite {
                maps,
                ..read.rewrite
            },
        )?,
    };
    let mut of = Plan::decided(compared, Effect::None, read.facts.clone());
    of.set_outputs(shared(read.outputs));
    let entry = CursorEntry {
        upstream: ctx.fresh_name.clone(),
        plan: Arc::new(of.at_epoch(ctx.snapshot.epoch)),
        hold,
        source,
        search_path: ctx.search_path.clone(),
    };
    let effect = Effect::Declare(client_name, entry);
    let mut plan = Plan::decided(sql, effect, named(read.facts, "DECLARE"));
    plan.set_parameters(read.parameters);
    plan.set_uploads(read.uploads);
    Ok(plan)
}

fn fetch(mut statement: Statement, ctx: &PlanContext<'_>) -> Result<Plan, Refusal> {
    let Statement::Fetch {
        is_move,
        cursor,
        amount: _,
    } = &mut statement
    else {
        return Err(not_understood());
    };
    let Some(entry) = ctx.cursors.get(cursor) else {
        return Err(no_cursor(cursor));
    };
    if entry.plan.epoch() != ctx.snapshot.epoch {
        return Err(outdated("cursor"));
    }
    let rows = !*is_move;
    let upstream = entry.upstream.clone();
    let names = Names::Cursor(std::mem::replace(cursor, upstream.clone()), upstream);
    let mut facts = Facts {
        kind: "FETCH",
        ordered: entry.plan.facts().ordered,
        defers: entry.plan.facts().defers,
        ..Facts::default()
    };
    if !rows {
        facts.kind = "MOVE";
    }
    let mut plan = Plan::decided(print(&statement, &Rewrite::default())?, Effect::None, facts);
    if let Some(outputs) = entry.plan.outputs().filter(|_| rows) {
        plan.set_outputs(Arc::clone(outputs));
    }
    plan.set_names(names);
    Ok(plan)
}

/// What a session has not planned again: its masks may not be today's.
fn outdated(what: &str) -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("{what} is older than the current catalog or policy"),
    )
}

pub(super) fn named(facts: Facts, kind: &'static str) -> Facts {
    Facts { kind, ..facts }
}

pub(super) fn not_understood() -> Refusal {
    Refusal::error(
        sqlstate::INTERNAL_ERROR,
        "statement is not of the form expected here",
    )
}
