//! Names of relations, types and functions that come as text: `to_regtype($1)`, `'customers'::regclass`.
//!
//! They mean the client's search path, but PostgreSQL looks them up by ours. A constant that the
//! catalog knows is written out with its schema. What else there is becomes an expression that tries
//! the schemas of the path in their order, for PostgreSQL to say what they hold when the statement
//! runs: an index, or a table of this moment. It asks for no more than the role could by writing the
//! schema, and passes over schemas that PostgreSQL would pass over for want of USAGE.
//!
//! A parameter of such a type itself is read as it is bound, and gets its schema then.
//!
//! Deliberately absent: functions that are found by a name that comes at run time, because which are meant
//! takes all of one name together.

use super::own_state::text;
use super::{Analyzer, Grounds};
use crate::ident::Ident;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{Call, Expr, Literal, Name, Operator, TypeName};

/// What is named.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// `regproc`
    Function,
    /// `regclass`
    Relation,
    /// `regtype`
    Type,
}

impl ObjectKind {
    /// Of the OID type of that name.
    pub(crate) fn of(ty: Oid) -> Option<Self> {
        match ty {
            oid::REGPROC => Some(Self::Function),
            oid::REGCLASS => Some(Self::Relation),
            oid::REGTYPE => Some(Self::Type),
            _ => None,
        }
    }

    /// The OID type, and the function that finds by a text.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Function => ("regproc", "to_regproc"),
            Self::Relation => ("regclass", "to_regclass"),
            Self::Type => ("regtype", "to_regtype"),
        }
    }
}

/// An unqualified name of a relation, as `regclassin` reads it.
const BARE_RELATION: &str = r#"^\s*("([^"]|"")+"|[^\s."]+)\s*$"#;

/// An unqualified name of a type, with its modifiers and as an array.
const BARE_TYPE: &str =
    r#"^\s*("([^"]|"")+"|[^\s."()\[\],]+)\s*(\([-0-9, ]*\)\s*)?(\[[0-9]*\]\s*)*$"#;

/// Words that are types before anybody looks for one of that name.
const KEYWORDS: &[&str] = &[
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "dec",
    "decimal",
    "float",
    "int",
    "integer",
    "interval",
    "national",
    "nchar",
    "numeric",
    "real",
    "smallint",
    "time",
    "timestamp",
    "varchar",
];

/// How deep a name may be computed and still be written several times.
const DEPTH: usize = 8;

