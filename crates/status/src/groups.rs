//! Remaining losses by group of hosts: databases, brokers, APIs, VMs. Not for single
//! services, which `bears` counts.

use std::collections::BTreeSet;

use names::HostName;
use render::Desired;
use serde::Serialize;

use crate::bears::{executors, unprotected};
use crate::{Bears, Snapshot};

/// Hosts with the same work, and how many more of them can be lost, whichever they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// `databases`, `brokers`, `API hosts` or `VM hosts`.
    pub name: &'static str,
    /// Hosts in the group.
    pub hosts: usize,
    /// Further losses until the group's work stops. VM hosts: until none takes a VM.
    pub losses: u32,
    /// The work of a lost host is done elsewhere.
    pub moves: bool,
}

/// Fewest losses that things of a kind bear.
fn fewest<'a>(of: impl Iterator<Item = &'a Bears>) -> Option<u32> {
    of.map(|b| b.losses).min()
}

/// Groups that the cloud has; `cluster` is the number of members that it can lose.
pub(crate) fn groups(found: &Snapshot, desired: &Desired, bears: &[Bears], cluster: u32) -> Vec<Group> {
    let group = |name, hosts: BTreeSet<&HostName>, losses: Option<u32>| {
        Some(Group {
            name,
            hosts: hosts.len(),
            losses: losses?.min(cluster),
            moves: true,
        })
    };
    let stores = |sql: bool| {
        let all = found.stores.iter();
        let ours: Vec<_> = all.filter(|s| (s.name == desired.sql_resource) == sql).collect();
        let hosts = ours.iter().flat_map(|s| &s.members).map(|m| &m.host);
        let count = bears.iter().filter(|b| ["store", "queues"].contains(&b.what));
        let losses = fewest(count.filter(|b| ours.iter().any(|s| s.name == *b.name)));
        (hosts.collect(), losses)
    };
    let (databases, sql) = stores(true);
    let (brokers, queues) = stores(false);
    let apis = desired.apis.iter().flat_map(|a| &a.members).collect();
    let answers = fewest(bears.iter().filter(|b| b.what == "api"));
    let mut out: Vec<Group> = [
        group("databases", databases, sql),
        group("brokers", brokers, queues),
        group("API hosts", apis, answers),
    ]
    .into_iter()
    .flatten()
    .collect();
    out.extend(of_machines(found, desired));
    out
}

/// The hosts of VMs; none where there are none.
fn of_machines(found: &Snapshot, desired: &Desired) -> Option<Group> {
    let hosts = executors(desired);
    let all = found.members.iter().chain(&found.beside);
    let up = all.filter(|h| matches!(h.state.as_str(), "online" | "up"));
    let up = up.filter(|h| hosts.contains(&h.host)).count();
    (!hosts.is_empty()).then(|| Group {
        name: "VM hosts",
        hosts: hosts.len(),
        losses: u32::try_from(up.saturating_sub(1)).unwrap_or(u32::MAX),
        moves: unprotected(desired).is_none(),
    })
}
