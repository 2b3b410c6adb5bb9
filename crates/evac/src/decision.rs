//! The decision: acts to do now, and verdicts with their numbers.
//!
//! Not for doing acts: the hands do them, each at most once at a time, and what came of it
//! is seen in the next round. Every act may be done again.

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, HostId, Name, VmId};
use crate::rows::{Intent, Sent};

/// Acts and verdicts of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Reason for which the engine does nothing at all.
    pub idle: Option<String>,
    /// Acts, in the order in which they are begun.
    pub acts: Vec<Act>,
    /// Hosts whose servers, migrations and power are wanted in the next round.
    pub look: Vec<HostId>,
    /// Hosts that are not plainly well.
    pub hosts: Vec<HostVerdict>,
    /// VMs of hosts that died, each with its next step.
    pub vms: Vec<VmVerdict>,
    /// Brakes that hold something back.
    pub brakes: Vec<BrakeVerdict>,
}

/// One act of the hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Raise the epoch by one, if it is still `above`, and hold it.
    Claim {
        /// Epoch that the store has now; 0 for none.
        above: u64,
        /// Reason.
        why: String,
    },
    /// End the process: another engine holds the epoch.
    StandDown {
        /// Reason.
        why: String,
    },
    /// Write the intent, if the epoch is still ours.
    Write(Intent),
    /// Delete the host's intent and its sent rows, if the epoch is still ours.
    Forget {
        /// The host.
        host: HostId,
        /// Reason.
        why: String,
    },
    /// Cut the host's power; the intent is read again, in the same epoch, just before.
    PowerOff {
        /// The host.
        host: HostId,
        /// Boot that is to end.
        boot: Option<BootId>,
    },
    /// Have the storage refuse the host.
    FenceStorage {
        /// The host.
        host: HostId,
    },
    /// Have the storage take the host again.
    AllowStorage {
        /// The host.
        host: HostId,
    },
    /// Tell Nova in one call that the host is down, disabled, and why.
    MarkDown {
        /// The host.
        host: HostId,
        /// UUID of its compute service.
        service: Name,
        /// Reason for Nova's record.
        reason: String,
    },
    /// Have Nova place no new VMs there.
    Disable {
        /// The host.
        host: HostId,
        /// UUID of its compute service.
        service: Name,
        /// Reason for Nova's record.
        reason: String,
    },
    /// Insert the row, and send only if the insert was new, in our epoch, and just committed.
    Evacuate(Sent),
    /// Switch the host on.
    PowerOn {
        /// The host.
        host: HostId,
    },
    /// Restart nova-compute on a live host.
    RestartCompute {
        /// The host.
        host: HostId,
    },
    /// Start a VM again on its own live host.
    RestartVm {
        /// The VM.
        vm: VmId,
        /// Its host.
        host: HostId,
    },
    /// Take `forced_down` away.
    ForceUp {
        /// The host.
        host: HostId,
        /// UUID of its compute service.
        service: Name,
    },
    /// Have Nova place VMs there again, or name the reason from before against it.
    Enable {
        /// The host.
        host: HostId,
        /// UUID of its compute service.
        service: Name,
        /// Reason that it stays disabled for.
        stays_disabled: Option<String>,
    },
    /// Message to people; each key is told once until it is absent for a round.
    Tell {
        /// Key of the message.
        key: String,
        /// Message.
        message: String,
    },
}

/// State of a host in the engine's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostIs {
    /// It cannot be judged.
    Unjudged,
    /// Some of its paths are silent, or it tells of trouble.
    Ailing,
    /// Silent on every network, not long enough yet.
    Suspected,
    /// Dead by all signs, and held back.
    Held,
    /// Under an intent.
    Recovering,
}

/// Verdict on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostVerdict {
    /// The host.
    pub host: HostId,
    /// Its state.
    pub is: HostIs,
    /// Reason, with numbers.
    pub why: String,
}

/// Next step of one VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VmStep {
    /// Sent in this round.
    Sent,
    /// Under way, or waiting.
    Waits,
    /// Runs elsewhere, or was deleted.
    Elsewhere,
    /// Left where it is.
    GivenUp,
}

/// Verdict on one VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmVerdict {
    /// The VM.
    pub vm: VmId,
    /// Host that died under it.
    pub host: HostId,
    /// Next step.
    pub step: VmStep,
    /// Reason, with numbers.
    pub why: String,
}

/// Name of a brake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Brake {
    /// Too large a share of all hosts.
    Fraction,
    /// Too large a share of one rack.
    Rack,
    /// Too large a share of one aggregate.
    Aggregate,
    /// Too many within the window.
    Rate,
    /// Too many at the same moment.
    Cliff,
    /// Observers or engine doubt themselves.
    SelfDoubt,
    /// Nova's control plane is unwell.
    Unwell,
    /// The storage is gone for many hosts.
    StorageGone,
    /// A kernel dump is under way.
    Kdump,
    /// The fence device was not proved, or too long ago.
    Unproved,
}

/// Verdict of one brake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrakeVerdict {
    /// The brake.
    pub brake: Brake,
    /// A person's release of it is in force.
    pub released: bool,
    /// Reason, with numbers.
    pub why: String,
}
