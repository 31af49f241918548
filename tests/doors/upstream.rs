//! The door to PostgreSQL, opened to a real server in every mode, and to servers that lie.

use std::sync::Arc;

use pgveil::upstream::{
    CancelRegistry, ConnectError, Request, TlsMode, Upstream, UpstreamOptions, UpstreamTls, cancel,
    connect,
};
use pgveil::wire::frame::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::certificates::Authority;
use super::client::plain;
use super::cluster::Cluster;

fn options(port: u16, user: &str, password: &str, tls: UpstreamTls) -> UpstreamOptions {
    UpstreamOptions {
        host: "localhost".into(),
        port,
        tls,
        user: user.into(),
        password: Some(password.to_owned().into()),
        database: "postgres".into(),
        params: vec![("application_name".into(), "doors".into())],
        minor: 0,
    }
}

fn tls(mode: TlsMode, authority: Option<&Authority>) -> UpstreamTls {
    UpstreamTls::new(mode, authority.map(|a| a.pem.as_bytes())).unwrap()
}

/// The SQLSTATE of the failure that has to come.
async fn failure(options: &UpstreamOptions) -> String {
    let error = connect(options).await.err().expect("a failure");
    error.sqlstate().to_owned()
}

async fn is_tls(options: &UpstreamOptions) -> bool {
    let mut connection = connect(options).await.unwrap();
    let rows = connection
        .simple_query_text("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
        .await
        .unwrap();
    let ssl = rows[0][0].as_deref() == Some(b"t");
    assert_eq!(ssl, connection.stream.is_tls());
    ssl
}

async fn create_users(port: u16) {
    let mut admin = connect(&options(port, "postgres", "", plain()))
        .await
        .unwrap();
    for sql in [
        "create user scram password 'x'",
        "create user clear password 'x'",
        "create user rejected",
        "set password_encryption = md5",
        "create user md5 password 'x'",
        "create user crowded connection limit 0",
    ] {
        admin.simple_query_text(sql).await.unwrap();
    }
}

#[tokio::test]
async fn a_real_server() {
    let authority = Authority::new();
    let cluster = Cluster::start(&authority, true);
    let port = cluster.port;
    create_users(port).await;

    for user in ["scram", "md5", "clear"] {
        for (mode, encrypted) in [
            (TlsMode::Disable, false),
            (TlsMode::Prefer, true),
            (TlsMode::Require, true),
        ] {
            assert_eq!(
                is_tls(&options(port, user, "x", tls(mode, None))).await,
                encrypted
            );
        }
        let wrong = options(port, user, "y", plain());
        assert_eq!(failure(&wrong).await, "28P01", "{user}");
    }
    let ca = Some(&authority);
    for mode in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
        assert!(is_tls(&options(port, "scram", "x", tls(mode, ca))).await);
    }
    refusals(port, &authority).await;
    conversation(port).await;
    cancelling(port, tls(TlsMode::Disable, None)).await;
    cancelling(port, tls(TlsMode::VerifyFull, ca)).await;

    let middle = super::middle::open(&authority, port).await;
    let caught = options(middle, "scram", "x", tls(TlsMode::VerifyFull, ca));
    assert_eq!(failure(&caught).await, "28000");
    // Without channel binding he gets through, so it was the binding that caught him.
    connect(&options(middle, "md5", "x", tls(TlsMode::VerifyFull, ca)))
        .await
        .unwrap();
}

async fn refusals(port: u16, authority: &Authority) {
    // The certificate is for localhost.
    let mut other_name = options(
        port,
        "scram",
        "x",
        tls(TlsMode::VerifyFull, Some(authority)),
    );
    other_name.host = "127.0.0.1".into();
    let error = connect(&other_name).await.err().unwrap();
    assert!(matches!(error, ConnectError::Tls(_)), "{error}");
    other_name.tls = tls(TlsMode::VerifyCa, Some(authority));
    connect(&other_name).await.unwrap();
    // A stranger's CA; like libpq, `require` looks at a CA if it is given one.
    let stranger = Authority::new();
    for mode in [TlsMode::Require, TlsMode::VerifyCa, TlsMode::VerifyFull] {
        let strange = options(port, "scram", "x", tls(mode, Some(&stranger)));
        assert!(matches!(connect(&strange).await, Err(ConnectError::Tls(_))));
    }
    // The server's own words arrive.
    let mut unknown = options(port, "postgres", "", plain());
    unknown.database = "nowhere".into();
    let error = connect(&unknown).await.err().unwrap();
    assert_eq!(error.sqlstate(), "3D000");
    assert_eq!(
        error.server().unwrap().message(),
        "database \"nowhere\" does not exist"
    );
    assert_eq!(
        failure(&options(port, "rejected", "", plain())).await,
        "28000"
    );
    let mut without = options(port, "scram", "x", plain());
    without.password = None;
    assert!(matches!(
        connect(&without).await,
        Err(ConnectError::Authentication(_))
    ));
    let mut setting = options(port, "postgres", "", plain());
    setting.params.push(("work_mem".into(), "much".into()));
    assert_eq!(failure(&setting).await, "22023");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = nobody.local_addr().unwrap().port();
    drop(nobody);
    assert_eq!(
        failure(&options(closed, "scram", "x", plain())).await,
        "08001"
    );
}

