//! Statements a restricted role may send. The rest has no form here and is refused by lowering.

use super::expr::{Expr, Name, Subscript, TypeName};
use super::from::{RelationRef, TableRef};
use super::merge::Merge;
use super::position::Position;
use super::query::{Query, SelectItem, With};
use super::temp_table::{CreateIndex, CreateTable};
use crate::ident::Ident;

/// One statement.
#[derive(Clone)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH …
    Query(Box<Query>),
    /// INSERT
    Insert(Box<Insert>),
    /// UPDATE
    Update(Box<Update>),
    /// DELETE
    Delete(Box<Delete>),
    /// MERGE
    Merge(Box<Merge>),
    /// COPY
    Copy(Box<Copy>),
    /// `EXPLAIN [(…)] statement`
    Explain {
        /// Options as (lower-case name, lower-case value), names and values from PostgreSQL's list.
        options: Vec<(Box<str>, Box<str>)>,
        /// The statement.
        statement: Box<Statement>,
    },
    /// Transaction control.
    Transaction(Transaction),
    /// `SET [SESSION|LOCAL] name = value, …`; empty `values` is DEFAULT. `SET TIME ZONE x` is
    /// `timezone`, `SET NAMES x` is `client_encoding`, `SET SCHEMA x` is `search_path`. A RESET is
    /// [`Statement::Reset`].
    Set {
        /// `LOCAL`
        local: bool,
        /// The setting's name, lower case.
        name: Box<str>,
        /// The values, as text; identifiers folded.
        values: Vec<Box<str>>,
    },
    /// `SET TRANSACTION …`, or `SET SESSION CHARACTERISTICS AS TRANSACTION …`
    SetTransaction {
        /// `SESSION CHARACTERISTICS`
        session: bool,
        /// Modes.
        modes: Vec<TransactionMode>,
    },
    /// `SET CONSTRAINTS names DEFERRED|IMMEDIATE`; no names are ALL.
    SetConstraints {
        /// Constraints.
        names: Vec<Name>,
        /// `DEFERRED`
        deferred: bool,
    },
    /// `SHOW name`; `SHOW ALL` is `all`
    Show(Box<str>),
    /// `RESET name`; `RESET ALL` is `all`
    Reset(Box<str>),
    /// `PREPARE name (types) AS statement`
    Prepare {
        /// Name.
        name: Ident,
        /// Parameter types.
        types: Vec<TypeName>,
        /// Statement.
        statement: Box<Statement>,
    },
    /// `EXECUTE name (args)`
    Execute {
        /// Name.
        name: Ident,
        /// Arguments.
        args: Vec<Expr>,
    },
    /// `DEALLOCATE name`; `None` is ALL
    Deallocate(Option<Ident>),
    /// `DECLARE name … CURSOR … FOR query`
    Declare {
        /// Name.
        name: Ident,
        /// `BINARY`
        binary: bool,
        /// `SCROLL` / `NO SCROLL`
        scroll: Option<bool>,
        /// `INSENSITIVE`/`ASENSITIVE`
        insensitive: Option<bool>,
        /// `WITH HOLD`
        hold: bool,
        /// The query.
        query: Box<Query>,
    },
    /// `FETCH` / `MOVE`
    Fetch {
        /// `MOVE`
        is_move: bool,
        /// How many, which way.
        amount: FetchAmount,
        /// Cursor.
        cursor: Ident,
    },
    /// `CLOSE name`; `None` is ALL
    Close(Option<Ident>),
    /// `CREATE TEMP TABLE …`
    CreateTable(Box<CreateTable>),
    /// `DROP TABLE [IF EXISTS] a, b [CASCADE]`, and DROP of what is named as tables are
    DropTable {
        /// What is dropped.
        kind: DropKind,
        /// `IF EXISTS`
        if_exists: bool,
        /// Tables.
        names: Vec<Name>,
        /// `CASCADE`
        cascade: bool,
    },
    /// `TRUNCATE a, b [RESTART IDENTITY] [CASCADE]`
    Truncate {
        /// Tables.
        names: Vec<Name>,
        /// `RESTART IDENTITY`
        restart: bool,
        /// `CASCADE`
        cascade: bool,
    },
    /// `CREATE INDEX …`
    CreateIndex(Box<CreateIndex>),
    /// `DROP INDEX [IF EXISTS] a, b [CASCADE]`
    DropIndex {
        /// `IF EXISTS`
        if_exists: bool,
        /// Indexes.
        names: Vec<Name>,
        /// `CASCADE`
        cascade: bool,
    },
    /// `COMMENT ON TABLE a IS …`, or on a column of it, or a view: the name is all that matters.
    Comment(Name),
    /// `ANALYZE a, b (c, d)`
    Analyze(Vec<(Name, Vec<Ident>)>),
    /// `DISCARD ALL|PLANS|SEQUENCES|TEMP` (lower case)
    Discard(Box<str>),
    /// `LISTEN channel`
    Listen(Ident),
    /// `UNLISTEN channel`; `None` is `*`
    Unlisten(Option<Ident>),
    /// `NOTIFY channel [, payload]`
    Notify(Ident, Option<Box<str>>),
    /// Nothing but white space, comments or `;`
    Empty,
}

