//! Are equal values of an expression one and the same value? 1.0 and 1.00 are equal, and so are 30 days and
//! a month, 0 and -0: which of them max() or GROUP BY hands out tells which row came first, and the last
//! digits of a sum of floats do. Where the order of rows is protected (`plan::order`), it must not be
//! told that way.
//!
//! What is stored is taken as it is: nobody chooses its spelling row by row. Deliberately absent: whether
//! the order of any row is protected.

use std::sync::Arc;

use super::expr::Info;
use super::functions::Chosen;
use super::likeness::{FIXED, Likeness, scale_of};
use super::lineage::OutputColumn;
use super::literal::is_constant;
use super::{Analyzer, ColumnForm};
use crate::catalog::{Column, Function, Relation, RelationKind, TypeKind};
use crate::mask::token::TokenKind;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::policy::Treatment;
use crate::sql::tree::{Call, Expr, Literal};

/// What is known of the values of one expression, whatever their type says.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Alike {
    /// Nothing.
    #[default]
    Unknown,
    /// Equal ones are one. Beside those of another expression they may not be.
    Made,
    /// They are stored.
    Stored,
    /// They are of a type of which equal values are one, though which it is may not be known.
    Typed,
}

/// Types of which equal values are one.
const ALIKE: &[&str] = &[
    "bit",
    "bool",
    "bytea",
    "char",
    "cidr",
    "date",
    "datemultirange",
    "daterange",
    "inet",
    "int2",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "oid",
    "pg_lsn",
    "regclass",
    "regnamespace",
    "regrole",
    "regtype",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "tsmultirange",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "uuid",
    "varbit",
    "varchar",
    "xid",
    "xid8",
];

/// The same of extensions, by their names: both compare what they print.
const ALIKE_OF_EXTENSIONS: &[(&str, &str)] = &[("hstore", "hstore"), ("ltree", "ltree")];

/// Types whose sums tell by their last digits, or by whether they can be had at all, what came first.
const INEXACT: &[Oid] = &[oid::FLOAT4, oid::FLOAT8, oid::INTERVAL, oid::MONEY];

/// Types that a text is read as, under a collation.
const TEXTS: &[Oid] = &[oid::TEXT, oid::VARCHAR, oid::NAME];

/// Functions whose numbers have one scale, whatever they are given, but for what says how many digits or
/// which field.
const SCALED: &[&str] = &["ceil", "ceiling", "floor", "round", "trunc"];

/// Functions of one field of a point in time.
const FIELDS: &[&str] = &["date_part", "extract"];

/// Functions whose value is one of those they are given, or has them in fixed places.
const KEEPING: &[&str] = &[
    "abs",
    "array_agg",
    "json_agg",
    "json_build_array",
    "jsonb_agg",
    "jsonb_build_array",
    "max",
    "min",
    "to_json",
    "to_jsonb",
];

/// Those that have them under names.
const NAMING: &[&str] = &["json_build_object", "jsonb_build_object"];

/// Aggregates that take every number for a float.
const FLOATING: &[&str] = &[
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_avgx",
    "regr_avgy",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
];

/// Those of them that keep the scale of a number.
const SAME_SCALE: &[&str] = &["abs", "max", "min", "sum"];

/// From narrow to wide: PostgreSQL converts each to those after it.
const NUMBERS: &[Oid] = &[
    oid::INT2,
    oid::INT4,
    oid::INT8,
    oid::NUMERIC,
    oid::FLOAT4,
    oid::FLOAT8,
];

