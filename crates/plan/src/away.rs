//! Changes while a member is away by the cloud file (`away: REASON`): the others are
//! changed without it, as far as that takes nothing more away.
//!
//! Law: meanwhile no step stops or restarts a voter, a member of a store, broker or RAFT, or
//! one of the last two of anything. Such work is told and waits. Before the first change the
//! cluster is told that the host runs nothing when it returns; what came meanwhile is
//! written there, and only then it serves again.

use engines::Refusal;
use names::HostName;
use render::{Desired, DesiredPart, Kind, Reader};
use wire::{Command, Fact, Op};

use crate::build::{Planner, step};
use crate::refuse::refuse;
use crate::roll::Rolling;
use crate::{Effect, Observed, Plan, StepId, corosync, quorate};

/// Attribute of a node that runs nothing until it has been brought up to date.
const MARK: &str = "quorate-away";

/// Hosts that are away by the cloud file and cannot be reached, while the others are a
/// cluster with quorum. One that can be reached is back, and is planned for.
pub(crate) fn apart(desired: &Desired, observed: &Observed) -> Vec<HostName> {
    let away = desired
        .away
        .keys()
        .filter(|host| desired.hosts.contains_key(*host));
    let away = away.filter(|host| !matches!(observed.get(*host), Some(Ok(_))));
    let away: Vec<HostName> = away.cloned().collect();
    // Members that the cluster itself still hears are not away.
    let Some(monitor) = quorate(observed) else {
        return Vec::new();
    };
    let heard = |host: &HostName| monitor.online().any(|n| n.name == *host);
    away.into_iter().filter(|host| !heard(host)).collect()
}

/// Hosts that were away while the others changed, and run nothing yet, as the cluster names them.
pub(crate) fn waiting(observed: &Observed) -> Vec<String> {
    let cib = observed.values().flatten().find_map(|f| f.cib.known());
    let marked = cib.map(|cib| cib.node_attributes(MARK)).unwrap_or_default();
    marked.into_iter().map(|(host, _)| host.to_owned()).collect()
}

fn attribute(host: &str, name: &str, value: Option<&str>) -> Op {
    let mut argv = vec![
        "crm_attribute",
        "--node",
        host,
        "--name",
        name,
        "--lifetime",
        "forever",
    ];
    match value {
        Some(value) => argv.extend(["--update", value]),
        None => argv.push("--delete"),
    }
    Op::Run(Command::new(format!("quorate-{name}-{host}"), &argv, 60_000))
}

