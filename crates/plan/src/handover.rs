//! Instances that change hands between the cluster and systemd, since the
//! architecture was changed, while they run: nothing is stopped.
//!
//! To systemd: the cluster lets go of them (`is-managed`), systemd is told to
//! run them, and the cluster forgets them. A resource that is taken out of the
//! configuration is stopped by the cluster, also when it was not managed, as
//! long as a member remembers it: so `stop-orphan-resources` is false until the
//! history is gone too. To the cluster: it is told of them without ruling them
//! and finds them running; systemd is told to leave them; then it rules.
//!
//! Every stage is seen in the facts, so a run that died in between is taken up
//! where it was. Nothing else is planned until all have changed hands.

use names::{HostName, ResourceId};
use pacemaker::{Cib, Held, Resource};
use render::{DesiredUnit, UnitRun};
use wire::{CibSection, ClusterWant, Command, Expect, Fact, Op, Query, ResourceWant, UnitChange, Wait};

use crate::build::{Planner, step};
use crate::instances::{is_instance, is_up, serves, started};
use crate::{Change, Plan, StepId};

/// Nothing matches (`CRM_EX_NOSUCH`).
pub(crate) const NO_SUCH: i32 = 105;
/// Sections of the configuration that speak of resources.
pub(crate) const SECTIONS: [&str; 2] = ["resources", "constraints"];

/// What changes hands.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    /// Resources that systemd is to run.
    leaving: Vec<ResourceId>,
    /// Resources that the cluster is to run.
    entering: Vec<ResourceId>,
}

impl Moving {
    /// Nothing changes hands.
    pub(crate) fn is_empty(&self) -> bool {
        self.leaving.is_empty() && self.entering.is_empty()
    }

    /// Whether a unit is among them: until it has changed hands nobody else touches it.
    pub(crate) fn has(&self, unit: &DesiredUnit) -> bool {
        self.leaving.contains(&unit.resource) || self.entering.contains(&unit.resource)
    }
}

/// Whether a file speaks of a unit: it lies in the folder of its drop-ins.
pub(crate) fn speaks_of(path: &str, unit: &DesiredUnit) -> bool {
    path.contains(&format!("/{}.d/", unit.unit))
}

pub(crate) fn let_go(resource: &Resource) -> Resource {
    let mut out = resource.clone();
    let meta = match &mut out {
        Resource::Primitive(p) => &mut p.meta,
        Resource::Clone(c) => &mut c.meta,
    };
    meta.insert("is-managed".to_owned(), "false".to_owned());
    out
}

pub(crate) fn sections(cib: &Cib, names: &[&str]) -> Op {
    let section = |name: &&str| CibSection {
        name: (*name).to_owned(),
        xml: cib.section(name),
    };
    Op::Cib(names.iter().map(section).collect())
}

