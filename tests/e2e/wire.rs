//! Plays `tests/corpus/wire/*.pt`: frontend messages in, backend messages out, as CockroachDB's and
//! Materialize's pgtest files do.

use std::collections::HashMap;

use serde_json::Value;

use crate::support::client::{Client, Message};
use crate::support::stage::{Role, Stage};
use crate::tokens;

/// The sessions of one file: through the proxy and, for the owner, straight to PostgreSQL.
#[derive(Default)]
pub(crate) struct Sessions {
    open: HashMap<Role, Vec<Client>>,
}

impl Sessions {
    /// One directive: `send` or `until`.
    pub(crate) fn play(
        &mut self,
        stage: &Stage,
        role: Role,
        directive: &str,
        input: &str,
    ) -> String {
        let clients = self.open.entry(role).or_insert_with(|| {
            let mut clients = vec![stage.connect(role)];
            if role == Role::Owner {
                clients.push(stage.direct("clinic"));
            }
            clients
        });
        let played: Vec<String> = clients
            .iter_mut()
            .map(|client| match directive {
                "send" => send(client, &tokens::put_in(stage, input)),
                "until" => {
                    let out = until(client, input);
                    stage.assert_silent(role, client, input);
                    tokens::take_out(stage, &out)
                }
                other => panic!("no directive {other}"),
            })
            .collect();
        for direct in &played[1..] {
            assert_eq!(
                &played[0], direct,
                "PostgreSQL itself answers differently to {input}"
            );
        }
        played[0].clone()
    }
}

fn send(client: &mut Client, input: &str) -> String {
    for line in input.lines() {
        let (name, json) = line.split_once(' ').unwrap_or((line, "{}"));
        let fields: Value = serde_json::from_str(json).unwrap();
        let (kind, body) = encode(name, &fields);
        client.send(kind, &body);
    }
    String::new()
}

