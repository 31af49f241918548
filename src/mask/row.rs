//! RowMasker: DataRow → masked DataRow, columns by position.
//!
//! One pass, no allocation per row: neighbouring columns that are not touched are copied together. Every
//! length is checked; a row that is not what it says ends the session. A RowMasker keeps nothing of a
//! row: the same one serves every execution of a statement.

use std::sync::Arc;

use bytes::BytesMut;

use super::description::{FieldShape, ShapeMismatch};
use super::short::append;
use super::token::CellState;
use super::{BareNames, CompiledMask, TokenColumn};
use crate::limits::FRAME_BYTES;
use crate::pg::types::{Format, oid};
use crate::pg::{AttrNumber, Oid};
use crate::wire::frame::HEADER_BYTES;

/// What the proxy does with one output column.
#[derive(Clone)]
pub enum Transform {
    /// Nothing: clear, or masked at the source.
    Pass,
    /// Masked at the output.
    Mask(Arc<CompiledMask>),
    /// A name, without the schema that the client's search path finds it in.
    Name(Arc<BareNames>),
    /// Tokenized at the output; described as `varchar` without a length.
    Token(Arc<TokenColumn>),
}

impl Transform {
    /// Is anything made of the column's values? Names are made shorter in rows only, where their type is told.
    pub fn changes_values(&self) -> bool {
        match self {
            Self::Mask(_) | Self::Token(_) => true,
            Self::Pass | Self::Name(_) => false,
        }
    }

    /// Is what the older one made of every value what this makes, or a token that is still good?
    fn accepts(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::Pass, Self::Pass) => true,
            (Self::Mask(a), Self::Mask(b)) => a.same(b),
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Token(a), Self::Token(b)) => a.accepts(b),
            (Self::Pass | Self::Mask(_) | Self::Name(_) | Self::Token(_), _) => false,
        }
    }
}

impl OutputRule {
    /// May rows under an older one be read on under this? They are what they would be, or hold tokens
    /// that are still good.
    pub fn accepts(&self, other: &Self) -> bool {
        self.transform.accepts(&other.transform)
            && (self.expect, self.origin) == (other.expect, other.origin)
            && self.name == other.name
    }
}

/// One output column of a plan, by position.
#[derive(Clone)]
pub struct OutputRule {
    /// What to do with the value.
    pub transform: Transform,
    /// Where PostgreSQL must say the column comes from (table OID, attribute number), when the
    /// analyzer knows; a `RowDescription` that disagrees is a refusal. `Some((0, 0))` means
    /// PostgreSQL must name no table.
    pub expect: Option<(Oid, AttrNumber)>,
    /// The origin to show the client, when masking at the source hid it (JDBC's updatable results
    /// and metadata need it).
    pub origin: Option<(Oid, AttrNumber)>,
    /// A name to show the client instead of PostgreSQL's.
    pub name: Option<Box<str>>,
}

/// A message from PostgreSQL that is not what its lengths say, or a value that is not what its type
/// says. The session must close: nothing after it can be trusted to be where it seems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedRow;

impl std::fmt::Display for MalformedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed row from PostgreSQL")
    }
}

impl std::error::Error for MalformedRow {}

/// Applies one plan to the rows of one result. It can only be made by checking the result's shape.
pub struct RowMasker {
    steps: Box<[Step]>,
    /// Columns behind the last one that is touched.
    behind: usize,
    formats: Box<[Format]>,
}

/// A column that is touched.
struct Step {
    /// Columns between it and the one touched before it.
    passed: usize,
    column: usize,
    touch: Touch,
}

/// What is done to it.
enum Touch {
    Mask(Arc<CompiledMask>),
    Name(Arc<BareNames>),
    Token(Arc<TokenColumn>),
}

impl RowMasker {
    /// Checks that the result PostgreSQL describes is the one the plan was made for.
    pub fn new(rules: &[OutputRule], fields: &[FieldShape]) -> Result<Self, ShapeMismatch> {
        if rules.len() != fields.len() {
            return Err(ShapeMismatch::new(None, "the number of columns differs"));
        }
        for (at, (rule, field)) in rules.iter().zip(fields).enumerate() {
            check(rule, field).map_err(|what| ShapeMismatch::new(Some(at), what))?;
        }
        let (mut steps, mut passed) = (Vec::new(), 0_usize);
        for (column, rule) in rules.iter().enumerate() {
            let touch = match &rule.transform {
                Transform::Name(names) if is_name(fields.get(column)) => {
                    Touch::Name(Arc::clone(names))
                }
                Transform::Pass | Transform::Name(_) => {
                    passed = passed.saturating_add(1);
                    continue;
                }
                Transform::Mask(mask) => Touch::Mask(Arc::clone(mask)),
                Transform::Token(token) => Touch::Token(Arc::clone(token)),
            };
            steps.push(Step {
                passed: std::mem::take(&mut passed),
                column,
                touch,
            });
        }
        Ok(Self {
            steps: steps.into(),
            behind: passed,
            formats: fields.iter().map(|field| field.format).collect(),
        })
    }

