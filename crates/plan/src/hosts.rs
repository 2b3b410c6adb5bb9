//! What each host needs. What restarts nothing is done at once on all; what
//! does is gathered here and done host by host (`roll`).

use std::borrow::Cow;

use indexmap::IndexSet;
use names::ResourceId;
use render::{DesiredFile, DesiredHost, DesiredUnit, Reader, UnitRun};
use similar::TextDiff;
use wire::{Fact, Facts, FileWrite, Op, Own, UnitChange};

use crate::build::{Planner, step};
use crate::handover::speaks_of;
use crate::instances::is_instance;
use crate::roll::{Rolling, cleanup};
use crate::{Change, StepId, corosync, cures, diff, shared};

impl Planner<'_> {
    /// A file as it is to be written.
    pub(crate) fn write(&self, file: &DesiredFile) -> FileWrite {
        FileWrite {
            content: match self.content(file) {
                Cow::Borrowed(bytes) if bytes.as_ptr() == file.write.content.as_ptr() => {
                    file.write.content.clone()
                }
                other => other.into_owned().into(),
            },
            ..file.write.clone()
        }
    }

    /// What a file is to hold, where that follows from what hosts have as well.
    fn content<'f>(&'f self, file: &'f DesiredFile) -> Cow<'f, [u8]> {
        if file.write.path == corosync::CONF
            && let Ok(text) = std::str::from_utf8(&file.write.content)
        {
            return match self.votes.file(&self.desired.corosync, text) {
                Cow::Borrowed(_) => Cow::Borrowed(&file.write.content),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            };
        }
        Cow::Borrowed(self.rings.content(file))
    }

    /// The file as it is to be on a host: with the operator's lines, where names alone are ours.
    fn on_host<'f>(&self, file: &'f DesiredFile, facts: &Facts) -> Cow<'f, DesiredFile> {
        let (true, Some(Fact::Known(now))) = (file.names, facts.files.get(&file.write.path)) else {
            return Cow::Borrowed(file);
        };
        // With nobody's lines beside ours it is as it is wanted, and its text was not told.
        if self.memo.is(&file.write.content, self.digest, &now.digest) {
            return Cow::Borrowed(file);
        }
        let want = String::from_utf8_lossy(&file.write.content);
        let merged = ini::hosts::merge(now.text.as_deref().unwrap_or_default(), &want);
        let mut file = file.clone();
        file.write.content = merged.into();
        Cow::Owned(file)
    }

    pub(crate) fn file_change(&self, file: &DesiredFile, facts: &Facts) -> Option<Change> {
        let file = &*self.on_host(file, facts);
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
        let same = match &file.ring {
            Some(_) => now.digest == (self.digest)(self.rings.content(file)),
            None if *path == corosync::CONF => now.digest == (self.digest)(&self.content(file)),
            // What was merged for one host is kept by nobody.
            None if !file.names && !file.write.directory && file.write.own == Own::File => {
                self.memo.is(&file.write.content, self.digest, &now.digest)
            }
            None => shared::is_as_wanted(&file.write, now, self.digest),
        };
        if same && same_owner {
            return None;
        }
        let diff = if let (Own::Program, Some(target)) = (&file.write.own, &now.link) {
            format!("another version is in its place: {target}")
        } else if let Some(target) = &now.link {
            format!("a link to {target} is in its place")
        } else if file.ring.is_some() && !same {
            let moved = self.rings.changes.get(path);
            moved
                .map_or("it is not that of the other hosts", String::as_str)
                .to_owned()
        } else if same {
            format!(
                "{}:{} {:o} → {}:{} {:o}",
                now.stat.owner,
                now.stat.group,
                now.stat.mode & 0o7777,
                file.write.owner,
                file.write.group,
                file.write.mode
            )
        } else if let Own::Keys { wanted, absent } = &file.write.own {
            shared::differs(wanted, absent, &now.keys, self.digest)
        } else if file.secret {
            diff::of_secrets(&file.write.content, &now.lines, self.digest)
        } else {
            let content = self.content(file);
            let new = String::from_utf8_lossy(&content);
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

    /// What every host needs that restarts nothing. Gives what is left to be done
    /// host by host where the cluster already runs. `births`: stores about to be born.
    pub(crate) fn hosts(&mut self, births: &[&str]) -> Vec<Rolling> {
        let mut rolling: Vec<Rolling> = Vec::new();
        let mut rewritten = false;
        for (host, wanted) in &self.desired.hosts {
            let Some(facts) = self.facts(host) else {
                continue;
            };
            let running = self.clustered(host);
            let member = self.is_member(host);
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
                ops.push(Op::Packages(missing.clone()));
            }
            let mut quiet: Vec<FileWrite> = Vec::new();
            let mut later = Rolling::of(host);
            let mut stale: IndexSet<ResourceId> = IndexSet::new();
            let moving: Vec<&DesiredUnit> = wanted.units.iter().filter(|u| self.moving.has(u)).collect();
            let left_alone = |path: &str| moving.iter().any(|u| speaks_of(path, u));
            let held_back = |f: &&DesiredFile| self.held_back(&f.write.path) || left_alone(&f.write.path);
            let files = wanted.files.iter().filter(|f| !held_back(f));
            let mut differing: Vec<(&DesiredFile, Change)> = files
                .filter_map(|f| Some((f, self.file_change(f, facts)?)))
                .collect();
            let new = !missing.is_empty();
            let cured = wanted
                .cures
                .iter()
                .filter_map(|c| Some((&c.file, cures::change(c, facts, new)?)));
            differing.extend(cured);
            for (file, change) in differing {
                let write = self.write(&self.on_host(file, facts));
                // Where nothing of it runs, nothing is restarted, and nobody waits for it.
                let in_use = |r: &Reader| r.resource().is_none_or(|r| self.instance_runs(r, host));
                let up = running || (!member && serves(facts, file));
                let by_systemd = |r: &Reader| {
                    let run = r.resource().filter(|r| self.instance(r, host).is_some());
                    run.is_some_and(|r| self.instance_runs(r, host))
                };
                if (up && file.restart.iter().any(in_use)) || file.restart.iter().any(by_systemd) {
                    later.restarts.add(&write, &file.restart, change);
                } else if running && file.reload.iter().any(in_use) {
                    later.reloads.add(&write, &file.reload, change);
                } else {
                    quiet.push(write);
                    stale.extend(file.restart.iter().filter_map(Reader::resource).cloned());
                    rewritten |= running && file.write.path == corosync::CONF;
                    changes.push(change);
                }
            }
            // A store that is being born is adopted as it runs: to stop it would tear a
            // cluster of its members apart that has just formed.
            let adopted = |unit: &DesiredUnit| {
                !stale.contains(&unit.resource)
                    && self.desired.stores.iter().any(|s| s.resource == unit.resource)
            };
            let skipped = |unit: &DesiredUnit| unit.gated || self.moving.has(unit);
            let mut units = unit_changes(wanted, facts, running, member, &skipped, &adopted, &mut changes);
            // Masks come first: a distribution's unit must not start while its package is configured.
            let masks: Vec<UnitChange> = wanted
                .mask
                .iter()
                .filter(|u| match facts.units.get(*u) {
                    Some(Fact::Known(f)) => f.file != "masked",
                    Some(Fact::Unknown(_)) => false,
                    Some(Fact::Absent) | None => true,
                })
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
            let gone: Vec<String> = wanted
                .absent
                .iter()
                .filter(|p| !left_alone(p) && matches!(facts.files.get(*p), Some(Fact::Known(_))))
                .cloned()
                .collect();
            // A unit whose drop-ins change, and a timer with what it starts, is read again, also where nothing else is done to it.
            let touched = |u: &&DesiredUnit| {
                quiet
                    .iter()
                    .map(|f| &f.path)
                    .chain(&gone)
                    .any(|p| speaks_of(p, u) || is_timer_of(p, u))
                    && !units.iter().any(|c| c.unit == u.unit)
            };
            let read_again: Vec<UnitChange> = wanted
                .units
                .iter()
                .filter(touched)
                .map(|u| UnitChange {
                    unit: u.unit.clone(),
                    ..UnitChange::default()
                })
                .collect();
            units.extend(read_again);
            if !quiet.is_empty() {
                ops.push(Op::Files(quiet));
            }
            if !gone.is_empty() {
                changes.extend(gone.iter().map(|p| Change {
                    what: p.clone(),
                    glyph: '-',
                    diff: String::new(),
                }));
                ops.push(Op::Remove(gone));
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
            if self.virgin && member {
                ops.push(Op::Files(vec![self.first_cib(births)]));
            }
            if !units.is_empty() {
                ops.push(Op::Units(units));
            }
            // It failed with what was there before: it is tried again at once with this.
            let failed = stale.iter().filter(|r| running && self.managed(r));
            ops.extend(failed.map(|r| cleanup(r, host)));
            if !ops.is_empty() {
                let id = StepId::from(format!("prepare/{host}"));
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
            if !later.is_empty() {
                rolling.push(later);
            }
        }
        self.before_votes();
        self.reload(rewritten);
        rolling
    }
}

impl Planner<'_> {
    /// True where a host beside the cluster gets units in this plan that are not there yet:
    /// they are started by the next one.
    pub(crate) fn starts_later(&self) -> bool {
        let beside = self.desired.hosts.iter().filter(|(h, _)| !self.is_member(h));
        let mut prepared =
            beside.filter(|(h, _)| self.prepared.contains(&StepId::from(format!("prepare/{h}"))));
        prepared.any(|(host, wanted)| {
            let mut units = wanted.units.iter().filter(|u| is_systemd(u) && !u.gated);
            let fact = |unit: &str| self.facts(host)?.units.get(unit);
            units.any(|u| matches!(fact(&u.unit), Some(Fact::Absent)))
        })
    }
}

/// Whether a file is a timer's unit, or that of what it starts.
fn is_timer_of(path: &str, unit: &DesiredUnit) -> bool {
    let stem = unit.unit.strip_suffix(".timer");
    let file = path.strip_prefix("/etc/systemd/system/");
    stem.is_some_and(|stem| {
        file.and_then(|file| file.strip_prefix(stem))
            .is_some_and(|end| end == ".timer" || end == ".service")
    })
}

/// Whether systemd runs something on a host that a file's change restarts.
fn serves(facts: &Facts, file: &DesiredFile) -> bool {
    let units = file.restart.iter().filter_map(Reader::unit);
    units
        .filter_map(|u| facts.units.get(u))
        .any(|f| matches!(f, Fact::Known(u) if u.active == "active"))
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
    member: bool,
    skipped: &dyn Fn(&DesiredUnit) -> bool,
    adopted: &dyn Fn(&DesiredUnit) -> bool,
    changes: &mut Vec<Change>,
) -> Vec<UnitChange> {
    let mut out = Vec::new();
    // Outside the cluster nothing starts a host's units later.
    let starts = running || !member;
    for unit in wanted.units.iter().filter(|u| !skipped(u)) {
        let Some(Fact::Known(now)) = facts.units.get(&unit.unit) else {
            continue;
        };
        let mut change = UnitChange {
            unit: unit.unit.clone(),
            ..UnitChange::default()
        };
        let masked = now.file.starts_with("masked");
        if masked && (is_cluster(unit) || is_systemd(unit)) {
            change.masked = Some(false);
        }
        if is_cluster(unit) {
            if now.file == "enabled" || now.file == "enabled-runtime" {
                change.enabled = Some(false);
            }
            if !running && now.active == "active" && !adopted(unit) {
                change.active = Some(false);
            }
        } else if is_systemd(unit) && starts {
            if now.file == "disabled" || masked || (is_instance(unit) && now.file != "enabled") {
                change.enabled = Some(true);
            }
            if now.active != "active" && now.active != "activating" {
                change.active = Some(true);
            }
        }
        let words = [
            ("unmask", change.masked == Some(false)),
            ("enable", change.enabled == Some(true)),
            ("disable", change.enabled == Some(false)),
            ("start", change.active == Some(true)),
            ("stop", change.active == Some(false)),
        ];
        let words: Vec<&str> = words.iter().filter(|(_, so)| *so).map(|(w, _)| *w).collect();
        if !words.is_empty() {
            changes.push(Change {
                what: format!("{} {}", words.join(" and "), unit.unit),
                glyph: '~',
                diff: String::new(),
            });
            out.push(change);
        }
    }
    out
}
