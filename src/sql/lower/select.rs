//! `SELECT` up to, not including, ORDER BY.

use sqlparser::tokenizer::Token;

use super::tokens::STAR;
use super::{Front, Lowered};
use crate::ident::Ident;
use crate::sql::tree::{Distinct, Expr, GroupItem, Name, Select, SelectItem, Star, Window};

impl Front<'_, '_> {
    pub(super) fn select(&mut self) -> Lowered<Select> {
        self.expect("select")?;
        let distinct = self.distinct()?;
        let items = if self.ends_select_list() {
            Vec::new()
        } else {
            self.list(Self::select_item)?
        };
        let into = self.select_into()?;
        let from = if self.eat("from") {
            self.list(Self::table_ref)?
        } else {
            Vec::new()
        };
        let filter = self.where_clause()?;
        let (group_by, group_distinct) = self.group_by()?;
        let having = if self.eat("having") {
            Some(self.expr()?)
        } else {
            None
        };
        let windows = if self.eat("window") {
            self.list(Self::named_window)?
        } else {
            Vec::new()
        };
        Ok(Select {
            distinct,
            items,
            into,
            from,
            filter,
            group_by,
            group_distinct,
            having,
            windows,
            spelled: Vec::new(),
        })
    }

    pub(super) fn where_clause(&mut self) -> Lowered<Option<Expr>> {
        if self.eat("where") {
            self.expr().map(Some)
        } else {
            Ok(None)
        }
    }

    fn distinct(&mut self) -> Lowered<Option<Distinct>> {
        if self.eat("all") || !self.eat("distinct") {
            return Ok(None);
        }
        if self.eat("on") {
            return Ok(Some(Distinct::On(self.parenthesised(Self::expr)?)));
        }
        Ok(Some(Distinct::All))
    }

    /// PostgreSQL's select list may be empty.
    fn ends_select_list(&self) -> bool {
        self.at_end()
            || self.next_is(&Token::RParen)
            || self.is_any(&[
                "into",
                "from",
                "where",
                "group",
                "having",
                "window",
                "union",
                "intersect",
                "except",
                "order",
                "limit",
                "offset",
                "fetch",
                "for",
            ])
    }

    /// An item of a select list or of RETURNING.
    pub(super) fn select_item(&mut self) -> Lowered<SelectItem> {
        let position = self.place();
        if self.take_symbol("*") {
            return Ok(SelectItem::Star(Star::All(position)));
        }
        let expr = self.expr()?;
        let expr = match expr {
            Expr::Star(name) => return Ok(SelectItem::Star(Star::Of(name))),
            Expr::Field(base, field) if field == STAR => {
                self.engine.allow_field_star();
                return Ok(SelectItem::FieldStar(*base));
            }
            other => other,
        };
        let alias = self.target_label()?;
        Ok(SelectItem::Expr { expr, alias })
    }

    /// `INTO [TEMP] [TABLE] t`: the name, and whether it is temporary.
    fn select_into(&mut self) -> Lowered<Option<(Name, bool)>> {
        if !self.eat("into") {
            return Ok(None);
        }
        let mut temporary = self.temporary();
        if !temporary && self.is("unlogged") {
            return self.unsupported("SELECT INTO UNLOGGED");
        }
        self.eat("table");
        let name = self.qualified_name()?;
        if name.parts.len() == 2
            && name
                .parts
                .first()
                .is_some_and(|schema| *schema == "pg_temp")
        {
            temporary = true;
        }
        Ok(Some((name, temporary)))
    }

    /// `[LOCAL|GLOBAL] TEMP|TEMPORARY`
    pub(super) fn temporary(&mut self) -> bool {
        self.eat("temp")
            || self.eat("temporary")
            || self.eat_all(&["local", "temp"])
            || self.eat_all(&["local", "temporary"])
            || self.eat_all(&["global", "temp"])
            || self.eat_all(&["global", "temporary"])
    }

    fn group_by(&mut self) -> Lowered<(Vec<GroupItem>, bool)> {
        if !self.eat_all(&["group", "by"]) {
            return Ok((Vec::new(), false));
        }
        let distinct = self.eat("distinct");
        if !distinct {
            self.eat("all");
        }
        Ok((self.list(Self::group_item)?, distinct))
    }

    fn group_item(&mut self) -> Lowered<GroupItem> {
        if self.next_is(&Token::LParen) && *self.peek_at(1) == Token::RParen {
            self.advance();
            self.advance();
            return Ok(GroupItem::Empty);
        }
        if *self.peek_at(1) == Token::LParen {
            if self.eat("rollup") {
                return Ok(GroupItem::Rollup(self.parenthesised(Self::group_list)?));
            }
            if self.eat("cube") {
                return Ok(GroupItem::Cube(self.parenthesised(Self::group_list)?));
            }
        }
        if self.eat_all(&["grouping", "sets"]) {
            return Ok(GroupItem::Sets(self.parenthesised(Self::group_item)?));
        }
        // `(a, b)` is a list of two keys, in and out of GROUPING SETS.
        Ok(match self.expr()? {
            Expr::Row {
                fields,
                explicit: false,
            } => GroupItem::List(fields),
            other => GroupItem::Expr(other),
        })
    }

    fn group_list(&mut self) -> Lowered<Vec<Expr>> {
        Ok(match self.expr()? {
            Expr::Row {
                fields,
                explicit: false,
            } => fields,
            other => vec![other],
        })
    }

    fn named_window(&mut self) -> Lowered<(Ident, Window)> {
        let name = self.col_id()?;
        self.expect("as")?;
        Ok((name, self.window()?))
    }
}
