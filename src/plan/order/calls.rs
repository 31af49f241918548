//! Aggregates and window functions that tell in which order they met their rows.

use super::key::order_key;
use super::spelled::unsigned_zero;
use super::{Gathers, Level, Order};
use crate::catalog::{Function, FunctionKind};
use crate::ident::Ident;
use crate::pg::sqlstate;
use crate::refusal::Refusal;
use crate::sql::tree::{
    Call, Expr, FrameBound, FrameExclusion, FrameUnits, KeywordForm, Part, Piece, Select,
    SelectItem, Walked, Window, WindowFrame,
};

/// Aggregates whose result does not depend on the order of their input, but for [`PICKING`] and what a
/// sum of floats is.
const ORDERLESS: &[&str] = &[
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "max",
    "min",
    "range_agg",
    "range_intersect_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// Those whose result is one of several equal values, or made of one.
const PICKING: &[&str] = &["max", "min", "range_agg", "range_intersect_agg"];

/// Those that hand out none of what they are given, and sum up nothing.
const COUNTING: &[&str] = &[
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "count",
    "cume_dist",
    "dense_rank",
    "every",
    "percent_rank",
    "rank",
    "regr_count",
];

/// Volatile functions whose results say nothing of the calls before. (Nobody may call `setseed`.)
const ORDERLESS_DRAWS: &[&str] = &[
    "array_sample",
    "array_shuffle",
    "gen_random_uuid",
    "random",
    "random_normal",
    "uuidv4",
];

/// The same of extensions, with their names.
const EXTENSION_DRAWS: &[(&str, &str)] = &[
    ("pgcrypto", "gen_random_bytes"),
    ("pgcrypto", "gen_random_uuid"),
    ("pgcrypto", "gen_salt"),
    ("uuid-ossp", "uuid_generate_v4"),
];

/// What a window function does with rows that its ORDER BY leaves equal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peers {
    /// Treats them as one.
    Alike,
    /// Takes one after the other, whatever the frame.
    Apart,
    /// Looks into the frame, at its first row.
    First,
    /// Looks into the frame, at its last row.
    Last,
    /// Looks into the frame; depends on the order in it.
    Ordered,
    /// Looks into the frame; does not depend on the order in it.
    Gathered,
}

