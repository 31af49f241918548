//! The three queries, asked by three roles and shown side by side.

use std::io;
use std::net::SocketAddr;

use zeroize::Zeroizing;

use super::table;
use crate::cli::out;
use crate::upstream::{ConnectError, TlsMode, UpstreamOptions, UpstreamTls, connect};

/// The roles of `policies/`, in the order of the columns.
pub(super) const ROLES: [&str; 3] = ["app", "support", "analyst"];

/// A query, what it shows, and the names of its columns.
struct Question {
    says: &'static str,
    sql: &'static str,
    columns: &'static [&'static str],
}

const QUESTIONS: [Question; 3] = [
    Question {
        says: "The same rows: stored values, masks, tokens.",
        sql: "SELECT name, id_number, mobile, birth_date FROM bank.customers WHERE id IN (1, 7) ORDER BY id",
        columns: &["name", "id_number", "mobile", "birth_date"],
    },
    Question {
        says: "A filter sees what its role sees, so it cannot be used to guess.",
        sql: "SELECT count(*) AS customers, min(birth_date) AS oldest FROM bank.customers \
              WHERE email LIKE '%wang%' AND birth_date > '1975-06-30'",
        columns: &["customers", "oldest"],
    },
    Question {
        says: "What cannot be answered from what the role may see is refused, with the reason.",
        sql: "SELECT c.name, sum(o.amount) AS spent FROM bank.customers c \
              JOIN bank.orders o ON o.customer_id = c.id \
              GROUP BY c.name ORDER BY c.name LIMIT 2",
        columns: &["name", "spent"],
    },
];

/// Asks everything as every role and prints the answers.
pub(super) async fn show(proxy: SocketAddr, password: &str) -> io::Result<()> {
    for (number, question) in QUESTIONS.iter().enumerate() {
        let mut answers = Vec::new();
        for role in ROLES {
            answers.push(ask(proxy, role, password, question).await?);
        }
        out::line(format_args!(
            "{}. {}\n\n  {}\n",
            number + 1,
            question.says,
            question.sql
        ));
        out::line(side_by_side(question, &answers));
    }
    Ok(())
}

/// Rows, or the refusal in one text.
type Answer = Result<Vec<Vec<String>>, String>;

async fn ask(
    proxy: SocketAddr,
    role: &str,
    password: &str,
    question: &Question,
) -> io::Result<Answer> {
    let options = UpstreamOptions {
        host: proxy.ip().to_string(),
        port: proxy.port(),
        tls: UpstreamTls::new(TlsMode::Disable, None).map_err(io::Error::other)?,
        user: role.to_owned(),
        password: Some(Zeroizing::new(password.to_owned())),
        database: "bank".to_owned(),
        params: Vec::new(),
        minor: 0,
    };
    let mut connection = connect(&options)
        .await
        .map_err(|e| io::Error::other(words(&e)))?;
    match connection.simple_query_text(question.sql).await {
        Ok(rows) => Ok(Ok(rows
            .into_iter()
            .map(|row| row.into_iter().map(shown).collect())
            .collect())),
        Err(error @ ConnectError::Server(_)) => Ok(Err(words(&error))),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn shown(value: Option<Vec<u8>>) -> String {
    value.map_or_else(
        || "(null)".to_owned(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// SQLSTATE, message and hint, as psql would show them.
fn words(error: &ConnectError) -> String {
    let Some(server) = error.server() else {
        return error.to_string();
    };
    let hint = server.get(b'H').map(String::from_utf8_lossy);
    let hint = hint.map_or(String::new(), |hint| format!(" HINT: {hint}"));
    format!(
        "refused ({}): {}.{hint}",
        server.sqlstate(),
        server.message()
    )
}

/// One column a role, one line a value; rules between the rows of the result.
fn side_by_side(question: &Question, answers: &[Answer]) -> String {
    let mut heading = vec![String::new()];
    heading.extend(ROLES.map(str::to_owned));
    let rows = answers.iter().flatten().map(Vec::len).max().unwrap_or(1);
    let mut lines = Vec::new();
    for row in 0..rows {
        for (place, column) in question.columns.iter().enumerate() {
            let mut line = vec![(*column).to_owned()];
            line.extend(answers.iter().map(|answer| {
                match answer {
                    Ok(found) => found
                        .get(row)
                        .and_then(|values| values.get(place))
                        .cloned()
                        .unwrap_or_default(),
                    Err(reason) if row == 0 && place == 0 => reason.clone(),
                    Err(_) => String::new(),
                }
            }));
            lines.push(line);
        }
    }
    table::render(&heading, &lines, question.columns.len())
}
