//! Refusals about a column: what was asked of it, the rule that forbids it, what works instead.

use crate::analyze::IRREVERSIBLE;
use crate::analyze::lineage::Uses;
use crate::ident::Ident;
use crate::mask::TokenColumn;
use crate::mask::token::{Cells, NotDecoded, TokenKind, TokenType};
use crate::pg::sqlstate;
use crate::policy::{Rule, Treatment};
use crate::refusal::Refusal;

/// A column in the words of a refusal.
pub(super) struct Subject<'a> {
    pub(super) table: &'a Ident,
    pub(super) column: &'a Ident,
    pub(super) rule: &'a Rule,
}

impl Subject<'_> {
    pub(super) fn denied(&self) -> Refusal {
        Refusal::denied(format!(
            "permission denied for column {} of {}",
            self.column, self.table
        ))
        .detail(self.rule.ended().unwrap_or_else(|| {
            format!(
                "Class \"{}\" is denied to the role ({}).",
                self.rule.class, self.rule.origin
            )
        }))
    }

    pub(super) fn token_use(&self, uses: Uses) -> Refusal {
        let what = if uses.has(Uses::ORDER) && !uses.has(Uses::COMPUTE) {
            "cannot order by or compare the order of"
        } else if uses.has(Uses::COMPUTE) {
            "cannot compute with"
        } else {
            "cannot group or compare"
        };
        let refusal = Refusal::denied(format!("{what} column {} of {}", self.column, self.table))
            .detail(self.token_rule());
        if self.cells().is_some() {
            return refusal.hint(self.encrypted_hint());
        }
        let column = self.column;
        // There is no hmac of integers.
        if self.has_integers() {
            return refusal.hint(format!("Select {column} itself, count it, or group by it."));
        }
        refusal.hint(format!(
            "Select {column} itself, count it, or group by it; tokenize the class with kind: hmac to \
             compute with its tokens."
        ))
    }

    /// Values are equal under the column's collation whose tokens are not.
    pub(super) fn token_collation(&self) -> Refusal {
        Refusal::denied(format!(
            "cannot group or compare column {} of {}",
            self.column, self.table
        ))
        .detail(format!(
            "Its collation is nondeterministic, and takes texts for equal whose tokens differ. {}",
            self.token_rule()
        ))
        .hint(format!(
            "Select {} itself or count it; tokenize the class with kind: hmac to group or compare its \
             tokens.",
            self.column
        ))
    }

    /// A generated column would have to be computed from it.
    pub(super) fn token_generates(&self, generated: &Ident) -> Refusal {
        Refusal::denied(format!(
            "cannot compute generated column {generated} of {}",
            self.table
        ))
        .detail(format!(
            "It is computed from column {}. {}",
            self.column,
            self.token_rule()
        ))
        .hint(format!(
            "Leave {generated} out, and name the columns you need instead of *."
        ))
    }

    pub(super) fn token_compared(&self) -> Refusal {
        if self.cells().is_some() {
            return Refusal::denied(format!(
                "cannot compare encrypted column {} of {} with that",
                self.column, self.table
            ))
            .detail(self.token_rule())
            .hint(self.encrypted_hint());
        }
        self.compared("something that is not a token of its domain")
    }

    fn cells(&self) -> Option<&Cells> {
        match &self.rule.treatment {
            Treatment::Token(token) => token.cells(),
            Treatment::Clear | Treatment::Mask(_) | Treatment::Nullify | Treatment::Deny => None,
        }
    }

    fn encrypted_hint(&self) -> String {
        let column = self.column;
        let filling = self.cells().is_some_and(Cells::is_filling);
        let with = match &self.rule.treatment {
            Treatment::Token(token) if token.kind() == TokenKind::Masked => {
                return format!(
                    "Select {column} itself or count it: PostgreSQL has nothing to compute its mask of."
                );
            }
            Treatment::Token(token) if token.shows_values() => "strings or parameters",
            Treatment::Token(token) if token.is_reversible() => "tokens",
            _ if filling => {
                return format!(
                    "Until `pgveil encrypt` has ended and `backfill` is gone from the policy, select \
                     {column} itself or count it."
                );
            }
            _ => {
                return format!(
                    "Select {column} itself, count it, group by it, or join it with columns of the same \
                     key and domain."
                );
            }
        };
        if filling {
            return format!(
                "Until `pgveil encrypt` has ended and `backfill` is gone from the policy, select {column} \
                 itself, count it, or compare it with {with} by =, <>, IN or = ANY ($1)."
            );
        }
        format!(
            "Select {column} itself, count it, group by it, compare it with {with} by =, <>, IN or \
             = ANY ($1), or join it with columns of the same key."
        )
    }

    /// The session's temporary table holds what the client put there: the tokens' text.
    pub(super) fn token_in_temporary(&self, temporary: &Ident) -> Refusal {
        let decoded = matches!(&self.rule.treatment,
            Treatment::Token(t) if t.is_reversible() && t.compares() && t.texts() == 1);
        if !decoded {
            return self.token_compared();
        }
        let refusal = self.compared(&format!("the temporary table {temporary} here"));
        let detail = refusal.detail.clone().unwrap_or_default();
        refusal
            .detail(format!(
                "{detail} The temporary table has tokens at most, the column what they stand for. They are \
                 decoded where a column of the table itself is compared by =, <>, IS DISTINCT FROM or IN."
            ))
            .hint(format!(
                "Join with {temporary} itself: … JOIN {temporary} ON {} = {temporary}.…, or {} IN (SELECT \
                 … FROM {temporary}).",
                self.column, self.column
            ))
    }

    /// Its column has a type that tokens have not, or one the proxy does not know.
    pub(super) fn token_in_column(
        &self,
        temporary: &Ident,
        column: &Ident,
        token: &TokenColumn,
    ) -> Refusal {
        let ty = token_type(token);
        Refusal::denied(format!(
            "cannot compare column {} of {} with column {column} of {temporary}",
            self.column, self.table
        ))
        .detail(format!(
            "{} Its tokens are of type {ty}, and column {column} is not, or of a type the proxy does not \
             know.",
            self.token_rule()
        ))
        .hint(format!("CREATE TEMP TABLE {temporary} ({column} {ty}, …)."))
    }

    /// What a statement writes was not there when its tokens were decoded.
    pub(super) fn token_in_written(&self, temporary: &Ident) -> Refusal {
        Refusal::denied(format!(
            "cannot compare column {} of {} with what the same statement writes to {temporary}",
            self.column, self.table
        ))
        .detail(format!(
            "{} What a temporary table holds is decoded before the statement begins.",
            self.token_rule()
        ))
        .hint("Write to the table in one statement, and compare it in the next.")
    }

    fn compared(&self, what: &str) -> Refusal {
        Refusal::denied(format!(
            "cannot compare column {} of {} with {what}",
            self.column, self.table
        ))
        .detail(self.token_rule())
        .hint(if self.has_integers() {
            format!(
                "Give tokens in the statement itself: {column} = ANY ($1), {column} IN (12, …), or a join \
                 with (VALUES (12), …) or unnest($1::int[]). Columns of its type that are tokenized in \
                 domain {domain} can be compared with it.",
                column = self.column,
                domain = self.rule.name
            )
        } else {
            format!(
                "Give tokens in the statement itself: {column} = ANY ($1), {column} IN ('tok_…', …), or a \
                 join with (VALUES ('tok_…'), …) or unnest($1::text[]). Columns of its type that are \
                 tokenized in domain {domain} can be compared with it; tokens of kind: hmac with anything.",
                column = self.column,
                domain = self.rule.name
            )
        })
    }

    fn has_integers(&self) -> bool {
        matches!(&self.rule.treatment,
            Treatment::Token(token) if token.token_type() == TokenType::Integer)
    }

    pub(super) fn token_filtered(&self) -> Refusal {
        Refusal::denied(format!(
            "cannot filter what is copied by column {} of {}",
            self.column, self.table
        ))
        .detail(self.token_rule())
        .hint(format!(
            "COPY … WHERE {} IS NOT NULL works; leave out the other rows before they are sent.",
            self.column
        ))
    }

    fn token_rule(&self) -> String {
        if let Some(cells) = self.cells() {
            return format!(
                "It is stored encrypted with key \"{}\", and PostgreSQL cannot see its values; what the \
                 role sees is made of what comes back ({}).",
                cells.name(),
                self.rule.origin
            );
        }
        format!(
            "The role sees it as a reversible token of domain \"{}\" ({}).",
            self.rule.name, self.rule.origin
        )
    }
}

