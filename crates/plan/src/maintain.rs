//! Taking one host of a cloud that runs out of service, and back: for its reboot,
//! its packages, its hardware. Nothing of the cloud file is changed by it.
//!
//! The cluster's own word for it is standby; the balancers are told before, so
//! that nobody is sent to an instance that is about to stop. It is refused where
//! another member is away already: what is left would be too little. A host that runs VMs is
//! emptied first (`guests`), whether it is a member or not.

use engines::Refusal;
use names::{HostName, ResourceId};
use pacemaker::{Monitor, Resource};
use render::Desired;
use wire::{ClusterWant, Command, Expect, Op, Query, ResourceWant, Wait};

use crate::build::{Planner, step};
use crate::refuse::refuse;
use crate::{Effect, Observed, Plan, StepId, guests, look, quorate};

/// Everything on a host may take so long to stop, in milliseconds: what one
/// instance may.
const STOP_MS: u64 = 320_000;

/// What is done to a host that is out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing: it stays so.
    Drain,
    /// It is started anew.
    Reboot,
    /// Its packages are brought to what its sources have.
    Update,
}

/// Nothing to fill in: no file is compared here.
fn no_digest(_: &[u8]) -> String {
    String::new()
}

/// Hosts that the cluster has out of service by order.
pub fn drained(observed: &Observed) -> Vec<String> {
    let nodes = quorate(observed).map(|m| m.nodes).unwrap_or_default();
    let away = nodes.into_iter().filter(|n| n.standby && n.online);
    away.map(|n| n.name).collect()
}

fn reasons(
    desired: &Desired,
    observed: &Observed,
    monitor: Option<&Monitor>,
    host: &HostName,
) -> Vec<Refusal> {
    let mut out = Vec::new();
    if !desired.is_member(host) && !guests::can_move(desired, host) {
        let runs = desired.hosts.get(host).is_some_and(|h| !h.guests.is_empty());
        let why = if runs {
            "and the catalogue has no command that moves its VMs"
        } else {
            "nothing of it can be taken elsewhere"
        };
        out.push(refuse(
            "host::not-a-member",
            format!("{host} is not a member of the cluster: {why}"),
            "name a controller".to_owned(),
        ));
        return out;
    }
    let Some(monitor) = monitor else {
        out.push(refuse(
            "host::no-cluster",
            "no host tells of a cluster that is quorate".to_owned(),
            "`quorate status` shows what is left; `quorate recover` brings it back".to_owned(),
        ));
        return out;
    };
    // In maintenance it stops and starts nothing, neither there nor elsewhere.
    let orders = crate::orders::reasons(observed).into_iter();
    out.extend(orders.filter(|r| r.code == "cluster::held"));
    if let Some(Err(why)) = observed.get(host) {
        out.push(refuse(
            "host::unreachable",
            why.clone(),
            format!("switch {host} on first"),
        ));
    }
    if desired.is_member(host) {
        out.extend(others_away(desired, monitor, host));
    }
    out
}

/// Members that are away: another is not taken away beside them.
fn others_away(desired: &Desired, monitor: &Monitor, host: &HostName) -> Vec<Refusal> {
    let mut out = Vec::new();
    for (other, _) in desired.nodes.iter().filter(|(n, _)| n != host) {
        let node = monitor.nodes.iter().find(|n| n.name == *other);
        let state = match node {
            Some(n) if n.standby => "is out of service itself",
            Some(n) if n.online && !n.pending && !n.unclean && !n.maintenance => continue,
            _ => "is not online",
        };
        out.push(refuse(
            "host::another-away",
            format!("{other} {state}: {host} is not taken away beside it"),
            format!("bring {other} back first: `quorate status`, `quorate host resume {other}`"),
        ));
    }
    out
}

/// Reboots a moment later, unless a run before this one has told it to and died.
const REBOOT: &str = "systemctl --quiet is-active quorate-reboot-now.timer quorate-reboot-now.service || \
                      [ \"$(systemctl is-system-running)\" = stopping ] || \
                      exec systemd-run --on-active=2s --unit=quorate-reboot-now systemctl reboot";

