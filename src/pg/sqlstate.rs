//! The SQLSTATEs pgveil itself emits. Appendix A of PostgreSQL's manual has the words.

/// `insufficient_privilege`: the policy says no.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// `feature_not_supported`: pgveil cannot analyze the statement.
pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
/// `syntax_error`
pub const SYNTAX_ERROR: &str = "42601";
/// `undefined_table`
pub const UNDEFINED_TABLE: &str = "42P01";
/// `undefined_column`
pub const UNDEFINED_COLUMN: &str = "42703";
/// `undefined_function`
pub const UNDEFINED_FUNCTION: &str = "42883";
/// `undefined_object` (a type, a collation, a setting)
pub const UNDEFINED_OBJECT: &str = "42704";
/// `reserved_name`
pub const RESERVED_NAME: &str = "42939";
/// `undefined_parameter`
pub const UNDEFINED_PARAMETER: &str = "42P02";
/// `ambiguous_column`
pub const AMBIGUOUS_COLUMN: &str = "42702";
/// `duplicate_column`
pub const DUPLICATE_COLUMN: &str = "42701";
/// `wrong_object_type`
pub const WRONG_OBJECT_TYPE: &str = "42809";
/// `duplicate_alias`
pub const DUPLICATE_ALIAS: &str = "42712";
/// `invalid_name`
pub const INVALID_NAME: &str = "42602";
/// `name_too_long`
pub const NAME_TOO_LONG: &str = "42622";
/// `invalid_sql_statement_name`: a prepared statement that does not exist
pub const INVALID_STATEMENT_NAME: &str = "26000";
/// `invalid_cursor_name`: a portal that does not exist
pub const INVALID_CURSOR_NAME: &str = "34000";
/// A cursor that cannot be read any more.
pub const INVALID_CURSOR_STATE: &str = "24000";
/// `duplicate_prepared_statement`
pub const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";
/// `duplicate_cursor`
pub const DUPLICATE_CURSOR: &str = "42P03";
/// `cannot_coerce`
pub const CANNOT_COERCE: &str = "42846";
/// `read_only_sql_transaction`
pub const READ_ONLY_TRANSACTION: &str = "25006";
/// `in_failed_sql_transaction`
pub const IN_FAILED_TRANSACTION: &str = "25P02";
/// `statement_too_complex`
pub const STATEMENT_TOO_COMPLEX: &str = "54001";
/// `program_limit_exceeded`
pub const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
/// `protocol_violation`
pub const PROTOCOL_VIOLATION: &str = "08P01";
/// `connection_failure`
pub const CONNECTION_FAILURE: &str = "08006";
/// `sqlclient_unable_to_establish_sqlconnection`
pub const CANNOT_CONNECT: &str = "08001";
/// `invalid_password`
pub const INVALID_PASSWORD: &str = "28P01";
/// `invalid_authorization_specification`
pub const INVALID_AUTHORIZATION: &str = "28000";
/// `invalid_catalog_name`: a database that does not exist
pub const INVALID_CATALOG_NAME: &str = "3D000";
/// A schema that is not there.
pub const INVALID_SCHEMA_NAME: &str = "3F000";
/// `too_many_connections`
pub const TOO_MANY_CONNECTIONS: &str = "53300";
/// `admin_shutdown`
pub const ADMIN_SHUTDOWN: &str = "57P01";
/// `crash_shutdown`
pub const CRASH_SHUTDOWN: &str = "57P02";
/// `cannot_connect_now`
pub const CANNOT_CONNECT_NOW: &str = "57P03";
/// `deadlock_detected`
pub const DEADLOCK_DETECTED: &str = "40P01";
/// `lock_not_available`
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// `serialization_failure`: the transaction may be tried again
pub const SERIALIZATION_FAILURE: &str = "40001";
/// `query_canceled`
pub const QUERY_CANCELED: &str = "57014";
/// `character_not_in_repertoire`: bytes that are not UTF-8
pub const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
/// A character that the other encoding has not.
pub const UNTRANSLATABLE_CHARACTER: &str = "22P05";
/// `invalid_parameter_value`
pub const INVALID_PARAMETER_VALUE: &str = "22023";
/// `invalid_text_representation`
pub const INVALID_TEXT_REPRESENTATION: &str = "22P02";
/// `invalid_binary_representation`
pub const INVALID_BINARY_REPRESENTATION: &str = "22P03";
/// `object_not_in_prerequisite_state`
pub const OBJECT_NOT_IN_STATE: &str = "55000";
/// `config_file_error`
pub const CONFIG_FILE_ERROR: &str = "F0000";
/// `bad_copy_file_format`
pub const BAD_COPY_FILE_FORMAT: &str = "22P04";
/// `invalid_column_reference`
pub const INVALID_COLUMN_REFERENCE: &str = "42P10";
/// `internal_error`
pub const INTERNAL_ERROR: &str = "XX000";
/// `data_corrupted`
pub const DATA_CORRUPTED: &str = "XX001";
/// `insufficient_resources`
pub const INSUFFICIENT_RESOURCES: &str = "53000";