async fn conversation(port: u16) {
    let mut newer = options(port, "postgres", "", plain());
    newer.minor = 2;
    let mut connection = connect(&newer).await.unwrap();
    let reported = connection.parameters.iter();
    let parameter = |name: &str| {
        reported
            .clone()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    assert_eq!(parameter("application_name"), Some("doors"));
    let version = parameter("server_version").unwrap();
    let major: u16 = version.split(['.', ' ']).next().unwrap().parse().unwrap();
    // 3.2 came with PostgreSQL 18; older servers negotiate down to 3.0.
    assert_eq!(connection.minor, if major >= 18 { 2 } else { 0 });
    let pid = connection
        .simple_query_text("select pg_backend_pid()")
        .await
        .unwrap();
    let expected = connection.backend_key.0.to_string().into_bytes();
    assert_eq!(pid, [[Some(expected)]]);
    let rows = connection
        .simple_query_text("values ('a', null), ('', 'é')")
        .await
        .unwrap();
    let text = |t: &str| Some(t.as_bytes().to_vec());
    assert_eq!(rows, [[text("a"), None], [text(""), text("é")]]);
    // An error leaves the connection usable.
    let error = connection
        .simple_query_text("select 1/0")
        .await
        .err()
        .unwrap();
    assert_eq!(error.sqlstate(), "22012");
    assert_eq!(
        connection.simple_query_text("select 1").await.unwrap(),
        [[text("1")]]
    );
    assert!(connection.buffer.is_empty());
    connection.send(&Request::terminate()).await.unwrap();
    assert!(connection.next_frame(&Limits::BACKEND).await.is_err());
}

async fn cancelling(port: u16, tls: UpstreamTls) {
    let registry = Arc::new(CancelRegistry::new());
    let mut options = options(port, "postgres", "", tls);
    options.minor = 2;
    let mut connection = connect(&options).await.unwrap();
    let (pid, key) = connection.backend_key.clone();
    assert_eq!(key.len(), if connection.minor < 2 { 4 } else { 32 });
    let target = connection.cancel_target().clone();
    let upstream = Upstream { target, pid, key };
    let old = registry.register(upstream.clone(), 0).unwrap();
    assert_eq!((old.pid(), old.key().len()), (pid, 4));
    let registration = registry.register(upstream, 2).unwrap();
    assert_eq!((registration.pid(), registration.key().len()), (pid, 32));
    assert!(registry.find(pid, &[0; 32]).is_none());
    drop(old);
    let found = registry.find(pid, registration.key()).unwrap();
    let sleeper = tokio::spawn(async move {
        let error = connection.simple_query_text("select pg_sleep(60)").await;
        error.err().unwrap().sqlstate().to_owned()
    });
    // A request that comes before the query begins is lost, so ask until it worked.
    while !sleeper.is_finished() {
        let running = found.upstream().unwrap();
        cancel(&running.target, running.pid, &running.key)
            .await
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(sleeper.await.unwrap(), "57014");
    let key = registration.key().clone();
    drop(registration);
    assert!(registry.find(pid, &key).is_none() && registry.is_empty());
}

#[tokio::test]
async fn a_server_without_tls() {
    let authority = Authority::new();
    let cluster = Cluster::start(&authority, false);
    let prefer = options(cluster.port, "postgres", "", tls(TlsMode::Prefer, None));
    assert!(!connect(&prefer).await.unwrap().stream.is_tls());
    let require = options(cluster.port, "postgres", "", tls(TlsMode::Require, None));
    assert!(matches!(connect(&require).await, Err(ConnectError::NoTls)));
    conversation(cluster.port).await;
    cancelling(cluster.port, plain()).await;
}

/// A server that reads one packet and answers with fixed bytes.
async fn liar(answer: &'static [u8], then: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut scratch = [0; 1024];
        for part in [answer, then] {
            assert!(tcp.read(&mut scratch).await.unwrap() > 0);
            tcp.write_all(part).await.unwrap();
        }
        drop(tcp.read(&mut scratch).await);
    });
    port
}

#[tokio::test]
async fn servers_that_lie() {
    // Plaintext behind the consent to TLS.
    let port = liar(b"SR\0\0\0\x08\0\0\0\0", b"").await;
    let error = connect(&options(port, "scram", "x", tls(TlsMode::Prefer, None))).await;
    assert!(matches!(error, Err(ConnectError::DataBeforeTls)));
    // An error text before TLS is nobody's.
    let port = liar(b"E\0\0\0\x05\0", b"").await;
    let error = connect(&options(port, "scram", "x", tls(TlsMode::Prefer, None))).await;
    assert!(matches!(error, Err(ConnectError::Protocol(_))));
    // A welcome in the middle of SCRAM: the server has proved nothing.
    let port = liar(
        b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0",
        b"R\0\0\0\x08\0\0\0\0",
    )
    .await;
    let error = connect(&options(port, "scram", "x", plain())).await;
    assert!(matches!(error, Err(ConnectError::Authentication(_))));
    // Rows before a welcome; a message that would need a gigabyte; one that is cut.
    for answer in [
        &b"D\0\0\0\x06\0\0"[..],
        b"E\x3f\xff\xff\xff",
        b"R\0\0\0\x06\0\0",
        b"R\0\0\0\x08\0\0\0\x07",
        b"R\0\0\0\x0c\0\0\0\x0c\0\0\0\0",
        b"v\0\0\0\x0c\0\x03\0\x09\0\0\0\0",
    ] {
        let port = liar(answer, b"").await;
        let failed = connect(&options(port, "scram", "x", plain()))
            .await
            .is_err();
        assert!(failed, "{answer:?}");
    }
}
