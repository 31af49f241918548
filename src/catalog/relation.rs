//! Relations and their columns.

use std::sync::Arc;

use crate::ident::Ident;
use crate::pg::{AttrNumber, Oid};

/// A column as PostgreSQL itself numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ColumnId {
    /// `pg_class.oid`
    pub relation: Oid,
    /// `pg_attribute.attnum`
    pub attnum: AttrNumber,
}

/// `pg_class.relkind`, of the kinds that can stand in FROM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelationKind {
    /// `r`
    Table,
    /// `p`
    PartitionedTable,
    /// `v`
    View,
    /// `m`
    MaterializedView,
    /// `f`
    ForeignTable,
    /// `S`
    Sequence,
    /// `c`: a composite type's row; not selectable
    CompositeType,
}

/// A relation.
#[derive(Clone)]
pub struct Relation {
    /// `pg_class.oid`
    pub oid: Oid,
    /// Schema.
    pub schema: Ident,
    /// Name.
    pub name: Ident,
    /// Kind.
    pub kind: RelationKind,
    /// Live user columns in attnum order (dropped ones absent).
    pub columns: Vec<Column>,
    /// `pg_class.relnatts`: how many attribute numbers were ever given, dropped columns included.
    pub attributes: AttrNumber,
    /// Its rows may be looked up by their places (`ctid`): when they were last counted they were no more than
    /// an array holds, and whoever may read a column may read that.
    pub placed: bool,
    /// The row type (`pg_class.reltype`).
    pub row_type: Oid,
    /// Parents by inheritance or partitioning (`pg_inherits`).
    pub parents: Vec<Oid>,
    /// Children.
    pub children: Vec<Oid>,
    /// Columns that a partition or an heir, which is named here, generates otherwise.
    pub generated_below: Vec<(AttrNumber, Oid)>,
    /// Attribute numbers of the primary key, in key order.
    pub primary_key: Vec<AttrNumber>,
    /// Indexes that hold columns: for the row-order rule and `doctor`.
    pub indexes: Vec<Index>,
    /// CHECK constraints, and NOT NULL where stored rows may not meet it.
    pub checks: Vec<Check>,
    /// FOREIGN KEY constraints of its own.
    pub foreign_keys: Vec<ForeignKey>,
    /// FOREIGN KEY constraints of other relations that refer to it.
    pub referenced_by: Vec<ForeignKey>,
    /// Columns of the partition key (0 for an expression).
    pub partition_key: Vec<AttrNumber>,
    /// `pg_get_viewdef(oid)`, printed with an empty search path so every name is qualified; views and
    /// materialized views only. May contain literals: never logged.
    pub definition: Option<Arc<str>>,
    /// `xmin` and `xmax` of a view's rule: CREATE OR REPLACE VIEW keeps every OID and changes the first,
    /// and the second of the row that was there before. It is 0 unless whoever changed it failed.
    pub rule_row: Option<[Arc<str>; 2]>,
    /// Views that a view's query names.
    pub inner_views: Vec<Oid>,
    /// `security_barrier` of a view.
    pub security_barrier: bool,
    /// Row security is enabled.
    pub row_security: bool,
    /// Has rewrite rules other than a view's own.
    pub rules: bool,
    /// A trigger may change what an UPDATE writes, be it of a partition or an heir.
    pub rewritten: bool,
    /// What is written may be tested when its transaction ends, be it of a partition or an heir.
    pub deferrable: bool,
    /// `relpersistence = 't'`
    pub temporary: bool,
}

impl Relation {
    /// A column by name.
    pub fn column(&self, name: &Ident) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == *name)
    }

    /// A column by attribute number.
    pub fn attribute(&self, attnum: AttrNumber) -> Option<&Column> {
        self.columns.iter().find(|c| c.attnum == attnum)
    }
}

