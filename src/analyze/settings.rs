//! `current_setting` and `set_config`: SHOW and SET as functions, for the same settings.
//!
//! Dotted names belong to extensions and applications, which may keep secrets there, and to the
//! proxy, which keeps there its pinned settings, token keys, and what clients set that is not obeyed. A
//! role has those that its policy names.

use super::expr::{At, Info};
use super::own_state::text;
use super::{Analyzer, Resolve};
use crate::catalog::Relation;
use crate::catalog::allow::{SETTABLE, Unheeded, all_unheeded, unheeded};
use crate::pg::sqlstate;
use crate::pg::types::oid;
use crate::policy::{SettingPattern, is_setting_name};
use crate::refusal::Refusal;
use crate::sql::tree::{
    Call, CallArg, Expr, Literal, Name, Operator, Position, Quantifier, Query, Statement, TypeName,
};

impl Analyzer<'_> {
    /// `set_config('name', value, is_local)` in an expression, value and flag literal or parameter.
    pub(super) fn set_config(&mut self, e: &mut Expr, at: At<'_, '_>) -> Resolve<Option<Info>> {
        let Expr::Call(call) = e else { return Ok(None) };
        match call.function.parts.as_slice() {
            [f] if *f == "set_config" => {}
            [s, f] if *s == "pg_catalog" && *f == "set_config" => {}
            _ => return Ok(None),
        }
        let position = call.function.position;
        let denied = |detail: &str| {
            Refusal::denied("permission denied for function set_config")
                .detail(detail)
                .hint("Use SET, for the settings a restricted role may change.")
                .at(position)
        };
        let plain = call.args.len() == 3
            && !call.star
            && call.over.is_none()
            && call.filter.is_none()
            && (call.args.iter()).all(|a| a.name.is_none() && !a.variadic);
        let Some(CallArg {
            value: Expr::Literal(Literal::String(name)),
            ..
        }) = call.args.first_mut().filter(|_| plain)
        else {
            return Err(denied("A restricted role names the setting literally."));
        };
        let known = name.value().to_ascii_lowercase();
        let kept = unheeded(&known);
        if let Some(setting) = kept {
            if !setting.is_known(self.grounds.catalog.version) {
                return Err(setting.unknown().at(position));
            }
            *name = kept_name(setting).into();
        } else if known.contains('.') {
            self.may_set(&known)
                .map_err(|refusal| refusal.at(position))?;
        } else if !SETTABLE.contains(&known.as_str()) {
            return Err(denied(if known == "search_path" {
                "It sets search_path where a SELECT is such calls and nothing else."
            } else {
                "It is not among the settings a restricted role may change."
            }));
        }
        for arg in call.args.iter_mut().skip(1) {
            if !constant(&arg.value) {
                return Err(denied("A setting takes a literal or a parameter."));
            }
        }
        if let (Some(setting), [_, value, _]) = (kept, call.args.as_mut_slice()) {
            self.kept_value(&mut value.value, setting, position)?;
        }
        for arg in call.args.iter_mut().skip(1) {
            self.expr(&mut arg.value, at.scope, at.ctes)?;
        }
        self.lineage.acts = true;
        call.function = catalog(&call.function, "set_config");
        if let Some(setting) = kept {
            let set = std::mem::replace(e, Expr::Literal(Literal::Null));
            *e = Expr::Coalesce(vec![none_if_empty(set), in_force(setting)]);
        }
        Ok(Some(Info {
            ty: Some(oid::TEXT),
            ..Info::default()
        }))
    }

    /// The value for a setting that is kept: a text, as SHOW would show it, or a parameter, which is read
    /// when it is bound.
    fn kept_value(
        &mut self,
        value: &mut Expr,
        setting: &'static Unheeded,
        position: Position,
    ) -> Resolve<()> {
        match value {
            Expr::Literal(Literal::String(given)) => {
                *given = setting
                    .shown(given.value())
                    .map_err(|refusal| refusal.at(position))?
                    .into();
            }
            Expr::Param(n) => self.lineage.settings.push((*n, setting)),
            Expr::Cast(inner, ty) if is_text(ty) => {
                return self.kept_value(inner, setting, position);
            }
            Expr::Cast(inner, _) if !matches!(**inner, Expr::Literal(Literal::Null)) => {
                return Err(Refusal::error(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    "the value of this setting is cast, and read before that",
                )
                .hint("Write it as a string.")
                .at(position));
            }
            // NULL is the default; what is no text has no such function.
            _ => {}
        }
        Ok(())
    }

    /// `current_setting(name)`: a dotted name is refused where it stands literally, and NULL where it
    /// turns up in a row. The name is evaluated once: a volatile one must not change between the look
    /// at it and its use.
    pub(super) fn current_setting(&mut self, call: &mut Call) -> Resolve<()> {
        let position = call.function.position;
        let Some(CallArg {
            name: None,
            value,
            variadic: false,
        }) = call.args.first_mut()
        else {
            return Err(
                Refusal::denied("permission denied for function current_setting").at(position),
            );
        };
        if let Expr::Literal(Literal::String(name)) = value {
            let name = name.value().to_ascii_lowercase();
            if !name.contains('.') || self.grounds.grants.may_set(&name) {
                return Ok(());
            }
            return Err(not_shown(&name, &self.grounds.grants.role).at(position));
        }
        let name = std::mem::replace(value, Expr::Literal(Literal::Null));
        let as_text = Expr::Cast(Box::new(name), TypeName::builtin("text", 0));
        let function = catalog(&call.function, "substring");
        let named = self.named_settings();
        *value = Expr::Call(Box::new(Call::plain(function, [as_text, text(&named)])));
        Ok(())
    }

    /// A regular expression of the names that may turn up in a row.
    fn named_settings(&self) -> String {
        let listed = &self.grounds.grants.settings;
        if listed.is_empty() {
            return "^[^.]*$".to_owned();
        }
        let listed: Vec<String> = listed.iter().map(SettingPattern::expression).collect();
        format!("(?i)^(?:[^.]*|{})$", listed.join("|"))
    }

    fn may_set(&self, name: &str) -> Resolve<()> {
        if !self.grounds.grants.may_set(name) {
            return Err(not_listed(name, &self.grounds.grants.role));
        }
        if !is_setting_name(name) {
            return Err(Refusal::error(
                sqlstate::INVALID_NAME,
                format!("invalid configuration parameter name \"{name}\""),
            )
            .detail(
                "Custom parameter names must be two or more simple identifiers separated by dots.",
            ));
        }
        Ok(())
    }

    /// The same call, or what is kept for the client under that name. A name that may change from one
    /// look to the next finds what PostgreSQL has.
    pub(super) fn kept_setting(&self, theirs: Expr) -> Expr {
        let Expr::Call(call) = &theirs else {
            return theirs;
        };
        match call.args.first().map(|arg| &arg.value) {
            Some(Expr::Literal(Literal::String(name))) => {
                let known = unheeded(&name.value().to_ascii_lowercase());
                let version = self.grounds.catalog.version;
                match known.filter(|s| s.is_known(version)) {
                    Some(s) => Expr::Coalesce(vec![kept(text(&kept_name(s))), in_force(s)]),
                    None => theirs,
                }
            }
            Some(Expr::Call(without_dots)) => match without_dots.args.first().map(|a| &a.value) {
                Some(name) if is_steady(name) => {
                    let own = [
                        ("search_path", self.search_path_setting()),
                        ("client_encoding", self.encoding_setting()),
                    ];
                    Expr::Coalesce(vec![kept_by(name.clone(), own), theirs])
                }
                _ => theirs,
            },
            _ => theirs,
        }
    }

    /// What is analyzed is what stands for `pg_settings`.
    pub(super) fn shows_settings(&self) -> bool {
        let inside = self.expanding.last();
        let relation = inside.and_then(|oid| self.grounds.catalog.relation_by_oid(*oid));
        relation.is_some_and(|r| is_settings_view(r))
    }

    /// `pg_settings` shows what the client set of the settings that are not obeyed. Inside of what stands
    /// for it, it is itself.
    pub(super) fn settings_query(&self, relation: &Relation) -> Resolve<Option<Box<Query>>> {
        if !is_settings_view(relation) || self.shows_settings() {
            return Ok(None);
        }
        let shown = shown_settings(
            self.grounds.search_path_text,
            self.grounds.client_encoding.name(),
        );
        let parsed = crate::sql::parse::parse(&shown)?;
        Ok(parsed.into_iter().find_map(|p| match p.statement {
            Statement::Query(query) => Some(query),
            _ => None,
        }))
    }
}

