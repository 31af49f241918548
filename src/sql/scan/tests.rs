//! Tokens against what PostgreSQL 15 makes of the same text.

use super::{Kind, scan};

/// One line per token, kinds told apart by their brackets.
fn show(text: &str) -> String {
    match scan(text, 1000) {
        Err(refused) => refused.what,
        Ok(tokens) => tokens
            .iter()
            .map(|token| match &token.kind {
                Kind::Word(w) => w.to_string(),
                Kind::Quoted(w) => format!("\"{w}\""),
                Kind::String(s) => format!("'{s}'"),
                Kind::Bits { hex, digits } => format!("{}{digits}", if *hex { 'X' } else { 'B' }),
                Kind::Number(n) => format!("#{n}"),
                Kind::LaterNumber(n) => format!("##{n}"),
                Kind::Param(n) => format!("${n}"),
                Kind::Operator(op) => format!("<{op}>"),
                Kind::Punctuation(c) => c.to_string(),
                Kind::Special(s) => format!("[{s}]"),
            })
            .collect::<Vec<_>>()
            .join(" "),
    }
}

#[test]
fn an_operator_ends_where_a_comment_begins() {
    assert_eq!(show("1 <>/* 2, 'x */ 1, ssn -- '"), "#1 <<>> #1 , ssn");
    assert_eq!(show("1 -/* 2, 'x */ 1"), "#1 <-> #1");
    assert_eq!(show("a ~-- , '\n b"), "a <~> b");
    assert_eq!(show("a /* x /* nested */ y */ b"), "a b");
    assert_eq!(show("a /* x /* y */ b"), "unterminated /* comment");
}

#[test]
fn trailing_signs_leave_an_operator_unless_it_is_exotic() {
    assert_eq!(show("a=-1"), "a <=> <-> #1");
    assert_eq!(show("a*-+1"), "a <*> <-> <+> #1");
    assert_eq!(show("a @>-1"), "a <@>-> #1");
    assert_eq!(show("a->-1"), "a <->> <-> #1");
    assert_eq!(show("a != b"), "a <<>> b");
    assert_eq!(
        show("f(x=>1, y:=2) a::int 1..2 a[1:2]"),
        "f ( x [=>] #1 , y [:=] #2 ) a [::] int #1 [..] #2 a [ #1 : #2 ]"
    );
}

#[test]
fn strings_are_decoded_as_postgresql_decodes_them() {
    assert_eq!(show(r"'\'' , ssn FROM p --'"), r"'\' , ssn FROM p --'");
    assert_eq!(show("'a''''b'"), "'a''b'");
    assert_eq!(show("'a'\n 'b' 'c'"), "'ab' 'c'");
    assert_eq!(show("'a' -- note\n 'b'"), "'ab'");
    assert_eq!(show("'a' 'b'"), "'a' 'b'");
    assert_eq!(
        show(r"E'a\'b\n\x41\101\u00e9\U0001F600\x0b\q'"),
        "'a'b\nAA\u{e9}\u{1F600}\u{b}q'"
    );
    // PostgreSQL 17 reads a vertical tab, older ones the letter.
    assert_eq!(
        show(r"E'\v'"),
        "the escape \\v means different things in different versions"
    );
    assert_eq!(show(r"E'\xc3\xa9'"), "'é'");
    assert_eq!(
        show(r"E'\xff'"),
        "invalid byte sequence for encoding \"UTF8\""
    );
    assert_eq!(
        show(r"E'\000'"),
        "invalid byte sequence for encoding \"UTF8\""
    );
    assert_eq!(show(r"E'\ud83d\ude00'"), "'😀'");
    assert_eq!(show(r"E'\ud83d'"), "invalid Unicode surrogate pair");
    assert_eq!(show(r"U&'d\0061t\+000061 \\'"), r"'data \'");
    assert_eq!(show("U&'d!0061t!!' UESCAPE '!'"), "'dat!'");
    assert_eq!(show("U&\"d\\0061t\" x"), "\"dat\" x");
    assert_eq!(show("u & 'x'"), "u <&> 'x'");
    assert_eq!(show("N'x'"), "nchar 'x'");
    assert_eq!(show("X'1F' b'01'"), "X1F B01");
    assert_eq!(show("X'41'' , ssn FROM p --'"), "invalid hexadecimal digit");
    assert_eq!(
        show("$$a'b$$ $t$ $$ $t$ $T$x$t$y$T$"),
        "'a'b' ' $$ ' 'x$t$y'"
    );
    assert_eq!(show("'abc"), "unterminated quoted string");
    assert_eq!(show("'a\0b'"), "a text may not contain a NUL byte");
    assert_eq!(show("a\0b"), "a text may not contain a NUL byte");
}

#[test]
fn names_fold_ascii_only_and_are_never_truncated() {
    assert_eq!(
        show("ÀBC \"ÀBc\" \"a\"\"b\" a$1"),
        "Àbc \"ÀBc\" \"a\"b\" a$1"
    );
    assert_eq!(show(r#""y\"", z"#), "unterminated quoted identifier");
    assert_eq!(show(&"a".repeat(63)), "a".repeat(63));
    assert_eq!(show(&"a".repeat(64)), "identifier is longer than 63 bytes");
    assert_eq!(
        show(&format!("\"{}\"", "é".repeat(32))),
        "identifier is longer than 63 bytes"
    );
    assert_eq!(show("\"\""), "zero-length delimited identifier");
}

#[test]
fn numbers_are_postgresqls() {
    assert_eq!(show("1 1.5 .5 1. 1E10 1e-5"), "#1 #1.5 #.5 #1. #1e10 #1e-5");
    assert_eq!(
        show("0x1F 0XfF 0o17 0b101 0x_1_F"),
        "##31 ##255 ##15 ##5 ##31"
    );
    assert_eq!(
        show("1_000 1_0.5_0 .5_0 1_0. 1E1_0 1_0..2"),
        "##1000 ##10.50 ##.50 ##10. ##1e10 ##10 [..] #2"
    );
    assert_eq!(
        show("0xffffffffffffffffffffffffffffffff"),
        format!("##{}", u128::MAX)
    );
    assert_eq!(
        show("0x100000000000000000000000000000000"),
        "an integer of more than 128 bits is not supported"
    );
    for junk in [
        "1a", "1e", "1.5e+x", "0x", "0x_", "0x1G", "0xF_", "0o8", "0b2", "1_", "1__0", "1_a",
        "1._5", "1e_5", "1_000x", "0_x1",
    ] {
        assert_eq!(show(junk), "trailing junk after numeric literal", "{junk}");
    }
    assert_eq!(show("$1 $65535"), "$1 $65535");
    assert_eq!(show("$1a"), "trailing junk after parameter");
    assert_eq!(show("$0"), "there is no parameter $0");
    assert_eq!(show("{"), "syntax error at or near \"{\"");
}

#[test]
fn the_token_cap_holds() {
    assert!(scan("a b c", 3).is_ok());
    assert!(scan("a b c d", 3).is_err());
}
