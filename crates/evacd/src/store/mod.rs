//! The engine's durable rows: what may be asked of them, whatever keeps them. Not for what
//! follows from a row.

mod ages;
#[cfg(test)]
pub(crate) mod memory;
mod schema;
mod sql;

use std::collections::BTreeMap;

use evac::{Answer, BootId, HostId, Intent, Sent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use sql::SqlStore;

/// Why rows could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another engine holds the epoch: nothing was written.
    #[error("another engine has taken over: epoch {0} is no longer ours")]
    Overtaken(u64),
    /// The database failed; a change may or may not have been written.
    #[error("{0}")]
    Failed(String),
}

/// `Result` of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// All rows of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Rows that decisions are made of.
    pub store: evac::Store,
    /// Proofs of fence devices, by host and device: age in ms.
    pub proofs: BTreeMap<HostId, BTreeMap<String, u64>>,
}

/// A recovery of one host from its beginning, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Its number.
    pub id: u64,
    /// The host.
    pub host: String,
    /// Boot that died.
    pub boot: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; none: it goes on.
    pub ended: Option<Timestamp>,
    /// Reason that it began for.
    pub why: String,
    /// How it ended.
    pub outcome: Option<String>,
}

/// A step of a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it was taken.
    pub at: Timestamp,
    /// Epoch of the engine.
    pub epoch: u64,
    /// Phase that it leads to.
    pub phase: String,
    /// Reason, with numbers.
    pub why: String,
}

/// A VM that was sent elsewhere in a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The VM.
    pub vm: String,
    /// Host that it was sent to.
    pub target: String,
    /// When it was sent.
    pub at: Timestamp,
    /// Answer of the API.
    pub answer: Answer,
}

/// A word of a person that the engine heeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Brakes are released.
    Release,
    /// Nothing is done.
    Pause,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Pause => "pause",
        }
    }
}

/// Rows as the engine reads and writes them. Each write is one transaction that comes about
/// only while the epoch is the writer's.
pub trait Store: Send + Sync {
    /// All rows; openings that are older than `window_ms` are left out.
    fn read(&self, window_ms: u64) -> impl Future<Output = Result<Rows>> + Send;

    /// Raises the epoch by one if it still is `above`; the new one.
    fn claim(&self, controller: &str, above: u64) -> impl Future<Output = Result<u64>> + Send;

    /// Writes an intent under its epoch; the first of a host opens a recovery.
    fn write(&self, intent: &Intent) -> impl Future<Output = Result<()>> + Send;

    /// Ends a host's recovery: its intent, its sent rows and the deaths confirmed of it go.
    fn forget(&self, epoch: u64, host: &HostId, why: &str) -> impl Future<Output = Result<()>> + Send;

    /// Inserts the row of an evacuation under its epoch; false if there is one already, or if
    /// its host is no longer being evacuated.
    fn insert(&self, sent: &Sent) -> impl Future<Output = Result<bool>> + Send;

    /// Keeps the answer to an evacuation.
    fn answer(&self, sent: &Sent, answer: &Answer) -> impl Future<Output = Result<()>> + Send;

    /// A host's intent, if it has one and the epoch is still ours.
    fn intent(&self, epoch: u64, host: &HostId) -> impl Future<Output = Result<Option<Intent>>> + Send;
}

/// Rows that people write and read: no epoch is asked for.
pub trait People: Send + Sync {
    /// Puts a person's word in force for a time, or takes it back.
    fn say(&self, word: Word, ms: Option<u64>, by: &str) -> impl Future<Output = Result<()>> + Send;

    /// Keeps a person's word that this boot of a host is dead.
    fn confirm(
        &self,
        host: &HostId,
        boot: Option<&BootId>,
        by: &str,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Keeps the proof of a device, dated now.
    fn prove(&self, host: &HostId, device: &str, by: &str) -> impl Future<Output = Result<()>> + Send;

    /// Recoveries, newest first.
    fn recoveries(&self, most: u32) -> impl Future<Output = Result<Vec<Recovery>>> + Send;

    /// Steps and VMs of a recovery.
    fn recovery(&self, id: u64) -> impl Future<Output = Result<(Vec<Step>, Vec<Moved>)>> + Send;
}
