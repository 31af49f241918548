//! The smallest things: identifiers, names, operators, constants, types. Each is checked again here,
//! whatever made the tree, because this is the last place before PostgreSQL's scanner.

use super::{Printed, Printer, unresolved};
use crate::ident::{Ident, MAX_BYTES};
use crate::sql::Unsupported;
use crate::sql::tree::{Constant, Literal, Name, Operator, TypeName};

impl Printer<'_> {
    /// A quoted identifier. An empty one is a syntax error in PostgreSQL, a longer one would be
    /// truncated into another name, and NUL cannot be sent.
    pub(super) fn ident(&mut self, ident: &Ident) -> Printed {
        let name = ident.as_str();
        if name.is_empty() || name.contains('\0') {
            return Err(unresolved("an identifier PostgreSQL cannot hold"));
        }
        if name.len() > MAX_BYTES && !self.shape {
            return Err(unresolved("an identifier longer than PostgreSQL keeps"));
        }
        ident.quote_into(&mut self.out);
        Ok(())
    }

    /// `"a", "b"`
    pub(super) fn idents(&mut self, idents: &[Ident]) -> Printed {
        self.separated(idents, ", ", Self::ident)
    }

    /// A name of exactly two parts: schema and object.
    pub(super) fn qualified(&mut self, name: &Name, what: &str) -> Printed {
        self.resolved(name.parts.len() == 2, what)?;
        self.name(name)
    }

    /// A name as it is.
    pub(super) fn name(&mut self, name: &Name) -> Printed {
        if name.parts.is_empty() {
            return Err(unresolved("an empty name"));
        }
        self.mark(name.position);
        self.separated(&name.parts, ".", Self::ident)
    }

    /// `OPERATOR("pg_catalog".=)`
    pub(super) fn operator(&mut self, operator: &Operator) -> Printed {
        check_symbol(&operator.symbol)?;
        if let Some(schema) = &operator.schema {
            self.push("OPERATOR(");
            self.ident(schema)?;
            self.push(".");
            self.push(&operator.symbol);
            self.push(")");
            return Ok(());
        }
        self.resolved(false, "an operator without a schema")?;
        self.push(&operator.symbol);
        Ok(())
    }

    /// A string constant. `standard_conforming_strings` is pinned on upstream, so a backslash is an
    /// ordinary character and only the quote is doubled.
    pub(super) fn string(&mut self, value: &str) -> Printed {
        if self.shape {
            self.push("?");
            return Ok(());
        }
        self.out.reserve(value.len().saturating_add(2));
        Written::String(value).write(|piece| self.out.push_str(piece))
    }

    /// A string or number of the statement: if it is the client's, its place is written down.
    fn constant<'c>(
        &mut self,
        constant: &'c Constant,
        written: impl Fn(&'c str) -> Written<'c>,
    ) -> Printed {
        if self.shape {
            self.push("?");
            return Ok(());
        }
        match constant.unseen() {
            Some((text, place, of)) if self.open => {
                self.mark(constant.position());
                let mut sql = String::new();
                written(text).write(|piece| sql.push_str(piece))?;
                self.opening(place, of, sql)
            }
            _ => written(constant.value()).write(|piece| self.out.push_str(piece)),
        }
    }

    /// A constant.
    pub(super) fn literal(&mut self, literal: &Literal) -> Printed {
        match literal {
            Literal::Null => self.push("NULL"),
            Literal::Bool(true) => self.push(if self.shape { "?" } else { "TRUE" }),
            Literal::Bool(false) => self.push(if self.shape { "?" } else { "FALSE" }),
            Literal::Number(text) => return self.constant(text, Written::Number),
            Literal::String(value) => return self.constant(value, Written::String),
            Literal::Bits { hex, digits } => return self.bits(*hex, digits),
        }
        Ok(())
    }

    fn bits(&mut self, hex: bool, digits: &str) -> Printed {
        let valid = digits.bytes().all(|b| {
            if hex {
                b.is_ascii_hexdigit()
            } else {
                matches!(b, b'0' | b'1')
            }
        });
        if !valid {
            return Err(unresolved("a bit string with other digits"));
        }
        if self.shape {
            self.push("?");
        } else {
            self.push(if hex { "X'" } else { "B'" });
            self.push(digits);
            self.push("'");
        }
        Ok(())
    }

    /// `"pg_catalog"."varchar"(160)[]`. Always the generic form, which PostgreSQL accepts for every
    /// built-in type: no keyword spelling is needed, not even for interval fields.
    pub(super) fn type_name(&mut self, ty: &TypeName) -> Printed {
        self.qualified(&ty.name, "a type name")?;
        if is_interval(&ty.name) {
            self.typmods(&interval_typmods(ty)?);
        } else if ty.interval_fields.is_some() {
            return Err(unresolved("interval fields on another type"));
        } else {
            self.typmods(&ty.typmods);
        }
        for _ in 0..ty.array_dims {
            self.push("[]");
        }
        Ok(())
    }

    fn typmods(&mut self, typmods: &[i64]) {
        if typmods.is_empty() {
            return;
        }
        self.push("(");
        for (i, typmod) in typmods.iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            self.push(&typmod.to_string());
        }
        self.push(")");
    }
}

