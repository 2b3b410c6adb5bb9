//! Wishes of the engine: facts of the cloud for its next rounds. Not for how they are asked.

use std::collections::BTreeSet;

use evac::{HostId, VmId};

/// Wishes of the last round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Hosts whose VMs and moves are wanted.
    pub(crate) hosts: BTreeSet<HostId>,
    /// VMs that are followed wherever they are.
    pub(crate) vms: BTreeSet<VmId>,
    /// Hosts that are drained: asked about too, without hurry.
    pub(crate) drained: BTreeSet<HostId>,
}

impl Wishes {
    /// True: something is under way, and answers are wanted at once.
    pub(crate) fn hurried(&self) -> bool {
        !self.hosts.is_empty() || !self.vms.is_empty()
    }

    /// True: there is somebody to ask about.
    pub(crate) fn any(&self) -> bool {
        self.hurried() || !self.drained.is_empty()
    }

    /// All hosts that are asked about.
    pub(crate) fn all_hosts(&self) -> BTreeSet<&HostId> {
        self.hosts.iter().chain(&self.drained).collect()
    }
}
