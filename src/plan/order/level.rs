//! Who reads a query's rows; and one SELECT, as its calls see it: whether its rows come in an order that
//! tells, and whether they are what an aggregate gathers.

use std::cell::Cell;

use super::identity::Identity;
use crate::ident::Ident;
use crate::sql::tree::{Expr, Part, Window};

/// Who reads a query's rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// The client, all of them.
    Client,
    /// Something that keeps their order: a cursor, a table, `ARRAY()`.
    Sequence,
    /// Something that does not ask for order, and reads all of them.
    Set,
    /// Something that does not ask for order, but may stop at one of them, as a join does that knows its other
    /// side to have one match, or none.
    Join,
    /// EXISTS, for which one row is as good as another.
    Existence,
    /// IN and the like, which may stop at the first row that decides.
    Member,
    /// A loop of WITH RECURSIVE, where PostgreSQL takes no ORDER BY.
    Loop,
}

impl Reader {
    /// A reader of FROM items, and whether it may fail between them.
    pub(super) fn of_failing(failing: bool) -> Self {
        if failing { Self::Join } else { Self::Set }
    }
}

/// What a SELECT's calls may look at.
pub(super) struct Level {
    /// The rows may come in an order that tells of protected values.
    pub(super) exposed: bool,
    /// A row may make it fail before it is chosen.
    pub(super) failing: bool,
    /// They are grouped by something.
    pub(super) grouped: bool,
    /// What tells its rows apart.
    pub(super) identity: Identity,
    /// Its named windows.
    pub(super) windows: Vec<(Ident, Window)>,
    /// What its columns are qualified with.
    pub(super) aliases: Vec<Ident>,
    /// An aggregate of this level was met.
    pub(super) aggregates: Cell<bool>,
    /// A window function of this level was met.
    pub(super) windowed: Cell<bool>,
    /// A call that may tell in which order it was called stands in what an aggregate of this level is given.
    pub(super) gathers_calls: Cell<bool>,
}

/// Whose rows an aggregate may gather.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathers {
    /// Those of the SELECT it stands in.
    Own,
    /// Those of one around it, which is exposed; of them nothing is known here.
    Above,
}

impl Level {
    /// No rows.
    pub(super) fn outside() -> Self {
        Self {
            exposed: false,
            failing: false,
            grouped: false,
            identity: Identity::default(),
            windows: Vec::new(),
            aliases: Vec::new(),
            aggregates: Cell::new(false),
            windowed: Cell::new(false),
            gathers_calls: Cell::new(false),
        }
    }

    /// May an aggregate be one of a query around this? It is of the innermost level that it has a column
    /// of, and of its own if it has none.
    pub(super) fn reaches_out(&self, aggregate: &mut Expr) -> bool {
        let (mut own, mut other) = (false, false);
        self.reads(aggregate, &mut own, &mut other);
        other && !own
    }

    fn reads(&self, e: &mut Expr, own: &mut bool, other: &mut bool) {
        let qualifier = match e {
            Expr::Column(column) => column.qualifier.as_ref(),
            Expr::WholeRow { qualifier, .. } => Some(&*qualifier),
            _ => {
                let read = e.parts(&mut |part| {
                    match part {
                        Part::Expr(inner) => self.reads(inner, own, other),
                        Part::Query(_) => *other = true,
                    }
                    Ok(())
                });
                *other |= read.is_err();
                return;
            }
        };
        match qualifier {
            Some(alias) if self.aliases.contains(alias) => *own = true,
            _ => *other = true,
        }
    }
}
