//! Parameters when some of them are tokens: PostgreSQL gets its own, one for each way `$n` is used.
//!
//! A use as a token gets the plaintext; any other gets what the client sent. The client keeps seeing
//! its own parameters. Deliberately absent: the messages, which are the session's.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::analyze::ObjectKind;
use crate::analyze::lineage::Lineage;
use crate::catalog::Catalog;
use crate::catalog::allow::Unheeded;
use crate::mask::TokenColumn;
use crate::mask::token::TokenType;
use crate::pg::types::{Format, oid};
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::sql::tree::{Expr, ListId, Literal, Name, TypeName};

/// Where a constant stands: its list and number.
type At = (ListId, u32);

/// How a parameter is used as a token.
pub(super) struct TokenParameter {
    pub(super) token: Arc<TokenColumn>,
    /// Only a token will do: the value is shown or stored.
    pub(super) exact: bool,
    pub(super) array: bool,
    pub(super) cast: Option<Oid>,
    pub(super) placed: bool,
    /// Which of the texts its value may be stored as; of an array's members all of these.
    pub(super) texts: Range<usize>,
}

/// What PostgreSQL's parameters are made of.
pub struct Parameters {
    pub(super) upstream: Vec<(u16, Use)>,
    /// How many the text names.
    pub(super) client: usize,
}

pub(super) enum Use {
    /// As the client sends it; the type it has, if nothing else says so.
    Plain(Option<Oid>),
    /// As a value of this setting.
    Setting(&'static Unheeded),
    /// As the client sends it, but for the schema of what it names.
    Named(ObjectKind),
    Token(TokenParameter),
    /// What was read for the statement, as a map; no parameter of the client's.
    Upload(usize),
}

/// What a statement's parameters became.
pub(super) struct Numbered {
    pub(super) parameters: Parameters,
    /// New numbers of those that are no tokens.
    pub(super) plain: HashMap<u16, u16>,
    /// Numbers of the constants that are tokens.
    pub(super) tokens: Vec<(At, u16)>,
    /// Numbers of the uploads.
    pub(super) uploads: Vec<u16>,
}

impl Parameters {
    /// Numbers PostgreSQL's parameters: those the client's text names otherwise than as tokens, and
    /// one for each way the others are used.
    pub(super) fn number(
        lineage: &Lineage,
        used: Vec<(At, u16, TokenParameter)>,
        uploads: usize,
    ) -> Result<Numbered, Refusal> {
        let written = &lineage.params;
        let last = written.keys().next_back().copied().unwrap_or(0);
        // How often each is a token, and the type it then has.
        let mut as_token: HashMap<u16, (u32, Oid)> = HashMap::new();
        // What is several texts is one use.
        let firsts = used.iter().filter(|(.., p)| p.texts.start == 0);
        for (_, n, parameter) in firsts {
            let (times, _) = as_token.entry(*n).or_insert((0, parameter.shown()));
            *times = times.saturating_add(1);
        }
        let mut upstream = Vec::new();
        let mut plain = HashMap::new();
        for n in 1..=last {
            let token = as_token.get(&n);
            let times = written.get(&n).copied().unwrap_or(0);
            let named = lineage.named.get(&n).filter(|(_, named)| *named == times);
            if let Some((kind, _)) = named {
                upstream.push((n, Use::Named(*kind)));
                plain.insert(n, number(upstream.len())?);
            } else if token.is_none_or(|(as_token, _)| times > *as_token) {
                // Beside a token it is of the token's type: PostgreSQL has one type for one `$n`.
                upstream.push((n, Use::Plain(token.map(|(_, shown)| *shown))));
                plain.insert(n, number(upstream.len())?);
            }
        }
        let mut tokens = Vec::with_capacity(used.len());
        let mut uses: HashMap<u16, Vec<u16>> = HashMap::new();
        for (at, n, parameter) in used {
            let known = uses.entry(n).or_default();
            let same = known.iter().copied().find(|k| {
                let use_ = upstream.get(index(*k));
                matches!(use_, Some((_, Use::Token(t))) if t.same(&parameter))
            });
            let own = if let Some(own) = same {
                own
            } else {
                upstream.push((n, Use::Token(parameter)));
                let own = number(upstream.len())?;
                known.push(own);
                own
            };
            tokens.push((at, own));
        }
        let mut numbers = Vec::with_capacity(uploads);
        for upload in 0..uploads {
            upstream.push((0, Use::Upload(upload)));
            numbers.push(number(upstream.len())?);
        }
        Ok(Numbered {
            parameters: Self {
                upstream,
                client: usize::from(last),
            },
            plain,
            tokens,
            uploads: numbers,
        })
    }

    /// Reads the values of a parameter as a setting's. It is nothing else in the statement.
    pub(super) fn set(&mut self, n: u16, setting: &'static Unheeded) -> Result<(), Refusal> {
        let mut uses = self.upstream.iter_mut().filter(|(of, _)| *of == n);
        match (uses.next(), uses.next()) {
            (Some((_, use_ @ Use::Plain(None))), None) => *use_ = Use::Setting(setting),
            _ => return Err(super::settings::shared(setting.name)),
        }
        Ok(())
    }

