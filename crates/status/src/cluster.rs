//! The cluster as a whole: whether it may act on what fails, and whether it does so as
//! planned. Properties are judged by their value in force, whichever set has it.

use std::collections::{BTreeMap, BTreeSet};

use names::{HostName, ResourceId};
use pacemaker::{GUARDED, HOLDS, LiveCib, Monitor, Property, Resource, same_value};
use render::Desired;
use wire::{Answer, Fact, Facts};

use crate::{Observed, Problem};

/// The cluster as one member told it.
pub(crate) struct Cluster {
    pub(crate) monitor: Monitor,
    /// Properties in force; empty where the member did not tell its CIB.
    properties: BTreeMap<String, Property>,
    /// The member's partition has quorum by votequorum, or else by its configuration.
    had_quorum: bool,
}

impl Cluster {
    /// The cluster as a member of a quorate partition sees it, or else as any member does.
    pub(crate) fn seen(observed: &Observed) -> Option<Self> {
        let mut any = None;
        for facts in observed.values().flatten() {
            let Some(monitor) = facts.cluster.known().cloned() else {
                continue;
            };
            let cib = facts.cib.known();
            let quorate = monitor.quorate;
            let found = Self {
                monitor,
                properties: cib.map(|c| c.properties().clone()).unwrap_or_default(),
                had_quorum: voted(facts).unwrap_or_else(|| cib.is_some_and(LiveCib::had_quorum)),
            };
            if quorate {
                return Some(found);
            }
            any.get_or_insert(found);
        }
        any
    }

    /// The value in force of a property: as the running cluster tells it, else as its
    /// configuration has it.
    fn value(&self, name: &str) -> Option<&str> {
        let told = self.monitor.options.get(name);
        let told = told.or_else(|| self.properties.get(name).map(|p| &p.value));
        told.map(String::as_str)
    }

    fn sets(&self, name: &str) -> Vec<String> {
        self.properties
            .get(name)
            .map(|p| p.sets.clone())
            .unwrap_or_default()
    }

    /// Why the partition that was seen acts on nothing; nothing where it has quorum.
    pub(crate) fn quorum(&self) -> Option<Problem> {
        // A controller tells of quorum, and between two of them there is none.
        let electing = self.monitor.dc.is_none() && self.had_quorum;
        (!self.monitor.quorate).then_some(if electing {
            Problem::Electing
        } else {
            Problem::NoQuorum
        })
    }

    /// A member on which commands for the cluster can be said.
    fn speaker(&self) -> String {
        let online = self.monitor.online().map(|n| n.name.clone());
        online.min().unwrap_or_default()
    }

    /// Orders of an operator by which the cluster, or it on one member, acts on nothing.
    pub(crate) fn orders(&self) -> Vec<Problem> {
        let held = HOLDS.iter().filter(|(name, good)| {
            let value = self.value(name);
            value.is_some_and(|value| !same_value(value, good))
        });
        let whole = held.map(|(name, _)| Problem::Held {
            name: (*name).to_owned(),
            sets: self.sets(name),
            on: self.speaker(),
        });
        let nodes = self.monitor.nodes.iter().filter(|n| n.maintenance);
        let nodes = nodes.map(|n| Problem::NodeHeld { host: n.name.clone() });
        whole.chain(nodes).collect()
    }

    /// Properties in force with another value than planned.
    pub(crate) fn properties(&self, desired: &Desired) -> Vec<Problem> {
        if self.properties.is_empty() && self.monitor.options.is_empty() {
            return Vec::new();
        }
        let ours = &desired.cib.properties;
        let guarded = GUARDED.iter().filter(|(name, _)| !ours.contains_key(*name));
        // What nobody sets has its default, which is what is wanted.
        let guarded = guarded.map(|(name, want)| (*name, *want, Some(*want)));
        let wanted = ours
            .iter()
            .map(|(name, want)| (name.as_str(), want.as_str(), None));
        let mut out = Vec::new();
        for (name, want, default) in wanted.chain(guarded) {
            let have = match self.value(name).or(default) {
                Some(have) if same_value(have, want) => continue,
                Some(have) => have,
                // The member did not tell its configuration: not seen is not otherwise.
                None if self.properties.is_empty() => continue,
                None => "",
            };
            out.push(if name == "stonith-enabled" && same_value(have, "false") {
                Problem::Unfenced {
                    sets: self.sets(name),
                }
            } else {
                Problem::Property {
                    name: name.to_owned(),
                    have: have.to_owned(),
                    want: want.to_owned(),
                }
            });
        }
        out
    }

    /// Resources on which the cluster does not act, but for those that an order to all of
    /// them, or to their member, explains.
    pub(crate) fn unmanaged(&self) -> Vec<Problem> {
        if HOLDS
            .iter()
            .any(|(name, good)| self.value(name).is_some_and(|v| !same_value(v, good)))
        {
            return Vec::new();
        }
        let held = |node: &str| self.monitor.nodes.iter().any(|n| n.name == node && n.maintenance);
        let mut out: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for resource in self.monitor.resources.iter().filter(|r| !r.managed) {
            if resource.nodes.is_empty() {
                out.entry(&resource.id).or_default();
            }
            for node in resource.nodes.iter().filter(|node| !held(node)) {
                out.entry(&resource.id).or_default().push(node.clone());
            }
        }
        let all = out.into_iter().map(|(resource, mut hosts)| {
            hosts.sort();
            Problem::Unmanaged {
                resource: resource.into(),
                hosts,
            }
        });
        all.collect()
    }

