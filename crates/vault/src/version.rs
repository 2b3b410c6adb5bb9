//! The version of a vault: a counter of the saves that changed a secret, and the digest
//! of each, so that an older copy and one that went its own way are told apart.
//!
//! Hosts keep the version that wrote them last. It holds no secret, and only who has a
//! copy of the vault can make one, so a host cannot invent a version.

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::{DIGEST_KEY, Entry, Vault};

/// Name under which texts refer to the version of the vault that fills them.
pub const VERSION: &str = "vault/version";
/// Names that begin with it are marks of the operator's machine, no secrets.
pub const MARKS: &str = "upkeep/";
/// Number of saves that a vault remembers.
const REMEMBERED: usize = 500;

/// One save that changed a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Number of such saves, this one included.
    pub counter: u64,
    /// Keyed digest of all secrets.
    digest: String,
    /// Author of the save: `user@machine`; empty where not known.
    pub by: String,
    /// Time of the save; none where not known.
    pub at: Option<Timestamp>,
}

/// Relation of a version that a host knows to a copy of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The copy's own version, or one before it.
    Ours,
    /// A later one: the copy is older than the hosts.
    Newer(Version),
    /// Another change of the same earlier version: the copy and the hosts' went apart.
    Apart(Version),
    /// No version that this vault's key has made.
    Foreign,
}

fn hash(context: &str, key: &str, parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key(context, key.as_bytes()));
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

impl Version {
    /// The words that stand on hosts, without their proof.
    fn words(&self) -> String {
        let at = self.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let by = if self.by.is_empty() { "-" } else { &self.by };
        format!("{} {} {at} {by}", self.counter, self.digest)
    }

    /// The next version after `last` of these contents.
    fn after(last: Option<&Self>, digest: String, by: String, at: Option<Timestamp>) -> Self {
        Self {
            counter: last.map_or(0, |v| v.counter) + 1,
            digest,
            by,
            at,
        }
    }

    fn parse(words: &str) -> Option<Self> {
        let mut all = words.splitn(4, ' ');
        let (counter, digest, at, by) = (all.next()?, all.next()?, all.next()?, all.next()?);
        Some(Self {
            counter: counter.parse().ok()?,
            digest: digest.to_owned(),
            by: if by == "-" { "" } else { by }.to_owned(),
            at: at.parse().ok(),
        })
    }
}

impl Vault {
    fn key(&self) -> &str {
        self.entries
            .get(DIGEST_KEY)
            .map_or("", |e| e.value.expose_secret())
    }

    /// Keyed digest of every secret by name.
    fn contents(&self) -> String {
        let secrets = self.entries.iter().filter(|(name, _)| !name.starts_with(MARKS));
        let parts: Vec<&[u8]> = secrets
            .flat_map(|(name, e): (&String, &Entry)| [name.as_bytes(), e.value.expose_secret().as_bytes()])
            .collect();
        hash("quorate vault contents v1", self.key(), &parts)
    }

    fn proof(&self, words: &str) -> String {
        hash("quorate vault version v1", self.key(), &[words.as_bytes()])
    }

    /// The version of what is in memory; the next one where it is not saved yet.
    pub fn version(&self) -> Version {
        let (last, now) = (self.saves.last(), self.contents());
        match last {
            Some(last) if last.digest == now => last.clone(),
            _ => Version::after(last, now, String::new(), None),
        }
    }

    /// The text that hosts keep of [`Vault::version`].
    pub fn version_text(&self) -> String {
        let words = self.version().words();
        format!("{} {words}", self.proof(&words))
    }

    /// Compares this copy with the text that a host keeps.
    pub fn compare(&self, text: &str) -> Known {
        let Some((proof, words)) = text.trim().split_once(' ') else {
            return Known::Foreign;
        };
        let Some(theirs) = Version::parse(words).filter(|_| proof == self.proof(words)) else {
            return Known::Foreign;
        };
        if let Some(mine) = self.saves.iter().find(|v| v.counter == theirs.counter) {
            return if mine.digest == theirs.digest {
                Known::Ours
            } else {
                Known::Apart(theirs)
            };
        }
        match self.saves.last() {
            Some(last) if last.counter > theirs.counter => Known::Ours, // forgotten meanwhile
            _ => Known::Newer(theirs),
        }
    }

    /// Names the author of the saves to come: `user@machine`.
    pub fn set_author(&mut self, by: &str) {
        self.author = by.split_whitespace().collect::<Vec<_>>().join("-");
    }

    /// Has the next save count on from `theirs`, which this copy does not hold: its
    /// secrets are given up.
    pub fn pass(&mut self, theirs: &Version) {
        self.saves.retain(|v| v.counter < theirs.counter);
        self.saves.push(theirs.clone());
        self.changed = true;
    }

    /// Begins the count of a vault that was made before there was one.
    pub(crate) fn count(&mut self) {
        if self.saves.is_empty() && !self.entries.is_empty() {
            self.saves = vec![Version::after(None, self.contents(), String::new(), None)];
        }
    }

    /// Counts a save where a secret changed since the last one.
    pub(crate) fn counted(&mut self, now: Timestamp) {
        let (last, contents) = (self.saves.last(), self.contents());
        if last.is_some_and(|last| last.digest == contents) {
            return;
        }
        let next = Version::after(last, contents, self.author.clone(), Some(now));
        self.saves.push(next);
        let surplus = self.saves.len().saturating_sub(REMEMBERED);
        self.saves.drain(..surplus);
    }
}
