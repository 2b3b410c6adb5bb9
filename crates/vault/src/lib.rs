//! Secrets at rest and the cloud's own certificate authority.
//!
//! A vault is one armored age file, `.quorate/NAME/vault.age`, with a JSON map
//! from name to secret inside; `age -d -i KEY vault.age` reads it when quorate
//! cannot. Secrets are made once, on request, and kept.
//!
//! This crate does not decide which secrets there are (the catalogue does) nor
//! where they go (`fleet` does, with [`Vault::fill`]). It may not talk to the
//! network. A vault that is missing is never made anew by itself: over a cloud
//! that exists, new secrets would lock everybody out, so the caller must say
//! [`Vault::create`].

mod certificate;
mod error;
mod keys;
mod lock;
mod random;
mod request;
mod scrub;
mod seal;
mod version;

use std::collections::BTreeMap;
use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::zeroize::Zeroizing;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use jiff::Timestamp;
pub use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use error::Error;
pub use keys::{identities, recipients};
pub use lock::Lock;
pub use request::{SecretKind, SecretRequest};
pub use scrub::{HIDDEN, Scrubber};
pub use seal::{Sealing, seal, unseal};
pub use version::{Known, MARKS, VERSION, Version};

/// The secret that keys digests of contents, so that digests on hosts tell
/// nothing about the secrets within.
pub const DIGEST_KEY: &str = "vault/digest-key";

/// The entry of the file that holds the saves, which is no secret.
const SAVES: &str = "vault/saves";

const OPEN: &str = "⟦secret:";
const CLOSE: char = '⟧';

/// What is known of a secret besides its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    pub(crate) kind: String,
    pub(crate) created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<certificate::Issued>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) facts: Facts,
    pub(crate) value: SecretString,
}

/// An entry in the file. Unknown keys are refused: they would be lost when saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kind: String,
    created: Timestamp,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<certificate::Issued>,
}

/// A cloud's secrets, in memory; [`Vault::save`] writes them.
#[derive(Debug)]
pub struct Vault {
    path: Utf8PathBuf,
    recipients: Vec<String>,
    entries: BTreeMap<String, Entry>,
    /// Saves that changed a secret, the newest last.
    saves: Vec<Version>,
    author: String,
    seed: Option<u64>,
    changed: bool,
}

