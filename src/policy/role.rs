//! Role: whom the policy speaks about, and which clients act as which role.
//!
//! A session has exactly one role. Nothing here is first-match: two roles that fit refuse the
//! connection, because whichever we picked, somebody meant the other.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::bound::DefaultTreatment;
use super::error::{Faults, PolicyError};
use super::network::Network;
use super::read::{Fields, text, texts, word};
use super::settings::{self, SettingPattern};
use super::source::{Span, shown};
use super::time::{Date, date};
use super::yaml::{Key, Node};

/// A role's name.
pub type RoleName = Arc<str>;

/// `kind`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleKind {
    /// A person.
    Human,
    /// A program of ours.
    Service,
    /// Somebody else; needs `expires`.
    ThirdParty,
}

/// `mode`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Mask and refuse.
    Enforce,
    /// Log what would be masked or refused, change nothing.
    Observe,
}

pub(crate) const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("observe", Mode::Observe)];

/// What `unclassified_column` may say, of all roles or of one.
pub(crate) const DEFAULTS: &[(&str, DefaultTreatment)] = &[
    ("clear", DefaultTreatment::Clear),
    ("nullify", DefaultTreatment::Nullify),
    ("deny", DefaultTreatment::Deny),
];

/// One entry of `roles`.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// Where it is defined.
    pub span: Span,
    /// Who it is.
    pub kind: RoleKind,
    /// `mode`, if the role has its own.
    pub mode: Option<Mode>,
    /// `unclassified_column`, if the role has its own, and where that is said.
    pub unclassified: Option<(DefaultTreatment, Span)>,
    /// The last day (UTC) on which the role may connect.
    pub expires: Option<Date>,
    /// `console`: the role reads pgveil's own records and never data.
    pub console: bool,
    /// `settings`: custom settings the role may set and read.
    pub settings: Arc<[SettingPattern]>,
    pub(crate) matching: Match,
    /// Keys that are accepted but not enforced yet.
    pub(crate) unenforced: Vec<(&'static str, Span)>,
}

/// `match`: all that is given must hold; of a list, one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Match {
    pub(crate) logins: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) networks: Vec<Network>,
    pub(crate) certificates: Vec<String>,
}

/// What is known of a client once it has proved its login.
#[derive(Clone, Copy, Debug)]
pub struct ClientIdentity<'a> {
    /// The login it authenticated as.
    pub login: &'a str,
    /// The groups of that login; empty until groups are read from somewhere.
    pub groups: &'a [String],
    /// Where it connects from; `None` for a Unix socket.
    pub address: Option<IpAddr>,
    /// Common name of its verified TLS certificate.
    pub certificate: Option<&'a str>,
    /// Today, UTC.
    pub today: Date,
}

/// Why a client has no role. Displays for the log: a client is only told that it has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoleError {
    /// No role matches.
    None {
        /// The login.
        login: String,
    },
    /// More than one does.
    Ambiguous {
        /// The login.
        login: String,
        /// The roles, in order of name.
        roles: Vec<RoleName>,
    },
    /// The one that matches is over.
    Expired {
        /// The role.
        role: RoleName,
        /// Its last day.
        expires: Date,
    },
}

impl fmt::Display for RoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { login } => write!(f, "no role matches login \"{login}\""),
            Self::Ambiguous { login, roles } => {
                write!(
                    f,
                    "login \"{login}\" matches more than one role: {}",
                    roles.join(", ")
                )
            }
            Self::Expired { role, expires } => write!(f, "role \"{role}\" expired on {expires}"),
        }
    }
}

impl std::error::Error for RoleError {}

/// The one role a client acts as.
pub(super) fn role_for<'a>(
    roles: &'a BTreeMap<RoleName, Role>,
    client: &ClientIdentity<'_>,
) -> Result<&'a Role, RoleError> {
    let matching: Vec<&Role> = roles.values().filter(|r| r.matching.fits(client)).collect();
    match matching.as_slice() {
        [] => Err(RoleError::None {
            login: client.login.to_owned(),
        }),
        [role] => match role.expires {
            Some(expires) if client.today > expires => Err(RoleError::Expired {
                role: Arc::clone(&role.name),
                expires,
            }),
            _ => Ok(role),
        },
        many => Err(RoleError::Ambiguous {
            login: client.login.to_owned(),
            roles: many.iter().map(|r| Arc::clone(&r.name)).collect(),
        }),
    }
}

impl Match {
    fn fits(&self, client: &ClientIdentity<'_>) -> bool {
        let holds = |given: bool, fits: bool| !given || fits;
        let named = !self.logins.is_empty() || !self.groups.is_empty();
        named
            && holds(
                !self.logins.is_empty(),
                self.logins.iter().any(|l| l == client.login),
            )
            && holds(
                !self.groups.is_empty(),
                self.groups.iter().any(|g| client.groups.contains(g)),
            )
            && holds(
                !self.networks.is_empty(),
                client
                    .address
                    .is_some_and(|a| self.networks.iter().any(|n| n.contains(a))),
            )
            && holds(
                !self.certificates.is_empty(),
                client
                    .certificate
                    .is_some_and(|c| self.certificates.iter().any(|x| x == c)),
            )
    }

