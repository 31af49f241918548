//! A man in the middle: ends TLS with a certificate of his own and speaks TLS to the real server.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::Authority;

/// Opens a port in front of another; both sides start TLS with an SSLRequest.
pub(super) async fn open(authority: &Authority, real: u16) -> u16 {
    // A certificate the client would even trust.
    let (certificate, key) = authority.issue("localhost", "middle");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut victim, _)) = listener.accept().await {
            let mut request = [0; 8];
            victim.read_exact(&mut request).await.unwrap();
            victim.write_all(b"S").await.unwrap();
            let mut victim = acceptor.accept(victim).await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", real)).await.unwrap();
            server.write_all(&request).await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'S');
            let name = "localhost".try_into().unwrap();
            let mut server = connector.connect(name, server).await.unwrap();
            drop(copy_bidirectional(&mut victim, &mut server).await);
        }
    });
    port
}