impl Analyzer<'_> {
    /// What a text is converted to an OID type by, in place of the text.
    pub(super) fn named_cast(&mut self, name: &mut Expr, from: Option<Oid>, to: Oid) {
        let Some(kind) = ObjectKind::of(to) else {
            return;
        };
        if let Expr::Param(n) = name {
            self.named_parameter(*n, kind);
            return;
        }
        if self.constant_name(kind, name) || !textual(name, from) {
            return;
        }
        if let Some(found) = self.found_by_path(kind, name) {
            *name = Expr::Coalesce(vec![found, converted(kind, name)]);
        }
    }

    /// PostgreSQL gives a parameter the OID type, and reads the name when it is bound.
    pub(super) fn named_parameter(&mut self, n: u16, kind: ObjectKind) {
        let (known, times) = self.lineage.named.entry(n).or_insert((kind, 0));
        if *known == kind {
            *times = times.saturating_add(1);
        }
    }

    /// Writes a constant out, with its schema. Is there nothing left to look up?
    pub(super) fn constant_name(&self, kind: ObjectKind, name: &mut Expr) -> bool {
        let Expr::Literal(Literal::String(constant)) = name else {
            return matches!(name, Expr::Literal(Literal::Null));
        };
        match self.qualified(kind, constant.value()) {
            Qualified::AsItIs => true,
            Qualified::Found(qualified) => {
                *constant = qualified.into();
                true
            }
            Qualified::Unknown => false,
        }
    }

    /// What the catalog knows of a name.
    fn qualified(&self, kind: ObjectKind, text: &str) -> Qualified {
        // What is qualified means what it says.
        let Some((bare, rest)) = split_name(kind, text) else {
            return Qualified::AsItIs;
        };
        let keyword = |k: &&str| !text.contains('"') && bare == **k;
        if kind == ObjectKind::Type && KEYWORDS.iter().any(keyword) {
            return Qualified::AsItIs;
        }
        let named = Name::made(vec![bare.clone()]);
        let schema = match kind {
            ObjectKind::Relation => (self.find_relation(&named).ok()).map(|r| r.schema.clone()),
            ObjectKind::Type => (self.find_type(&named).ok()).map(|t| t.schema.clone()),
            ObjectKind::Function => self.only_function(&bare),
        };
        let Some(schema) = schema else {
            return Qualified::Unknown;
        };
        if schema == "pg_catalog" && kind != ObjectKind::Relation {
            return Qualified::AsItIs;
        }
        let mut qualified = String::new();
        schema.quote_into(&mut qualified);
        qualified.push('.');
        bare.quote_into(&mut qualified);
        qualified.push_str(rest);
        Qualified::Found(qualified)
    }

    /// The schema of the one function of a name that the search path finds: of two with the same
    /// arguments the first hides the second.
    fn only_function(&self, name: &Ident) -> Option<Ident> {
        let catalog = self.grounds.catalog;
        let mut found: Option<(&Ident, &[Oid])> = None;
        let all = catalog.functions.get(name)?;
        for schema in self.grounds.search_path.schemas() {
            for function in all.iter().filter(|f| f.schema == *schema) {
                match found {
                    None => found = Some((&function.schema, &function.args)),
                    Some((_, args)) if *args == *function.args => {}
                    Some(_) => return None,
                }
            }
        }
        found.map(|(schema, _)| schema.clone())
    }

    /// What an unqualified name means by the client's search path: NULL if it is qualified, or names
    /// nothing. `None` if the name cannot be written several times, or the path has nothing that ours has
    /// not.
    pub(super) fn found_by_path(&self, kind: ObjectKind, name: &Expr) -> Option<Expr> {
        if kind == ObjectKind::Function || !repeatable(name, DEPTH) {
            return None;
        }
        let catalog = self.grounds.catalog;
        let mut found = Vec::new();
        let path = self.grounds.search_path;
        // Ours has PostgreSQL's own schema, and then the session's temporary one.
        let ours = path.before_temp().is_empty();
        for schema in path.schemas() {
            if ours && *schema == "pg_catalog" {
                found.push(find(kind, as_text(name.clone())));
            } else if *schema == crate::catalog::temp::SCHEMA {
                found.push(find(kind, qualified_by(schema, name)));
            } else if let Some((schema_oid, _)) = catalog.schemas.iter().find(|(_, n)| *n == schema)
            {
                found.push(within(kind, *schema_oid, schema, name));
            }
        }
        if found.len() < 2 {
            return None;
        }
        let bare = match kind {
            ObjectKind::Type => BARE_TYPE,
            ObjectKind::Relation | ObjectKind::Function => BARE_RELATION,
        };
        let matches = Operator::builtin("~");
        let is_bare = Expr::Binary(
            Box::new(as_text(name.clone())),
            matches,
            Box::new(Expr::Cast(
                Box::new(text(bare)),
                TypeName::builtin("text", 0),
            )),
        );
        Some(Expr::Case {
            operand: None,
            branches: vec![(is_bare, Expr::Coalesce(found))],
            otherwise: None,
        })
    }
}

/// A name with its schema, if it has none and the catalog knows what it means.
pub(crate) fn qualified_name(kind: ObjectKind, text: &str, grounds: Grounds<'_>) -> Option<String> {
    match Analyzer::new(grounds).qualified(kind, text) {
        Qualified::Found(qualified) => Some(qualified),
        Qualified::AsItIs | Qualified::Unknown => None,
    }
}

