//! Audit: which VMs would come back elsewhere if their host died now, and why not the others.
//!
//! Not for a failure under way: it asks what would be, host by host, with all others alive.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use wire::Fact;

use crate::ids::{HostId, VmId};
use crate::nova::{Server, WhyNot};
use crate::seen::HostSeen;

/// Protection of one VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audited {
    /// The VM.
    pub vm: VmId,
    /// Its host.
    pub host: HostId,
    /// Reasons against protection; none means protected.
    pub why_not: Vec<WhyNot>,
}

/// Host that could take VMs, with the room that is left.
struct Free<'a> {
    host: &'a HostSeen,
    ram_mb: u64,
    vcpus: u64,
    taken: Vec<&'a Server>,
}

/// Protection of all VMs, in the order of their names; each host is thought lost alone.
pub fn audit(vms: &[Server], hosts: &[HostSeen]) -> Vec<Audited> {
    let mut by_host: Vec<&HostId> = vms.iter().map(|vm| &vm.host).collect();
    by_host.sort_unstable();
    by_host.dedup();
    let mut out: Vec<Audited> = by_host
        .into_iter()
        .flat_map(|host| lost(host, vms, hosts))
        .collect();
    out.sort_by(|a, b| a.vm.cmp(&b.vm));
    out
}

/// Protection of the VMs of one host, as if it were lost.
fn lost(host: &HostId, vms: &[Server], hosts: &[HostSeen]) -> Vec<Audited> {
    let mut own: Vec<&Server> = vms.iter().filter(|vm| vm.host == *host).collect();
    own.sort_by(|a, b| (Reverse(a.priority), &a.vm).cmp(&(Reverse(b.priority), &b.vm)));
    let mut free: Vec<Free<'_>> = hosts
        .iter()
        .filter(|h| h.host != *host)
        .filter_map(takes)
        .collect();
    let judged = own.into_iter().map(|vm| Audited {
        vm: vm.vm.clone(),
        host: host.clone(),
        why_not: why_not(vm, hosts, &mut free),
    });
    judged.collect()
}

/// Host that takes VMs now.
fn takes(host: &HostSeen) -> Option<Free<'_>> {
    let up = matches!(&host.compute, Fact::Known(c) if c.up && c.enabled && !c.forced_down);
    let room = host
        .room
        .known()
        .filter(|_| up && host.agent == Fact::Known(true))?;
    Some(Free {
        host,
        ram_mb: room.ram_mb,
        vcpus: room.vcpus,
        taken: Vec::new(),
    })
}

fn why_not<'a>(vm: &'a Server, hosts: &[HostSeen], free: &mut [Free<'a>]) -> Vec<WhyNot> {
    if !vm.unprotected.is_empty() {
        return vm.unprotected.clone();
    }
    let mut others = hosts.iter().filter(|host| host.host != vm.host);
    if vm.zone.is_some() && !others.any(|host| host.zone == vm.zone) {
        return vec![WhyNot::NoSecondHost];
    }
    let fitting = free.iter_mut().filter(|target| fits(target, vm));
    match fitting.max_by_key(|target| target.ram_mb) {
        Some(target) => {
            target.ram_mb -= vm.ram_mb;
            target.vcpus -= vm.vcpus;
            target.taken.push(vm);
            Vec::new()
        }
        None => vec![WhyNot::NoRoom],
    }
}

fn fits(target: &Free<'_>, vm: &Server) -> bool {
    let zone = vm.zone.is_none() || vm.zone == target.host.zone;
    let apart = vm.apart.as_ref().is_none_or(|apart| {
        let same = |other: &&Server| other.apart.as_ref().is_some_and(|o| o.group == apart.group);
        !apart.hosts.contains(&target.host.host) && !target.taken.iter().any(same)
    });
    zone && apart && target.ram_mb >= vm.ram_mb && target.vcpus >= vm.vcpus
}
