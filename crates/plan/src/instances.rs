//! Instances that systemd runs where another architecture has the cluster run
//! them: started when their service is made, restarted and asked on their host.
//! Not for changing hands between the two (`handover`).

use names::{HostName, ResourceId};
use render::{DesiredUnit, UnitRun};
use wire::{Fact, Op, UnitChange, Wait};

use crate::build::{Planner, step};
use crate::roll::{Files, Rolling};
use crate::{Change, StepId, look};

/// An instance, of those that the architecture gives to systemd.
pub(crate) fn is_instance(unit: &DesiredUnit) -> bool {
    unit.run == UnitRun::Systemd && !unit.resource.is_empty()
}

/// Runs, or is about to.
pub(crate) fn is_up(active: &str) -> bool {
    matches!(active, "active" | "activating" | "reloading" | "refreshing")
}

/// The wait for an instance to serve on its own host; nothing where it cannot be asked.
pub(crate) fn serves(unit: &DesiredUnit, host: &str) -> Option<Wait> {
    let check = unit.check.as_ref()?;
    Some(Wait {
        what: format!("{} serves on {host}", unit.resource),
        query: check.query.clone(),
        expect: check.expect.clone(),
        timeout_ms: 120_000,
        every_ms: 200,
    })
}

/// Work left to be done host by host, without the restarts of those hosts for which there is
/// something to wait for, by host and what would be restarted there. Gives what is waited for too.
fn put_off(
    mut all: Vec<Rolling>,
    until: impl Fn(&HostName, &[ResourceId]) -> Option<String>,
) -> (Vec<Rolling>, Vec<String>) {
    let mut later = Vec::new();
    for rolling in &mut all {
        if let Some(what) = until(&rolling.host, &rolling.restarts.resources()) {
            later.push(format!("{}: changed when {what}", rolling.host));
            rolling.restarts = Files::default();
        }
    }
    all.retain(|rolling| !rolling.is_empty());
    (all, later)
}