/// What DROP names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DropKind {
    /// `TABLE`
    Table,
    /// `VIEW`
    View,
    /// `MATERIALIZED VIEW`
    MaterializedView,
    /// `SEQUENCE`
    Sequence,
}

impl DropKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::Sequence => "SEQUENCE",
        }
    }

    /// The statement, as PostgreSQL says that it was done.
    pub fn command(self) -> &'static str {
        match self {
            Self::Table => "DROP TABLE",
            Self::View => "DROP VIEW",
            Self::MaterializedView => "DROP MATERIALIZED VIEW",
            Self::Sequence => "DROP SEQUENCE",
        }
    }
}

/// INSERT
#[derive(Clone)]
pub struct Insert {
    /// `WITH`
    pub with: Option<With>,
    /// Target (its alias is `AS t`).
    pub target: RelationRef,
    /// Column list; empty when not written.
    pub columns: Vec<AssignmentTarget>,
    /// `OVERRIDING`
    pub overriding: Option<Overriding>,
    /// The rows.
    pub source: InsertSource,
    /// `ON CONFLICT`
    pub on_conflict: Option<(Option<ConflictTarget>, ConflictAction)>,
    /// `RETURNING`
    pub returning: Vec<SelectItem>,
}

/// `OVERRIDING SYSTEM VALUE` / `USER VALUE`
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Overriding {
    /// `SYSTEM`
    System,
    /// `USER`
    User,
}

/// What an INSERT inserts.
#[derive(Clone)]
pub enum InsertSource {
    /// `DEFAULT VALUES`
    DefaultValues,
    /// `VALUES` with `None` for `DEFAULT`
    Values(Vec<Vec<Option<Expr>>>),
    /// A query
    Query(Box<Query>),
}

/// `ON CONFLICT …` target
#[derive(Clone)]
pub enum ConflictTarget {
    /// `(a, lower(b)) [WHERE …]`
    Index(Vec<IndexElement>, Option<Expr>),
    /// `ON CONSTRAINT name`
    Constraint(Ident),
}

/// What an index is chosen by: a column or expression, as the index has it.
#[derive(Clone)]
pub struct IndexElement {
    /// The column or expression.
    pub key: Expr,
    /// `COLLATE`
    pub collation: Option<Name>,
    /// Operator class.
    pub opclass: Option<Name>,
}

/// `DO …`
#[derive(Clone)]
pub enum ConflictAction {
    /// `DO NOTHING`
    Nothing,
    /// `DO UPDATE SET … [WHERE …]`
    Update(Vec<Assignment>, Option<Expr>),
}

/// A column as the target of an assignment: `a`, `a[1]`, `a.b[2].c`.
#[derive(Clone)]
pub struct AssignmentTarget {
    /// Column.
    pub column: Ident,
    /// What follows it, in order.
    pub path: Vec<Step>,
    /// Where it was written.
    pub position: Position,
}

