//! `--dsn`: a connection URL as libpq writes it, read into what the configuration would say.
//!
//! Deliberately absent: `key=value` strings, service files and every parameter but `sslmode` and
//! `sslrootcert`. An unknown parameter is an error, because ignoring one could ignore its TLS.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::server::config::{Login, Secret, TargetSession, Upstream, UpstreamTlsMode};

/// The upstream of a URL, and its database. Without a password in the URL, PGPASSWORD is taken.
pub(super) fn parse(url: &str) -> Result<(Upstream, String), String> {
    let mut found = read(url)?;
    let login = &mut found.0.catalog;
    if login.password.is_none() {
        login.password = std::env::var("PGPASSWORD").ok().map(Secret::new);
    }
    Ok(found)
}

fn read(url: &str) -> Result<(Upstream, String), String> {
    let rest = ["postgresql://", "postgres://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .ok_or("a URL like postgresql://user@host:5432/database is meant")?;
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, address) = authority
        .rsplit_once('@')
        .ok_or("it names no user: postgresql://user@host/database")?;
    let (user, password) = match user.split_once(':') {
        Some((user, password)) => (decoded(user)?, Some(Secret::new(decoded(password)?))),
        None => (decoded(user)?, None),
    };
    if user.is_empty() || address.is_empty() {
        return Err("it names no user or no host".to_owned());
    }
    let database = match decoded(database)? {
        none if none.is_empty() => user.clone(),
        named => named,
    };
    let mut upstream = Upstream {
        target: TargetSession::Any,
        connect_timeout: Upstream::CONNECT_TIMEOUT,
        check_interval: Upstream::CHECK_INTERVAL,
        addresses: vec![decoded(address)?],
        tls: UpstreamTlsMode::Prefer,
        ca: None,
        logins: BTreeMap::new(),
        catalog: Login { user, password },
    };
    for parameter in parameters.split('&').filter(|p| !p.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => upstream.tls = tls_mode(mode)?,
            Some(("sslrootcert", path)) => upstream.ca = Some(PathBuf::from(decoded(path)?)),
            _ => return Err("of parameters it may have sslmode and sslrootcert".to_owned()),
        }
    }
    Ok((upstream, database))
}

fn tls_mode(mode: &str) -> Result<UpstreamTlsMode, String> {
    Ok(match mode {
        "disable" => UpstreamTlsMode::Disable,
        "prefer" => UpstreamTlsMode::Prefer,
        "require" => UpstreamTlsMode::Require,
        "verify-ca" => UpstreamTlsMode::VerifyCa,
        "verify-full" => UpstreamTlsMode::VerifyFull,
        _ => {
            let known = "disable, prefer, require, verify-ca, verify-full";
            return Err(format!("sslmode is one of {known}"));
        }
    })
}

/// `%41` → `A`. What is wrong with it is said without quoting it: it may be a password.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
            match (digit(), digit()) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
                _ => None,
            }
            .ok_or("after % stand two hexadecimal digits")?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{UpstreamTlsMode, read};

    #[test]
    fn a_url_says_all_there_is() {
        let url = "postgres://a%40b:p%3Aw@[::1]:6000/my%20db?sslmode=verify-ca&sslrootcert=ca.crt";
        let Ok((upstream, database)) = read(url) else {
            panic!("not read");
        };
        assert_eq!(upstream.addresses, ["[::1]:6000"]);
        assert_eq!(upstream.catalog.user, "a@b");
        assert_eq!(
            upstream
                .catalog
                .password
                .map(|p| p.expose().to_owned())
                .as_deref(),
            Some("p:w")
        );
        assert_eq!(upstream.tls, UpstreamTlsMode::VerifyCa);
        assert_eq!(upstream.ca.as_deref(), Some(std::path::Path::new("ca.crt")));
        assert_eq!(database, "my db");
    }

    #[test]
    fn what_is_left_out_is_libpqs_default() {
        let Ok((upstream, database)) = read("postgresql://me@db") else {
            panic!("not read");
        };
        assert_eq!(upstream.addresses, ["db"]);
        assert!(upstream.catalog.password.is_none());
        assert_eq!(upstream.tls, UpstreamTlsMode::Prefer);
        assert_eq!(database, "me");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for url in [
            "",
            "mysql://me@db/x",
            "postgresql://db/x",
            "postgresql://@db/x",
            "postgresql://me@/x",
            "postgresql://me@db/x?sslmode=allow",
            "postgresql://me@db/x?options=-c",
            "postgresql://me:%4@db/x",
            "postgresql://me:%ff@db/x",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
