//! Settings that are the proxy's own state, with PostgreSQL's transaction semantics: SET lasts if
//! the transaction commits, SET LOCAL until it ends, and savepoints nest.
//!
//! Restricted sessions have two, pinned upstream: `search_path`, because every name is printed
//! qualified, and `client_encoding`, because nothing but UTF-8 may reach PostgreSQL's parser. Deliberately absent: settings PostgreSQL itself keeps for the session.

use std::sync::Arc;

use crate::catalog::{SearchPath, split_search_path};
use crate::ident::Ident;
use crate::pg::encoding::Encoding;

/// The search path of a session for which nothing else is configured.
pub const USUAL_PATH: &str = "\"$user\", public";

/// The search path's elements as written; `$user` stands for the session's user.
pub(crate) type Elements = Vec<Ident>;

#[derive(Clone, PartialEq, Eq)]
struct Value<T> {
    /// What a commit would keep; `None` is the session's default.
    session: Option<T>,
    /// `SET LOCAL`: until the transaction ends.
    local: Local<T>,
}

#[derive(Clone, PartialEq, Eq)]
enum Local<T> {
    /// Not used in this transaction.
    Unset,
    /// `SET LOCAL … = DEFAULT`
    Default,
    /// `SET LOCAL …`
    Set(T),
}

/// A search path, as written and as it is searched.
struct Path {
    text: String,
    resolved: SearchPath,
}

impl Path {
    /// `user` is whom `$user` stands for.
    fn new(elements: &Elements, written: Option<&str>, user: &Ident) -> Arc<Self> {
        let listed: Vec<Ident> = (elements.iter())
            .map(|e| if *e == "$user" { user } else { e }.clone())
            .collect();
        Arc::new(Self {
            text: written.map_or_else(|| text(elements), ToOwned::to_owned),
            resolved: SearchPath::new(&listed),
        })
    }
}

/// One setting.
#[derive(Clone)]
struct Setting<T> {
    default: T,
    committed: Value<T>,
    current: Value<T>,
    savepoints: Vec<(Ident, Value<T>)>,
}

impl<T: Clone> Setting<T> {
    fn new(default: T) -> Self {
        let value = Value {
            session: None,
            local: Local::Unset,
        };
        Self {
            default,
            committed: value.clone(),
            current: value,
            savepoints: Vec::new(),
        }
    }

    fn set(&mut self, local: bool, value: Option<T>) {
        if local {
            self.current.local = value.map_or(Local::Default, Local::Set);
        } else {
            self.current.session = value;
            self.current.local = Local::Unset;
        }
    }

    fn commit(&mut self) {
        self.current.local = Local::Unset;
        self.committed = self.current.clone();
        self.savepoints.clear();
    }

    fn rollback(&mut self) {
        self.current = self.committed.clone();
        self.savepoints.clear();
    }

    fn abort(&mut self) {
        let before = self.savepoints.last().map(|(_, value)| value);
        self.current = before.unwrap_or(&self.committed).clone();
    }

    fn release(&mut self, name: &Ident) {
        if let Some(at) = self.find(name) {
            self.savepoints.truncate(at);
        }
    }

    fn rollback_to(&mut self, name: &Ident) {
        if let Some(at) = self.find(name) {
            self.savepoints.truncate(at.saturating_add(1));
            if let Some((_, value)) = self.savepoints.last() {
                self.current = value.clone();
            }
        }
    }

    fn find(&self, name: &Ident) -> Option<usize> {
        self.savepoints.iter().rposition(|(n, _)| n == name)
    }

    fn value(&self) -> &T {
        match &self.current.local {
            Local::Set(value) => value,
            Local::Default => &self.default,
            Local::Unset => self.current.session.as_ref().unwrap_or(&self.default),
        }
    }
}

/// `search_path` and `client_encoding` of one session.
#[derive(Clone)]
pub(crate) struct Settings {
    /// `current_user` upstream, for `$user`.
    user: Ident,
    path: Setting<Arc<Path>>,
    encoding: Setting<Encoding>,
}

impl Settings {
    /// A session that starts with these defaults, acting as `user` upstream.
    pub(crate) fn new(path: &str, encoding: Encoding, user: Ident) -> Self {
        let elements = split_search_path(path).unwrap_or_default();
        Self {
            path: Setting::new(Path::new(&elements, Some(path), &user)),
            user,
            encoding: Setting::new(encoding),
        }
    }

    /// `SET [LOCAL] search_path`, `RESET search_path` (`path` is `None`).
    pub(crate) fn set(&mut self, local: bool, path: Option<Elements>, written: Option<&str>) {
        let path = path.map(|elements| Path::new(&elements, written, &self.user));
        self.path.set(local, path);
    }

    /// The same for `client_encoding`.
    pub(crate) fn set_encoding(&mut self, local: bool, encoding: Option<Encoding>) {
        self.encoding.set(local, encoding);
    }

