//! Queries: WITH, set operations, VALUES, TABLE, ORDER BY, LIMIT, locking.

use sqlparser::tokenizer::Token;

use super::dialect::strength;
use super::{Front, Lowered};
use crate::sql::Unsupported;
use crate::sql::tree::{
    Cte, Cycle, Expr, Limit, Literal, LockStrength, LockWait, Locking, NullsOrder, OrderItem,
    Position, Query, RelationRef, Search, Select, SelectItem, SetExpr, SetOp, SortDirection, Star,
    TableRef, With,
};

impl Front<'_, '_> {
    /// `( query )`
    pub(super) fn parenthesised_query(&mut self) -> Lowered<Query> {
        self.expect_token(&Token::LParen)?;
        let query = self.query()?;
        self.expect_token(&Token::RParen)?;
        Ok(query)
    }

    /// A query with everything that may precede and follow it.
    pub(super) fn query(&mut self) -> Lowered<Query> {
        let with = self.with()?;
        self.query_after(with)
    }

    /// The rest of a query whose WITH has been read.
    pub(super) fn query_after(&mut self, with: Option<With>) -> Lowered<Query> {
        let body = self.set_expression()?;
        self.query_tail(with, body)
    }

    /// A query of which nothing but VALUES has been read, as INSERT does.
    pub(super) fn query_from_values(
        &mut self,
        with: Option<With>,
        rows: Vec<Vec<Expr>>,
    ) -> Lowered<Query> {
        let first = self.intersections(SetExpr::Values(rows))?;
        let body = self.unions(first)?;
        self.query_tail(with, body)
    }

    /// ORDER BY, then LIMIT and locking in either order.
    fn query_tail(&mut self, with: Option<With>, body: SetExpr) -> Lowered<Query> {
        let order_by = if self.is("order") {
            self.order_by()?
        } else {
            Vec::new()
        };
        let mut locking = self.locking()?;
        let limit = self.limit()?;
        if limit.is_some() && locking.is_empty() {
            locking = self.locking()?;
        }
        Ok(Query {
            with,
            body,
            order_by,
            limit,
            locking,
        })
    }

    /// `WITH [RECURSIVE] …`, or nothing.
    pub(super) fn with(&mut self) -> Lowered<Option<With>> {
        if !self.eat("with") {
            return Ok(None);
        }
        let recursive = self.eat("recursive");
        let ctes = self.list(Self::cte)?;
        Ok(Some(With { recursive, ctes }))
    }

    fn cte(&mut self) -> Lowered<Cte> {
        let name = self.row_source_name()?;
        let columns = if self.next_is(&Token::LParen) {
            self.name_list()?
        } else {
            Vec::new()
        };
        self.expect("as")?;
        let materialized = if self.eat("materialized") {
            Some(true)
        } else if self.eat_all(&["not", "materialized"]) {
            Some(false)
        } else {
            None
        };
        self.expect_token(&Token::LParen)?;
        let body = Box::new(self.preparable()?);
        self.expect_token(&Token::RParen)?;
        Ok(Cte {
            name,
            columns,
            materialized,
            body,
            search: self.search()?,
            cycle: self.cycle()?,
        })
    }

    fn search(&mut self) -> Lowered<Option<Search>> {
        let depth_first = self.eat_all(&["search", "depth", "first", "by"]);
        if !depth_first && !self.eat_all(&["search", "breadth", "first", "by"]) {
            return Ok(None);
        }
        let by = self.list(Self::col_id)?;
        self.expect("set")?;
        Ok(Some(Search {
            depth_first,
            by,
            set: self.col_id()?,
        }))
    }

    fn cycle(&mut self) -> Lowered<Option<Cycle>> {
        if !self.eat("cycle") {
            return Ok(None);
        }
        let columns = self.list(Self::col_id)?;
        self.expect("set")?;
        let mark = self.col_id()?;
        let values = if self.eat("to") {
            // Constants, which may carry a type in front.
            let value = self.expr_above(strength::CAST)?;
            self.expect("default")?;
            Some((value, self.expr_above(strength::CAST)?))
        } else {
            None
        };
        self.expect("using")?;
        Ok(Some(Cycle {
            columns,
            mark,
            values,
            path: self.col_id()?,
        }))
    }

    fn set_expression(&mut self) -> Lowered<SetExpr> {
        let first = self.intersected()?;
        self.unions(first)
    }

    /// UNION and EXCEPT, to the left.
    fn unions(&mut self, first: SetExpr) -> Lowered<SetExpr> {
        let mut rest = Vec::new();
        loop {
            let op = match self.word() {
                Some("union") => SetOp::Union,
                Some("except") => SetOp::Except,
                Some(_) | None => break,
            };
            let all = self.set_quantifier();
            rest.push((op, all, self.intersected()?));
        }
        Ok(chain(first, rest))
    }

    fn intersected(&mut self) -> Lowered<SetExpr> {
        let first = self.set_operand()?;
        self.intersections(first)
    }

    fn intersections(&mut self, first: SetExpr) -> Lowered<SetExpr> {
        let mut rest = Vec::new();
        while self.is("intersect") {
            let all = self.set_quantifier();
            rest.push((SetOp::Intersect, all, self.set_operand()?));
        }
        Ok(chain(first, rest))
    }

    /// The operator's word, then ALL or DISTINCT.
    fn set_quantifier(&mut self) -> bool {
        self.advance();
        let all = self.eat("all");
        if !all {
            self.eat("distinct");
        }
        all
    }

