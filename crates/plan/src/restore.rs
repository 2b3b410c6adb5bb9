//! Databases that are loaded from a backup, as a part of the plan: after the
//! store is up, before schemas and services. Services that run already are taken
//! out of the cluster first, or stopped where systemd runs them, and come back when it is
//! done. Nothing is loaded while a member sees a client of these databases.

use engines::Refusal;
use names::HostName;
use render::{Desired, DesiredRestore, DesiredUnit};
use wire::{Answer, Expect, Fact, Facts, NamedQuery, Op, Query, UnitChange, Wait};

use crate::build::{Planner, step};
use crate::instances::{is_instance, is_up};
use crate::{Change, StepId};

const UNFINISHED: &str = "restore/unfinished";
const DONE: &str = "restore/done";
const BEGUN: &str = "restore/begun";

const HELD: &str = "restore/held";

/// How long the last client may take to go, in milliseconds: what a service may to stop.
const QUIET_MS: u64 = 120_000;

/// What to ask a member of the SQL store.
pub(crate) fn queries(desired: &Desired, host: &str) -> Vec<NamedQuery> {
    let mut out = Vec::new();
    if !desired.sql_hosts.iter().any(|h| h == host) {
        return out;
    }
    let named = |name: &str, query: &Query| NamedQuery {
        name: name.to_owned(),
        query: query.clone(),
    };
    if let Some(restore) = &desired.restore {
        out.push(named(HELD, &restore.load.held));
        out.push(named(BEGUN, &restore.load.begun));
        out.push(named(DONE, &restore.load.done));
    } else if let Some(copies) = desired.sql_store().and_then(engines::copies) {
        out.push(named(UNFINISHED, &copies.unfinished));
    }
    out
}

/// Whether a host of the store answered a question with a row.
fn some_row(facts: &Facts, name: &str) -> bool {
    matches!(facts.answers.get(name), Some(Fact::Known(Answer::Rows(rows))) if !rows.is_empty())
}

/// Half a database is no cloud: only what restores goes on there.
pub(crate) fn refusal(desired: &Desired, host: &str, facts: &Facts) -> Option<Refusal> {
    let unfinished = desired.restore.is_none() && some_row(facts, UNFINISHED);
    unfinished.then(|| Refusal {
        code: "restore::unfinished",
        message: format!("{host}: a restore of the databases was begun and not finished"),
        cure: "run the same `quorate restore` again: it goes on from what is there".to_owned(),
    })
}

/// Databases that hold something, where this restore has neither begun nor been done.
pub fn held<'a>(facts: impl Iterator<Item = &'a Facts> + Clone) -> Vec<String> {
    if facts.clone().any(|f| some_row(f, BEGUN) || some_row(f, DONE)) {
        return Vec::new();
    }
    let rows = facts.filter_map(|f| match f.answers.get(HELD) {
        Some(Fact::Known(Answer::Rows(rows))) => Some(rows),
        _ => None,
    });
    let mut names: Vec<String> = rows.flatten().flatten().flatten().cloned().collect();
    names.sort();
    names.dedup();
    names
}

