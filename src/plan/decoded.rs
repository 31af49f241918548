//! What is printed in place of the constants of a statement that are tokens, and of the parameters: what
//! they stand for, so that PostgreSQL compares plaintext with plaintext and an index serves.
//!
//! Deliberately absent: which constants those are (`tokens`), and the values of parameters (`param`).

use std::ops::Range;
use std::sync::Arc;

use super::decide::Decisions;
use super::param::{Numbered, Parameters, TokenParameter};
use super::tokens::TokenList;
use crate::analyze::lineage::{Lineage, List, Member, Uses, Value};
use crate::mask::token::{NotDecoded, TokenType};
use crate::pg::Oid;
use crate::pg::types::{Format, oid};
use crate::refusal::Refusal;
use crate::sql::print::{Rewrite, proven, proven_late, quote};

impl Decisions {
    /// Writes the lists of tokens into the rewrite. Parameters are numbered anew when some of them are
    /// tokens: the same `$n` may be shown elsewhere, as the client sent it. So many more `uploads` follow.
    pub(super) fn decode(
        &self,
        lineage: &Lineage,
        rewrite: &mut Rewrite,
        uploads: usize,
    ) -> Result<Option<Numbered>, Refusal> {
        let mut used = Vec::new();
        for (id, list) in &self.lists {
            let Some(written) = lineage.list(*id) else {
                continue;
            };
            for (number, member) in (0_u32..).zip(&written.members) {
                let constants = list.constant(written, member)?;
                match &member.value {
                    Value::Param(n) => {
                        for texts in list.texts(written, member) {
                            let parameter = TokenParameter {
                                token: Arc::clone(&list.token),
                                exact: list.exact,
                                array: member.array,
                                cast: member.cast,
                                placed: written.placed,
                                texts,
                            };
                            used.push(((*id, number), *n, parameter));
                        }
                    }
                    Value::Text(_) | Value::Number { .. } => {
                        rewrite.constants.insert((*id, number), constants);
                    }
                }
            }
        }
        if used.is_empty() && uploads == 0 && lineage.named.is_empty() {
            return Ok(None);
        }
        let mut numbered = Parameters::number(lineage, used, uploads)?;
        rewrite.params = Some(std::mem::take(&mut numbered.plain));
        for (at, n) in &numbered.tokens {
            let parameter = format!("${n}");
            let sql = match lineage.list(at.0) {
                Some(list) => list.proven(parameter),
                None => parameter,
            };
            rewrite.constants.entry(*at).or_default().push(sql);
        }
        Ok(Some(numbered))
    }
}

impl List {
    /// What a token became, where it is stored: it must not get into a column that is another by now.
    fn proven(&self, sql: String) -> String {
        if self.stored.is_empty() {
            return sql;
        }
        let checks = super::pin::stored(&self.stored);
        // PostgreSQL looks into what `unnest()` is given, and what rows are chosen by, as it plans: at
        // errors that never come, too. The one has the checks as a condition of its query besides; of
        // the other a subquery hides the error until it is due.
        let check = if self.unnested {
            checks.join(" AND ")
        } else if self.uses == Uses::NONE {
            proven(&checks)
        } else {
            proven_late(&checks)
        };
        format!("CASE WHEN {check} THEN {sql} END")
    }
}

impl Value {
    /// A constant's text.
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.value().to_owned(),
            Self::Number { negative, digits } => {
                let sign = if *negative { "-" } else { "" };
                format!("{sign}{}", digits.value())
            }
            Self::Param(_) => String::new(),
        }
    }
}

impl TokenList {
    /// The SQL of a member that is a constant, and no parameter: of each text it is written as.
    pub(super) fn constant(&self, written: &List, member: &Member) -> Result<Vec<String>, Refusal> {
        self.fits(written, member)?;
        if let Value::Param(_) = member.value {
            return Ok(Vec::new());
        }
        let text = member.value.text();
        let texts = self.texts(written, member).into_iter();
        texts
            .map(|texts| Ok(written.proven(self.literal(&text, member, texts)?)))
            .collect()
    }

    /// A token of the kind `siv` is a varchar, as one of `ff1` that is no uuid and no integer: PostgreSQL would
    /// compare them with that only.
    fn fits(&self, written: &List, member: &Member) -> Result<(), Refusal> {
        let textual = |t: Oid| matches!(t, oid::TEXT | oid::VARCHAR);
        let fits = match (self.token.token_type(), member.cast) {
            // Its value has to be NULL.
            _ if !self.token.is_written() => member.may_be_null(),
            (TokenType::Text, Some(cast)) => textual(cast),
            // `unnest('{…}')` has no type of its own.
            (TokenType::Text, None) => {
                !(written.placed && member.array) || matches!(member.value, Value::Param(_))
            }
            // What is stored becomes of the column's type, if nothing else says so.
            (_, None) if written.is_only_stored() => true,
            (TokenType::Uuid, Some(cast)) => cast == oid::UUID,
            // What is shown must be of the type it was given.
            (TokenType::Integer, Some(cast))
                if self.exact
                    && (written.stored.is_empty() || written.uses.has(Uses::IDENTITY)) =>
            {
                cast == self.token.type_oid() || cast == oid::INT4 && !written.placed
            }
            (TokenType::Integer, Some(cast)) => matches!(cast, oid::INT4 | oid::INT8),
            (TokenType::Uuid | TokenType::Integer, None) => !written.placed,
        };
        if fits {
            Ok(())
        } else {
            Err(super::subject::other_type(&self.token))
        }
    }

    /// The texts a member is written as, one by one; what is not looked for is what would be stored. An
    /// array's members are all of them in one array.
    fn texts(&self, written: &List, member: &Member) -> Vec<Range<usize>> {
        let texts = if written.searched {
            self.token.texts()
        } else {
            1
        };
        let (times, each) = if member.array { (1, texts) } else { (texts, 1) };
        (0..times).map(|n| n..n.saturating_add(each)).collect()
    }

    /// The SQL of a constant's plaintext.
    fn literal(&self, text: &str, member: &Member, texts: Range<usize>) -> Result<String, Refusal> {
        let decoded = if member.array {
            (self.token).stored_array(text.as_bytes(), Format::Text, self.exact, texts.len())
        } else {
            (self.token).stored_text(texts.start, text.as_bytes(), Format::Text, self.exact)
        };
        let stored = decoded.map_err(|why| super::subject::not_decoded(why, &self.token))?;
        let plain = std::str::from_utf8(&stored.text).map_err(|_e| self.refusal())?;
        let quoted = quote(plain)?;
        let ty = self.token.upstream_type(stored.wide);
        let brackets = if member.array { "[]" } else { "" };
        Ok(match ty.oid {
            oid::TEXT if !member.array => quoted,
            oid::BPCHAR if !member.array && !self.placed => quoted,
            _ => format!("CAST({quoted} AS \"pg_catalog\".\"{}\"{brackets})", ty.name),
        })
    }

    fn refusal(&self) -> Refusal {
        super::subject::not_decoded(NotDecoded::NoToken, &self.token)
    }
}
