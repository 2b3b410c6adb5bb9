//! The observation that a decision is made of: one value, read anew each round.
//!
//! Not for reading it: the hands do that, and say of each source that failed that it is
//! unknown. Ages are in milliseconds and were taken by a clock that no step can turn back.

use serde::{Deserialize, Serialize};
use wire::Fact;

use crate::ids::{BootId, HostId, Name, VmId};
use crate::nova::{Compute, ControlSeen, Migration, Room, Server};
use crate::rows::Store;

/// Everything that one decision is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The engine itself.
    pub engine: EngineSeen,
    /// Observers of heartbeats, one for each controller of the cloud file.
    pub observers: Vec<ObserverSeen>,
    /// Nova's own services.
    pub control: ControlSeen,
    /// Durable rows, read from the store in this round.
    pub store: Fact<Store>,
    /// VM hosts of the cloud file.
    pub hosts: Vec<HostSeen>,
    /// VMs that have a row in the store, each asked for by its UUID; `Absent` is deleted.
    pub followed: Vec<Followed>,
    /// Every open migration, and those of any status from or to hosts that have an intent.
    pub migrations: Fact<Vec<Migration>>,
}

/// State of the engine's own process and controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSeen {
    /// Controller that it runs on.
    pub controller: Name,
    /// Epoch that this process claimed; `None` before its first claim.
    pub held: Option<u64>,
    /// Quorum of the cluster, as this controller sees it.
    pub quorate: Fact<bool>,
    /// Milliseconds since the process began.
    pub running_ms: u64,
    /// Milliseconds by which this round began too late, clock steps included.
    pub late_ms: u64,
}

/// Freshness of one controller's table of heartbeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObserverSeen {
    /// Controller that observes.
    pub controller: Name,
    /// Milliseconds since its table was true; `None` when none was ever received.
    pub age_ms: Option<u64>,
    /// Milliseconds since the observer began: before, it can have heard nobody.
    pub running_ms: u64,
}

/// One VM host as all sources show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSeen {
    /// Name of the host.
    pub host: HostId,
    /// Rack or other domain of failure, from the cloud file.
    pub rack: Option<Name>,
    /// Aggregates that it is in.
    pub aggregates: Vec<Name>,
    /// Availability zone.
    pub zone: Option<Name>,
    /// Heartbeats and echoes: one entry for each observer and network.
    pub paths: Vec<PathSeen>,
    /// Newest authenticated words of the host about itself.
    pub says: Option<Says>,
    /// Its nova-compute, as Nova shows it.
    pub compute: Fact<Compute>,
    /// Liveness of its L2 agent or chassis.
    pub agent: Fact<bool>,
    /// Room that is left for VMs.
    pub room: Fact<Room>,
    /// All servers that Nova has on it; unknown where not asked or partial.
    pub servers: Fact<Vec<Server>>,
    /// Power, read in this round.
    pub power: Fact<Power>,
    /// Storage's refusal of this host, confirmed by the storage.
    pub storage_fenced: Fact<bool>,
    /// Hardware watchdog that the host said it has armed.
    pub watchdog: Option<Watchdog>,
    /// Milliseconds since its fence device was proved; absent when never.
    pub proved_ms: Fact<u64>,
    /// Milliseconds since the engine last restarted its nova-compute.
    pub restarted_ms: Option<u64>,
}

/// One observer's view of a host over one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathSeen {
    /// Controller that observes.
    pub observer: Name,
    /// Network that the heartbeat came over.
    pub network: Name,
    /// Milliseconds since the last authenticated heartbeat; `None` when none was heard yet.
    pub age_ms: Option<u64>,
    /// Boot id in that heartbeat.
    pub boot: Option<BootId>,
    /// Answer of the host's kernel.
    pub echo: Echo,
}

/// Answer of a host's kernel to a probe that needs no process there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Echo {
    /// The kernel answered.
    Answers,
    /// Nothing came within the limit.
    Silent,
    /// The host was not probed, or the probe failed here.
    Unknown,
}

/// State that a host tells in its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Says {
    /// Milliseconds since it said so.
    pub age_ms: u64,
    /// Boot id of the host then.
    pub boot: BootId,
    /// The shared instance storage does not answer there.
    pub storage_hangs: bool,
    /// The unit of nova-compute does not run.
    pub compute_dead: bool,
    /// A kernel dump is being written.
    pub kdump: bool,
}

/// Power state, read from a fence device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Power is on.
    pub on: bool,
    /// Epoch of this process's off command that came before the reading; `None` without one.
    pub after_off: Option<u64>,
    /// Device that answered.
    pub device: Name,
}

/// Hardware watchdog that ends the host when nobody feeds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// It was seen armed.
    pub armed: bool,
    /// Milliseconds after which it ends the host.
    pub timeout_ms: u64,
}

/// One VM that is followed by its UUID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    /// UUID of the VM.
    pub vm: VmId,
    /// The VM as Nova has it now; `Absent` is deleted.
    pub server: Fact<Server>,
}