impl Planner<'_> {
    /// Whether databases are still to be loaded.
    pub(crate) fn restoring(&self) -> bool {
        let done = |host: &HostName| self.facts(host).is_some_and(|f| some_row(f, DONE));
        self.desired.restore.is_some() && !self.desired.sql_hosts.iter().any(done)
    }

    /// Loads the databases once nobody writes to them. Gives the steps that go
    /// before everything else that needs them.
    pub(crate) fn restore(&mut self, stores: &[StepId], foundation: Option<&StepId>) -> Vec<StepId> {
        let Some(restore) = self.desired.restore.clone().filter(|_| self.restoring()) else {
            return Vec::new();
        };
        let mut after: Vec<StepId> = stores.to_vec();
        after.extend(self.prepared.iter().cloned());
        after.extend(foundation.cloned());
        after.extend(self.stop_writers(&after));
        after.extend(self.nobody_connected(&restore, &after));
        let mut ops = Vec::new();
        if !self.desired.gated.is_empty() {
            ops.push(Op::Wait(self.nobody_writes()));
        }
        ops.extend(restore.load.ops);
        self.steps.push(step(
            "restore".into(),
            vec![restore.host],
            "load the databases of the backup".to_owned(),
            "they are not those of the backup",
            ops,
            after,
        ));
        vec!["restore".into()]
    }

    /// Stops for good what systemd runs of services with a schema, on each host, after some
    /// steps: started at boot in the middle of it, it would write. Gives the steps.
    fn stop_writers(&mut self, before: &[StepId]) -> Vec<StepId> {
        let mut out = Vec::new();
        for (host, wanted) in &self.desired.hosts {
            let Some(facts) = self.facts(host) else { continue };
            // What cannot be seen may run.
            let stopped = |unit: &DesiredUnit| match facts.units.get(&unit.unit) {
                Some(Fact::Known(now)) => !now.file.starts_with("enabled") && !is_up(&now.active),
                Some(Fact::Absent) | None => true,
                Some(Fact::Unknown(_)) => false,
            };
            let units: Vec<&DesiredUnit> = (wanted.units.iter())
                .filter(|u| is_instance(u) && u.gated && !stopped(u))
                .collect();
            if units.is_empty() {
                continue;
            }
            let stop = |unit: &&DesiredUnit| UnitChange {
                unit: unit.unit.clone(),
                active: Some(false),
                enabled: Some(false),
                ..UnitChange::default()
            };
            let id = StepId::from(format!("restore/stop/{host}"));
            let names: Vec<&str> = units.iter().map(|u| u.resource.as_str()).collect();
            let mut s = step(
                id.clone(),
                vec![host.clone()],
                format!("stop {} on {host}", names.join(", ")),
                "it writes to the databases that are loaded",
                vec![Op::Units(units.iter().map(stop).collect())],
                before.to_vec(),
            );
            s.changes = units
                .iter()
                .map(|u| Change {
                    what: format!("stop {}", u.unit),
                    glyph: '~',
                    diff: String::new(),
                })
                .collect();
            self.steps.push(s);
            out.push(id);
        }
        out
    }

    /// The waits for no member to see a client of the databases, whoever it is and wherever
    /// it runs, nor another load than that of the member that is to do it. Gives the steps.
    fn nobody_connected(&mut self, restore: &DesiredRestore, before: &[StepId]) -> Vec<StepId> {
        let mut out = Vec::new();
        for host in &self.desired.sql_hosts {
            let id = StepId::from(format!("restore/quiet/{host}"));
            let here = *host == restore.host;
            let query = if here {
                &restore.load.clients
            } else {
                &restore.load.loaders
            };
            let wait = Wait {
                what: format!("no client of the databases is connected to {host}"),
                query: query.clone(),
                expect: Expect::NoRow,
                timeout_ms: QUIET_MS,
                every_ms: 500,
            };
            let title = format!("wait: {}", wait.what);
            // Connections come and go while services are still being stopped.
            let stopped = (!self.desired.gated.is_empty()).then(|| self.nobody_writes());
            let waits = stopped.into_iter().chain([wait]);
            self.steps.push(step(
                id.clone(),
                vec![host.clone()],
                title,
                "who writes meanwhile writes into half a database",
                waits.map(Op::Wait).collect(),
                before.to_vec(),
            ));
            out.push(id);
        }
        out
    }

    /// The wait for all services with a schema to have stopped. One that was taken
    /// out of the configuration stands in the cluster's answer until it has.
    fn nobody_writes(&self) -> Wait {
        let names: Vec<String> = self
            .desired
            .gated
            .iter()
            .map(|id| format!("-e 'id=\"{id}\"'"))
            .collect();
        let script = format!(
            "seen=$(crm_mon --one-shot --output-as=xml) && ! printf '%s' \"$seen\" | grep -q {}",
            names.join(" ")
        );
        Wait {
            what: "no service runs that writes to the databases".to_owned(),
            query: Query::Run {
                argv: ["sh", "-c", &script].map(str::to_owned).to_vec(),
                timeout_ms: 10_000,
            },
            expect: Expect::Exit(0),
            timeout_ms: QUIET_MS,
            every_ms: 500,
        }
    }
}
