//! `current_setting` and `set_config`: SHOW and SET as functions, for the same settings.
//!
//! Dotted names belong to extensions and applications, which may keep secrets there, and to the
//! proxy, which keeps its pinned settings and token keys there.

use super::expr::{At, Info};
use super::own_state::{catalog_type, text};
use super::{Analyzer, Resolve};
use crate::catalog::allow::{SETTABLE, UNHEEDED};
use crate::ident::Ident;
use crate::pg::types::oid;
use crate::refusal::Refusal;
use crate::sql::tree::{Call, CallArg, Expr, Literal, Name};

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
        if UNHEEDED.contains(&known.as_str()) {
            *name = format!("pgveil.{known}").into();
        } else if !SETTABLE.contains(&known.as_str()) {
            return Err(denied(if known == "search_path" {
                "It sets search_path where it is all of a SELECT, with literal arguments."
            } else {
                "It is not among the settings a restricted role may change."
            }));
        }
        for arg in call.args.iter_mut().skip(1) {
            if !constant(&arg.value) {
                return Err(denied("A setting takes a literal or a parameter."));
            }
            self.expr(&mut arg.value, at.scope, at.ctes)?;
        }
        call.function = catalog(&call.function, "set_config");
        Ok(Some(Info {
            ty: Some(oid::TEXT),
            ..Info::default()
        }))
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
            let name = name.value();
            if !name.contains('.') {
                return Ok(());
            }
            return Err(
                Refusal::denied(format!("permission denied to show parameter \"{name}\""))
                    .detail("Settings of extensions and applications may hold secrets.")
                    .at(position),
            );
        }
        let name = std::mem::replace(value, Expr::Literal(Literal::Null));
        let as_text = Expr::Cast(Box::new(name), catalog_type("text", 0));
        let function = catalog(&call.function, "substring");
        *value = Expr::Call(Box::new(Call::plain(function, [as_text, text("^[^.]*$")])));
        Ok(())
    }
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
        parts: vec![Ident::exact("pg_catalog"), Ident::exact(function)],
        position: near.position,
    }
}