/// What is done to a host: its title and operations; none where it only stays out of service.
fn work(planner: &Planner<'_>, host: &HostName, upkeep: Upkeep) -> Option<(String, Vec<Op>)> {
    match upkeep {
        Upkeep::Drain => None,
        // A moment later: the answer has to leave the host before it goes down.
        Upkeep::Reboot => Some((
            format!("reboot {host}"),
            vec![Op::Run(Command::new(
                "quorate-reboot".to_owned(),
                &["sh", "-c", REBOOT],
                30_000,
            ))],
        )),
        Upkeep::Update => {
            let mut ops = vec![Op::Upgrade];
            ops.extend(planner.renew(host));
            Some((format!("update the packages of {host}"), ops))
        }
    }
}

/// A host of the cloud by its name, with the cluster, where nothing is against touching it.
fn touched<'d>(
    desired: &'d Desired,
    observed: &Observed,
    host: &str,
    more: impl Fn(&HostName) -> Vec<Refusal>,
) -> Result<(Monitor, &'d HostName), Vec<Refusal>> {
    let Some((host, _)) = desired.hosts.get_key_value(host) else {
        return Err(vec![refuse(
            "host::not-a-member",
            format!("the cloud has no host {host}"),
            "name a host of the cloud file",
        )]);
    };
    let monitor = quorate(observed);
    let mut reasons = reasons(desired, observed, monitor.as_ref(), host);
    reasons.extend(more(host));
    monitor
        .filter(|_| reasons.is_empty())
        .map(|monitor| (monitor, host))
        .ok_or(reasons)
}

/// Takes a host out of service, its VMs first, and does something to it.
///
/// # Errors
/// All reasons against it; nothing may then be done.
pub fn take_away(
    desired: &Desired,
    observed: &Observed,
    host: &str,
    upkeep: Upkeep,
) -> Result<Plan, Vec<Refusal>> {
    let (monitor, host) = touched(desired, observed, host, |host| {
        guests::reasons(desired, observed, host)
    })?;
    let mut planner = Planner::new(desired, observed, &no_digest);
    let mut last = planner.empty(host, &[]);
    let in_service = desired.is_member(host) && !monitor.nodes.iter().any(|n| *host == n.name && n.standby);
    if in_service {
        let gate = planner.gate(host, &last);
        let all = planner.all_balanced();
        let out = planner.take_out(host, &all, &gate);
        last = planner.standby(&monitor, host, "the operator wants it", &out);
    }
    if let Some((title, ops)) = work(&planner, host, upkeep) {
        let id = StepId::from(format!("upkeep/{host}"));
        let why = "the operator wants it";
        planner
            .steps
            .push(step(id, vec![host.clone()], title, why, ops, last));
    }
    Ok(Plan {
        intent: format!("take {host} out of service"),
        steps: planner.steps,
        ..Plan::default()
    })
}

/// Takes a host back into service. A member that is in service and runs no VMs gives an empty
/// plan; a VM host is asked in any case, since only its service knows whether it takes VMs.
///
/// # Errors
/// All reasons against it.
pub fn take_back(desired: &Desired, observed: &Observed, host: &str) -> Result<Plan, Vec<Refusal>> {
    let (monitor, host) = touched(desired, observed, host, |_| Vec::new())?;
    let mut planner = Planner::new(desired, observed, &no_digest);
    let mut last = Vec::new();
    if desired.is_member(host) && monitor.nodes.iter().any(|n| *host == n.name && n.standby) {
        let id = StepId::from(format!("service/{host}"));
        let words = [
            "crm_attribute",
            "--node",
            host,
            "--name",
            "standby",
            "--delete",
            "--lifetime",
            "forever",
        ];
        let run = Op::Run(Command::new(format!("quorate-service-{host}"), &words, 60_000));
        let mut ops = vec![run];
        ops.extend(planner.gates(host));
        let title = format!("take {host} back into service");
        let mut s = step(
            id.clone(),
            vec![host.clone()],
            title,
            "it is out of service",
            ops,
            Vec::new(),
        );
        s.effects = vec![Effect::Starts { host: host.clone() }];
        planner.steps.push(s);
        let all = planner.all_balanced();
        last = planner.let_in(host, &all, vec![id]);
    }
    planner.fill(host, last);
    Ok(Plan {
        intent: format!("take {host} back into service"),
        steps: planner.steps,
        ..Plan::default()
    })
}

