//! `Mask` (what the policy says) → `CompiledMask` (what, for this type): checked once.
//!
//! Deliberately absent: the meaning of each kind of mask, which is in the file named after it.

use std::sync::Arc;

use super::column_type::{ColumnType, Kind};
use super::json::JsonMask;
use super::partial::Partial;
use super::partial_wire::BoundPartial;
use super::temporal::Unit;
use super::{constant, json, network, number, sql_text, temporal};

/// A mask as a policy defines it.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// Every value becomes this one, written as text of the column's type.
    Constant(String),
    /// The ends of a text stay, the middle is hidden.
    Partial(Partial),
    /// A date or timestamp, down to the unit.
    Truncate {
        /// What is kept.
        unit: Unit,
        /// Where days begin, for `timestamptz`: an IANA name.
        timezone: Option<String>,
    },
    /// floor(x/n)·n; n as decimal text, greater than zero.
    RoundTo(String),
    /// PostgreSQL's `round(x, d)`.
    Round(i32),
    /// Values beyond a bound become the bound; numbers or ISO dates as text.
    Clamp {
        /// The largest value shown.
        top: Option<String>,
        /// The smallest value shown.
        bottom: Option<String>,
    },
    /// The network of an address.
    Network {
        /// Bits kept of an IPv4 address.
        v4: u8,
        /// Bits kept of an IPv6 address.
        v6: u8,
    },
    /// A document, by path.
    Json(JsonMask),
}

/// Why a mask does not fit a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskError {
    /// What is wrong, lower case.
    pub message: String,
}

impl MaskError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl std::fmt::Display for MaskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for MaskError {}

/// Stands for the operand in a compiled mask's SQL. NUL cannot be part of SQL text, and no mask
/// accepts it in its parameters.
const OPERAND: &str = "\0";

/// A mask bound to a type: total, NULL-exact, deterministic.
pub struct CompiledMask {
    ty: ColumnType,
    template: Box<str>,
    wire: Option<Wire>,
    constant: bool,
    describe: Arc<str>,
    mask: Mask,
}

/// The Rust form.
enum Wire {
    /// The value as PostgreSQL would send it: cut and padded already.
    Constant(Box<[u8]>),
    Partial(BoundPartial),
}

impl CompiledMask {
    /// Binds a mask to a column's type, or says why it does not fit.
    pub fn compile(mask: &Mask, ty: &ColumnType) -> Result<Self, MaskError> {
        let template = if let Some(element) = &ty.element {
            over_elements(mask, element, ty)?
        } else {
            ty.cast(&scalar(mask, ty, OPERAND)?)
        };
        let wire = match (ty.kind(), mask) {
            _ if ty.element.is_some() => None,
            (Kind::Text(kind), Mask::Constant(value)) => {
                constant::wire(value, ty, kind).map(Wire::Constant)
            }
            (Kind::Text(kind), Mask::Partial(partial)) => {
                BoundPartial::bind(partial, ty, kind).map(Wire::Partial)
            }
            _ => None,
        };
        Ok(Self {
            ty: ty.clone(),
            template: template.into(),
            wire,
            constant: matches!(mask, Mask::Constant(_)) && ty.element.is_none(),
            describe: describe(mask).into(),
            mask: mask.clone(),
        })
    }

    /// The mask as SQL over `operand` (a qualified column reference, already quoted), cast to the
    /// column's exact type and collation.
    pub fn sql(&self, operand: &str) -> String {
        self.template.replace(OPERAND, operand)
    }

    /// The mask also has a Rust form, for the wire: types whose text and binary formats are the same
    /// bytes.
    pub fn at_output(&self) -> bool {
        self.wire.is_some()
    }

    /// Every value but NULL becomes the same one: as harmless as `nullify` wherever it is used.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// What it does, for explain and the audit record: the policy's words, never a value of a column.
    pub fn describe(&self) -> &Arc<str> {
        &self.describe
    }

    /// Does it do the same to every value? Both forms follow from the template and the type.
    pub fn same(&self, other: &Self) -> bool {
        let ty = |mask: &Self| (mask.ty.oid, mask.ty.typmod);
        self.template == other.template
            && ty(self) == ty(other)
            && self.wire.is_some() == other.wire.is_some()
    }

    /// The type it was bound to.
    pub fn column_type(&self) -> &ColumnType {
        &self.ty
    }

    /// What the policy says, unless it is said of the elements of an array.
    pub(super) fn whole(&self) -> Option<&Mask> {
        self.ty.element.is_none().then_some(&self.mask)
    }

    /// Masks a non-NULL value as it stands in a DataRow, appending to `out`. Only when
    /// [`CompiledMask::at_output`]; otherwise nothing is appended, which hides the value.
    pub fn apply(&self, value: &[u8], out: &mut Vec<u8>) {
        self.apply_in(value, value.len(), out);
    }

