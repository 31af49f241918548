//! `tokens` as they are written. What they do is `crate::mask::token`.

use std::sync::Arc;

use super::error::{Faults, PolicyError};
use super::read::{Fields, boolean, list, text, texts, word};
use super::source::{Span, shown};
use super::time::{Date, date};
use super::yaml::{Key, Node};
use crate::mask::token::{self, Shape};

/// One entry of `tokens`.
#[derive(Clone, Debug)]
pub struct TokenDef {
    /// The domain.
    pub name: Arc<str>,
    /// Where it is defined.
    pub span: Span,
    /// `kind`
    pub kind: TokenKind,
    /// `key`: a name in the key ring.
    pub key: String,
    pub(crate) key_span: Span,
    /// `format`, of ff1.
    pub format: Option<TokenFormat>,
    /// `keep_bin`, of bank_card: the first six digits stay as they are.
    pub keep_bin: bool,
    /// `detokenize`: the roles that may decode.
    pub detokenize: Vec<(String, Span)>,
    /// `expires`: the last day (UTC) on which the domain is used. Then its columns are denied.
    pub expires: Option<Date>,
}

impl TokenDef {
    /// How it makes tokens; `None` if this version cannot.
    pub fn built(&self) -> Option<token::TokenKind> {
        let shaped = token::TokenKind::Ff1;
        match (self.kind, self.format) {
            (TokenKind::Siv, _) => Some(token::TokenKind::Siv),
            (TokenKind::Hmac, _) => Some(token::TokenKind::Hmac),
            (TokenKind::Ff1, Some(TokenFormat::Uuid)) => Some(token::TokenKind::Ff1Uuid),
            (TokenKind::Ff1, Some(TokenFormat::Integer)) => Some(token::TokenKind::Ff1Integer),
            (TokenKind::Ff1, Some(TokenFormat::Digits)) => Some(shaped(Shape::Digits)),
            (TokenKind::Ff1, Some(TokenFormat::Phone)) => Some(shaped(Shape::Phone)),
            (TokenKind::Ff1, Some(TokenFormat::CnId)) => Some(shaped(Shape::CnId)),
            (TokenKind::Ff1, Some(TokenFormat::BankCard)) => Some(shaped(Shape::BankCard {
                keep_bin: self.keep_bin,
            })),
            (TokenKind::Ff1, None) => None,
        }
    }

    /// The last day of the domain, if it is over.
    pub fn expired(&self, today: Date) -> Option<Date> {
        self.expires.filter(|last| today > *last)
    }
}

/// `kind` of a token domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// AES-SIV, reversible.
    Siv,
    /// Format-preserving, reversible.
    Ff1,
    /// HMAC-SHA-256, irreversible.
    Hmac,
}

/// `format` of an ff1 domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFormat {
    /// `digits`
    Digits,
    /// `integer`
    Integer,
    /// `uuid`
    Uuid,
    /// `phone`
    Phone,
    /// `bank_card`
    BankCard,
    /// `cn_id`
    CnId,
}

/// Reads one entry of `tokens`.
pub(super) fn read(key: &Key, node: &Node, faults: &mut Faults) -> Option<TokenDef> {
    const KINDS: &[(&str, TokenKind)] = &[
        ("siv", TokenKind::Siv),
        ("ff1", TokenKind::Ff1),
        ("hmac", TokenKind::Hmac),
    ];
    const FORMATS: &[(&str, TokenFormat)] = &[
        ("digits", TokenFormat::Digits),
        ("integer", TokenFormat::Integer),
        ("uuid", TokenFormat::Uuid),
        ("phone", TokenFormat::Phone),
        ("bank_card", TokenFormat::BankCard),
        ("cn_id", TokenFormat::CnId),
    ];
    let what = format!("token domain `{}`", shown(&key.text));
    let mut fields = Fields::open(node, &what, faults)?;
    let kind = fields
        .require("kind", faults)
        .and_then(|n| word(n, "kind", KINDS, faults));
    let name = fields.require("key", faults);
    let named = name.and_then(|n| text(n, "key", faults));
    let format = fields.take_keyed("format");
    let keep_bin = fields.take_keyed("keep_bin");
    let detokenize = fields
        .take("detokenize")
        .and_then(|n| list(n, "detokenize", faults).map(|_| n));
    let detokenize = detokenize
        .map(|n| texts(n, "a role", faults))
        .unwrap_or_default();
    let expires = fields
        .take("expires")
        .and_then(|n| date(n, "expires", faults));
    fields.finish(faults);
    match (kind, &format) {
        (Some(TokenKind::Ff1), None) => {
            let known = FORMATS
                .iter()
                .map(|(w, _)| *w)
                .collect::<Vec<_>>()
                .join(", ");
            let message = format!("{what} is ff1 and needs `format`");
            faults.push(PolicyError::at(&key.span, message).help(format!("one of {known}")));
        }
        (Some(TokenKind::Siv | TokenKind::Hmac), Some((at, _))) => {
            faults.at(&at.span, "only ff1 has a format");
        }
        _ => {}
    }
    let format = format.and_then(|(_, n)| word(n, "format", FORMATS, faults));
    if let Some((at, _)) = keep_bin
        && format != Some(TokenFormat::BankCard)
    {
        faults.at(&at.span, "only format: bank_card has a BIN to keep");
    }
    let keep_bin = keep_bin.and_then(|(_, n)| boolean(n, "keep_bin", faults));
    Some(TokenDef {
        name: Arc::from(key.text.as_str()),
        span: key.span.clone(),
        // Kept after an error, so that the domain is not reported as unknown elsewhere.
        kind: kind.unwrap_or(TokenKind::Siv),
        key: named.unwrap_or_default().to_owned(),
        key_span: name.map_or(&key.span, |n| &n.span).clone(),
        format,
        keep_bin: keep_bin.unwrap_or(false),
        detokenize,
        expires,
    })
}
