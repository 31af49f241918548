//! INSERT, UPDATE, DELETE, COPY. Masks stand in place of the target's columns.

use super::{Printed, Printer, unresolved};
use crate::ident::Ident;
use crate::sql::tree::{
    Assignment, AssignmentTarget, ConflictAction, ConflictTarget, Copy, CopyDirection, CopySource,
    Delete, Expr, IndexElement, Insert, InsertSource, Overriding, SelectItem, Step, Update,
};

impl Printer<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Printed {
        let scope = self.ctes.len();
        if let Some(with) = &insert.with {
            self.with(with)?;
        }
        self.push("INSERT INTO ");
        self.target(&insert.target)?;
        let around = std::mem::replace(&mut self.target, insert.target.id);
        let positional =
            insert.columns.is_empty() && !matches!(insert.source, InsertSource::DefaultValues);
        self.resolved(!positional, "INSERT without a column list")?;
        if !insert.columns.is_empty() {
            self.push(" (");
            self.separated(&insert.columns, ", ", Self::assigned)?;
            self.push(")");
        }
        self.overriding(insert.overriding);
        match &insert.source {
            InsertSource::DefaultValues => self.push(" DEFAULT VALUES"),
            InsertSource::Values(rows) => {
                self.push(" VALUES ");
                if self.shape && rows.len() > 1 {
                    self.value_row(rows.first().map_or(&[], Vec::as_slice))?;
                    self.push(", …");
                } else {
                    self.separated(rows, ", ", |p, row| p.value_row(row))?;
                }
            }
            InsertSource::Query(query) => {
                self.push(" ");
                self.query(query)?;
            }
        }
        if let Some((target, action)) = &insert.on_conflict {
            self.push(" ON CONFLICT");
            self.conflict_target(target.as_ref())?;
            self.conflict_action(action)?;
        }
        self.target = around;
        self.returning(&insert.returning)?;
        self.ctes.truncate(scope);
        Ok(())
    }

    pub(super) fn overriding(&mut self, overriding: Option<Overriding>) {
        self.push(match overriding {
            None => "",
            Some(Overriding::System) => " OVERRIDING SYSTEM VALUE",
            Some(Overriding::User) => " OVERRIDING USER VALUE",
        });
    }

    pub(super) fn update(&mut self, update: &Update) -> Printed {
        let scope = self.ctes.len();
        if let Some(with) = &update.with {
            self.with(with)?;
        }
        let outermost = self.begin_pinned();
        self.push("UPDATE ");
        self.target(&update.target)?;
        self.push(" SET ");
        self.assignments(&update.assignments)?;
        if !update.from.is_empty() {
            self.push(" FROM ");
            self.separated(&update.from, ", ", Self::table_ref)?;
        }
        let place = self.pinned_filter(update.filter.as_ref())?;
        self.returning(&update.returning)?;
        self.end_pinned(outermost, place);
        self.ctes.truncate(scope);
        Ok(())
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Printed {
        let scope = self.ctes.len();
        if let Some(with) = &delete.with {
            self.with(with)?;
        }
        let outermost = self.begin_pinned();
        self.push("DELETE FROM ");
        self.target(&delete.target)?;
        if !delete.using.is_empty() {
            self.push(" USING ");
            self.separated(&delete.using, ", ", Self::table_ref)?;
        }
        let place = self.pinned_filter(delete.filter.as_ref())?;
        self.returning(&delete.returning)?;
        self.end_pinned(outermost, place);
        self.ctes.truncate(scope);
        Ok(())
    }

    pub(super) fn filter(&mut self, filter: Option<&Expr>) -> Printed {
        let Some(filter) = filter else {
            return Ok(());
        };
        self.push(" WHERE ");
        self.expr(filter)
    }

    pub(super) fn returning(&mut self, items: &[SelectItem]) -> Printed {
        if items.is_empty() {
            return Ok(());
        }
        self.push(" RETURNING ");
        self.items(items)
    }

    /// `(a, DEFAULT)`
    pub(super) fn value_row(&mut self, row: &[Option<Expr>]) -> Printed {
        self.push("(");
        self.separated(row, ", ", |p, value| p.value(value.as_ref()))?;
        self.push(")");
        Ok(())
    }

    fn value(&mut self, value: Option<&Expr>) -> Printed {
        if let Some(value) = value {
            return self.expr(value);
        }
        self.push("DEFAULT");
        Ok(())
    }

    pub(super) fn assigned(&mut self, target: &AssignmentTarget) -> Printed {
        self.mark(target.position);
        self.ident(&target.column)?;
        for step in &target.path {
            match step {
                Step::Subscript(subscript) => self.subscripts(std::slice::from_ref(subscript))?,
                Step::Field(field) => {
                    self.push(".");
                    self.ident(field)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn assignments(&mut self, assignments: &[Assignment]) -> Printed {
        self.separated(assignments, ", ", |p, assignment| match assignment {
            Assignment::One(target, value) => {
                p.assigned(target)?;
                p.push(" = ");
                p.value(value.as_ref())
            }
            Assignment::Row(targets, values) => {
                p.push("(");
                p.separated(targets, ", ", Self::assigned)?;
                p.push(") = ROW");
                p.value_row(values)
            }
            Assignment::Query(targets, query) => {
                p.push("(");
                p.separated(targets, ", ", Self::assigned)?;
                p.push(") = (");
                p.query(query)?;
                p.push(")");
                Ok(())
            }
        })
    }

    /// What an index is chosen by: names and expressions of the table, never values of a row. So
    /// columns are bare (PostgreSQL sees no others here) and unmasked (a mask would match no index).
    fn conflict_target(&mut self, target: Option<&ConflictTarget>) -> Printed {
        match target {
            None => Ok(()),
            Some(ConflictTarget::Constraint(name)) => {
                self.push(" ON CONSTRAINT ");
                self.ident(name)
            }
            Some(ConflictTarget::Index(elements, predicate)) => {
                let outer = std::mem::replace(&mut self.bare, true);
                self.push(" (");
                self.separated(elements, ", ", Self::index_element)?;
                self.push(")");
                self.filter(predicate.as_ref())?;
                self.bare = outer;
                Ok(())
            }
        }
    }

    pub(super) fn index_element(&mut self, element: &IndexElement) -> Printed {
        match &element.key {
            Expr::Column(column) => self.ident(&column.name)?,
            Expr::Name(name) if name.parts.len() == 1 => {
                self.resolved(false, "a column name")?;
                self.name(name)?;
            }
            key => {
                self.push("(");
                self.expr(key)?;
                self.push(")");
            }
        }
        if let Some(collation) = &element.collation {
            self.push(" COLLATE ");
            self.qualified(collation, "a collation name")?;
        }
        if let Some(opclass) = &element.opclass {
            self.push(" ");
            self.qualified(opclass, "an operator class")?;
        }
        Ok(())
    }

    fn conflict_action(&mut self, action: &ConflictAction) -> Printed {
        match action {
            ConflictAction::Nothing => {
                self.push(" DO NOTHING");
                Ok(())
            }
            ConflictAction::Update(assignments, filter) => {
                let outermost = self.begin_pinned();
                self.push(" DO UPDATE SET ");
                self.assignments(assignments)?;
                let place = self.pinned_filter(filter.as_ref())?;
                self.end_pinned(outermost, place);
                Ok(())
            }
        }
    }

    pub(super) fn copy(&mut self, copy: &Copy) -> Printed {
        self.push("COPY ");
        // A query carries its own checks.
        let outermost = copy.direction == CopyDirection::From && self.begin_pinned();
        match &copy.source {
            CopySource::Relation(relation, columns) => {
                self.meet(relation);
                // COPY reads the table itself: a table with masks has to be a query here.
                let rewrite = self.rewrite;
                let rewritten = relation
                    .id
                    .is_some_and(|id| rewrite.relations.contains_key(&id));
                if rewritten && copy.direction == CopyDirection::To {
                    return Err(unresolved("COPY TO of a table with masks"));
                }
                if relation.only || relation.sample.is_some() {
                    return Err(unresolved("COPY of something else than a table"));
                }
                self.resolved(relation.id.is_some(), "a relation name")?;
                self.qualified(&relation.name, "a relation name")?;
                self.resolved(!columns.is_empty(), "COPY without a column list")?;
                if !columns.is_empty() {
                    self.push(" (");
                    self.idents(columns)?;
                    self.push(")");
                }
            }
            CopySource::Query(statement) => {
                self.push("(");
                self.statement(statement)?;
                self.push(")");
            }
        }
        self.push(match copy.direction {
            CopyDirection::To => " TO STDOUT",
            CopyDirection::From => " FROM STDIN",
        });
        let mut separator = " WITH (";
        for (name, value) in &copy.options {
            self.push(separator);
            self.ident(&Ident::exact(name))?;
            self.push(" ");
            // Every column: a string would be no list of names to PostgreSQL.
            if name.starts_with("force_") && &**value == "*" {
                self.push("*");
            } else {
                self.string(value)?;
            }
            separator = ", ";
        }
        for (name, columns) in &copy.forced {
            self.push(separator);
            self.ident(&Ident::exact(name))?;
            self.push(" (");
            self.idents(columns)?;
            self.push(")");
            separator = ", ";
        }
        if separator == ", " {
            self.push(")");
        }
        let place = self.pinned_filter(copy.filter.as_ref())?;
        self.end_pinned(outermost, place);
        Ok(())
    }
}
