//! What a mask has to know of the column it is bound to.
//!
//! Deliberately absent: how types are found. The catalog fills a [`ColumnType`]; masks only read it.

use std::sync::Arc;

use crate::ident::Ident;
use crate::pg::Oid;
use crate::pg::types::oid;

/// A column's type as masks see it: domains are already their base type, because that is what
/// `RowDescription` shows and what a mask may produce.
#[derive(Clone)]
pub struct ColumnType {
    /// The base type (`varchar` for a domain over `varchar(24)`).
    pub oid: Oid,
    /// The effective typmod: the column's own, or the domain's.
    pub typmod: i32,
    /// The base type as SQL, qualified and with typmod: `pg_catalog.varchar(160)`,
    /// `"crm"."address"`, `pg_catalog.text[]`. Every masked value is cast to it.
    pub sql: Arc<str>,
    /// A collation that is not the type's default: (schema, name).
    pub collation: Option<(Ident, Ident)>,
    /// The element's type, for arrays.
    pub element: Option<Box<ColumnType>>,
    /// The column's own type is a domain over this one.
    pub domain: bool,
}

/// What a mask can do with a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// text, varchar(n), char(n), citext
    Text(TextKind),
    /// int2, int4, int8
    Integer,
    /// numeric
    Numeric,
    /// float4, float8
    Float,
    /// date
    Date,
    /// timestamp
    Timestamp,
    /// timestamptz
    TimestampTz,
    /// inet
    Inet,
    /// cidr
    Cidr,
    /// json
    Json,
    /// jsonb
    Jsonb,
    /// Anything else: only constants.
    Other,
}

/// The text types differ in what a cast to them does and in what they send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// `text`: sent as stored.
    Text,
    /// `varchar(n)`: cut to n characters.
    Varchar,
    /// `char(n)`: trailing blanks are not part of the value; padded to n when sent.
    Bpchar,
    /// `citext`, an extension's type without a fixed OID.
    Citext,
}

impl ColumnType {
    pub(super) fn kind(&self) -> Kind {
        match self.oid {
            oid::TEXT => Kind::Text(TextKind::Text),
            oid::VARCHAR => Kind::Text(TextKind::Varchar),
            oid::BPCHAR => Kind::Text(TextKind::Bpchar),
            oid::INT2 | oid::INT4 | oid::INT8 => Kind::Integer,
            oid::NUMERIC => Kind::Numeric,
            oid::FLOAT4 | oid::FLOAT8 => Kind::Float,
            oid::DATE => Kind::Date,
            oid::TIMESTAMP => Kind::Timestamp,
            oid::TIMESTAMPTZ => Kind::TimestampTz,
            oid::INET => Kind::Inet,
            oid::CIDR => Kind::Cidr,
            oid::JSON => Kind::Json,
            oid::JSONB => Kind::Jsonb,
            _ if self.element.is_none() && self.sql.ends_with(".\"citext\"") => {
                Kind::Text(TextKind::Citext)
            }
            _ => Kind::Other,
        }
    }

    /// The type in messages, as people write it: `varchar(160)`, `crm.address`.
    pub(super) fn shown(&self) -> String {
        self.sql.replace('"', "").replace("pg_catalog.", "")
    }

    /// n of varchar(n) and char(n).
    pub(super) fn character_limit(&self) -> Option<usize> {
        match self.oid {
            oid::VARCHAR | oid::BPCHAR => usize::try_from(self.typmod.checked_sub(4)?).ok(),
            _ => None,
        }
    }

    /// Precision and scale of numeric(p,s); `None` for a bare numeric. The scale may be negative or
    /// larger than the precision (PostgreSQL 15).
    pub(super) fn precision(&self) -> Option<(u32, i32)> {
        if self.oid != oid::NUMERIC || self.typmod < 4 {
            return None;
        }
        let packed = self.typmod.checked_sub(4)?;
        let precision = u32::try_from((packed >> 16) & 0xffff).ok()?;
        // An 11-bit two's complement, as in numeric_typmod_scale().
        Some((precision, ((packed & 0x7ff) ^ 1024) - 1024))
    }

    /// Smallest and largest value, for integers.
    pub(super) fn integer_range(&self) -> Option<(i128, i128)> {
        match self.oid {
            oid::INT2 => Some((i16::MIN.into(), i16::MAX.into())),
            oid::INT4 => Some((i32::MIN.into(), i32::MAX.into())),
            oid::INT8 => Some((i64::MIN.into(), i64::MAX.into())),
            _ => None,
        }
    }

    /// The column as one of `pg_catalog`'s types: cast, unless that is what it is. PostgreSQL reads a
    /// statement in about the time it takes to run a small one, and masks are most of its text.
    pub(super) fn as_type(&self, column: &str, name: &str) -> String {
        let own = match self.oid {
            oid::TEXT => "text",
            oid::INT4 => "int4",
            oid::INT8 => "int8",
            oid::NUMERIC => "numeric",
            oid::FLOAT8 => "float8",
            oid::DATE => "date",
            oid::TIMESTAMP => "timestamp",
            oid::TIMESTAMPTZ => "timestamptz",
            oid::INET => "inet",
            oid::CIDR => "cidr",
            oid::JSONB => "jsonb",
            _ => "",
        };
        if own == name && !self.domain {
            return column.to_owned();
        }
        super::sql_text::cast(column, name)
    }

    /// Equal texts are equal bytes: the collation is the database's own, which is deterministic.
    pub(super) fn has_default_collation(&self) -> bool {
        self.collation.is_none() && !self.domain
    }

    /// `expression` cast to the column's type, typmod and collation.
    pub(super) fn cast(&self, expression: &str) -> String {
        let mut out = format!("({expression})::{}", self.sql);
        if let Some((schema, name)) = &self.collation {
            out = format!("({out} COLLATE {}.{})", schema.quoted(), name.quoted());
        }
        out
    }
}

/// What a nullified column is: NULL of the column's exact type and collation.
pub fn null_sql(ty: &ColumnType) -> String {
    ty.cast("NULL")
}
