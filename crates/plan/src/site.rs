//! Switching a whole site off in order, so that it comes back with everything.
//!
//! Machines of users shut down first, then the hosts that run them go; the balancers send
//! nobody to an API any more; then the members stop what they run, one after the other, and
//! only when all have stopped they lose their power. Corosync stays up until then, so that
//! no store is stopped for want of quorum. The member that stops last has every write.

use std::collections::BTreeMap;

use engines::Refusal;
use names::HostName;
use render::{Desired, DesiredUnit, UnitRun};
use wire::{Command, Fact, Op, ServerState, UnitChange};

use crate::build::step;
use crate::refuse::refuse;
use crate::roll::balance;
use crate::{Observed, Plan, Step, StepId, away, orders, quorate};

/// Names of the machines that run on each host, or why they are not known.
pub type Machines = BTreeMap<HostName, Result<Vec<String>, String>>;

/// Everything on a member may take so long to stop, in milliseconds: its resources one
/// after the other.
const STOP_MS: u64 = 900_000;

/// A moment later, so that the answer leaves the host before it goes down.
const POWER_OFF: &str = "systemctl --quiet is-active quorate-power-off.timer quorate-power-off.service || \
                         [ \"$(systemctl is-system-running)\" = stopping ] || \
                         exec systemd-run --on-active=2s --unit=quorate-power-off systemctl poweroff";

/// A site that is switched off: what is done, and who goes last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteOff {
    /// The steps.
    pub plan: Plan,
    /// The member that stops last, and so has the newest data; none where nothing runs.
    pub last: Option<HostName>,
}

/// Members in the order in which they stop: first those of whose stores one does not serve,
/// last the first of the cloud file that is well.
fn order(desired: &Desired, observed: &Observed) -> Vec<HostName> {
    let seen = engines::seen(observed);
    let stores: Vec<_> = desired
        .stores
        .iter()
        .map(|s| engines::members(s, &seen))
        .collect();
    let ill = |host: &str| {
        let mut all = stores.iter().flatten();
        all.any(|m| m.host == host && !m.healthy)
    };
    let mut out: Vec<HostName> = desired.nodes.iter().rev().map(|(host, _)| host.clone()).collect();
    out.sort_by_key(|host| !ill(host));
    out
}

/// True if no member runs the cluster manager: a run before this one stopped it, or somebody.
fn is_stopped(desired: &Desired, observed: &Observed) -> bool {
    let mut members = desired.nodes.iter();
    members.all(|(host, _)| matches!(observed.get(host), Some(Ok(f)) if f.cluster == Fact::Absent))
}

fn reasons(desired: &Desired, observed: &Observed, stopped: bool) -> Vec<Refusal> {
    let mut out = Vec::new();
    for host in desired.hosts.keys() {
        let why = match observed.get(host) {
            Some(Ok(_)) => continue,
            Some(Err(why)) => why.clone(),
            None => format!("{host} was not asked"),
        };
        out.push(refuse(
            "host::unreachable",
            why,
            format!(
                "{host} may run machines, or hold newer data than the others: bring it back first; where it is \
                 out of order, cut its power and write `away: REASON` for it into the cloud file"
            ),
        ));
    }
    if stopped {
        return out;
    }
    // In maintenance the cluster manager leaves everything running when it ends.
    out.extend(
        orders::reasons(observed)
            .into_iter()
            .filter(|r| r.code == "cluster::held"),
    );
    if quorate(observed).is_none() {
        out.push(refuse(
            "host::no-cluster",
            "no host tells of a cluster that is quorate: it is not known which member has the newest data"
                .to_owned(),
            "`quorate recover` first; `quorate status` shows what is left",
        ));
        return out;
    }
    let seen = engines::seen(observed);
    for store in &desired.stores {
        if !engines::members(store, &seen).iter().any(|m| m.healthy) {
            out.push(refuse(
                "power::store-down",
                format!(
                    "no member of {} serves: it is not known which has the newest data",
                    store.resource
                ),
                "`quorate recover` first",
            ));
        }
    }
    out
}

/// Steps under construction, each after all that stand before it.
struct Steps<'a> {
    desired: &'a Desired,
    all: Vec<Step>,
    /// Ids that the next ones go after.
    base: Vec<StepId>,
}

