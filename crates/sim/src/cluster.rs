//! Pacemaker and Corosync: who is a member, whether the members have quorum, and what the
//! cluster runs where by its configuration. What is to run does so at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pacemaker::SECTIONS;
use roxmltree::{Document, Node};

use crate::World;
use crate::cmap::cmap;
use crate::filled;

/// Corosync's file.
pub(crate) const CONF: &str = "/etc/corosync/corosync.conf";
/// Pacemaker's configuration on the disk.
pub(crate) const CIB: &str = "/var/lib/pacemaker/cib/cib.xml";
/// The units that make a host a member.
pub(crate) const UNITS: [&str; 2] = ["corosync.service", "pacemaker.service"];

/// A resource of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the configuration says of it, each by itself"
)]
pub(crate) struct Configured {
    /// The primitive's id.
    pub(crate) id: String,
    /// The id that constraints take.
    pub(crate) whole: String,
    pub(crate) clone: bool,
    pub(crate) promotable: bool,
    pub(crate) stonith: bool,
    pub(crate) managed: bool,
    pub(crate) stopped: bool,
    pub(crate) address: bool,
}

/// The configuration as the scheduler reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) resources: Vec<Configured>,
    /// Resource, node, score.
    pub(crate) locations: Vec<(String, String, i64)>,
    /// Orphans are left alone.
    pub(crate) keeps_orphans: bool,
    /// Lost members are fenced.
    pub(crate) fences: bool,
    /// Hosts that have a device to be fenced by.
    pub(crate) devices: BTreeSet<String>,
}

/// A configuration with which Corosync runs.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Names and votes of its nodes.
    pub(crate) votes: Vec<(String, u32)>,
    /// Its keys, as `corosync-cmapctl` tells them.
    pub(crate) keys: String,
}

impl Loaded {
    pub(crate) fn of(conf: &str) -> Arc<Self> {
        let (votes, keys) = (votes(conf), cmap(&filled(conf)));
        Arc::new(Self { votes, keys })
    }
}

/// The cluster manager.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Sections of the configuration as XML; none before there is one.
    pub(crate) sections: BTreeMap<String, String>,
    pub(crate) config: Config,
    /// The sections as they were when links were cut.
    pub(crate) old: Option<BTreeMap<String, String>>,
    /// Members that run it.
    pub members: BTreeSet<String>,
    /// Configuration with which each member's Corosync runs.
    pub(crate) loaded: BTreeMap<String, Arc<Loaded>>,
    /// Members that are out of service by order.
    pub standby: BTreeSet<String>,
    /// Marks of nodes: node and name.
    pub(crate) marks: BTreeSet<(String, String)>,
    /// Resources that may not run on a node.
    pub(crate) bans: BTreeSet<(String, String)>,
    /// Nodes on which each resource of the configuration runs.
    pub running: BTreeMap<String, BTreeSet<String>>,
    /// Resources that members remember.
    pub(crate) remembered: BTreeSet<String>,
    /// Nodes that are known, also those that are away.
    pub(crate) known: BTreeSet<String>,
    /// An election is under way: no controller is designated.
    pub election: bool,
    /// When anything began or ended to run.
    pub(crate) last_event: i64,
}

/// Names and votes of a `corosync.conf`.
fn votes(conf: &str) -> Vec<(String, u32)> {
    let mut out: Vec<(String, u32)> = Vec::new();
    let mut inside = false;
    for line in conf.lines().map(str::trim) {
        match line {
            "node {" => inside = true,
            "}" => inside = false,
            _ if inside => {
                if let Some(name) = line.strip_prefix("name: ") {
                    out.push((name.to_owned(), 1));
                }
                let votes = line.strip_prefix("quorum_votes: ").and_then(|n| n.parse().ok());
                if let (Some(votes), Some(last)) = (votes, out.last_mut()) {
                    last.1 = votes;
                }
            }
            _ => {}
        }
    }
    out
}

/// True if an element's attribute set gives a name this value.
fn set(node: Node<'_, '_>, kind: &str, name: &str, value: &str) -> bool {
    node.children()
        .filter(|n| n.has_tag_name(kind))
        .flat_map(|n| n.children())
        .any(|n| n.attribute("name") == Some(name) && n.attribute("value") == Some(value))
}

fn score(text: &str) -> i64 {
    match text {
        "-INFINITY" => -1_000_000,
        "INFINITY" | "+INFINITY" => 1_000_000,
        other => other.parse().unwrap_or_default(),
    }
}

impl Config {
    fn read(sections: &BTreeMap<String, String>) -> Self {
        let all: String = sections.values().map(String::as_str).collect();
        let text = format!("<configuration>{all}</configuration>");
        let Ok(document) = Document::parse(&text) else {
            return Self::default();
        };
        let mut out = Self::default();
        for node in document.descendants().filter(Node::is_element) {
            let attribute = |name: &str| node.attribute(name).unwrap_or_default().to_owned();
            match node.tag_name().name() {
                "primitive" => {
                    let clone = node.parent_element().filter(|p| p.has_tag_name("clone"));
                    let either = |name: &str, value: &str| {
                        let at = [Some(node), clone].into_iter().flatten();
                        at.into_iter().any(|n| set(n, "meta_attributes", name, value))
                    };
                    let id = attribute("id");
                    out.resources.push(Configured {
                        whole: clone
                            .and_then(|c| c.attribute("id"))
                            .map_or_else(|| id.clone(), str::to_owned),
                        clone: clone.is_some(),
                        promotable: either("promotable", "true"),
                        stonith: attribute("class") == "stonith",
                        managed: !either("is-managed", "false"),
                        stopped: either("target-role", "Stopped"),
                        address: attribute("type") == "IPaddr2",
                        id,
                    });
                }
                "rsc_location" => {
                    out.locations
                        .push((attribute("rsc"), attribute("node"), score(&attribute("score"))));
                }
                "nvpair" => match (attribute("name").as_str(), attribute("value")) {
                    ("stop-orphan-resources", value) => out.keeps_orphans |= value == "false",
                    ("stonith-enabled", value) => out.fences |= value == "true",
                    ("pcmk_host_list", host) => drop(out.devices.insert(host)),
                    _ => {}
                },
                _ => {}
            }
        }
        out
    }
}