/// What became of a name.
enum Qualified {
    /// It means the same by any path.
    AsItIs,
    /// With its schema.
    Found(String),
    /// The catalog does not know it.
    Unknown,
}

/// What a name means in one schema, if the role may look there.
fn within(kind: ObjectKind, schema_oid: Oid, schema: &Ident, name: &Expr) -> Expr {
    let number = Expr::Literal(Literal::Number(schema_oid.to_string().into()));
    let allowed = [
        Expr::Cast(Box::new(number), TypeName::builtin("oid", 0)),
        text("USAGE"),
    ];
    Expr::Case {
        operand: None,
        branches: vec![(
            Expr::builtin_call("has_schema_privilege", allowed),
            find(kind, qualified_by(schema, name)),
        )],
        otherwise: None,
    }
}

fn qualified_by(schema: &Ident, name: &Expr) -> Expr {
    let mut prefix = schema.quoted();
    prefix.push('.');
    Expr::builtin_call("textcat", [text(&prefix), as_text(name.clone())])
}

fn find(kind: ObjectKind, name: Expr) -> Expr {
    Expr::builtin_call(kind.names().1, [name])
}

pub(super) fn as_text(e: Expr) -> Expr {
    if let Expr::Cast(_, ty) = &e
        && ty.array_dims == 0
        && ty.name.parts == TypeName::builtin("text", 0).name.parts
    {
        return e;
    }
    Expr::Cast(Box::new(e), TypeName::builtin("text", 0))
}

/// The text as PostgreSQL itself reads it, when the statement runs: a constant would be read at once.
pub(super) fn converted(kind: ObjectKind, name: &Expr) -> Expr {
    Expr::Cast(
        Box::new(as_text(name.clone())),
        TypeName::builtin(kind.names().0, 0),
    )
}

/// May it be a name? Of the types that are not known, those of parameters are open.
pub(super) fn textual(e: &Expr, ty: Option<Oid>) -> bool {
    const NAME: Oid = 19;
    match ty {
        Some(ty) => matches!(ty, oid::TEXT | oid::VARCHAR | oid::UNKNOWN | NAME),
        None => matches!(e, Expr::Param(_)),
    }
}

/// Is the expression the same value wherever it is written in one row, and soon computed?
fn repeatable(e: &Expr, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match e {
        Expr::Param(_) | Expr::Column(_) | Expr::Literal(_) => true,
        Expr::Cast(inner, _) => repeatable(inner, depth),
        Expr::Binary(left, op, right) => {
            &*op.symbol == "||" && repeatable(left, depth) && repeatable(right, depth)
        }
        Expr::Call(call) => {
            let Call { function, args, .. } = &**call;
            let quotes = matches!(function.parts.as_slice(), [s, f]
                if *s == "pg_catalog" && ["quote_ident", "lower", "format", "concat", "regexp_replace"].contains(&f.as_str()));
            quotes && args.iter().all(|a| repeatable(&a.value, depth))
        }
        _ => false,
    }
}

/// An unqualified name, folded as PostgreSQL does, and what follows that of a type.
fn split_name(kind: ObjectKind, constant: &str) -> Option<(Ident, &str)> {
    let constant = constant.trim();
    let end = match kind {
        ObjectKind::Type => constant.find(['(', '[']).unwrap_or(constant.len()),
        ObjectKind::Relation | ObjectKind::Function => constant.len(),
    };
    let (name, rest) = constant.split_at_checked(end)?;
    let modifiers = |c: char| c.is_ascii_digit() || "()[], ".contains(c);
    let name = simple_name(name.trim_end())?;
    rest.chars().all(modifiers).then_some((name, rest))
}

/// An unqualified name inside a string literal, folded as `regclassin` does; `None` for anything with
/// dots, quotes or digits only.
fn simple_name(text: &str) -> Option<Ident> {
    let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    if let Some(q) = quoted {
        return (!q.contains('"')).then(|| Ident::exact(q));
    }
    let plain = !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    plain.then(|| Ident::folded(text))
}
