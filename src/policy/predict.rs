//! What a role will be refused because of how it sees a column, said before anybody asks.

use std::collections::BTreeSet;

use super::error::PolicyError;
use super::policy::Policy;
use super::role::RoleKind;
use super::source::shown;
use super::tokens::TokenKind;
use super::treat::{Cell, Word};
use crate::limits;

impl Policy {
    /// A person who is shown reversible tokens will sort them and put them into functions. Said once of
    /// a role and a domain, to who checks a policy: it is no fault of it.
    pub fn predicted(&self) -> Vec<PolicyError> {
        let classes = self
            .treat
            .class
            .iter()
            .map(|((_, role), cell)| (role, cell));
        let levels = self
            .treat
            .level
            .iter()
            .map(|((_, role), cell)| (role, cell));
        let columns = self
            .treat
            .column
            .iter()
            .map(|((_, role), cell)| (role, cell));
        let mut said = BTreeSet::new();
        let mut notes = Vec::new();
        for (role, Cell { word, span }) in classes.chain(levels).chain(columns) {
            let known = self.roles.get(role);
            let Word::Token(domain) = word else { continue };
            let Some(token) = self.tokens.get(domain) else {
                continue;
            };
            let human = known.is_some_and(|role| role.kind == RoleKind::Human);
            if !human || token.kind == TokenKind::Hmac || !said.insert((role, domain)) {
                continue;
            }
            let message = format!(
                "role `{}` sees reversible tokens of domain `{}`: it may select, count, group and join \
                 them; ORDER BY, min and max, functions, json and tables made of them are refused for \
                 columns of more than {} rows or {} different values",
                shown(role),
                shown(domain),
                limits::TABULATED_ROWS,
                limits::UPLOADED_TOKENS
            );
            notes.push(PolicyError::at(span, message).note().help(
                "with `kind: hmac` every use works, on text and uuid columns; such tokens cannot be \
                 turned back",
            ));
        }
        notes
    }
}
