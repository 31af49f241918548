//! The values PostgreSQL's parameters are bound to: what the client binds, or what stands for it.
//!
//! Deliberately absent: which parameters there are (`param`), and the message, which is the session's.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::param::{Parameters, Use, index};
use super::plan::Plan;
use super::uploads::{Uploaded, Uploads};
use crate::analyze::ObjectKind;
use crate::pg::types::Format;
use crate::pg::{Oid, sqlstate};
use crate::refusal::Refusal;
use crate::wire::{Formats, Values};

/// What gives a name the schema of what it means, if it needs one.
pub type Qualify<'q> = dyn Fn(ObjectKind, &str) -> Option<String> + 'q;

/// The values of one Bind for PostgreSQL.
pub struct Bound<'v> {
    /// Their formats.
    pub formats: Vec<Format>,
    /// `None` is NULL.
    pub values: Vec<Option<Cow<'v, [u8]>>>,
}

impl Parameters {
    /// The values for PostgreSQL of the values a client binds, and what was read for the statement. Names get the schemas that `qualified` finds for them.
    pub fn bind<'v>(
        &self,
        declared: usize,
        (formats, values): (Formats<'v>, Values<'v>),
        mut uploads: Vec<Zeroizing<String>>,
        qualified: &Qualify<'_>,
    ) -> Result<Bound<'v>, Refusal> {
        let wanted = self.client.max(declared);
        if values.len() != wanted {
            return Err(Refusal::error(
                sqlstate::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but the prepared statement requires {wanted}",
                    values.len()
                ),
            ));
        }
        let values: Vec<Option<&[u8]>> = values.iter().collect();
        let codes: Vec<Format> = formats.iter().collect();
        let mut bound = Bound {
            formats: Vec::with_capacity(self.upstream.len()),
            values: Vec::with_capacity(self.upstream.len()),
        };
        for (n, use_) in &self.upstream {
            if let Use::Upload(upload) = use_ {
                bound.formats.push(Format::Text);
                bound.values.push(Some(taken(&mut uploads, *upload)?));
                continue;
            }
            let format = format_of(&codes, index(*n));
            let value = values.get(index(*n)).copied().flatten();
            let (format, value) = match (use_, value) {
                (_, None) | (Use::Upload(_), _) => (Format::Text, None),
                (Use::Plain(_), Some(value)) => (format, Some(Cow::Borrowed(value))),
                // A text is the same in both formats.
                (Use::Setting(s), Some(value)) => {
                    let shown = s.shown(&String::from_utf8_lossy(value))?;
                    (format, Some(Cow::Owned(shown.into_bytes())))
                }
                (Use::Named(kind), Some(value)) => {
                    // In binary it is an OID.
                    let text = std::str::from_utf8(value).ok();
                    let name = text.filter(|_| format == Format::Text);
                    let name = name.and_then(|text| qualified(*kind, text));
                    let value = name.map_or(Cow::Borrowed(value), |n| Cow::Owned(n.into_bytes()));
                    (format, Some(value))
                }
                (Use::Token(t), Some(value)) => {
                    let plain = t.stored(value, format)?;
                    (Format::Text, Some(Cow::Owned(plain.to_vec())))
                }
            };
            bound.formats.push(format);
            bound.values.push(value);
        }
        Ok(bound)
    }

    /// The values of uploads, where the client binds nothing.
    fn bind_alone(&self, mut uploads: Vec<Zeroizing<String>>) -> Result<Bound<'static>, Refusal> {
        if self.client > 0 {
            return Err(Refusal::error(
                sqlstate::UNDEFINED_PARAMETER,
                "there is no parameter $1",
            ));
        }
        let values = self.upstream.iter().map(|(_, use_)| match use_ {
            Use::Upload(upload) => taken(&mut uploads, *upload).map(Some),
            _ => Err(super::uploads::not_read()),
        });
        Ok(Bound {
            formats: Vec::new(),
            values: values.collect::<Result<_, Refusal>>()?,
        })
    }
}

impl Uploads {
    /// The types and values of the reading's parameters, of those the client declares and binds.
    pub fn bind<'v>(
        &self,
        declared: &[Oid],
        (formats, values): (Formats<'v>, Values<'v>),
    ) -> (Vec<Oid>, Bound<'v>) {
        let values: Vec<Option<&[u8]>> = values.iter().collect();
        let codes: Vec<Format> = formats.iter().collect();
        let places = || self.params.iter().copied().map(index);
        let types = places().map(|n| declared.get(n).copied().unwrap_or(0));
        let bound = Bound {
            formats: places().map(|n| format_of(&codes, n)).collect(),
            // One that is missing is missed when the statement is bound.
            values: (places().map(|n| values.get(n).copied().flatten().map(Cow::Borrowed)))
                .collect(),
        };
        (types.collect(), bound)
    }
}

/// No code is text for all, one is everybody's, else one each.
fn format_of(codes: &[Format], n: usize) -> Format {
    match codes {
        [] => Format::Text,
        [one] => *one,
        each => each.get(n).copied().unwrap_or(Format::Text),
    }
}

/// A map, which stands for one parameter. It may be long, and is not copied.
fn taken(uploads: &mut [Zeroizing<String>], number: usize) -> Result<Cow<'static, [u8]>, Refusal> {
    let map = uploads.get_mut(number);
    let map = map.ok_or_else(super::uploads::not_read)?;
    Ok(Cow::Owned(std::mem::take(&mut **map).into_bytes()))
}

impl Plan {
    /// For a statement that the client gives no parameters: the types of PostgreSQL's, and their values.
    pub fn bound_alone(&self, uploaded: &Uploaded) -> Result<(Vec<Oid>, Bound<'static>), Refusal> {
        let (Some(parameters), Some(uploads)) = (self.parameters(), self.uploads()) else {
            return Err(super::uploads::not_read());
        };
        let maps = uploads.maps(uploaded)?;
        let bound = parameters.bind_alone(maps)?;
        Ok((parameters.types(&[])?, bound))
    }
}