impl Planner<'_> {
    /// True for a host that was away while the others changed, and runs nothing yet.
    pub(crate) fn waits(&self, host: &str) -> bool {
        waiting(self.observed).iter().any(|waits| waits == host)
    }

    /// Instances of a resource, or hosts with a unit, among the hosts that are there.
    fn many(&self, reader: &Reader) -> usize {
        let has = |u: &render::DesiredUnit| match reader {
            Reader::Instance(resource) => u.resource == *resource,
            Reader::Unit(unit) => u.unit == *unit,
        };
        let hosts = self.desired.hosts.values();
        hosts.filter(|host| host.units.iter().any(has)).count()
    }

    /// True if a restart would take more away than is to be while a member is.
    fn must_stay(&self, host: &str, reader: &Reader) -> bool {
        // Members of a store, a broker or a database of their own know each other.
        let members = |p: &&DesiredPart| matches!(p.kind, Kind::Clustered | Kind::Promotable);
        let mut parts = self.desired.parts.iter().filter(members);
        let store = parts.any(|p| reader.resource() == Some(&p.resource));
        let voter = ["corosync.service", "pacemaker.service"]
            .map(Some)
            .contains(&reader.unit());
        let alone = self.many(reader) <= 2;
        store || (voter && self.is_member(host)) || alone
    }

    /// Work left to be done host by host while members are away; tells of the rest.
    pub(crate) fn what_can_roll(&self, mut all: Vec<Rolling>, explain: &mut Vec<String>) -> Vec<Rolling> {
        if self.desired.apart.is_empty() {
            return all;
        }
        let names = self.desired.apart.join(" and ");
        for rolling in &mut all {
            let held: Vec<String> = rolling
                .restarts
                .readers()
                .filter(|reader| self.must_stay(&rolling.host, reader))
                .map(|reader| reader.name().to_owned())
                .collect();
            if held.is_empty() {
                continue;
            }
            let files = rolling.restarts.paths().collect::<Vec<_>>().join(", ");
            explain.push(format!(
                "{}: {files} would restart {}, which waits until {names} is back",
                rolling.host,
                held.join(", ")
            ));
            rolling.restarts = crate::roll::Files::default();
        }
        all.retain(|rolling| !rolling.is_empty());
        all
    }

    /// Reasons against a change that takes more away while members are.
    pub(crate) fn too_much_beside(&self) -> Vec<Refusal> {
        let away = &self.desired.apart;
        if away.is_empty() {
            return Vec::new();
        }
        let mut what: Vec<String> = Vec::new();
        if !self.left.is_empty() {
            what.push(format!("taking {} out of the cloud", self.left.join(", ")));
        }
        if !self.moving.is_empty() {
            what.push("handing services over between the cluster and systemd".to_owned());
        }
        if !self.renewed.is_empty() {
            what.push(format!("other resource agents for {}", self.renewed.join(", ")));
        }
        let members: Vec<&str> = (self.votes.coming.iter().chain(&self.votes.leaving))
            .map(HostName::as_str)
            .collect();
        if !members.is_empty() {
            what.push(format!("members that come or leave ({})", members.join(", ")));
        }
        for effect in self.reconfigured() {
            if let Effect::Reconfigure { resource } = effect {
                what.push(format!(
                    "other parameters of {resource}, which restart it everywhere"
                ));
            }
        }
        let conf = |host: &HostName| {
            let wanted = self.desired.hosts.get(host)?;
            let file = wanted.files.iter().find(|f| f.write.path == corosync::CONF)?;
            self.file_change(file, self.facts(host)?)
        };
        // By other votes alone those that are left come to quorum.
        if !self.votes.taken && self.nodes().iter().any(|host| conf(host).is_some()) {
            what.push("another corosync.conf".to_owned());
        }
        let names = away.join(" and ");
        what.into_iter()
            .map(|what| {
                refuse(
                    "host::away",
                    format!("{what} waits until {names} is back: one more would be stopped beside it"),
                    format!("take it back in the cloud file for now, or bring {names} back first"),
                )
            })
            .collect()
    }

    /// Before all else: the cluster has the absent run nothing when they return.
    pub(crate) fn hold_absent(&mut self) {
        let waiting = waiting(self.observed);
        let absent = self.desired.apart.iter();
        let absent: Vec<HostName> = absent
            .filter(|host| !waiting.iter().any(|w| w == *host) && !self.desired.lost.contains(host))
            .filter(|host| quorate(self.observed).is_some_and(|m| m.nodes.iter().any(|n| n.name == **host)))
            .cloned()
            .collect();
        if self.steps.is_empty() {
            return;
        }
        for host in absent {
            let id = StepId::from(format!("away/{host}"));
            for later in &mut self.steps {
                later.after.push(id.clone());
            }
            let ops = vec![
                attribute(&host, MARK, Some("true")),
                attribute(&host, "standby", Some("on")),
            ];
            let title = format!("have {host} run nothing when it returns, until it has what comes now");
            let why = "the cloud file says that it is away";
            self.steps
                .insert(0, step(id, self.nodes(), title, why, ops, Vec::new()));
        }
    }

    /// Takes hosts that were away back into service, once they have what came meanwhile.
    /// Gives whether there are any: then the plan ends there.
    pub(crate) fn welcome_back(&mut self, out: &mut Plan) -> bool {
        let waiting = waiting(self.observed);
        let members = waiting.iter().filter_map(|name| self.member(name));
        let back: Vec<HostName> = members.filter(|host| self.clustered(host)).cloned().collect();
        for host in &back {
            let ops = vec![attribute(host, "standby", None), attribute(host, MARK, None)];
            let mut s = step(
                StepId::from(format!("back/{host}")),
                vec![host.clone()],
                format!("take {host} back into service"),
                "it was away, and has now what came meanwhile",
                ops,
                self.prepared.clone(),
            );
            s.effects = vec![Effect::Starts { host: host.clone() }];
            self.steps.push(s);
            out.explain.push(format!(
                "{host} was away while the cloud was changed, and is back"
            ));
        }
        !back.is_empty()
    }
}

/// Lines for the operator about hosts that the cloud file says are away.
pub(crate) fn told(desired: &Desired, observed: &Observed) -> Vec<String> {
    let back = |host: &str| matches!(observed.get(host), Some(Ok(f)) if matches!(f.cluster, Fact::Known(_)));
    let away = desired.away.iter();
    away.map(|(host, why)| {
        if back(host) {
            format!("{host} is back, and the cloud file says that it is away ({why}): take `away` out of it")
        } else {
            format!("{host} is away by the cloud file: {why}")
        }
    })
    .collect()
}
