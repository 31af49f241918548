//! Names, by the name classes of gram.y: ColId, ColLabel, BareColLabel, qualified names.

use sqlparser::tokenizer::Token;

use super::tokens::STAR;
use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::Unsupported;
use crate::sql::scan::keyword;
use crate::sql::tree::{Name, Operator, Position};

impl Front<'_, '_> {
    /// Is the token `ahead` a `ColId`?
    pub(super) fn is_col_id_at(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            Token::Word(word) => {
                word.value != STAR
                    && (word.quote_style.is_some() || keyword::is_column_name(&word.value))
            }
            _ => false,
        }
    }

    /// Any word: `ColLabel`.
    pub(super) fn label(&mut self) -> Lowered<Ident> {
        let name = match self.peek() {
            Token::Word(word) if word.value != STAR => Ident::exact(&word.value),
            _ => return Err(self.syntax()),
        };
        self.advance();
        Ok(name)
    }

    /// `ColId`
    pub(super) fn col_id(&mut self) -> Lowered<Ident> {
        if !self.is_col_id_at(0) {
            return Err(self.syntax());
        }
        self.label()
    }

    /// A label after an expression, with or without AS.
    pub(super) fn target_label(&mut self) -> Lowered<Option<Ident>> {
        if self.eat("as") {
            return self.label().map(Some);
        }
        let bare = match self.peek() {
            Token::Word(word) => word.quote_style.is_some() || keyword::is_bare_label(&word.value),
            _ => false,
        };
        if bare {
            self.label().map(Some)
        } else {
            Ok(None)
        }
    }

    /// `ColId [. ColLabel]…`: a relation, or anything else named like one. At most `max` parts.
    pub(super) fn any_name(&mut self, max: usize) -> Lowered<Name> {
        let position = self.place();
        let mut parts = vec![self.col_id()?];
        while self.take(&Token::Period) {
            if parts.len() >= max {
                return self.unsupported("a name with that many parts");
            }
            parts.push(self.label()?);
        }
        Ok(Name { parts, position })
    }

    /// A relation that is read or written: `t`, `s.t`, or `d.s.t` of this database.
    pub(super) fn relation_name(&mut self) -> Lowered<Name> {
        let name = self.any_name(3)?;
        match name.parts.last() {
            Some(relation) if is_reserved(relation) => Err(reserved(relation, name.position)),
            _ => Ok(name),
        }
    }

    /// What rows are called in a query: an alias in FROM, a name of WITH.
    pub(super) fn row_source_name(&mut self) -> Lowered<Ident> {
        let position = self.place();
        let name = self.col_id()?;
        if is_reserved(&name) {
            return Err(reserved(&name, position));
        }
        Ok(name)
    }

    /// Any other relation: `t`, `s.t`.
    pub(super) fn qualified_name(&mut self) -> Lowered<Name> {
        self.any_name(2)
    }

    /// `ColId` in parentheses, comma separated.
    pub(super) fn name_list(&mut self) -> Lowered<Vec<Ident>> {
        self.parenthesised(Self::col_id)
    }

    /// `OPERATOR ( [schema .] op )`, the word already read; or a bare operator.
    pub(super) fn any_operator(&mut self, parenthesised: bool) -> Lowered<Operator> {
        if parenthesised {
            self.expect_token(&Token::LParen)?;
        }
        let mut schema = None;
        if matches!(self.peek(), Token::Word(_)) {
            schema = Some(self.col_id()?);
            // `.*` was read as a star; an operator of that name is `*`.
            self.expect_token(&Token::Period)?;
        }
        let symbol: Box<str> = match self.peek() {
            Token::CustomBinaryOperator(symbol)
                if !matches!(symbol.as_str(), "::" | ":=" | "=>" | "..") =>
            {
                symbol.as_str().into()
            }
            Token::Word(word) if word.value == STAR => "*".into(),
            _ => return Err(self.syntax()),
        };
        self.advance();
        if parenthesised {
            self.expect_token(&Token::RParen)?;
        }
        Ok(Operator {
            schema,
            ..operator(&symbol)
        })
    }
}

/// An operator by its symbol, to be found by the search path.
pub(super) fn operator(symbol: &str) -> Operator {
    Operator {
        schema: None,
        symbol: symbol.into(),
        decides: [false; 2],
    }
}

/// A name in pg_catalog, as gram.y's `SystemFuncName` makes.
pub(super) fn system_name(name: &str, position: Position) -> Name {
    Name {
        position,
        ..Name::builtin(name)
    }
}

/// The proxy calls row sources of its own so: a client's of the same name would be taken for them.
fn is_reserved(name: &Ident) -> bool {
    name.as_str().starts_with("pgveil ")
}

fn reserved(name: &Ident, position: Position) -> Unsupported {
    Unsupported {
        sqlstate: crate::pg::sqlstate::RESERVED_NAME,
        hint: Some("Names of relations and aliases do not begin with \"pgveil \".".into()),
        ..Unsupported::form(format!("unacceptable name \"{name}\""), position.byte())
    }
}