impl Order<'_> {
    /// A call in a SELECT.
    pub(super) fn call(&self, call: &mut Call, level: &Level, of: Gathers) -> Walked {
        let peers = self.peers(call);
        if let Some(over) = &mut call.over {
            level.windowed.set(true);
            if level.exposed && peers != Peers::Alike {
                return self.window(over, peers, level);
            }
            return Ok(());
        }
        if !self.is_aggregate(&call.function.parts) {
            if self.counts(&call.function.parts) {
                self.count(1);
            }
            return Ok(());
        }
        level.aggregates.set(true);
        self.without_sign(call, level, of);
        // DISTINCT sorts by the values themselves, WITHIN GROUP is a function of them.
        let sorted = call.distinct || call.within_group;
        let picks = sorted && call.apart && !is_builtin_of(&call.function.parts, COUNTING);
        if picks && (of == Gathers::Above || level.exposed) {
            return Err(apart());
        }
        // Of rows that are not grouped an index would end the search at the first that is found.
        let first =
            level.failing && !level.grouped && is_builtin_of(&call.function.parts, &["max", "min"]);
        let settled = sorted || orderless(call) && !first;
        let keys = call.order_by.iter().map(|o| &o.expr);
        // There is none of a star: PostgreSQL says so.
        if !settled && !call.star && self.is_open(level, of, keys) {
            call.order_by.push(order_key());
        }
        Ok(())
    }

    /// Of floats only 0 and -0 are equal: takes the sign from those of which one is picked.
    fn without_sign(&self, call: &mut Call, level: &Level, of: Gathers) {
        const PICK: &[&str] = &["max", "min", "mode", "percentile_cont", "percentile_disc"];
        let exposed = of == Gathers::Above || level.exposed;
        if !exposed || !call.apart || !is_builtin_of(&call.function.parts, PICK) {
            return;
        }
        let picked = if call.within_group {
            call.order_by.first_mut().map(|o| &mut o.expr)
        } else {
            call.args.first_mut().map(|a| &mut a.value)
        };
        if let Some((ty, picked)) = call.float.zip(picked) {
            *picked = unsigned_zero(picked, ty);
            call.apart = false;
        }
    }

    /// May an aggregate meet its rows in an order that tells, which these keys leave open?
    fn is_open<'e>(
        &self,
        level: &Level,
        of: Gathers,
        keys: impl Iterator<Item = &'e Expr>,
    ) -> bool {
        match of {
            Gathers::Own => level.exposed && !self.identified(&level.identity, keys),
            Gathers::Above => true,
        }
    }

    /// `JSON_ARRAYAGG`, `JSON_OBJECTAGG`.
    pub(super) fn keyword(&self, form: &mut KeywordForm, level: &Level, of: Gathers) -> Walked {
        let Some(name @ ("json_arrayagg" | "json_objectagg")) = form.name else {
            return Ok(());
        };
        let windowed = form.pieces.iter().any(|p| matches!(p, Piece::Over(_)));
        if windowed {
            level.windowed.set(true);
        } else {
            level.aggregates.set(true);
        }
        if of == Gathers::Own && !level.exposed {
            return Ok(());
        }
        let ordered = form.pieces.iter_mut().find_map(|p| match p {
            Piece::OrderBy(items) => Some(items),
            _ => None,
        });
        match ordered {
            Some(items) if !windowed => {
                let keys = items.iter().map(|o| &o.expr);
                if self.is_open(level, of, keys) {
                    items.push(order_key());
                }
                Ok(())
            }
            _ => Err(Refusal::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                format!(
                    "{name} without ORDER BY is not supported over a relation whose row order is \
                     protected"
                ),
            )
            .detail("Its elements would come in the order in which an index holds stored values.")
            .hint(if name == "json_arrayagg" {
                "Write json_arrayagg(… ORDER BY …), or json_agg(…)."
            } else {
                "Write json_object_agg(key, value)."
            })),
        }
    }

    pub(super) fn count(&self, calls: usize) {
        self.counting.set(self.counting.get().saturating_add(calls));
    }

    /// May its results tell in which order it was called?
    pub(super) fn counts(&self, name: &[Ident]) -> bool {
        let [schema, function] = name else {
            return true;
        };
        if schema.as_str() == "pg_catalog" && ORDERLESS_DRAWS.contains(&function.as_str()) {
            return false;
        }
        let mut overloads = self.grounds.catalog.overloads(name).peekable();
        let draws = |f: &Function| {
            let of = |extension: &str| EXTENSION_DRAWS.contains(&(extension, function.as_str()));
            f.extension.as_deref().is_some_and(of)
        };
        if overloads.peek().is_some() && overloads.all(draws) {
            return false;
        }
        self.grounds.catalog.is_volatile(name)
    }

    pub(super) fn is_aggregate(&self, name: &[Ident]) -> bool {
        let mut overloads = self.grounds.catalog.overloads(name);
        overloads.any(|f| f.kind == FunctionKind::Aggregate)
    }

    fn peers(&self, call: &Call) -> Peers {
        let name = call.function.parts.as_slice();
        let builtin = match name {
            [schema, function] if *schema == "pg_catalog" => function.as_str(),
            _ => "",
        };
        match builtin {
            "rank" | "dense_rank" | "percent_rank" | "cume_dist" => Peers::Alike,
            "row_number" | "ntile" | "lag" | "lead" => Peers::Apart,
            "first_value" => Peers::First,
            "last_value" => Peers::Last,
            _ if self.is_aggregate(name) && orderless(call) => Peers::Gathered,
            _ => Peers::Ordered,
        }
    }

    /// Gives a window the last key, if the function then still means what it meant: the key leaves no
    /// two rows equal, and RANGE and GROUPS frames go by what is equal.
    fn window(&self, over: &mut Window, peers: Peers, level: &Level) -> Walked {
        let mut window = defined(over, &level.windows)?;
        let keys = window.partition_by.iter();
        let keys = keys.chain(window.order_by.iter().map(|o| &o.expr));
        if self.identified(&level.identity, keys) {
            return Ok(());
        }
        let by_rows = |f: &WindowFrame| f.units == FrameUnits::Rows;
        let frame = window.frame.take();
        let frame = if peers == Peers::Apart {
            None
        } else if frame.as_ref().is_some_and(by_rows) {
            frame
                .filter(|f| {
                    !matches!(
                        f.exclusion,
                        Some(FrameExclusion::Group | FrameExclusion::Ties)
                    )
                })
                .map_or_else(|| Err(by_peers()), |f| Ok(Some(f)))?
        } else if peers == Peers::Gathered {
            return Ok(());
        } else {
            Some(by_row(frame, window.order_by.is_empty(), peers).ok_or_else(by_peers)?)
        };
        window.frame = frame;
        window.order_by.push(order_key());
        *over = window;
        Ok(())
    }
}

/// Does PostgreSQL sort a SELECT's rows again, or gather them, before all its calls have seen them?
pub(super) fn resorts(s: &mut Select, order_by: &mut [&mut Expr]) -> bool {
    fn sorts(e: &mut Expr) -> bool {
        if let Expr::Call(c) = e
            && (c.over.is_some() || c.distinct || !c.order_by.is_empty())
        {
            return true;
        }
        if let Expr::Keyword(form) = e
            && form.pieces.iter().any(|p| matches!(p, Piece::Over(_)))
        {
            return true;
        }
        e.any_part(|part| match part {
            Part::Expr(inner) => sorts(inner),
            Part::Query(_) => false,
        })
    }
    !s.group_by.is_empty()
        || s.items.iter_mut().any(|i| match i {
            SelectItem::Expr { expr, .. } => sorts(expr),
            SelectItem::Star(..) | SelectItem::FieldStar(_) => false,
        })
        || order_by.iter_mut().any(|e| sorts(e))
}

