//! What changes under running instances: host by host, each gated by the health
//! of all the others before it is touched and of itself afterwards (law 9).
//!
//! A host's turn: all others are known to be whole, the balancers send nobody there any
//! more, its instances are stopped and started through the cluster manager, and once all is whole again
//! the balancers let them in. What can read its files without being restarted is
//! told to, by itself and before: a balancer that is told so has forgotten who
//! was taken out.
//!
//! Not `crm_resource --restart`: it looks every two seconds, twice a restart.

use indexmap::IndexSet;
use names::{HostName, ResourceId};
use pacemaker::{Cib, Resource};
use render::{DesiredBalanced, DesiredUnit, Reader, UnitRun};
use wire::{
    Balance, ClusterWant, Command, Expect, Fact, FileWrite, Op, Query, ResourceWant, ServerState, UnitChange,
    Wait,
};

use crate::build::{Planner, step};
use crate::cluster::wanted_role;
use crate::instances::{is_instance, is_up};
use crate::{Change, Effect, StepId, look};

/// Files of running instances, and who has to take them up.
#[derive(Default)]
pub(crate) struct Files {
    writes: Vec<FileWrite>,
    readers: IndexSet<Reader>,
    changes: Vec<Change>,
}

impl Files {
    /// Those who have to take them up.
    pub(crate) fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.readers.iter()
    }

    /// Resources of those whose instances are meant, and not units.
    pub(crate) fn resources(&self) -> Vec<ResourceId> {
        self.readers().filter_map(Reader::resource).cloned().collect()
    }

    /// Their place.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.writes.iter().map(|f| f.path.as_str())
    }

    pub(crate) fn add(&mut self, file: &FileWrite, readers: &[Reader], change: Change) {
        self.writes.push(file.clone());
        self.readers.extend(readers.iter().cloned());
        self.changes.push(change);
    }
}

/// What is changed on one host under running instances.
pub(crate) struct Rolling {
    pub(crate) host: HostName,
    /// What is read by instances that are restarted for it.
    pub(crate) restarts: Files,
    /// What is read by instances that are told to read it.
    pub(crate) reloads: Files,
}

impl Rolling {
    pub(crate) fn of(host: &HostName) -> Self {
        Self {
            host: host.clone(),
            restarts: Files::default(),
            reloads: Files::default(),
        }
    }

    /// Whether it writes a file.
    pub(crate) fn writes(&self, path: &str) -> bool {
        let mut all = self.restarts.writes.iter().chain(&self.reloads.writes);
        all.any(|f| f.path == path)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.restarts.writes.is_empty() && self.reloads.writes.is_empty()
    }
}

/// How long the others may take to be whole before a host is touched, in
/// milliseconds. They were when they were looked at; what takes longer is broken.
const OTHERS_MS: u64 = 60_000;
/// How long requests under way may take to end before their instance is stopped,
/// in milliseconds: an API's longest, by far, and below HAProxy's own 60 s.
const DRAIN_MS: u64 = 15_000;
/// How long an instance that runs may take until the balancers find it good, in
/// milliseconds: two checks half a second apart, on a machine that is very busy.
const UP_MS: u64 = 60_000;
/// How long an instance may take to stop or to start, in milliseconds: a broker
/// that finds its peers may take 300 s.
const RESTART_MS: u64 = 320_000;

