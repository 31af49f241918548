//! Texts that reversible tokens go into: what is known of each, function by function.
//!
//! Deliberately absent: which questions about them are answered, that is `outline`.

use super::{Reader, is_never, is_scalar, own_name, string, string_of};
use crate::analyze::scope::Found;
use crate::mask::token::Known;
use crate::pg::types::oid;
use crate::sql::tree::{Call, Constant, Expr, Literal, Name};

/// What may stand in a value's place besides a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Beside {
    /// NULL at most.
    Nothing,
    /// Constants: their collation is the column's.
    Constants,
    /// Values of any kind.
    Values,
}

/// A text that tokens go into. Where something else stands in their place, it is what it is.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) known: Known,
    beside: Beside,
}

impl Form {
    fn map(self, change: impl FnOnce(Known) -> Known) -> Self {
        Self {
            known: change(self.known),
            ..self
        }
    }

    /// With texts before it: constants, where they are.
    fn behind(self, texts: &[Option<Constant>]) -> Self {
        let constants: Option<Vec<&str>> = texts
            .iter()
            .map(|t| t.as_ref().map(Constant::value))
            .collect();
        match constants {
            Some(constants) => self.map(|known| known.behind(&constants.concat())),
            None => Self {
                known: self.known.within(),
                beside: Beside::Values,
            },
        }
    }

    /// With a text behind it: a constant, another that tokens go into, or any.
    fn followed(self, constant: Option<&Constant>, form: Option<&Self>) -> Self {
        match (constant, form) {
            (_, Some(form)) => Self {
                known: self.known.then(&form.known),
                beside: self.beside.max(form.beside),
            },
            (Some(constant), None) => self.map(|known| known.followed(Some(constant.value()))),
            (None, None) => Self {
                known: self.known.followed(None),
                beside: Beside::Values,
            },
        }
    }

    /// Texts are compared and searched as the column's collation says, and it tells all apart.
    pub(super) fn is_searched_by_bytes(&self) -> bool {
        self.beside < Beside::Values
    }
}

