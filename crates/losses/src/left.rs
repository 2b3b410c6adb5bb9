//! The rest of a cloud at a moment, for those who ask what the next loss costs then.
//!
//! Instances that do not serve cannot be lost any more, and help nobody; what the cluster
//! does not act on stays where it is lost. Majorities are of all members, also of those
//! that are away.

use std::collections::{BTreeMap, BTreeSet};

use names::{HostName, ResourceId};
use render::{Desired, DesiredPart, Kind, UnitRun, Watched};

/// Deviations of a cloud from its design. The default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Hosts that are away.
    pub away: BTreeSet<HostName>,
    /// Hosts on which an instance does not serve, by resource.
    pub out: BTreeMap<ResourceId, BTreeSet<HostName>>,
    /// How much members count in a majority, by resource and host; else once.
    pub weights: BTreeMap<ResourceId, BTreeMap<HostName, u32>>,
    /// Resources on which the cluster does not act.
    pub unmanaged: BTreeSet<ResourceId>,
    /// An order by which the cluster acts on nothing.
    pub held: bool,
    /// Hosts whose death nobody could prove.
    pub unproven: BTreeSet<HostName>,
}

/// True if a component does on its host what the control plane says, such as to run VMs:
/// what it has goes with the host, unless somebody protects it.
pub fn is_executor(part: &DesiredPart) -> bool {
    part.kind == Kind::PerHost && matches!(part.watched, Watched::Connected(_))
}

impl Left {
    /// True if an instance of a resource serves on a host.
    fn has(&self, resource: &str, host: &str) -> bool {
        !self.away.contains(host) && !self.out.get(resource).is_some_and(|hosts| hosts.contains(host))
    }

    /// True if members are still a majority of all of them without one more.
    pub(crate) fn keeps_majority(&self, resource: &str, members: &[&str], lost: &str) -> bool {
        let weights = self.weights.get(resource);
        let counts = |host: &str| weights.and_then(|w| w.get(host)).copied().unwrap_or(1);
        let all: u32 = members.iter().map(|m| counts(m)).sum();
        let rest = members.iter().filter(|m| **m != lost && self.has(resource, m));
        rest.map(|m| counts(m)).sum::<u32>() * 2 > all
    }

    /// Why what a host had stays away when it is lost; nothing where the cluster acts.
    pub(crate) fn stays(&self, host: &str) -> Option<&'static str> {
        if self.held {
            return Some("the cluster is held by an order, and starts nothing elsewhere");
        }
        self.unproven
            .contains(host)
            .then_some("nobody can prove that the host is dead, so nothing of it is started elsewhere")
    }

    /// The cloud without what does not serve, and without what only does what the control
    /// plane says: its losses are counted apart. Files of hosts are left out.
    pub(crate) fn of(&self, desired: &Desired) -> Desired {
        let hosts = desired.hosts.keys().filter(|h| !self.away.contains(*h));
        let mut balanced = desired.balanced.clone();
        for section in &mut balanced {
            section.members.retain(|m| self.has(&section.resource, m));
        }
        Desired {
            hosts: hosts
                .map(|h| (h.clone(), render::DesiredHost::default()))
                .collect(),
            nodes: desired.nodes.clone(),
            cib: desired.cib.clone(),
            elsewhere: desired.elsewhere.clone(),
            vips: desired.vips.clone(),
            stores: desired.stores.clone(),
            apis: desired.apis.clone(),
            journeys: desired.journeys.clone(),
            balanced,
            balancers: desired.balancers.clone(),
            sql_resource: desired.sql_resource.clone(),
            services: desired.services.clone(),
            parts: (desired.parts.iter())
                .filter(|p| !is_executor(p))
                .map(|p| self.part(p))
                .collect(),
            needs: desired.needs.clone(),
            budget: desired.budget.clone(),
            ..Desired::default()
        }
    }

    fn part(&self, part: &DesiredPart) -> DesiredPart {
        let mut out = part.clone();
        out.hosts.retain(|host| self.has(&part.resource, host));
        if part.run == UnitRun::Cluster && (self.held || self.unmanaged.contains(&part.resource)) {
            out.run = UnitRun::Nobody;
        }
        out
    }
}