fn orderless(call: &Call) -> bool {
    let is_of = |these| is_builtin_of(&call.function.parts, these);
    let told = if is_of(PICKING) {
        call.apart
    } else {
        call.inexact && !is_of(COUNTING)
    };
    is_of(ORDERLESS) && !told
}

/// Where none is found every row was looked at, but one that fails may come after one that is found.
pub(super) fn none_found() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "cannot look for rows without a match by a condition that may fail, where the order of rows is \
         protected",
    )
    .detail("Whether it fails would tell which row comes first.")
    .hint("Write NOT EXISTS (SELECT …) in place of LEFT JOIN … WHERE … IS NULL, or compute what may fail in a subquery.")
}

/// Which of several equal values is shown tells which row came first.
pub(super) fn apart() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "cannot choose among equal values that may differ, as 1.0 and 1.00, where the order of rows is \
         protected",
    )
    .detail("Which of them GROUP BY shows would tell which row came first.")
    .hint("Give numbers a scale, as in round(x, 2) or x::numeric(12,2), or group by x::text.")
}

/// Is it one of these functions of PostgreSQL's own?
pub(super) fn is_builtin_of(name: &[Ident], these: &[&str]) -> bool {
    match name {
        [schema, function] => *schema == "pg_catalog" && these.contains(&function.as_str()),
        _ => false,
    }
}

/// A window written out: what it takes from named ones is copied, as PostgreSQL does.
fn defined(window: &Window, named: &[(Ident, Window)]) -> Result<Window, Refusal> {
    let Some(base) = &window.base else {
        return Ok(window.clone());
    };
    let (at, (_, found)) = named
        .iter()
        .enumerate()
        .find(|(_, (name, _))| name == base)
        .ok_or_else(|| Refusal::error("42704", format!("window \"{base}\" does not exist")))?;
    // A window may build on those before it only, so this ends.
    let found = defined(found, named.get(..at).unwrap_or_default())?;
    if window.is_reference {
        return Ok(found);
    }
    let copied = window.partition_by.is_empty() && found.frame.is_none();
    if !copied || !(window.order_by.is_empty() || found.order_by.is_empty()) {
        return Err(Refusal::error(
            "42P20",
            format!("cannot override clauses of window \"{base}\""),
        ));
    }
    let ordered = !found.order_by.is_empty();
    Ok(Window {
        base: None,
        is_reference: false,
        partition_by: found.partition_by,
        order_by: if ordered {
            found.order_by
        } else {
            window.order_by.clone()
        },
        frame: window.frame.clone(),
    })
}

/// A RANGE or GROUPS frame as a ROWS frame that gives this function the same, if there is one.
fn by_row(frame: Option<WindowFrame>, unordered: bool, peers: Peers) -> Option<WindowFrame> {
    use FrameBound::{CurrentRow, UnboundedFollowing, UnboundedPreceding};
    let (start, end, exclusion) = match &frame {
        None => (&UnboundedPreceding, &CurrentRow, None),
        Some(f) => (&f.start, f.end.as_ref().unwrap_or(&CurrentRow), f.exclusion),
    };
    let none_left_out = matches!(exclusion, None | Some(FrameExclusion::NoOthers));
    let itself_left_out = matches!(exclusion, Some(FrameExclusion::CurrentRow));
    let from_first = matches!(start, UnboundedPreceding) || unordered;
    let to_last = matches!(end, UnboundedFollowing) || unordered;
    let rows = |start, end| {
        Some(WindowFrame {
            units: FrameUnits::Rows,
            start,
            end: Some(end),
            exclusion: frame.as_ref().and_then(|f| f.exclusion),
        })
    };
    let by_peers_only =
        |bound: &FrameBound| matches!(bound, CurrentRow | UnboundedPreceding | UnboundedFollowing);
    if !by_peers_only(start) || !by_peers_only(end) || !(none_left_out || itself_left_out) {
        return None;
    }
    if from_first && to_last {
        return rows(UnboundedPreceding, UnboundedFollowing);
    }
    match peers {
        Peers::First if from_first && none_left_out => rows(UnboundedPreceding, CurrentRow),
        Peers::Last if to_last && none_left_out => rows(CurrentRow, UnboundedFollowing),
        _ => None,
    }
}

fn by_peers() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "this window function depends on the stored order of rows its ORDER BY leaves equal",
    )
    .detail(
        "An index of a relation here holds a protected column, and its order would show in the \
         result.",
    )
    .hint("Order the window by the primary key as well, or give it a ROWS frame.")
}
