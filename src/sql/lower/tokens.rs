//! Our scanner's tokens → sqlparser's.
//!
//! No word is a keyword to sqlparser except AND and OR, so none of the meanings it knows from other
//! databases can come up. Spans carry the byte offset in their column, and in their line which token of the text it is. A string or number token holds
//! the place of its [`Constant`], not its text: what looks at the text is seen to look.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use crate::sql::scan::{self, Kind};
use crate::sql::tree::{Constant, Constants, Position};

/// What `*` after a dot becomes: a name no client can write.
pub(super) const STAR: &str = "\0*";

/// Tokens for sqlparser.
pub(super) struct Fed {
    /// A dummy, the statement, and an end mark.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// For each token: is it a parenthesis that opens a query?
    pub(super) queries: Vec<bool>,
    /// The strings and numbers, of which the tokens hold the place in this list.
    pub(super) constants: Vec<Constant>,
}

/// What a token holds in place of a constant's text.
fn place(constants: &mut Vec<Constant>, constant: Constant) -> String {
    let place = format!("\0{}", constants.len());
    constants.push(constant);
    place
}

/// `first` says which token of the whole text the first one is; `written` are the constants of that text.
pub(super) fn feed(
    tokens: Vec<scan::Token<'_>>,
    first: usize,
    end: usize,
    written: &mut Constants,
) -> Fed {
    let client = written.are_a_clients();
    let mut constants = Vec::new();
    let mut out = Vec::with_capacity(tokens.len().saturating_add(2));
    out.push(at(Token::SemiColon, 0, None));
    let mut after_dot = false;
    for (n, scan::Token { kind, start, .. }) in tokens.into_iter().enumerate() {
        let dot = matches!(kind, Kind::Punctuation('.'));
        let number = client.then(|| first.saturating_add(n));
        let position = || number.map_or_else(Position::default, |n| Position::new(start, n));
        let token = match kind {
            Kind::Operator(symbol) if after_dot && symbol == "*" => quoted(STAR.into()),
            Kind::Word(value) => word(value.into_owned(), after_dot),
            Kind::Quoted(value) => quoted(value.into_owned()),
            Kind::String(value) => {
                let constant = written.next(value.into_owned(), position());
                Token::SingleQuotedString(place(&mut constants, constant))
            }
            Kind::Bits { hex: true, digits } => Token::HexStringLiteral(digits.into_owned()),
            Kind::Bits { hex: false, digits } => {
                Token::SingleQuotedByteStringLiteral(digits.into_owned())
            }
            Kind::Number(text) | Kind::LaterNumber(text) => {
                let constant = written.next(text.into_owned(), position());
                Token::Number(place(&mut constants, constant), false)
            }
            Kind::Param(number) => Token::Placeholder(format!("${number}")),
            Kind::Operator(symbol) => Token::CustomBinaryOperator(symbol.into_owned()),
            Kind::Special(symbol) => Token::CustomBinaryOperator(symbol.into()),
            Kind::Punctuation(c) => punctuation(c),
        };
        after_dot = dot;
        out.push(at(token, start, number));
    }
    out.push(at(Token::EOF, end, None));
    let queries = query_parentheses(&out);
    Fed {
        tokens: out,
        queries,
        constants,
    }
}

/// `number`: which one of the client's text; nothing remembers where others stand.
fn at(token: Token, byte: usize, number: Option<usize>) -> TokenWithSpan {
    let number = number.map_or(0, |number| number.saturating_add(1));
    let location = Location {
        line: u64::try_from(number).unwrap_or_default(),
        column: u64::try_from(byte).unwrap_or_default(),
    };
    TokenWithSpan {
        token,
        span: Span::new(location, location),
    }
}

/// Where a token with this span stands.
pub(super) fn position(span: &Span) -> Position {
    let of = |n: u64| usize::try_from(n).ok();
    let number = of(span.start.line).and_then(|line| line.checked_sub(1));
    (number.zip(of(span.start.column))).map_or_else(Position::default, |(number, byte)| {
        Position::new(byte, number)
    })
}

fn quoted(value: String) -> Token {
    Token::Word(Word {
        value,
        quote_style: Some('"'),
        keyword: Keyword::NoKeyword,
    })
}

fn word(value: String, after_dot: bool) -> Token {
    let keyword = match value.as_str() {
        "and" if !after_dot => Keyword::AND,
        "or" if !after_dot => Keyword::OR,
        _ => Keyword::NoKeyword,
    };
    Token::Word(Word {
        value,
        quote_style: None,
        keyword,
    })
}

fn punctuation(c: char) -> Token {
    match c {
        '(' => Token::LParen,
        ')' => Token::RParen,
        '[' => Token::LBracket,
        ']' => Token::RBracket,
        ',' => Token::Comma,
        ':' => Token::Colon,
        '.' => Token::Period,
        _ => Token::SemiColon,
    }
}

fn unquoted(token: Option<&TokenWithSpan>) -> Option<&str> {
    match token.map(|t| &t.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// Marks the parentheses that hold a query (`select_with_parens` of gram.y). `((SELECT 1) UNION …)`
/// is one, `((SELECT 1), 2)` and `((SELECT 1) + 1)` are not.
fn query_parentheses(tokens: &[TokenWithSpan]) -> Vec<bool> {
    let mut marks = vec![false; tokens.len()];
    let mut closers = vec![0_usize; tokens.len()];
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.token == Token::LParen {
            open.push(index);
        } else if token.token == Token::RParen
            && let Some(start) = open.pop()
            && let Some(closer) = closers.get_mut(start)
        {
            *closer = index;
        }
    }
    for index in (0..tokens.len()).rev() {
        if tokens.get(index).map(|t| &t.token) != Some(&Token::LParen) {
            continue;
        }
        let inner = index.saturating_add(1);
        let next = tokens.get(inner);
        let is_query = match unquoted(next) {
            Some("select" | "with" | "table") => true,
            Some("values") => {
                tokens.get(index.saturating_add(2)).map(|t| &t.token) == Some(&Token::LParen)
            }
            Some(_) => false,
            None => {
                marks.get(inner).copied().unwrap_or_default() && {
                    let close = closers.get(inner).copied().unwrap_or_default();
                    let after = tokens.get(close.saturating_add(1));
                    after.map(|t| &t.token) == Some(&Token::RParen)
                        || matches!(
                            unquoted(after),
                            Some(
                                "union"
                                    | "intersect"
                                    | "except"
                                    | "order"
                                    | "limit"
                                    | "offset"
                                    | "fetch"
                                    | "for"
                            )
                        )
                }
            }
        };
        if let Some(mark) = marks.get_mut(index) {
            *mark = is_query;
        }
    }
    marks
}