impl Cluster {
    /// True if an instance of a resource runs on a node.
    pub fn runs(&self, resource: &str, node: &str) -> bool {
        self.running.get(resource).is_some_and(|on| on.contains(node))
    }

    /// The node that has a resource of which there is one.
    pub fn holder(&self, resource: &str) -> Option<&str> {
        self.running.get(resource)?.first().map(String::as_str)
    }

    /// Gives a node an attribute, or takes it away.
    pub(crate) fn set_attribute(&mut self, node: &str, name: &str, there: bool) {
        let node = node.to_owned();
        match (name, there) {
            ("standby", true) => self.standby.insert(node),
            ("standby", false) => self.standby.remove(&node),
            (_, true) => self.marks.insert((node, name.to_owned())),
            (_, false) => self.marks.remove(&(node, name.to_owned())),
        };
    }

    /// True if there is a configuration.
    pub(crate) fn is_configured(&self) -> bool {
        !self.sections.is_empty()
    }

    /// True if the configuration has a resource.
    pub(crate) fn has(&self, resource: &str) -> bool {
        self.config.resources.iter().any(|r| r.id == resource)
    }

    /// The primitive of what constraints know by a name.
    pub(crate) fn primitive(&self, whole: &str) -> String {
        let mut all = self.config.resources.iter();
        let found = all.find(|r| r.whole == whole || r.id == whole);
        found.map_or_else(|| whole.to_owned(), |r| r.id.clone())
    }

    /// True if a host's Corosync has a majority of the votes that it runs with, among those
    /// that it sees.
    pub(crate) fn has_majority(&self, host: &str, sees: impl Fn(&str) -> bool) -> bool {
        let Some(loaded) = self.loaded.get(host) else {
            return false;
        };
        let expected: u32 = loaded.votes.iter().map(|(_, votes)| votes).sum();
        // Each tells its own votes.
        let own = |name: &str| {
            let mut all = self.loaded.get(name).into_iter().flat_map(|l| &l.votes);
            all.find(|(n, _)| n == name).map_or(0, |(_, votes)| *votes)
        };
        let there: u32 = (loaded.votes.iter())
            .filter(|(name, _)| sees(name))
            .map(|(name, _)| own(name))
            .sum();
        there * 2 > expected
    }

    /// Replaces sections of the configuration. A ban stands among the constraints, and goes
    /// with them.
    pub(crate) fn replace(&mut self, sections: impl Iterator<Item = (String, String)>) {
        for (name, xml) in sections {
            if name == "constraints" {
                self.bans.clear();
            }
            self.sections.insert(name, xml);
        }
        self.config = Config::read(&self.sections);
    }

    /// Reads the sections out of a whole document.
    fn load(&mut self, document: &str) {
        let cut = |name: &str| {
            let empty = format!("<{name}/>");
            let from = document
                .find(&format!("<{name}>"))
                .or_else(|| document.find(&format!("<{name} ")));
            let Some(from) = from else {
                return empty;
            };
            let end = format!("</{name}>");
            let to = document[from..].find(&end).map(|at| from + at + end.len());
            to.map_or(empty, |to| document[from..to].to_owned())
        };
        let all: Vec<(String, String)> = SECTIONS.iter().map(|n| ((*n).to_owned(), cut(n))).collect();
        self.replace(all.into_iter());
    }
}

impl World {
    /// Lets all state machines come to rest after something changed, and looks at the laws.
    pub(crate) fn settle(&mut self, by_plan: bool) {
        self.join();
        // Fencing follows from links that were cut, also where a step gave quorum.
        let fenced = self.fence();
        if fenced {
            (self.tick, self.disturbed) = (self.tick + 1, self.tick + 1);
        }
        let by_plan = by_plan && !fenced;
        if !self.cluster.is_configured()
            && let Some(host) = self.cluster.members.first()
        {
            let first = self.machines[host.as_str()].text(CIB).map(str::to_owned);
            self.cluster.load(&first.unwrap_or_default());
        }
        self.look_at_gates();
        self.schedule();
        self.follow_stores();
        self.follow_members();
        self.follow_balancers();
        self.follow_load();
        if !self.partition.unwatched {
            self.look_at_sides();
        }
        self.look_at_laws(by_plan);
    }

    /// Hosts whose Corosync runs are voters, and members where Pacemaker does too.
    pub(crate) fn join(&mut self) {
        let [corosync, pacemaker] = UNITS;
        let voters: BTreeSet<String> = (self.machines.keys())
            .filter(|h| self.is_active(h, corosync))
            .map(ToString::to_string)
            .collect();
        for host in &voters {
            let conf = || Loaded::of(self.machines[host.as_str()].text(CONF).unwrap_or_default());
            self.cluster.loaded.entry(host.clone()).or_insert_with(conf);
        }
        self.cluster.loaded.retain(|host, _| voters.contains(host));
        let members = voters.into_iter().filter(|h| self.is_active(h, pacemaker));
        self.cluster.members = members.collect();
        self.cluster.known.extend(self.cluster.members.iter().cloned());
    }
}