/// A constant or parameter that is no token, where only one will do, or no array. Never says which.
pub(super) fn not_decoded(why: NotDecoded, token: &TokenColumn) -> Refusal {
    match why {
        NotDecoded::Malformed => Refusal::error(
            sqlstate::FEATURE_NOT_SUPPORTED,
            "an array of tokens must have one dimension, counted from 1",
        )
        .hint("Write '{a,b}' or ARRAY['a', 'b']."),
        NotDecoded::Short => Refusal::error(
            sqlstate::PROTOCOL_VIOLATION,
            "insufficient data left in message",
        ),
        NotDecoded::Long => Refusal::error(
            sqlstate::INVALID_BINARY_REPRESENTATION,
            "incorrect binary data format",
        ),
        // Every uuid is a token: what is none is no uuid.
        NotDecoded::NoToken if token.kind() == TokenKind::Ff1Uuid => Refusal::error(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type uuid",
        ),
        NotDecoded::NoToken if token.kind() == TokenKind::Ff1Integer => Refusal::error(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type integer, or out of range",
        ),
        NotDecoded::NoToken if !token.is_written() => {
            Refusal::denied("cannot write this value to a tokenized column")
                .detail(IRREVERSIBLE)
                .hint("Bind NULL, leave the column out, or write as a role that sees it clearly.")
        }
        NotDecoded::NoToken => Refusal::denied(format!(
            "value is not a token of domain \"{}\"",
            token.domain()
        ))
        .detail(
            "Where a value is shown among the tokens of a column, or stored in it, only a token will \
             do. It was cut, belongs to another domain or key, or is no token at all.",
        )
        .hint("Give tokens as you got them. NULL is always allowed."),
    }
}

/// A constant whose type PostgreSQL would not compare with the tokens.
pub(super) fn other_type(token: &TokenColumn) -> Refusal {
    let ty = token_type(token);
    Refusal::error(
        sqlstate::UNDEFINED_FUNCTION,
        "cannot compare tokens with a constant or parameter of another type",
    )
    .hint(format!(
        "The column's tokens are of type {ty}: give the constant or parameter that type."
    ))
}

fn token_type(token: &TokenColumn) -> &'static str {
    match token.token_type() {
        TokenType::Integer => "integer",
        TokenType::Text => "text",
        TokenType::Uuid => "uuid",
    }
}
