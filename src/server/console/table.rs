//! An answer of the console: names, words and numbers of the proxy's own, in rows.

use crate::client::Reply;
use crate::pg::types::Format;
use crate::wire::WriteError;
use crate::wire::row::Field;

/// `pg_type.oid` of int8 and text.
const INT8: u32 = 20;
const TEXT: u32 = 25;

/// A column's name, and whether it holds numbers.
#[derive(Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    number: bool,
}

/// A column of words.
pub(super) const fn word(name: &'static str) -> Column {
    Column {
        name,
        number: false,
    }
}

/// A column of whole numbers.
pub(super) const fn number(name: &'static str) -> Column {
    Column { name, number: true }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Number(i64),
    Word(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Word(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Word(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Null, Into::into)
    }
}

/// Counts beyond int8 do not occur.
macro_rules! numbers {
    ($($from:ty),*) => {$(
        impl From<$from> for Cell {
            fn from(n: $from) -> Self {
                Self::Number(i64::try_from(n).unwrap_or(i64::MAX))
            }
        }
    )*};
}

numbers!(u16, u32, i32, u64, usize, u128);

/// Rows under columns.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// RowDescription. `formats` as in Bind: none is text, one holds for all.
pub(super) fn describe(
    reply: Reply,
    columns: &[Column],
    formats: &[Format],
) -> Result<Reply, WriteError> {
    let fields: Vec<Field<'_>> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| Field {
            name: column.name.as_bytes(),
            table_oid: 0,
            attnum: 0,
            type_oid: if column.number { INT8 } else { TEXT },
            typlen: if column.number { 8 } else { -1 },
            typmod: -1,
            format: format(formats, i),
        })
        .collect();
    reply.own_columns(&fields)
}

/// DataRow
pub(super) fn row(reply: Reply, cells: &[Cell], formats: &[Format]) -> Result<Reply, WriteError> {
    let values: Vec<Option<Vec<u8>>> = cells
        .iter()
        .enumerate()
        .map(|(i, cell)| match (cell, format(formats, i)) {
            (Cell::Null, _) => None,
            (Cell::Word(text), _) => Some(text.as_bytes().to_vec()),
            (Cell::Number(n), Format::Binary) => Some(n.to_be_bytes().to_vec()),
            (Cell::Number(n), Format::Text) => Some(n.to_string().into_bytes()),
        })
        .collect();
    reply.own_row(values.iter().map(Option::as_deref))
}

fn format(formats: &[Format], column: usize) -> Format {
    let given = match formats {
        [all] => Some(all),
        each => each.get(column),
    };
    given.copied().unwrap_or(Format::Text)
}
