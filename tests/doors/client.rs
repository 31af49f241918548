//! The door to the client, knocked at by hand, by psql, and by our own other door.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pgveil::client::{Accepted, Acceptor, Credentials, Lookup, ScramVerifier, ServerTls, accept};
use pgveil::upstream::{ConnectError, TlsMode, UpstreamOptions, UpstreamTls, connect};
use pgveil::wire::frame::{self, Limits};
use pgveil::wire::startup::{write_cancel, write_startup};
use pgveil::wire::{BackendMessage, TransactionStatus, field};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::certificates::Authority;
use super::cluster::psql;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

struct Users(HashMap<&'static str, ScramVerifier>);

impl Credentials for Users {
    fn lookup<'a>(&'a self, user: &'a str) -> Lookup<'a> {
        Box::pin(async move { Ok(self.0.get(user).cloned()) })
    }
}

/// A door that lets `ada` in and says what became of each connection.
pub(super) struct Door {
    pub(super) port: u16,
    outcomes: mpsc::Receiver<String>,
}

impl Door {
    pub(super) async fn open(tls: Option<ServerTls>) -> Self {
        let verifier = ScramVerifier::from_password("lovelace").unwrap();
        let users = Users(HashMap::from([("ada", verifier)]));
        let acceptor = Arc::new(Acceptor::new(tls, Arc::new(users)).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, outcomes) = mpsc::channel(100);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, sender) = (Arc::clone(&acceptor), sender.clone());
                tokio::spawn(async move {
                    let outcome = match accept(tcp, &acceptor).await {
                        Ok(Accepted::Gone) => "gone".to_owned(),
                        Ok(Accepted::Cancel { pid, key, .. }) => {
                            format!("cancel {pid} {}", key.len())
                        }
                        Err(error) => format!("error {}", error.sqlstate()),
                        Ok(Accepted::Session(mut client)) => {
                            let welcome = client.unsent.welcome([("a", "b")], 7, b"1234").unwrap();
                            let welcome = welcome.ready(TransactionStatus::Idle);
                            client
                                .stream
                                .write_all(&welcome.into_bytes())
                                .await
                                .unwrap();
                            client.stream.flush().await.unwrap();
                            let said = format!(
                                "session {} {} {:?} {}",
                                client.identity.login(),
                                client.startup.database,
                                client.identity.tls_cert_cn(),
                                client.startup.minor
                            );
                            sender.send(said).await.unwrap();
                            drop(client.stream.read_to_end(&mut Vec::new()).await);
                            return;
                        }
                    };
                    sender.send(outcome).await.unwrap();
                });
            }
        });
        Self { port, outcomes }
    }

    pub(super) async fn outcome(&mut self) -> String {
        let outcome = timeout(Duration::from_secs(120), self.outcomes.recv());
        outcome.await.expect("an outcome").unwrap()
    }

    async fn knock(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    pub(super) fn options(&self, password: &str, tls: UpstreamTls) -> UpstreamOptions {
        UpstreamOptions {
            host: "localhost".into(),
            port: self.port,
            tls,
            user: "ada".into(),
            password: Some(password.to_owned().into()),
            database: "bank".into(),
            params: Vec::new(),
            minor: 0,
        }
    }
}

pub(super) fn plain() -> UpstreamTls {
    UpstreamTls::new(TlsMode::Disable, None).unwrap()
}

fn server_tls(authority: &Authority, required: bool) -> ServerTls {
    let (certificate, key) = authority.issue("localhost", "door");
    let ca = Some(authority.pem.as_bytes());
    ServerTls::new(certificate.as_bytes(), key.as_bytes(), ca, required).unwrap()
}

fn startup(minor: u16, params: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    write_startup(&mut out, minor, params).unwrap();
    out
}

/// Everything until the end, as (type, body).
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    drop(
        timeout(Duration::from_secs(120), end)
            .await
            .expect("an end"),
    );
    frame::frames(&bytes, &Limits::BACKEND)
        .map(|f| f.unwrap())
        .map(|f| (f.tag, f.body().to_vec()))
        .collect()
}

