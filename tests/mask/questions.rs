//! What a question put to the stored value answers, against the same question on the masked one.

use pgveil::mask::{CompiledMask, JsonAction, JsonOther, Mask, Question};
use proptest::prelude::*;

use super::{
    any_partial, any_text, compile, email, json, json_masked, json_text, partial, round_to, run, ty,
};

/// The question in SQL, of the mask's output.
fn of_mask(question: Question<'_>, masked: &str) -> String {
    let (operator, constant) = match question {
        Question::Equals(text) => ("=", text),
        Question::Like(text) => ("~~", text),
        Question::Member(text) => ("->", text),
        Question::MemberText(text) => ("->>", text),
        Question::At(text) => ("#>", text),
        Question::AtText(text) => ("#>>", text),
        Question::HasKey(text) => ("?", text),
        Question::Contains(text) => ("@>", text),
    };
    format!("({masked} {operator} '{}')", constant.replace('\'', "''"))
}

/// Asks a mask each question of each value and of NULL. How many questions did it answer?
fn assert_answers(mask: &CompiledMask, values: &[String], questions: &[Question<'_>]) -> usize {
    let name = &mask.column_type().sql;
    let quoted: Vec<String> = values
        .iter()
        .map(|v| format!("('{}'::{name})", v.replace('\'', "''")))
        .collect();
    // The cluster's collation is "C", so an index could have any of these texts in order.
    let answered: Vec<(Question<'_>, String)> = questions
        .iter()
        .flat_map(|q| [false, true].map(|ordered| Some((*q, mask.ask(*q, "v.c", ordered)?))))
        .flatten()
        .collect();
    let selects: Vec<String> = answered
        .iter()
        .map(|(question, answer)| {
            let asked = of_mask(*question, &mask.sql("v.c"));
            format!("count(*) FILTER (WHERE ({answer}) IS DISTINCT FROM {asked})")
        })
        .collect();
    // A target list has its limits.
    for (selects, answered) in selects.chunks(100).zip(answered.chunks(100)) {
        let rows = run(&format!(
            "SELECT {} FROM (VALUES (NULL::{name}), {}) AS v(c)",
            selects.join(", "),
            quoted.join(", ")
        ));
        let wrong = rows.first().expect("a row").split('|').zip(answered);
        for (count, (question, answer)) in wrong {
            assert_eq!(
                count,
                "0",
                "{question:?} of {} on {values:?}: {answer}",
                mask.describe()
            );
        }
    }
    answered.len() / 2
}

fn masked(mask: &CompiledMask, value: &str) -> String {
    let mut out = Vec::new();
    mask.apply(value.as_bytes(), &mut out);
    String::from_utf8(out).expect("text")
}

/// Constants worth asking for: what the values become, the values themselves, and their neighbours.
fn constants(mask: &CompiledMask, values: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for value in values {
        let shown = masked(mask, value);
        let mut shorter = shown.clone();
        shorter.pop();
        all.extend([
            format!("{shown}*"),
            format!("*{shown}"),
            shorter,
            shown,
            value.clone(),
        ]);
    }
    all
}

fn assert_texts(mask: &Mask, values: &[String]) -> usize {
    let mut answered = 0;
    for name in ["text", "varchar", "varchar(12)"] {
        let mask = compile(mask, &ty(name));
        let constants = constants(&mask, values);
        let patterns: Vec<String> = constants
            .iter()
            .flat_map(|c| {
                let beginning = |n| format!("{}%", c.chars().take(n).collect::<String>());
                [beginning(1), beginning(2), beginning(4), c.clone()]
            })
            // A pattern must not end in an escape: PostgreSQL raises, with or without a mask.
            .filter(|p| !p.contains('\\'))
            .collect();
        let equals = constants.iter().map(|c| Question::Equals(c));
        let like = patterns.iter().map(|p| Question::Like(p));
        let questions: Vec<Question<'_>> = equals.chain(like).collect();
        answered += assert_answers(&mask, values, &questions);
    }
    answered
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stored_texts_answer_for_masked_ones(
        mask in any_partial(),
        values in prop::collection::vec(any_text(), 4..12),
    ) {
        assert_texts(&Mask::Partial(mask), &values);
    }
}

#[test]
fn common_masks_are_answered_for() {
    let values: Vec<String> = [
        "",
        "a",
        "*",
        "**",
        "a@b",
        "a@b@c",
        "ab@b@c",
        "@b",
        "ab",
        "***@b",
        "a***@b",
        "15812348637",
        "158****8637",
        "1581238637",
        "1234567",
        "12345678",
        "_%\\__@%",
        "王小明",
        "王*",
        "%",
        "_",
        "a%b%",
        "longer@than.twelve",
        "a@45678901",
        "abcdefg@4567",
        "c",
        "bz~@qq.com",
        "c@qq.com",
        "1582",
        "158~~~~~8637",
        "159",
        "b***@qq.com",
        "bob@qq.com",
        "bob@x@qq.com",
    ]
    .map(str::to_owned)
    .into();
    for mask in [
        partial(3, 4),
        partial(1, 0),
        partial(6, 4),
        email(),
        partial(0, 0),
    ] {
        let answered = assert_texts(&Mask::Partial(mask.clone()), &values);
        assert!(answered > values.len(), "{mask:?}: {answered} answers");
    }
}

#[test]
fn stored_documents_answer_for_masked_ones() {
    let documents: Vec<String> = [
        "{}", "[]", "null", "\"income\"", "1", "[\"income\", \"contact\"]", "[{\"income\": 1}]",
        r#"{"income": 50000}"#, r#"{"income": null}"#, r#"{"income": {"a": 1}}"#, r#"{"income": 0}"#,
        r#"{"contact": {"wechat": "w", "pref": "sms"}, "income": 0.0, "lang": "zh"}"#,
        r#"{"contact": "wechat"}"#, r#"{"contact": ["wechat", "pref"], "lang": ["a", {"b": 1}]}"#,
        r#"{"contact": null, "lang": null}"#, r#"{"contact": {"wechat": null, "phones": ["1", "2"]}}"#,
        r#"{"contact": {"phones": [{"n": "15812348637"}, 3]}, "prefs": {"topics": ["a"]}}"#,
        r#"{"contact": {"phones": {"n": "1"}}, "list": [1, [2]], "deep": {"a": {"b": "15812348637", "c": 7}}}"#,
        r#"{"deep": {"a": 5}}"#, r#"{"deep": {"a": {"b": 15812348637}}}"#,
    ]
    .map(str::to_owned)
    .into();
    let keys = [
        "income", "contact", "lang", "prefs", "deep", "list", "", "0", "it's",
    ];
    let paths = [
        "{income}",
        "{contact,wechat}",
        "{contact,pref}",
        "{contact}",
        "{contact,phones,n}",
        "{prefs,topics}",
        "{lang,b}",
        "{contact,phones,0}",
        "{deep,a,b}",
        "{deep,a}",
        "{deep,a,c}",
        "{income,a}",
        "{}",
        "{contact,NULL}",
        "{ income }",
    ];
    let wanted = [
        "{}",
        "[]",
        "null",
        "\"income\"",
        r#"{"income": 0}"#,
        r#"{"income": 0.0}"#,
        r#"{"income": 50000}"#,
        r#"{"income": null}"#,
        r#"{"income": {}}"#,
        r#"{"income": "0"}"#,
        r#"{"contact": {}}"#,
        r#"{"contact": null}"#,
        r#"{"contact": []}"#,
        r#"{"contact": {"pref": "sms"}}"#,
        r#"{"contact": {"wechat": "***"}}"#,
        r#"{"contact": {"wechat": "w"}}"#,
        r#"{"contact": {"wechat": "***", "pref": "sms"}}"#,
        r#"{"lang": "zh"}"#,
        r#"{"lang": "zh", "income": 0}"#,
        r#"{"contact": {"phones": ["1"]}}"#,
        r#"{"deep": {"a": {}}}"#,
        r#"{"deep": {"a": {"b": "158****8637"}}}"#,
        r#"{"deep": {"a": {"c": 7}}}"#,
        "[1]",
    ];
    let questions: Vec<Question<'_>> = keys
        .iter()
        .flat_map(|k| {
            [
                Question::Member(k),
                Question::MemberText(k),
                Question::HasKey(k),
            ]
        })
        .chain(
            paths
                .iter()
                .flat_map(|p| [Question::At(p), Question::AtText(p)]),
        )
        .chain(wanted.iter().map(|d| Question::Contains(d)))
        .collect();
    let constants = [
        ("$.contact.wechat", json_text("\"***\"")),
        ("$.income", json_text("0")),
    ];
    let nested = [
        ("$.deep.a.b", json_masked(Mask::Partial(partial(3, 4)))),
        ("$.contact.phones[*].n", json_text("{\"a\": []}")),
        ("$.income", json_masked(round_to("1000"))),
        ("$.lang", JsonAction::Nullify),
        ("$.prefs", JsonAction::Clear),
    ];
    let elements = [("$[*].income", JsonAction::Nullify)];
    for (paths, least) in [(&constants[..], 60), (&nested[..], 40), (&elements[..], 0)] {
        let mask = compile(&json(paths, JsonOther::Clear), &ty("jsonb"));
        let answered = assert_answers(&mask, &documents, &questions);
        assert!(answered >= least, "{answered} answers");
    }
    // What is not left alone, or not jsonb, is for the mask.
    for (other, name) in [(JsonOther::Nullify, "jsonb"), (JsonOther::Clear, "json")] {
        let mask = compile(&json(&constants, other), &ty(name));
        assert_eq!(mask.ask(Question::Member("lang"), "c", true), None);
    }
}

#[test]
fn other_masks_answer_nothing() {
    let phones = compile(&Mask::Partial(partial(3, 4)), &ty("varchar(20)[]"));
    assert_eq!(phones.ask(Question::Equals("{1}"), "c", true), None);
    let numbers = compile(&round_to("5"), &ty("int4"));
    assert_eq!(numbers.ask(Question::Equals("5"), "c", true), None);
}

/// An index that is read for a range hands rows out in the order of what is stored, and a bitmap of it
/// in the order of the table.
#[test]
fn a_range_is_served_by_bitmaps_only() {
    let phones = compile(&Mask::Partial(partial(3, 4)), &ty("varchar(20)"));
    let emails = compile(&Mask::Partial(email()), &ty("varchar(80)"));
    for (mask, question) in [
        (&phones, Question::Equals("158****8637")),
        (&phones, Question::Like("15%")),
        (&emails, Question::Equals("b***@qq.com")),
    ] {
        let explain = |settings: &str, ordered: bool| {
            let answer = mask.ask(question, "r.c", ordered).expect("an answer");
            run(&format!(
                "CREATE TEMP TABLE r (id int, c {} UNIQUE); {settings}; \
                 EXPLAIN (COSTS OFF) SELECT id FROM r WHERE {answer}",
                mask.column_type().sql
            ))
            .join("\n")
        };
        let served = explain("SET enable_seqscan = off", true);
        assert!(served.contains("Bitmap Index Scan"), "{served}");
        for ordered in [true, false] {
            let off = "SET enable_seqscan = off; SET enable_bitmapscan = off";
            let left = explain(off, ordered);
            assert!(!left.contains("Index Scan using"), "{left}");
        }
        let unordered = explain("SET enable_seqscan = off", false);
        assert!(!unordered.contains("Index"), "{unordered}");
    }
}
