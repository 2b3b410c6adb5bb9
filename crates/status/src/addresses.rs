//! Virtual addresses: who has each, by the hosts' own account.

use names::HostName;
use render::{Desired, DesiredVip};
use wire::Address;

use crate::cluster::Cluster;
use crate::{Observed, Problem, Vip};

/// Hosts that have an address, each with the address as it has it.
fn holders<'a>(
    observed: &'a Observed,
    address: &'a str,
) -> impl Iterator<Item = (&'a HostName, &'a Address)> {
    observed.iter().filter_map(move |(host, facts)| {
        let facts = facts.as_ref().ok()?;
        let found = facts.addresses.iter().find(|a| a.address == *address)?;
        Some((host, found))
    })
}

pub(crate) fn vips(desired: &Desired, observed: &Observed) -> Vec<Vip> {
    let all = desired.vips.iter();
    all.map(|v| Vip {
        service: v.service.clone(),
        address: v.address.clone(),
        host: holders(observed, &v.address).next().map(|(h, _)| h.clone()),
        home: v.home.clone(),
    })
    .collect()
}

/// Addresses that several hosts have, or nobody.
pub(crate) fn problems(desired: &Desired, observed: &Observed, cluster: Option<&Cluster>) -> Vec<Problem> {
    let all = desired.vips.iter();
    all.filter_map(|vip| problem(vip, desired, observed, cluster))
        .collect()
}

fn problem(
    vip: &DesiredVip,
    desired: &Desired,
    observed: &Observed,
    cluster: Option<&Cluster>,
) -> Option<Problem> {
    let found: Vec<(&HostName, &Address)> = holders(observed, &vip.address).collect();
    let (address, service) = (vip.address.clone(), vip.service.clone());
    match found.as_slice() {
        [_] => None,
        [] => {
            let members = desired.nodes.iter().map(|(n, _)| n);
            let unseen = members.filter(|n| observed.get(*n).is_none_or(Result::is_err));
            Some(Problem::AddressMissing {
                address,
                service,
                unseen: unseen.cloned().collect(),
            })
        }
        all => {
            let runs = cluster.map(|c| c.monitor.nodes_of(&vip.resource, "Started"));
            let runs = runs.unwrap_or_default();
            let others = all.iter().filter(|(host, _)| !runs.contains(&host.as_str()));
            let cures = others.filter(|_| runs.len() == 1).map(|(host, a)| {
                format!(
                    "on {host}: `ip address del {}/{} dev {}`",
                    a.address, a.prefix, a.interface
                )
            });
            Some(Problem::AddressTwice {
                address,
                service,
                holders: all.iter().map(|(host, _)| (*host).clone()).collect(),
                cures: cures.collect(),
            })
        }
    }
}