impl Vault {
    /// Opens a vault with the first of the identity files that fits.
    ///
    /// Identity files hold age identities or an SSH key without passphrase; see
    /// [`identities`] for the usual ones.
    pub fn open(path: &Utf8Path, identity: &[Utf8PathBuf]) -> Result<Self, Error> {
        let armored = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Missing {
                    path: path.to_owned(),
                });
            }
            Err(e) => return Err(e.into()),
        };
        let recipients = keys::known_recipients(path)?;
        Self::parse(path, &armored, identity, recipients)
    }

    /// The same from the content of a vault that lies elsewhere, such as in a
    /// backup: to read only, since nobody is known to save it for. `path` is what
    /// it is called in errors.
    pub fn read(path: &Utf8Path, armored: &[u8], identity: &[Utf8PathBuf]) -> Result<Self, Error> {
        Self::parse(path, armored, identity, Vec::new())
    }

    fn parse(
        path: &Utf8Path,
        armored: &[u8],
        identity: &[Utf8PathBuf],
        recipients: Vec<String>,
    ) -> Result<Self, Error> {
        let plain = decrypt(path, armored, identity, &recipients)?;
        let mut stored: BTreeMap<String, Stored> = serde_json::from_slice(&plain)
            // serde_json's message may quote the content: only the place is told.
            .map_err(|e| {
                Error::corrupt(
                    path,
                    format!("line {} of the content is not as expected", e.line()),
                )
            })?;
        let saves = match stored.remove(SAVES) {
            Some(saves) => serde_json::from_str(&saves.value)
                .map_err(|_| Error::corrupt(path, format!("`{SAVES}` is not as expected")))?,
            None => Vec::new(),
        };
        let entries = stored.into_iter().map(|(name, s)| {
            let facts = Facts {
                kind: s.kind,
                created: s.created,
                certificate: s.certificate,
            };
            (
                name,
                Entry {
                    facts,
                    value: s.value.into(),
                },
            )
        });
        let mut vault = Self {
            path: path.to_owned(),
            recipients,
            entries: entries.collect(),
            saves,
            author: String::new(),
            seed: None,
            changed: false,
        };
        vault.count();
        Ok(vault)
    }

    /// A new, empty vault for these recipients; nothing is written until
    /// [`Vault::save`]. Refuses if there is a vault already.
    pub fn create(path: &Utf8Path, recipients: &[String]) -> Result<Self, Error> {
        if path.try_exists()? {
            return Err(Error::Exists {
                path: path.to_owned(),
            });
        }
        keys::parse_recipients(recipients)?; // better now than after the secrets are in use
        Ok(Self {
            path: path.to_owned(),
            recipients: recipients.to_vec(),
            entries: BTreeMap::new(),
            saves: Vec::new(),
            author: String::new(),
            seed: None,
            changed: true,
        })
    }

    /// Writes the vault: all of it or nothing, and durable before this returns.
    pub fn save(&mut self) -> Result<(), Error> {
        let now = Timestamp::now();
        self.counted(now);
        let mut stored: BTreeMap<&str, Stored> = (self.entries.iter())
            .map(|(name, e)| (name.as_str(), store(e)))
            .collect();
        let saves = Stored {
            kind: "saves".to_owned(),
            created: now,
            value: serde_json::to_string(&self.saves).map_err(std::io::Error::from)?,
            certificate: None,
        };
        stored.insert(SAVES, saves);
        let mut plain = Zeroizing::new(Vec::new());
        serde_json::to_writer_pretty(&mut *plain, &stored).map_err(std::io::Error::from)?;
        for (_, mut s) in stored {
            secrecy::zeroize::Zeroize::zeroize(&mut s.value);
        }
        let mut sealed = Vec::new();
        let armor = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor)?;
        let mut writer = seal(&self.recipients, armor)?;
        writer.write_all(&plain)?;
        writer.finish()?.finish()?;
        replace(&self.path, &sealed)?;
        self.changed = false;
        Ok(())
    }

    /// Whether there is something to save.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Makes all that is generated from now on follow from a number: for tests
    /// only. Certificates stay different: their signatures are random.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = Some(seed);
    }

    /// Makes the secrets that are not there yet and gives the names of those made.
    ///
    /// What is there is kept, whatever its kind. A certificate is made again when
    /// it no longer covers the names and addresses asked for, when its authority
    /// has changed, and when less than a third of its time is left.
    pub fn ensure(&mut self, requests: &[SecretRequest], now: Timestamp) -> Result<Vec<String>, Error> {
        let digest = SecretRequest::new(DIGEST_KEY, SecretKind::Hex { bytes: 32 });
        let mut made = Vec::new();
        // Authorities first: a leaf may be asked for before its own.
        let (cas, others): (Vec<_>, Vec<_>) = std::iter::once(&digest)
            .chain(requests)
            .partition(|r| matches!(r.kind, SecretKind::CaCert { .. }));
        for request in cas.into_iter().chain(others) {
            for (name, entry) in request::make(self, request, now)? {
                check_name(&name)?;
                made.push(name.clone());
                self.entries.insert(name, entry);
                self.changed = true;
            }
        }
        Ok(made)
    }

    /// A secret's value.
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.entries.get(name).map(|e| &e.value)
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// When a secret was made.
    pub fn created(&self, name: &str) -> Option<Timestamp> {
        self.entries.get(name).map(|e| e.facts.created)
    }

    /// True of the certificate of an authority that this vault made.
    pub fn is_authority(&self, name: &str) -> bool {
        (self.entries.get(name)).is_some_and(|entry| entry.facts.kind == "ca")
    }

    /// When a certificate that this vault issued expires.
    pub fn expires(&self, name: &str) -> Option<Timestamp> {
        self.entries
            .get(name)
            .and_then(|e| e.facts.certificate.as_ref())
            .map(|c| c.expires)
    }

    /// When a certificate that this vault issued, an authority's too, is to be made again:
    /// a third of its time before it expires, as [`Vault::ensure`] does with leaves.
    pub fn renewal(&self, name: &str) -> Option<Timestamp> {
        let issued = self.entries.get(name)?.facts.certificate.as_ref()?;
        Some(certificate::renewal(issued))
    }

    /// Puts a secret from elsewhere in, over one of the same name.
    pub fn import(&mut self, name: &str, value: SecretString, now: Timestamp) -> Result<(), Error> {
        check_name(name)?;
        let facts = Facts {
            kind: "imported".to_owned(),
            created: now,
            certificate: None,
        };
        self.entries.insert(name.to_owned(), Entry { facts, value });
        self.changed = true;
        Ok(())
    }

    /// Takes a secret over from another vault, with all that is known of it.
    /// Whether it is another one now.
    pub fn adopt(&mut self, from: &Self, name: &str) -> bool {
        let Some(entry) = from.entries.get(name) else {
            return false;
        };
        let same = |mine: &Entry| mine.value.expose_secret() == entry.value.expose_secret();
        if self.entries.get(name).is_some_and(same) {
            return false;
        }
        self.entries.insert(name.to_owned(), entry.clone());
        self.changed = true;
        true
    }

    /// Who can read the vault.
    pub fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// Forgets a secret, so that the next [`Vault::ensure`] makes another.
    pub fn remove(&mut self, name: &str) -> bool {
        let removed = self.entries.remove(name).is_some();
        self.changed |= removed;
        removed
    }

    /// Renames a secret, over one of the new name.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(entry) = self.entries.remove(from) else {
            return false;
        };
        self.entries.insert(to.to_owned(), entry);
        self.changed = true;
        true
    }

    /// The key for digests of contents. There is one after the first [`Vault::ensure`].
    pub fn digest_key(&self) -> Result<[u8; 32], Error> {
        let value = self.get(DIGEST_KEY).ok_or_else(|| Error::Unknown {
            name: DIGEST_KEY.to_owned(),
        })?;
        // Not the hex digits themselves: an imported value may be of any length.
        Ok(blake3::derive_key(
            "quorate digest key v1",
            value.expose_secret().as_bytes(),
        ))
    }

    /// Replaces every `⟦secret:NAME⟧` by its value.
    pub fn fill(&self, text: &str) -> Result<String, Error> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (name, tail) = after
                .split_once(CLOSE)
                .ok_or_else(|| Error::open_placeholder(after))?;
            out.push_str(before);
            rest = tail;
            if name == VERSION {
                out.push_str(&self.version_text());
                continue;
            }
            let value = self.get(name).ok_or_else(|| Error::Unknown {
                name: name.to_owned(),
            })?;
            out.push_str(value.expose_secret());
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The text that [`Vault::fill`] replaces by a secret.
pub fn placeholder(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// The names of the secrets that a text refers to, in order, with repeats.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split(OPEN)
        .skip(1)
        .filter_map(|after| after.split_once(CLOSE))
        .map(|(name, _)| name)
}