fn text(fields: &Value, name: &str) -> Vec<u8> {
    let mut bytes = fields[name].as_str().unwrap_or("").as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn encode(name: &str, fields: &Value) -> (u8, Vec<u8>) {
    let named =
        |kind: u8, what: u8, field: &str| (kind, [vec![what], text(fields, field)].concat());
    match name {
        "Query" => (b'Q', text(fields, "query")),
        "Parse" => {
            let types = list(fields, "types");
            let mut body = [text(fields, "name"), text(fields, "query")].concat();
            body.extend_from_slice(&count(types.len()));
            for oid in types {
                body.extend_from_slice(
                    &i32::try_from(oid.as_i64().unwrap()).unwrap().to_be_bytes(),
                );
            }
            (b'P', body)
        }
        "Bind" => (b'B', bind(fields)),
        "Describe" if fields.get("portal").is_some() => named(b'D', b'P', "portal"),
        "Describe" => named(b'D', b'S', "statement"),
        "Execute" => {
            let rows = i32::try_from(fields["max_rows"].as_i64().unwrap_or(0)).unwrap();
            (
                b'E',
                [text(fields, "portal"), rows.to_be_bytes().to_vec()].concat(),
            )
        }
        "Close" if fields.get("portal").is_some() => named(b'C', b'P', "portal"),
        "Close" => named(b'C', b'S', "statement"),
        "Sync" => (b'S', Vec::new()),
        "Flush" => (b'H', Vec::new()),
        "CopyData" => (b'd', fields["data"].as_str().unwrap().as_bytes().to_vec()),
        "CopyDone" => (b'c', Vec::new()),
        "CopyFail" => (b'f', text(fields, "message")),
        "FunctionCall" => (b'F', vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
        other => panic!("no message {other}"),
    }
}

fn bind(fields: &Value) -> Vec<u8> {
    let mut body = [text(fields, "portal"), text(fields, "statement")].concat();
    let formats = list(fields, "formats");
    body.extend_from_slice(&count(formats.len()));
    body.extend(formats.iter().flat_map(format_code));
    let values = list(fields, "values");
    body.extend_from_slice(&count(values.len()));
    for value in values {
        body.extend_from_slice(&parameter(&value));
    }
    let formats = list(fields, "result_formats");
    body.extend_from_slice(&count(formats.len()));
    body.extend(formats.iter().flat_map(format_code));
    body
}

fn format_code(format: &Value) -> [u8; 2] {
    i16::try_from(format.as_i64().unwrap())
        .unwrap()
        .to_be_bytes()
}

/// A value with its length: a string's bytes, or those of a binary text array.
fn parameter(value: &Value) -> Vec<u8> {
    let bytes = match value {
        Value::Null => return (-1_i32).to_be_bytes().to_vec(),
        Value::Array(elements) => {
            let elements_number = i32::try_from(elements.len()).unwrap();
            // Dimensions, NULLs, text, and the one dimension's length and lower bound.
            let head = [1, 1, 25, elements_number, 1].map(i32::to_be_bytes);
            let elements = elements.iter().map(parameter);
            [head.concat(), elements.collect::<Vec<_>>().concat()].concat()
        }
        other => other.as_str().unwrap().as_bytes().to_vec(),
    };
    let length = i32::try_from(bytes.len()).unwrap();
    [length.to_be_bytes().to_vec(), bytes].concat()
}

fn list(fields: &Value, name: &str) -> Vec<Value> {
    fields[name].as_array().cloned().unwrap_or_default()
}

fn count(length: usize) -> [u8; 2] {
    i16::try_from(length).unwrap().to_be_bytes()
}

/// Receives until the named messages have come, in order; a closed connection ends the wait.
fn until(client: &mut Client, input: &str) -> String {
    let mut out = String::new();
    let mut wanted = input.lines().filter(|line| !line.is_empty()).peekable();
    while let Some(name) = wanted.peek() {
        let Ok(message) = client.receive() else {
            out.push_str("closed\n");
            break;
        };
        let (kind, line) = decode(&message);
        if kind == *name {
            wanted.next();
        }
        out.push_str(&line);
    }
    out
}

/// A message's name and its line. Server settings differ between versions, so ParameterStatus has
/// none.
fn decode(message: &Message) -> (&'static str, String) {
    let tag = || {
        String::from_utf8_lossy(&message.body)
            .trim_end_matches('\0')
            .to_owned()
    };
    match message.kind {
        b'1' => ("ParseComplete", "ParseComplete\n".to_owned()),
        b'2' => ("BindComplete", "BindComplete\n".to_owned()),
        b'3' => ("CloseComplete", "CloseComplete\n".to_owned()),
        b'C' => (
            "CommandComplete",
            format!("CommandComplete {{\"tag\":{}}}\n", Value::from(tag())),
        ),
        b'D' => (
            "DataRow",
            format!("DataRow {{\"fields\":{}}}\n", values(message)),
        ),
        b'E' => {
            let [state, text] = message.error();
            let text = Value::from(text);
            // A refusal's words are the business of `corpus/plan`.
            let line = if ["42501", "0A000"].contains(&state.as_str()) {
                format!("ErrorResponse {{\"code\":\"{state}\"}}\n")
            } else {
                format!("ErrorResponse {{\"code\":\"{state}\",\"message\":{text}}}\n")
            };
            ("ErrorResponse", line)
        }
        b'G' => ("CopyInResponse", "CopyInResponse\n".to_owned()),
        b'H' => ("CopyOutResponse", "CopyOutResponse\n".to_owned()),
        b'I' => ("EmptyQueryResponse", "EmptyQueryResponse\n".to_owned()),
        b'N' => (
            "NoticeResponse",
            format!("NoticeResponse {{\"code\":\"{}\"}}\n", message.error()[0]),
        ),
        b'S' => ("ParameterStatus", String::new()),
        b'T' => (
            "RowDescription",
            format!("RowDescription {{\"fields\":{}}}\n", columns(&message.body)),
        ),
        b'Z' => {
            let status = String::from_utf8_lossy(&message.body).into_owned();
            (
                "ReadyForQuery",
                format!("ReadyForQuery {{\"status\":\"{status}\"}}\n"),
            )
        }
        b'c' => ("CopyDone", "CopyDone\n".to_owned()),
        b'd' => (
            "CopyData",
            format!("CopyData {{\"data\":{}}}\n", Value::from(tag())),
        ),
        b'n' => ("NoData", "NoData\n".to_owned()),
        b's' => ("PortalSuspended", "PortalSuspended\n".to_owned()),
        b't' => (
            "ParameterDescription",
            format!(
                "ParameterDescription {{\"types\":{}}}\n",
                oids(&message.body)
            ),
        ),
        other => panic!("unexpected message {:?}", char::from(other)),
    }
}

/// Values as text, or `\x…` when they are not UTF-8 or hold control characters.
fn values(message: &Message) -> Value {
    let shown = |value: Vec<u8>| match String::from_utf8(value) {
        Ok(text) if !text.contains(char::is_control) => text,
        Ok(text) => hex(text.as_bytes()),
        Err(error) => hex(error.as_bytes()),
    };
    message
        .values()
        .into_iter()
        .map(|value| value.map_or(Value::Null, |v| Value::from(shown(v))))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    format!("\\x{}", data_encoding::HEXLOWER.encode(bytes))
}

fn oids(body: &[u8]) -> Value {
    let oids = body[2..]
        .chunks_exact(4)
        .map(|oid| u32::from_be_bytes(oid.try_into().unwrap()));
    oids.map(Value::from).collect()
}

/// Name and type of each column; relation OIDs differ from run to run.
fn columns(body: &[u8]) -> Value {
    let mut rest = &body[2..];
    let mut columns = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let fixed = &rest[end + 1..end + 19];
        let oid = u32::from_be_bytes(fixed[6..10].try_into().unwrap());
        columns.push(format!("{name}:{oid}"));
        rest = &rest[end + 19..];
    }
    columns.into_iter().map(Value::from).collect()
}