    /// The types of PostgreSQL's parameters, given those the client names; 0 leaves one open.
    pub fn types(&self, declared: &[Oid]) -> Result<Vec<Oid>, Refusal> {
        let types = self.upstream.iter().map(|(n, use_)| {
            let named = declared.get(index(*n)).copied().unwrap_or(0);
            match use_ {
                Use::Plain(Some(beside)) if named == 0 => Ok(*beside),
                Use::Plain(_) | Use::Setting(_) | Use::Named(_) => Ok(named),
                Use::Token(t) => t.upstream(named),
                Use::Upload(_) => Ok(oid::JSONB),
            }
        });
        types.collect()
    }

    /// The same types as PREPARE lists them.
    pub(super) fn type_names(
        &self,
        declared: &[Oid],
        catalog: &Catalog,
    ) -> Result<Vec<TypeName>, Refusal> {
        let named = |ty: Oid| {
            // An open one is `unknown`.
            let ty = if ty == 0 { oid::UNKNOWN } else { ty };
            let info = catalog.types.get(&ty)?;
            Some(TypeName {
                name: Name::made(vec![info.schema.clone(), info.name.clone()]),
                typmods: Vec::new(),
                interval_fields: None,
                array_dims: 0,
            })
        };
        let types = self.types(declared)?;
        let names: Option<Vec<TypeName>> = types.into_iter().map(named).collect();
        names.ok_or_else(|| Refusal::error(sqlstate::UNDEFINED_OBJECT, "type does not exist"))
    }

    /// The client's parameters, given the types PostgreSQL found for its own.
    pub fn describe(&self, declared: &[Oid], found: &[Oid]) -> Option<Vec<Oid>> {
        if found.len() != self.upstream.len() {
            return None;
        }
        let mut types = declared.to_vec();
        types.resize(self.client.max(declared.len()), 0);
        // Plain uses come first: what PostgreSQL found for one stands.
        for ((n, use_), found) in self.upstream.iter().zip(found) {
            if let Use::Upload(_) = use_ {
                continue;
            }
            let ty = types.get_mut(index(*n))?;
            match use_ {
                Use::Plain(_) | Use::Setting(_) | Use::Named(_) => *ty = *found,
                Use::Token(t) if *ty == 0 => *ty = t.shown(),
                Use::Token(_) | Use::Upload(_) => {}
            }
        }
        Some(types)
    }

    /// Whether values bound for these go where values bound for `other` go.
    pub fn agree(&self, other: &Self) -> bool {
        let same = |((n, a), (m, b)): (&(u16, Use), &(u16, Use))| {
            n == m
                && match (a, b) {
                    (Use::Plain(_), Use::Plain(_)) => true,
                    (Use::Setting(a), Use::Setting(b)) => a.name == b.name,
                    (Use::Named(a), Use::Named(b)) => a == b,
                    (Use::Token(a), Use::Token(b)) => a.used_like(b),
                    (Use::Upload(a), Use::Upload(b)) => a == b,
                    _ => false,
                }
        };
        self.upstream.len() == other.upstream.len()
            && self.upstream.iter().zip(&other.upstream).all(same)
    }

    /// The arguments of an EXECUTE for PostgreSQL's parameters.
    pub(super) fn decode_arguments(&self, args: &[Expr]) -> Result<Vec<Expr>, Refusal> {
        if args.len() < self.client {
            return Err(Refusal::error(
                sqlstate::SYNTAX_ERROR,
                "wrong number of parameters for prepared statement",
            )
            .detail(format!(
                "Expected {} parameters but got {}.",
                self.client,
                args.len()
            )));
        }
        let arguments = self.upstream.iter().map(|(n, use_)| {
            let arg = || args.get(index(*n)).ok_or_else(not_constant);
            match use_ {
                Use::Plain(_) | Use::Named(_) => arg().cloned(),
                Use::Token(t) => t.argument(arg()?),
                Use::Setting(s) => super::settings::argument(s, arg()?),
                Use::Upload(_) => Err(super::uploads::not_prepared()),
            }
        });
        arguments.collect()
    }
}

impl TokenParameter {
    fn same(&self, other: &Self) -> bool {
        self.token.joins_with(&other.token) && self.used_like(other)
    }

    /// Of the same domain, whatever became of its keys, and put into the same place.
    fn used_like(&self, other: &Self) -> bool {
        self.token.reads_like(&other.token)
            && (self.exact, self.array, self.cast, self.placed)
                == (other.exact, other.array, other.cast, other.placed)
            && self.texts == other.texts
    }