/// A string or a number on its way to text.
#[derive(Clone, Copy)]
pub(in crate::sql) enum Written<'c> {
    /// Decoded. `standard_conforming_strings` is pinned on upstream.
    String(&'c str),
    /// As PostgreSQL's scanner delimits it, perhaps with a sign before it.
    Number(&'c str),
}

impl<'c> Written<'c> {
    /// Its one form in SQL, piece by piece.
    pub(in crate::sql) fn write(self, mut push: impl FnMut(&'c str)) -> Printed {
        match self {
            Self::String(value) => {
                if value.contains('\0') {
                    return Err(Unsupported::form("a string with a zero byte", None));
                }
                push("'");
                for (i, piece) in value.split('\'').enumerate() {
                    if i > 0 {
                        push("''");
                    }
                    push(piece);
                }
                push("'");
            }
            Self::Number(text) => {
                check_number(text)?;
                if text.starts_with('-') {
                    push("(");
                    push(text);
                    push(")");
                } else {
                    push(text);
                }
            }
        }
        Ok(())
    }
}

fn is_interval(name: &Name) -> bool {
    matches!(name.parts.as_slice(), [schema, ty] if *schema == "pg_catalog" && *ty == "interval")
}

/// `INTERVAL_FULL_RANGE` (`utils/timestamp.h`): no fields were named.
const INTERVAL_FULL_RANGE: i64 = 0x7FFF;

/// The numbers `intervaltypmodin` takes: the fields' mask, and the precision. `interval(3)` is
/// `[3]` in the tree and `(32767, 3)` in the generic form; a list that already starts with its mask
/// is kept.
fn interval_typmods(ty: &TypeName) -> Result<Vec<i64>, Unsupported> {
    let mask = match ty.interval_fields.as_deref() {
        Some(fields) => interval_mask(fields).ok_or_else(|| unresolved("interval fields"))?,
        None => INTERVAL_FULL_RANGE,
    };
    match ty.typmods.as_slice() {
        [] if ty.interval_fields.is_none() => Ok(Vec::new()),
        [] => Ok(vec![mask]),
        [only] if *only == mask => Ok(vec![mask]),
        [precision] if mask == INTERVAL_FULL_RANGE || mask & SECOND != 0 => {
            Ok(vec![mask, *precision])
        }
        [first, precision] if *first == mask || ty.interval_fields.is_none() => {
            Ok(vec![*first, *precision])
        }
        _ => Err(unresolved("interval fields")),
    }
}

/// `INTERVAL_MASK(SECOND)`
const SECOND: i64 = 1 << 12;

/// The fields of gram.y's `opt_interval`, as `INTERVAL_MASK`s (`utils/datetime.h`: MONTH 1, YEAR 2,
/// DAY 3, HOUR 10, MINUTE 11, SECOND 12).
fn interval_mask(fields: &str) -> Option<i64> {
    const YEAR: i64 = 1 << 2;
    const MONTH: i64 = 1 << 1;
    const DAY: i64 = 1 << 3;
    const HOUR: i64 = 1 << 10;
    const MINUTE: i64 = 1 << 11;
    Some(match fields {
        "YEAR" => YEAR,
        "MONTH" => MONTH,
        "DAY" => DAY,
        "HOUR" => HOUR,
        "MINUTE" => MINUTE,
        "SECOND" => SECOND,
        "YEAR TO MONTH" => YEAR | MONTH,
        "DAY TO HOUR" => DAY | HOUR,
        "DAY TO MINUTE" => DAY | HOUR | MINUTE,
        "DAY TO SECOND" => DAY | HOUR | MINUTE | SECOND,
        "HOUR TO MINUTE" => HOUR | MINUTE,
        "HOUR TO SECOND" => HOUR | MINUTE | SECOND,
        "MINUTE TO SECOND" => MINUTE | SECOND,
        _ => return None,
    })
}

/// PostgreSQL's operator characters, and no comment opener among them.
fn check_symbol(symbol: &str) -> Printed {
    let chars = symbol.bytes().all(|b| b"+-*/<>=~!@#%^&|`?".contains(&b));
    if symbol.is_empty()
        || symbol.len() > MAX_BYTES
        || !chars
        || symbol.contains("--")
        || symbol.contains("/*")
    {
        return Err(unresolved(
            "an operator symbol PostgreSQL would read differently",
        ));
    }
    Ok(())
}

/// `[-] digits [. digits] [e [+-] digits]`, with a digit before or after the point.
fn check_number(text: &str) -> Printed {
    let bytes = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match bytes.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (bytes, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent_holds = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    let mantissa_holds =
        digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    if mantissa_holds && exponent_holds {
        Ok(())
    } else {
        Err(unresolved("a number PostgreSQL would read differently"))
    }
}
