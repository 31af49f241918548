//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as the server: two messages in, two out.
//!
//! Follows PostgreSQL's auth-scram.c, its errors included. Deliberately absent: I/O and randomness;
//! the server's part of the nonce is given.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use super::verifier::{ScramVerifier, hmac_sha256, sha256};
use crate::pg::sqlstate;

/// The mechanism without channel binding.
pub(super) const SCRAM: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub(super) const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";
const END_POINT: &str = "tls-server-end-point";

/// Why an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ScramError {
    /// Not the message that has to come.
    #[error("malformed SCRAM message")]
    Malformed,
    /// Not one of the offered mechanisms.
    #[error("client selected an invalid SASL authentication mechanism")]
    Mechanism,
    /// A channel binding other than `tls-server-end-point`.
    #[error("unsupported SCRAM channel-binding type")]
    BindingType,
    /// The client was told that there is no channel binding, and there is: someone is in between.
    #[error("SCRAM channel binding negotiation error")]
    Downgrade,
    /// The client speaks to another certificate than ours: someone is in between.
    #[error("SCRAM channel binding check failed")]
    Binding,
    /// An authorization identity.
    #[error("client uses authorization identity, but it is not supported")]
    AuthorizationIdentity,
    /// A mandatory extension.
    #[error("client requires an unsupported SCRAM extension")]
    Extension,
    /// The nonce is not the one agreed on.
    #[error("invalid SCRAM response")]
    Nonce,
    /// The wrong password, or nobody's.
    #[error("password authentication failed")]
    Password,
}

impl ScramError {
    /// The SQLSTATE PostgreSQL gives.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Password => sqlstate::INVALID_PASSWORD,
            Self::Downgrade | Self::Binding => sqlstate::INVALID_AUTHORIZATION,
            Self::AuthorizationIdentity | Self::Extension => sqlstate::FEATURE_NOT_SUPPORTED,
            Self::Malformed | Self::Mechanism | Self::BindingType | Self::Nonce => {
                sqlstate::PROTOCOL_VIOLATION
            }
        }
    }
}

/// What the client said about channel binding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    /// `n`: it has none.
    None,
    /// `y`: it has it and thinks we do not.
    Unused,
    /// `p=tls-server-end-point`
    EndPoint,
}

/// What is kept between the first and the last message.
struct Pending {
    flag: Flag,
    first_bare: String,
    server_first: String,
    nonce: String,
}

/// One exchange.
pub struct ScramServer {
    verifier: ScramVerifier,
    known: Choice,
    binding: Option<Vec<u8>>,
    nonce: String,
    pending: Option<Pending>,
}

impl ScramServer {
    /// An exchange for `user`. Without a verifier it runs to its end and fails. `binding` is the hash
    /// of our certificate, if the client came over TLS; `nonce` our part of the nonce, printable and
    /// without commas; `secret` makes an unknown user's salt.
    pub fn new(
        user: &str,
        verifier: Option<ScramVerifier>,
        binding: Option<Vec<u8>>,
        nonce: String,
        secret: &[u8; 32],
    ) -> Self {
        let known = Choice::from(u8::from(verifier.is_some()));
        // Made for known users as well, so that both take as long.
        let mock = ScramVerifier::mock(user, secret);
        Self {
            verifier: verifier.unwrap_or(mock),
            known,
            binding,
            nonce,
            pending: None,
        }
    }

