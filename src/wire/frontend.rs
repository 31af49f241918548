//! Every message a client may send after its startup packet, as borrowed views over one body.
//!
//! Strict: a body is consumed exactly, counts agree, format codes exist. Text stays bytes, because a
//! verbatim client may use any encoding; [`super::utf8`] is for those who need to understand it.
//! There is no catch-all: a type that is not listed is [`Malformed::Tag`].

use super::read::{Formats, Malformed, Reader, Values};

/// Bind
pub const BIND: u8 = b'B';
/// Close
pub const CLOSE: u8 = b'C';
/// Describe
pub const DESCRIBE: u8 = b'D';
/// Execute
pub const EXECUTE: u8 = b'E';
/// FunctionCall, the fast path
pub const FUNCTION_CALL: u8 = b'F';
/// Flush
pub const FLUSH: u8 = b'H';
/// Parse
pub const PARSE: u8 = b'P';
/// Query
pub const QUERY: u8 = b'Q';
/// Sync
pub const SYNC: u8 = b'S';
/// Terminate
pub const TERMINATE: u8 = b'X';
/// CopyDone
pub const COPY_DONE: u8 = b'c';
/// CopyData
pub const COPY_DATA: u8 = b'd';
/// CopyFail
pub const COPY_FAIL: u8 = b'f';
/// PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse
pub const PASSWORD: u8 = b'p';

/// A simple query.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The text, without its NUL.
    pub text: &'a [u8],
}

impl<'a> Query<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let text = r.cstr()?;
        r.end()?;
        Ok(Self { text })
    }
}

/// Makes a prepared statement.
#[derive(Clone, Copy)]
pub struct Parse<'a> {
    /// The statement's name; empty is the unnamed one.
    pub name: &'a [u8],
    /// The text, without its NUL.
    pub query: &'a [u8],
    /// The parameter types the client names; 0 leaves one open.
    pub types: ParameterTypes<'a>,
}

impl<'a> Parse<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let name = r.cstr()?;
        let query = r.cstr()?;
        let types = ParameterTypes::read(&mut r)?;
        r.end()?;
        Ok(Self { name, query, types })
    }
}

/// A counted list of type OIDs.
#[derive(Clone, Copy)]
pub struct ParameterTypes<'a> {
    oids: &'a [u8],
}

impl<'a> ParameterTypes<'a> {
    /// Reads a count and that many OIDs.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = usize::from(reader.u16()?);
        let oids = reader.bytes(count.saturating_mul(4))?;
        Ok(Self { oids })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.oids.len() / 4
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.oids.is_empty()
    }

    /// The OIDs.
    pub fn iter(&self) -> impl Iterator<Item = u32> + 'a {
        let (oids, _) = self.oids.as_chunks::<4>();
        oids.iter().map(|oid| u32::from_be_bytes(*oid))
    }
}

/// Makes a portal of a prepared statement.
#[derive(Clone, Copy)]
pub struct Bind<'a> {
    /// The portal's name; empty is the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name.
    pub statement: &'a [u8],
    /// Formats of the values: none, one, or one each, if it is right (`Formats::fits`).
    pub formats: Formats<'a>,
    /// The parameters.
    pub values: Values<'a>,
    /// Formats of the result's columns.
    pub result_formats: Formats<'a>,
    /// Everything after the two names, as it was sent.
    pub raw: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let portal = r.cstr()?;
        let statement = r.cstr()?;
        let raw = r.rest();
        let formats = Formats::read(&mut r)?;
        let values = Values::read(&mut r)?;
        let result_formats = Formats::read(&mut r)?;
        r.end()?;
        Ok(Self {
            portal,
            statement,
            formats,
            values,
            result_formats,
            raw,
        })
    }
}

/// What Describe and Close speak of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// `S`
    Statement,
    /// `P`
    Portal,
}

impl Target {
    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Self::Statement => b'S',
            Self::Portal => b'P',
        }
    }
}

/// The body of Describe and of Close.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// Statement or portal.
    pub kind: Target,
    /// Its name.
    pub name: &'a [u8],
}

