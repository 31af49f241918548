//! What other layers work out once per role and catalog, kept beside the grants it follows from.
//!
//! Deliberately absent: what is kept. The layer that puts something in is the one that takes it out.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use crate::pg::Oid;

/// Facts about relations, by OID and kind of fact. It lives and dies with the [`super::Grants`] it is part of, so
/// nothing in it outlasts the catalog and policy it was worked out from.
#[derive(Default)]
pub struct Memo(RwLock<HashMap<(Oid, TypeId), Arc<dyn Any + Send + Sync>>>);

impl Memo {
    /// The `T` that was kept for a relation.
    pub fn get<T: Send + Sync + 'static>(&self, relation: Oid) -> Option<Arc<T>> {
        let known = Arc::clone(self.0.read().ok()?.get(&(relation, TypeId::of::<T>()))?);
        known.downcast().ok()
    }

    /// Keeps a fact; a second one of its kind takes its place.
    pub fn keep<T: Send + Sync + 'static>(&self, relation: Oid, fact: Arc<T>) {
        if let Ok(mut facts) = self.0.write() {
            facts.insert((relation, TypeId::of::<T>()), fact);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Memo;

    #[test]
    fn a_fact_comes_back_as_what_it_was_and_as_nothing_else() {
        let memo = Memo::default();
        memo.keep(7, Arc::new("seven"));
        assert_eq!(memo.get::<&str>(7).as_deref(), Some(&"seven"));
        assert!(memo.get::<u32>(7).is_none());
        assert!(memo.get::<&str>(8).is_none());
        memo.keep(7, Arc::new(7_u32));
        assert_eq!(memo.get::<&str>(7).as_deref(), Some(&"seven"));
    }
}
