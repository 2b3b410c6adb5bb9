//! Laws after each operation, whatever the plan is. What a fault does is nobody's fault;
//! what an operation makes worse is the plan's, where it could have been seen: when the plan
//! was made, or by a wait before the first change of the step.

use std::collections::{BTreeMap, BTreeSet};

use names::{HostName, ResourceId};
use render::Kind;
use wire::{Balance, ServerState};

use crate::World;

impl World {
    /// A law is broken, now.
    pub(crate) fn break_law(&mut self, what: &str) {
        self.broken
            .push(format!("after {} operations: {what}", self.done));
    }

    /// Looks at all laws, after an operation or after something that happened by itself.
    pub(crate) fn look_at_laws(&mut self, by_plan: bool) {
        let mut found = Vec::new();
        self.one_at_a_time(by_plan, &mut found);
        self.somebody_serves(&mut found);
        self.only_what_is_made_runs(&mut found);
        self.one_history(&mut found);
        self.one_cluster(&mut found);
        self.one_database(&mut found);
        for what in found.into_iter().filter(|_| by_plan) {
            self.break_law(&what);
        }
    }

    /// Resources that run on several hosts, each with those hosts.
    fn several(&self) -> Vec<(ResourceId, Vec<HostName>)> {
        (self.desired.parts.iter())
            .filter(|p| {
                let several = matches!(p.kind, Kind::Stateless | Kind::Clustered | Kind::Promotable);
                several && p.hosts.len() > 1 && !p.periodic
            })
            .map(|p| (p.resource.clone(), p.hosts.clone()))
            .collect()
    }

    /// True if a resource is to be stopped everywhere: while a backup is loaded nobody writes.
    fn stands_still(&self, resource: &str) -> bool {
        self.desired.restore.is_some() && self.gated.contains(resource)
    }

    /// Law 9: nothing is stopped on two hosts at once, nor on the next before it is back.
    fn one_at_a_time(&mut self, by_plan: bool, found: &mut Vec<String>) {
        let absent = self.absent.clone();
        for (resource, hosts) in self.several() {
            let up: BTreeSet<HostName> = (hosts.iter())
                .filter(|h| self.serves(h, &resource))
                .cloned()
                .collect();
            // Only what ran before counts as stopped.
            let seen = self.seen.entry(resource.clone()).or_default();
            let down: Vec<HostName> = (hosts.into_iter())
                .filter(|h| seen.contains(h) && !up.contains(h))
                .collect();
            let many = up.len();
            seen.extend(up);
            let before = self.down.remove(&resource).unwrap_or_default();
            let new = |h: &&HostName| !before.contains_key(*h) && !absent.contains(h);
            let known = |(since, planned): &(usize, bool)| *planned || *since < self.looked;
            let others = down.iter().filter(|h| !absent.contains(h));
            let others = others.filter_map(|h| before.get(h));
            // Of a majority that nobody knew to be the last, the rest goes with one more: its
            // processes are there.
            let surprise = |(since, planned): &(usize, bool)| !*planned && *since >= self.looked;
            let surprised = others.clone().any(surprise);
            let goes_along = |h: &&HostName| surprised && self.has_instance(h, &resource);
            let stopped: Vec<&HostName> = down.iter().filter(|h| new(h) && !goes_along(h)).collect();
            let several = stopped.len() > 1 && !surprised;
            let judged = !self.stands_still(&resource);
            if judged && by_plan && !stopped.is_empty() && (several || others.clone().any(known)) {
                found.push(format!("{resource} is down on {} at once", down.join(" and ")));
            }
            if judged {
                found.extend(self.may_be_missed(&resource, &stopped, many + stopped.len()));
            }
            let since = (self.tick, by_plan);
            let now = down
                .iter()
                .map(|h| (h.clone(), before.get(h).copied().unwrap_or(since)));
            let now: BTreeMap<HostName, (usize, bool)> = now.collect();
            self.down.insert(resource, now);
        }
    }

