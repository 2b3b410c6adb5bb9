//! What leaves a cloud that runs: services that were taken out of the cloud file,
//! and addresses and other resources that the cluster has and should not.
//!
//! Nothing is remembered for it. What the cluster has too much is the difference
//! of its configuration; which services a host has too many is that of its own
//! account of its cloud, which therefore is written last: a run that was cut off
//! finds what is left to do.
//!
//! Databases are never dropped, and of a broker's users none is taken away.

use std::hash::Hash;

use engines::Refusal;
use indexmap::IndexSet;
use names::HostName;
use pacemaker::{Configured, LiveCib};
use render::{Desired, DesiredAbsent, IDENTITY, UnitRun};
use wire::{Command, FileWrite, Op, UnitChange};

use crate::build::{Planner, step};
use crate::{Change, Observed, StepId};

/// How long the cluster may take to stop what leaves, in ms. Above the timeouts
/// of the stops themselves, of which several may go one after the other.
const STOP_MS: u64 = 600_000;

/// What hosts were told of their cloud where it is not what they are to be told, once each.
pub(crate) fn told<T: Eq + Hash>(
    desired: &Desired,
    observed: &Observed,
    read: impl Fn(&str) -> Option<Vec<T>>,
) -> Vec<T> {
    let mut out: IndexSet<T> = IndexSet::new();
    for (host, wanted) in &desired.hosts {
        let account = wanted.files.iter().find(|f| f.write.path == IDENTITY);
        let facts = observed.get(host).and_then(|facts| facts.as_ref().ok());
        let told = facts
            .and_then(|f| f.files.get(IDENTITY)?.known()?.text.as_deref())
            // The same text as is wanted tells the same: of many hosts few are read.
            .filter(|text| account.is_none_or(|a| *a.write.content != *text.as_bytes()))
            .and_then(&read)
            .unwrap_or_default();
        out.extend(told);
    }
    out.into_iter().collect()
}

/// Services that hosts were told of and the cloud file does not name.
pub(crate) fn services(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut out = told(desired, observed, render::services_told);
    out.retain(|service| !desired.services.contains(service));
    out
}

/// Reasons against planning: what it had is in the catalogue alone.
pub(crate) fn reasons(desired: &Desired, observed: &Observed) -> Vec<Refusal> {
    services(desired, observed)
        .into_iter()
        .filter(|service| !desired.absent.contains_key(service))
        .map(|service| Refusal {
            code: "service::left-unknown",
            message: format!(
                "the hosts have `{service}`, which the cloud file does not name and the catalogue does not \
                 know: what belongs to it cannot be told"
            ),
            cure: "give the catalogue that it came from with `--catalog DIR`, or put it back into `services`"
                .to_owned(),
        })
        .collect()
}

