//! MERGE.

use super::expr::Expr;
use super::from::{RelationRef, TableRef};
use super::query::{SelectItem, With};
use super::statement::{Assignment, AssignmentTarget, Overriding};

/// MERGE
#[derive(Clone)]
pub struct Merge {
    /// `WITH`
    pub with: Option<With>,
    /// Target.
    pub target: RelationRef,
    /// `USING`
    pub source: TableRef,
    /// `ON`
    pub on: Expr,
    /// `WHEN …`, one or more, in order.
    pub branches: Vec<MergeBranch>,
    /// `RETURNING` (PostgreSQL 17)
    pub returning: Vec<SelectItem>,
}

/// `WHEN … [AND condition] THEN action`
#[derive(Clone)]
pub struct MergeBranch {
    /// Which rows.
    pub rows: MergeRows,
    /// `AND`
    pub condition: Option<Expr>,
    /// `THEN`
    pub action: MergeAction,
}

/// Which rows a branch is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MergeRows {
    /// `MATCHED`: a source row with its target row
    Matched,
    /// `NOT MATCHED [BY TARGET]`: a source row alone
    SourceOnly,
    /// `NOT MATCHED BY SOURCE` (PostgreSQL 17): a target row alone
    TargetOnly,
}

/// What a branch does.
#[derive(Clone)]
pub enum MergeAction {
    /// `UPDATE SET …`
    Update(Vec<Assignment>),
    /// `DELETE`
    Delete,
    /// `INSERT …`
    Insert {
        /// Column list; empty when not written.
        columns: Vec<AssignmentTarget>,
        /// `OVERRIDING`
        overriding: Option<Overriding>,
        /// `VALUES (…)` with `None` for `DEFAULT`; `None` is `DEFAULT VALUES`
        values: Option<Vec<Option<Expr>>>,
    },
    /// `DO NOTHING`
    Nothing,
}