    /// No host is taken out at a balancer before all others are known to be whole.
    pub(crate) fn may_be_taken_out(&mut self, at: &str, balance: &Balance) {
        if balance.state == ServerState::Ready {
            return;
        }
        let (mut found, absent) = (Vec::new(), &self.absent);
        for server in &balance.servers {
            let (section, host) = server.split_once('/').unwrap_or_default();
            let Some(on) = self.desired.balanced.iter().find(|b| b.resource == section) else {
                continue;
            };
            if self.stands_still(section) {
                continue;
            }
            let balancer = self.balancers.get(at);
            for other in on.members.iter().filter(|m| *m != host && !absent.contains(m)) {
                let down = self.down.get(section).and_then(|d| d.get(other));
                let known = down.is_some_and(|(since, planned)| *planned || *since < self.looked);
                let out =
                    balancer.is_some_and(|b| b.keeps_out(section, other)) && self.disturbed < self.looked;
                if known || out {
                    found.push(format!(
                        "{server} is taken out at {at} while {other} {}",
                        if known {
                            "does not serve"
                        } else {
                            "is out there too"
                        }
                    ));
                }
            }
        }
        for what in found {
            self.break_law(&what);
        }
    }

    /// Each balancer has somebody to send to, as long as it had.
    fn somebody_serves(&mut self, found: &mut Vec<String>) {
        let mut now = BTreeSet::new();
        for on in self.desired.balanced.iter().filter(|b| b.members.len() > 1) {
            let stopped = self.stands_still(&on.resource);
            for (host, balancer) in &self.balancers {
                let serves =
                    |m: &HostName| balancer.sends(&on.resource, m) && self.reaches(host, m, &on.resource);
                let key = (host.clone(), on.resource.clone());
                if on.members.iter().any(serves) {
                    now.insert(key);
                } else if self.served.contains(&key) && !stopped && self.disturbed < self.looked {
                    found.push(format!("{host} has nobody to send to for {}", on.resource));
                }
            }
        }
        self.served = now;
    }

    /// Resources that wait for scripts of their service run only when those are done.
    fn only_what_is_made_runs(&mut self, found: &mut Vec<String>) {
        for resource in &self.gated {
            let runs = self.machines.keys().any(|h| self.runs(h, resource));
            let part = self.desired.parts.iter().find(|p| p.resource == *resource);
            let Some(part) = part.filter(|_| runs) else {
                continue;
            };
            let scripts = self.desired.scripts.iter();
            for script in scripts.filter(|s| s.service == part.service && s.asks.is_empty()) {
                let key = format!("script/{}/{}", script.service, script.name);
                if !self.made.contains(&key) {
                    found.push(format!("{resource} runs before {} is done", script.name));
                }
            }
        }
    }

    /// The databases never go back: what was written is there as long as anybody serves.
    fn one_history(&mut self, found: &mut Vec<String>) {
        // Before it is marked as a cloud's nobody has anything in it.
        if self.databases.serving() > 0 && self.databases.owned {
            if self.databases.writes < self.written {
                found.push(format!(
                    "the databases serve at {}, and were at {}",
                    self.databases.writes, self.written
                ));
            }
            self.written = self.databases.writes;
        }
    }

    /// No database is founded twice: none begins anew where one is that was this cloud's.
    pub(crate) fn nothing_is_there(&mut self, host: &str) {
        let mut members = self.databases.members.values();
        if self.databases.owned && members.any(|m| m.born && m.position > 0) {
            self.break_law(&format!("{host} begins a database beside one that is there"));
        }
    }

    /// The brokers forget nobody that is one of them and has its data.
    pub(crate) fn none_of_ours(&mut self, node: &str) {
        let ours = self.queues().is_some_and(|s| s.members.iter().any(|m| m == node));
        if ours && self.broker.data.contains_key(node) {
            self.break_law(&format!(
                "{node} is forgotten by the brokers, and has what it had"
            ));
        }
    }

    /// Members that run count the same votes, or two of their parts might each have quorum.
    /// One that is cut off is not told; it is of another part, as long as it is.
    pub(crate) fn all_count_the_same(&mut self, at: &str) {
        let counts: BTreeSet<Vec<String>> = (self.cluster.loaded.iter())
            .filter(|(host, _)| self.reach(at, host))
            .map(|(_, loaded)| {
                let counted = loaded.votes.iter().filter(|(_, votes)| *votes > 0);
                counted.map(|(name, _)| name.clone()).collect()
            })
            .collect();
        if counts.len() > 1 {
            self.break_law(&format!("members of one cluster count the votes of {counts:?}"));
        }
    }

    /// The brokers that serve are of one cluster.
    fn one_cluster(&mut self, found: &mut Vec<String>) {
        let clusters = self.broker.clusters();
        if clusters.len() > 1 {
            found.push(format!(
                "brokers serve in {} clusters, of {clusters:?}",
                clusters.len()
            ));
        }
    }
}
