//! The policy: numbers and rules that the cloud file sets.
//!
//! Not for reading the file: these are the resolved values, with defaults for each.

use serde::{Deserialize, Serialize};

use crate::ids::{HostId, Name};

/// Response to the loss of networks of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Nothing is done.
    Nothing,
    /// It is told.
    Tell,
    /// No new VMs are placed there until the network is back.
    Disable,
    /// The host is fenced and its VMs are evacuated.
    Fence,
}

/// Response to the loss of exactly these networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Networks that are lost together.
    pub lost: Vec<Name>,
    /// Response to it.
    pub then: Response,
}

/// All numbers and rules of the engine; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Age of a heartbeat from which its path counts as silent.
    pub suspect_ms: u64,
    /// Silence on every network after which a host is fenced.
    pub fence_ms: u64,
    /// Time after its start in which an observer without heartbeats of a host knows nothing.
    pub unheard_ms: u64,
    /// Age of an observer's table from which it no longer counts.
    pub observer_ms: u64,
    /// Responses to losses of some networks; of all networks it is always to fence.
    pub losses: Vec<Loss>,
    /// Response to losses that no entry names.
    pub other_losses: Response,
    /// Lateness of a round from which the engine takes its own ages for wrong.
    pub late_ms: u64,
    /// Time after its start in which the engine only looks.
    pub settle_ms: u64,
    /// Age of a fence proof from which a host is unproved.
    pub proof_ms: u64,
    /// Hosts for which a storage fence alone is proof of death; guests may still run there.
    pub storage_alone: Vec<HostId>,
    /// Time beyond a watchdog's own before its host is taken for ended.
    pub watchdog_margin_ms: u64,
    /// Longest wait for a kernel dump.
    pub kdump_ms: u64,
    /// Share of all hosts, in per cent, that may be lost at once.
    pub hosts_percent: u64,
    /// Share of one rack's or aggregate's hosts, in per cent, that may be lost at once.
    pub domain_percent: u64,
    /// Hosts that may be fenced within `rate_ms`.
    pub rate_hosts: u64,
    /// Window of `rate_hosts`.
    pub rate_ms: u64,
    /// Share of all hosts, in per cent, whose silence within `cliff_ms` is the observers' fault.
    pub cliff_percent: u64,
    /// Window of `cliff_percent`.
    pub cliff_ms: u64,
    /// Share of all hosts, in per cent, whose storage hangs at once when it is the storage's fault.
    pub storage_percent: u64,
    /// Time of an API's answer from which the control plane is unwell.
    pub slow_ms: u64,
    /// Longest time in which a request that was sent may still arrive.
    pub in_flight_ms: u64,
    /// Age of an open evacuation from which it is left to a person.
    pub stuck_ms: u64,
    /// Evacuations under way at once; fewer while the API is slow.
    pub at_once: u64,
    /// Evacuations under way to one target at once.
    pub per_target: u64,
    /// Evacuations of one VM that may fail before it is given up.
    pub tries: u64,
    /// Longest wait for room on other hosts.
    pub room_ms: u64,
    /// Longest wait for a host that was powered on.
    pub boot_ms: u64,
    /// Shortest time between two restarts of a host's nova-compute.
    pub compute_again_ms: u64,
    /// Shortest time between two restarts of a VM on its own host.
    pub vm_again_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            suspect_ms: 1_000,
            fence_ms: 2_500,
            unheard_ms: 60_000,
            observer_ms: 1_500,
            losses: Vec::new(),
            other_losses: Response::Tell,
            late_ms: 1_500,
            settle_ms: 1_500,
            proof_ms: 90 * 86_400_000,
            storage_alone: Vec::new(),
            watchdog_margin_ms: 5_000,
            kdump_ms: 120_000,
            hosts_percent: 50,
            domain_percent: 67,
            rate_hosts: 5,
            rate_ms: 600_000,
            cliff_percent: 50,
            cliff_ms: 2_000,
            storage_percent: 34,
            slow_ms: 5_000,
            in_flight_ms: 60_000,
            stuck_ms: 900_000,
            at_once: 8,
            per_target: 4,
            tries: 3,
            room_ms: 300_000,
            boot_ms: 600_000,
            compute_again_ms: 30_000,
            vm_again_ms: 300_000,
        }
    }
}