impl Planner<'_> {
    /// What has to change hands, by what the cluster has and what systemd was told.
    pub(crate) fn moving(&self) -> Moving {
        let Some(cib) = self.cib_now() else {
            return Moving::default();
        };
        let leaving = self.desired.elsewhere.iter().map(|r| &r.primitive().id);
        let entering = self.desired.cib.resources.iter().map(|r| &r.primitive().id);
        Moving {
            leaving: leaving
                .filter(|id| cib.held(id) != Held::Nothing)
                .cloned()
                .collect(),
            entering: entering
                .filter(|id| self.by_systemd(id) && cib.held(id) != Held::Managed)
                .cloned()
                .collect(),
        }
    }

    /// Whether systemd was told on some host to run what the cluster should.
    fn by_systemd(&self, resource: &str) -> bool {
        self.desired.hosts.iter().any(|(host, wanted)| {
            let mut units = wanted.units.iter();
            units.any(|u| u.run == UnitRun::Cluster && u.resource == resource && self.has_told(u, host))
        })
    }

    /// Whether systemd was told on a host to run a unit that is not to be its own.
    fn has_told(&self, unit: &DesiredUnit, host: &str) -> bool {
        let Some((facts, wanted)) = self.facts(host).zip(self.desired.hosts.get(host)) else {
            return false;
        };
        matches!(facts.units.get(&unit.unit), Some(Fact::Known(now)) if now.file == "enabled")
            || wanted
                .absent
                .iter()
                .any(|path| speaks_of(path, unit) && matches!(facts.files.get(path), Some(Fact::Known(_))))
    }

    /// Plans the change of hands; the plan then ends at a barrier.
    pub(crate) fn hand_over(&mut self, out: &mut Plan) {
        let moving = std::mem::take(&mut self.moving);
        out.barrier = true;
        for (ids, from, to) in [
            (&moving.leaving, "Pacemaker", "systemd"),
            (&moving.entering, "systemd", "Pacemaker"),
        ] {
            if !ids.is_empty() {
                out.explain.push(format!(
                    "the architecture differs: what changes hands from {from} to {to} does so while it runs \
                     ({}), and the rest is planned then",
                    ids.join(", ")
                ));
            }
        }
        if !moving.leaving.is_empty() {
            self.give_to_systemd(&moving.leaving);
        }
        if !moving.entering.is_empty() {
            self.give_to_cluster(&moving.entering);
        }
        self.moving = moving;
    }

    /// A step of the cluster's, after the last one.
    pub(crate) fn push(
        &mut self,
        id: &str,
        hosts: Vec<HostName>,
        title: String,
        why: &str,
        changes: Vec<Change>,
        ops: Vec<Op>,
    ) {
        let after = self.steps.last().map(|s| s.id.clone()).into_iter().collect();
        let mut s = step(
            StepId::from(format!("handover/{id}")),
            hosts,
            title,
            why,
            ops,
            after,
        );
        // What differs besides is configured with the first change of resources.
        let configures = |ops: &[Op]| {
            ops.iter()
                .any(|op| matches!(op, Op::Cib(s) if s.iter().any(|s| s.name == "resources")))
        };
        if configures(&s.ops) && !self.steps.iter().any(|s| configures(&s.ops)) {
            s.effects = self.reconfigured();
        }
        s.changes = changes;
        self.steps.push(s);
    }

    fn give_to_systemd(&mut self, ids: &[ResourceId]) {
        let why = "the architecture has systemd run it";
        let names = ids.join(", ");
        let cib = self.cib_now();
        let is = |id: &ResourceId, wanted: &[Held]| cib.is_some_and(|c| wanted.contains(&c.held(id)));
        let configured: Vec<ResourceId> = ids
            .iter()
            .filter(|id| is(id, &[Held::Managed, Held::Unmanaged]))
            .cloned()
            .collect();
        let managed = ids.iter().any(|id| is(id, &[Held::Managed]));
        let without = self.foundation_layer();
        if managed {
            let mut released = without.clone();
            let theirs = self.desired.elsewhere.iter();
            released.resources.extend(
                theirs
                    .filter(|r| configured.contains(&r.primitive().id))
                    .map(let_go),
            );
            let changes = self.sections(&released).1;
            let title = format!("let the cluster go of {names}, which keeps running");
            self.push(
                "release",
                self.nodes(),
                title,
                why,
                changes,
                vec![sections(&released, &SECTIONS)],
            );
        }
        for host in self.desired.hosts.keys() {
            self.take(ids, host);
        }
        let mut forgetful = without.clone();
        forgetful
            .properties
            .insert("stop-orphan-resources".to_owned(), "false".to_owned());
        let mut ops = vec![sections(&forgetful, &["crm_config", "resources", "constraints"])];
        for id in ids {
            ops.extend(forget(id));
        }
        ops.push(sections(&without, &["crm_config"]));
        let mut changes = self.sections(&without).1;
        changes.retain(|c| c.what == "cluster resources");
        let title = format!("let the cluster forget {names}");
        self.push("forget", self.nodes(), title, why, changes, ops);
    }

    /// systemd is told on a host to run what runs there already.
    fn take(&mut self, ids: &[ResourceId], host: &HostName) {
        let (Some(wanted), Some(facts)) = (self.desired.hosts.get(host), self.facts(host)) else {
            return;
        };
        let (mut files, mut gone, mut units, mut changes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut waits = Vec::new();
        for unit in wanted
            .units
            .iter()
            .filter(|u| is_instance(u) && ids.contains(&u.resource))
        {
            for file in wanted.files.iter().filter(|f| speaks_of(&f.write.path, unit)) {
                if let Some(change) = self.file_change(file, facts) {
                    changes.push(change);
                    files.push(file.write.clone());
                }
            }
            gone.extend(
                wanted
                    .absent
                    .iter()
                    .filter(|p| speaks_of(p, unit) && !matches!(facts.files.get(*p), Some(Fact::Absent)))
                    .cloned(),
            );
            if !self.told_and_up(unit, host) {
                changes.push(Change {
                    what: format!("enable {}", unit.unit),
                    glyph: '~',
                    diff: String::new(),
                });
            }
            units.push(started(unit));
            waits.extend(serves(unit, host).map(Op::Wait));
        }
        if changes.is_empty() && gone.is_empty() {
            return;
        }
        let mut ops = vec![Op::Files(files), Op::Remove(gone), Op::Units(units)];
        ops.extend(waits);
        let title = format!("tell systemd on {host} to run {}", ids.join(", "));
        let why = "the cluster does not rule it any more";
        self.push(
            &format!("take/{host}"),
            vec![host.clone()],
            title,
            why,
            changes,
            ops,
        );
    }

    fn give_to_cluster(&mut self, ids: &[ResourceId]) {
        let why = "the architecture has Pacemaker run it";
        let names = ids.join(", ");
        let there = self.foundation_layer();
        let there: Vec<ResourceId> = there.resources.iter().map(|r| r.primitive().id.clone()).collect();
        let ruled = self
            .desired
            .cib
            .only(&|id| ids.iter().any(|i| i == id) || there.iter().any(|i| i == id));
        let mut known = ruled.clone();
        for resource in &mut known.resources {
            if ids.contains(&resource.primitive().id) {
                *resource = let_go(resource);
            }
        }
        let changes = self.sections(&known).1;
        let found = self.found(ids);
        let title = format!("tell the cluster of {names}, which it does not rule yet");
        self.push(
            "adopt",
            self.nodes(),
            title,
            why,
            changes,
            vec![sections(&known, &SECTIONS), Op::Wait(found)],
        );
        for host in self.desired.hosts.keys() {
            self.give(ids, host);
        }
        let title = format!("let the cluster rule {names}");
        let settled = self.settled(&ruled);
        self.push(
            "manage",
            self.nodes(),
            title,
            why,
            Vec::new(),
            vec![sections(&ruled, &SECTIONS), Op::Wait(settled)],
        );
    }

    /// The wait for the cluster to have found what runs: as much as was seen to.
    pub(crate) fn found(&self, ids: &[ResourceId]) -> Wait {
        let runs = |id: &ResourceId, host: &HostName| {
            let wanted = self.desired.hosts.get(host);
            let unit = wanted.and_then(|w| w.units.iter().find(|u| u.resource == *id));
            let facts = self.facts(host).map(|f| &f.units);
            let now = unit.and_then(|u| facts?.get(&u.unit)?.known());
            now.is_some_and(|now| is_up(&now.active))
        };
        let resource = |id: &ResourceId| {
            let count = self.desired.hosts.keys().filter(|h| runs(id, h)).count();
            ResourceWant {
                id: id.clone(),
                role: "Started".to_owned(),
                count: u32::try_from(count).unwrap_or(u32::MAX),
                node: String::new(),
            }
        };
        Wait {
            what: format!("the cluster has found {}", ids.join(", ")),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant {
                online: u32::try_from(self.desired.nodes.len()).unwrap_or(u32::MAX),
                resources: ids.iter().map(resource).collect(),
                idle: false,
            }),
            timeout_ms: 60_000,
            every_ms: 300,
        }
    }

    /// systemd is told on a host to leave what it runs.
    fn give(&mut self, ids: &[ResourceId], host: &HostName) {
        let Some(wanted) = self.desired.hosts.get(host) else {
            return;
        };
        let units: Vec<&DesiredUnit> = wanted
            .units
            .iter()
            .filter(|u| u.run == UnitRun::Cluster && ids.contains(&u.resource) && self.has_told(u, host))
            .collect();
        if units.is_empty() {
            return;
        }
        let left = |unit: &&DesiredUnit| UnitChange {
            unit: unit.unit.clone(),
            enabled: Some(false),
            ..UnitChange::default()
        };
        let change = |what: String, glyph: char| Change {
            what,
            glyph,
            diff: String::new(),
        };
        let gone = wanted.absent.iter();
        let gone: Vec<String> = gone
            .filter(|p| units.iter().any(|u| speaks_of(p, u)))
            .cloned()
            .collect();
        let disabled = units.iter().map(|u| change(format!("disable {}", u.unit), '~'));
        let changes = disabled
            .chain(gone.iter().map(|p| change(p.clone(), '-')))
            .collect();
        let left: Vec<UnitChange> = units.iter().map(left).collect();
        let ops = vec![
            Op::Units(left.clone()),
            Op::Remove(gone),
            // Read again without the file.
            Op::Units(left),
        ];
        let title = format!("tell systemd on {host} to leave {}", ids.join(", "));
        let why = "the cluster knows it";
        self.push(
            &format!("give/{host}"),
            vec![host.clone()],
            title,
            why,
            changes,
            ops,
        );
    }
}

/// The members' history of a resource is taken away, without which the cluster
/// knows nothing that it could stop.
fn forget(id: &str) -> [Op; 2] {
    let query = Query::Run {
        argv: [
            "cibadmin",
            "--query",
            "--xpath",
            &format!("//lrm_resource[@id='{id}']"),
        ]
        .map(str::to_owned)
        .to_vec(),
        timeout_ms: 10_000,
    };
    let gone = Expect::Exit(NO_SUCH);
    let refresh = Command::new(
        format!("quorate-refresh-{id}"),
        &["crm_resource", "--refresh", "--resource", id],
        60_000,
    );
    [
        Op::Unless {
            guards: vec![(query.clone(), gone.clone())],
            ops: vec![Op::Run(refresh)],
        },
        Op::Wait(Wait {
            what: format!("no member remembers {id}"),
            query,
            expect: gone,
            timeout_ms: 30_000,
            every_ms: 200,
        }),
    ]
}
