//! Any string and any name.

use super::*;

/// Anything PostgreSQL can hold in text: quotes, backslashes, comments, controls, any script.
fn text() -> impl Strategy<Value = String> {
    let tricky = prop::sample::select(vec![
        "'", "''", "\\", "\\'", "\"", "\"\"", "--", "/*", "*/", ";", "$$", "$1", "\n", "\r", "\t",
        "E'", "U&'", "\u{301}", "é", "𝄞", "\u{feff}", "%", "?",
    ]);
    let piece = prop_oneof![tricky.prop_map(str::to_owned), "[^\0]{0,3}"];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_string_and_name_arrives_unchanged(value in text(), other in text(), called in text()) {
        thread_local! {
            static SESSION: std::cell::RefCell<Session> = std::cell::RefCell::new(Session::new("strings"));
        }
        let mut called: String = called;
        while called.len() > 63 {
            called.pop();
        }
        if called.is_empty() {
            called.push('x');
        }
        SESSION.with_borrow_mut(|s| {
            // Both values in one statement: neither may run into the other.
            let inner = TableRef::Derived {
                lateral: false,
                query: Box::new(query(body({
                    let mut inner = select(Vec::new(), Vec::new());
                    inner.items = vec![item(string(&other), &called)];
                    inner
                }))),
                alias: alias(&called),
            };
            let keys = call("json_object_keys", vec![call("row_to_json", vec![
                Expr::WholeRow { qualifier: id("all of it"), base: None },
            ])]);
            let renamed = plain(
                vec![cast(string(&value), "text"), column(&called, &called), keys],
                vec![inner.clone(), TableRef::Derived {
                    lateral: false,
                    query: Box::new(query(body({
                        let mut outer = select(Vec::new(), vec![inner]);
                        outer.items = vec![item(column(&called, &called), &called)];
                        outer
                    }))),
                    alias: alias("all of it"),
                }],
            );
            let found = s.rows(renamed);
            prop_assert_eq!(found, [format!("{value}|{other}|{called}")]);
            Ok(())
        })?;
    }
}