impl Analyzer<'_> {
    /// Are equal values of a resolved expression one?
    pub(super) fn is_alike(&self, e: &Expr, info: &Info) -> bool {
        // Whatever types it compares.
        let compares = |e: &Expr| matches!(e, Expr::Binary(_, op, _) if op.is_comparison());
        is_constant(e) || compares(e) || self.known_alike(info)
    }

    fn known_alike(&self, info: &Info) -> bool {
        info.null
            || self.is_kept(info.alike)
            || info.ty.is_some_and(|ty| self.is_alike_type(ty))
            || scale_of(info).is_some()
    }

    /// Is enough known of a value whose type says nothing? What is stored in one relation may be chosen by a
    /// row of another.
    pub(super) fn is_kept(&self, alike: Alike) -> bool {
        match alike {
            Alike::Unknown => false,
            Alike::Stored => !self.several,
            Alike::Made | Alike::Typed => true,
        }
    }

    /// The same of a column of a query's result.
    pub(super) fn shows_alike(&self, output: &OutputColumn) -> bool {
        output.null
            || self.is_kept(output.alike)
            || output.scale.is_some()
            || output.ty.is_some_and(|ty| self.is_alike_type(ty))
    }

    /// What to remember of an expression that becomes a column.
    pub(super) fn selected_alike(&self, e: &Expr, info: &Info) -> Alike {
        match info.alike {
            Alike::Unknown if self.is_alike(e, info) => Alike::Made,
            known => known,
        }
    }

    /// The same of every value of a type.
    pub(super) fn is_alike_type(&self, ty: Oid) -> bool {
        let catalog = self.grounds.catalog;
        let base = catalog.base_type(ty);
        // Two texts may be equal under a collation of the database's own.
        if self.lineage.collated && TEXTS.contains(&base) {
            return false;
        }
        let Some(found) = catalog.types.get(&base) else {
            return false;
        };
        if let Some(element) = found.array_element {
            return self.is_alike_type(element);
        }
        match found.kind {
            TypeKind::Enum => true,
            TypeKind::Composite { relation } => {
                let fields = catalog.relation_by_oid(relation).map(|r| &r.columns);
                fields.is_some_and(|fields| {
                    (fields.iter()).all(|f| f.deterministic && self.is_alike_type(f.type_oid))
                })
            }
            _ => match found.extension.as_deref() {
                Some(extension) => ALIKE_OF_EXTENSIONS.contains(&(extension, found.name.as_str())),
                None => found.schema == "pg_catalog" && ALIKE.contains(&found.name.as_str()),
            },
        }
    }

    /// A column as it is stored: nobody chose the spelling of its values row by row, but a role that
    /// writes them. Texts of one width are filled up to it.
    pub(super) fn stored_alike(&self, relation: &Arc<Relation>, column: &Column) -> Alike {
        let text = match column.type_oid {
            oid::BPCHAR => column.typmod != -1,
            ty => TEXTS.contains(&ty),
        };
        let token = || {
            let form = super::column_form(relation, column.attnum, self.grounds);
            matches!(form, Ok(ColumnForm::Rule(rule)) if matches!(&rule.treatment,
                Treatment::Token(token) if matches!(token.kind(), TokenKind::Siv | TokenKind::Hmac)))
        };
        // These are of one case and without accents. Those of `ff1` have the blanks of what they stand for.
        if text && (column.deterministic || token()) {
            return Alike::Made;
        }
        let grant = self.grounds.grants.write.get(&relation.oid);
        let writes = grant.is_some_and(|grant| {
            let update = grant.update.as_ref();
            // Of a column that is generated, what it is made of.
            let inputs = column.inputs.iter().filter_map(|a| relation.attribute(*a));
            let mut made_of = inputs.chain([column]).map(|c| &c.name);
            let updates = grant.updates
                && update.is_none_or(|these| made_of.any(|name| these.contains(name)));
            grant.insert || updates
        });
        // What a view shows its owner computes, of whatever it joins.
        if relation.temporary
            || writes
            || column.computed_when_read
            || relation.kind == RelationKind::View
        {
            Alike::Unknown
        } else {
            Alike::Stored
        }
    }

    /// Of one of several values, whichever: by type, by scale, or because there is but one that is not NULL.
    pub(super) fn among(&self, values: &[Likeness]) -> (Alike, Option<u16>) {
        let unknown = |ty: Option<Oid>| ty == Some(oid::UNKNOWN);
        let by_type = values.iter().all(|v| match v.ty {
            _ if v.alike == Alike::Typed => true,
            Some(ty) => unknown(v.ty) || self.is_alike_type(ty),
            None => v.null,
        });
        if by_type {
            return (Alike::Typed, None);
        }
        let present: Vec<&Likeness> = values.iter().filter(|v| !v.null).collect();
        if let [one] = present.as_slice() {
            return (one.alike, one.scale);
        }
        // Two columns are filled by two programs.
        let first = present.first().and_then(|v| v.scale);
        let scale = first.filter(|s| *s != FIXED && present.iter().all(|v| v.scale == first));
        (Alike::Unknown, scale)
    }

    /// Notes what an aggregate of these arguments tells of the order of its input. What is known of its
    /// value.
    pub(super) fn told_by(
        &self,
        call: &mut Call,
        chosen: &mut Chosen,
        infos: &[Info],
        sorted: &[Info],
    ) -> (Alike, Option<u16>) {
        let keys = call.order_by.iter().map(|o| &o.expr).zip(sorted);
        let keys = keys.filter(|_| call.within_group);
        let args = call.args.iter().map(|a| &a.value).zip(infos);
        call.apart = args.chain(keys).any(|(e, info)| !self.is_alike(e, info));
        let first = if call.within_group {
            sorted.first()
        } else {
            infos.first()
        };
        let float = |ty: &Oid| matches!(*ty, oid::FLOAT4 | oid::FLOAT8);
        call.float = first.and_then(|info| info.ty).filter(float);
        // It makes a float of any number.
        let exact = |ty: Oid| NUMBERS.contains(&ty) && !float(&ty);
        if chosen.is_builtin("percentile_cont") && first.and_then(|i| i.ty).is_some_and(exact) {
            call.apart = false;
        }
        let is = |name: &&str| chosen.is_builtin(name);
        let inexact = |ty: Oid| INEXACT.contains(&ty);
        call.inexact =
            FLOATING.iter().any(is) || infos.iter().any(|i| !i.null && i.ty.is_none_or(inexact));
        let picks = ["mode", "percentile_disc"].iter().any(is);
        let constant = |at: usize| call.args.get(at).is_some_and(|a| is_constant(&a.value));
        // A Julian day is the result of a division.
        let field = || {
            let name = call.args.first().map(|a| &a.value);
            let named = name.filter(|e| is_constant(e)).and_then(text_of);
            named.is_some_and(|name| !name.trim_start().starts_with(['j', 'J']))
        };
        let numeric = chosen.result == Some(oid::NUMERIC);
        let scale = match call.args.len() {
            2 if numeric && SCALED.iter().any(is) && constant(1) => Some(FIXED),
            2 if numeric && FIELDS.iter().any(is) && field() => Some(FIXED),
            1 if numeric && SCALED.iter().any(is) => Some(0),
            _ if picks || SAME_SCALE.iter().any(is) => first.and_then(scale_of),
            _ => None,
        };
        // A float that is made of an integer is no -0.
        let whole =
            || first.is_some_and(|i| matches!(i.ty, Some(oid::INT2 | oid::INT4 | oid::INT8)));
        let named = || (0..call.args.len()).step_by(2).all(constant);
        let keeps = picks
            || KEEPING.iter().any(is)
            || NAMING.iter().any(is) && named()
            || whole() && SCALED.iter().any(is)
            || self.returns_alike(chosen, infos);
        let alike = keeps && !call.apart || FIELDS.iter().any(is) && field();
        if picks && chosen.result.is_none() {
            chosen.result = first.and_then(|info| info.ty);
        }
        (if alike { Alike::Made } else { Alike::Unknown }, scale)
    }

    /// Is whatever a function of PostgreSQL's own returns alike, or the one argument of its type? Which of
    /// several of its name it is need not be known.
    fn returns_alike(&self, chosen: &Chosen, infos: &[Info]) -> bool {
        let name = [chosen.schema.clone(), chosen.name.clone()];
        let catalog = self.grounds.catalog;
        let given = |ty: Oid| {
            let ty = catalog.types.get(&ty);
            ty.is_some_and(|t| matches!(t.kind, TypeKind::Pseudo) && t.name != "record")
        };
        let mut others = infos.iter().filter(|i| {
            let by_type = i.ty.is_some_and(|ty| self.is_alike_type(ty));
            !i.null && !by_type
        });
        let alone = match (others.next(), others.next()) {
            (None, _) => true,
            (Some(one), None) => one.ty.is_some() && one.ty == chosen.result,
            _ => false,
        };
        // Several of which the types must agree are converted to one another's.
        let given =
            |f: &Function| given(f.result) && f.args.iter().filter(|ty| given(**ty)).count() == 1;
        chosen.schema == "pg_catalog"
            && (catalog.overloads(&name)).all(|f| self.is_alike_type(f.result) || alone && given(f))
    }

    /// What is known of the value of an operator, the operands of which may be constants.
    pub(super) fn made_alike(&self, symbol: &str, [l, r]: [(bool, &Info); 2], made: Info) -> Info {
        let (left, right) = (scale_of(l.1), scale_of(r.1));
        let scale = left.zip(right).and_then(|(l, r)| match symbol {
            "+" | "-" => Some(l.max(r)),
            "*" => Some(l.saturating_add(r)),
            _ => None,
        });
        let by_type = |i: &Info| i.ty.is_some_and(|ty| self.is_alike_type(ty));
        let document = |i: &Info| matches!(i.ty, Some(oid::JSONB | oid::JSON));
        let alike = match made.ty {
            // Between two points in time; a difference of differences is spelled in several ways.
            Some(oid::INTERVAL) => symbol == "-" && by_type(l.1) && by_type(r.1),
            // A part of a document is as it is in the document, if it is the same part of each.
            Some(oid::JSONB | oid::JSON) | None if document(l.1) => {
                r.0 && (l.0 || self.known_alike(l.1))
            }
            None => symbol == "||" && by_type(l.1) && by_type(r.1),
            _ => false,
        };
        let scale = scale.filter(|_| made.ty == Some(oid::NUMERIC));
        Info {
            alike: if alike { Alike::Made } else { Alike::Unknown },
            scale,
            ..made
        }
    }

    /// Of a number that is cast to another type of numbers. A float is made of a numeric whatever its scale;
    /// a numeric of a float has the digits it needs.
    pub(super) fn cast_alike(&self, (e, info): (&Expr, &Info), target: Oid) -> Alike {
        let float = |ty: Oid| matches!(ty, oid::FLOAT4 | oid::FLOAT8);
        let exact = |ty: Oid| NUMBERS.contains(&ty) && !float(ty);
        let alike = match info.ty {
            Some(ty) if exact(ty) && float(target) => true,
            Some(ty) if NUMBERS.contains(&ty) && NUMBERS.contains(&target) => {
                self.is_alike(e, info)
            }
            _ => false,
        };
        if alike { Alike::Made } else { Alike::Unknown }
    }

    /// The type PostgreSQL finds for numbers of several.
    pub(super) fn widest(types: &[Oid]) -> Option<Oid> {
        let places = types.iter().map(|ty| NUMBERS.iter().position(|n| n == ty));
        let places: Option<Vec<usize>> = places.collect();
        NUMBERS.get(places?.into_iter().max()?).copied()
    }
}

/// A constant's text.
fn text_of(e: &Expr) -> Option<&str> {
    match e {
        Expr::Literal(Literal::String(text)) => Some(text.value()),
        Expr::Cast(inner, _) => text_of(inner),
        _ => None,
    }
}
