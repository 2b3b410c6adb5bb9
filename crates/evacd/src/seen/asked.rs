//! What the engine wishes to know of the cloud in its next rounds. Not for how it is asked.

use std::collections::BTreeSet;

use evac::{HostId, VmId};

/// Wishes of the last round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Hosts whose VMs and moves are wanted.
    pub(crate) hosts: BTreeSet<HostId>,
    /// VMs that are followed wherever they are.
    pub(crate) vms: BTreeSet<VmId>,
}

impl Wishes {
    /// True: something is under way, and answers are wanted at once.
    pub(crate) fn hurried(&self) -> bool {
        !self.hosts.is_empty() || !self.vms.is_empty()
    }
}
