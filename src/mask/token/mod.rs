//! Tokens: equality without disclosure, per domain.

/// A column's token treatment, bound to a key and a type.
pub struct TokenColumn {}