fn is_settings_view(relation: &Relation) -> bool {
    relation.schema == "pg_catalog" && relation.name == "pg_settings"
}

/// A custom setting that the policy does not name for the role.
pub fn not_listed(name: &str, role: &str) -> Refusal {
    Refusal::denied(format!("permission denied to set parameter \"{name}\""))
        .detail("The owner's row security may read it: a role sets the custom settings its policy names.")
        .hint(listing(name, role))
}

/// The same, to be shown.
pub fn not_shown(name: &str, role: &str) -> Refusal {
    Refusal::denied(format!("permission denied to show parameter \"{name}\""))
        .detail("Settings of extensions and applications may hold secrets.")
        .hint(listing(name, role))
}

fn listing(name: &str, role: &str) -> String {
    if name.starts_with("pgveil.") {
        return "Set it without \"pgveil\": the proxy keeps there what is its own.".to_owned();
    }
    format!("If it is the application's, list it in the policy: roles.{role}.settings: [{name}]")
}

/// The proxy's name for what is kept of a setting.
pub fn kept_name(setting: &Unheeded) -> String {
    format!("pgveil.{}", setting.name)
}

/// Its value in SQL.
pub fn kept_sql(setting: &Unheeded) -> String {
    let own = format!(
        "NULLIF(\"pg_catalog\".\"current_setting\"('{}', true), '')",
        kept_name(setting)
    );
    match setting.unpinned() {
        Some(value) => format!("COALESCE({own}, '{value}')"),
        None => format!(
            "COALESCE({own}, \"pg_catalog\".\"current_setting\"('{}'))",
            setting.name
        ),
    }
}