    /// [`Self::apply`] for a value that is the first `length` bytes of `from`: of what may be read beyond it,
    /// nothing is used.
    pub fn apply_in(&self, from: &[u8], length: usize, out: &mut Vec<u8>) {
        match &self.wire {
            Some(Wire::Partial(partial)) => partial.apply(from, length, out),
            Some(Wire::Constant(constant)) => out.extend_from_slice(constant),
            None => {}
        }
    }

    /// What [`Self::apply`] writes that is not of the value itself, blanks apart.
    pub fn adds(&self) -> &[u8] {
        match &self.wire {
            Some(Wire::Partial(partial)) => partial.hides_by(),
            Some(Wire::Constant(constant)) => constant,
            None => &[],
        }
    }
}

/// The mask of one value, not yet cast to the column's type.
pub(super) fn scalar(mask: &Mask, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    match (mask, ty.kind()) {
        (Mask::Constant(value), _) => constant::sql(value, ty, x),
        (Mask::Partial(partial), Kind::Text(_)) => partial.sql(x, ty),
        (Mask::Truncate { unit, timezone }, _) => {
            temporal::truncate(*unit, timezone.as_deref(), ty, x)
        }
        (Mask::RoundTo(step), Kind::Integer | Kind::Numeric | Kind::Float) => {
            number::round_to(step, ty, x)
        }
        (Mask::Round(digits), Kind::Integer | Kind::Numeric) => number::round(*digits, ty, x),
        (Mask::Round(_), Kind::Float) => Err(MaskError::new(
            "round does not fit a binary floating point type: use round_to",
        )),
        (Mask::Clamp { top, bottom }, Kind::Integer | Kind::Numeric | Kind::Float) => {
            number::clamp(top.as_deref(), bottom.as_deref(), ty, x)
        }
        (Mask::Clamp { top, bottom }, Kind::Date | Kind::Timestamp | Kind::TimestampTz) => {
            temporal::clamp(top.as_deref(), bottom.as_deref(), ty, x)
        }
        (Mask::Network { v4, v6 }, Kind::Inet) => network::inet(*v4, *v6, ty, x),
        (Mask::Network { v4, v6 }, Kind::Cidr) => network::cidr(*v4, *v6, ty, x),
        (Mask::Json(document), Kind::Json | Kind::Jsonb) => json::sql(document, ty, x),
        (Mask::Partial(_), _) => Err(misfit("keep_first, keep_last", "text types", ty)),
        (Mask::RoundTo(_), _) => Err(misfit("round_to", "numbers", ty)),
        (Mask::Round(_), _) => Err(misfit("round", "numeric and integers", ty)),
        (Mask::Clamp { .. }, _) => Err(misfit("top and bottom", "numbers and dates", ty)),
        (Mask::Network { .. }, _) => Err(misfit("network", "inet and cidr", ty)),
        (Mask::Json(_), _) => Err(misfit("json", "json and jsonb", ty)),
    }
}

pub(super) fn misfit(mask: &str, fits: &str, ty: &ColumnType) -> MaskError {
    MaskError::new(format!(
        "{mask} fits {fits}, and this column is {}",
        ty.shown()
    ))
}

/// Element by element. An array of more than one dimension would lose its shape in `unnest`, so it
/// becomes an empty array: hidden, and still not NULL.
fn over_elements(mask: &Mask, element: &ColumnType, ty: &ColumnType) -> Result<String, MaskError> {
    let masked = element.cast(&scalar(mask, element, "pgveil_e.v")?);
    let elements = format!(
        "(SELECT pg_catalog.array_agg({masked} ORDER BY pgveil_e.o) \
         FROM pg_catalog.unnest({OPERAND}) WITH ORDINALITY AS pgveil_e(v, o))"
    );
    let one = sql_text::op(&sql_text::call("array_ndims", &[OPERAND]), "=", "1");
    let arms = [
        (format!("{OPERAND} IS NULL"), "NULL".to_owned()),
        (one, elements),
    ];
    Ok(ty.cast(&sql_text::case(&arms, &format!("'{{}}'::{}", ty.sql))))
}

fn describe(mask: &Mask) -> String {
    match mask {
        Mask::Constant(_) => "constant".to_owned(),
        Mask::Partial(partial) => partial.describe(),
        Mask::Truncate {
            unit,
            timezone: None,
        } => format!("truncate: {}", unit.name()),
        Mask::Truncate {
            unit,
            timezone: Some(zone),
        } => {
            format!("truncate: {} in {zone}", unit.name())
        }
        Mask::RoundTo(step) => format!("round_to: {step}"),
        Mask::Round(digits) => format!("round: {digits}"),
        Mask::Clamp { top, bottom } => {
            let bound = |name: &str, value: &Option<String>| {
                value.as_ref().map(|value| format!("{name}: {value}"))
            };
            let both = [bound("top", top), bound("bottom", bottom)];
            both.into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        Mask::Network { v4, v6 } => format!("network: v4 /{v4}, v6 /{v6}"),
        Mask::Json(document) => document.describe(),
    }
}