impl Steps<'_> {
    fn add(&mut self, id: StepId, host: &HostName, title: String, why: &str, ops: Vec<Op>) -> StepId {
        let base = self.base.clone();
        self.all
            .push(step(id.clone(), vec![host.clone()], title, why, ops, base));
        id
    }

    /// Has the machines of users on a host shut down.
    fn guests(&mut self, host: &HostName, machines: &Machines) -> Vec<StepId> {
        let Some(wanted) = self.desired.hosts.get(host) else {
            return Vec::new();
        };
        let how = match machines.get(host) {
            Some(Ok(names)) if names.is_empty() => "no machine runs there".to_owned(),
            Some(Ok(names)) => format!("{} run there: {}", names.len(), names.join(", ")),
            Some(Err(why)) => format!("it is not known which run there: {why}"),
            None => "it was not asked which run there".to_owned(),
        };
        let mut out = Vec::new();
        for guests in &wanted.guests {
            let words: Vec<&str> = guests.shut.iter().map(String::as_str).collect();
            let unit = format!("quorate-guests-{}", guests.service);
            let run = Op::Run(Command::new(unit, &words, guests.timeout * 1000));
            let title = format!("shut down the machines of {} on {host}", guests.service);
            let id = StepId::from(format!("guests/{}/{host}", guests.service));
            out.push(self.add(id, host, title, &how, vec![run]));
        }
        out
    }

    fn power_off(&mut self, host: &HostName, why: &str) -> StepId {
        let run = Command::new("quorate-off".to_owned(), &["sh", "-c", POWER_OFF], 30_000);
        let title = format!("switch {host} off");
        self.add(
            StepId::from(format!("off/{host}")),
            host,
            title,
            why,
            vec![Op::Run(run)],
        )
    }

    /// The balancers send nobody to an API any more; requests under way end. Databases stay
    /// for those.
    fn quiesce(&mut self) -> Vec<StepId> {
        let apis = self.desired.balanced.iter().filter(|b| !b.single_writer);
        let servers: Vec<String> = apis
            .flat_map(|b| b.members.iter().flat_map(|host| b.servers(host)))
            .collect();
        if servers.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::new();
        for at in self.desired.balancers.clone() {
            let ops = vec![balance(servers.clone(), ServerState::Drain)];
            let title = format!("send nobody to any API, at {at}");
            out.push(self.add(
                StepId::from(format!("quiesce/{at}")),
                &at,
                title,
                "requests under way end first",
                ops,
            ));
        }
        out
    }

    /// Waits for the member that stops last to have every write, before another stops. It may
    /// have lost the others for a moment since it was looked at, and be getting a copy.
    fn gate(&mut self, host: &HostName, last: &HostName) -> StepId {
        let store = self.desired.sql_store();
        let waits = store
            .map(|store| engines::serves(store, host))
            .unwrap_or_default();
        let ops = waits.into_iter().map(Op::Wait).collect();
        let title = format!("wait for what {last} stores to serve, before {host} stops");
        let why = "it stops last, with every write";
        self.add(StepId::from(format!("gate/{host}")), last, title, why, ops)
    }

    /// Stops what a member runs: by systemd, then by the cluster.
    fn stop(&mut self, host: &HostName, why: &str) -> StepId {
        let units = self.desired.hosts.get(host).into_iter().flat_map(|h| &h.units);
        let own = |u: &&DesiredUnit| u.run == UnitRun::Systemd && !u.resource.is_empty();
        let changes: Vec<UnitChange> = units
            .filter(own)
            .map(|u| UnitChange {
                unit: u.unit.clone(),
                active: Some(false),
                ..UnitChange::default()
            })
            .collect();
        let mut ops = Vec::new();
        if !changes.is_empty() {
            ops.push(Op::Units(changes));
        }
        let words = ["systemctl", "stop", "pacemaker.service"];
        ops.push(Op::Run(Command::new(
            "quorate-stop-cluster".to_owned(),
            &words,
            STOP_MS,
        )));
        let title = format!("stop everything on {host}");
        self.add(StepId::from(format!("stop/{host}")), host, title, why, ops)
    }
}

/// Switches every host of a cloud off, in order. Hosts that are away by the cloud file are
/// left out.
///
/// # Errors
/// All reasons against it; nothing may then be done.
pub fn switch_off(
    desired: &Desired,
    observed: &Observed,
    machines: &Machines,
) -> Result<SiteOff, Vec<Refusal>> {
    let around = desired.without(&away::apart(desired, observed));
    let desired = &around;
    let stopped = is_stopped(desired, observed);
    let reasons = reasons(desired, observed, stopped);
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let members = order(desired, observed);
    let (run_machines, others): (Vec<&HostName>, Vec<&HostName>) = desired
        .hosts
        .keys()
        .partition(|host| desired.hosts.get(*host).is_some_and(|h| !h.guests.is_empty()));
    let mut steps = Steps {
        desired,
        all: Vec::new(),
        base: Vec::new(),
    };
    let mut first = Vec::new();
    for host in run_machines {
        let mut last = steps.guests(host, machines);
        if !desired.is_member(host) {
            steps.base = last;
            last = vec![steps.power_off(host, "it runs nothing any more")];
            steps.base.clear();
        }
        first.extend(last);
    }
    steps.base = first;
    let mut last = None;
    if !stopped {
        let quiet = steps.quiesce();
        steps.base.extend(quiet);
        last = members.last().cloned();
        for host in &members {
            let why = match &last {
                Some(last) if last != host => {
                    if desired.sql_store().is_some() {
                        steps.base = vec![steps.gate(host, last)];
                    }
                    "the others hold what it holds"
                }
                _ => "it is the last: it has every write",
            };
            steps.base = vec![steps.stop(host, why)];
        }
    }
    for host in others.into_iter().filter(|h| !desired.is_member(h)) {
        let off = steps.power_off(host, "nobody needs it any more");
        steps.base.push(off);
    }
    for host in &members {
        steps.base = vec![steps.power_off(host, "it runs nothing any more")];
    }
    Ok(SiteOff {
        plan: Plan {
            intent: "power off".to_owned(),
            explain: told(desired, &members, last.as_deref()),
            steps: steps.all,
            ..Plan::default()
        },
        last,
    })
}

/// The meaning of the whole, before its steps.
fn told(desired: &Desired, members: &[HostName], last: Option<&str>) -> Vec<String> {
    let mut out = vec![format!(
        "all {} hosts are switched off: nothing of the cloud answers until `quorate power on`",
        desired.hosts.len()
    )];
    if let Some(last) = last {
        out.push(format!(
            "members stop in the order {}; {last} stops last and has the newest data",
            members.join(", ")
        ));
    }
    out
}