/// One step into a column that is assigned to.
#[derive(Clone)]
pub enum Step {
    /// `[1]`
    Subscript(Subscript),
    /// `.field`
    Field(Ident),
}

/// `SET …`
#[derive(Clone)]
pub enum Assignment {
    /// `col = expr`; `None` is DEFAULT
    One(AssignmentTarget, Option<Expr>),
    /// `(a, b) = ROW(…)` with `None` for DEFAULT
    Row(Vec<AssignmentTarget>, Vec<Option<Expr>>),
    /// `(a, b) = (query)`
    Query(Vec<AssignmentTarget>, Box<Query>),
}

/// UPDATE
#[derive(Clone)]
pub struct Update {
    /// `WITH`
    pub with: Option<With>,
    /// Target.
    pub target: RelationRef,
    /// `SET`
    pub assignments: Vec<Assignment>,
    /// `FROM`
    pub from: Vec<TableRef>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// `RETURNING`
    pub returning: Vec<SelectItem>,
}

/// DELETE
#[derive(Clone)]
pub struct Delete {
    /// `WITH`
    pub with: Option<With>,
    /// Target.
    pub target: RelationRef,
    /// `USING`
    pub using: Vec<TableRef>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// `RETURNING`
    pub returning: Vec<SelectItem>,
}

/// COPY
#[derive(Clone)]
pub struct Copy {
    /// Relation or query.
    pub source: CopySource,
    /// `TO STDOUT` or `FROM STDIN`; files and programs have no form.
    pub direction: CopyDirection,
    /// Options as (lower-case name, value).
    pub options: Vec<(Box<str>, Box<str>)>,
    /// `force_quote`, `force_not_null` and `force_null` with their columns.
    pub forced: Vec<(Box<str>, Vec<Ident>)>,
    /// `WHERE`, of COPY FROM
    pub filter: Option<Expr>,
}

/// What COPY copies.
#[derive(Clone)]
pub enum CopySource {
    /// `t (a, b)`
    Relation(Box<RelationRef>, Vec<Ident>),
    /// `(query)`
    Query(Box<Statement>),
}

/// Direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CopyDirection {
    /// `TO STDOUT`
    To,
    /// `FROM STDIN`
    From,
}

/// Transaction control.
#[derive(Clone)]
pub enum Transaction {
    /// `BEGIN`
    Begin(Vec<TransactionMode>),
    /// `START TRANSACTION`, which differs in its command tag
    Start(Vec<TransactionMode>),
    /// `COMMIT`, `END`; AND CHAIN?
    Commit(bool),
    /// `ROLLBACK`, `ABORT`; AND CHAIN?
    Rollback(bool),
    /// `SAVEPOINT s`
    Savepoint(Ident),
    /// `RELEASE s`
    Release(Ident),
    /// `ROLLBACK TO s`
    RollbackTo(Ident),
}

/// Transaction modes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TransactionMode {
    /// `ISOLATION LEVEL …`
    Isolation(IsolationLevel),
    /// `READ ONLY`
    ReadOnly,
    /// `READ WRITE`
    ReadWrite,
    /// `[NOT] DEFERRABLE`
    Deferrable(bool),
}

/// Isolation levels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// `READ UNCOMMITTED`
    ReadUncommitted,
    /// `READ COMMITTED`
    ReadCommitted,
    /// `REPEATABLE READ`
    RepeatableRead,
    /// `SERIALIZABLE`
    Serializable,
}

/// `FETCH`'s amount, in PostgreSQL's canonical form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FetchAmount {
    /// `NEXT`, `FORWARD`, `n`, `FORWARD n`; `None` is ALL
    Forward(Option<i64>),
    /// `PRIOR`, `BACKWARD n`; `None` is ALL
    Backward(Option<i64>),
    /// `ABSOLUTE n`, `FIRST` (1), `LAST` (-1)
    Absolute(i64),
    /// `RELATIVE n`
    Relative(i64),
}