impl Planner<'_> {
    /// One host after the other, after some steps. Extends what all else waits for.
    pub(crate) fn roll(&mut self, mut hosts: Vec<Rolling>, base: &[StepId]) {
        // Who has nothing to lose goes first: it may be what the others wait for.
        hosts.sort_by_key(|r| self.idle_instances(&r.host) == 0);
        let mut before = base.to_vec();
        let mut last = Vec::new();
        // A balancer that runs with another's file knows none of the servers that it is told
        // to leave alone: all read theirs before a host is taken out.
        let reloads = hosts
            .iter_mut()
            .map(|r| (r.host.clone(), std::mem::take(&mut r.reloads)));
        let reloads: Vec<(HostName, Files)> = reloads.filter(|(_, files)| !files.writes.is_empty()).collect();
        for (host, files) in reloads {
            last = self.turn_reload(&host, files, &before);
            before.clone_from(&last);
        }
        for Rolling { host, restarts, .. } in hosts {
            if !restarts.writes.is_empty() {
                last = self.turn_restart(&host, restarts, &before);
                before.clone_from(&last);
            }
        }
        self.prepared.extend(last);
    }

    fn turn_reload(&mut self, host: &HostName, files: Files, before: &[StepId]) -> Vec<StepId> {
        let units = self.units(host, &files.readers);
        let mut ops = self.others(host);
        ops.push(Op::Files(files.writes));
        ops.push(Op::Units(
            units
                .iter()
                .map(|unit| UnitChange {
                    unit: unit.clone(),
                    reload: true,
                    ..UnitChange::default()
                })
                .collect(),
        ));
        ops.extend(self.gates(host));
        let id = StepId::from(format!("reload/{host}"));
        let mut s = step(
            id.clone(),
            vec![host.clone()],
            format!(
                "change {host}, where {} reads it without a restart",
                units.join(", ")
            ),
            "files of running services differ",
            ops,
            before.to_vec(),
        );
        s.changes = files.changes;
        s.effects = units
            .into_iter()
            .map(|unit| Effect::Reload {
                unit,
                host: host.clone(),
            })
            .collect();
        self.steps.push(s);
        vec![id]
    }

    fn turn_restart(&mut self, host: &HostName, files: Files, before: &[StepId]) -> Vec<StepId> {
        let mut resources = files.resources();
        resources.retain(|r| self.instance_runs(r, host));
        let units: Vec<String> = files
            .readers()
            .filter_map(Reader::unit)
            .map(str::to_owned)
            .collect();
        let names: Vec<&str> = files.readers.iter().map(Reader::name).collect();
        let (by_systemd, by_cluster): (Vec<ResourceId>, Vec<ResourceId>) = resources
            .iter()
            .cloned()
            .partition(|r| self.instance(r, host).is_some());
        let mut ops = if self.is_member(host) {
            self.others(host)
        } else {
            Vec::new()
        };
        ops.push(Op::Files(files.writes));
        ops.extend(units.iter().map(|unit| {
            Op::Units(vec![UnitChange {
                unit: unit.clone(),
                restart: true,
                ..UnitChange::default()
            }])
        }));
        ops.extend(self.restart(&by_cluster, host));
        ops.extend(self.restart_instances(&by_systemd, host));
        ops.extend(self.gates(host));
        // Before anybody is sent away from here: should another be down, this may be the last.
        let mut before = before.to_vec();
        if self.is_member(host) || !self.servers(host, &resources).is_empty() {
            before.extend(self.gate(host, &before));
        }
        let before = self.take_out(host, &resources, &before);
        let id = StepId::from(format!("change/{host}"));
        let mut s = step(
            id.clone(),
            vec![host.clone()],
            format!("change {host}, restarting {} there", names.join(", ")),
            "files of running services differ",
            ops,
            before,
        );
        s.changes = files.changes;
        s.effects = resources
            .iter()
            .map(|resource| Effect::Restart {
                resource: resource.clone(),
                host: host.clone(),
            })
            .collect();
        self.steps.push(s);
        self.let_in(host, &resources, vec![id])
    }

    /// What the balancers can take a host out of, of these resources. Where nobody else
    /// is behind them, to send nobody there would only be an outage more.
    pub(crate) fn servers<'d>(&'d self, host: &str, resources: &[ResourceId]) -> Vec<&'d DesiredBalanced> {
        let all = self.desired.balanced.iter();
        all.filter(|b| b.members.len() > 1 && b.members.iter().any(|m| m == host))
            .filter(|b| resources.contains(&b.resource))
            .collect()
    }

    /// Takes a host's servers out of every balancer. Gives the steps after which that is done.
    pub(crate) fn take_out(
        &mut self,
        host: &str,
        resources: &[ResourceId],
        before: &[StepId],
    ) -> Vec<StepId> {
        let servers = self.servers(host, resources);
        let (writers, others): (Vec<_>, Vec<_>) = servers.into_iter().partition(|b| b.single_writer);
        let named = |all: &[&DesiredBalanced]| all.iter().flat_map(|b| b.servers(host)).collect::<Vec<_>>();
        let title: Vec<String> = (others.iter().chain(&writers))
            .map(|b| format!("{}/{host}", b.resource))
            .collect();
        let mut ops = Vec::new();
        if !others.is_empty() {
            ops.push(balance(named(&others), ServerState::Drain));
        }
        if !writers.is_empty() {
            // Its table would keep a drained one: those who have it would stay.
            ops.push(balance(named(&writers), ServerState::Maint));
        }
        if ops.is_empty() {
            return before.to_vec();
        }
        let title = format!("send nobody to {}", title.join(", "));
        self.at_balancers("drain", host, &title, &|_| ops.clone(), before)
    }

    /// Lets a host's servers in again.
    pub(crate) fn let_in(
        &mut self,
        host: &str,
        resources: &[ResourceId],
        before: Vec<StepId>,
    ) -> Vec<StepId> {
        let servers = self.servers(host, resources);
        if servers.is_empty() {
            return before;
        }
        let title: Vec<String> = servers.iter().map(|b| format!("{}/{host}", b.resource)).collect();
        let title = format!("let {} in again", title.join(", "));
        let servers: Vec<String> = servers.iter().flat_map(|b| b.servers(host)).collect();
        let ops = [balance(servers, ServerState::Ready)];
        self.at_balancers("resume", host, &title, &|_| ops.to_vec(), &before)
    }

    /// Operations at each balancer that has any.
    pub(crate) fn at_balancers(
        &mut self,
        verb: &str,
        host: &str,
        title: &str,
        ops: &dyn Fn(&str) -> Vec<Op>,
        before: &[StepId],
    ) -> Vec<StepId> {
        let mut out = Vec::new();
        for at in self.desired.balancers.clone() {
            let ops = ops(&at);
            if ops.is_empty() {
                continue;
            }
            let id = StepId::from(format!("{verb}/{host}/{at}"));
            self.steps.push(step(
                id.clone(),
                vec![at.clone()],
                format!("{title}, at {at}"),
                "the host is about to be changed",
                ops,
                before.to_vec(),
            ));
            out.push(id);
        }
        out
    }

    /// The units by which systemd runs these readers on a host.
    fn units(&self, host: &str, readers: &IndexSet<Reader>) -> Vec<String> {
        let Some(wanted) = self.desired.hosts.get(host) else {
            return Vec::new();
        };
        let named = readers.iter().filter_map(Reader::unit);
        let is_run = |u: &&DesiredUnit| readers.iter().any(|r| r.resource() == Some(&u.resource));
        let run = wanted.units.iter().filter(is_run);
        named
            .map(str::to_owned)
            .chain(run.map(|u| u.unit.clone()))
            .collect()
    }

    /// How many instances of a host do not run there. What may exist only once is no
    /// host's own.
    fn idle_instances(&self, host: &str) -> usize {
        let wanted = self.desired.hosts.get(host);
        let once = |id: &str| {
            let mut all = self.desired.cib.resources.iter();
            all.any(|r| matches!(r, Resource::Primitive(p) if p.id == id))
        };
        let units = wanted.iter().flat_map(|w| &w.units);
        units
            .filter(|u| is_instance(u) || (u.run == UnitRun::Cluster && self.managed(&u.resource)))
            .filter(|u| !once(&u.resource) && !self.instance_runs(&u.resource, host))
            .count()
    }

    /// Whether the cluster has a resource in its configuration.
    pub(crate) fn managed(&self, resource: &str) -> bool {
        self.configured.contains(resource)
    }

    /// What the cluster has in its configuration already, as it should be, and fence
    /// devices: it starts nothing any more where fencing is wanted and there are none.
    pub(crate) fn managed_layer(&self) -> Cib {
        let fences = |id: &str| {
            let mut all = self.desired.cib.resources.iter().map(Resource::primitive);
            all.any(|p| p.id == id && p.is_fence_device())
        };
        self.desired.cib.only(&|id| fences(id) || self.managed(id))
    }

    pub(crate) fn instance_runs(&self, resource: &str, host: &str) -> bool {
        if let Some(unit) = self.instance(resource, host) {
            let fact = self.facts(host).and_then(|f| f.units.get(&unit.unit)?.known());
            return fact.is_some_and(|now| is_up(&now.active));
        }
        self.monitors.get(host).is_some_and(|monitor| {
            monitor
                .resources
                .iter()
                .any(|r| r.id == resource && r.is_on(host) && r.role != "Stopped")
        })
    }

    /// What must hold before the next host is touched (law 9).
    pub(crate) fn gates(&self, host: &str) -> Vec<Op> {
        if !self.is_member(host) {
            return self.units_up(host);
        }
        let mut out: Vec<Op> = look::stores_on(self.desired, host)
            .flat_map(engines::whole)
            .map(Op::Wait)
            .collect();
        // What enters the cluster later in this plan is not waited for here.
        out.push(Op::Wait(self.settled(&self.managed_layer())));
        out.extend(self.instances_serve(host));
        out
    }

    /// The waits for a host's own units, where there is no cluster to ask. A unit that is
    /// not there yet is started by the next plan, so nobody waits for it in this one.
    pub(crate) fn units_up(&self, host: &str) -> Vec<Op> {
        let wanted = self.desired.hosts.get(host).into_iter().flat_map(|w| &w.units);
        let up = |unit: &String| {
            let argv = ["systemctl", "is-active", "--quiet", unit].map(str::to_owned);
            Op::Wait(Wait {
                what: format!("{unit} is up"),
                query: Query::Run {
                    argv: argv.to_vec(),
                    timeout_ms: 5_000,
                },
                expect: Expect::Exit(0),
                timeout_ms: 60_000,
                every_ms: 300,
            })
        };
        let fact = |unit: &str| self.facts(host)?.units.get(unit);
        wanted
            .filter(|u| u.run == UnitRun::Systemd && !matches!(fact(&u.unit), Some(Fact::Absent)))
            .map(|u| up(&u.unit))
            .collect()
    }

    /// All hosts but one serve what they should: it may be taken away then.
    pub(crate) fn others(&self, host: &str) -> Vec<Op> {
        let others = self.desired.hosts.keys().filter(|h| *h != host);
        std::iter::once(Op::Wait(self.others_whole(host)))
            .chain(others.flat_map(|h| [self.instances_serve(h), self.balanced_serve(h)].concat()))
            .collect()
    }

    /// All hosts but one run what they should in the cluster.
    fn others_whole(&self, host: &str) -> Wait {
        let cib = self.managed_layer();
        let mut resources = Vec::new();
        for resource in &cib.resources {
            let Resource::Clone(clone) = resource else {
                continue;
            };
            let banned = |node: &str| {
                cib.locations
                    .iter()
                    .any(|l| l.resource == resource.id() && l.node == node && l.score == "-INFINITY")
            };
            for (node, _) in self.desired.nodes.iter().filter(|(n, _)| n != host) {
                if !banned(node) {
                    resources.push(ResourceWant {
                        id: clone.primitive.id.clone(),
                        role: wanted_role(clone).to_owned(),
                        count: 1,
                        node: node.to_string(),
                    });
                }
            }
        }
        let member = self.is_member(host);
        let online = self.desired.nodes.len() - usize::from(member);
        Wait {
            what: format!("all other hosts are whole, before {host} is touched"),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant {
                online: u32::try_from(online).unwrap_or(u32::MAX),
                resources,
                idle: false,
            }),
            timeout_ms: OTHERS_MS,
            every_ms: 300,
        }
    }

    /// Stops and starts instances on one host through the cluster manager.
    fn restart(&self, resources: &[ResourceId], host: &str) -> Vec<Op> {
        if resources.is_empty() {
            return Vec::new();
        }
        let clone_of = |id: &ResourceId| {
            let all = self.desired.cib.resources.iter();
            let found = all.map(|r| (r.primitive().id.as_str(), r.id()));
            found
                .filter(|(primitive, _)| *primitive == id.as_str())
                .map(|(_, clone)| clone)
                .next()
                .unwrap_or_else(|| id.clone())
        };
        // Should nobody come to lift it, it ends by itself.
        let ban = |r: &ResourceId| {
            let clone = clone_of(r);
            let words = [
                "--ban",
                "--resource",
                clone.as_str(),
                "--node",
                host,
                "--lifetime",
                "PT20M",
            ];
            cluster_tool(format!("quorate-stop-{r}"), &words)
        };
        let clear = |r: &ResourceId| {
            let clone = clone_of(r);
            let words = ["--clear", "--resource", clone.as_str(), "--node", host];
            cluster_tool(format!("quorate-start-{r}"), &words)
        };
        let names = resources.join(", ");
        let stopped = Wait {
            what: format!("{names} stopped on {host}"),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant {
                online: 0,
                resources: resources
                    .iter()
                    .map(|id| ResourceWant {
                        id: id.clone(),
                        role: "Stopped".to_owned(),
                        count: 0,
                        node: host.to_owned(),
                    })
                    .collect(),
                idle: false,
            }),
            timeout_ms: RESTART_MS,
            every_ms: 150,
        };
        let mut ops: Vec<Op> = resources.iter().map(ban).collect();
        ops.push(Op::Wait(stopped));
        ops.extend(resources.iter().map(clear));
        ops
    }
}

pub(crate) fn balance(servers: Vec<String>, state: ServerState) -> Op {
    Op::Balance(Balance {
        socket: render::BALANCER_SOCKET.to_owned(),
        servers,
        state,
        wait_ms: if state == ServerState::Ready {
            UP_MS
        } else {
            DRAIN_MS
        },
    })
}

fn cluster_tool(unit: String, words: &[&str]) -> Op {
    // Without it, a ban warns of itself at length.
    let argv: Vec<&str> = ["crm_resource", "--quiet"]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    Op::Run(Command::new(unit, &argv, 60_000))
}

/// Forgets that a resource failed on a host.
pub(crate) fn cleanup(resource: &str, host: &str) -> Op {
    let words = ["--cleanup", "--resource", resource, "--node", host];
    cluster_tool(format!("quorate-cleanup-{resource}"), &words)
}
