//! What a constant looks like: a string, a number or a parameter, cast at most to a type that keeps what it
//! says. Deliberately absent: which lists it is a member of.

use super::lineage::{Member, Value};
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{Expr, Literal, NumberType, TypeName};

/// What a resolved expression says as a constant, cast at most to a type that keeps its text.
pub(super) fn constant_form(e: &Expr) -> Option<Member> {
    let value = match e {
        Expr::Literal(Literal::String(text)) => Value::Text(text.clone()),
        Expr::Literal(Literal::Number(_)) | Expr::Unary(..) => return number_form(e),
        Expr::Param(n) => Value::Param(*n),
        Expr::Cast(inner, ty) => {
            let Kept { oid, array, length } = kept_type(ty)?;
            let (cast, inner) = (oid, constant_form(inner)?);
            let textual = |t: Oid| matches!(t, oid::TEXT | oid::VARCHAR);
            let integer = |t: Oid| matches!(t, oid::INT4 | oid::INT8);
            let keeps = match (inner.cast, &inner.value) {
                (None, _) => true,
                (Some(_), Value::Number { .. }) => !array && integer(cast),
                (Some(before), value) => {
                    let same = before == cast || textual(before) && textual(cast);
                    // A parameter would be of the first type.
                    let written = cast == oid::UUID && textual(before);
                    inner.array == array && (same || written && matches!(value, Value::Text(_)))
                }
            };
            // Of two lengths it is cut to the shorter.
            let once = inner.length.is_none() || length.is_none();
            return (keeps && once).then_some(Member {
                cast: Some(cast),
                array,
                length: inner.length.or(length),
                ..inner
            });
        }
        _ => return None,
    };
    Some(Member {
        value,
        cast: None,
        array: false,
        length: None,
    })
}

/// `5` and `-5`, of the type PostgreSQL gives them.
pub(super) fn number_form(e: &Expr) -> Option<Member> {
    let (digits, negative) = match e {
        Expr::Literal(Literal::Number(digits)) => (digits, false),
        Expr::Unary(minus, digits) => match digits.as_ref() {
            Expr::Literal(Literal::Number(digits))
                if &*minus.symbol == "-"
                    && minus.schema.as_ref().is_some_and(|s| *s == "pg_catalog") =>
            {
                (digits, true)
            }
            _ => return None,
        },
        _ => return None,
    };
    let cast = match digits.number_type() {
        NumberType::Int4 => oid::INT4,
        NumberType::Int8 => oid::INT8,
        NumberType::Numeric => return None,
    };
    Some(Member {
        value: Value::Number {
            negative,
            digits: digits.clone(),
        },
        cast: Some(cast),
        array: false,
        length: None,
    })
}

/// What a constant is cast to.
pub(super) struct Kept {
    /// The type, of the element if it is an array's.
    pub(super) oid: Oid,
    pub(super) array: bool,
    /// The typmod it is cut to.
    pub(super) length: Option<i32>,
}

/// text, varchar, uuid and the larger integers, or an array of one. Only what is written to a column of
/// that very length may be cut.
pub(super) fn kept_type(ty: &TypeName) -> Option<Kept> {
    let [schema, name] = ty.name.parts.as_slice() else {
        return None;
    };
    if *schema != "pg_catalog" || ty.array_dims > 1 {
        return None;
    }
    let oid = match name.as_str() {
        "text" => oid::TEXT,
        "varchar" => oid::VARCHAR,
        "uuid" => oid::UUID,
        "int4" => oid::INT4,
        "int8" => oid::INT8,
        _ => return None,
    };
    let length = length(ty).filter(|_| oid == oid::VARCHAR);
    if length.is_none() && !ty.typmods.is_empty() {
        return None;
    }
    Some(Kept {
        oid,
        array: ty.array_dims == 1,
        length,
    })
}

/// The typmod of a type that is cut to a length.
pub(super) fn length(ty: &TypeName) -> Option<i32> {
    match ty.typmods.as_slice() {
        [length] => i32::try_from(*length).ok()?.checked_add(4),
        _ => None,
    }
}

/// `ARRAY[a, b]::t[]` is `ARRAY[a::t, b::t]`, as PostgreSQL itself reads it; a NULL takes the type of
/// the others.
pub(super) fn push_cast_down(e: &mut Expr) {
    let Expr::Cast(inner, ty) = e else { return };
    push_cast_down(inner);
    let Expr::Array(items) = inner.as_mut() else {
        return;
    };
    let constants = items.iter().filter(|i| constant_form(i).is_some()).count();
    let nulls = items.iter().filter(|i| is_null(i)).count();
    if !kept_type(ty).is_some_and(|kept| kept.array)
        || constants == 0
        || constants.saturating_add(nulls) != items.len()
    {
        return;
    }
    let element = TypeName {
        array_dims: 0,
        ..ty.clone()
    };
    let items = std::mem::take(items);
    let cast = |i: Expr| {
        if is_null(&i) {
            i
        } else {
            Expr::Cast(Box::new(i), element.clone())
        }
    };
    *e = Expr::Array(items.into_iter().map(cast).collect());
}

pub(super) fn is_null(e: &Expr) -> bool {
    matches!(e, Expr::Literal(Literal::Null))
}