    /// The mechanisms to offer, best first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        if self.binding.is_some() {
            &[SCRAM_PLUS, SCRAM]
        } else {
            &[SCRAM]
        }
    }

    /// Takes client-first-message, gives server-first-message.
    pub fn first(&mut self, mechanism: &[u8], data: &[u8]) -> Result<String, ScramError> {
        let offered = self.mechanisms().iter();
        let plus = match offered.copied().find(|m| m.as_bytes() == mechanism) {
            Some(SCRAM_PLUS) => true,
            Some(_) => false,
            None => return Err(ScramError::Mechanism),
        };
        let data = std::str::from_utf8(data).map_err(|_| ScramError::Malformed)?;
        let (flag, rest) = data.split_once(',').ok_or(ScramError::Malformed)?;
        let flag = self.flag(flag, plus)?;
        let (identity, bare) = rest.split_once(',').ok_or(ScramError::Malformed)?;
        if identity.starts_with("a=") {
            return Err(ScramError::AuthorizationIdentity);
        } else if !identity.is_empty() {
            return Err(ScramError::Malformed);
        } else if bare.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let mut attributes = bare.split(',');
        // The name here is ignored, as in PostgreSQL: the startup packet's counts.
        let name = attributes.next().and_then(|a| a.strip_prefix("n="));
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r="));
        let (Some(_), Some(nonce)) = (name, nonce) else {
            return Err(ScramError::Malformed);
        };
        if nonce.is_empty() || !nonce.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ScramError::Malformed);
        }
        attributes.try_for_each(extension)?;
        let nonce = format!("{nonce}{}", self.nonce);
        let salt = STANDARD.encode(&self.verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", self.verifier.iterations);
        self.pending = Some(Pending {
            flag,
            first_bare: bare.to_owned(),
            server_first: server_first.clone(),
            nonce,
        });
        Ok(server_first)
    }

    fn flag(&self, flag: &str, plus: bool) -> Result<Flag, ScramError> {
        match (flag, plus) {
            ("n", false) => Ok(Flag::None),
            ("y", false) if self.binding.is_some() => Err(ScramError::Downgrade),
            ("y", false) => Ok(Flag::Unused),
            (flag, true) => match flag.strip_prefix("p=") {
                Some(END_POINT) => Ok(Flag::EndPoint),
                Some(_) => Err(ScramError::BindingType),
                None => Err(ScramError::Malformed),
            },
            _ => Err(ScramError::Malformed),
        }
    }

    /// Takes client-final-message, gives server-final-message: then, and only then, the client has
    /// proved that it knows the password.
    pub fn finish(mut self, data: &[u8]) -> Result<String, ScramError> {
        let pending = self.pending.take().ok_or(ScramError::Malformed)?;
        let data = std::str::from_utf8(data).map_err(|_| ScramError::Malformed)?;
        let (unproved, proof) = data.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let mut attributes = unproved.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c="));
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r="));
        let (Some(binding), Some(nonce)) = (binding, nonce) else {
            return Err(ScramError::Malformed);
        };
        attributes.try_for_each(extension)?;
        self.check_binding(pending.flag, binding)?;
        if nonce != pending.nonce {
            return Err(ScramError::Nonce);
        }
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        let proof = <[u8; 32]>::try_from(proof).map_err(|_| ScramError::Malformed)?;

        let message = format!("{},{},{unproved}", pending.first_bare, pending.server_first);
        let message: &[&[u8]] = &[message.as_bytes()];
        let mut client_key = hmac_sha256(&self.verifier.stored_key, message);
        for (key, proof) in client_key.iter_mut().zip(proof) {
            *key ^= proof;
        }
        let right = sha256(&client_key).ct_eq(&self.verifier.stored_key);
        let signature = hmac_sha256(&self.verifier.server_key, message);
        if bool::from(right & self.known) {
            Ok(format!("v={}", STANDARD.encode(signature)))
        } else {
            Err(ScramError::Password)
        }
    }

    fn check_binding(&self, flag: Flag, sent: &str) -> Result<(), ScramError> {
        match flag {
            // "n,," and "y,," in base64.
            Flag::None if sent == "biws" => Ok(()),
            Flag::Unused if sent == "eSws" => Ok(()),
            Flag::None | Flag::Unused => Err(ScramError::Malformed),
            Flag::EndPoint => {
                let mut expected = format!("p={END_POINT},,").into_bytes();
                expected.extend_from_slice(self.binding.as_deref().unwrap_or_default());
                if sent == STANDARD.encode(expected) {
                    Ok(())
                } else {
                    Err(ScramError::Binding)
                }
            }
        }
    }
}

