//! Function calls with all their clauses, and window definitions.

use sqlparser::tokenizer::Token;

use super::{Front, Lowered};
use crate::sql::tree::{
    Call, CallArg, Expr, FrameBound, FrameExclusion, FrameUnits, Name, OrderItem, Window,
    WindowFrame,
};

impl Front<'_, '_> {
    /// After the name: `( … ) [WITHIN GROUP …] [FILTER …] [OVER …]`.
    pub(super) fn call(&mut self, function: Name) -> Lowered<Call> {
        let mut call = Call::plain(function, Vec::new());
        self.expect_token(&Token::LParen)?;
        if self.is_symbol("*") && *self.peek_at(1) == Token::RParen {
            self.advance();
            call.star = true;
        } else if !self.next_is(&Token::RParen) {
            if !self.eat("all") {
                call.distinct = self.eat("distinct");
            }
            call.args = self.list(Self::argument)?;
            let last = call.args.len().saturating_sub(1);
            if call.args.iter().take(last).any(|arg| arg.variadic) {
                return Err(self.syntax());
            }
            if self.is("order") {
                call.order_by = self.order_by()?;
            }
        }
        self.expect_token(&Token::RParen)?;
        self.call_tail(call)
    }

    /// After the arguments: `[WITHIN GROUP …] [FILTER …] [OVER …]`.
    pub(super) fn call_tail(&mut self, mut call: Call) -> Lowered<Call> {
        if self.eat_all(&["within", "group"]) {
            if !call.order_by.is_empty() || call.distinct {
                return Err(self.syntax());
            }
            self.expect_token(&Token::LParen)?;
            call.order_by = self.order_by()?;
            call.within_group = true;
            self.expect_token(&Token::RParen)?;
        }
        call.filter = self.filter_clause()?;
        if self.is_any(&["respect", "ignore"]) && self.is_at(1, "nulls") {
            return self.unsupported("RESPECT NULLS and IGNORE NULLS");
        }
        if self.eat("over") {
            call.over = Some(Box::new(self.over()?));
        }
        Ok(call)
    }

    /// `FILTER (WHERE …)`, or nothing.
    pub(super) fn filter_clause(&mut self) -> Lowered<Option<Box<Expr>>> {
        if !self.is("filter") || *self.peek_at(1) != Token::LParen {
            return Ok(None);
        }
        self.advance();
        self.expect_token(&Token::LParen)?;
        self.expect("where")?;
        let filter = Box::new(self.expr()?);
        self.expect_token(&Token::RParen)?;
        Ok(Some(filter))
    }

    fn argument(&mut self) -> Lowered<CallArg> {
        let variadic = self.eat("variadic");
        let named =
            matches!(self.peek(), Token::Word(_)) && matches!(self.symbol_at(1), Some(":=" | "=>"));
        let name = if named {
            let name = self.label()?;
            self.advance();
            Some(name)
        } else {
            None
        };
        Ok(CallArg {
            name,
            value: self.expr()?,
            variadic,
        })
    }

    pub(super) fn over(&mut self) -> Lowered<Window> {
        if self.next_is(&Token::LParen) {
            return self.window();
        }
        Ok(Window {
            base: Some(self.col_id()?),
            is_reference: true,
            partition_by: Vec::new(),
            order_by: Vec::new(),
            frame: None,
        })
    }

    /// `( [base] [PARTITION BY …] [ORDER BY …] [frame] )`
    pub(super) fn window(&mut self) -> Lowered<Window> {
        self.expect_token(&Token::LParen)?;
        let keyword = self.is_any(&["partition", "range", "rows", "groups"]);
        let base = if !keyword && self.is_col_id_at(0) {
            Some(self.col_id()?)
        } else {
            None
        };
        let partition_by = if self.eat_all(&["partition", "by"]) {
            self.list(Self::expr)?
        } else {
            Vec::new()
        };
        let order_by = if self.is("order") {
            self.order_by()?
        } else {
            Vec::new()
        };
        let frame = self.frame()?;
        self.expect_token(&Token::RParen)?;
        Ok(Window {
            base,
            is_reference: false,
            partition_by,
            order_by,
            frame,
        })
    }

    fn frame(&mut self) -> Lowered<Option<WindowFrame>> {
        let units = match self.word() {
            Some("rows") => FrameUnits::Rows,
            Some("range") => FrameUnits::Range,
            Some("groups") => FrameUnits::Groups,
            Some(_) | None => return Ok(None),
        };
        self.advance();
        let between = self.eat("between");
        let start = self.frame_bound()?;
        let end = if between {
            self.expect("and")?;
            Some(self.frame_bound()?)
        } else {
            None
        };
        let exclusion = if self.eat("exclude") {
            Some(if self.eat_all(&["current", "row"]) {
                FrameExclusion::CurrentRow
            } else if self.eat("group") {
                FrameExclusion::Group
            } else if self.eat("ties") {
                FrameExclusion::Ties
            } else if self.eat_all(&["no", "others"]) {
                FrameExclusion::NoOthers
            } else {
                return Err(self.syntax());
            })
        } else {
            None
        };
        Ok(Some(WindowFrame {
            units,
            start,
            end,
            exclusion,
        }))
    }

    fn frame_bound(&mut self) -> Lowered<FrameBound> {
        if self.eat_all(&["unbounded", "preceding"]) {
            return Ok(FrameBound::UnboundedPreceding);
        }
        if self.eat_all(&["unbounded", "following"]) {
            return Ok(FrameBound::UnboundedFollowing);
        }
        if self.eat_all(&["current", "row"]) {
            return Ok(FrameBound::CurrentRow);
        }
        let offset: Box<Expr> = Box::new(self.expr()?);
        if self.eat("preceding") {
            Ok(FrameBound::Preceding(offset))
        } else {
            self.expect("following")?;
            Ok(FrameBound::Following(offset))
        }
    }

    /// `ORDER BY …`
    pub(super) fn order_by(&mut self) -> Lowered<Vec<OrderItem>> {
        self.expect("order")?;
        self.expect("by")?;
        self.list(Self::order_item)
    }
}
