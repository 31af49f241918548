//! Names of relations and types as PostgreSQL shows them: `conrelid::regclass::text`, `format_type(…)`.
//!
//! It leaves the schema out where the search path finds the same without it, and upstream the path is
//! not the client's. What has a schema that the client's path would have left out loses it: in the
//! statement where a text is made of it, and on the way to the client where it is shown as it is.
//!
//! Deliberately absent: arrays of names, and the names of functions, which are shown bare only if nothing
//! else is called so.

use std::sync::Arc;

use super::Analyzer;
use super::lineage::OutputColumn;
use super::object_name::ObjectKind;
use super::own_state::text;
use super::scrub::escaped;
use crate::ident::Ident;
use crate::mask::BareNames;
use crate::pg::Oid;
use crate::pg::types::oid;
use crate::sql::tree::{Expr, Literal, TypeName};

/// Names of one schema that mean something else by the path, before the text has too many of them.
const HIDDEN: usize = 100;

impl Analyzer<'_> {
    /// What is shown as a name, resolved, where it is converted to a text of some type.
    pub(super) fn shown_cast(&mut self, inner: &mut Expr, from: Option<Oid>, to: Option<Oid>) {
        let kind = from.and_then(ObjectKind::of);
        let texts = [oid::TEXT, oid::VARCHAR, oid::BPCHAR, oid::NAME];
        if let (Some(kind), true) = (kind, to.is_some_and(|to| texts.contains(&to))) {
            self.shown_name(kind, inner);
        }
    }

    /// A text that begins with a name, or what is shown as one, without the schema if the client's path
    /// finds it so.
    pub(super) fn shown_name(&mut self, kind: ObjectKind, e: &mut Expr) {
        let names = self.bare_names(kind);
        if names.is_empty() {
            return;
        }
        let name = std::mem::replace(e, Expr::Literal(Literal::Null));
        let name = Expr::Cast(Box::new(name), TypeName::builtin("text", 0));
        let pattern = text(&names.pattern(escaped));
        *e = Expr::builtin_call("regexp_replace", [name, pattern, text("")]);
    }

    /// What a result shows as names will be shown so.
    pub(super) fn shown_outputs(&mut self, outputs: &[OutputColumn]) {
        for kind in outputs.iter().filter_map(|o| ObjectKind::of(o.ty?)) {
            self.bare_names(kind);
        }
    }

    /// What the client's search path leaves out.
    fn bare_names(&mut self, kind: ObjectKind) -> Arc<BareNames> {
        if let Some(known) = self.lineage.bare.get(&kind) {
            return Arc::clone(known);
        }
        let found = Arc::new(self.find_bare_names(kind));
        self.lineage.bare.insert(kind, Arc::clone(&found));
        found
    }

    fn find_bare_names(&self, kind: ObjectKind) -> BareNames {
        let path = self.grounds.search_path.schemas();
        let mut found = BareNames::default();
        for (at, schema) in path.iter().enumerate() {
            let before = path.get(..at).unwrap_or_default();
            if *schema == "pg_catalog" || before.contains(schema) {
                continue;
            }
            let (names, hidden) = self.names(kind, schema, before);
            if names > 0 && hidden.len() <= HIDDEN {
                let forms = |n: &Ident| [n.as_str().to_owned(), n.quoted()];
                let hidden = hidden.into_iter().map(forms).collect();
                found.add([schema.as_str(), &schema.quoted()], hidden);
            }
        }
        found
    }

    /// How many names a schema has, and those of them that others have that are searched before it. In
    /// order, so that one statement is always printed the same way.
    fn names(&self, kind: ObjectKind, schema: &Ident, before: &[Ident]) -> (usize, Vec<&Ident>) {
        let catalog = self.grounds.catalog;
        let known = match kind {
            ObjectKind::Relation => &catalog.relation_names,
            ObjectKind::Type => &catalog.type_names,
            ObjectKind::Function => return (0, Vec::new()),
        };
        let own = known.keys().filter(|(s, _)| s == schema).map(|(_, n)| n);
        let hidden = |name: &&Ident| {
            // Temporary tables are before all that is not before them.
            (self.grounds.temp.get(name).is_some()
                && !self.grounds.search_path.before_temp().contains(schema))
                || (before.iter()).any(|s| known.contains_key(&(s.clone(), (*name).clone())))
        };
        let mut earlier: Vec<&Ident> = own.clone().filter(hidden).collect();
        earlier.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        (own.count(), earlier)
    }
}
