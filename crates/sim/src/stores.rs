//! The members of the databases and of the broker: who holds what, who serves.

use std::collections::{BTreeMap, BTreeSet};

use engines::Store;
use names::HostName;
use wire::FileWrite;

use crate::World;
use crate::partition::Partition;

/// A member of the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what a member is, each by itself")]
pub(crate) struct Member {
    /// It had a generation of its own: its folder is there.
    pub born: bool,
    /// Its server runs.
    pub running: bool,
    /// It serves, as one of the others' view.
    pub joined: bool,
    /// How far it has come.
    pub position: i64,
    /// How much it counts among the others.
    pub weight: usize,
    /// It was stopped in order: its file tells its position.
    pub clean: bool,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            born: false,
            running: false,
            joined: false,
            position: -1,
            weight: 1,
            clean: true,
        }
    }
}

/// The databases' members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Databases {
    pub members: BTreeMap<String, Member>,
    /// It is marked as this cloud's.
    pub owned: bool,
    /// The sum of weights of the members that saw each other last.
    view: usize,
    /// Writes so far.
    pub writes: i64,
    /// The member that was chosen to begin.
    pub chosen: Option<String>,
    /// None begins until somebody waits for something.
    pub late: bool,
}

impl Databases {
    pub fn member(&mut self, host: &str) -> &mut Member {
        self.members.entry(host.to_owned()).or_default()
    }

    /// The sum of weights of those that serve.
    fn weight(&self) -> usize {
        let joined = self.members.values().filter(|m| m.joined);
        joined.map(|m| m.weight).sum()
    }

    /// Members that serve.
    pub fn serving(&self) -> usize {
        self.members.values().filter(|m| m.joined).count()
    }

    /// A write, which all members have that serve.
    pub fn write(&mut self) {
        self.writes += 1;
        let writes = self.writes;
        for member in self.members.values_mut().filter(|m| m.joined) {
            member.position = writes;
        }
    }

    /// Starts a member: it joins those that serve, unless nobody gives it a copy.
    pub fn start(&mut self, host: &str, alone: bool) {
        let (serves, writes) = (self.serving() > 0, self.writes);
        let member = self.member(host);
        (member.running, member.clean) = (true, false);
        if serves && !member.joined && !alone {
            (member.born, member.joined, member.position) = (true, true, writes);
            self.view = self.weight();
        }
    }

    /// A member begins, with nobody else.
    pub fn begin(&mut self, host: &str) {
        let writes = self.member(host).position.max(0);
        self.writes = writes;
        let member = self.member(host);
        (member.born, member.running, member.joined, member.clean) = (true, true, true, false);
        member.position = writes;
        self.view = self.weight();
        self.chosen = None;
    }

    /// Stops a member in order.
    pub fn stop(&mut self, host: &str) {
        let member = self.member(host);
        (member.running, member.joined, member.clean) = (false, false, true);
        // It was told to the process.
        member.weight = 1;
        self.view = self.weight();
    }

    /// Members no longer reach each other: those of a majority go on.
    pub fn part(&mut self, side: &BTreeSet<String>) {
        let of =
            |member: &(&String, &Member), there: bool| member.1.joined && side.contains(member.0) == there;
        let sum = |there: bool| -> usize {
            let members = self.members.iter().filter(|m| of(m, there));
            members.map(|(_, m)| m.weight).sum()
        };
        let majority = [true, false]
            .into_iter()
            .find(|there| sum(*there) * 2 > self.view);
        for (host, member) in &mut self.members {
            member.joined &= majority == Some(side.contains(host));
        }
        if majority.is_some() {
            self.view = self.weight();
        }
    }

    /// Members reach each other again: those of the last majority are one, if nobody serves.
    pub fn meet(&mut self) {
        let last = |m: &Member| m.running && m.position == self.writes;
        let weight: usize = self.members.values().filter(|m| last(m)).map(|m| m.weight).sum();
        if self.serving() == 0 && weight * 2 > self.view {
            let writes = self.writes;
            for member in self.members.values_mut() {
                member.joined |= member.running && member.position == writes;
            }
            self.view = self.weight();
        }
    }

    /// Members are lost at once: those that are left serve where they are more than half.
    pub fn lose(&mut self, lost: &BTreeSet<String>) {
        for host in lost {
            let member = self.member(host);
            (member.running, member.joined, member.weight) = (false, false, 1);
        }
        let left = self.weight();
        if left > 0 && left * 2 <= self.view {
            for member in self.members.values_mut() {
                member.joined = false;
            }
        }
        self.view = self.weight();
    }
}

/// The broker's members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broker {
    /// Hosts that ever ran it, and the cluster that they are of, by its founder.
    pub data: BTreeMap<String, String>,
    /// Hosts that are in it and serve.
    running: BTreeSet<String>,
    /// Nodes that each cluster remembers, by its founder.
    known: BTreeMap<String, BTreeSet<String>>,
}

impl Broker {
    /// True for a member that serves.
    pub fn serves(&self, host: &str) -> bool {
        self.running.contains(host)
    }

    /// Hosts that serve.
    pub fn serving(&self) -> &BTreeSet<String> {
        &self.running
    }

