//! What each host needs: what restarts nothing at once on all, what does host
//! by host, each gated by the health of the one before (law 9).

use indexmap::IndexSet;
use render::{DesiredFile, DesiredHost, DesiredUnit, UnitRun};
use similar::TextDiff;
use wire::{Command, Fact, Facts, FileWrite, Op, UnitChange};

use crate::build::{Planner, step};
use crate::{Change, Effect, corosync, look};

/// What is changed on one host under running instances.
pub(crate) struct Rolling {
    host: String,
    files: Vec<FileWrite>,
    resources: Vec<String>,
    changes: Vec<Change>,
}

impl Planner<'_> {
    pub(crate) fn file_change(&self, file: &DesiredFile, facts: &Facts) -> Option<Change> {
        let path = &file.write.path;
        let Some(Fact::Known(now)) = facts.files.get(path) else {
            return Some(Change {
                what: path.clone(),
                glyph: '+',
                diff: String::new(),
            });
        };
        if file.once && !file.write.directory {
            return None;
        }
        let same_owner = now.stat.owner == file.write.owner
            && now.stat.group == file.write.group
            && now.stat.mode & 0o7777 == file.write.mode;
        let same = file.write.directory || now.digest == (self.digest)(&file.write.content);
        if same && same_owner {
            return None;
        }
        let diff = if same {
            format!(
                "{}:{} {:o} → {}:{} {:o}",
                now.stat.owner,
                now.stat.group,
                now.stat.mode & 0o7777,
                file.write.owner,
                file.write.group,
                file.write.mode
            )
        } else if file.secret {
            "‹secret› changed".to_owned()
        } else {
            let new = String::from_utf8_lossy(&file.write.content);
            TextDiff::from_lines(now.text.as_deref().unwrap_or_default(), &new)
                .unified_diff()
                .context_radius(1)
                .to_string()
        };
        Some(Change {
            what: path.clone(),
            glyph: '~',
            diff,
        })
    }

    /// What every host needs that restarts nothing; then, where the cluster
    /// already runs, what does, host by host. `births`: stores about to be born.
    pub(crate) fn hosts(&mut self, births: &[&str]) {
        let mut rolling: Vec<Rolling> = Vec::new();
        let mut rewritten = false;
        for (host, wanted) in &self.desired.hosts {
            let Some(facts) = self.facts(host) else {
                continue;
            };
            let running = self.clustered(host);
            let mut changes = Vec::new();
            let mut ops = Vec::new();
            let missing: Vec<String> = wanted
                .packages
                .iter()
                .filter(|p| !matches!(facts.packages.get(*p), Some(Fact::Known(_))))
                .cloned()
                .collect();
            if !missing.is_empty() {
                changes.extend(missing.iter().map(|p| Change {
                    what: format!("package {p}"),
                    glyph: '+',
                    diff: String::new(),
                }));
                ops.push(Op::Packages(missing));
            }
            let mut quiet: Vec<FileWrite> = Vec::new();
            let mut later: (Vec<FileWrite>, IndexSet<String>, Vec<Change>) = Default::default();
            let mut reload: IndexSet<String> = IndexSet::new();
            let mut stale: IndexSet<String> = IndexSet::new();
            for file in &wanted.files {
                let Some(change) = self.file_change(file, facts) else {
                    continue;
                };
                // Where nothing of it runs, nothing is restarted, and nobody waits for it.
                let in_use = |r: &String| r.starts_with("unit/") || self.instance_runs(r, host);
                if running && file.restart.iter().any(in_use) {
                    later.0.push(file.write.clone());
                    later.1.extend(file.restart.iter().cloned());
                    later.2.push(change);
                } else {
                    quiet.push(file.write.clone());
                    stale.extend(file.restart.iter().cloned());
                    if running {
                        rewritten |= file.write.path == corosync::CONF;
                        reload.extend(file.reload.iter().cloned());
                    }
                    changes.push(change);
                }
            }
            // A store that is being born is adopted as it runs: to stop it would tear a
            // cluster of its members apart that has just formed.
            let adopted = |unit: &DesiredUnit| {
                !stale.contains(&unit.resource)
                    && self.desired.stores.iter().any(|s| s.resource == unit.resource)
            };
            let units = unit_changes(wanted, facts, running, &adopted, &mut changes);
            // Masks come first: a distribution's unit must not start while its package is configured.
            let masks: Vec<UnitChange> = wanted
                .mask
                .iter()
                .filter(|u| !matches!(facts.units.get(*u), Some(Fact::Known(f)) if f.file == "masked"))
                .map(|u| UnitChange {
                    unit: u.clone(),
                    masked: Some(true),
                    ..UnitChange::default()
                })
                .collect();
            for mask in &masks {
                changes.push(Change {
                    what: format!("mask {}", mask.unit),
                    glyph: '+',
                    diff: String::new(),
                });
            }
            if !masks.is_empty() {
                ops.insert(0, Op::Units(masks));
            }
            if !quiet.is_empty() {
                ops.push(Op::Files(quiet));
            }
            let sysctls: Vec<(String, String)> = wanted
                .sysctls
                .iter()
                .filter(
                    |(k, v)| matches!(facts.sysctls.get(*k), Some(Fact::Known(now)) if !same_words(now, v)),
                )
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            if !sysctls.is_empty() {
                changes.extend(sysctls.iter().map(|(k, v)| Change {
                    what: format!("sysctl {k} = {v}"),
                    glyph: '~',
                    diff: String::new(),
                }));
                ops.push(Op::Sysctls(sysctls));
            }
            if self.virgin && self.desired.nodes.iter().any(|(n, _)| n == host) {
                ops.push(Op::Files(vec![self.first_cib(births)]));
            }
            if !units.is_empty() {
                ops.push(Op::Units(units));
            }
            if !reload.is_empty() {
                ops.push(Op::Units(
                    reload
                        .into_iter()
                        .map(|unit| UnitChange {
                            unit,
                            reload: true,
                            ..UnitChange::default()
                        })
                        .collect(),
                ));
            }
            if !ops.is_empty() {
                let id = format!("prepare/{host}");
                let mut s = step(
                    id.clone(),
                    vec![host.clone()],
                    format!("prepare {host}"),
                    "it lacks what this cloud needs there",
                    ops,
                    Vec::new(),
                );
                s.changes = changes;
                self.steps.push(s);
                self.prepared.push(id);
            }
            if !later.0.is_empty() {
                rolling.push(Rolling {
                    host: host.clone(),
                    files: later.0,
                    resources: later.1.into_iter().collect(),
                    changes: later.2,
                });
            }
        }
        self.reload(rewritten);
        self.roll(rolling);
    }

    /// One host after the other: write, restart, wait until everything is whole again.
    pub(crate) fn roll(&mut self, hosts: Vec<Rolling>) {
        let mut before = self.prepared.clone();
        for Rolling {
            host,
            files,
            resources,
            changes,
        } in hosts
        {
            let mut ops = vec![Op::Files(files)];
            let mut effects = Vec::new();
            for resource in &resources {
                if let Some(unit) = resource.strip_prefix("unit/") {
                    let unit = unit.to_owned();
                    ops.push(Op::Units(vec![UnitChange {
                        unit,
                        restart: true,
                        ..UnitChange::default()
                    }]));
                } else if self.instance_runs(resource, &host) {
                    ops.push(restart(resource, &host));
                    effects.push(Effect::Restart {
                        resource: resource.clone(),
                        host: host.clone(),
                    });
                }
            }
            ops.extend(self.gates(&host));
            let id = format!("change/{host}");
            let names = resources.join(", ");
            let mut s = step(
                id.clone(),
                vec![host.clone()],
                format!("change {host}, restarting {names} there"),
                "files of running services differ",
                ops,
                before,
            );
            s.changes = changes;
            s.effects = effects;
            self.steps.push(s);
            before = vec![id];
        }
        if self.prepared != before {
            self.prepared.extend(before);
        }
    }

    pub(crate) fn instance_runs(&self, resource: &str, host: &str) -> bool {
        let Some(Fact::Known(xml)) = self.facts(host).map(|f| &f.crm_mon) else {
            return false;
        };
        pacemaker::Monitor::parse(xml).is_ok_and(|m| {
            m.resources
                .iter()
                .any(|r| r.id == resource && r.node.as_deref() == Some(host) && r.role != "Stopped")
        })
    }

    /// What must hold before the next host is touched (law 9).
    pub(crate) fn gates(&self, host: &str) -> Vec<Op> {
        let mut out: Vec<Op> = look::stores_on(self.desired, host)
            .flat_map(engines::whole)
            .map(Op::Wait)
            .collect();
        // What enters the cluster later in this plan is not waited for here.
        let there = |id: &str| self.cib_now().is_none_or(|c| c.contains(&format!("\"{id}\"")));
        out.push(Op::Wait(self.settled(&self.desired.cib.only(&there))));
        out
    }
}

