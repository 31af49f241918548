//! FROM items: base relations (as themselves or as their masked form), CTEs, subqueries, functions,
//! joins.

use super::{DerivedRelation, INNER_ALIAS, Printed, Printer, RelationForm, WHOLE_ROW, unresolved};
use crate::ident::Ident;
use crate::sql::tree::{
    ColumnDef, JoinConstraint, JoinKind, RelationRef, TableAlias, TableFunction, TableRef,
    TableSample,
};

impl Printer<'_> {
    /// One FROM item.
    pub(super) fn table_ref(&mut self, table: &TableRef) -> Printed {
        match table {
            TableRef::Relation(relation) => self.relation(relation),
            TableRef::Derived {
                lateral,
                query,
                alias,
            } => {
                self.push(if *lateral { "LATERAL (" } else { "(" });
                self.query(query)?;
                self.push(")");
                self.alias(alias.as_ref())
            }
            TableRef::Function(function) => self.table_function(function),
            TableRef::Keyword(table) => self.keyword_table(table),
            TableRef::Join {
                left,
                right,
                kind,
                constraint,
                alias,
            } => {
                self.push("(");
                self.table_ref(left)?;
                self.join(*kind, constraint, right)?;
                self.push(")");
                self.alias(alias.as_ref())
            }
        }
    }

    fn relation(&mut self, relation: &RelationRef) -> Printed {
        let rewrite = self.rewrite;
        self.meet(relation);
        if let Some(RelationForm::Derived(derived)) =
            relation.id.and_then(|id| rewrite.relations.get(&id))
        {
            return self.derived(relation, derived);
        }
        self.only_name(relation)?;
        if relation.id.is_some() {
            // Which column a position names depends on the table as it is now, not as it was read.
            let listed = relation
                .alias
                .as_ref()
                .is_some_and(|a| !a.columns.is_empty());
            self.resolved(!listed, "column aliases of a table")?;
        }
        self.resolved(relation.alias.is_some(), "a relation without an alias")?;
        self.alias(relation.alias.as_ref())?;
        self.by_position(relation)?;
        self.sample(relation.sample.as_ref())
    }

    /// `[ONLY] "s"."r"`, or the name of a CTE in scope.
    fn only_name(&mut self, relation: &RelationRef) -> Printed {
        if relation.only {
            self.push("ONLY ");
        }
        if relation.id.is_some() {
            return self.qualified(&relation.name, "a relation name");
        }
        let in_scope = match relation.name.parts.as_slice() {
            [name] => self.ctes.contains(name),
            _ => false,
        };
        self.resolved(in_scope, "a relation name")?;
        self.name(&relation.name)
    }

    /// The masked relation itself. Simple on purpose, so that PostgreSQL pulls it up.
    fn derived(&mut self, relation: &RelationRef, derived: &DerivedRelation) -> Printed {
        let Some(alias) = &relation.alias else {
            return Err(unresolved("a relation without an alias"));
        };
        if !alias.columns.is_empty() {
            return Err(unresolved("column aliases of a table"));
        }
        self.ours();
        self.push("(SELECT");
        let mut separator = " ";
        for column in &derived.columns {
            if (self.read.as_ref()).is_some_and(|read| !read.has(&alias.name, column)) {
                continue;
            }
            self.push(separator);
            separator = ", ";
            self.form(&column.sql)?;
            // A column's name is its own.
            if !column.is_stored() {
                self.push(" AS ");
                self.ident(&column.name)?;
            }
        }
        if let Some(row) = &derived.whole_row {
            self.push(separator);
            self.form(row)?;
            self.push(" AS ");
            self.ident(&Ident::exact(WHOLE_ROW))?;
        }
        self.push(" FROM ");
        self.only_name(relation)?;
        self.push(" AS ");
        self.ident(&Ident::exact(INNER_ALIAS))?;
        self.by_position(relation)?;
        self.sample(relation.sample.as_ref())?;
        if let Some(filter) = &derived.filter {
            self.push(" WHERE ");
            self.form(filter)?;
        }
        if derived.fenced {
            self.push(" OFFSET 0");
        }
        self.push(") AS ");
        self.ident(&alias.name)?;
        self.theirs();
        Ok(())
    }

    /// A relation that is written to: `[ONLY] "s"."r" AS "alias"`.
    pub(super) fn target(&mut self, relation: &RelationRef) -> Printed {
        let rewrite = self.rewrite;
        let derived = relation
            .id
            .is_some_and(|id| matches!(rewrite.relations.get(&id), Some(RelationForm::Derived(_))));
        if derived || relation.sample.is_some() {
            return Err(unresolved("a write target that is not a table"));
        }
        self.resolved(relation.id.is_some(), "a relation name")?;
        self.relation(relation)
    }

    pub(super) fn alias(&mut self, alias: Option<&TableAlias>) -> Printed {
        let Some(alias) = alias else {
            return Ok(());
        };
        self.push(" AS ");
        self.ident(&alias.name)?;
        if !alias.columns.is_empty() {
            self.push(" (");
            self.idents(&alias.columns)?;
            self.push(")");
        }
        Ok(())
    }

    fn sample(&mut self, sample: Option<&TableSample>) -> Printed {
        let Some(sample) = sample else {
            return Ok(());
        };
        self.push(" TABLESAMPLE ");
        self.qualified(&sample.method, "a sampling method")?;
        self.push("(");
        self.list(&sample.args)?;
        self.push(")");
        if let Some(seed) = &sample.repeatable {
            self.push(" REPEATABLE (");
            self.expr(seed)?;
            self.push(")");
        }
        Ok(())
    }

    fn join(&mut self, kind: JoinKind, on: &JoinConstraint, right: &TableRef) -> Printed {
        if matches!(on, JoinConstraint::Natural) {
            self.resolved(false, "NATURAL")?;
            self.push(" NATURAL");
        }
        self.push(match kind {
            JoinKind::Inner => " JOIN ",
            JoinKind::Left => " LEFT JOIN ",
            JoinKind::Right => " RIGHT JOIN ",
            JoinKind::Full => " FULL JOIN ",
            JoinKind::Cross => " CROSS JOIN ",
        });
        self.table_ref(right)?;
        match on {
            JoinConstraint::On(condition) => {
                self.push(" ON ");
                self.expr(condition)
            }
            JoinConstraint::Using(columns, alias) => {
                self.push(" USING (");
                for column in columns {
                    self.reads(None, column);
                }
                self.idents(columns)?;
                self.push(")");
                if let Some(alias) = alias {
                    self.push(" AS ");
                    self.ident(alias)?;
                }
                Ok(())
            }
            JoinConstraint::Natural => Ok(()),
            JoinConstraint::None if kind == JoinKind::Cross => Ok(()),
            JoinConstraint::None => Err(unresolved("a join without a condition")),
        }
    }

    fn table_function(&mut self, function: &TableFunction) -> Printed {
        if function.lateral {
            self.push("LATERAL ");
        }
        match function.functions.as_slice() {
            [one] if !function.rows_from => {
                if !one.columns.is_empty() {
                    return Err(unresolved("column definitions in two places"));
                }
                self.call(&one.call)?;
            }
            many => {
                self.push("ROWS FROM (");
                self.separated(many, ", ", |p, item| {
                    p.call(&item.call)?;
                    if !item.columns.is_empty() {
                        p.push(" AS ");
                        p.column_defs(&item.columns)?;
                    }
                    Ok(())
                })?;
                self.push(")");
            }
        }
        if function.ordinality {
            self.push(" WITH ORDINALITY");
        }
        if function.columns.is_empty() {
            return self.alias(function.alias.as_ref());
        }
        self.push(" AS ");
        if let Some(alias) = &function.alias {
            self.ident(&alias.name)?;
            self.push(" ");
        }
        self.column_defs(&function.columns)
    }

    fn column_defs(&mut self, columns: &[ColumnDef]) -> Printed {
        self.push("(");
        self.separated(columns, ", ", |p, column| {
            p.ident(&column.name)?;
            p.push(" ");
            p.type_name(&column.ty)?;
            if let Some(collation) = &column.collation {
                p.push(" COLLATE ");
                p.qualified(collation, "a collation name")?;
            }
            Ok(())
        })?;
        self.push(")");
        Ok(())
    }
}
