//! TLS towards PostgreSQL, in libpq's modes.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use super::error::ConnectError;
use crate::client::{ALPN, certificates, roots, valid_until};

/// `sslmode`, without `allow`, which protects nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsMode {
    /// Plaintext.
    Disable,
    /// TLS if the server has it, unverified.
    Prefer,
    /// TLS, unverified; with a CA, as [`TlsMode::VerifyCa`], like libpq.
    Require,
    /// TLS, chain verified.
    VerifyCa,
    /// TLS, chain and host name verified.
    VerifyFull,
}

/// How to do TLS. Cheap to clone; make one for all connections.
#[derive(Clone)]
pub struct UpstreamTls {
    mode: TlsMode,
    connector: Option<TlsConnector>,
}

impl UpstreamTls {
    /// `ca` is PEM; without it the verifying modes use the system's store.
    pub fn new(mode: TlsMode, ca: Option<&[u8]>) -> Result<Self, ConnectError> {
        if mode == TlsMode::Disable {
            return Ok(Self {
                mode,
                connector: None,
            });
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(mode, ca, &provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| tls(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            mode,
            connector: Some(TlsConnector::from(Arc::new(config))),
        })
    }

    /// What to connect with; `None` for plaintext.
    pub(super) fn connector(&self) -> Option<&TlsConnector> {
        self.connector.as_ref()
    }

    /// A server without TLS will do.
    pub(super) fn optional(&self) -> bool {
        matches!(self.mode, TlsMode::Disable | TlsMode::Prefer)
    }
}

fn tls(error: &Error) -> ConnectError {
    ConnectError::Tls(error.to_string())
}

fn verifier(
    mode: TlsMode,
    ca: Option<&[u8]>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
    let provider = Arc::clone(provider);
    let unverified = mode == TlsMode::Prefer || (mode == TlsMode::Require && ca.is_none());
    if unverified {
        return Ok(Arc::new(Unverified { provider }));
    }
    let store = match ca {
        Some(pem) => roots(pem).map_err(|error| ConnectError::Tls(error.to_string()))?,
        None => system_roots(),
    };
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    let given = match ca {
        Some(pem) => certificates(pem).map_err(ConnectError::Tls)?,
        None => Vec::new(),
    };
    Ok(Arc::new(Verified {
        chain,
        given,
        name: mode == TlsMode::VerifyFull,
    }))
}

fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}

/// `require`: any certificate, but the server has to hold its key.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// `verify-ca` and `verify-full`.
#[derive(Debug)]
struct Verified {
    chain: Arc<WebPkiServerVerifier>,
    /// The CA file's certificates. A server that shows one of them itself is what a self-signed
    /// `server.crt` copied to `root.crt` looks like; PostgreSQL's manual shows how to make one, and
    /// webpki does not take a CA as a server.
    given: Vec<CertificateDer<'static>>,
    /// The name counts: `verify-full`.
    name: bool,
}

impl Verified {
    fn verify_given(
        &self,
        end_entity: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let until = valid_until(end_entity).ok_or(CertificateError::BadEncoding)?;
        if now.as_secs() > until {
            return Err(CertificateError::Expired.into());
        }
        if self.name {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.given.iter().any(|known| known == end_entity) {
            return self.verify_given(end_entity, server_name, now);
        }
        let verified = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // rustls checks the name last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
