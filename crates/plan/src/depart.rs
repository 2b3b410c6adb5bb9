//! Hosts that the cloud file does not name any more: what they run is brought
//! elsewhere, they leave the cluster and its stores, and what the cloud has there is
//! stopped for good.
//!
//! Who was there is told by the hosts' own account of their cloud, which is therefore
//! written last. A host that is away is left as it is: alone it has no quorum, and the
//! others know it no more.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexSet;
use names::HostName;
use pacemaker::Monitor;
use render::{Desired, IDENTITY, VERSION};
use wire::{Command, Fact, FileWrite, Observe, Op, Own, ServerState, UnitChange};

use crate::build::{Planner, step};
use crate::roll::balance;
use crate::{Change, Observed, StepId, balancer, corosync, leave, look, quorate, quorum};

/// Hosts that members of the cluster were told of and the cloud file does not name, each
/// with its management address. The operator's machine logs in there, so a host beside the
/// cluster is not believed, nor an address that a host of the file has: it was renamed.
pub fn gone(desired: &Desired, observed: &Observed) -> Vec<(HostName, String)> {
    let members = observed.iter().filter(|(host, _)| desired.is_member(host));
    let members: Observed = members.map(|(h, f)| (h.clone(), f.clone())).collect();
    let told = leave::told(desired, &members, render::hosts_told);
    if told.is_empty() {
        return Vec::new();
    }
    let mut out: Vec<(HostName, String)> = Vec::new();
    for (name, address) in told {
        let known = desired.named.iter().any(|(n, a)| *n == name || *a == address);
        // Two may tell of one at another address. One that is left out for now is not gone.
        if !known && !desired.apart.contains(&name) && !out.iter().any(|(n, _)| *n == name) {
            out.push((name, address));
        }
    }
    out
}

/// Hosts that had a member of a store by any host's account and have none by the cloud file.
pub(crate) fn former(desired: &Desired, observed: &Observed, store: &engines::Store) -> Vec<HostName> {
    let told = leave::told(desired, observed, render::members_told);
    let mut out: Vec<HostName> = Vec::new();
    for host in told
        .into_iter()
        .filter(|(id, _)| *id == store.resource)
        .flat_map(|(_, hosts)| hosts)
    {
        // Those that are given up or away are told by the store itself.
        let apart = store.lost.contains(&host) || store.away.contains(&host);
        if !apart && !store.members.contains(&host) && !out.contains(&host) {
            out.push(host);
        }
    }
    out
}

/// Whether a host has been told that it is of this cloud; one that cannot be asked has not.
pub fn is_of_the_cloud(observed: &Observed, host: &str) -> bool {
    let facts = observed.get(host).and_then(|facts| facts.as_ref().ok());
    facts.is_some_and(|f| matches!(f.files.get(IDENTITY), Some(Fact::Known(_))))
}

/// Questions to such a host; `deep`: also for what it holds of stores that are down.
pub(crate) fn observe(desired: &Desired, deep: bool) -> Observe {
    let own = [IDENTITY, corosync::CONF, look::CIB_FILE, VERSION].map(str::to_owned);
    Observe {
        cluster: true,
        queries: desired
            .stores
            .iter()
            .flat_map(|s| engines::queries(s, deep))
            .chain([corosync::query(), quorum::query()])
            .collect(),
        units: desired.units.clone(),
        files: own.into_iter().chain(secrets(desired)).collect(),
        ..Observe::default()
    }
}

/// Files with secrets that any host of the cloud has.
fn secrets(desired: &Desired) -> Vec<String> {
    let files = desired.hosts.values().flat_map(|h| &h.files);
    let secret = files.filter(|f| f.secret && !f.write.directory && f.write.own == Own::File);
    let paths: BTreeSet<&String> = secret.map(|f| &f.write.path).collect();
    paths.into_iter().cloned().collect()
}