impl Reader<'_> {
    /// What is known of a text, if tokens go into it.
    pub(super) fn form(&self, e: &mut Expr, depth: usize) -> Option<Form> {
        let first = Reader {
            draws: false,
            ..*self
        };
        let form = first.read(e, depth)?;
        if self.draws {
            self.read(e, depth)?;
        }
        Some(form)
    }

    fn read(&self, e: &mut Expr, depth: usize) -> Option<Form> {
        let deeper = depth.checked_sub(1)?;
        match e {
            Expr::Name(name) => {
                let name = name.clone();
                self.token(e, name)
            }
            Expr::Cast(inner, ty) if self.analyzer.is_text(ty) => self.form(inner, deeper),
            Expr::Coalesce(list) => self.one_of(list.iter_mut(), deeper),
            Expr::Case {
                branches,
                otherwise,
                ..
            } => {
                let values = branches.iter_mut().map(|(_, then)| then);
                self.one_of(values.chain(otherwise.as_deref_mut()), deeper)
            }
            Expr::NullIf(inner, other) => {
                let form = self.form(inner, deeper)?;
                (form.is_searched_by_bytes() && is_never(&form, other)).then_some(form)
            }
            Expr::Binary(l, op, r) if &*op.symbol == "||" => {
                if !self.analyzer.is_own_operator(op) {
                    return None;
                }
                self.joined([&mut **l, &mut **r].into_iter(), deeper)
            }
            Expr::Call(call) => self.call(call, deeper),
            _ => None,
        }
    }

    /// A column of tokens, drawn.
    fn token(&self, e: &mut Expr, name: Name) -> Option<Form> {
        let Ok(Found::Column(c)) = self.scope.find(&name) else {
            return None;
        };
        let known = self.analyzer.known(c)?;
        if self.draws {
            *e = Expr::Outline {
                of: Box::new(Expr::Name(name)),
                begins: known.beginning().into(),
                varchar: c.ty == Some(oid::VARCHAR),
            };
        }
        Some(Form {
            known,
            beside: Beside::Nothing,
        })
    }

    /// One of several values, some of which tokens go into.
    fn one_of<'e>(&self, values: impl Iterator<Item = &'e mut Expr>, depth: usize) -> Option<Form> {
        let mut found: Option<Form> = None;
        let mut beside = Beside::Nothing;
        for value in values {
            if let Some(form) = self.form(value, depth) {
                beside = beside.max(form.beside);
                found = Some(match found {
                    None => form,
                    Some(before) => before.map(|known| known.or(&form.known)),
                });
            } else {
                beside = beside.max(match value {
                    Expr::Literal(Literal::Null) => Beside::Nothing,
                    Expr::Literal(Literal::String(_)) => Beside::Constants,
                    _ => Beside::Values,
                });
            }
        }
        found.map(|form| Form {
            beside: beside.max(form.beside),
            ..form
        })
    }

    /// Texts one behind the other. What stands before the first that a token goes into, and is no
    /// constant, hides its beginning.
    fn joined<'e>(&self, texts: impl Iterator<Item = &'e mut Expr>, depth: usize) -> Option<Form> {
        let mut before = Vec::new();
        let mut joined: Option<Form> = None;
        for text in texts {
            let constant = string_of(text).cloned();
            let form = match constant {
                Some(_) => None,
                None => self.form(text, depth),
            };
            joined = match (joined, form) {
                (None, None) => {
                    before.push(constant);
                    None
                }
                (None, Some(form)) => Some(form.behind(&before)),
                (Some(joined), form) => Some(joined.followed(constant.as_ref(), form.as_ref())),
            };
        }
        joined
    }

    /// The same where NULL is nothing: what is left of several has as many characters at least as none.
    fn concatenated<'e>(
        &self,
        texts: impl Iterator<Item = &'e mut Expr>,
        depth: usize,
    ) -> Option<Form> {
        let mut found: Option<Form> = None;
        for (n, text) in texts.enumerate() {
            let Some(form) = self.form(text, depth) else {
                continue;
            };
            let known = match (&found, n) {
                (None, 0) => form.known.followed(None),
                (None, _) => form.known.within(),
                (Some(before), _) => before.known.clone().then(&form.known).within(),
            };
            found = Some(Form {
                known,
                beside: Beside::Values,
            });
        }
        found
    }

    fn call(&self, call: &mut Call, depth: usize) -> Option<Form> {
        let name = own_name(&call.function)?.as_str().to_owned();
        if call.args.iter().any(|a| a.name.is_some() || a.variadic) {
            return None;
        }
        let aggregate = matches!(name.as_str(), "min" | "max");
        if !aggregate && !is_scalar(call) || !self.analyzer.is_own_function(&call.function) {
            return None;
        }
        if matches!(name.as_str(), "concat" | "concat_ws") {
            let texts = call.args.iter_mut().map(|a| &mut a.value);
            return self.concatenated(texts.skip(usize::from(name == "concat_ws")), depth);
        }
        let (first, rest) = call.args.split_first_mut()?;
        let form = self.form(&mut first.value, depth)?;
        let at = |n: usize| rest.get(n).map(|a| &a.value);
        let searched = form.is_searched_by_bytes();
        let count = |n: usize| at(n).and_then(number);
        match (name.as_str(), rest.len()) {
            ("min" | "max", 0) if form.beside == Beside::Nothing => {
                Some(form.map(Known::any_of_them))
            }
            ("lower" | "btrim" | "ltrim" | "rtrim", 0) if is_unchanged(&form, &name) => Some(form),
            ("upper", 0) => Some(form.map(Known::upper)),
            ("reverse", 0) => Some(form.map(Known::shuffled)),
            ("md5", 0) => Some(form.map(|known| known.digest(32))),
            ("left", 1) => count(0).map(|n| form.map(|known| known.first(n))),
            ("right", 1) => count(0).map(|n| form.map(|known| known.some(n))),
            ("substr" | "substring", 1 | 2) => {
                let from = count(0)?;
                let form = form.map(|known| known.after(from.saturating_sub(1)));
                match rest.len() {
                    1 => Some(form),
                    // What would stand before the first character is counted too.
                    _ => count(1).map(|n| {
                        let n = n.saturating_sub(usize::from(from == 0));
                        form.map(|known| known.first(n))
                    }),
                }
            }
            ("replace", 2) if searched => {
                let (from, to) = (at(0).and_then(string)?, at(1).and_then(string)?);
                if form.known.lacks(from) {
                    return Some(form);
                }
                Some(form.map(|known| known.changed(to)))
            }
            ("split_part", 2) if searched => {
                let (by, part) = (at(0).and_then(string)?, count(1)?);
                match part {
                    1 if form.known.lacks(by) => Some(form),
                    2.. if form.known.lacks(by) => Some(form.map(Known::empty)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Does the function leave such a text as it is? A constant beside it need not stay.
fn is_unchanged(form: &Form, function: &str) -> bool {
    match function {
        "lower" => form.known.lacks_capitals(),
        _ => form.known.lacks(" "),
    }
}

/// A count that is not negative.
fn number(e: &Expr) -> Option<usize> {
    match e {
        Expr::Literal(Literal::Number(n)) => n.value().parse().ok(),
        _ => None,
    }
}
