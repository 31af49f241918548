//! Syntax + catalog → resolved tree and [`Lineage`].
//!
//! One walk does both: names in the tree become columns of FROM items (stars are expanded, every
//! object gets its schema), and every reference to a base column is recorded with how it is used.
//! A use is one of *identity, presence, equality, order, compute*; what the analyzer does not know is
//! *compute*, and nothing defaults to identity: an output column has sources only when an unbroken
//! chain of column references, no-op casts and set operations leads there.
//!
//! `SELECT lower(c.email) AS e, c.email FROM crm.customers c WHERE c.city = 'Paris'` gives
//! `c.email: identity, compute`, `c.city: equality`; output `email` has the source `c.email`, output
//! `e` has none.
//!
//! Grants are consulted for three things only: denied columns do not exist here (`*` does not expand to
//! them), an output is *tainted* when a column the role does not see clearly went into it, and a
//! comparison that holds for no two values the role sees is written out (`apart`).
//! Deliberately absent: what to do about it; that is `plan::decide`.

mod alike;
mod apart;
mod assign;
mod call;
mod candidates;
mod casts;
mod colname;
mod column;
mod compare;
mod conflict;
mod constant;
mod copied;
mod decides;
mod dml;
mod exposed;
mod expr;
mod folded;
mod from;
mod functions;
mod generated;
mod group;
mod harmless;
mod held;
mod inlined;
mod input;
mod insert;
mod join;
mod json_field;
mod keyword;
mod likeness;
pub mod lineage;
mod literal;
mod member;
mod merge;
mod named;
mod names;
mod new_table;
mod object_name;
mod operators;
mod order;
mod own_state;
mod parameter;
mod partition;
mod place;
mod plain;
mod polymorphic;
mod probe;
mod query;
mod relation;
mod row;
mod scope;
mod scrub;
mod select;
mod settings;
mod shown_name;
mod sizes;
mod stored;
mod tied;
mod view;
mod with;

use std::sync::Arc;

use self::lineage::{Lineage, OutputColumn, RelationUse, Source, Uses};
use self::scope::{Env, Scope};
use crate::catalog::{Catalog, Relation, SearchPath, TempTables};
use crate::ident::Ident;
use crate::pg::encoding::Encoding;
use crate::pg::sqlstate;
use crate::policy::Grants;
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, Query, RelationId, RelationRef, Statement, TypeName};

pub use self::copied::copied_columns;
pub use self::exposed::exposed_order;
pub use self::generated::{ColumnForm, Generated, column_form};
pub use self::new_table::{
    Like, LikeColumn, analyze_checks, analyze_default, analyze_index, like, relation_exists,
    resolve_collation,
};
pub use self::object_name::ObjectKind;
pub(crate) use self::object_name::qualified_name;
pub use self::place::places_rows;
pub(crate) use self::scrub::scrub_sql;
pub use self::settings::{is_text, not_listed, not_shown};
pub use self::settings::{kept_by_sql, kept_name, kept_sql, unpinned_sql};
pub(crate) use self::stored::IRREVERSIBLE;
pub use self::tied::is_beside_protected;
pub use self::view::{ViewForm, is_system, view_form};

/// The result of resolving something.
pub(crate) type Resolve<T> = Result<T, Refusal>;

/// What resolution may look at.
#[derive(Clone, Copy)]
pub struct Grounds<'a> {
    /// The database.
    pub catalog: &'a Catalog,
    /// The role.
    pub grants: &'a Grants,
    /// The client's search path.
    pub search_path: &'a SearchPath,
    /// The same, as the client has set it.
    pub search_path_text: &'a str,
    /// The client's encoding.
    pub client_encoding: Encoding,
    /// The session's temporary tables.
    pub temp: &'a TempTables,
    /// How many views this is inside of.
    pub views: usize,
    /// The types the client declares parameters to be of; 0 leaves one open.
    pub declared: &'a [crate::pg::Oid],
}

/// Resolves a statement in place and says what it reads.
pub fn analyze(statement: &mut Statement, grounds: Grounds<'_>) -> Resolve<Lineage> {
    let mut analyzer = Analyzer::new(grounds);
    analyzer.prints = true;
    analyzer.several = from::reads_several(statement, grounds);
    let env = Env {
        outer: None,
        ctes: None,
    };
    let outputs = match statement {
        Statement::Query(q) => analyzer.query(q, env)?,
        Statement::Insert(i) => analyzer.insert(i, env)?,
        Statement::Update(u) => analyzer.update(u, env)?,
        Statement::Delete(d) => analyzer.delete(d, env)?,
        Statement::Merge(m) => analyzer.merge(m, env)?,
        _ => {
            return Err(Refusal::error(
                sqlstate::INTERNAL_ERROR,
                "statement is not a query",
            ));
        }
    };
    if analyzer.merges {
        analyzer.nothing_protected()?;
    }
    if analyzer.locks {
        analyzer.no_lock_seen()?;
    }
    analyzer.lineage.failing |= analyzer.converts_late();
    analyzer.shown_outputs(&outputs);
    if analyzer.lineage.spelled {
        let respelled = outputs.iter().enumerate();
        let respelled = respelled.filter(|(_, o)| !analyzer.shows_alike(o));
        analyzer.lineage.respelled = respelled.map(|(at, _)| at).collect();
    }
    analyzer.lineage.outputs = outputs;
    Ok(analyzer.lineage)
}

