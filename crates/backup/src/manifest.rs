//! What a backup says of itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Raised when a backup of an older form cannot be read any more.
pub const FORMAT: u32 = 1;

/// The databases, as SQL, compressed with gzip.
pub const DATABASES: &str = "databases.sql.gz";
/// The cluster manager's configuration. For people: it is made from the cloud file.
pub const CIB: &str = "cib.xml";
/// The vault as it lay beside the cloud file, encrypted by itself.
pub const VAULT: &str = "vault.age";
/// The cloud file.
pub const CLOUD_FILE: &str = "cloud.yaml";

/// A file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// blake3 of its content, hex.
    pub blake3: String,
}

impl Part {
    /// The part of a content that is at hand.
    pub fn of(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            size: content.len() as u64,
            blake3: blake3::hash(content).to_hex().to_string(),
        }
    }
}

/// Where in the store's history the databases were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The history's id.
    pub uuid: String,
    /// Everything up to this is in it.
    pub from: u64,
    /// Nothing after this is.
    pub to: u64,
}

/// The first file of a backup. Keys that are not known are refused: they would
/// be of a newer quorate, and may matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the quorate that made it.
    pub quorate: String,
    /// The cloud's name.
    pub cloud: String,
    /// The cloud's id, from its vault.
    pub id: String,
    /// The generation of its model.
    pub generation: String,
    /// OpenStack's release.
    pub release: String,
    /// The distribution of its hosts.
    pub distribution: String,
    /// Its region.
    pub region: String,
    /// When it was begun.
    pub at: Timestamp,
    /// The member that the databases were read from; empty without databases.
    pub member: String,
    /// Where in its history; none without databases.
    pub position: Option<Position>,
    /// Databases, by name.
    pub databases: Vec<String>,
    /// All other files, in their order.
    pub parts: Vec<Part>,
}

impl Manifest {
    /// What it is written as.
    pub(crate) fn text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The backup's own id, 64 characters: no two are the same, since it follows
    /// from all hashes and the time.
    ///
    /// # Errors
    /// None in practice: the manifest is plain data.
    pub fn backup_id(&self) -> Result<String, serde_json::Error> {
        Ok(blake3::hash(&self.text()?).to_hex().to_string())
    }

    /// A part by its name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|p| p.name == name)
    }
}
