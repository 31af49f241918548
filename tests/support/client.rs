//! A small blocking client: it speaks the protocol message by message and forgets nothing.
//!
//! Deliberately absent: conveniences that a driver has, because they hide what was on the wire.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

/// A test waits no longer than this for a message; a silent proxy is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// One backend message.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

/// What a statement gave: rows in text form, or the error. The last one of a text with several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Lines with ` | ` between the values and `(null)` for NULL, and the command tags.
    Rows(Vec<String>, Vec<String>),
    /// SQLSTATE and message.
    Error(String, String),
}

/// A connection, and every byte that came over it, but for what a login is made of: nonces, proofs and
/// keys are random, and anything turns up in them sooner or later.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// BackendKeyData
    key: Vec<u8>,
}

impl Client {
    /// Connects and logs in; the error is SQLSTATE and message, or the I/O error's words.
    pub(crate) fn connect(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Self, String> {
        Self::connect_with(address, user, password, database, &[])
    }

    /// The same with settings in the startup packet.
    pub(crate) fn connect_with(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut client = Self {
            stream,
            received: Vec::new(),
            key: Vec::new(),
        };
        let mut startup = 196_608_i32.to_be_bytes().to_vec();
        let named = [
            ("user", user),
            ("database", database),
            ("application_name", "tests"),
        ];
        let settings = named.iter().chain(settings);
        for text in settings.flat_map(|(name, value)| [name, value]) {
            startup.extend_from_slice(text.as_bytes());
            startup.push(0);
        }
        startup.push(0);
        let length = i32::try_from(startup.len() + 4).unwrap();
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(&startup);
        client.stream.write_all(&frame).map_err(|e| e.to_string())?;
        client.log_in(password)?;
        Ok(client)
    }

    fn log_in(&mut self, password: &str) -> Result<(), String> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let message = self.receive().map_err(|e| e.to_string())?;
            match message.kind {
                b'R' => self.authenticate(&message.body, &mut scram)?,
                b'E' => return Err(message.error().join(" ")),
                b'K' => self.key = message.body,
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    fn authenticate(&mut self, body: &[u8], scram: &mut ScramSha256) -> Result<(), String> {
        let (code, data) = body.split_at(4);
        match code {
            [0, 0, 0, 0] => {}
            [0, 0, 0, 10] => {
                let first = scram.message();
                let mut reply = format!("{SCRAM_SHA_256}\0").into_bytes();
                reply.extend_from_slice(&i32::try_from(first.len()).unwrap().to_be_bytes());
                reply.extend_from_slice(first);
                self.send(b'p', &reply);
            }
            [0, 0, 0, 11] => {
                scram.update(data).map_err(|e| e.to_string())?;
                let reply = scram.message().to_vec();
                self.send(b'p', &reply);
            }
            [0, 0, 0, 12] => scram.finish(data).map_err(|e| e.to_string())?,
            other => return Err(format!("authentication request {other:?}")),
        }
        Ok(())
    }

    /// Asks for what runs to be cancelled, and waits until the request is taken, as libpq does.
    pub(crate) fn cancel(&self) {
        let mut request = TcpStream::connect(self.stream.peer_addr().unwrap()).unwrap();
        request.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut packet = 16_i32.to_be_bytes().to_vec();
        packet.extend_from_slice(&80_877_102_i32.to_be_bytes());
        packet.extend_from_slice(&self.key);
        request.write_all(&packet).unwrap();
        assert_eq!(request.read(&mut [0]).unwrap(), 0);
    }

    /// Sends one frontend message.
    pub(crate) fn send(&mut self, kind: u8, body: &[u8]) {
        self.send_at_once(&[(kind, body)]);
    }

    /// Sends several, in one write.
    pub(crate) fn send_at_once(&mut self, messages: &[(u8, &[u8])]) {
        let mut frames = Vec::new();
        for (kind, body) in messages {
            frames.push(*kind);
            frames.extend_from_slice(&i32::try_from(body.len() + 4).unwrap().to_be_bytes());
            frames.extend_from_slice(body);
        }
        self.send_bytes(&frames);
    }

    /// Sends what may be less than a message.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        // A closed connection shows when the answer is read.
        self.stream.write_all(bytes).unwrap_or_default();
    }

    /// Receives one backend message.
    pub(crate) fn receive(&mut self) -> io::Result<Message> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length) - 4).map_err(io::Error::other)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if !matches!(kind, b'R' | b'K') {
            self.received.extend_from_slice(&head);
            self.received.extend_from_slice(&body);
        }
        Ok(Message { kind, body })
    }

    /// Everything received until ReadyForQuery, that message included.
    pub(crate) fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.receive() {
                Ok(message) => {
                    let ready = message.kind == b'Z';
                    messages.push(message);
                    if ready {
                        return messages;
                    }
                }
                Err(e) => {
                    let body = format!("SCLOSED\0M{e}\0\0").into_bytes();
                    messages.push(Message { kind: b'E', body });
                    return messages;
                }
            }
        }
    }

    /// What was received until ReadyForQuery, as rows or an error.
    pub(crate) fn answer(&mut self) -> Answer {
        answer(&self.until_ready())
    }

    /// Runs a text by the simple protocol.
    pub(crate) fn simple(&mut self, sql: &str) -> Answer {
        self.send(b'Q', format!("{sql}\0").as_bytes());
        self.answer()
    }

    /// Runs one statement by the extended protocol, without parameters, in text format.
    pub(crate) fn extended(&mut self, sql: &str) -> Answer {
        self.send(b'P', format!("\0{sql}\0\0\0").as_bytes());
        self.send(b'B', &[0, 0, 0, 0, 0, 0, 0, 0]);
        self.send(b'D', b"P\0");
        self.send(b'E', &[0, 0, 0, 0, 0]);
        self.send(b'S', &[]);
        answer(&self.until_ready())
    }

    /// Every byte received since the last time this was asked.
    pub(crate) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }
}

impl Message {
    /// SQLSTATE and message of an ErrorResponse.
    pub(crate) fn error(&self) -> [String; 2] {
        let mut fields = [String::new(), String::new()];
        for field in self.body.split(|byte| *byte == 0) {
            let Some((kind, text)) = field.split_first() else {
                continue;
            };
            let text = String::from_utf8_lossy(text).into_owned();
            match kind {
                b'C' => fields[0] = text,
                b'M' => fields[1] = text,
                _ => {}
            }
        }
        fields
    }

    /// The values of a DataRow.
    pub(crate) fn values(&self) -> Vec<Option<Vec<u8>>> {
        let mut rest = self.body.get(2..).unwrap_or_default();
        let mut values = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (value, next) = after.split_at(length.unwrap_or(0));
            values.push(length.map(|_| value.to_vec()));
            rest = next;
        }
        values
    }
}

fn answer(messages: &[Message]) -> Answer {
    let (mut rows, mut tags) = (Vec::new(), Vec::new());
    for message in messages {
        match message.kind {
            b'D' => {
                let values = message.values();
                let texts = values.into_iter().map(|value| match value {
                    Some(value) => String::from_utf8_lossy(&value).into_owned(),
                    None => "(null)".to_owned(),
                });
                rows.push(texts.collect::<Vec<_>>().join(" | "));
            }
            b'd' => rows.push(String::from_utf8_lossy(&message.body).trim_end().to_owned()),
            b'C' => tags.push(
                String::from_utf8_lossy(&message.body)
                    .trim_end_matches('\0')
                    .to_owned(),
            ),
            b'E' => {
                let [state, text] = message.error();
                return Answer::Error(state, text);
            }
            _ => {}
        }
    }
    Answer::Rows(rows, tags)
}
