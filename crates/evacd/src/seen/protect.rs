//! A VM of the compute service as the decider takes it: what its owner asked for, and why it
//! could not be evacuated. Not for capacity and zones: those are judged with the hosts.
//!
//! Wishes of owners stand under one of the keys of [`Key`], at the VM (metadata, then tags
//! `KEY=VALUE`), else at its flavor's extra specs, its image's properties, or the aggregates of
//! its host.

use std::collections::BTreeMap;

use evac::{Apart, GuestPower, HostId, Name, Server, Stage, VmId, VmState, WhyNot};
use openstack::{Aggregate, ServerGroup};
use wire::Fact;

/// Keys that owners and administrators may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// `false`: not evacuated.
    Evacuate,
    /// A number; the higher, the sooner.
    Priority,
    /// Name of a restart group.
    Group,
    /// Place in the restart group; the lower, the sooner.
    Order,
    /// `true`: restarted on its own host when it failed.
    Restart,
}

impl Key {
    fn as_str(self) -> &'static str {
        match self {
            Self::Evacuate => "quorate:evacuate",
            Self::Priority => "quorate:priority",
            Self::Group => "quorate:restart_group",
            Self::Order => "quorate:restart_order",
            Self::Restart => "quorate:restart",
        }
    }
}

/// Facts besides the VM itself.
#[derive(Clone, Debug, Default)]
pub struct Asked<'a> {
    /// Aggregates of the cloud.
    pub aggregates: &'a [Aggregate],
    /// Server groups of the cloud.
    pub groups: &'a [ServerGroup],
    /// Hosts of VMs, as far as they are known.
    pub places: Option<&'a BTreeMap<String, String>>,
    /// True: disks of VMs lie on storage that all VM hosts share.
    pub shared_instances: bool,
}

/// The VM for the decider.
pub fn server(vm: &openstack::Server, asked: &Asked<'_>) -> Server {
    let word = |key| setting(vm, asked, key);
    let number = |fact: &Fact<u64>| fact.known().copied().unwrap_or(0);
    let order = word(Key::Order).and_then(|w| w.parse().ok()).unwrap_or(0);
    Server {
        vm: VmId::from(vm.id.as_str()),
        host: HostId::from(vm.host.known().map_or("none", String::as_str)),
        state: state(&vm.vm_state),
        power: match vm.power_state {
            Fact::Known(1) => GuestPower::Running,
            Fact::Known(4 | 6) => GuestPower::Shutdown,
            _ => GuestPower::Unknown,
        },
        task: match &vm.task_state {
            Fact::Known(task) => Some(task.clone()),
            Fact::Absent => None,
            Fact::Unknown(_) => Some("unknown".to_owned()),
        },
        unprotected: unprotected(vm, asked, word(Key::Evacuate).as_deref()),
        priority: word(Key::Priority).and_then(|w| w.parse().ok()).unwrap_or(0),
        stage: word(Key::Group).map(|group| Stage {
            group: Name::from(group),
            order,
        }),
        apart: apart(vm, asked),
        zone: asked_zone(vm).map(|zone| Name::from(zone.as_str())),
        ram_mb: number(&vm.flavor.ram_mib),
        vcpus: number(&vm.flavor.vcpus),
        restart: word(Key::Restart).is_some_and(|w| is_true(&w)),
        restarted_ms: None,
    }
}

/// Zone that binds the VM. An API that does not tell what it asked for leaves the one that it is in.
fn asked_zone(vm: &openstack::Server) -> Option<&String> {
    match &vm.asked_zone {
        Fact::Unknown(_) => vm.zone.known(),
        asked => asked.known(),
    }
}

fn state(word: &Fact<String>) -> VmState {
    match word {
        Fact::Known(word) => match word.as_str() {
            "active" => VmState::Active,
            "stopped" => VmState::Stopped,
            "error" => VmState::Error,
            "resized" => VmState::Resized,
            other => VmState::Other(other.to_owned()),
        },
        Fact::Absent | Fact::Unknown(_) => VmState::Other("unknown".to_owned()),
    }
}

