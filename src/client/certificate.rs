//! The three things the doors read in an X.509 certificate.
//!
//! Deliberately absent: verification, which is rustls's.

use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, PrintableStringRef, Utf8StringRef};

/// `id-at-commonName`
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The `tls-server-end-point` channel binding (RFC 5929 §4.1) of a certificate in DER: its hash with
/// the hash function of its signature, SHA-256 instead of MD5 and SHA-1. `None` where the RFC leaves
/// it undefined (Ed25519, PSS): PostgreSQL does not offer channel binding then either.
pub fn end_point_hash(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(der).ok()?;
    match certificate.signature_algorithm.oid.to_string().as_str() {
        // md5WithRSAEncryption, sha1WithRSAEncryption, ecdsa-with-SHA1,
        // sha256WithRSAEncryption, ecdsa-with-SHA256
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(der).to_vec()),
        // sha384WithRSAEncryption, ecdsa-with-SHA384
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(Sha384::digest(der).to_vec()),
        // sha512WithRSAEncryption, ecdsa-with-SHA512
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(Sha512::digest(der).to_vec()),
        _ => None,
    }
}

/// `notAfter`, in seconds since 1970.
pub fn valid_until(der: &[u8]) -> Option<u64> {
    let certificate = Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate.validity;
    Some(validity.not_after.to_unix_duration().as_secs())
}

/// The subject's common name. `None` if there is none, more than one, or one that is not text: a name
/// that could be read in two ways is no name.
pub fn common_name(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let subject = certificate.tbs_certificate.subject;
    let mut names = subject
        .0
        .iter()
        .flat_map(|rdn| rdn.0.iter())
        .filter(|attribute| attribute.oid == COMMON_NAME);
    let (Some(name), None) = (names.next(), names.next()) else {
        return None;
    };
    let value = &name.value;
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().ok();
    let utf8 = utf8.map(|text| text.as_str().to_owned());
    let text = utf8.or_else(|| {
        let printable = value.decode_as::<PrintableStringRef<'_>>().ok()?;
        Some(printable.as_str().to_owned())
    })?;
    (!text.contains('\0')).then_some(text)
}
