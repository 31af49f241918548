//! Built-in type OIDs (`pg_type.dat`) that masks and the analyzer need to tell apart.

use super::Oid;

/// The OIDs, under PostgreSQL's internal names.
pub mod oid {
    use super::Oid;
    /// `boolean`
    pub const BOOL: Oid = 16;
    /// `bytea`
    pub const BYTEA: Oid = 17;
    /// `"char"`
    pub const CHAR: Oid = 18;
    /// `name`
    pub const NAME: Oid = 19;
    /// `bigint`
    pub const INT8: Oid = 20;
    /// `smallint`
    pub const INT2: Oid = 21;
    /// `integer`
    pub const INT4: Oid = 23;
    /// `regproc`
    pub const REGPROC: Oid = 24;
    /// `text`
    pub const TEXT: Oid = 25;
    /// `oid`
    pub const OID: Oid = 26;
    /// `json`
    pub const JSON: Oid = 114;
    /// `xml`
    pub const XML: Oid = 142;
    /// `cidr`
    pub const CIDR: Oid = 650;
    /// `real`
    pub const FLOAT4: Oid = 700;
    /// `double precision`
    pub const FLOAT8: Oid = 701;
    /// `unknown`
    pub const UNKNOWN: Oid = 705;
    /// `money`
    pub const MONEY: Oid = 790;
    /// `inet`
    pub const INET: Oid = 869;
    /// `character(n)`
    pub const BPCHAR: Oid = 1042;
    /// `character varying(n)`
    pub const VARCHAR: Oid = 1043;
    /// `date`
    pub const DATE: Oid = 1082;
    /// `time`
    pub const TIME: Oid = 1083;
    /// `timestamp`
    pub const TIMESTAMP: Oid = 1114;
    /// `timestamp with time zone`
    pub const TIMESTAMPTZ: Oid = 1184;
    /// `interval`
    pub const INTERVAL: Oid = 1186;
    /// `numeric`
    pub const NUMERIC: Oid = 1700;
    /// `regclass`
    pub const REGCLASS: Oid = 2205;
    /// `regtype`
    pub const REGTYPE: Oid = 2206;
    /// `record`
    pub const RECORD: Oid = 2249;
    /// `uuid`
    pub const UUID: Oid = 2950;
    /// `jsonb`
    pub const JSONB: Oid = 3802;
    /// `pg_lsn`
    pub const PG_LSN: Oid = 3220;
}

/// A wire format code of one column or parameter (protocol chapter, "Formats and Format Codes").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// 0
    Text,
    /// 1
    Binary,
}