    /// The transaction, explicit or implicit, committed.
    pub(crate) fn commit(&mut self) {
        self.path.commit();
        self.encoding.commit();
    }

    /// The transaction rolled back.
    pub(crate) fn rollback(&mut self) {
        self.path.rollback();
        self.encoding.rollback();
    }

    /// An error aborted the transaction or what follows the last savepoint: PostgreSQL undoes settings at
    /// once, before the client says ROLLBACK.
    pub(crate) fn abort(&mut self) {
        self.path.abort();
        self.encoding.abort();
    }

    /// SAVEPOINT
    pub(crate) fn savepoint(&mut self, name: Ident) {
        let (path, encoding) = (self.path.current.clone(), self.encoding.current.clone());
        self.path.savepoints.push((name.clone(), path));
        self.encoding.savepoints.push((name, encoding));
    }

    /// RELEASE: the savepoint and those after it are forgotten, their changes kept.
    pub(crate) fn release(&mut self, name: &Ident) {
        self.path.release(name);
        self.encoding.release(name);
    }

    /// ROLLBACK TO: the savepoint stays, what came after it is undone.
    pub(crate) fn rollback_to(&mut self, name: &Ident) {
        self.path.rollback_to(name);
        self.encoding.rollback_to(name);
    }

    /// `client_encoding`
    pub(crate) fn encoding(&self) -> Encoding {
        *self.encoding.value()
    }

    /// The path with `$user` resolved, for name lookup.
    pub(crate) fn search_path(&self) -> &SearchPath {
        &self.path.value().resolved
    }

    /// Whom `$user` stands for.
    pub(crate) fn user(&self) -> &str {
        self.user.as_str()
    }

    /// What `SHOW search_path` says.
    pub(crate) fn text(&self) -> &str {
        &self.path.value().text
    }
}

fn text(elements: &Elements) -> String {
    let mut out = String::new();
    for element in elements {
        if !out.is_empty() {
            out.push_str(", ");
        }
        if needs_quotes(element.as_str()) {
            element.quote_into(&mut out);
        } else {
            out.push_str(element.as_str());
        }
    }
    if out.is_empty() {
        out.push_str("\"\"");
    }
    out
}

fn needs_quotes(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::ident::Ident;
    use crate::pg::encoding::Encoding;

    fn path(names: &[&str]) -> Vec<Ident> {
        names.iter().map(|n| Ident::exact(n)).collect()
    }

    fn settings() -> Settings {
        Settings::new("\"$user\", public", Encoding::utf8(), Ident::exact("bob"))
    }

    #[test]
    fn user_is_resolved_for_lookup_and_shown_as_written() {
        let s = settings();
        let names: Vec<_> = s
            .search_path()
            .schemas()
            .iter()
            .map(|i| i.as_str().to_owned())
            .collect();
        assert_eq!(names, ["pg_catalog", "bob", "public"]);
        assert_eq!(s.text(), "\"$user\", public");
    }

    #[test]
    fn set_is_undone_by_rollback_and_kept_by_commit() {
        let mut s = settings();
        s.set(false, Some(path(&["a"])), None);
        s.rollback();
        assert_eq!(s.text(), "\"$user\", public");
        s.set(false, Some(path(&["a"])), None);
        s.commit();
        s.set(false, Some(path(&["b"])), None);
        s.rollback();
        assert_eq!(s.text(), "a");
        s.set(false, None, None);
        s.commit();
        assert_eq!(s.text(), "\"$user\", public");
    }

    #[test]
    fn local_lasts_until_the_transaction_ends_and_the_last_set_wins() {
        let mut s = settings();
        s.set(false, Some(path(&["kept"])), None);
        s.set(true, Some(path(&["local"])), None);
        assert_eq!(s.text(), "local");
        s.commit();
        assert_eq!(s.text(), "kept");
        s.set(true, Some(path(&["local"])), None);
        s.set(false, Some(path(&["later"])), None);
        assert_eq!(s.text(), "later");
        s.commit();
        assert_eq!(s.text(), "later");
    }

    #[test]
    fn savepoints_nest_and_the_innermost_of_equal_names_is_meant() {
        let mut s = settings();
        s.set(false, Some(path(&["a"])), None);
        s.savepoint(Ident::exact("s"));
        s.set(false, Some(path(&["b"])), None);
        s.savepoint(Ident::exact("s"));
        s.set(true, Some(path(&["c"])), None);
        s.rollback_to(&Ident::exact("s"));
        assert_eq!(s.text(), "b");
        s.release(&Ident::exact("s"));
        s.rollback_to(&Ident::exact("s"));
        assert_eq!(s.text(), "a");
        s.release(&Ident::exact("s"));
        s.rollback_to(&Ident::exact("s"));
        assert_eq!(s.text(), "a");
        s.rollback();
        assert_eq!(s.text(), "\"$user\", public");
    }
}