/// What SHOW ALL shows, by the name of a column: what is kept, else NULL.
pub fn kept_by_sql(name: &str) -> String {
    format!(
        "CASE WHEN {name} OPERATOR(pg_catalog.=) ANY ('{}'::pg_catalog.text[]) \
         THEN NULLIF(pg_catalog.current_setting('pgveil.' OPERATOR(pg_catalog.||) {name}, true), '') END",
        names()
    )
}

/// A pinned setting is shown as if it was not.
pub fn unpinned_sql(name: &str, setting: &str) -> String {
    let unpinned = all_unheeded().filter_map(|s| Some((s.name, s.unpinned()?)));
    let branches: Vec<String> = unpinned
        .map(|(known, value)| format!("WHEN '{known}' THEN '{value}'"))
        .collect();
    format!("CASE {name} {} ELSE {setting} END", branches.join(" "))
}

fn names() -> String {
    let names: Vec<&str> = all_unheeded().map(|s| s.name).collect();
    format!("{{{}}}", names.join(","))
}

/// The query for the columns of `pg_settings`; there a setting's value is in its own unit.
fn shown_settings(search_path: &str, encoding: &str) -> String {
    let path = search_path.replace('\'', "''");
    format!(
        "SELECT s.name, COALESCE(CASE s.unit \
         WHEN 'kB' THEN (pg_catalog.pg_size_bytes(s.kept) OPERATOR(pg_catalog./) 1024)::pg_catalog.text \
         WHEN '8kB' THEN (pg_catalog.pg_size_bytes(s.kept) OPERATOR(pg_catalog./) 8192)::pg_catalog.text \
         ELSE s.kept END, CASE s.name WHEN 'search_path' THEN '{path}' WHEN 'client_encoding' THEN '{encoding}' END, {setting}) AS setting, s.unit, s.category, s.short_desc, s.extra_desc, \
         s.context, s.vartype, CASE WHEN s.kept IS NOT NULL THEN 'session' ELSE {source} END AS source, \
         s.min_val, s.max_val, s.enumvals, s.boot_val, {reset} AS reset_val, s.sourcefile, \
         s.sourceline, s.pending_restart \
         FROM (SELECT g.*, {kept} AS kept FROM pg_catalog.pg_settings AS g) AS s",
        setting = unpinned_sql("s.name", "s.setting"),
        reset = unpinned_sql("s.name", "s.reset_val"),
        source = "CASE s.name WHEN 'enable_mergejoin' THEN 'default' ELSE s.source END",
        kept = kept_by_sql("g.name"),
    )
}