    /// Nodes that a member remembers.
    pub fn remembers(&self, host: &str) -> impl Iterator<Item = &String> {
        let cluster = self.data.get(host).and_then(|c| self.known.get(c));
        cluster.into_iter().flatten()
    }

    /// True if those that serve are a majority without one, or it holds nothing.
    pub fn bears(&self, host: &str) -> bool {
        let Some(known) = self.data.get(host).and_then(|c| self.known.get(c)) else {
            return true;
        };
        let others = known.iter().filter(|n| *n != host && self.running.contains(*n));
        others.count() * 2 > known.len()
    }

    /// A node is remembered no more.
    pub fn forget(&mut self, node: &str) {
        for known in self.known.values_mut() {
            known.remove(node);
        }
    }

    /// Those whose process is there serve, where they have a majority or find somebody.
    fn follow(&mut self, active: &BTreeSet<String>, links: &Partition) {
        self.running.retain(|h| active.contains(h));
        let clusters: BTreeSet<String> = self.data.values().cloned().collect();
        for (cluster, side) in clusters.iter().flat_map(|c| [(c, true), (c, false)]) {
            let of = |h: &&String| self.data.get(*h) == Some(cluster) && links.side.contains(*h) == side;
            let there: Vec<String> = active.iter().filter(of).cloned().collect();
            let known = self.known.get(cluster).map_or(0, BTreeSet::len);
            if there.len() * 2 > known {
                self.running.extend(there);
            } else {
                self.running.retain(|h| !there.contains(h));
            }
        }
        for host in active {
            if self.data.contains_key(host) {
                continue;
            }
            let cluster = match self.running.iter().find(|h| links.reach(host, h)) {
                // Remembered as what it was, it is not let in.
                Some(other) if self.remembers(other).any(|n| n == host) => continue,
                Some(other) => self.data[other].clone(),
                // Those that are whole and do not serve yet are waited for.
                None if !self.data.is_empty() => continue,
                None => host.clone(),
            };
            self.known
                .entry(cluster.clone())
                .or_default()
                .insert(host.clone());
            self.data.insert(host.clone(), cluster);
            self.running.insert(host.clone());
        }
    }

    /// Clusters that serve, by founder.
    pub fn clusters(&self) -> BTreeSet<&String> {
        self.running.iter().filter_map(|h| self.data.get(h)).collect()
    }
}

impl World {
    /// The store of the databases.
    pub(crate) fn sql(&self) -> Option<&Store> {
        self.desired.sql_store()
    }

    /// The broker, where there is one.
    pub(crate) fn queues(&self) -> Option<&Store> {
        let sql = &self.desired.sql_resource;
        self.desired.stores.iter().find(|s| s.resource != *sql)
    }

    /// A file of the databases' own that says who begins is believed.
    pub(crate) fn choose(&mut self, host: &str, files: &[FileWrite]) {
        let folder = self.sql().and_then(|s| s.options.get("datadir"));
        let path = folder.map(|folder| format!("{folder}/grastate.dat"));
        if files.iter().any(|f| Some(&f.path) == path.as_ref()) {
            self.databases.chosen = Some(host.to_owned());
        }
    }

    pub(crate) fn is_broker(&self, resource: &str) -> bool {
        self.queues().is_some_and(|s| s.resource == resource)
    }

    /// Stores do what the cluster has them do, where it knows them; before that their own
    /// birth has them run.
    pub(crate) fn follow_stores(&mut self) {
        if let Some(store) = self.sql()
            && self.cluster.has(&store.resource)
        {
            let (resource, members) = (store.resource.clone(), store.members.clone());
            self.follow_databases(&resource, &members);
        }
        if let Some(unit) = self.queues().and_then(|s| s.options.get("unit")).cloned() {
            let hosts = self.machines.keys().filter(|h| self.is_active(h, &unit));
            let active = hosts.map(ToString::to_string).collect();
            self.broker.follow(&active, &self.partition);
        }
    }

    fn follow_databases(&mut self, resource: &str, members: &[HostName]) {
        let hosts: Vec<String> = self.machines.keys().map(ToString::to_string).collect();
        for host in &hosts {
            let running = self.databases.members.get(host).is_some_and(|m| m.running);
            if running && !self.cluster.runs(resource, host) {
                self.databases.stop(host);
            }
        }
        let runs = |h: &String| self.cluster.runs(resource, h);
        let wanted: Vec<String> = hosts.into_iter().filter(runs).collect();
        // No member begins before all are asked for their positions; those that are to come are none.
        let members = members.iter().filter(|m| self.cluster.known.contains(m.as_str()));
        let all_there = members.clone().all(|m| wanted.iter().any(|w| w == m));
        if self.databases.serving() == 0 && all_there && !self.databases.late {
            let ahead = |h: &&HostName| self.databases.members.get(h.as_str()).map_or(-1, |m| m.position);
            let chosen = self.databases.chosen.clone();
            // Of equals the first of the list.
            let newest = members.rev().max_by_key(ahead);
            let first = chosen.or_else(|| newest.map(ToString::to_string));
            if let Some(first) = first {
                self.databases.begin(&first);
            }
        }
        for host in wanted {
            let alone = self.machines[host.as_str()].slow || !self.reaches_sql(&host);
            self.databases.start(&host, alone);
        }
    }
}