/// The SQLSTATE of the only message until the end; hangs up then.
async fn refusal(mut stream: impl AsyncRead + Unpin) -> String {
    let messages = rest(&mut stream).await;
    let [(tag, body)] = messages.as_slice() else {
        panic!("{} messages", messages.len());
    };
    let Ok(BackendMessage::Error(error)) = BackendMessage::read(*tag, body) else {
        panic!("message {tag}");
    };
    assert_eq!(error.get(field::SEVERITY), Some(&b"FATAL"[..]));
    String::from_utf8(error.get(field::SQLSTATE).unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn passwords_without_tls() {
    let mut door = Door::open(None).await;
    let connection = connect(&door.options("lovelace", plain())).await.unwrap();
    assert_eq!(door.outcome().await, "session ada bank None 0");
    assert_eq!(connection.parameters, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(connection.backend_key, (7, b"1234"[..].into()));

    let mut unknown = door.options("lovelace", plain());
    unknown.user = "eve".into();
    for (options, name) in [(door.options("byron", plain()), "ada"), (unknown, "eve")] {
        let Err(ConnectError::Server(error)) = connect(&options).await else {
            panic!("{name} was let in");
        };
        assert_eq!(error.sqlstate(), "28P01");
        let expected = format!("password authentication failed for user \"{name}\"");
        assert_eq!(error.message(), expected);
        assert_eq!(door.outcome().await, "error 28P01");
    }
}

#[tokio::test]
async fn libpq_binds_the_channel() {
    let authority = Authority::new();
    let mut door = Door::open(Some(server_tls(&authority, true))).await;
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &authority.pem).unwrap();
    let conninfo = format!(
        "host=localhost port={} user=ada dbname=bank sslmode=verify-full channel_binding=require \
         sslrootcert={}",
        door.port,
        ca.path().display()
    );
    let (ok, said) = psql(&conninfo, "lovelace", "\\conninfo").await;
    assert!(ok, "{said}");
    assert_eq!(door.outcome().await, "session ada bank None 0");
    let (ok, said) = psql(&conninfo, "byron", "\\conninfo").await;
    assert!(!ok);
    assert!(
        said.contains("password authentication failed for user \"ada\""),
        "{said}"
    );
    assert_eq!(door.outcome().await, "error 28P01");
}

#[tokio::test]
async fn a_man_in_the_middle_is_noticed() {
    let authority = Authority::new();
    let mut door = Door::open(Some(server_tls(&authority, false))).await;
    let middle = super::middle::open(&authority, door.port).await;
    let mut options = door.options(
        "lovelace",
        UpstreamTls::new(TlsMode::Require, None).unwrap(),
    );
    connect(&options).await.unwrap();
    assert_eq!(door.outcome().await, "session ada bank None 0");
    options.port = middle;
    let error = connect(&options).await.err().expect("an error");
    assert_eq!(error.sqlstate(), "28000");
    assert_eq!(
        error.server().unwrap().message(),
        "SCRAM channel binding check failed"
    );
    assert_eq!(door.outcome().await, "error 28000");
}

#[tokio::test]
async fn nothing_survives_into_tls() {
    let authority = Authority::new();
    let mut door = Door::open(Some(server_tls(&authority, false))).await;
    let injected = startup(0, &[("user", "ada"), ("database", "stolen")]);

    // In the same segment.
    let mut tcp = door.knock().await;
    tcp.write_all(&[&SSL_REQUEST[..], &injected].concat())
        .await
        .unwrap();
    assert_eq!(refusal(tcp).await, "08P01");
    assert_eq!(door.outcome().await, "error 08P01");

    // After the answer, instead of a handshake.
    let mut tcp = door.knock().await;
    tcp.write_all(&SSL_REQUEST).await.unwrap();
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
    tcp.write_all(&injected).await.unwrap();
    assert_eq!(door.outcome().await, "error 08006");
}

#[tokio::test]
async fn requests_for_encryption_are_answered_once() {
    let mut door = Door::open(None).await;
    let mut tcp = door.knock().await;
    for request in [GSSENC_REQUEST, SSL_REQUEST] {
        tcp.write_all(&request).await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'N');
    }
    tcp.write_all(&SSL_REQUEST).await.unwrap();
    assert_eq!(refusal(tcp).await, "0A000");
    assert_eq!(door.outcome().await, "error 0A000");
}

#[tokio::test]
async fn startup_packets_in_single_bytes() {
    let mut door = Door::open(None).await;
    let mut tcp = door.knock().await;
    tcp.set_nodelay(true).unwrap();
    for byte in startup(0, &[("user", "ada")]) {
        tcp.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    // AuthenticationSASL with SCRAM-SHA-256 and nothing else, as there is no TLS.
    let mut offer = [0; 24];
    tcp.read_exact(&mut offer).await.unwrap();
    assert_eq!(&offer, b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0");
    // Anything but a password message ends it.
    tcp.write_all(b"Q\0\0\0\x06x\0").await.unwrap();
    assert_eq!(refusal(tcp).await, "08P01");
    assert_eq!(door.outcome().await, "error 08P01");
}

#[tokio::test]
async fn wrong_startup_packets() {
    let mut door = Door::open(None).await;
    let long = "x".repeat(64);
    let cases: [(&[u8], &str); 6] = [
        (&[0, 0, 0, 9, 0, 3, 0, 0, b'u'], "08P01"),
        (&[0, 0, 0, 9, 0, 2, 0, 0, 0], "0A000"),
        (&[0, 0, 0, 9, 0, 3, 0, 0, 0], "28000"),
        (&[0, 0, 0, 10, 0, 3, 0, 0, 0, 0], "08P01"),
        (
            &startup(0, &[("user", "ada"), ("database", &long)]),
            "42622",
        ),
        (b"\0\0\0\x10\0\x03\0\0user\0\xff\0\0", "22021"),
    ];
    for (bytes, sqlstate) in cases {
        let mut tcp = door.knock().await;
        tcp.write_all(bytes).await.unwrap();
        assert_eq!(refusal(tcp).await, sqlstate, "{bytes:?}");
        assert_eq!(door.outcome().await, format!("error {sqlstate}"));
    }
    // What has no length is no packet, and gets no answer.
    for bytes in [
        &[0, 0, 0, 3, 0, 0, 0, 0][..],
        &[0, 0, 0, 4],
        &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        b"X\0\0\0\x04",
        &[0, 0, 0, 10, 4, 210, 22, 46, 0, 0],
    ] {
        let mut tcp = door.knock().await;
        tcp.write_all(bytes).await.unwrap();
        assert!(rest(&mut tcp).await.is_empty(), "{bytes:?}");
        assert_eq!(door.outcome().await, "error 08P01");
    }
    drop(door.knock().await);
    assert_eq!(door.outcome().await, "gone");
}

#[tokio::test]
async fn newer_protocols_are_negotiated_down() {
    let mut door = Door::open(None).await;
    let mut tcp = door.knock().await;
    let packet = startup(9, &[("user", "ada"), ("_pq_.cipher", "rot13")]);
    tcp.write_all(&packet).await.unwrap();
    tcp.shutdown().await.unwrap();
    let messages = rest(&mut tcp).await;
    let (tag, body) = &messages[0];
    let Ok(BackendMessage::NegotiateProtocolVersion(v)) = BackendMessage::read(*tag, body) else {
        panic!("message {tag}");
    };
    assert_eq!(
        (v.version, v.options),
        ((3 << 16) | 2, &b"_pq_.cipher\0"[..])
    );
    assert_eq!(messages[1].0, b'R');
    assert_eq!(door.outcome().await, "error 08006");

    let mut options = door.options("lovelace", plain());
    options.minor = 2;
    assert_eq!(connect(&options).await.unwrap().minor, 2);
    assert_eq!(door.outcome().await, "session ada bank None 2");
}

#[tokio::test]
async fn tls_can_be_required_of_sessions_but_not_of_cancels() {
    let authority = Authority::new();
    let mut door = Door::open(Some(server_tls(&authority, true))).await;
    let error = connect(&door.options("lovelace", plain()))
        .await
        .err()
        .unwrap();
    assert_eq!(error.sqlstate(), "28000");
    assert_eq!(door.outcome().await, "error 28000");
    let mut tcp = door.knock().await;
    let mut cancel = BytesMut::new();
    write_cancel(&mut cancel, 42, &[9; 32]).unwrap();
    tcp.write_all(&cancel).await.unwrap();
    assert_eq!(door.outcome().await, "cancel 42 32");
}

/// A TLS client that sends its handshake first, with a certificate of its own.
async fn direct(authority: &Authority, port: u16, alpn: &[&[u8]]) -> impl AsyncRead + Unpin {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let (certificate, key) = authority.issue("client", "ada of the certificate");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, tcp).await.unwrap();
    let packet = startup(0, &[("user", "ada")]);
    stream.write_all(&packet).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

#[tokio::test]
async fn direct_tls_needs_alpn() {
    let authority = Authority::new();
    let mut door = Door::open(Some(server_tls(&authority, true))).await;
    let mut stream = direct(&authority, door.port, &[b"postgresql"]).await;
    let mut offer = [0; 43];
    stream.read_exact(&mut offer).await.unwrap();
    assert_eq!(&offer[9..], b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    drop(stream);
    assert_eq!(door.outcome().await, "error 08006");
    let stream = direct(&authority, door.port, &[]).await;
    assert_eq!(refusal(stream).await, "08P01");
    assert_eq!(door.outcome().await, "error 08P01");
}

#[tokio::test]
async fn libpq_shows_its_certificate() {
    let authority = Authority::new();
    let mut door = Door::open(Some(server_tls(&authority, true))).await;
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.issue("client", "app");
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("c"), certificate).unwrap();
    std::fs::write(path("k"), key).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path("k"), private).unwrap();
    let conninfo = format!(
        "host=localhost port={} user=ada sslmode=require sslcert={} sslkey={}",
        door.port,
        path("c").display(),
        path("k").display()
    );
    let (ok, said) = psql(&conninfo, "lovelace", "\\conninfo").await;
    assert!(ok, "{said}");
    assert_eq!(door.outcome().await, "session ada ada Some(\"app\") 0");
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority() {
    for (until, works) in [(4000, true), (2020, false)] {
        let (certificate, key) = Authority::alone(until);
        let tls = ServerTls::new(certificate.as_bytes(), key.as_bytes(), None, true).unwrap();
        let door = Door::open(Some(tls)).await;
        let given = |mode| UpstreamTls::new(mode, Some(certificate.as_bytes())).unwrap();
        let mut options = door.options("lovelace", given(TlsMode::VerifyFull));
        assert_eq!(connect(&options).await.is_ok(), works, "{until}");
        options.host = "127.0.0.1".into();
        let error = connect(&options).await.err().expect("another name");
        assert!(matches!(error, ConnectError::Tls(_)), "{error}");
        options.tls = given(TlsMode::VerifyCa);
        assert_eq!(connect(&options).await.is_ok(), works, "{until}");
    }
}