    fn set_operand(&mut self) -> Lowered<SetExpr> {
        if self.next_is(&Token::LParen) {
            if !self.engine.opens_query(self.index()) {
                self.advance();
                return Err(self.syntax());
            }
            return Ok(SetExpr::Query(Box::new(self.parenthesised_query()?)));
        }
        match self.word() {
            Some("select") => Ok(SetExpr::Select(Box::new(self.select()?))),
            Some("values") => {
                self.advance();
                let rows = self.list(|front| front.parenthesised(Self::expr))?;
                Ok(SetExpr::Values(rows))
            }
            Some("table") => {
                self.advance();
                Ok(SetExpr::Select(Box::new(self.table_query()?)))
            }
            Some(_) | None => Err(self.syntax()),
        }
    }

    /// `TABLE t` is `SELECT * FROM t`.
    fn table_query(&mut self) -> Lowered<Select> {
        let (name, only) = self.relation_expr()?;
        let relation = RelationRef {
            name,
            only,
            alias: None,
            sample: None,
            id: None,
        };
        Ok(Select {
            distinct: None,
            items: vec![SelectItem::Star(Star::All(Position::default()))],
            into: None,
            from: vec![TableRef::Relation(Box::new(relation))],
            filter: None,
            group_by: Vec::new(),
            group_distinct: false,
            having: None,
            windows: Vec::new(),
            spelled: Vec::new(),
        })
    }

    pub(super) fn order_item(&mut self) -> Lowered<OrderItem> {
        let expr = self.expr()?;
        let mut item = expr.into_order_item();
        item.direction = self.direction();
        if item.direction == SortDirection::Default && self.eat("using") {
            let parenthesised = self.eat("operator");
            item.using = Some(self.any_operator(parenthesised)?);
        }
        item.nulls = self.nulls_order();
        Ok(item)
    }

    /// `[ASC | DESC]`
    pub(super) fn direction(&mut self) -> SortDirection {
        if self.eat("asc") {
            SortDirection::Asc
        } else if self.eat("desc") {
            SortDirection::Desc
        } else {
            SortDirection::Default
        }
    }

    /// `[NULLS FIRST | LAST]`
    pub(super) fn nulls_order(&mut self) -> NullsOrder {
        if self.eat_all(&["nulls", "first"]) {
            NullsOrder::First
        } else if self.eat_all(&["nulls", "last"]) {
            NullsOrder::Last
        } else {
            NullsOrder::Default
        }
    }

    /// LIMIT, OFFSET, FETCH in any order, each at most once.
    fn limit(&mut self) -> Lowered<Option<Limit>> {
        let mut limit = Limit {
            count: None,
            offset: None,
            with_ties: false,
        };
        let (mut counted, mut skipped) = (false, false);
        loop {
            if !counted && self.eat("limit") {
                counted = true;
                if !self.eat("all") {
                    limit.count = Some(self.expr()?);
                }
                if self.next_is(&Token::Comma) {
                    return Err(Unsupported {
                        hint: Some("Use separate LIMIT and OFFSET clauses.".into()),
                        ..Unsupported::syntax(
                            "LIMIT #,# syntax is not supported",
                            Some(self.position()),
                        )
                    });
                }
            } else if !skipped && self.eat("offset") {
                skipped = true;
                limit.offset = Some(self.expr()?);
                if !self.eat("rows") {
                    self.eat("row");
                }
            } else if !counted && self.eat("fetch") {
                counted = true;
                self.fetch_first(&mut limit)?;
            } else {
                break;
            }
        }
        Ok((counted || skipped).then_some(limit))
    }

    /// After `FETCH`: `FIRST|NEXT [count] ROW|ROWS ONLY|WITH TIES`. The count is an operand, or a
    /// signed constant.
    fn fetch_first(&mut self, limit: &mut Limit) -> Lowered<()> {
        if !(self.eat("first") || self.eat("next")) {
            return Err(self.syntax());
        }
        limit.count = Some(if self.is("row") || self.is("rows") {
            Expr::Literal(Literal::Number("1".into()))
        } else {
            self.expr_above(strength::CAST)?
        });
        if !(self.eat("rows") || self.eat("row")) {
            return Err(self.syntax());
        }
        if self.eat_all(&["with", "ties"]) {
            limit.with_ties = true;
            return Ok(());
        }
        self.expect("only")
    }

    fn locking(&mut self) -> Lowered<Vec<Locking>> {
        let mut locks = Vec::new();
        while self.is("for") {
            if self.eat_all(&["for", "read", "only"]) {
                continue;
            }
            let strength = if self.eat_all(&["for", "update"]) {
                LockStrength::Update
            } else if self.eat_all(&["for", "no", "key", "update"]) {
                LockStrength::NoKeyUpdate
            } else if self.eat_all(&["for", "share"]) {
                LockStrength::Share
            } else if self.eat_all(&["for", "key", "share"]) {
                LockStrength::KeyShare
            } else {
                self.advance();
                return Err(self.syntax());
            };
            let of = if self.eat("of") {
                self.list(Self::qualified_name)?
            } else {
                Vec::new()
            };
            let wait = if self.eat("nowait") {
                LockWait::NoWait
            } else if self.eat_all(&["skip", "locked"]) {
                LockWait::SkipLocked
            } else {
                LockWait::Block
            };
            locks.push(Locking { strength, of, wait });
        }
        Ok(locks)
    }
}

fn chain(first: SetExpr, rest: Vec<(SetOp, bool, SetExpr)>) -> SetExpr {
    if rest.is_empty() {
        return first;
    }
    SetExpr::Chain {
        first: Box::new(first),
        rest,
    }
}
