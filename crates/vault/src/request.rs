//! What secrets can be asked for, and how each is made.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;

use crate::random::Source;
use crate::{Entry, Error, Facts, Vault, certificate};

/// A secret that there must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    /// Its name, a path of words: `shop/database`. A certificate's is without
    /// its ending: `tls/c1` makes `tls/c1.crt` and `tls/c1.key`.
    pub name: String,
    /// How it is made.
    pub kind: SecretKind,
}

impl SecretRequest {
    /// A request.
    pub fn new(name: impl Into<String>, kind: SecretKind) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

/// How a secret is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// Letters and digits: no file format needs to escape them.
    Password {
        /// How many; 22 have 128 bits.
        length: usize,
    },
    /// Random bytes as hex digits.
    Hex {
        /// How many bytes.
        bytes: usize,
    },
    /// Random bytes in base64 with `+`, `/` and padding.
    Base64 {
        /// How many bytes.
        bytes: usize,
    },
    /// Random bytes in base64 with `-`, `_` and padding, as Fernet keys are.
    UrlBase64 {
        /// How many bytes.
        bytes: usize,
    },
    /// A random UUID.
    Uuid,
    /// A certificate authority of ten years: `NAME.crt` and `NAME.key`.
    CaCert {
        /// Whose it is.
        common_name: String,
    },
    /// A certificate for servers and clients: `NAME.crt` and `NAME.key`.
    Leaf {
        /// The authority's name, without its ending.
        ca: String,
        /// Whose it is.
        common_name: String,
        /// Host names that it is good for.
        names: Vec<String>,
        /// Addresses that it is good for.
        ips: Vec<IpAddr>,
        /// How long it is good.
        days: u32,
    },
}

impl SecretKind {
    fn word(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Hex { .. } => "hex",
            Self::Base64 { .. } => "base64",
            Self::UrlBase64 { .. } => "url-base64",
            Self::Uuid => "uuid",
            Self::CaCert { .. } => "ca",
            Self::Leaf { .. } => "leaf",
        }
    }
}

/// The entries to be added or replaced for a request; none if all is well.
pub(crate) fn make(
    vault: &Vault,
    request: &SecretRequest,
    now: Timestamp,
) -> Result<Vec<(String, Entry)>, Error> {
    let pair = match &request.kind {
        SecretKind::CaCert { common_name } => certificate::authority(vault, &request.name, common_name, now)?,
        SecretKind::Leaf {
            ca,
            common_name,
            names,
            ips,
            days,
        } => {
            let wanted = certificate::Wanted {
                ca,
                common_name,
                names,
                ips,
                days: *days,
            };
            certificate::leaf(vault, &request.name, &wanted, now)?
        }
        _ if vault.get(&request.name).is_some() => return Ok(Vec::new()),
        kind => {
            let value = plain(vault, &request.name, kind)?;
            let facts = Facts {
                kind: kind.word().to_owned(),
                created: now,
                certificate: None,
            };
            return Ok(vec![(
                request.name.clone(),
                Entry {
                    facts,
                    value: value.into(),
                },
            )]);
        }
    };
    let Some(pair) = pair else {
        return Ok(Vec::new());
    };
    let kind = request.kind.word();
    let facts = Facts {
        kind: kind.to_owned(),
        created: now,
        certificate: Some(pair.issued),
    };
    let certificate = Entry {
        facts,
        value: pair.certificate.into(),
    };
    let facts = Facts {
        kind: format!("{kind}-key"),
        created: now,
        certificate: None,
    };
    let key = Entry {
        facts,
        value: pair.key.into(),
    };
    Ok(vec![
        (format!("{}.crt", request.name), certificate),
        (format!("{}.key", request.name), key),
    ])
}

/// A secret without structure.
fn plain(vault: &Vault, name: &str, kind: &SecretKind) -> Result<String, Error> {
    let mut source = Source::new(vault.seed, name);
    let mut bytes = |count: usize| -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut bytes = Zeroizing::new(vec![0; count]);
        source.fill(&mut bytes)?;
        Ok(bytes)
    };
    Ok(match kind {
        SecretKind::Hex { bytes: count } => {
            bytes(*count)?.iter().fold(String::new(), |mut out, b| {
                // A String never refuses to be written to.
                let _ = write!(out, "{b:02x}");
                out
            })
        }
        SecretKind::Base64 { bytes: count } => BASE64_STANDARD.encode(&*bytes(*count)?),
        SecretKind::UrlBase64 { bytes: count } => BASE64_URL_SAFE.encode(&*bytes(*count)?),
        SecretKind::Password { length } => source.alphanumeric(*length)?,
        SecretKind::Uuid | SecretKind::CaCert { .. } | SecretKind::Leaf { .. } => {
            let mut id = [0; 16];
            source.fill(&mut id)?;
            uuid::Builder::from_random_bytes(id).into_uuid().to_string()
        }
    })
}