    /// The type PostgreSQL would find for it on a table of tokens.
    fn shown(&self) -> Oid {
        match (self.cast, self.token.token_type(), self.array) {
            (Some(oid::VARCHAR), _, false) => oid::VARCHAR,
            (Some(oid::VARCHAR), _, true) => 1015,
            (_, TokenType::Text, false) => oid::TEXT,
            (_, TokenType::Text, true) => 1009,
            (_, TokenType::Uuid, false) => oid::UUID,
            (_, TokenType::Uuid, true) => 2951,
            (cast, TokenType::Integer, array) => {
                match (cast.unwrap_or(self.token.type_oid()), array) {
                    (oid::INT4, false) => oid::INT4,
                    (oid::INT4, true) => 1007,
                    (_, false) => oid::INT8,
                    (_, true) => 1016,
                }
            }
        }
    }

    /// The type of PostgreSQL's parameter.
    fn upstream(&self, named: Oid) -> Result<Oid, Refusal> {
        let fits = match (self.token.token_type(), self.array) {
            (TokenType::Text, false) => {
                matches!(named, 0 | oid::TEXT | oid::VARCHAR | oid::UNKNOWN)
            }
            (TokenType::Text, true) => matches!(named, 0 | 1009 | 1015),
            (TokenType::Uuid, false) => matches!(named, 0 | oid::UUID),
            (TokenType::Uuid, true) => matches!(named, 0 | 2951),
            (TokenType::Integer, false) => {
                matches!(named, 0 | oid::INT2 | oid::INT4 | oid::INT8)
            }
            (TokenType::Integer, true) => matches!(named, 0 | 1005 | 1007 | 1016),
        };
        if !fits {
            return Err(super::subject::other_type(&self.token));
        }
        if self.placed && self.array && self.cast.is_none() && named == 0 {
            return Err(Refusal::error(
                "42725",
                "function unnest(unknown) is not unique",
            )
            .hint("Could not choose a best candidate function. You might need to add explicit type casts."));
        }
        let ty = self.token.upstream_type(!self.exact);
        Ok(if self.array { ty.array } else { ty.oid })
    }

    /// The plaintext of an argument of EXECUTE, which has to be a constant.
    fn argument(&self, arg: &Expr) -> Result<Expr, Refusal> {
        match arg {
            Expr::Literal(Literal::Null) => Ok(arg.clone()),
            Expr::Literal(Literal::String(text)) => self.written(text.value()),
            Expr::Literal(Literal::Number(number)) if self.counts() => self.written(number.value()),
            Expr::Unary(minus, number) if &*minus.symbol == "-" && self.counts() => {
                match number.as_ref() {
                    Expr::Literal(Literal::Number(number)) => {
                        self.written(&format!("-{}", number.value()))
                    }
                    _ => Err(not_constant()),
                }
            }
            _ => Err(not_constant()),
        }
    }

    /// Are its tokens numbers?
    fn counts(&self) -> bool {
        self.token.token_type() == TokenType::Integer && !self.array
    }

    /// The plaintext as a constant.
    fn written(&self, token: &str) -> Result<Expr, Refusal> {
        let plain = self.stored(token.as_bytes(), Format::Text)?;
        let plain = std::str::from_utf8(&plain).map_err(|_e| not_constant())?;
        Ok(Expr::Literal(Literal::String(plain.into())))
    }

    /// The plaintext.
    pub(super) fn stored(
        &self,
        value: &[u8],
        format: Format,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let decoded = if self.array {
            (self.token).stored_array(value, format, self.exact, self.texts.len())
        } else {
            (self.token).stored_text(self.texts.start, value, format, self.exact)
        };
        match decoded {
            Ok(stored) => Ok(stored.text),
            Err(why) => Err(super::subject::not_decoded(why, &self.token)),
        }
    }
}

/// May a client declare its parameters to be of these types? 0 leaves one to PostgreSQL.
pub fn check_parameter_types(
    types: &[Oid],
    ctx: &super::plan::PlanContext<'_>,
) -> Result<(), Refusal> {
    let named = types.iter().copied().filter(|ty| *ty != 0);
    if let Some(unknown) = named
        .clone()
        .find(|ty| !ctx.snapshot.catalog.types.contains_key(ty))
    {
        return Err(Refusal::error(
            sqlstate::UNDEFINED_OBJECT,
            format!("type with OID {unknown} does not exist"),
        ));
    }
    crate::analyze::constructible(named, super::statement::grounds(ctx))
}

fn not_constant() -> Refusal {
    Refusal::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "an argument of EXECUTE that is compared with tokens must be a constant",
    )
    .hint("Write EXECUTE name ('tok_…'), without a cast or an expression.")
}

/// `$n` as an index.
pub(super) fn index(n: u16) -> usize {
    usize::from(n).saturating_sub(1)
}

/// A count of parameters as `$n`. PostgreSQL has no more than these either.
fn number(count: usize) -> Result<u16, Refusal> {
    u16::try_from(count).map_err(|_e| {
        Refusal::error(sqlstate::PROGRAM_LIMIT_EXCEEDED, "too many parameters")
            .hint("Bind an array: column = ANY ($1).")
    })
}
