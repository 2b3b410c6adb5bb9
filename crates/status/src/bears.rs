//! How much more can be lost: of each thing by counting, and of the whole by asking what
//! each single loss would cost of what is left.

use std::collections::BTreeSet;

use engines::Seen;
use losses::{Fault, Left, Until, is_executor, losses_of};
use names::{HostName, ResourceId};
use render::{Desired, Kind};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::{Snapshot, Store, instances};

/// A thing that users need, and how many more losses of hosts it bears, whichever they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bears {
    /// `api`, `store`, `address` or `queues`.
    pub what: &'static str,
    /// Its name: a service, a resource, an address.
    pub name: String,
    /// How many more losses.
    pub losses: u32,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// How many of the members that serve can be lost, the heaviest first, while the rest is a
/// majority of all.
fn margin(all: u32, mut serving: Vec<u32>) -> u32 {
    serving.sort_unstable();
    let mut rest: u32 = serving.iter().sum();
    let mut lost = 0;
    while let Some(heaviest) = serving.pop() {
        rest -= heaviest;
        if rest * 2 <= all {
            break;
        }
        lost += 1;
    }
    lost
}

fn of_store(store: &Store, desired: &Desired, seen: &Seen<'_>) -> u32 {
    let wanted = desired.stores.iter().find(|s| s.resource == store.name);
    let weights = wanted.map(|s| engines::weights(s, seen)).unwrap_or_default();
    let counts = |host: &HostName| weights.get(host).copied().unwrap_or(1);
    let serving = store
        .members
        .iter()
        .filter(|m| m.healthy)
        .map(|m| counts(&m.host));
    margin(
        store.members.iter().map(|m| counts(&m.host)).sum(),
        serving.collect(),
    )
}

/// Members that the cluster can lose while it acts on what fails.
pub(crate) fn members(found: &Snapshot, left: &Left) -> u32 {
    let online = found.members.iter().filter(|m| m.state == "online").count();
    if left.held || !left.unproven.is_empty() {
        0
    } else {
        margin(number(found.members.len()), vec![1; online])
    }
}

/// How much more each API, address, store and set of queues bears; the cluster bears `cluster`.
pub(crate) fn bears(found: &Snapshot, desired: &Desired, seen: &Seen<'_>, cluster: u32) -> Vec<Bears> {
    let mut out = Vec::new();
    let stores: Vec<(&Store, u32)> = found
        .stores
        .iter()
        .map(|s| (s, of_store(s, desired, seen)))
        .collect();
    let sql = stores
        .iter()
        .find(|(s, _)| s.name == desired.sql_resource)
        .map(|(_, n)| *n);
    for api in &found.apis {
        let service = desired
            .apis
            .iter()
            .find(|a| a.name == api.service)
            .map(|a| &a.service);
        let keeps = service.is_some_and(|s| desired.needs.get(s).is_some_and(|n| n.database));
        let store = sql.filter(|_| keeps).unwrap_or(u32::MAX);
        let others = number(api.instances.len().saturating_sub(1));
        out.push(Bears {
            what: "api",
            name: api.service.clone(),
            losses: if api.ok { others.min(cluster).min(store) } else { 0 },
        });
    }
    for vip in &found.vips {
        out.push(Bears {
            what: "address",
            name: vip.address.clone(),
            losses: if vip.host.is_some() { cluster } else { 0 },
        });
    }
    out.dedup();
    for (store, losses) in stores {
        out.push(Bears {
            what: "store",
            name: store.name.to_string(),
            losses,
        });
        let wanted = desired.stores.iter().find(|s| s.resource == store.name);
        if let Some(queues) = wanted.and_then(|s| engines::queues_bear(s, seen)) {
            out.push(Bears {
                what: "queues",
                name: store.name.to_string(),
                losses: queues.min(losses),
            });
        }
    }
    out
}