impl Planner<'_> {
    /// Takes what members that leave run elsewhere, one after the other, and writes
    /// them the file by which they have no vote.
    pub(crate) fn empty_leavers(&mut self) {
        if self.votes.leaving.is_empty() || self.votes.uncounted {
            return;
        }
        let Some(monitor) = quorate(self.observed) else {
            return;
        };
        let mut last = self.prepared.clone();
        for host in self.votes.leaving.clone() {
            last = self.empty_leaver(&monitor, &host, &last);
        }
        let member = self.nodes().into_iter().find(|n| self.clustered(n));
        let conf = member
            .and_then(|n| self.desired.hosts.get(&n))
            .and_then(|h| h.files.iter().find(|f| f.write.path == corosync::CONF));
        let conf: Option<FileWrite> = conf.map(|file| self.write(file));
        for host in self.votes.leaving.clone() {
            let id = StepId::from(format!("uncount/{host}"));
            self.steps.push(step(
                id.clone(),
                vec![host.clone()],
                format!("write {host} that it has no vote"),
                "the cloud file does not name it",
                vec![Op::Files(conf.iter().cloned().collect())],
                last.clone(),
            ));
            self.prepared.push(id);
        }
        self.prepared.extend(last);
    }

    fn empty_leaver(&mut self, monitor: &Monitor, host: &HostName, before: &[StepId]) -> Vec<StepId> {
        if monitor.nodes.iter().any(|n| n.name == *host && n.standby) {
            return before.to_vec();
        }
        let sections: Vec<&str> = self
            .desired
            .balanced
            .iter()
            .flat_map(render::DesiredBalanced::sections)
            .collect();
        // One that runs with another's file may lack them, and never gets them again. One that
        // does not tell has what the others have.
        let mut had: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for at in &self.desired.balancers {
            if let Some(all) = self.facts(at).and_then(balancer::servers) {
                let of_host = |section: &&&str| all.contains(&((**section).to_owned(), host.to_string()));
                let of_host = sections.iter().filter(of_host);
                had.insert(at, of_host.map(|section| format!("{section}/{host}")).collect());
            }
        }
        let all: IndexSet<String> = had.values().flatten().cloned().collect();
        let all: Vec<String> = all.into_iter().collect();
        let at_each: BTreeMap<HostName, Vec<Op>> = (self.desired.balancers.iter())
            .map(|at| (at.clone(), had.get(at.as_str()).unwrap_or(&all).clone()))
            .filter(|(_, servers)| !servers.is_empty())
            // Its table would keep a drained writer.
            .map(|(at, servers)| (at, vec![balance(servers, ServerState::Maint)]))
            .collect();
        let mut ready = self.gate(host, before);
        if !at_each.is_empty() {
            let title = format!("send nobody to {}", all.join(", "));
            let ops = |at: &str| at_each.get(at).cloned().unwrap_or_default();
            ready = self.at_balancers("drain", host, &title, &ops, &ready);
        }
        self.standby(monitor, host, "the cloud file does not name it", &ready)
    }

    /// Stops for good what the cloud has on hosts that it does not name any more.
    /// Members of the cluster go first, or alone. Tells of hosts that cannot be reached.
    pub(crate) fn stop_gone(&mut self, explain: &mut Vec<String>) {
        for host in self.gone.clone() {
            let Some(facts) = self.facts(&host) else {
                explain.push(format!(
                    "{host} is not in the cloud file and cannot be reached: what it runs goes on, without \
                     quorum; switch it off"
                ));
                continue;
            };
            let mut changes = Vec::new();
            let mut units: Vec<UnitChange> = Vec::new();
            for unit in &self.desired.units {
                let Some(Fact::Known(now)) = facts.units.get(unit) else {
                    continue;
                };
                let enabled = now.file.starts_with("enabled");
                let active = now.active == "active" || now.active == "activating";
                if !enabled && !active {
                    continue;
                }
                changes.push(Change {
                    what: format!("unit {unit}"),
                    glyph: '-',
                    diff: String::new(),
                });
                units.push(UnitChange {
                    unit: unit.clone(),
                    active: active.then_some(false),
                    enabled: enabled.then_some(false),
                    ..UnitChange::default()
                });
            }
            // What would let it be a member again, and secrets; its account of the cloud last.
            let own = [corosync::CONF, look::CIB_FILE].map(str::to_owned);
            let last = [VERSION, IDENTITY].map(str::to_owned);
            let files = own.into_iter().chain(secrets(self.desired)).chain(last);
            let there = |path: &String| matches!(facts.files.get(path), Some(Fact::Known(_)));
            let mut files: Vec<String> = files.filter(there).collect();
            let mut seen = BTreeSet::new();
            files.retain(|path| seen.insert(path.clone()));
            if units.is_empty() && files.is_empty() {
                continue;
            }
            explain.push(format!(
                "{host} had secrets of this cloud, and whoever has its disks has them: once it has left, rotate now: \
                 `quorate rotate keys`, `quorate rotate authority`"
            ));
            let mut ops = vec![Op::Units(units)];
            if !files.is_empty() {
                ops.push(Op::Remove(files));
            }
            let mut s = step(
                StepId::from(format!("depart/{host}")),
                vec![host.clone()],
                format!("stop on {host} what is of this cloud"),
                "the cloud file does not name it",
                ops,
                self.prepared.clone(),
            );
            s.changes = changes;
            self.steps.push(s);
        }
    }

    /// Has the cluster forget members that left. During an election nobody tells of them.
    pub(crate) fn forget_members(&mut self) {
        let Some(monitor) = quorate(self.observed) else {
            self.again = !self.virgin;
            return;
        };
        let left = monitor
            .nodes
            .iter()
            .filter(|n| !n.online && !self.desired.is_member(&n.name))
            .filter(|n| !self.desired.apart.iter().any(|host| *host == n.name));
        for name in left.map(|n| n.name.clone()).collect::<Vec<_>>() {
            let run = Command::new(
                format!("quorate-forget-node-{name}"),
                &["crm_node", "--force", "--remove", &name],
                60_000,
            );
            let nodes = self.nodes();
            self.steps.push(step(
                StepId::from(format!("forget/{name}")),
                nodes,
                format!("have the cluster forget {name}"),
                "the cloud file does not name it",
                vec![Op::Run(run)],
                self.prepared.clone(),
            ));
        }
    }
}
