//! May it fail, for one row and not for the next, to compare two values, or to give several values the type
//! they have in common? By the types, and the casts between them: a comparison of numeric with double
//! precision fails for 1e400, one of json for everything.
//!
//! Deliberately absent: what fails in an expression besides (`plan::order::raising`).

use super::Analyzer;
use super::expr::Info;
use super::functions::Chosen;
use super::literal::is_constant;
use crate::catalog::TypeKind;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{Call, Expr, Literal};

/// Types among which PostgreSQL compares and casts whatever their values are.
const FAMILIES: &[&[&str]] = &[
    &["int2", "int4", "int8", "numeric"],
    &["int2", "int4", "int8", "float4", "float8"],
    &["text", "varchar", "bpchar", "name"],
    &[
        "oid",
        "regclass",
        "regnamespace",
        "regproc",
        "regrole",
        "regtype",
    ],
    &["inet", "cidr"],
];

/// Types that are compared with themselves whatever their values are.
const ALONE: &[&str] = &[
    "bit",
    "bool",
    "bytea",
    "char",
    "date",
    "interval",
    "jsonb",
    "macaddr",
    "macaddr8",
    "money",
    "pg_lsn",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varbit",
    "xid",
    "xid8",
];

/// Functions that fail for no text, under a deterministic collation.
const OF_TEXTS: &[&str] = &[
    "btrim",
    "left",
    "ltrim",
    "position",
    "right",
    "rtrim",
    "starts_with",
    "strpos",
];

/// Those of one text: of more arguments, they are others.
const OF_TEXT: &[&str] = &[
    "bit_length",
    "char_length",
    "character_length",
    "initcap",
    "length",
    "lower",
    "md5",
    "octet_length",
    "reverse",
    "upper",
];

/// Those that fail only for a text of a gigabyte.
const JOINING: &[&str] = &["concat", "concat_ws"];

/// The type of a value, as far as it is settled while PostgreSQL parses: a constant takes that of the other.
pub(super) fn meeting(e: &Expr, ty: Option<Oid>) -> Option<Oid> {
    let constant = is_constant(e) && matches!(ty, None | Some(oid::UNKNOWN));
    if constant { Some(oid::UNKNOWN) } else { ty }
}

impl Analyzer<'_> {
    /// Values of these types are compared, or become one type.
    pub(super) fn meet(&mut self, types: &[Option<Oid>]) {
        self.lineage.failing = self.lineage.failing || !self.is_harmless_mix(types);
    }

    /// The same of the operands of LIKE, which are texts, and of `||`, one of which is.
    pub(super) fn meet_text(&mut self, symbol: &str, [l, r]: [Option<Oid>; 2]) {
        let text = |ty: Option<Oid>| matches!(ty, Some(oid::TEXT | oid::VARCHAR));
        match symbol {
            "||" if text(l) || text(r) => {
                let document = |ty: Option<Oid>| ty == Some(oid::JSONB);
                let harmless = [l, r]
                    .iter()
                    .all(|ty| self.is_harmless_mix(&[*ty]) && !document(*ty));
                self.lineage.failing |= !harmless;
            }
            "+" | "-" if [l, r].contains(&Some(oid::PG_LSN)) => self.lineage.failing = true,
            "-" if l == Some(oid::JSONB) => self.lineage.failing = true,
            // Of two sizes, or too far apart.
            "-" if [l, r]
                .iter()
                .all(|ty| matches!(ty, Some(oid::INET | oid::CIDR | oid::UNKNOWN))) =>
            {
                self.lineage.failing = true;
            }
            "||" | "~~" | "!~~" | "~~*" | "!~~*" => self.meet(&[l, r, Some(oid::TEXT)]),
            _ => {}
        }
    }

    /// The same of a comparison by a keyword, and of what it is compared with, in order.
    pub(super) fn meet_written(&mut self, e: &Expr, left: Option<Oid>, others: &[Option<Oid>]) {
        let (one, with): (Option<&Expr>, Vec<&Expr>) = match e {
            Expr::Between {
                expr, low, high, ..
            } => (Some(expr), vec![low, high]),
            Expr::IsDistinct { left, right, .. } => (Some(left), vec![right]),
            Expr::InList { expr, list, .. } => (Some(expr), list.iter().collect()),
            Expr::Case {
                operand, branches, ..
            } => (operand.as_deref(), branches.iter().map(|b| &b.0).collect()),
            Expr::InQuery { expr, .. } => (Some(expr), Vec::new()),
            Expr::NullIf(a, b) => (Some(a), vec![b]),
            _ => (None, Vec::new()),
        };
        let mut types = vec![one.map_or(left, |one| meeting(one, left))];
        for (n, ty) in others.iter().enumerate() {
            types.push(with.get(n).map_or(*ty, |e| meeting(e, *ty)));
        }
        self.meet(&types);
    }

    fn is_harmless_mix(&self, types: &[Option<Oid>]) -> bool {
        let catalog = self.grounds.catalog;
        let mut known = types.iter().filter(|ty| **ty != Some(oid::UNKNOWN));
        let Some(first) = known.next() else {
            return true;
        };
        let Some(found) = first.and_then(|ty| catalog.types.get(&catalog.base_type(ty))) else {
            return false;
        };
        let same = known.clone().all(|ty| ty == first);
        if let Some(element) = found.array_element {
            return same && self.is_harmless_mix(&[Some(element)]);
        }
        if found.kind == TypeKind::Enum {
            return same;
        }
        let name = |ty: &Option<Oid>| {
            let found = catalog.types.get(&catalog.base_type((*ty)?))?;
            (found.schema == "pg_catalog").then_some(found.name.as_str())
        };
        if same && name(first).is_some_and(|name| ALONE.contains(&name)) {
            return true;
        }
        // Two texts may have collations of which PostgreSQL knows none to compare by.
        let texts = |family: &&&[&str]| !(family.contains(&"text") && self.lineage.collations);
        let within = |family: &&[&str]| {
            let mut all = std::iter::once(first).chain(known.clone());
            all.all(|ty| name(ty).is_some_and(|name| family.contains(&name)))
        };
        FAMILIES.iter().filter(texts).any(within)
    }

    /// Does a call fail for no row, if its arguments do not?
    pub(super) fn is_harmless_call(&self, call: &Call, chosen: &Chosen, infos: &[Info]) -> bool {
        let is = |name: &&str| chosen.is_builtin(name);
        let plain = |(e, info): (&Expr, &Info)| {
            let text = |ty: Oid| matches!(ty, oid::TEXT | oid::VARCHAR | oid::BPCHAR);
            let whole = |ty: Oid| matches!(ty, oid::INT2 | oid::INT4 | oid::INT8 | oid::BOOL);
            match meeting(e, info.ty) {
                Some(oid::UNKNOWN) => matches!(
                    e,
                    Expr::Literal(Literal::String(_) | Literal::Null)
                        | Expr::Param(_)
                        | Expr::Constant { .. }
                ),
                Some(ty) => text(ty) || whole(ty),
                None => false,
            }
        };
        let args = call.args.iter().map(|a| &a.value).zip(infos);
        !self.lineage.collations
            && call.over.is_none()
            && call.filter.is_none()
            && call.order_by.is_empty()
            && !call.args.iter().any(|a| a.variadic)
            && (OF_TEXTS.iter().any(is)
                || OF_TEXT.iter().any(is) && infos.len() == 1
                || JOINING.iter().any(is)
                || chosen.is_builtin("now"))
            && args.into_iter().all(plain)
    }
}
