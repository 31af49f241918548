//! Tokens that PostgreSQL computes: the SQL form of `kind: hmac`, and the settings its keys are read
//! from; and what it is asked of values of which not every one has a token. Of encrypted cells it can
//! compute nothing.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::hmac::HmacPads;
use super::{Cipher, TokenColumn, TokenKey};

impl TokenColumn {
    /// There is an SQL form: [`TokenColumn::hmac_sql`].
    pub fn at_source(&self) -> bool {
        matches!(self.cipher, Cipher::Hmac(_)) && self.cells.is_none()
    }

    /// The token as SQL over `operand`. The pads ([`TokenColumn::hmac_pads`]) are parameters
    /// (`$3`), so that no key is part of SQL text. It compares as the column does, by its collation.
    /// `None` for kinds without an SQL form.
    pub fn hmac_sql(&self, operand: &str, ipad: &str, opad: &str) -> Option<String> {
        let Cipher::Hmac(hmac) = &self.cipher else {
            return None;
        };
        let token = self.at_source().then(|| hmac.sql(operand, ipad, opad))?;
        Some(match &self.collation {
            Some((schema, name)) => {
                format!("({token} COLLATE {}.{})", schema.quoted(), name.quoted())
            }
            None => token,
        })
    }

    /// The settings of the upstream session that hold the pads of [`TokenColumn::hmac_pads`], in
    /// hex: given in the startup packet, they stand in no statement's text, no log and no
    /// `pg_settings`, and RESET and DISCARD return to them. Those of every key: when the one in use is
    /// retired, sessions that have begun have the next. Empty for kinds without an SQL form.
    pub fn pad_settings(&self) -> Vec<(String, Zeroizing<String>)> {
        let hex = |pad: &[u8]| Zeroizing::new(data_encoding::HEXLOWER.encode(pad));
        let first = std::iter::once((&self.key, &self.cipher));
        let others = self.others.iter().map(|(key, cipher)| (key, cipher));
        let mut settings = Vec::new();
        if !self.at_source() {
            return settings;
        }
        for (key, cipher) in first.chain(others) {
            if let Cipher::Hmac(hmac) = cipher {
                let (ipad, opad) = hmac.pads();
                let [inner, outer] = self.pad_names(key);
                settings.extend([(inner, hex(&**ipad)), (outer, hex(&**opad))]);
            }
        }
        settings
    }

    /// Names of the two settings the token's SQL form reads now.
    pub fn pads_read(&self) -> Option<[String; 2]> {
        self.hmac_pads().map(|_| self.pad_names(&self.key))
    }

    /// Names of a key's two settings: of the key, the domain and the family, but not telling them. Who does not have
    /// the key cannot find them out, and so not ask for what they hold.
    fn pad_names(&self, key: &TokenKey) -> [String; 2] {
        let mut hash = Sha256::new();
        hash.update(key.bytes());
        for part in [key.id(), &self.domain, self.family.name()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let tag: String = data_encoding::HEXLOWER
            .encode(&hash.finalize())
            .chars()
            .take(24)
            .collect();
        [format!("pgveil.i{tag}"), format!("pgveil.o{tag}")]
    }

    /// The token as SQL over `operand`, its key read from [`TokenColumn::pad_settings`] once per
    /// statement. `None` for kinds without an SQL form.
    pub fn sql(&self, operand: &str) -> Option<String> {
        let [inner, outer] = self.pads_read()?;
        let pad = |name: &str| {
            format!(
                "(SELECT \"pg_catalog\".\"decode\"(\"pg_catalog\".\"current_setting\"('{name}'), 'hex'))"
            )
        };
        self.hmac_sql(operand, &pad(&inner), &pad(&outer))
    }

    /// The two bytea parameters of [`TokenColumn::hmac_sql`]: inner and outer pad. As secret as the
    /// key.
    pub fn hmac_pads(&self) -> Option<&HmacPads> {
        match &self.cipher {
            Cipher::Hmac(hmac) if self.at_source() => Some(hmac.pads()),
            _ => None,
        }
    }

    /// What stands for the column before anything else is done with it: NULL where a value has no
    /// token. `None` if every value has one.
    pub fn guarded_sql(&self, operand: &str) -> Option<String> {
        let fits = self.fits_sql(operand)?;
        Some(format!("CASE WHEN {fits} THEN {operand} END"))
    }

    /// Has a value a token? `None` if every value has one.
    pub fn fits_sql(&self, operand: &str) -> Option<String> {
        match &self.cipher {
            Cipher::Shaped(shaped) => Some(shaped.fits_sql(operand)),
            Cipher::Siv(_)
            | Cipher::Ff1Uuid(_)
            | Cipher::Ff1Integer(_)
            | Cipher::Hmac(_)
            | Cipher::Clear
            | Cipher::Masked(_) => None,
        }
    }

    /// Not every value has a token.
    pub fn is_guarded(&self) -> bool {
        matches!(self.cipher, Cipher::Shaped(_))
    }
}
