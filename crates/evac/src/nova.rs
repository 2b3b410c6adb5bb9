//! Nova's words, parsed: services, servers, migrations.
//!
//! Not for JSON: the hands parse it, and an answer with missing keys is unknown.

use serde::{Deserialize, Serialize};
use wire::Fact;

use crate::ids::{HostId, Name, VmId};

/// Wellness of the services that an evacuation needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlSeen {
    /// Milliseconds that the API took for its last answer.
    pub answer_ms: Fact<u64>,
    /// A scheduler is up.
    pub scheduler: Fact<bool>,
    /// A conductor is up.
    pub conductor: Fact<bool>,
}

/// One compute service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// UUID of the service.
    pub id: Name,
    /// Nova takes it for up.
    pub up: bool,
    /// It was forced down.
    pub forced_down: bool,
    /// New VMs may be placed there.
    pub enabled: bool,
    /// Reason that it is disabled for.
    pub reason: Option<String>,
    /// Milliseconds since its last report.
    pub report_ms: u64,
}

/// Room for VMs on a host, overcommit included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Memory in MB.
    pub ram_mb: u64,
    /// Virtual processors.
    pub vcpus: u64,
}

/// State of a VM in Nova's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VmState {
    /// It should run.
    Active,
    /// It was stopped.
    Stopped,
    /// Nova gave up on it.
    Error,
    /// A resize waits for its confirmation.
    Resized,
    /// Any other, in Nova's word.
    Other(String),
}

/// State of a VM's guest, as its host reported it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestPower {
    /// The guest runs.
    Running,
    /// The guest does not run.
    Shutdown,
    /// Nova has no word.
    Unknown,
}

/// Reason for which a VM is not evacuated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WhyNot {
    /// Its disk lies on its host alone.
    LocalDisk,
    /// It has a virtual TPM, with which Nova refuses to evacuate.
    Vtpm,
    /// It has a device or an accelerator of its host.
    Passthrough,
    /// It has shares, with which Nova refuses to evacuate.
    Shares,
    /// Its tags, flavor, image or metadata ask for no protection.
    NotAsked,
    /// No other host has room for it, in its zone and apart from its peers.
    NoRoom,
    /// Its zone has no second host.
    NoSecondHost,
    /// The source of one of the answers above did not answer.
    Unseen(String),
}

impl std::fmt::Display for WhyNot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = match self {
            Self::LocalDisk => "its disk lies on its host alone",
            Self::Vtpm => "it has a virtual TPM, with which Nova evacuates nothing",
            Self::Passthrough => "it has a device of its host",
            Self::Shares => "it has shares, with which Nova evacuates nothing",
            Self::NotAsked => "it does not ask for it",
            Self::NoRoom => "no other host has room for it, in its zone and apart from its peers",
            Self::NoSecondHost => "its zone has no second host",
            Self::Unseen(why) => why,
        };
        f.write_str(why)
    }
}

/// Place of a VM in the order of its restart group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name of the restart group.
    pub group: Name,
    /// Members with a lower number come back first.
    pub order: u32,
}

/// Anti-affinity of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apart {
    /// Name of the server group.
    pub group: Name,
    /// Hosts of its other members, and destinations of their open migrations.
    pub hosts: Vec<HostId>,
}

/// One VM in Nova's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// UUID of the VM.
    pub vm: VmId,
    /// Host that Nova has it on.
    pub host: HostId,
    /// State in the database.
    pub state: VmState,
    /// State of the guest.
    pub power: GuestPower,
    /// Task under way, in Nova's word.
    pub task: Option<String>,
    /// Reasons against protection; none means protected.
    pub unprotected: Vec<WhyNot>,
    /// Priority: higher comes back first.
    pub priority: i32,
    /// Place in a restart group.
    pub stage: Option<Stage>,
    /// Anti-affinity.
    pub apart: Option<Apart>,
    /// Zone that the VM asked for.
    pub zone: Option<Name>,
    /// Memory in MB.
    pub ram_mb: u64,
    /// Virtual processors.
    pub vcpus: u64,
    /// Restart on its own host is asked for.
    pub restart: bool,
    /// Milliseconds since the engine last restarted it.
    pub restarted_ms: Option<u64>,
}

/// Kind of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MigrationKind {
    /// Rebuilt elsewhere after its host died.
    Evacuation,
    /// Moved while it runs.
    Live,
    /// Cold migration or resize.
    Cold,
}

/// Progress of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Accepted or under way; also every word that is not known.
    Open,
    /// Rebuilt, and the source has not cleaned up yet.
    Done,
    /// Over.
    Completed,
    /// Failed or cancelled.
    Failed,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Number, rising.
    pub id: u64,
    /// The VM that moves.
    pub vm: VmId,
    /// Kind.
    pub kind: MigrationKind,
    /// Host that it leaves.
    pub source: HostId,
    /// Host that it goes to; `None` until the scheduler chose.
    pub dest: Option<HostId>,
    /// Progress.
    pub progress: Progress,
    /// Milliseconds since it was accepted.
    pub age_ms: u64,
}