/// The rest of the cloud, as far as it was seen. What was not seen serves nobody.
pub(crate) fn left(
    found: &Snapshot,
    desired: &Desired,
    observed: &crate::Observed,
    cluster: Option<&Cluster>,
) -> Left {
    let away = found.members.iter().filter(|m| m.state != "online");
    let beside = found.beside.iter().filter(|h| h.state == "unreachable");
    let seen = engines::seen(observed);
    let mut out = Left {
        away: away.chain(beside).map(|h| h.host.clone()).collect(),
        ..Left::default()
    };
    for part in &desired.parts {
        let store = found.stores.iter().find(|s| s.name == part.resource);
        let serving: Option<Vec<String>> = match store {
            Some(store) => {
                let healthy = store.members.iter().filter(|m| m.healthy);
                Some(healthy.map(|m| m.host.to_string()).collect())
            }
            None => instances::serving(desired, observed, &part.resource)
                .or_else(|| cluster.and_then(|c| c.serving(&part.resource))),
        };
        // What runs once only runs elsewhere on purpose.
        if let Some(serving) = serving.filter(|_| part.kind != Kind::Singleton) {
            let idle = part.hosts.iter().filter(|h| !serving.iter().any(|s| s == *h));
            out.out.insert(part.resource.clone(), idle.cloned().collect());
        }
    }
    for store in &desired.stores {
        out.weights
            .insert(store.resource.clone(), engines::weights(store, &seen));
    }
    if let Some(cluster) = cluster {
        out.held = cluster.is_held();
        out.unmanaged = cluster.unmanaged_ids();
        out.unproven = cluster.unproven(desired);
    }
    out
}

/// Single losses of a controller, or of a component on it, that would last until somebody
/// repairs them: a clause each, one for each thing that is lost.
pub(crate) fn fatal(desired: &Desired, left: &Left) -> Vec<String> {
    let mut seen: BTreeSet<(HostName, ResourceId)> = BTreeSet::new();
    let mut out = Vec::new();
    // What stands still is not gone; who notices it is told by the losses' own page.
    for loss in losses_of(desired, left, &[Fault::Power, Fault::Killed]) {
        if loss.worst != Until::Repaired {
            continue;
        }
        if !seen.insert((loss.host.clone(), loss.component.clone())) {
            continue;
        }
        let what = match loss.fault {
            Fault::Power => format!("{} loses its power", loss.host),
            Fault::Killed | Fault::Frozen => format!("{} ends on {}", loss.component, loss.host),
        };
        let why = loss.why.first().cloned().unwrap_or_default();
        out.push(format!("{what}: {why}"));
    }
    out
}

/// Hosts that run VMs.
pub(crate) fn executors(desired: &Desired) -> BTreeSet<&HostName> {
    let parts = desired.parts.iter().filter(|p| is_executor(p));
    parts.flat_map(|p| &p.hosts).collect()
}

/// A note on the hosts whose machines nobody starts elsewhere; none where there are none.
pub(crate) fn unprotected(desired: &Desired) -> Option<String> {
    let hosts = executors(desired);
    let names: Vec<&str> = hosts.iter().take(3).map(|h| h.as_str()).collect();
    let more = hosts.len().saturating_sub(names.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    (!names.is_empty()).then(|| format!("VMs on {}{more}: not protected", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::margin;

    #[test]
    fn the_heaviest_are_lost_first() {
        let check =
            |all, serving: &[u32], expect| assert_eq!(margin(all, serving.to_vec()), expect, "{serving:?}");
        check(3, &[1, 1, 1], 1);
        check(3, &[1, 1], 0);
        check(5, &[1, 1, 1, 1, 1], 2);
        check(5, &[1, 1, 1, 1], 1);
        check(1, &[1], 0);
        check(2, &[1, 1], 0);
        // Three members, of which one counts three times.
        check(5, &[3, 1, 1], 0);
        check(0, &[], 0);
    }
}
