//! A tree as text, fully parenthesised, for assertions. Test trees hold no secrets.

use std::fmt::Write as _;

use crate::ident::Ident;
use crate::sql::tree::*;

pub(super) fn names(name: &Name) -> String {
    let parts: Vec<_> = name.parts.iter().map(Ident::as_str).collect();
    parts.join(".")
}

pub(super) fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

pub(super) fn exprs(items: &[Expr]) -> String {
    list(items, expr)
}

fn op(o: &Operator) -> String {
    match &o.schema {
        Some(schema) => format!("OPERATOR({schema}.{})", o.symbol),
        None => o.symbol.to_string(),
    }
}

pub(super) fn ty(t: &TypeName) -> String {
    let mut out = names(&t.name);
    if let Some(fields) = &t.interval_fields {
        write!(out, " {fields}").unwrap();
    }
    if !t.typmods.is_empty() {
        write!(out, "({})", list(&t.typmods, ToString::to_string)).unwrap();
    }
    out + &"[]".repeat(usize::from(t.array_dims))
}

fn sub(s: &Subscript) -> String {
    match s {
        Subscript::Index(e) => format!("[{}]", expr(e)),
        Subscript::Slice(a, b) => format!(
            "[{}:{}]",
            a.as_ref().map(expr).unwrap_or_default(),
            b.as_ref().map(expr).unwrap_or_default()
        ),
    }
}

pub(super) fn order(items: &[OrderItem]) -> String {
    list(items, |i| {
        let mut out = expr(&i.expr);
        match i.direction {
            SortDirection::Default => {}
            SortDirection::Asc => out.push_str(" ASC"),
            SortDirection::Desc => out.push_str(" DESC"),
        }
        if let Some(using) = &i.using {
            write!(out, " USING {}", op(using)).unwrap();
        }
        match i.nulls {
            NullsOrder::Default => {}
            NullsOrder::First => out.push_str(" NULLS FIRST"),
            NullsOrder::Last => out.push_str(" NULLS LAST"),
        }
        out
    })
}

fn bound(b: &FrameBound) -> String {
    match b {
        FrameBound::UnboundedPreceding => "UNBOUNDED PRECEDING".into(),
        FrameBound::Preceding(e) => format!("{} PRECEDING", expr(e)),
        FrameBound::CurrentRow => "CURRENT ROW".into(),
        FrameBound::Following(e) => format!("{} FOLLOWING", expr(e)),
        FrameBound::UnboundedFollowing => "UNBOUNDED FOLLOWING".into(),
    }
}

pub(super) fn window(w: &Window) -> String {
    let base = w.base.as_ref().map(Ident::as_str).unwrap_or_default();
    if w.is_reference {
        return base.into();
    }
    let mut parts = Vec::new();
    if !base.is_empty() {
        parts.push(base.to_owned());
    }
    if !w.partition_by.is_empty() {
        parts.push(format!("PARTITION BY {}", exprs(&w.partition_by)));
    }
    if !w.order_by.is_empty() {
        parts.push(format!("ORDER BY {}", order(&w.order_by)));
    }
    if let Some(f) = &w.frame {
        let units = match f.units {
            FrameUnits::Rows => "ROWS",
            FrameUnits::Range => "RANGE",
            FrameUnits::Groups => "GROUPS",
        };
        parts.push(match &f.end {
            Some(end) => format!("{units} BETWEEN {} AND {}", bound(&f.start), bound(end)),
            None => format!("{units} {}", bound(&f.start)),
        });
        parts.extend(f.exclusion.map(|x| {
            match x {
                FrameExclusion::CurrentRow => "EXCLUDE CURRENT ROW",
                FrameExclusion::Group => "EXCLUDE GROUP",
                FrameExclusion::Ties => "EXCLUDE TIES",
                FrameExclusion::NoOthers => "EXCLUDE NO OTHERS",
            }
            .into()
        }));
    }
    format!("({})", parts.join(" "))
}

pub(super) fn call(c: &Call) -> String {
    let args = if c.star {
        "*".into()
    } else {
        list(&c.args, |a| {
            let name = a
                .name
                .as_ref()
                .map(|n| format!("{n} => "))
                .unwrap_or_default();
            let variadic = if a.variadic { "VARIADIC " } else { "" };
            format!("{variadic}{name}{}", expr(&a.value))
        })
    };
    let distinct = if c.distinct { "DISTINCT " } else { "" };
    let mut out = format!("{}({distinct}{args}", names(&c.function));
    if !c.order_by.is_empty() && !c.within_group {
        write!(out, " ORDER BY {}", order(&c.order_by)).unwrap();
    }
    out.push(')');
    if c.within_group {
        write!(out, " WITHIN GROUP (ORDER BY {})", order(&c.order_by)).unwrap();
    }
    if let Some(f) = &c.filter {
        write!(out, " FILTER (WHERE {})", expr(f)).unwrap();
    }
    if let Some(w) = &c.over {
        write!(out, " OVER {}", window(w)).unwrap();
    }
    out
}

fn literal(l: &Literal) -> String {
    match l {
        Literal::Null => "NULL".into(),
        Literal::Bool(b) => b.to_string(),
        Literal::Number(n) => n.value().to_owned(),
        Literal::String(s) => format!("'{}'", s.value().replace('\'', "''")),
        Literal::Bits { hex, digits } => format!("{}'{digits}'", if *hex { "X" } else { "B" }),
    }
}