impl<'a> Named<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let kind = match r.u8()? {
            b'S' => Target::Statement,
            b'P' => Target::Portal,
            _ => return Err(Malformed::Kind),
        };
        let name = r.cstr()?;
        r.end()?;
        Ok(Self { kind, name })
    }
}

/// Runs a portal.
#[derive(Clone, Copy)]
pub struct Execute<'a> {
    /// The portal's name.
    pub portal: &'a [u8],
    /// Rows to return at most; zero and below are all of them.
    pub max_rows: i32,
}

impl<'a> Execute<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let portal = r.cstr()?;
        let max_rows = r.i32()?;
        r.end()?;
        Ok(Self { portal, max_rows })
    }
}

/// Calls a function by OID.
#[derive(Clone, Copy)]
pub struct FunctionCall<'a> {
    /// The function.
    pub oid: u32,
    /// Formats of the arguments.
    pub formats: Formats<'a>,
    /// The arguments.
    pub arguments: Values<'a>,
}

impl<'a> FunctionCall<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let oid = r.u32()?;
        let formats = Formats::read(&mut r)?;
        let arguments = Values::read(&mut r)?;
        if !formats.fits(arguments.len()) {
            return Err(Malformed::Count);
        }
        if !matches!(r.i16()?, 0 | 1) {
            return Err(Malformed::Format);
        }
        r.end()?;
        Ok(Self {
            oid,
            formats,
            arguments,
        })
    }
}

/// The client's first answer in a SASL exchange.
#[derive(Clone, Copy)]
pub struct SaslInitialResponse<'a> {
    /// The mechanism it chose.
    pub mechanism: &'a [u8],
    /// Its first message, if it sent one.
    pub data: Option<&'a [u8]>,
}

impl<'a> SaslInitialResponse<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let mechanism = r.cstr()?;
        let data = r.value()?;
        r.end()?;
        Ok(Self { mechanism, data })
    }
}

/// A cleartext or md5 password.
#[derive(Clone, Copy)]
pub struct Password<'a> {
    /// The text, without its NUL.
    pub text: &'a [u8],
}

impl<'a> Password<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        Query::read(body).map(|q| Self { text: q.text })
    }
}

/// Every message of an authenticated client.
#[derive(Clone, Copy)]
pub enum FrontendMessage<'a> {
    /// Query
    Query(Query<'a>),
    /// Parse
    Parse(Parse<'a>),
    /// Bind
    Bind(Bind<'a>),
    /// Describe
    Describe(Named<'a>),
    /// Execute
    Execute(Execute<'a>),
    /// Close
    Close(Named<'a>),
    /// Flush
    Flush,
    /// Sync
    Sync,
    /// Terminate
    Terminate,
    /// CopyData
    CopyData(&'a [u8]),
    /// CopyDone
    CopyDone,
    /// CopyFail, with its reason
    CopyFail(&'a [u8]),
    /// FunctionCall
    FunctionCall(FunctionCall<'a>),
}

impl<'a> FrontendMessage<'a> {
    /// Reads the body of a frame of type `tag`.
    pub fn read(tag: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        let empty = |message| Reader::new(body).end().map(|()| message);
        match tag {
            QUERY => Query::read(body).map(Self::Query),
            PARSE => Parse::read(body).map(Self::Parse),
            BIND => Bind::read(body).map(Self::Bind),
            DESCRIBE => Named::read(body).map(Self::Describe),
            EXECUTE => Execute::read(body).map(Self::Execute),
            CLOSE => Named::read(body).map(Self::Close),
            FLUSH => empty(Self::Flush),
            SYNC => empty(Self::Sync),
            TERMINATE => empty(Self::Terminate),
            COPY_DATA => Ok(Self::CopyData(body)),
            COPY_DONE => empty(Self::CopyDone),
            COPY_FAIL => Query::read(body).map(|q| Self::CopyFail(q.text)),
            FUNCTION_CALL => FunctionCall::read(body).map(Self::FunctionCall),
            _ => Err(Malformed::Tag),
        }
    }
}