    /// The formats Bind asked for, as the protocol reads them: none is all text, one is for all
    /// columns. A statement's RowDescription says text for all of them.
    pub fn set_formats(&mut self, formats: &[Format]) -> Result<(), MalformedRow> {
        match *formats {
            [] => self.formats.fill(Format::Text),
            [one] => self.formats.fill(one),
            _ if formats.len() == self.formats.len() => self.formats.copy_from_slice(formats),
            _ => return Err(MalformedRow),
        }
        Ok(())
    }

    /// Appends what becomes of a whole DataRow frame. On an error `out` is as it was.
    pub fn mask_row(&self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), MalformedRow> {
        let start = out.len();
        let done = self
            .columns(frame, out)
            .and_then(|()| set_length(out, start.saturating_add(1)));
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn columns(&self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), MalformedRow> {
        let body = frame.get(HEADER_BYTES..).ok_or(MalformedRow)?;
        let (count, mut rest) = body.split_first_chunk::<2>().ok_or(MalformedRow)?;
        if usize::from(u16::from_be_bytes(*count)) != self.formats.len() {
            return Err(MalformedRow);
        }
        // What is still to be copied as it is, up to the rest; its header is written anew.
        let mut uncopied = frame;
        for step in &self.steps {
            rest = pass(rest, step.passed)?;
            let (length, from) = length(rest)?;
            let Some(length) = length else {
                rest = from;
                continue;
            };
            let next = from.get(length..).ok_or(MalformedRow)?;
            let before = uncopied.len().saturating_sub(rest.len());
            append(out, uncopied, before);
            (uncopied, rest) = (next, next);
            // Written when it is known.
            out.extend_from_slice(&[0; 4]);
            let start = out.len();
            match &step.touch {
                Touch::Mask(mask) => mask.apply_in(from, length, out),
                Touch::Name(names) => {
                    let format = self.formats.get(step.column).ok_or(MalformedRow)?;
                    let value = from.get(..length).ok_or(MalformedRow)?;
                    out.extend_from_slice(match format {
                        Format::Text => names.strip(value),
                        // An OID.
                        Format::Binary => value,
                    });
                }
                Touch::Token(token) => {
                    let format = self.formats.get(step.column).ok_or(MalformedRow)?;
                    let value = from.get(..length).ok_or(MalformedRow)?;
                    token.encode_wire(value, *format, out)?;
                }
            }
            let new = i32::try_from(out.len().saturating_sub(start)).map_err(|_| MalformedRow)?;
            *(start.checked_sub(4))
                .and_then(|at| out.get_mut(at..)?.first_chunk_mut::<4>())
                .ok_or(MalformedRow)? = new.to_be_bytes();
        }
        if !pass(rest, self.behind)?.is_empty() {
            return Err(MalformedRow);
        }
        out.extend_from_slice(uncopied);
        Ok(())
    }

    /// Is an encrypted cell among the values that does not open?
    pub fn is_broken(&self, values: &[Option<&[u8]>]) -> bool {
        self.steps.iter().any(|step| match &step.touch {
            Touch::Mask(_) | Touch::Name(_) => false,
            Touch::Token(token) => {
                let value = values.get(step.column).copied().flatten();
                let cells = token.cells().zip(value);
                cells.is_some_and(|(cells, value)| cells.state(value) == CellState::Broken)
            }
        })
    }

    /// No column is touched: rows may be forwarded as they are.
    pub fn is_pass_through(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The length of the column at the front, `None` for NULL, and what follows the length.
fn length(rest: &[u8]) -> Result<(Option<usize>, &[u8]), MalformedRow> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or(MalformedRow)?;
    match i32::from_be_bytes(*length) {
        -1 => Ok((None, after)),
        length => Ok((
            Some(usize::try_from(length).map_err(|_| MalformedRow)?),
            after,
        )),
    }
}

/// What follows so many columns.
fn pass(mut rest: &[u8], columns: usize) -> Result<&[u8], MalformedRow> {
    for _ in 0..columns {
        let (length, after) = length(rest)?;
        rest = after.get(length.unwrap_or(0)..).ok_or(MalformedRow)?;
    }
    Ok(rest)
}

/// Writes the length of the frame that begins at `start` with its type byte.
pub(super) fn frame_length(out: &mut BytesMut, start: usize) -> Result<(), MalformedRow> {
    set_length(out.get_mut(start..).ok_or(MalformedRow)?, 1)
}

/// Writes a frame's length, which counts itself but not the type byte before it, at `at`.
fn set_length(frame: &mut [u8], at: usize) -> Result<(), MalformedRow> {
    let length = frame.len().saturating_sub(at);
    if length > FRAME_BYTES {
        return Err(MalformedRow);
    }
    let length = u32::try_from(length).map_err(|_| MalformedRow)?;
    let field = (frame.get_mut(at..))
        .and_then(<[u8]>::first_chunk_mut::<4>)
        .ok_or(MalformedRow)?;
    *field = length.to_be_bytes();
    Ok(())
}

fn check(rule: &OutputRule, field: &FieldShape) -> Result<(), &'static str> {
    match rule.expect {
        Some((0, _)) if field.table != 0 => return Err("it should not come from a table"),
        Some((table, attnum)) if table != 0 && (field.table, field.attnum) != (table, attnum) => {
            return Err("it comes from another column");
        }
        _ => {}
    }
    let fits = match &rule.transform {
        Transform::Pass | Transform::Name(_) => true,
        Transform::Mask(mask) => {
            mask.at_output() && same_text(mask.column_type().oid, field.type_oid)
        }
        Transform::Token(token) => {
            token.type_oid() == field.type_oid || same_text(token.type_oid(), field.type_oid)
        }
    };
    if fits {
        Ok(())
    } else {
        Err("its type differs")
    }
}

/// Is it shown as a name, with a schema perhaps?
fn is_name(field: Option<&FieldShape>) -> bool {
    field.is_some_and(|f| matches!(f.type_oid, oid::REGCLASS | oid::REGTYPE))
}

/// text and varchar are the same bytes; char(n) is padded, so only itself.
fn same_text(bound: Oid, described: Oid) -> bool {
    let plain = |ty| matches!(ty, oid::TEXT | oid::VARCHAR);
    plain(bound) && plain(described) || bound == oid::BPCHAR && described == oid::BPCHAR
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{MalformedRow, OutputRule, RowMasker, Transform};
    use crate::mask::partial_wire::tests::{any_partial, text_or_bytes};
    use crate::mask::token::{TokenKey, TokenKind};
    use crate::mask::{
        ColumnType, CompiledMask, FieldShape, Mask, Partial, TokenColumn, parse_row_description,
        rewrite_row_description,
    };
    use crate::pg::types::{Format, oid};

    fn ty(oid: u32, typmod: i32, name: &str) -> ColumnType {
        ColumnType {
            oid,
            typmod,
            sql: format!("pg_catalog.{name}").into(),
            collation: None,
            element: None,
            domain: false,
        }
    }

    fn rule(transform: Transform) -> OutputRule {
        OutputRule {
            transform,
            expect: None,
            origin: None,
            name: None,
        }
    }

    fn masked(ty: &ColumnType) -> OutputRule {
        let partial = Partial {
            keep_first: 1,
            ..Partial::default()
        };
        let mask = CompiledMask::compile(&Mask::Partial(partial), ty).expect("fits");
        rule(Transform::Mask(Arc::new(mask)))
    }

    fn token(ty: &ColumnType) -> OutputRule {
        let key = TokenKey::new("aaaa", zeroize::Zeroizing::new([7; 64])).expect("an id");
        let column = TokenColumn::bind("d", TokenKind::Siv, &[Arc::new(key)], ty).expect("fits");
        rule(Transform::Token(Arc::new(column)))
    }

    fn text() -> ColumnType {
        ty(oid::TEXT, -1, "text")
    }

    fn field(type_oid: u32) -> FieldShape {
        FieldShape {
            table: 10,
            attnum: 1,
            type_oid,
            typmod: -1,
            format: Format::Text,
        }
    }

    fn body(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = u16::try_from(values.len())
            .expect("few")
            .to_be_bytes()
            .to_vec();
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("short"));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value.unwrap_or_default());
        }
        out
    }

    fn masker(rules: &[OutputRule], types: &[u32]) -> RowMasker {
        let fields: Vec<FieldShape> = types.iter().copied().map(field).collect();
        RowMasker::new(rules, &fields).expect("the shape fits")
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
        [b"D", &length[..], body].concat()
    }

    #[test]
    fn masks_by_position_and_copies_the_rest() {
        let pass = || rule(Transform::Pass);
        let rules = vec![
            pass(),
            masked(&text()),
            pass(),
            pass(),
            masked(&text()),
            masked(&text()),
        ];
        let masker = masker(&rules, &[23, 25, 25, 17, 25, 1043]);
        let row = body(&[
            Some(b"1"),
            Some(b"ada"),
            None,
            Some(b"\0\xff"),
            None,
            Some(b""),
        ]);
        let mut out = b"before".to_vec();
        masker
            .mask_row(&frame(&row), &mut out)
            .expect("well formed");
        let expected = body(&[
            Some(b"1"),
            Some(b"a**"),
            None,
            Some(b"\0\xff"),
            None,
            Some(b""),
        ]);
        assert_eq!(out, [&b"before"[..], &frame(&expected)].concat());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_row_is_masked_as_its_values_are_one_by_one(
            values in prop::collection::vec(prop::option::weighted(0.9, text_or_bytes()), 1..8),
            masks in prop::collection::vec(prop::option::weighted(0.7, any_partial()), 8),
        ) {
            let types = [text(), ty(oid::VARCHAR, 4 + 7, "varchar(7)"), ty(oid::BPCHAR, 4 + 9, "bpchar(9)")];
            let columns: Vec<(OutputRule, u32)> = (values.iter().zip(&masks).zip(types.iter().cycle()))
                .map(|((_, partial), ty)| match partial {
                    None => (rule(Transform::Pass), ty.oid),
                    Some(partial) => {
                        let mask = CompiledMask::compile(&Mask::Partial(partial.clone()), ty);
                        (rule(Transform::Mask(Arc::new(mask.expect("fits")))), ty.oid)
                    }
                })
                .collect();
            let (rules, types): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
            let expected: Vec<Option<Vec<u8>>> = (values.iter().zip(&rules))
                .map(|(value, rule)| match &rule.transform {
                    Transform::Mask(mask) => value.as_ref().map(|value| {
                        let mut out = Vec::new();
                        mask.apply(value, &mut out);
                        out
                    }),
                    _ => value.clone(),
                })
                .collect();
            let row = |values: &[Option<Vec<u8>>]| {
                frame(&body(&values.iter().map(Option::as_deref).collect::<Vec<_>>()))
            };
            let mut out = b"before".to_vec();
            let whole = [row(&values), b"behind, which is nobody's business".to_vec()].concat();
            let frame = &whole[..row(&values).len()];
            masker(&rules, &types).mask_row(frame, &mut out).expect("well formed");
            prop_assert_eq!(out, [b"before".to_vec(), row(&expected)].concat());
        }
    }

    #[test]
    fn a_row_that_is_not_what_it_says_is_an_error() {
        let masker = masker(&[masked(&text()), rule(Transform::Pass)], &[25, 25]);
        let row = body(&[Some(b"ada"), Some(b"x")]);
        let mut bad: Vec<Vec<u8>> = (0..row.len()).map(|end| row[..end].to_vec()).collect();
        bad.push([&row[..], b"x"].concat());
        bad.push(body(&[Some(b"ada")]));
        bad.push(body(&[Some(b"ada"), Some(b"x"), None]));
        for at in [2, 9] {
            for byte in [0x7f, 0x80, 0xfe] {
                let mut row = row.clone();
                row[at] = byte;
                bad.push(row);
            }
        }
        // -2: only -1 is NULL.
        bad.push(
            [
                &[0, 2][..],
                &(-2_i32).to_be_bytes(),
                &(-1_i32).to_be_bytes(),
            ]
            .concat(),
        );
        for row in bad {
            let mut out = b"before".to_vec();
            assert_eq!(
                masker.mask_row(&frame(&row), &mut out),
                Err(MalformedRow),
                "{row:?}"
            );
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn a_result_of_another_shape_is_refused() {
        let char_type = ty(oid::BPCHAR, 10, "bpchar(6)");
        let number = ty(oid::INT4, -1, "int4");
        for (rule, type_oid, fits) in [
            (masked(&text()), oid::TEXT, true),
            (masked(&text()), oid::VARCHAR, true),
            (masked(&text()), oid::BPCHAR, false),
            (masked(&text()), oid::BYTEA, false),
            (masked(&char_type), oid::BPCHAR, true),
            (masked(&char_type), oid::TEXT, false),
            (token(&number), oid::INT4, true),
            (token(&number), oid::INT8, false),
            (rule(Transform::Pass), oid::BYTEA, true),
        ] {
            let made = RowMasker::new(&[rule], &[field(type_oid)]);
            assert_eq!(made.is_ok(), fits, "{type_oid}");
        }
        for (expect, fits) in [
            ((10, 1), true),
            ((10, 2), false),
            ((11, 1), false),
            ((0, 0), false),
        ] {
            let rule = OutputRule {
                expect: Some(expect),
                ..masked(&text())
            };
            let made = RowMasker::new(&[rule], &[field(oid::TEXT)]);
            assert_eq!(
                made.map(|_| ()).map_err(|e| e.column),
                if fits { Ok(()) } else { Err(Some(0)) }
            );
        }
        let made = RowMasker::new(&[masked(&text())], &[]);
        assert_eq!(made.map(|_| ()).map_err(|e| e.column), Err(None));
    }

    #[test]
    fn binds_formats_reach_tokens() {
        let number = ty(oid::INT4, -1, "int4");
        let mut masker = masker(
            &[token(&number), rule(Transform::Pass)],
            &[oid::INT4, oid::INT4],
        );
        let in_text = frame(&body(&[Some(b"258"), None]));
        let in_binary = frame(&body(&[Some(&[0, 0, 1, 2]), None]));
        let mut text = Vec::new();
        masker.mask_row(&in_text, &mut text).expect("text");
        let mut binary = Vec::new();
        masker.set_formats(&[Format::Binary]).expect("one for all");
        masker.mask_row(&in_binary, &mut binary).expect("binary");
        assert_eq!(text, binary);
        assert!(masker.mask_row(&in_text, &mut Vec::new()).is_err());
        assert!(masker.set_formats(&[Format::Text; 3]).is_err());
    }

    #[test]
    fn descriptions_are_rewritten() {
        let describe = |fields: &[(&str, u32, i16, u32, i16, i32)]| {
            let mut out = u16::try_from(fields.len())
                .expect("few")
                .to_be_bytes()
                .to_vec();
            for (name, table, attnum, type_oid, typlen, typmod) in fields {
                out.extend_from_slice(name.as_bytes());
                out.push(0);
                out.extend_from_slice(&table.to_be_bytes());
                out.extend_from_slice(&attnum.to_be_bytes());
                out.extend_from_slice(&type_oid.to_be_bytes());
                out.extend_from_slice(&typlen.to_be_bytes());
                out.extend_from_slice(&typmod.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
            out
        };
        let rules = [
            token(&ty(oid::INT4, -1, "int4")),
            OutputRule {
                origin: Some((77, 3)),
                name: Some("E-mail".into()),
                ..rule(Transform::Pass)
            },
        ];
        let from = describe(&[
            ("id", 10, 1, oid::INT4, 4, -1),
            ("?column?", 0, 0, oid::VARCHAR, -1, 28),
        ]);
        let to = describe(&[
            ("id", 10, 1, oid::VARCHAR, -1, -1),
            ("E-mail", 77, 3, oid::VARCHAR, -1, 28),
        ]);
        let mut out = BytesMut::new();
        rewrite_row_description(&rules, &from, &mut out).expect("well formed");
        let length = u32::try_from(to.len() + 4).expect("short").to_be_bytes();
        assert_eq!(out, [b"T", &length[..], &to].concat());
        let shapes = parse_row_description(&from).expect("well formed");
        assert_eq!(
            (shapes[1].type_oid, shapes[1].typmod, shapes[0].table),
            (oid::VARCHAR, 28, 10)
        );
        for end in 0..from.len() {
            let mut out = BytesMut::new();
            assert!(rewrite_row_description(&rules, &from[..end], &mut out).is_err());
            assert!(out.is_empty() && parse_row_description(&from[..end]).is_err());
        }
        assert!(rewrite_row_description(&rules[..1], &from, &mut out).is_err());
    }
}
