//! Type names.

use super::*;

/// PostgreSQL's own name for each type that was cast to.
#[test]
fn types_print_as_postgresql_means_them() {
    let mut s = Session::new("types");
    let interval = |fields: Option<&str>, typmods: &[i64]| TypeName {
        interval_fields: fields.map(Into::into),
        ..ty("interval", typmods, 0)
    };
    let cases = [
        (ty("varchar", &[160], 0), "character varying(160)"),
        (ty("varchar", &[], 2), "character varying[]"),
        (ty("bpchar", &[3], 0), "character(3)"),
        (ty("bpchar", &[], 0), "bpchar"),
        (ty("char", &[], 0), "\"char\""),
        (ty("bit", &[3], 0), "bit(3)"),
        (ty("varbit", &[9], 0), "bit varying(9)"),
        (ty("numeric", &[5, 2], 0), "numeric(5,2)"),
        (ty("numeric", &[3, -2], 1), "numeric(3,-2)[]"),
        (ty("timestamp", &[0], 0), "timestamp(0) without time zone"),
        (ty("timestamptz", &[3], 0), "timestamp(3) with time zone"),
        (ty("time", &[1], 0), "time(1) without time zone"),
        (ty("timetz", &[], 0), "time with time zone"),
        (interval(None, &[]), "interval"),
        (interval(None, &[3]), "interval(3)"),
        (interval(None, &[0x7fff, 3]), "interval(3)"),
        (interval(Some("YEAR"), &[]), "interval year"),
        (interval(Some("YEAR"), &[4]), "interval year"),
        (interval(Some("MONTH"), &[]), "interval month"),
        (interval(Some("DAY"), &[]), "interval day"),
        (interval(Some("HOUR"), &[]), "interval hour"),
        (interval(Some("MINUTE"), &[]), "interval minute"),
        (interval(Some("SECOND"), &[]), "interval second"),
        (interval(Some("SECOND"), &[2]), "interval second(2)"),
        (
            interval(Some("YEAR TO MONTH"), &[]),
            "interval year to month",
        ),
        (interval(Some("DAY TO HOUR"), &[]), "interval day to hour"),
        (
            interval(Some("DAY TO MINUTE"), &[]),
            "interval day to minute",
        ),
        (
            interval(Some("DAY TO SECOND"), &[3]),
            "interval day to second(3)",
        ),
        (
            interval(Some("DAY TO SECOND"), &[7176, 3]),
            "interval day to second(3)",
        ),
        (
            interval(Some("HOUR TO MINUTE"), &[]),
            "interval hour to minute",
        ),
        (
            interval(Some("HOUR TO SECOND"), &[]),
            "interval hour to second",
        ),
        (
            interval(Some("MINUTE TO SECOND"), &[0]),
            "interval minute to second(0)",
        ),
        (
            TypeName {
                name: name(&["s", "pair"]),
                ..ty("", &[], 1)
            },
            "s.pair[]",
        ),
    ];
    for (i, (ty, expected)) in cases.into_iter().enumerate() {
        let sql = print_type(&ty).unwrap();
        s.run(&format!(
            "CREATE TABLE s.x{i} AS SELECT CAST(NULL AS {sql}) AS x"
        ));
        let named = s.run(&format!(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = 's.x{i}'::regclass AND attnum = 1"
        ));
        assert_eq!(named, [expected], "{sql}");
    }
    for bad in [interval(Some("EON"), &[]), interval(Some("YEAR"), &[3])] {
        assert!(print_type(&bad).is_err());
    }
    assert_eq!(
        s.values(vec![cast(string("2026-01-02"), "date")]),
        "2026-01-02"
    );
}