fn is_cluster(unit: &DesiredUnit) -> bool {
    unit.run == UnitRun::Cluster
}

pub(crate) fn is_systemd(unit: &DesiredUnit) -> bool {
    unit.run == UnitRun::Systemd
}

/// White space between the numbers of a sysctl carries no meaning.
fn same_words(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// Units that the cluster runs are started by nobody else; those of systemd are enabled.
fn unit_changes(
    wanted: &DesiredHost,
    facts: &Facts,
    running: bool,
    adopted: &dyn Fn(&DesiredUnit) -> bool,
    changes: &mut Vec<Change>,
) -> Vec<UnitChange> {
    let mut out = Vec::new();
    for unit in &wanted.units {
        let Some(Fact::Known(now)) = facts.units.get(&unit.unit) else {
            continue;
        };
        let mut change = UnitChange {
            unit: unit.unit.clone(),
            ..UnitChange::default()
        };
        if is_cluster(unit) {
            if now.file == "enabled" || now.file == "enabled-runtime" {
                change.enabled = Some(false);
            }
            if !running && now.active == "active" && !adopted(unit) {
                change.active = Some(false);
            }
        } else if is_systemd(unit) && running {
            if now.file == "disabled" {
                change.enabled = Some(true);
            }
            if now.active != "active" && now.active != "activating" {
                change.active = Some(true);
            }
        }
        if change.enabled.is_some() || change.active.is_some() {
            let words = match (change.enabled, change.active) {
                (Some(true), _) | (None, Some(true)) => "enable and start",
                _ => "disable",
            };
            changes.push(Change {
                what: format!("{words} {}", unit.unit),
                glyph: '~',
                diff: String::new(),
            });
            out.push(change);
        }
    }
    out
}

/// Restarts one instance through the cluster manager, and waits for it.
fn restart(resource: &str, host: &str) -> Op {
    let argv = [
        "crm_resource",
        "--restart",
        "--resource",
        resource,
        "--node",
        host,
        "--timeout",
        "300s",
    ];
    Op::Run(Command::new(
        format!("quorate-restart-{resource}"),
        &argv,
        320_000,
    ))
}
