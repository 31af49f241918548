//! ErrorResponse and NoticeResponse for a restricted role: what happened, without the values.
//!
//! SQLSTATE, severity and object names stay. The message is written anew: from the object names for
//! constraint violations, as a fixed text for what can quote a value, and PostgreSQL's own only when
//! the source file that raised it quotes nothing but names; so is HINT, of those known by heart. DETAIL,
//! CONTEXT and the internal query go. Deliberately absent: wire encoding, for this maps fields to fields; and
//! where in the client's text it points, which `errors` finds.

mod reason;
mod texts;
mod words;

pub(crate) use self::reason::reason;
use crate::ident::Ident;
use crate::pg::sqlstate;

/// The fields of one ErrorResponse or NoticeResponse that matter here, as PostgreSQL sent them.
#[derive(Default, Clone)]
pub struct Fields<'a> {
    /// `V` (or `S` before 9.6): the severity, never localized.
    pub severity: &'a str,
    /// `C`
    pub sqlstate: &'a str,
    /// `M`
    pub message: &'a str,
    /// `H`
    pub hint: Option<&'a str>,
    /// `s`
    pub schema: Option<&'a str>,
    /// `t`
    pub table: Option<&'a str>,
    /// `c`
    pub column: Option<&'a str>,
    /// `d`
    pub datatype: Option<&'a str>,
    /// `n`
    pub constraint: Option<&'a str>,
    /// `F`: the source file that raised it
    pub file: Option<&'a str>,
    /// `P`: the character, from 1, of what was sent that it is about.
    pub position: Option<usize>,
    /// `W`, `q` or `p` came: it was raised inside a function, a trigger or the data of a COPY.
    pub nested: bool,
    /// Inside a function or a trigger. A name in it need not be the client's: a trigger makes table names
    /// of the rows it sees.
    pub called: bool,
}

impl<'a> Fields<'a> {
    /// Takes one field by its type code; others are dropped here and now.
    pub fn set(&mut self, code: u8, value: &'a str) {
        match code {
            b'S' if self.severity.is_empty() => self.severity = value,
            b'V' => self.severity = value,
            b'C' => self.sqlstate = value,
            b'M' => self.message = value,
            b'H' => self.hint = Some(value),
            b's' => self.schema = Some(value),
            b't' => self.table = Some(value),
            b'c' => self.column = Some(value),
            b'd' => self.datatype = Some(value),
            b'n' => self.constraint = Some(value),
            b'F' => self.file = Some(value),
            b'P' => self.position = value.parse().ok(),
            b'W' => {
                self.nested = true;
                self.called |= value.lines().any(|line| !line.starts_with(COPY_CONTEXT));
            }
            b'q' | b'p' => {
                self.nested = true;
                self.called = true;
            }
            _ => {}
        }
    }

    /// Leaves out which objects it is about.
    pub fn forget_names(&mut self) {
        self.schema = None;
        self.table = None;
        self.constraint = None;
        // Its own words may name them.
        self.file = None;
    }
}

/// The line of `W` that says where in its data a COPY is.
const COPY_CONTEXT: &str = "COPY ";

/// What the client gets: field code and text, in PostgreSQL's order.
pub type Sanitized = Vec<(u8, String)>;

/// Source files of PostgreSQL's parser and of its access checks: their class 42 messages quote
/// identifiers, type names and operators, never a constant.
const NAMES_ONLY: [&str; 22] = [
    "aclchk.c",
    "analyze.c",
    "dependency.c",
    "functioncmds.c",
    "heap.c",
    "namespace.c",
    "parse_agg.c",
    "parse_clause.c",
    "parse_coerce.c",
    "parse_collate.c",
    "parse_cte.c",
    "parse_expr.c",
    "parse_func.c",
    "parse_node.c",
    "parse_oper.c",
    "parse_param.c",
    "parse_relation.c",
    "parse_target.c",
    "parse_type.c",
    "portalcmds.c",
    "tablecmds.c",
    "xact.c",
];

/// Does the error come from a catalog that is not the one the statement was planned on? The checks
/// printed with it say so (`plan::pin`), or a name is gone: the planner had found it.
pub fn catalog_moved(fields: &Fields<'_>) -> bool {
    pin_failed(fields).is_some()
        || matches!(fields.sqlstate, "42P01" | "42703")
        || too_few_columns(fields)
}