impl Planner<'_> {
    fn all_balanced(&self) -> Vec<ResourceId> {
        self.desired.balanced.iter().map(|b| b.resource.clone()).collect()
    }

    /// The waits for all others to be whole, after some steps: what the cluster and their
    /// balancers tell of them, and what the members of the stores on them say themselves.
    pub(crate) fn gate(&mut self, host: &HostName, before: &[StepId]) -> Vec<StepId> {
        let gate = StepId::from(format!("gate/{host}"));
        self.steps.push(step(
            gate.clone(),
            vec![host.clone()],
            format!("wait for all hosts but {host} to be whole"),
            "they have to serve without it",
            self.others(host),
            before.to_vec(),
        ));
        let mut gates = vec![gate];
        // A member that is being given a copy is promoted, and serves nobody.
        for other in self.nodes().into_iter().filter(|n| n != host) {
            let stores = look::stores_on(self.desired, &other).filter(|s| self.managed(&s.resource));
            let waits: Vec<Wait> = stores.flat_map(|store| engines::serves(store, host)).collect();
            if waits.is_empty() {
                continue;
            }
            let gate = StepId::from(format!("gate/{host}/{other}"));
            self.steps.push(step(
                gate.clone(),
                vec![other.clone()],
                format!("wait for what {other} stores to serve, before {host} is touched"),
                "they have to serve without it",
                waits.into_iter().map(Op::Wait).collect(),
                before.to_vec(),
            ));
            gates.push(gate);
        }
        gates
    }

    /// Has the cluster run nothing on a host any more, after some steps. Gives the last.
    pub(crate) fn standby(
        &mut self,
        monitor: &Monitor,
        host: &HostName,
        why: &str,
        before: &[StepId],
    ) -> Vec<StepId> {
        let here = |id: &str| {
            let mut all = monitor.resources.iter();
            all.any(|r| r.id == id && r.is_on(host) && r.role != "Stopped")
        };
        let want = |id: &str, role: &str, count: u32, node: &str| ResourceWant {
            id: id.into(),
            role: role.to_owned(),
            count,
            node: node.to_owned(),
        };
        let mut resources = Vec::new();
        for resource in &self.desired.cib.resources {
            let id = &resource.primitive().id;
            if here(id) {
                resources.push(want(id, "Stopped", 0, host));
                if matches!(resource, Resource::Primitive(_)) {
                    resources.push(want(id, "Started", 1, ""));
                }
            }
        }
        let gone = Wait {
            what: format!("{host} runs nothing of the cluster's"),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant {
                online: 0,
                resources,
                idle: false,
            }),
            timeout_ms: STOP_MS,
            every_ms: 200,
        };
        let words = [
            "crm_attribute",
            "--node",
            host,
            "--name",
            "standby",
            "--update",
            "on",
            "--lifetime",
            "forever",
        ];
        let run = Op::Run(Command::new(format!("quorate-standby-{host}"), &words, 60_000));
        let id = StepId::from(format!("standby/{host}"));
        let mut s = step(
            id.clone(),
            vec![host.clone()],
            format!("take {host} out of service"),
            why,
            vec![run, Op::Wait(gone)],
            before.to_vec(),
        );
        let mut services: Vec<String> = self
            .desired
            .vips
            .iter()
            .filter(|v| here(&v.resource))
            .map(|v| v.service.clone())
            .collect();
        services.dedup();
        s.effects = vec![Effect::Standby {
            host: host.clone(),
            services,
        }];
        self.steps.push(s);
        vec![id]
    }
}