fn unprotected(vm: &openstack::Server, asked: &Asked<'_>, evacuate: Option<&str>) -> Vec<WhyNot> {
    let mut why = Vec::new();
    if evacuate.is_some_and(|w| !is_true(w)) {
        why.push(WhyNot::NotAsked);
    }
    if !asked.shared_instances {
        match local_disk(vm) {
            Ok(true) => why.push(WhyNot::LocalDisk),
            Ok(false) => {}
            Err(reason) => why.push(WhyNot::Unseen(reason)),
        }
    }
    let Fact::Known(specs) = &vm.flavor.extra_specs else {
        why.push(WhyNot::Unseen("its flavor's extra specs are unknown".to_owned()));
        return why;
    };
    let image = image_properties(vm);
    let has = |key: &str, property: &str| {
        specs.contains_key(key) || image.is_some_and(|i| i.contains_key(property))
    };
    if has("hw:tpm_version", "hw_tpm_version") {
        why.push(WhyNot::Vtpm);
    }
    if specs.keys().any(|key| is_device(key)) {
        why.push(WhyNot::Passthrough);
    }
    why
}

/// True: part of the VM lies on its host's own disk.
fn local_disk(vm: &openstack::Server) -> Result<bool, String> {
    let from_image = match &vm.image {
        Fact::Known(_) => true,
        Fact::Absent => false,
        Fact::Unknown(why) => return Err(why.clone()),
    };
    match &vm.flavor.ephemeral_gib {
        Fact::Known(size) => Ok(from_image || *size > 0),
        Fact::Absent => Ok(from_image),
        Fact::Unknown(why) => Err(why.clone()),
    }
}

/// Extra specs that ask for a device of the host, or for an accelerator.
fn is_device(key: &str) -> bool {
    let resource = key.starts_with("resources") && key.contains(":VGPU");
    key.starts_with("pci_passthrough:") || key.starts_with("accel:") || resource
}

/// Other VMs that it is to be kept apart from. Where their hosts are not known the scheduler,
/// which knows them, still refuses a host that has one.
fn apart(vm: &openstack::Server, asked: &Asked<'_>) -> Option<Apart> {
    let strict = |g: &&ServerGroup| g.policy.known().is_some_and(|p| p == "anti-affinity");
    let mut groups = asked.groups.iter().filter(strict);
    let (group, members) = groups.find_map(|group| {
        let members = group.members.known()?;
        members.contains(&vm.id).then_some((group, members))
    })?;
    let others = members.iter().filter(|m| **m != vm.id);
    let mut hosts: Vec<HostId> = others
        .filter_map(|member| asked.places?.get(member).map(|host| HostId::from(host.as_str())))
        .collect();
    hosts.sort();
    hosts.dedup();
    Some(Apart {
        group: Name::from(group.id.as_str()),
        hosts,
    })
}

/// Value of a key, nearest to the VM first.
fn setting(vm: &openstack::Server, asked: &Asked<'_>, key: Key) -> Option<String> {
    let key = key.as_str();
    let tag = || {
        let tags = vm.tags.known()?;
        tags.iter()
            .find_map(|tag| tag.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
    };
    let of_map = |map: Option<&BTreeMap<String, String>>| map.and_then(|m| m.get(key).cloned());
    let aggregate = || {
        let host = vm.host.known()?;
        let on_host = |a: &&Aggregate| a.hosts.known().is_some_and(|hosts| hosts.contains(host));
        asked
            .aggregates
            .iter()
            .filter(on_host)
            .find_map(|a| of_map(a.metadata.known()))
    };
    of_map(vm.metadata.known())
        .or_else(tag)
        .or_else(|| of_map(vm.flavor.extra_specs.known()))
        .or_else(|| of_map(image_properties(vm)))
        .or_else(aggregate)
}

fn image_properties(vm: &openstack::Server) -> Option<&BTreeMap<String, String>> {
    vm.image.known()?.properties.known()
}

fn is_true(word: &str) -> bool {
    ["true", "yes", "1", "on"]
        .iter()
        .any(|w| word.eq_ignore_ascii_case(w))
}

#[cfg(test)]
#[path = "protect_tests.rs"]
mod tests;
