//! Text → statements: size caps, scanner, then [`lower`].
//!
//! Every cap is checked on our own tokens before a parser sees them, because a left-deep tree is
//! walked and dropped recursively, and a stack overflow cannot be caught.

use super::scan::{self, Kind, Token};
use super::tree::Constants;
use super::{Unsupported, lower, tree};
use crate::limits;
use crate::pg::sqlstate;

/// One statement of a text.
#[derive(Clone)]
pub struct Parsed {
    /// The statement, unresolved.
    pub statement: tree::Statement,
    /// Byte offset of its first token.
    pub start: usize,
    /// One past the last byte of its last token, the semicolon not included.
    pub end: usize,
}

/// Parses all statements of a text. Empty when there is nothing but white space, comments and
/// semicolons. The text is refused as a whole: none of its statements may run if one is not
/// understood. Its constants are the statement's for good; see [`Shaped`](super::Shaped) for a client's.
pub fn parse(text: &str) -> Result<Vec<Parsed>, Unsupported> {
    parse_tokens(scan_text(text)?, &mut Constants::closed())
}

/// The tokens of a text that is not too long.
pub(super) fn scan_text(text: &str) -> Result<Vec<Token<'_>>, Unsupported> {
    if text.len() > limits::SQL_TEXT_BYTES {
        return Err(too_long());
    }
    scan::scan(text, limits::SQL_TOKENS)
}

/// What is said of a text that is.
pub fn too_long() -> Unsupported {
    Unsupported {
        sqlstate: sqlstate::PROGRAM_LIMIT_EXCEEDED,
        hint: Some("Pass long values as parameters.".into()),
        ..Unsupported::form(
            format!("text is longer than {} bytes", limits::SQL_TEXT_BYTES),
            None,
        )
    }
}

/// The statements of a text's tokens, whose constants these are.
pub(super) fn parse_tokens(
    tokens: Vec<Token<'_>>,
    constants: &mut Constants,
) -> Result<Vec<Parsed>, Unsupported> {
    check_shape(&tokens)?;
    let mut parsed = Vec::new();
    for (begin, statement) in statements(tokens) {
        let (Some(first), Some(last)) = (statement.first(), statement.last()) else {
            continue;
        };
        if parsed.len() >= limits::STATEMENTS_PER_MESSAGE {
            return Err(Unsupported {
                sqlstate: sqlstate::PROGRAM_LIMIT_EXCEEDED,
                ..Unsupported::form(
                    format!(
                        "text has more than {} statements",
                        limits::STATEMENTS_PER_MESSAGE
                    ),
                    Some(first.start),
                )
            });
        }
        let (start, end) = (first.start, last.end);
        parsed.push(Parsed {
            statement: lower::statement(statement, begin, end, constants)?,
            start,
            end,
        });
    }
    Ok(parsed)
}

/// Cuts at semicolons, and says which token of the text each piece begins with. Inside parentheses a semicolon is a syntax error, which the grammar reports.
fn statements(tokens: Vec<Token<'_>>) -> Vec<(usize, Vec<Token<'_>>)> {
    let mut all = vec![(0, Vec::new())];
    let mut depth = 0_usize;
    for (n, token) in tokens.into_iter().enumerate() {
        match token.kind {
            Kind::Punctuation('(' | '[') => depth = depth.saturating_add(1),
            Kind::Punctuation(')' | ']') => depth = depth.saturating_sub(1),
            Kind::Punctuation(';') if depth == 0 => {
                all.push((n.saturating_add(1), Vec::new()));
                continue;
            }
            Kind::Punctuation(_)
            | Kind::Word(_)
            | Kind::Quoted(_)
            | Kind::String(_)
            | Kind::Bits { .. }
            | Kind::Number(_)
            | Kind::LaterNumber(_)
            | Kind::Param(_)
            | Kind::Operator(_)
            | Kind::Special(_) => {}
        }
        if let Some((_, statement)) = all.last_mut() {
            statement.push(token);
        }
    }
    all
}

/// Nesting, and links of one chain. A comma starts a new chain, so long lists pass.
fn check_shape(tokens: &[Token<'_>]) -> Result<(), Unsupported> {
    let mut links = vec![0_usize];
    for token in tokens {
        match &token.kind {
            Kind::Punctuation('(' | '[') => {
                // A subscript is a link of the chain around it.
                link(&mut links, token)?;
                links.push(0);
                if links.len() > limits::SQL_DEPTH {
                    return Err(too_complex(
                        format!("nested more than {} levels deep", limits::SQL_DEPTH),
                        token.start,
                    ));
                }
            }
            Kind::Punctuation(')' | ']') => {
                if links.len() > 1 {
                    links.pop();
                }
            }
            Kind::Punctuation(',' | ';') => {
                if let Some(count) = links.last_mut() {
                    *count = 0;
                }
            }
            Kind::Operator(_) | Kind::Special(_) => link(&mut links, token)?,
            Kind::Word(word) if is_link(word) => link(&mut links, token)?,
            Kind::Word(_)
            | Kind::Punctuation(_)
            | Kind::Quoted(_)
            | Kind::String(_)
            | Kind::Bits { .. }
            | Kind::Number(_)
            | Kind::LaterNumber(_)
            | Kind::Param(_) => {}
        }
    }
    Ok(())
}

fn link(links: &mut [usize], token: &Token<'_>) -> Result<(), Unsupported> {
    if let Some(count) = links.last_mut() {
        *count = count.saturating_add(1);
        if *count > limits::SQL_CHAIN {
            return Err(too_complex(
                format!("more than {} operators in a row", limits::SQL_CHAIN),
                token.start,
            ));
        }
    }
    Ok(())
}

/// Words that make a tree one level deeper each time.
fn is_link(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "or"
            | "not"
            | "is"
            | "isnull"
            | "notnull"
            | "in"
            | "like"
            | "ilike"
            | "similar"
            | "between"
            | "at"
            | "collate"
            | "operator"
            | "case"
            | "join"
            | "union"
            | "intersect"
            | "except"
    )
}

fn too_complex(what: String, at: usize) -> Unsupported {
    Unsupported {
        sqlstate: sqlstate::STATEMENT_TOO_COMPLEX,
        hint: Some("Use a list or an array instead of a chain of operators.".into()),
        ..Unsupported::form(what, Some(at))
    }
}