impl Planner<'_> {
    /// Services that leave, with what they have.
    fn leaving(&self) -> Vec<(String, &DesiredAbsent)> {
        let absent = |service: &String| Some((service.clone(), self.desired.absent.get(service)?));
        self.left.iter().filter_map(absent).collect()
    }

    /// Whether a file is written when everything else is done: a host's account of
    /// its cloud, as long as it names what is still there.
    pub(crate) fn held_back(&self, path: &str) -> bool {
        path == IDENTITY && (!self.left.is_empty() || !self.gone.is_empty() || !self.departed.is_empty())
    }

    /// Resources that the cluster has and should not. A unit that systemd is to run
    /// from now on is none, nor is a fence device, which runs nothing.
    fn surplus(&self) -> Vec<Configured> {
        let wanted: Vec<&str> = (self.desired.cib.resources.iter())
            .map(|r| r.primitive().id.as_str())
            .collect();
        let kept = |resource: &Configured| {
            let mut units = self.desired.hosts.values().flat_map(|h| &h.units);
            let unit = resource.unit.as_ref();
            resource.is_fence_device() || unit.is_some_and(|unit| units.any(|u| u.unit == *unit))
        };
        let all = self.cib_now().map(LiveCib::resources).unwrap_or_default();
        let mut all: Vec<Configured> = all
            .iter()
            .filter(|r| !wanted.contains(&r.id.as_str()) && !kept(r))
            .cloned()
            .collect();
        all.dedup_by(|a, b| a.whole == b.whole);
        all
    }

    /// Takes back what services that leave did elsewhere, then has the cluster stop
    /// what it should not have, in its own order: what is deleted while it runs is
    /// an orphan. All of it goes after `gate`.
    /// Gives the step after which it may be taken out of the configuration.
    pub(crate) fn stop_surplus(&mut self, mut gate: Option<StepId>) -> Option<StepId> {
        let undo: Vec<_> = (self.leaving().into_iter())
            .flat_map(|(_, absent)| absent.undo.clone())
            .collect();
        for script in undo {
            let apis = self
                .desired
                .apis
                .iter()
                .filter(|a| script.asks.contains(&a.service));
            let mut ops: Vec<Op> = apis.map(|api| Op::Wait(Self::answers(api))).collect();
            if ops.len() < script.asks.len() {
                // Whom it asks leaves as well, and takes along what it knows.
                continue;
            }
            ops.push(script.op);
            let id = StepId::from(format!("undo/{}/{}", script.service, script.name));
            let title = format!("{}: take back {}", script.service, script.name);
            self.gated_step(&mut gate, id, script.hosts, title, ops);
        }
        let surplus = self.surplus();
        if surplus.is_empty() {
            return gate;
        }
        let mut ops: Vec<Op> = Vec::new();
        for resource in &surplus {
            let argv = ["crm_resource", "--meta", "--resource", &resource.whole];
            let value = ["--set-parameter", "target-role", "--parameter-value", "Stopped"];
            let unit = format!("quorate-stop-{}", resource.whole);
            ops.push(Op::Run(Command::new(
                unit,
                &[&argv[..], &value[..]].concat(),
                60_000,
            )));
        }
        let timeout = format!("{}s", STOP_MS / 1000);
        let wait = ["crm_resource", "--wait", "--timeout", &timeout];
        let unit = "quorate-stop-wait".to_owned();
        ops.push(Op::Run(Command::new(unit, &wait, STOP_MS + 20_000)));
        let names: Vec<&str> = surplus.iter().map(|r| r.id.as_str()).collect();
        let title = format!("stop {} in the cluster", names.join(", "));
        let nodes = self.nodes();
        self.gated_step(&mut gate, "leave/stop".into(), nodes, title, ops);
        gate
    }

    /// A step after the preparation and the gate, which it becomes.
    fn gated_step(
        &mut self,
        gate: &mut Option<StepId>,
        id: StepId,
        hosts: Vec<HostName>,
        title: String,
        ops: Vec<Op>,
    ) {
        let mut after = self.prepared.clone();
        after.extend(gate.replace(id.clone()));
        let why = "the cloud file does not want it any more";
        self.steps.push(step(id, hosts, title, why, ops, after));
    }

    /// Takes off the hosts what services that leave have there, and tells the hosts
    /// that they are gone. `barrier`: more is to come before that.
    pub(crate) fn forget(&mut self, barrier: bool, explain: &mut Vec<String>) {
        for (service, absent) in self.leaving() {
            let mut stays = Vec::new();
            match absent.databases.as_slice() {
                [] => {}
                [one] => stays.push(format!("its database `{one}` and that database's user")),
                several => stays.push(format!("its databases `{}` and their user", several.join("`, `"))),
            }
            if let Some(user) = &absent.broker {
                stays.push(format!("its user `{user}` on the broker"));
            }
            stays.push("its packages".to_owned());
            explain.push(format!(
                "{service} leaves the cloud: {} stay, for you to drop once nobody wants what is in them",
                stays.join(", ")
            ));
        }
        if barrier {
            return;
        }
        let after = self.ends();
        for (host, wanted) in &self.desired.hosts {
            let (mut units, mut files): (Vec<UnitChange>, Vec<String>) = Default::default();
            let mut changes = Vec::new();
            let mut change = |what: String| {
                changes.push(Change {
                    what,
                    glyph: '-',
                    diff: String::new(),
                });
            };
            for (_, absent) in self.leaving() {
                for unit in absent.units.get(host).into_iter().flatten() {
                    change(format!("unit {}", unit.unit));
                    units.push(UnitChange {
                        unit: unit.unit.clone(),
                        active: Some(false),
                        enabled: (unit.run == UnitRun::Systemd).then_some(false),
                        ..UnitChange::default()
                    });
                }
                for path in absent.files.get(host).into_iter().flatten() {
                    change(path.clone());
                    files.push(path.clone());
                }
            }
            let account = wanted.files.iter().find(|f| f.write.path == IDENTITY);
            let account: Vec<FileWrite> = account
                .filter(|_| self.held_back(IDENTITY))
                .filter(|f| {
                    self.facts(host)
                        .is_some_and(|facts| self.file_change(f, facts).is_some())
                })
                .map(|f| f.write.clone())
                .into_iter()
                .collect();
            if account.is_empty() {
                continue;
            }
            // Said again without a wish, so that systemd reads that they are gone.
            let read = units.iter().map(|u| UnitChange {
                unit: u.unit.clone(),
                ..UnitChange::default()
            });
            let read = Op::Units(read.collect());
            let ops = vec![Op::Units(units), Op::Remove(files), read, Op::Files(account)];
            let mut s = step(
                StepId::from(format!("leave/{host}")),
                vec![host.clone()],
                format!("take what is not wanted any more off {host}"),
                "the cloud file does not name its service",
                ops,
                after.clone(),
            );
            s.changes = changes;
            self.steps.push(s);
        }
    }
}