    /// Some client certainly fits both.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        let told_apart = !self.networks.is_empty() && !other.networks.is_empty()
            || !self.certificates.is_empty() && !other.certificates.is_empty()
            || !self.groups.is_empty() && !other.groups.is_empty();
        !told_apart && self.logins.iter().any(|l| other.logins.contains(l))
    }
}

/// Reads one entry of `roles`.
pub(super) fn read(key: &Key, node: &Node, faults: &mut Faults) -> Option<Role> {
    const KINDS: &[(&str, RoleKind)] = &[
        ("human", RoleKind::Human),
        ("service", RoleKind::Service),
        ("third_party", RoleKind::ThirdParty),
    ];
    let what = format!("role `{}`", shown(&key.text));
    let mut fields = Fields::open(node, &what, faults)?;
    let matching = fields
        .require("match", faults)
        .and_then(|n| read_match(n, &what, faults));
    let kind = fields
        .require("kind", faults)
        .and_then(|n| word(n, "kind", KINDS, faults));
    let mode = fields
        .take("mode")
        .and_then(|n| word(n, "mode", MODES, faults));
    let unclassified = fields.take("unclassified_column").and_then(|n| {
        let found = word(n, "unclassified_column", DEFAULTS, faults)?;
        Some((found, n.span.clone()))
    });
    let expires = fields.take("expires").map(|n| date(n, "expires", faults));
    let console = fields
        .take("console")
        .map(|n| word(n, "console", &[("audit", ())], faults));
    let settings = fields.take("settings").map(|n| settings::read(n, faults));
    let unenforced = read_unenforced(&mut fields, faults);
    fields.finish(faults);
    if kind == Some(RoleKind::ThirdParty) && expires.is_none() {
        faults.push(
            PolicyError::at(
                &key.span,
                format!("{what} is a third party and needs `expires`"),
            )
            .help("add the last day it may connect: `expires: 2027-03-31`"),
        );
    }
    Some(Role {
        name: Arc::from(key.text.as_str()),
        span: key.span.clone(),
        // A role is kept after an error, so that its name is not reported as unknown elsewhere.
        kind: kind.unwrap_or(RoleKind::Human),
        mode,
        unclassified,
        expires: expires.flatten(),
        console: console.is_some(),
        settings: settings.unwrap_or_default().into(),
        matching: matching.unwrap_or_default(),
        unenforced,
    })
}

/// Keys of the language that nothing acts on yet.
fn read_unenforced(fields: &mut Fields<'_>, faults: &mut Faults) -> Vec<(&'static str, Span)> {
    let mut found = Vec::new();
    let mut note = |key, node: &Node| found.push((key, node.span.clone()));
    if let Some(node) = fields.take("purposes") {
        texts(node, "a purpose", faults);
        note("purposes", node);
    }
    if let Some(node) = fields.take("hours") {
        text(node, "hours", faults);
        note("hours", node);
    }
    for key in ["ticket", "mfa"] {
        if let Some(node) = fields.take(key) {
            word(node, key, &[("required", ())], faults);
            note(key, node);
        }
    }
    if let Some(node) = fields.take("review_by") {
        date(node, "review_by", faults);
        note("review_by", node);
    }
    found
}

fn read_match(node: &Node, what: &str, faults: &mut Faults) -> Option<Match> {
    let mut fields = Fields::open(node, &format!("match of {what}"), faults)?;
    let mut strings = |key: &'static str, faults: &mut Faults| -> Vec<String> {
        let node = fields.take(key);
        let found = node.map(|n| texts(n, key, faults)).unwrap_or_default();
        if let Some(node) = node
            && found.is_empty()
        {
            // An empty list would match everybody where it was meant to match nobody.
            faults.at(&node.span, format!("{key} names nothing"));
        }
        found.into_iter().map(|(text, _)| text).collect()
    };
    let logins = strings("login", faults);
    let groups = strings("group", faults);
    let certificates = strings("tls_cert", faults);
    let networks = fields.take("cidr");
    fields.finish(faults);
    let networks = networks
        .map(|n| read_networks(n, faults))
        .unwrap_or_default();
    if logins.is_empty() && groups.is_empty() {
        faults.at(
            &node.span,
            format!("match of {what} needs a login or a group"),
        );
    }
    Some(Match {
        logins,
        groups,
        networks,
        certificates,
    })
}

fn read_networks(node: &Node, faults: &mut Faults) -> Vec<Network> {
    let written = texts(node, "a network", faults);
    if written.is_empty() {
        faults.at(&node.span, "cidr names nothing");
    }
    let mut networks = Vec::new();
    for (text, span) in written {
        match Network::parse(&text) {
            Some(network) => networks.push(network),
            None => faults.push(
                PolicyError::at(&span, format!("`{}` is not a network", shown(&text)))
                    .help("write it like 10.20.0.0/16, with host bits zero"),
            ),
        }
    }
    networks
}
