//! Our own small syntax tree: allow-listed forms only. What is not here cannot be analyzed, and what
//! cannot be analyzed is refused.
//!
//! `sql::lower` builds it, `analyze` resolves it in place (names become [`Expr::Column`], stars are
//! expanded, relations get a [`RelationId`]), `sql::print` writes it. Sugar that PostgreSQL's own
//! grammar turns into function calls (`EXTRACT`, `AT TIME ZONE`, `LIKE … ESCAPE`, typed literals) is
//! lowered to those calls here, so later stages meet one form.
//!
//! Deliberately absent: `Debug` and `Display` (trees hold literals; SQL text is made only in
//! `sql::print`), positions of keywords and operators (`sql::text` finds them between names and constants,
//! which know theirs).

mod builtin;
mod constant;
mod expr;
mod from;
mod keyword;
mod merge;
mod position;
mod query;
mod statement;
mod temp_table;
mod walk;
mod window;
mod within;

pub(super) use self::constant::Constants;
pub use self::constant::{Constant, Looked, NumberType};
pub use self::expr::{
    BoolTest, Call, CallArg, Column, Expr, Literal, Name, Operator, Quantifier, Subscript,
    SystemValue, TypeName,
};
pub use self::from::{
    ColumnDef, JoinConstraint, JoinKind, RelationRef, RowsFromItem, TableAlias, TableFunction,
    TableRef, TableSample,
};
pub use self::keyword::{KeywordForm, KeywordTable, Piece};
pub use self::merge::{Merge, MergeAction, MergeBranch, MergeRows};
pub use self::position::Position;
pub use self::query::{
    Cte, Cycle, Distinct, GroupItem, HeldId, Limit, ListId, LockStrength, LockWait, Locking,
    NullsOrder, OrderItem, Query, RelationId, Search, Select, SelectItem, SetExpr, SetOp,
    SortDirection, Star, With,
};
pub use self::statement::{
    Assignment, AssignmentTarget, ConflictAction, ConflictTarget, Copy, CopyDirection, CopySource,
    Delete, DropKind, FetchAmount, IndexElement, Insert, InsertSource, IsolationLevel, Overriding,
    Statement, Step, Transaction, TransactionMode, Update,
};
pub use self::temp_table::{
    CreateIndex, CreateTable, IndexKey, Serial, TempColumn, TempKey, TempLike,
};
pub use self::walk::{Part, Visit, Walked};
pub use self::window::{FrameBound, FrameExclusion, FrameUnits, Window, WindowFrame};
pub use self::within::{Like, Node};