fn negation(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

pub(super) fn expr(e: &Expr) -> String {
    match e {
        Expr::Name(n) => names(n),
        Expr::Star(n) => format!("{}.*", names(n)),
        Expr::Constant { expr: inner, .. } | Expr::Held { expr: inner, .. } => expr(inner),
        Expr::Param(n) => format!("${n}"),
        Expr::Literal(l) => literal(l),
        Expr::SystemValue(_) => "SYSTEM".into(),
        Expr::Unary(o, a) => format!("({} {})", op(o), expr(a)),
        Expr::Binary(a, o, b) => format!("({} {} {})", expr(a), op(o), expr(b)),
        Expr::And(l) => format!("({})", l.iter().map(expr).collect::<Vec<_>>().join(" AND ")),
        Expr::Or(l) => format!("({})", l.iter().map(expr).collect::<Vec<_>>().join(" OR ")),
        Expr::Not(a) => format!("(NOT {})", expr(a)),
        Expr::Test(a, t) => format!(
            "({} IS {})",
            expr(a),
            match t {
                BoolTest::Null => "NULL",
                BoolTest::NotNull => "NOT NULL",
                BoolTest::True => "TRUE",
                BoolTest::NotTrue => "NOT TRUE",
                BoolTest::False => "FALSE",
                BoolTest::NotFalse => "NOT FALSE",
                BoolTest::Unknown => "UNKNOWN",
                BoolTest::NotUnknown => "NOT UNKNOWN",
            }
        ),
        Expr::IsDistinct {
            left,
            right,
            negated,
        } => format!(
            "({} IS {}DISTINCT FROM {})",
            expr(left),
            negation(*negated),
            expr(right)
        ),
        Expr::Between {
            expr: x,
            low,
            high,
            negated,
            symmetric,
        } => format!(
            "({} {}BETWEEN {}{} AND {})",
            expr(x),
            negation(*negated),
            if *symmetric { "SYMMETRIC " } else { "" },
            expr(low),
            expr(high)
        ),
        Expr::InList {
            expr: x,
            list,
            negated,
        } => {
            format!("({} {}IN ({}))", expr(x), negation(*negated), exprs(list))
        }
        Expr::InQuery {
            expr: x, negated, ..
        } => {
            format!("({} {}IN QUERY)", expr(x), negation(*negated))
        }
        Expr::QuantifiedArray {
            left,
            op: o,
            quantifier,
            array,
        } => format!(
            "({} {} {}({}))",
            expr(left),
            op(o),
            if *quantifier == Quantifier::Any {
                "ANY"
            } else {
                "ALL"
            },
            expr(array)
        ),
        Expr::QuantifiedQuery {
            left,
            op: o,
            quantifier,
            ..
        } => format!(
            "({} {} {} QUERY)",
            expr(left),
            op(o),
            if *quantifier == Quantifier::Any {
                "ANY"
            } else {
                "ALL"
            },
        ),
        Expr::Exists(_) => "EXISTS QUERY".into(),
        Expr::Subquery(_) => "QUERY".into(),
        Expr::ArrayQuery(_) => "ARRAY QUERY".into(),
        Expr::Array(l) => format!("ARRAY[{}]", exprs(l)),
        Expr::Row { fields, .. } => format!("ROW({})", exprs(fields)),
        Expr::Case {
            operand,
            branches,
            otherwise,
        } => {
            let mut out = "CASE".to_owned();
            if let Some(x) = operand {
                write!(out, " {}", expr(x)).unwrap();
            }
            for (when, then) in branches {
                write!(out, " WHEN {} THEN {}", expr(when), expr(then)).unwrap();
            }
            if let Some(x) = otherwise {
                write!(out, " ELSE {}", expr(x)).unwrap();
            }
            out + " END"
        }
        Expr::Coalesce(l) => format!("COALESCE({})", exprs(l)),
        Expr::NullIf(a, b) => format!("NULLIF({}, {})", expr(a), expr(b)),
        Expr::Greatest(l) => format!("GREATEST({})", exprs(l)),
        Expr::Least(l) => format!("LEAST({})", exprs(l)),
        Expr::Grouping(l) => format!("GROUPING({})", exprs(l)),
        Expr::Cast(x, t) => format!("CAST({} AS {})", expr(x), ty(t)),
        Expr::Collate(x, c) => format!("({} COLLATE \"{}\")", expr(x), names(c)),
        Expr::Call(c) => call(c),
        Expr::Subscripts(x, l) => format!("({}){}", expr(x), l.iter().map(sub).collect::<String>()),
        Expr::Field(x, f) => format!("({}).{f}", expr(x)),
        Expr::Keyword(form) => pieces(form),
        Expr::CurrentOf(cursor) => format!("CURRENT OF {cursor}"),
        Expr::Column(_) | Expr::WholeRow { .. } => panic!("lowering resolves nothing"),
    }
}

pub(super) fn pieces(form: &KeywordForm) -> String {
    let piece = |p: &Piece| match p {
        Piece::Word(word) => (*word).to_owned(),
        Piece::Expr(e) => expr(e),
        Piece::Labelled(e, label) => match label {
            Some(label) => format!("{} AS {label}", expr(e)),
            None => expr(e),
        },
        Piece::Query(_) => "QUERY".into(),
        Piece::Type(t) => ty(t),
        Piece::Name(name) => format!("<{name}>"),
        Piece::String(value) => format!("'{value}'"),
        Piece::OrderBy(items) => format!("{} keys", items.len()),
        Piece::Over(_) => "WINDOW".into(),
    };
    form.pieces.iter().map(piece).collect::<Vec<_>>().join(" ")
}