/// Resolves expressions that may not read any relation: arguments of EXECUTE.
pub fn analyze_values(exprs: &mut [Expr], grounds: Grounds<'_>) -> Resolve<Lineage> {
    let mut analyzer = Analyzer::new(grounds);
    let scope = Scope {
        parent: None,
        items: &[],
        columns: &[],
    };
    for e in exprs {
        analyzer.compute(e, &scope, None)?;
    }
    Ok(analyzer.lineage)
}

/// Resolves the target of COPY FROM and its WHERE in place, the columns made explicit. These may be given
/// their `defaults`, row by row.
pub fn analyze_copy_from(
    relation: &mut RelationRef,
    (columns, defaults): (&mut Vec<Ident>, bool),
    filter: Option<&mut Expr>,
    grounds: Grounds<'_>,
) -> Resolve<Lineage> {
    let mut analyzer = Analyzer::new(grounds);
    analyzer.copy_from(relation, (columns, defaults), filter)?;
    Ok(analyzer.lineage)
}

/// Resolves the parameter types of PREPARE in place.
pub fn resolve_types(types: &mut [TypeName], grounds: Grounds<'_>) -> Resolve<Vec<crate::pg::Oid>> {
    let analyzer = Analyzer::new(grounds);
    types.iter_mut().map(|t| analyzer.type_name(t)).collect()
}

/// May the role have PostgreSQL make values of these types of ones it chose: the types of
/// parameters, or of a table of its own? Not where the database's own function would test them.
pub fn constructible(
    mut types: impl Iterator<Item = crate::pg::Oid>,
    grounds: Grounds<'_>,
) -> Resolve<()> {
    let analyzer = Analyzer::new(grounds);
    types.try_for_each(|ty| analyzer.no_hidden_test(ty))
}

/// One walk over one statement.
struct Analyzer<'a> {
    grounds: Grounds<'a>,
    lineage: Lineage,
    /// Views being expanded, against loops.
    expanding: Vec<crate::pg::Oid>,
    /// Serial number of made-up aliases.
    aliases: u32,
    /// Data-modifying CTEs are allowed only at the top level.
    top_level: bool,
    /// A MERGE was met.
    merges: bool,
    /// The query being walked has GROUP BY: what it does not name is not one value.
    groups: bool,
    /// What is analyzed is what will be sent: what a view or a generated column says, PostgreSQL computes
    /// of the stored values.
    prints: bool,
    /// The statement reads several relations, or one several times.
    several: bool,
    /// A SELECT of it locks rows.
    locks: bool,
    /// How often a column was mentioned that the role does not see clearly: what a subquery's
    /// conditions read shows in no output of it.
    hidden: u64,
}

impl<'a> Analyzer<'a> {
    fn new(grounds: Grounds<'a>) -> Self {
        Self {
            grounds,
            lineage: Lineage::default(),
            expanding: Vec::new(),
            aliases: 0,
            top_level: true,
            hidden: 0,
            merges: false,
            groups: false,
            prints: false,
            several: false,
            locks: false,
        }
    }

    /// A new reference to a base relation.
    fn add_relation(&mut self, relation: &Arc<Relation>) -> Resolve<RelationId> {
        let id = u32::try_from(self.lineage.relations.len()).map_err(|_e| too_complex())?;
        if id >= 10_000 {
            return Err(too_complex());
        }
        self.lineage.relations.push(RelationUse {
            relation: Arc::clone(relation),
            columns: std::collections::BTreeMap::default(),
            whole_row: false,
            typed_rows: 0,
            in_place: false,
            written: false,
            inserted: false,
            assigned: Vec::new(),
        });
        Ok(RelationId(id))
    }

    /// Resolves an expression that is consumed by something unknown.
    fn compute(
        &mut self,
        e: &mut Expr,
        scope: &Scope<'_>,
        ctes: Option<&scope::CteFrame<'_>>,
    ) -> Resolve<bool> {
        let info = self.expr(e, scope, ctes)?;
        self.lineage.mark_all(&info.sources, Uses::COMPUTE);
        Ok(info.tainted)
    }

    /// Resolves a subquery whose rows are consumed by something unknown.
    fn computed_query(&mut self, q: &mut Query, env: Env<'_>) -> Resolve<Vec<OutputColumn>> {
        let mut outputs = self.query(q, env)?;
        for o in &mut outputs {
            self.lineage.mark_all(&o.sources, Uses::COMPUTE);
            o.sources.clear();
        }
        Ok(outputs)
    }

    /// An alias for a subquery without one.
    fn fresh_alias(&mut self) -> Ident {
        self.aliases = self.aliases.saturating_add(1);
        made_up(&Ident::exact("unnamed"), self.aliases)
    }
}

/// A name like the wanted one, for when that is taken.
fn made_up(wanted: &Ident, number: u32) -> Ident {
    let mut base: String = wanted.as_str().chars().take(12).collect();
    base.push('~');
    base.push_str(&number.to_string());
    Ident::exact(&base)
}

/// The two sides of an equality, as sources.
fn merge_sources(into: &mut Vec<Source>, from: &[Source]) {
    for s in from {
        if !into.contains(s) {
            into.push(*s);
        }
    }
}

fn too_complex() -> Refusal {
    Refusal::error(
        sqlstate::STATEMENT_TOO_COMPLEX,
        "statement refers to too many relations",
    )
}
