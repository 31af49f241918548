//! The writer of the audit log: JSON lines, stamped and appended by a thread of its own.
//!
//! When the sink fails, the receiving end is dropped: no more tickets are given, and statements that
//! need one are refused. Deliberately absent: rotation; the file is opened for appending, so that
//! `logrotate`'s copytruncate works.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use tokio::sync::oneshot;

use super::clock::{self, Stamp};
use super::denied::Denials;
use crate::audit::{Batch, Record, Records, channel};
use crate::limits;

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
            Box::new(file)
        }
        None => Box::new(io::stdout()),
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

/// Appends one record, for a command that runs beside the proxy. It is on the disk when this returns.
///
/// # Errors
/// It is not.
pub fn record(path: &Path, record: Record) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let (sink, mut records) = channel(1);
    let ticket = sink.reserve(record).map_err(|_| io::ErrorKind::Other)?;
    ticket.finish(|_| ());
    // The last sink: the writer ends when the record is written.
    drop(sink);
    write_all(&mut records, &mut file, &Denials::default())?;
    file.sync_all()
}

fn write_all(records: &mut Records, out: &mut dyn Write, denials: &Denials) -> io::Result<()> {
    let (mut batch, mut text, mut stamp) = (Batch::default(), Vec::new(), Stamp::default());
    while records.wait(&mut batch, limits::AUDIT_LINGER).is_continue() {
        text.clear();
        text.shrink_to(limits::AUDIT_BUFFER_BYTES);
        let (now, today) = (Instant::now(), SystemTime::now());
        for line in batch.lines() {
            let ended = line.at.map(|at| now.saturating_duration_since(at));
            let time = today
                .checked_sub(ended.unwrap_or_default())
                .unwrap_or(today);
            text.extend_from_slice(b"{\"time\":\"");
            stamp.write(time, &mut text);
            text.extend_from_slice(b"\",");
            text.extend_from_slice(line.fields);
            text.extend_from_slice(b"}\n");
            if let Some(record) = line.refused {
                denials.note(&clock::rfc3339(time), record);
            }
        }
        out.write_all(&text)?;
        out.flush()?;
    }
    Ok(())
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