/// A column.
#[derive(Clone)]
pub struct Column {
    /// `attnum`
    pub attnum: AttrNumber,
    /// Name.
    pub name: Ident,
    /// `atttypid`
    pub type_oid: Oid,
    /// `atttypmod`
    pub typmod: i32,
    /// `format_type(atttypid, atttypmod)` with an empty search path: fully qualified and quoted where
    /// needed, except built-in types under their SQL spelling (`character varying(160)`,
    /// `crm.cn_phone`).
    pub type_sql: Arc<str>,
    /// Collation: (schema, name), when it is not the type's default.
    pub collation: Option<(Ident, Ident)>,
    /// Is the effective collation deterministic? True for types without collation.
    pub deterministic: bool,
    /// `NOT NULL`
    pub not_null: bool,
    /// The expression of a `GENERATED … STORED` column, by `pg_get_expr`; never logged.
    pub generated: Option<Arc<str>>,
    /// Has a default, an identity or a generation expression.
    pub has_default: bool,
    /// `pg_attrdef.oid` of its default or generation expression, 0 without one. A default that is set
    /// again gets another.
    pub default_oid: Oid,
    /// The default may be another value for each row, and tell in which order they got it: an identity,
    /// `nextval`, `clock_timestamp`.
    pub counting_default: bool,
    /// The default's expression, by `pg_get_expr`; never logged.
    pub default: Option<Arc<str>>,
    /// `GENERATED ALWAYS AS IDENTITY` (true) or `BY DEFAULT`, if its numbers are 1, 2, 3.
    pub identity: Option<bool>,
    /// Columns a generation expression reads.
    pub inputs: Vec<AttrNumber>,
    /// Generated, and computed when a row is written.
    pub computed_when_written: bool,
    /// Generated, and computed when a row is read.
    pub computed_when_read: bool,
}

/// A condition that written rows meet.
#[derive(Clone)]
pub struct Check {
    /// Columns it names; none if it names the row as a whole.
    pub columns: Vec<AttrNumber>,
    /// Stored rows have met it.
    pub validated: bool,
}

/// An index's columns.
#[derive(Clone)]
pub struct Index {
    /// Name.
    pub name: Ident,
    /// Key and included columns; 0 for an expression.
    pub columns: Vec<AttrNumber>,
    /// How many of the columns are keys; the others are only included.
    pub keys: usize,
    /// Unique.
    pub unique: bool,
    /// No two rows are equal in its keys, compared as its columns are.
    pub tells_apart: bool,
    /// It is enforced at once, and not only at the end of a transaction.
    pub immediate: bool,
    /// It is a part of an index of the partitioned table.
    pub attached: bool,
    /// It enforces an EXCLUDE constraint.
    pub exclusion: bool,
    /// A btree over all rows of which the first column is a text, in the order of its code points: texts
    /// with one beginning lie between two others, for the column's own comparisons too.
    pub code_points: bool,
    /// Columns named by index expressions and predicates.
    pub expression_columns: Vec<AttrNumber>,
    /// `NULLS NOT DISTINCT`
    pub nulls_not_distinct: bool,
    /// Columns its expressions read (0 for the row as a whole).
    pub computed: Vec<AttrNumber>,
    /// Columns its predicate reads (0 for the row as a whole).
    pub predicate: Vec<AttrNumber>,
}

/// A foreign key, seen from either side.
#[derive(Clone)]
pub struct ForeignKey {
    /// This side's columns.
    pub columns: Vec<AttrNumber>,
    /// The relation on the other side.
    pub other: Oid,
    /// Its columns, in the same order.
    pub other_columns: Vec<AttrNumber>,
    /// What becomes of referring rows when the row they refer to is deleted.
    pub on_delete: Action,
    /// The same, when its key is changed.
    pub on_update: Action,
    /// The referring columns that `ON DELETE SET NULL` and `SET DEFAULT` set.
    pub set: Vec<AttrNumber>,
    /// Stored rows have met it.
    pub validated: bool,
}

/// A referential action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// `NO ACTION`, `RESTRICT`: the change fails.
    Refuse,
    /// `CASCADE`
    Cascade,
    /// `SET NULL`
    SetNull,
    /// `SET DEFAULT`
    SetDefault,
}
