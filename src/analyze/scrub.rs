//! Definitions as text: literals in them are replaced, but for defaults of columns the role sees.
//!
//! A default is told by its row of `pg_attrdef`. The snapshot has the OIDs of those rows, and a default
//! that is set again gets a new one: what is shown is what the policy was asked about, and a statement
//! that is older than the catalog shows no newer default.

use std::sync::Arc;

use super::functions::Chosen;
use super::generated::{ColumnForm, column_form};
use super::lineage::{Source, Uses};
use super::own_state::text;
use super::scope::Scope;
use super::{Analyzer, Grounds, is_system};
use crate::catalog::RelationKind;
use crate::ident::Ident;
use crate::limits;
use crate::pg::{Oid, oid_array};
use crate::sql::tree::{Call, Expr, Literal, Operator, Quantifier, TypeName};

/// A literal in the text of a definition, with what stands before it: quoted strings, but not the names
/// in `'seq'::regclass`, nor what is quoted in an identifier. Those are passed over whole, or their
/// quotes would be taken for the ends of literals.
const LITERALS: &str =
    r#"((?:[^'"]|"(?:[^"]|"")*"|'(?:[^']|'')*'::regclass)*)'(?:[^']|'')*'(?!'|::regclass)"#;

/// What stays of it.
const SCRUBBED: &str = r"\1'…'";

/// A literal at the end of each text, so that one is always there to come to.
const LAST: &str = "''";

/// Characters that are left of it.
const SCRUBBED_LAST: &str = "3";

impl Analyzer<'_> {
    /// A call that returns a definition, resolved, becomes what is shown of it.
    pub(super) fn scrub(&mut self, e: &mut Expr, chosen: &Chosen, scope: &Scope<'_>) {
        let shown = match e {
            Expr::Call(call) if chosen.is_builtin("pg_get_expr") => self.shown_default(call, scope),
            _ => None,
        };
        let definition = std::mem::replace(e, Expr::Literal(Literal::Null));
        let home = home(self.grounds);
        let as_it_stands = shown.is_some().then(|| match &home {
            Some(home) => replaced(definition.clone(), &first_name(home), NAMED_BARE),
            None => definition.clone(),
        });
        let hidden = if chosen.is_builtin("pg_get_functiondef") {
            scrubbed(without_body(definition))
        } else {
            scrubbed(definition)
        };
        let hidden = match &home {
            Some(home) if !chosen.is_builtin("pg_get_indexdef") => {
                replaced(hidden, &qualified(home), UNQUALIFIED)
            }
            _ => hidden,
        };
        *e = match shown.zip(as_it_stands) {
            Some(branch) => Expr::Case {
                operand: None,
                branches: vec![branch],
                otherwise: Some(Box::new(hidden)),
            },
            None => hidden,
        };
    }

    /// The condition under which `pg_get_expr(d.adbin, …)` is the default of a column the role sees:
    /// `d.oid = ANY (…)`. `d` is `pg_attrdef` itself, in FROM of the same query, or nobody could say that
    /// both are of one row; and what is grouped has no OID.
    fn shown_default(&mut self, call: &Call, scope: &Scope<'_>) -> Option<Expr> {
        let Some(Expr::Column(tree)) = call.args.first().map(|a| &a.value) else {
            return None;
        };
        let (id, attnum) = tree.base?;
        let relation = &self.lineage.relation(id)?.relation;
        let is_default = relation.schema == "pg_catalog"
            && relation.name == "pg_attrdef"
            && relation.attribute(attnum)?.name == "adbin";
        let source = Source::Column {
            relation: id,
            attnum: relation.column(&Ident::exact("oid"))?.attnum,
        };
        if !is_default || self.groups {
            return None;
        }
        let item = (scope.items.iter())
            .find(|i| i.relation == Some(id) && tree.qualifier.as_ref() == Some(&i.printed))?;
        let oid = item.columns.iter().find(|c| c.sources == [source])?;
        let row = Expr::Column(oid.reference.clone());
        let shown = shown_defaults(self.grounds);
        let listed = (shown.0.as_deref())
            .map(|list| Expr::Cast(Box::new(text(list)), TypeName::builtin("oid", 1)))?;
        self.lineage.mark(source, Uses::COMPUTE);
        Some(Expr::QuantifiedArray {
            left: Box::new(row),
            op: Operator::builtin("="),
            quantifier: Quantifier::Any,
            array: Box::new(listed),
        })
    }
}

/// OIDs of the defaults a role sees, as an array is written; `None` if there are none, or too many.
struct ShownDefaults(Option<String>);

/// `pg_attrdef`, under which they are kept.
const ATTRDEF: Oid = 2604;