    /// True if an order holds all of it.
    pub(crate) fn is_held(&self) -> bool {
        let acts = |(name, good): &(&str, &str)| self.value(name).is_none_or(|v| same_value(v, good));
        !HOLDS.iter().all(acts)
    }

    /// Resources that it does not act on, on some host or on all.
    pub(crate) fn unmanaged_ids(&self) -> BTreeSet<ResourceId> {
        let all = self.monitor.resources.iter().filter(|r| !r.managed);
        all.map(|r| r.id.clone()).collect()
    }

    /// Hosts on which a resource of the cluster's runs; nothing for what it does not know.
    pub(crate) fn serving(&self, id: &str) -> Option<Vec<String>> {
        let mut of = self.monitor.resources.iter().filter(|r| r.id == id).peekable();
        of.peek()?;
        let up = of.filter(|r| !r.failed && matches!(r.role.as_str(), "Started" | "Promoted"));
        Some(up.flat_map(|r| r.nodes.clone()).collect())
    }

    /// Hosts that no level of fence devices could cut off. Where the cloud has no fencing,
    /// none is asked for.
    pub(crate) fn unproven(&self, desired: &Desired) -> BTreeSet<HostName> {
        if self
            .value("stonith-enabled")
            .is_none_or(|v| !same_value(v, "true"))
        {
            return BTreeSet::new();
        }
        let able = |l: &&pacemaker::Level| l.devices.iter().all(|d| self.is_ready(d));
        let all: BTreeSet<&String> = desired.cib.levels.iter().map(|l| &l.target).collect();
        let able: BTreeSet<&String> = desired
            .cib
            .levels
            .iter()
            .filter(able)
            .map(|l| &l.target)
            .collect();
        let nodes = desired.nodes.iter().map(|(host, _)| host);
        let unable = |host: &&HostName| all.difference(&able).any(|target| *target == *host);
        nodes.filter(unable).cloned().collect()
    }

    /// True if a fence device is ready for its work.
    fn is_ready(&self, device: &str) -> bool {
        !self.monitor.nodes_of(device, "Started").is_empty()
    }

    /// Fence devices that cannot be used. Where fencing is off they run nowhere, and that
    /// is told by itself.
    pub(crate) fn fence_devices(&self, desired: &Desired) -> Vec<Problem> {
        if self
            .value("stonith-enabled")
            .is_some_and(|v| !same_value(v, "true"))
        {
            return Vec::new();
        }
        let devices = desired.cib.resources.iter().map(Resource::primitive);
        let dead = devices.filter(|p| p.is_fence_device() && !self.is_ready(&p.id));
        let found = dead.map(|device| {
            let has = |l: &&pacemaker::Level| l.devices.contains(&device.id);
            let level = desired.cib.levels.iter().find(has);
            let named = device.params.get("pcmk_host_list").cloned();
            let target = level.map(|l| l.target.clone()).or(named).unwrap_or_default();
            let mut others = desired.cib.levels.iter().filter(|l| l.target == target);
            Problem::FenceDevice {
                device: device.id.clone(),
                another: others.any(|l| l.devices.iter().all(|d| self.is_ready(d))),
                target,
            }
        });
        found.collect()
    }

    /// Resources that do not run as often as they should, and those over which the cluster
    /// waits for an operator.
    pub(crate) fn lacking(&self, desired: &Desired) -> Vec<Problem> {
        let nodes = desired.nodes.len();
        let mut out = Vec::new();
        for resource in &desired.cib.resources {
            let id = &resource.primitive().id;
            if resource.primitive().is_fence_device() {
                continue;
            }
            let locations = desired.cib.locations.iter();
            let banned = locations
                .filter(|l| l.resource == resource.id() && l.score == "-INFINITY")
                .count();
            let (role, want) = match resource {
                Resource::Primitive(_) => ("Started", 1),
                Resource::Clone(c) if c.meta.get("promotable").is_some_and(|v| v == "true") => {
                    ("Promoted", nodes - banned)
                }
                Resource::Clone(_) => ("Started", nodes - banned),
            };
            let have = self.monitor.nodes_of(id, role).len();
            if have < want {
                out.push(Problem::Lacking {
                    what: format!("{id} runs {have} of {want} times"),
                });
            }
        }
        let mut blocked: Vec<&str> = Vec::new();
        for r in self.monitor.resources.iter().filter(|r| r.blocked) {
            if !blocked.contains(&r.id.as_str()) {
                blocked.push(&r.id);
            }
        }
        blocked.sort_unstable();
        out.extend(blocked.into_iter().map(|id| Problem::Blocked {
            resource: id.into(),
            on: self.speaker(),
        }));
        out
    }
}

/// votequorum's own word on a member; nothing where it was not heard.
fn voted(facts: &Facts) -> Option<bool> {
    match facts.answers.get(pacemaker::QUORUM)? {
        Fact::Known(Answer::Ran { stdout, .. }) => pacemaker::has_quorum(stdout),
        _ => None,
    }
}