/// SQLSTATE, message and hint of a check of the proxy's own that failed.
pub fn pin_failed(fields: &Fields<'_>) -> Option<[&'static str; 3]> {
    if too_few_columns(fields)
        || fields.sqlstate == "42704" && fields.message.contains(crate::sql::print::MOVED)
    {
        return Some([
            sqlstate::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent DDL",
            "The catalog changed after the statement was planned. Try again.",
        ]);
    }
    if fields.sqlstate == "22023" && fields.message.contains(crate::sql::print::UNREAD) {
        return Some([
            sqlstate::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent update",
            "A value was written while the statement's tokens were being made. Try again.",
        ]);
    }
    let unproven = fields.message.contains(crate::sql::print::UNPROVEN);
    (fields.sqlstate == "42704" && unproven).then_some([
        sqlstate::FEATURE_NOT_SUPPORTED,
        "a restricted role cannot read a view in a REPEATABLE READ or SERIALIZABLE transaction",
        "Read it in a READ COMMITTED transaction, or query the tables it is made of.",
    ])
}

/// A list of column aliases is longer than the table is now.
fn too_few_columns(fields: &Fields<'_>) -> bool {
    fields.sqlstate == "42P10" && fields.file == Some("parse_relation.c")
}

/// An error, without the values it quotes and the schemas that the client's search path finds.
pub fn error(fields: &Fields<'_>, schemas: &[Ident]) -> Sanitized {
    if let Some([sqlstate, message, hint]) = pin_failed(fields) {
        return vec![
            (b'S', "ERROR".to_owned()),
            (b'V', "ERROR".to_owned()),
            (b'C', sqlstate.to_owned()),
            (b'M', message.to_owned()),
            (b'H', hint.to_owned()),
        ];
    }
    let severity = match fields.severity {
        known @ ("FATAL" | "PANIC") => known,
        _ => "ERROR",
    };
    let sqlstate = checked_sqlstate(fields.sqlstate);
    let names = Names::of(fields, sqlstate);
    let mut out = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', sqlstate.to_owned()),
        (b'M', message(fields, sqlstate, &names, schemas)),
    ];
    let hint = fields.hint.filter(|_| of_parser(fields, sqlstate));
    if let Some(hint) = hint.and_then(words::hint) {
        out.push((b'H', hint.to_owned()));
    }
    names.push_into(&mut out);
    out
}

/// A notice in the proxy's words, or nothing.
pub fn notice(fields: &Fields<'_>) -> Option<Sanitized> {
    let severity @ ("NOTICE" | "WARNING") = fields.severity else {
        return None;
    };
    let text = match fields.sqlstate {
        "25001" => "there is already a transaction in progress",
        "25P01" => "there is no transaction in progress",
        "42P07" => "relation already exists, skipping",
        "57P01" => "terminating connection due to administrator command",
        _ => return None,
    };
    Some(vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', fields.sqlstate.to_owned()),
        (b'M', text.to_owned()),
    ])
}

/// Five characters of the SQLSTATE alphabet, or `XX000`: a function may raise any text as one.
fn checked_sqlstate(state: &str) -> &str {
    let valid = state.len() == 5
        && state
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if valid {
        state
    } else {
        sqlstate::INTERNAL_ERROR
    }
}

/// Object names, kept only where PostgreSQL itself sets them: `RAISE … USING TABLE = value` is how a
/// function would put a value there.
#[derive(Default)]
struct Names<'a> {
    schema: Option<&'a str>,
    table: Option<&'a str>,
    column: Option<&'a str>,
    datatype: Option<&'a str>,
    constraint: Option<&'a str>,
}

impl<'a> Names<'a> {
    fn of(fields: &Fields<'a>, sqlstate: &str) -> Self {
        if is_raised(fields)
            || fields.called
            || !(sqlstate.starts_with("23") || sqlstate.starts_with("42"))
        {
            return Self::default();
        }
        let short = |name: Option<&'a str>| name.filter(|n| n.len() <= crate::ident::MAX_BYTES);
        Self {
            schema: short(fields.schema),
            table: short(fields.table),
            column: short(fields.column),
            datatype: short(fields.datatype),
            constraint: short(fields.constraint),
        }
    }

    fn push_into(&self, out: &mut Sanitized) {
        for (code, name) in [
            (b's', self.schema),
            (b't', self.table),
            (b'c', self.column),
            (b'd', self.datatype),
            (b'n', self.constraint),
        ] {
            if let Some(name) = name {
                out.push((code, name.to_owned()));
            }
        }
    }
}

/// Raised by a procedural language or an extension, or by something that does not say.
fn is_raised(fields: &Fields<'_>) -> bool {
    fields.file.is_none_or(|file| file.starts_with("pl"))
}

/// Is it said of the client's own statement, and of names only?
fn of_parser(fields: &Fields<'_>, sqlstate: &str) -> bool {
    let names_only = !fields.nested && fields.file.is_some_and(|f| NAMES_ONLY.contains(&f));
    sqlstate.starts_with("42") && sqlstate != "42601" && names_only
}