/// Optional extensions are read over: a letter, `=`, and a value.
fn extension(attribute: &str) -> Result<(), ScramError> {
    match attribute.as_bytes() {
        [letter, b'=', ..] if letter.is_ascii_alphabetic() => Ok(()),
        _ => Err(ScramError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::{ScramError, ScramServer, ScramVerifier};
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    const SECRET: [u8; 32] = [7; 32];

    fn server(password: Option<&str>, binding: Option<&[u8]>) -> ScramServer {
        let verifier = password.map(|p| ScramVerifier::from_password(p).unwrap());
        let binding = binding.map(<[u8]>::to_vec);
        ScramServer::new(
            "ada",
            verifier,
            binding,
            "3rfcNHYJY1ZVvWVs7j".into(),
            &SECRET,
        )
    }

    /// A whole exchange with another implementation of the client's side.
    fn exchange(
        mut server: ScramServer,
        mechanism: &str,
        password: &str,
        binding: ChannelBinding,
    ) -> Result<(), ScramError> {
        let mut client = ScramSha256::new(password.as_bytes(), binding);
        let first = server.first(mechanism.as_bytes(), client.message())?;
        client.update(first.as_bytes()).unwrap();
        let last = server.finish(client.message())?;
        client.finish(last.as_bytes()).unwrap();
        Ok(())
    }

    #[test]
    fn the_right_password_and_nothing_else() {
        let none = ChannelBinding::unsupported;
        assert_eq!(
            exchange(server(Some("x"), None), "SCRAM-SHA-256", "x", none()),
            Ok(())
        );
        for (known, given) in [(Some("x"), "y"), (Some("x"), ""), (None, "x")] {
            assert_eq!(
                exchange(server(known, None), "SCRAM-SHA-256", given, none()),
                Err(ScramError::Password)
            );
        }
    }

    #[test]
    fn channel_binding_is_checked_both_ways() {
        let bound = |hash: &[u8]| ChannelBinding::tls_server_end_point(hash.to_vec());
        let plus = "SCRAM-SHA-256-PLUS";
        let with = || server(Some("x"), Some(b"hash"));
        assert_eq!(exchange(with(), plus, "x", bound(b"hash")), Ok(()));
        assert_eq!(
            exchange(with(), plus, "x", bound(b"other")),
            Err(ScramError::Binding)
        );
        let downgraded = ChannelBinding::unrequested();
        assert_eq!(
            exchange(with(), "SCRAM-SHA-256", "x", downgraded),
            Err(ScramError::Downgrade)
        );
        // A client without the means may go without.
        let without = ChannelBinding::unsupported();
        assert_eq!(exchange(with(), "SCRAM-SHA-256", "x", without), Ok(()));
        // No TLS, no PLUS.
        assert_eq!(
            exchange(server(Some("x"), None), plus, "x", bound(b"hash")),
            Err(ScramError::Mechanism)
        );
        assert_eq!(
            exchange(with(), plus, "x", ChannelBinding::unsupported()),
            Err(ScramError::Malformed)
        );
    }

    #[test]
    fn rfc_7677_example() {
        // The exchange printed in RFC 7677 §3, whose password is "pencil".
        let salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
        let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        // StoredKey and ServerKey follow from Hi("pencil", salt, 4096); the RFC's proof and signature
        // check them.
        let text = format!(
            "SCRAM-SHA-256$4096:{salt}$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        let verifier = ScramVerifier::parse(&text).unwrap();
        let mut server = ScramServer::new("user", Some(verifier), None, nonce.into(), &SECRET);
        let first = server
            .first(b"SCRAM-SHA-256", b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
            .unwrap();
        assert_eq!(
            first,
            format!("r=rOprNGfwEbeRWgbNEkqO{nonce},s={salt},i=4096")
        );
        let last = format!(
            "c=biws,r=rOprNGfwEbeRWgbNEkqO{nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(
            server.finish(last.as_bytes()).unwrap(),
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn malformed_messages_are_errors() {
        let first = |data: &str| server(Some("x"), None).first(b"SCRAM-SHA-256", data.as_bytes());
        for bad in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=,",
            "n,,n=,r=",
            "n,,r=a,n=",
            "x,,n=,r=a",
            "n,b,n=,r=a",
            "n,,n=,r=a\u{7f}",
            "n,,n=,r=a,",
            "n,,n=,r=a,9=x",
            "p=x,,n=,r=a",
        ] {
            assert_eq!(first(bad), Err(ScramError::Malformed), "{bad}");
        }
        assert_eq!(
            first("n,a=b,n=,r=a"),
            Err(ScramError::AuthorizationIdentity)
        );
        assert_eq!(first("n,,m=1,n=,r=a"), Err(ScramError::Extension));
        for bad in [
            "",
            "c=biws",
            "c=eSws,r=x,p=",
            "c=biws,r=a,p=!",
            "c=biws,p=AA==",
        ] {
            let mut server = server(Some("x"), None);
            server.first(b"SCRAM-SHA-256", b"n,,n=,r=a").unwrap();
            assert!(server.finish(bad.as_bytes()).is_err(), "{bad}");
        }
        let nonce = b"c=biws,r=zzz,p=AAAA";
        let mut server = server(Some("x"), None);
        server.first(b"SCRAM-SHA-256", b"n,,n=,r=a").unwrap();
        assert_eq!(server.finish(nonce), Err(ScramError::Nonce));
    }

    #[test]
    fn an_unknown_user_has_a_lasting_salt() {
        let salt = |user: &str| {
            let mut server = ScramServer::new(user, None, None, "n".into(), &SECRET);
            server.first(b"SCRAM-SHA-256", b"n,,n=,r=a").unwrap()
        };
        assert_eq!(salt("bob"), salt("bob"));
        assert_ne!(salt("bob"), salt("eve"));
    }
}
