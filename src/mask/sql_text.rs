//! The few pieces of SQL that masks are made of. Every name is qualified, every literal is typed,
//! every operator is parenthesized: nothing depends on search_path or precedence.
//!
//! Literals rely on `standard_conforming_strings = on`, which is pinned upstream.

/// `a op b`
pub(super) fn op(a: &str, operator: &str, b: &str) -> String {
    format!("({a} OPERATOR(pg_catalog.{operator}) {b})")
}

/// `pg_catalog.name(args)`
pub(super) fn call(name: &str, args: &[&str]) -> String {
    format!("pg_catalog.{name}({})", args.join(", "))
}

/// `operand::pg_catalog.ty`
pub(super) fn cast(operand: &str, ty: &str) -> String {
    format!("({operand})::pg_catalog.{ty}")
}

/// A literal of a `pg_catalog` type.
pub(super) fn literal(value: &str, ty: &str) -> String {
    format!("{}::pg_catalog.{ty}", quote(value))
}

/// A string constant, untyped. Where the types beside it settle its own, it is all that is needed:
/// an argument of a function with one signature, an operand beside one of the type it has to have.
pub(super) fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// Text pieces joined by `||`; empty ones are left out by the caller.
pub(super) fn concat(pieces: &[String]) -> String {
    match pieces {
        [] => literal("", "text"),
        [one] => one.clone(),
        many => format!("({})", many.join(" OPERATOR(pg_catalog.||) ")),
    }
}

/// `CASE WHEN … END`; at least one arm.
pub(super) fn case(arms: &[(String, String)], otherwise: &str) -> String {
    let mut out = String::from("CASE");
    for (condition, value) in arms {
        out.push_str(" WHEN ");
        out.push_str(condition);
        out.push_str(" THEN ");
        out.push_str(value);
    }
    out.push_str(" ELSE ");
    out.push_str(otherwise);
    out.push_str(" END");
    out
}