fn message(fields: &Fields<'_>, sqlstate: &str, names: &Names<'_>, schemas: &[Ident]) -> String {
    // Of two tables, and of two ways to violate it.
    let referring = sqlstate == "23503" && fields.file == Some("ri_triggers.c");
    if referring && names.table.is_some() && names.constraint.is_some() {
        return fields.message.to_owned();
    }
    if let Some(text) = constraint_message(sqlstate, names) {
        return text;
    }
    if of_parser(fields, sqlstate) {
        return words::bare(fields.message, schemas);
    }
    let of_a_type = fields.file == Some("varchar.c") && fields.message.starts_with(TOO_LONG);
    if sqlstate == "22001" && of_a_type {
        return fields.message.to_owned();
    }
    if sqlstate == "21000" && fields.file == Some("nodeModifyTable.c") && fields.message == TWICE {
        return TWICE.to_owned();
    }
    let of_sequence = fields.file == Some("sequence.c") && fields.message.ends_with(NOT_YET);
    if sqlstate == "55000" && of_sequence && !fields.nested {
        return fields.message.to_owned();
    }
    texts::fixed(sqlstate).to_owned()
}

/// The end of what `currval` says of a sequence, and `lastval` of all.
const NOT_YET: &str = " is not yet defined in this session";

/// What `INSERT` says whose own rows are in each other's way; another error of that SQLSTATE is a subquery's.
const TWICE: &str = "ON CONFLICT DO UPDATE command cannot affect row a second time";

/// `varchar.c`'s whole message is this and the type's name.
const TOO_LONG: &str = "value too long for type ";