fn store(entry: &Entry) -> Stored {
    Stored {
        kind: entry.facts.kind.clone(),
        created: entry.facts.created,
        value: entry.value.expose_secret().to_owned(),
        certificate: entry.facts.certificate.clone(),
    }
}

/// Names are paths of words: they stand in placeholders and in messages.
fn check_name(name: &str) -> Result<(), Error> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name
        .split('/')
        .all(|part| !part.is_empty() && part.chars().all(good))
    {
        return Ok(());
    }
    Err(Error::BadName {
        name: name.to_owned(),
    })
}

fn decrypt(
    path: &Utf8Path,
    armored: &[u8],
    identity: &[Utf8PathBuf],
    recipients: &[String],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut reader = seal::open(path, ArmoredReader::new(armored), identity, recipients)?;
    let mut plain = Zeroizing::new(Vec::new());
    reader
        .read_to_end(&mut plain)
        .map_err(|e| Error::corrupt(path, e.to_string()))?;
    Ok(plain)
}

/// Writes beside and renames over: a reader and a power cut see the old file or
/// the new one, whole.
fn replace(path: &Utf8Path, content: &[u8]) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_str().is_empty() => folder,
        _ => Utf8Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".vault-").tempfile_in(folder)?; // mode 0600
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    fs::File::open(folder)?.sync_all()?; // the rename itself
    Ok(())
}
