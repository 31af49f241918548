//! Tokens in cases: nobody can tell by looking at one whose it is. `<email of 1>` is what the analyst
//! sees of that patient's email, `<big of 1>` of a key's number.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::support::client::Answer;
use crate::support::stage::{Role, Stage};

/// A case's text with the tokens it means.
pub(crate) fn put_in(stage: &Stage, text: &str) -> String {
    let known = known(stage);
    known.iter().fold(text.to_owned(), |text, (name, token)| {
        text.replace(name, token)
    })
}

/// An answer with their names.
pub(crate) fn take_out(stage: &Stage, text: &str) -> String {
    let known = known(stage);
    known.iter().fold(text.to_owned(), |text, (name, token)| {
        text.replace(token, name)
    })
}

/// Rows with their names.
pub(crate) fn name(stage: &Stage, answer: Answer) -> Answer {
    match answer {
        Answer::Rows(rows, tags) => {
            let rows = rows.iter().map(|row| take_out(stage, row)).collect();
            Answer::Rows(rows, tags)
        }
        error @ Answer::Error(..) => error,
    }
}

type Known = Arc<Vec<(String, String)>>;

/// What a stage may write is its own, and so are the tokens of it.
fn known(stage: &Stage) -> Known {
    static KNOWN: Mutex<BTreeMap<SocketAddr, Known>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap();
    let ask = || Arc::new(ask(stage));
    Arc::clone(known.entry(stage.cluster.address()).or_insert_with(ask))
}

fn ask(stage: &Stage) -> Vec<(String, String)> {
    let mut client = stage.connect(Role::Analyst);
    let mut known = Vec::new();
    let columns = ["name", "email", "id_number"].map(|c| (c, "patients"));
    let keys = ["small", "number", "big", "code", "ref", "ext"].map(|c| (c, "keys"));
    for (column, table) in columns.into_iter().chain(keys) {
        let sql = format!("SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL");
        let Answer::Rows(rows, _) = client.simple(&sql) else {
            panic!("no tokens of {column}");
        };
        known.extend(rows.iter().map(|row| {
            let (id, token) = row.split_once(" | ").unwrap();
            (format!("<{column} of {id}>"), token.to_owned())
        }));
    }
    known
}