/// PostgreSQL's own words for a constraint violation, made from the object names.
fn constraint_message(sqlstate: &str, names: &Names<'_>) -> Option<String> {
    let (table, constraint) = (names.table, names.constraint);
    match sqlstate {
        "23502" => {
            let (column, table) = (names.column?, table?);
            Some(format!(
                "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
            ))
        }
        "23503" => {
            let (table, constraint) = (table?, constraint?);
            Some(format!(
                "operation on table \"{table}\" violates foreign key constraint \"{constraint}\""
            ))
        }
        "23505" => {
            let constraint = constraint?;
            Some(format!(
                "duplicate key value violates unique constraint \"{constraint}\""
            ))
        }
        "23514" => {
            let constraint = constraint?;
            Some(match table {
                Some(table) => format!(
                    "new row for relation \"{table}\" violates check constraint \"{constraint}\""
                ),
                None => format!("value violates check constraint \"{constraint}\""),
            })
        }
        "23P01" => {
            let constraint = constraint?;
            Some(format!(
                "conflicting key value violates exclusion constraint \"{constraint}\""
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, error, notice};

    fn text(out: &[(u8, String)], code: u8) -> Option<&str> {
        out.iter()
            .find(|(c, _)| *c == code)
            .map(|(_, v)| v.as_str())
    }

    #[test]
    fn a_conversion_error_does_not_quote_the_value() {
        let out = error(
            &Fields {
                severity: "ERROR",
                sqlstate: "22P02",
                message: "invalid input syntax for type integer: \"CANARY\"",
                file: Some("numutils.c"),
                ..Fields::default()
            },
            &[],
        );
        assert_eq!(text(&out, b'C'), Some("22P02"));
        assert_eq!(text(&out, b'M'), Some("invalid input syntax for type"));
    }

    #[test]
    fn a_name_that_a_function_made_up_is_not_told() {
        for code in [b'W', b'q', b'p'] {
            let mut fields = Fields {
                severity: "ERROR",
                sqlstate: "42P01",
                message: "relation \"CANARY\" does not exist",
                file: Some("parse_relation.c"),
                ..Fields::default()
            };
            fields.set(code, "PL/pgSQL function f() line 1 at EXECUTE");
            let out = error(&fields, &[]);
            assert_eq!(text(&out, b'M'), Some("relation does not exist"));
        }
    }

    #[test]
    fn an_object_that_a_trigger_made_is_not_told() {
        let violated = |context: Option<&'static str>| {
            let mut fields = Fields {
                severity: "ERROR",
                sqlstate: "23505",
                message: "duplicate key value violates unique constraint \"CANARY_pkey\"",
                table: Some("CANARY"),
                constraint: Some("CANARY_pkey"),
                file: Some("nbtinsert.c"),
                ..Fields::default()
            };
            if let Some(context) = context {
                fields.set(b'W', context);
            }
            error(&fields, &[])
        };
        let inside = "SQL statement \"INSERT INTO …\"\nPL/pgSQL function f() line 1 at EXECUTE";
        let out = violated(Some(inside));
        assert_eq!(text(&out, b'C'), Some("23505"));
        assert!(!format!("{out:?}").contains("CANARY"));
        for own in [None, Some("COPY visits, line 2")] {
            assert_eq!(text(&violated(own), b'n'), Some("CANARY_pkey"));
        }
        let both = violated(Some("PL/pgSQL function f() line 1\nCOPY visits, line 2"));
        assert_eq!(text(&both, b'n'), None);
    }

    #[test]
    fn which_table_refers_to_which_is_told_unless_a_function_says_so() {
        let told = |context: Option<&'static str>| {
            let mut fields = Fields {
                severity: "ERROR",
                sqlstate: "23503",
                message: "update or delete on table \"a\" violates foreign key constraint \"k\" on table \"b\"",
                table: Some("b"),
                constraint: Some("k"),
                file: Some("ri_triggers.c"),
                ..Fields::default()
            };
            match context {
                Some("nameless") => fields.forget_names(),
                Some(context) => fields.set(b'W', context),
                None => {}
            }
            text(&error(&fields, &[]), b'M')
                .unwrap()
                .contains("table \"a\"")
        };
        assert!(told(None));
        assert!(!told(Some("PL/pgSQL function f() line 1")));
        assert!(!told(Some("nameless")));
    }

    #[test]
    fn a_length_is_told_by_the_type_itself_only() {
        let told = |file| {
            let out = error(
                &Fields {
                    severity: "ERROR",
                    sqlstate: "22001",
                    message: "value too long for type CANARY",
                    file: Some(file),
                    ..Fields::default()
                },
                &[],
            );
            text(&out, b'M').unwrap().contains("CANARY")
        };
        assert!(told("varchar.c"));
        assert!(!told("citext.c") && !told("pl_exec.c"));
    }

    #[test]
    fn a_missing_relation_is_named() {
        let out = error(
            &Fields {
                severity: "ERROR",
                sqlstate: "42P01",
                message: "relation \"nowhere\" does not exist",
                file: Some("parse_relation.c"),
                ..Fields::default()
            },
            &[],
        );
        assert_eq!(
            text(&out, b'M'),
            Some("relation \"nowhere\" does not exist")
        );
    }

    #[test]
    fn a_function_cannot_speak_through_an_sqlstate_or_a_name() {
        for sqlstate in ["42P01", "23505", "P0001", "22001"] {
            let out = error(
                &Fields {
                    severity: "ERROR",
                    sqlstate,
                    message: "value too long for type CANARY",
                    table: Some("CANARY"),
                    constraint: Some("CANARY"),
                    file: Some("pl_exec.c"),
                    ..Fields::default()
                },
                &[],
            );
            assert!(out.iter().all(|(_, v)| !v.contains("CANARY")), "{sqlstate}");
        }
        let out = error(
            &Fields {
                sqlstate: "CANARY",
                ..Fields::default()
            },
            &[],
        );
        assert_eq!(text(&out, b'C'), Some("XX000"));
    }

    #[test]
    fn a_constraint_violation_is_told_from_its_names() {
        let out = error(
            &Fields {
                severity: "ERROR",
                sqlstate: "23505",
                message: "duplicate key value violates unique constraint \"t_pkey\"",
                table: Some("t"),
                schema: Some("s"),
                constraint: Some("t_pkey"),
                file: Some("nbtinsert.c"),
                ..Fields::default()
            },
            &[],
        );
        assert_eq!(
            text(&out, b'M'),
            Some("duplicate key value violates unique constraint \"t_pkey\"")
        );
        assert_eq!(text(&out, b'n'), Some("t_pkey"));
        assert_eq!(text(&out, b'D'), None);
    }

    #[test]
    fn every_field_not_named_here_is_dropped() {
        let mut fields = Fields::default();
        for code in [b'D', b'H', b'W', b'p', b'q', b'P', b'L', b'R'] {
            fields.set(code, "CANARY");
        }
        assert!(
            error(&fields, &[])
                .iter()
                .all(|(_, v)| !v.contains("CANARY"))
        );
    }

    #[test]
    fn notices_pass_by_sqlstate_in_our_words_and_debug_never() {
        let raised = Fields {
            severity: "NOTICE",
            sqlstate: "00000",
            message: "CANARY",
            ..Fields::default()
        };
        assert!(notice(&raised).is_none());
        let logged = Fields {
            severity: "LOG",
            sqlstate: "25P01",
            message: "CANARY",
            ..Fields::default()
        };
        assert!(notice(&logged).is_none());
        let warned = Fields {
            severity: "WARNING",
            sqlstate: "25P01",
            message: "CANARY",
            ..Fields::default()
        };
        let out = notice(&warned).unwrap();
        assert_eq!(
            text(&out, b'M'),
            Some("there is no transaction in progress")
        );
    }
}
