//! The binary format: a header, tuples, a trailer.

use super::{COPY_ROW_BYTES, Refusal, Row, bad_format, too_long};
use crate::pg::sqlstate;
use crate::wire::{Malformed, Reader};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Bit 16 of the flags: OIDs, as before PostgreSQL 12.
const OIDS: i32 = 1 << 16;

#[derive(Default)]
pub(super) struct Tuples {
    stage: Stage,
    /// Bytes that have to be there before it is worth another look.
    wants: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Header,
    Tuples,
    Ended,
}

/// What could be read.
enum Read {
    Row(Row),
    Trailer,
    /// Not before there are this many bytes.
    Wants(usize),
}

impl Tuples {
    pub(super) fn next(&mut self, unread: &mut &[u8], last: bool) -> Result<Option<Row>, Refusal> {
        if self.stage == Stage::Header {
            match header(unread, last)? {
                Some(rest) => *unread = rest,
                None => return Ok(None),
            }
            self.stage = Stage::Tuples;
        }
        if self.stage == Stage::Ended {
            return if unread.is_empty() {
                Ok(None)
            } else {
                Err(bad_format("received copy data after EOF marker"))
            };
        }
        if unread.is_empty() || !last && unread.len() < self.wants {
            return Ok(None);
        }
        let mut reader = Reader::new(unread);
        match tuple(&mut reader, unread.len())? {
            Read::Wants(_) if last => Err(bad_format("unexpected EOF in COPY data")),
            Read::Wants(length) if length > COPY_ROW_BYTES => Err(too_long()),
            Read::Wants(length) => {
                self.wants = length;
                Ok(None)
            }
            Read::Row(row) => {
                self.wants = 0;
                *unread = reader.rest();
                Ok(Some(row))
            }
            Read::Trailer => {
                self.stage = Stage::Ended;
                *unread = reader.rest();
                self.next(unread, last)
            }
        }
    }
}

/// What follows the header; `None` while it is not whole.
fn header(data: &[u8], last: bool) -> Result<Option<&[u8]>, Refusal> {
    let short = |message| {
        if last {
            Err(bad_format(message))
        } else {
            Ok(None)
        }
    };
    let mut reader = Reader::new(data);
    let Ok(signature) = reader.bytes(SIGNATURE.len()) else {
        return if data.is_empty() && last || SIGNATURE.starts_with(data) {
            short("COPY file signature not recognized")
        } else {
            Err(bad_format("COPY file signature not recognized"))
        };
    };
    if signature != SIGNATURE {
        return Err(bad_format("COPY file signature not recognized"));
    }
    let Ok(flags) = reader.i32() else {
        return short("invalid COPY file header (missing flags)");
    };
    if flags & OIDS != 0 {
        return Err(bad_format("invalid COPY file header (WITH OIDS)"));
    }
    if flags >> 16 != 0 {
        return Err(bad_format(
            "unrecognized critical flags in COPY file header",
        ));
    }
    let Ok(length) = reader.i32() else {
        return short("invalid COPY file header (missing length)");
    };
    let Ok(length) = usize::try_from(length) else {
        return Err(bad_format("invalid COPY file header (wrong length)"));
    };
    if length > COPY_ROW_BYTES {
        return Err(too_long());
    }
    if reader.bytes(length).is_err() {
        return short("invalid COPY file header (wrong length)");
    }
    Ok(Some(reader.rest()))
}

fn tuple(reader: &mut Reader<'_>, length: usize) -> Result<Read, Refusal> {
    let read = |reader: &Reader<'_>| length.saturating_sub(reader.rest().len());
    let wants = |reader: &Reader<'_>, more: usize| Read::Wants(read(reader).saturating_add(more));
    let Ok(count) = reader.i16() else {
        return Ok(wants(reader, 2));
    };
    if count == -1 {
        return Ok(Read::Trailer);
    }
    let mut row = Row::new();
    for _ in 0..count {
        let Ok(size) = Reader::new(reader.rest()).i32() else {
            return Ok(wants(reader, 4));
        };
        match reader.value() {
            Ok(value) => row.push(value.map(<[u8]>::to_vec)),
            Err(Malformed::Short) => {
                let size = usize::try_from(size).unwrap_or(0);
                return Ok(wants(reader, size.saturating_add(4)));
            }
            Err(_) => return Err(bad_format("invalid field size")),
        }
    }
    Ok(Read::Row(row))
}

pub(super) fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0; 8]);
}

pub(super) fn write(row: &Row, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let long = |_| {
        Refusal::error(
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            "a row is too long for binary COPY",
        )
    };
    out.extend_from_slice(&i16::try_from(row.len()).map_err(long)?.to_be_bytes());
    for value in row {
        match value {
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(value) => {
                out.extend_from_slice(&i32::try_from(value.len()).map_err(long)?.to_be_bytes());
                out.extend_from_slice(value);
            }
        }
    }
    Ok(())
}

pub(super) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i16).to_be_bytes());
}