/// Defaults of columns that are clear to the role. A generated column is clear if all it is computed from
/// is. Views have defaults too, which nobody asks for.
fn shown_defaults(grounds: Grounds<'_>) -> Arc<ShownDefaults> {
    if let Some(known) = grounds.grants.memo.get(ATTRDEF) {
        return known;
    }
    let mut oids = Vec::new();
    for relation in grounds.catalog.relations.values() {
        let table = match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable => {
                !is_system(relation) && !relation.temporary
            }
            RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::Sequence
            | RelationKind::CompositeType => false,
        };
        let columns = (relation.columns.iter()).filter(|c| table && c.default_oid != 0);
        oids.extend(columns.filter_map(|c| {
            let form = column_form(relation, c.attnum, grounds);
            matches!(form, Ok(ColumnForm::Clear)).then_some(c.default_oid)
        }));
    }
    // In order, so that one statement is always printed the same way.
    oids.sort_unstable();
    let fits = (1..=limits::SHOWN_DEFAULTS).contains(&oids.len());
    let shown = Arc::new(ShownDefaults(fits.then(|| oid_array(&oids))));
    grounds.grants.memo.keep(ATTRDEF, Arc::clone(&shown));
    shown
}

/// The call with the literals of its text replaced.
fn scrubbed(call: Expr) -> Expr {
    let as_text = Expr::Cast(Box::new(call), TypeName::builtin("text", 0));
    let whole = Expr::builtin_call("textcat", [as_text, text(LAST)]);
    let without = Expr::Literal(Literal::Number(format!("-{SCRUBBED_LAST}").into()));
    Expr::builtin_call("left", [replaced(whole, LITERALS, SCRUBBED), without])
}

/// The schema whose relations are called by their names alone, whatever others there are: the first of
/// the client's search path. PostgreSQL has another path upstream, and qualifies them.
fn home(grounds: Grounds<'_>) -> Option<Ident> {
    let path = grounds.search_path.schemas().iter();
    let mut own = path.filter(|schema| **schema != "pg_catalog");
    let known = |schema: &&Ident| grounds.catalog.schemas.values().any(|s| s == *schema);
    own.find(known).cloned()
}

/// Where a definition names a relation of a schema: as what a foreign key refers to, or as a constant.
fn qualified(schema: &Ident) -> String {
    format!(r"(REFERENCES |\('){}", prefix(schema))
}

/// Where the first constant of an expression is a relation of a schema. Others may be texts that only
/// look like one.
fn first_name(schema: &Ident) -> String {
    format!(r"^([^']*'){}((?:[^']|'')*'::regclass)", prefix(schema))
}

/// The same without the schema.
const NAMED_BARE: &str = r"\1\2";

/// What stands before the name of what is in a schema.
fn prefix(schema: &Ident) -> String {
    let quoted = schema.as_str().replace('"', "\"\"");
    format!(r#""?{}"?\."#, escaped(&quoted))
}

/// A text as a regular expression for itself.
pub(super) fn escaped(text: &str) -> String {
    (text.chars())
        .flat_map(|c| [(!c.is_alphanumeric()).then_some('\\'), Some(c)])
        .flatten()
        .collect()
}

/// The same without the schema.
const UNQUALIFIED: &str = r"\1";

/// The definition of a function up to its body: where a literal of a body ends is for the function's
/// own language to say, and a comment with an apostrophe misleads any search for quotes. Bodies in
/// standard SQL (`BEGIN ATOMIC`) are PostgreSQL's own words, as views are, and stay.
fn without_body(call: Expr) -> Expr {
    replaced(call, "\nAS .*$", "\nAS …")
}

fn replaced(call: Expr, pattern: &str, by: &str) -> Expr {
    let as_text = Expr::Cast(Box::new(call), TypeName::builtin("text", 0));
    Expr::builtin_call(
        "regexp_replace",
        [as_text, text(pattern), text(by), text("g")],
    )
}

/// The same, over SQL text, for catalog columns that hold definitions.
pub(crate) fn scrub_sql(operand: &str, grounds: Grounds<'_>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let [literals, scrubbed, last, bare] = [LITERALS, SCRUBBED, LAST, UNQUALIFIED].map(quoted);
    let scrubbed = format!(
        "\"pg_catalog\".\"left\"(\"pg_catalog\".\"regexp_replace\"(\
         \"pg_catalog\".\"textcat\"({operand}, {last}), {literals}, {scrubbed}, 'g'), \
         -{SCRUBBED_LAST})"
    );
    let Some(home) = home(grounds) else {
        return scrubbed;
    };
    let qualified = quoted(&qualified(&home));
    format!("\"pg_catalog\".\"regexp_replace\"({scrubbed}, {qualified}, {bare}, 'g')")
}