/// What is kept under a name of the proxy's.
fn kept(name: Expr) -> Expr {
    let function = catalog(&no_name(), "current_setting");
    let missing_ok = Expr::Literal(Literal::Bool(true));
    let call = Call::plain(function, [name, missing_ok]);
    none_if_empty(Expr::Call(Box::new(call)))
}

/// The same of the setting whose name this says, if it is such a one; or one of the proxy's own.
fn kept_by(name: Expr, known: [(&str, Expr); 2]) -> Expr {
    let lower = || {
        let name = Expr::Cast(Box::new(name.clone()), TypeName::builtin("text", 0));
        Expr::Call(Box::new(Call::plain(catalog(&no_name(), "lower"), [name])))
    };
    let list = Expr::Cast(Box::new(text(&names())), TypeName::builtin("text", 1));
    let listed = Expr::QuantifiedArray {
        left: Box::new(lower()),
        op: Operator::builtin("="),
        quantifier: Quantifier::Any,
        array: Box::new(list),
    };
    let own = Expr::Binary(
        Box::new(text("pgveil.")),
        Operator::builtin("||"),
        Box::new(lower()),
    );
    let branch = |(setting, value): (&str, Expr)| {
        let asked = Box::new(text(setting));
        (
            Expr::Binary(Box::new(lower()), Operator::builtin("="), asked),
            value,
        )
    };
    let mut branches: Vec<_> = known.into_iter().map(branch).collect();
    branches.push((listed, kept(own)));
    Expr::Case {
        operand: None,
        branches,
        otherwise: None,
    }
}

/// What the setting is where the client has set nothing.
fn in_force(setting: &Unheeded) -> Expr {
    if let Some(value) = setting.unpinned() {
        return text(value);
    }
    let function = catalog(&no_name(), "current_setting");
    Expr::Call(Box::new(Call::plain(function, [text(setting.name)])))
}

/// A setting of an unknown name that was reset is empty, and so is one of which another client of the
/// connection knew.
fn none_if_empty(e: Expr) -> Expr {
    Expr::NullIf(Box::new(e), Box::new(text("")))
}

/// Evaluated twice it says the same.
fn is_steady(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) | Expr::Param(_) | Expr::Column(_) => true,
        Expr::Cast(inner, _) => is_steady(inner),
        _ => false,
    }
}

/// `text` or `varchar`, as PostgreSQL has it.
pub fn is_text(ty: &TypeName) -> bool {
    let named = match ty.name.parts.as_slice() {
        [name] => name,
        [schema, name] if *schema == "pg_catalog" => name,
        _ => return false,
    };
    ty.array_dims == 0 && (*named == "text" || *named == "varchar") && ty.typmods.is_empty()
}

fn no_name() -> Name {
    Name::made(Vec::new())
}

/// What the client gives and no row can.
fn constant(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) | Expr::Param(_) => true,
        Expr::Cast(inner, _) => constant(inner),
        _ => false,
    }
}

fn catalog(near: &Name, function: &str) -> Name {
    Name {
        position: near.position,
        ..Name::builtin(function)
    }
}