impl Planner<'_> {
    /// The unit of an instance that systemd runs on a host.
    pub(crate) fn instance(&self, resource: &str, host: &str) -> Option<&DesiredUnit> {
        let units = &self.desired.hosts.get(host)?.units;
        units.iter().find(|u| is_instance(u) && u.resource == resource)
    }

    /// The waits for what systemd runs on a host, of what ran when it was looked at
    /// or will have been started before.
    pub(crate) fn instances_serve(&self, host: &str) -> Vec<Op> {
        let wanted = self.desired.hosts.get(host);
        let units = wanted.into_iter().flat_map(|w| &w.units);
        units
            .filter(|u| is_instance(u) && (!u.gated || self.told_and_up(u, host)))
            .filter_map(|u| serves(u, host))
            .map(Op::Wait)
            .collect()
    }

    /// The waits for what the cluster runs on a host behind balancers, of what ran when it
    /// was looked at. That it is started says nothing of a process that stands still.
    pub(crate) fn balanced_serve(&self, host: &str) -> Vec<Op> {
        let wanted = self.desired.hosts.get(host);
        let units = wanted.into_iter().flat_map(|w| &w.units);
        units
            .filter(|u| u.run == UnitRun::Cluster && self.managed(&u.resource))
            .filter(|u| self.instance_runs(&u.resource, host))
            .filter_map(|u| serves(u, host))
            .map(Op::Wait)
            .collect()
    }

    /// Restarts instances through systemd, one after the other.
    pub(crate) fn restart_instances(&self, resources: &[ResourceId], host: &str) -> Vec<Op> {
        let restart = |unit: &DesiredUnit| UnitChange {
            unit: unit.unit.clone(),
            restart: true,
            ..UnitChange::default()
        };
        let units = resources.iter().filter_map(|r| self.instance(r, host));
        units
            .flat_map(|u| std::iter::once(Op::Units(vec![restart(u)])).chain(serves(u, host).map(Op::Wait)))
            .collect()
    }

    /// Whether systemd has been told to run a unit, and runs it. What cannot be
    /// seen is not known to be so, and telling it again changes nothing.
    pub(crate) fn told_and_up(&self, unit: &DesiredUnit, host: &str) -> bool {
        let fact = self.facts(host).and_then(|f| f.units.get(&unit.unit));
        matches!(fact, Some(Fact::Known(now)) if now.file == "enabled" && is_up(&now.active))
    }

    /// Starts what waits for nothing more, before hosts are changed one by one: who is taken
    /// out leaves its requests to others, which then have to run. Gives the steps.
    pub(crate) fn start_early(&mut self, before: &[StepId]) -> Vec<StepId> {
        if self.restoring() {
            return Vec::new();
        }
        let made: Vec<&str> = (self.desired.services.iter())
            .filter(|service| self.is_made(service))
            .map(String::as_str)
            .collect();
        self.start(before, &|unit| made.contains(&unit.service.as_str()))
    }

    /// Work left to be done host by host while stores are not ready yet, without that which
    /// takes an instance out of service beside one that is down: that one is started only when
    /// the stores serve, so it could not take over. Gives the reasons too. A host on which
    /// such a store is down has its turn, since it may be what the store waits for.
    pub(crate) fn beside_running_instances(
        &self,
        all: Vec<Rolling>,
        unready: &[&str],
    ) -> (Vec<Rolling>, Vec<String>) {
        if unready.is_empty() || self.restoring() {
            return (all, Vec::new());
        }
        put_off(all, |host, resources| {
            let waited_for = |r: &ResourceId| unready.contains(&r.as_str()) && !self.instance_runs(r, host);
            if resources.iter().any(waited_for) {
                return None;
            }
            let (resource, other) = self.servers(host, resources).into_iter().find_map(|b| {
                let mut others = b.members.iter().filter(|m| *m != host);
                let other = others.find(|m| self.starts_when_stores_serve(&b.resource, m))?;
                Some((&b.resource, other))
            })?;
            Some(format!(
                "{resource} serves on {other}, which waits for {}",
                unready.join(" and ")
            ))
        })
    }

    /// Work left to be done host by host, without that which stops a member of these stores: they
    /// count members that are gone, so that those that are left may be no majority with one
    /// less. Gives the reasons too.
    pub(crate) fn beside_whole_stores(
        all: Vec<Rolling>,
        outnumbered: &[(&ResourceId, &[String])],
    ) -> (Vec<Rolling>, Vec<String>) {
        put_off(all, |_, resources| {
            let mut all = outnumbered.iter();
            let (store, gone) = all.find(|(store, _)| resources.contains(*store))?;
            Some(format!("{store} has forgotten {}", gone.join(" and ")))
        })
    }

    /// True for an instance that does not run and waits for nothing but stores. While they are
    /// down nobody tells what is made in them: what runs on some host was.
    fn starts_when_stores_serve(&self, resource: &str, host: &str) -> bool {
        let runs = |host: &HostName| {
            self.instance(resource, host)
                .is_some_and(|u| self.told_and_up(u, host))
        };
        let made = |service: &str| self.is_made(service) || self.desired.hosts.keys().any(runs);
        self.instance(resource, host)
            .is_some_and(|u| u.gated && !self.told_and_up(u, host) && made(&u.service))
    }

    /// Enables and starts what waited for the scripts of its service. Gives the steps.
    pub(crate) fn start_instances(&mut self, scripts: &[StepId]) -> Vec<StepId> {
        self.start(scripts, &|_| true)
    }

    /// Starts those of these that do not run, and that no step starts yet.
    fn start(&mut self, before: &[StepId], of: &dyn Fn(&DesiredUnit) -> bool) -> Vec<StepId> {
        let mut out = Vec::new();
        for (host, wanted) in &self.desired.hosts {
            let units: Vec<&DesiredUnit> = wanted
                .units
                .iter()
                .filter(|u| is_instance(u) && u.gated && of(u))
                .filter(|u| !self.started.contains(&(host.clone(), u.resource.clone())))
                // While databases are loaded what ran was stopped.
                .filter(|u| self.restoring() || !self.told_and_up(u, host))
                .collect();
            if units.is_empty() {
                continue;
            }
            let new = units.iter().map(|u| (host.clone(), u.resource.clone()));
            self.started.extend(new);
            let names: Vec<&str> = units.iter().map(|u| u.resource.as_str()).collect();
            let changes = units.iter().map(|u| Change {
                what: format!("enable and start {}", u.unit),
                glyph: '~',
                diff: String::new(),
            });
            let mut ops = vec![Op::Units(units.iter().map(|u| started(u)).collect())];
            ops.extend(units.iter().filter_map(|u| serves(u, host)).map(Op::Wait));
            let mut after = before.to_vec();
            after.extend(self.prepared.iter().cloned());
            let mut id = StepId::from(format!("serve/{host}"));
            if self.steps.iter().any(|s| s.id == id) {
                id = StepId::from(format!("serve/{host}/more"));
            }
            let mut s = step(
                id.clone(),
                vec![host.clone()],
                format!("start {} on {host}", names.join(", ")),
                "it does not run there",
                ops,
                after,
            );
            s.changes = changes.collect();
            self.steps.push(s);
            out.push(id);
        }
        out
    }
}

/// Told to systemd, and running.
pub(crate) fn started(unit: &DesiredUnit) -> UnitChange {
    UnitChange {
        unit: unit.unit.clone(),
        enabled: Some(true),
        active: Some(true),
        ..UnitChange::default()
    }
}

/// What is asked of each instance that systemd runs on a host.
pub(crate) fn queries(units: &[DesiredUnit]) -> impl Iterator<Item = wire::NamedQuery> {
    units.iter().filter(|u| is_instance(u)).filter_map(|u| {
        Some(wire::NamedQuery {
            name: look::instance(&u.resource),
            query: u.check.as_ref()?.query.clone(),
        })
    })
}
