//! Durable rows: what outlives the engine.
//!
//! Not for storing them: the hands write each row in one transaction that first compares
//! the epoch, so that the rows of an engine that was overtaken are rejected.

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, HostId, Name, VmId};

/// All rows, read in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Holder of the epoch; `None` before the first claim.
    pub leader: Option<Leader>,
    /// Hosts that are being recovered.
    pub intents: Vec<IntentRow>,
    /// Evacuations that were sent, or may have been.
    pub sent: Vec<SentRow>,
    /// Ages in ms of all intents that were opened within the policy's window, ended ones too.
    pub opened_ms: Vec<u64>,
    /// Milliseconds for which a person has released the brakes.
    pub released_ms: Option<u64>,
    /// A person has paused the engine.
    pub paused: bool,
    /// Deaths that a person has confirmed.
    pub confirmed: Vec<Confirmed>,
}

/// Holder of the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leader {
    /// Epoch: rises by one with each claim.
    pub epoch: u64,
    /// Controller that claimed it.
    pub controller: Name,
}

/// Death of one boot of one host, confirmed by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// The host.
    pub host: HostId,
    /// Boot that is dead; `None` where none was ever heard.
    pub boot: Option<BootId>,
}

/// Step that a host's recovery has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// To be cut off; heartbeats that come again end it.
    Fencing,
    /// Came back before its VMs were elsewhere; to be cut off again.
    Refencing,
    /// Proved dead; its VMs are evacuated.
    Evacuating,
    /// All VMs are elsewhere or given up; on its way back.
    Returning,
}

/// Proof that a host's guests have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// Power was read as off after our command.
    PowerOff {
        /// Device that said so.
        device: Name,
    },
    /// The armed hardware watchdog's time is over.
    Watchdog,
    /// Storage refuses the host; guests may still run, and the file allows it.
    Storage,
    /// A person confirmed this one death.
    Person,
}

/// Durable intent about one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The host.
    pub host: HostId,
    /// Boot that died; `None` where none was ever heard.
    pub boot: Option<BootId>,
    /// Epoch in which this row was written.
    pub epoch: u64,
    /// Step reached.
    pub phase: Phase,
    /// Reason, with numbers.
    pub why: String,
    /// Proof of death, from `Evacuating` on.
    pub proof: Option<Proof>,
    /// Reason that the host was disabled for before; it stays disabled for it afterwards.
    pub disabled_before: Option<String>,
}

/// Intent with the ages of its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentRow {
    /// The intent.
    pub intent: Intent,
    /// Milliseconds since its phase changed.
    pub phase_ms: u64,
    /// Milliseconds since it was opened.
    pub opened_ms: u64,
}

/// Evacuation that is to be sent: its row is written first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The VM; with the epoch the key of the row.
    pub vm: VmId,
    /// Epoch in which it is sent.
    pub epoch: u64,
    /// Host that died.
    pub host: HostId,
    /// Host that it is sent to.
    pub target: HostId,
    /// Highest number of a migration of this VM before; 0 without one.
    pub after: u64,
}

/// Nova's answer to an evacuation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// None yet, or lost: it may have been sent.
    Unknown,
    /// Accepted.
    Accepted,
    /// Certainly not done, with the reason: refused, or never sent.
    Refused(String),
}

/// Sent evacuation with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentRow {
    /// The evacuation.
    pub sent: Sent,
    /// Nova's answer.
    pub answer: Answer,
    /// Milliseconds since the row was written.
    pub age_ms: u64,
}
