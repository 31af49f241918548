//! TLS towards clients: certificate, key, client certificates, ALPN.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use super::certificate::end_point_hash;

/// The protocol's name in ALPN.
pub(crate) const ALPN: &[u8] = b"postgresql";

/// Why a certificate, a key or a CA cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// No certificate, or not PEM.
    #[error("cannot read the certificate: {0}")]
    Certificate(String),
    /// No key, or not PEM.
    #[error("cannot read the private key: {0}")]
    Key(String),
    /// No CA certificate, or not PEM.
    #[error("cannot read the CA certificates: {0}")]
    Ca(String),
    /// They do not go together.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// What the proxy shows to clients over TLS. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) end_point: Option<Arc<[u8]>>,
    pub(super) required: bool,
}

impl ServerTls {
    /// Reads a chain, its key, and the CA of client certificates, all PEM. A client certificate is
    /// optional but has to verify. `required` refuses sessions (not cancel requests) without TLS.
    pub fn new(
        chain: &[u8],
        key: &[u8],
        client_ca: Option<&[u8]>,
        required: bool,
    ) -> Result<Self, TlsError> {
        let chain = certificates(chain).map_err(TlsError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| TlsError::Key(e.to_string()))?;
        let end_point = chain.first().and_then(|leaf| end_point_hash(leaf));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(roots(ca)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|e| TlsError::Ca(e.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            end_point: end_point.map(Arc::from),
            required,
        })
    }
}

/// The certificates of a PEM text, at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(list) if list.is_empty() => Err("no certificate found".to_owned()),
        Ok(list) => Ok(list),
        Err(error) => Err(error.to_string()),
    }
}

/// A root store of a PEM text.
pub(crate) fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem).map_err(TlsError::Ca)? {
        store
            .add(certificate)
            .map_err(|e| TlsError::Ca(e.to_string()))?;
    }
    Ok(store)
}
