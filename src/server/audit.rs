//! The writer of the audit log: JSON lines, stamped and appended by a thread of its own.
//!
//! When the sink fails, the receiving end is dropped: no more tickets are given, and statements that
//! need one are refused. Deliberately absent: rotation; the file is opened for appending, so that
//! `logrotate`'s copytruncate works.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use serde::Serialize;
use tokio::sync::oneshot;

use super::clock;
use super::denied::Denials;
use crate::audit::{Record, Records};

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    record: &'a Record,
}

/// Starts the writer. The returned receiver resolves when the last record is written and every sink
/// is gone, or when writing failed.
pub(super) fn start(
    path: Option<&Path>,
    mut records: Records,
    denials: Arc<Denials>,
) -> io::Result<oneshot::Receiver<()>> {
    let mut out: Box<dyn Write + Send> = match path {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let (done, finished) = oneshot::channel();
    thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || {
            if let Err(error) = write_all(&mut records, &mut out, &denials) {
                tracing::error!(%error, "audit log cannot be written; statements are refused");
            }
            drop(records);
            // Nobody may be waiting any more.
            if done.send(()).is_err() {}
        })?;
    Ok(finished)
}

fn write_all(records: &mut Records, out: &mut dyn Write, denials: &Denials) -> io::Result<()> {
    while let Some(record) = records.wait() {
        write_line(&record, out, denials)?;
        while let Some(record) = records.next_now() {
            write_line(&record, out, denials)?;
        }
        out.flush()?;
    }
    out.flush()
}

fn write_line(record: &Record, out: &mut dyn Write, denials: &Denials) -> io::Result<()> {
    let time = clock::rfc3339(SystemTime::now());
    denials.note(&time, record);
    let line = Line { time, record };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::audit::{Event, Outcome, Record, Who, channel};

    #[tokio::test]
    async fn records_become_lines_and_the_writer_ends_with_its_sinks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (sink, records) = channel(4);
        let finished = super::start(Some(file.path()), records, Arc::default()).unwrap();
        let who = Arc::new(Who {
            role: "support".to_owned(),
            ..Who::default()
        });
        sink.reserve(Record::new(Event::Statement, who))
            .unwrap()
            .finish(|r| {
                r.decision = Outcome::Mask;
                r.kind = "SELECT";
                r.rows = 7;
            });
        drop(sink);
        finished.await.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["decision"], "mask");
        assert_eq!(line["role"], "support");
        assert_eq!(line["rows"], 7);
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
        assert!(line.get("sqlstate").is_none());
    }
}
