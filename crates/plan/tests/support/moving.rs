//! Instances that change hands between the cluster and systemd: a world in which
//! every operation of a plan is done, that may end after any of them, and in
//! which nothing may ever be stopped. Part of the tests of laws.

use std::collections::BTreeMap;

use names::ResourceId;
use pacemaker::{Held, LiveCib};
use wire::{Facts, UnitChange};

use super::*;

/// The same cloud in both architectures.
fn both() -> [Desired; 2] {
    let text = include_str!("../../../../examples/core.yaml");
    ["architecture: full", "architecture: core"].map(|words| {
        let model = examples::model_of("moving", &text.replace("architecture: core", words), &[]);
        world::known_by(examples::desired_of(&model))
    })
}

/// The instances of which the architectures differ, each with its unit.
fn switched(core: &Desired) -> BTreeMap<ResourceId, String> {
    let units = core.hosts.values().flat_map(|h| &h.units);
    let of = units.filter(|u| u.run == render::UnitRun::Systemd && !u.resource.is_empty());
    of.map(|u| (u.resource.clone(), u.unit.clone())).collect()
}

struct World {
    to: Desired,
    switched: BTreeMap<ResourceId, String>,
    observed: Observed,
    /// The cluster's configuration, by section.
    sections: BTreeMap<String, String>,
    /// What its members remember.
    remembered: BTreeSet<ResourceId>,
    /// Operations done so far.
    done: usize,
}

impl World {
    /// All runs as `from` says, and `to` is wanted.
    fn new(from: &Desired, to: &Desired, switched: BTreeMap<ResourceId, String>) -> Self {
        let mut observed = world::all(to, world::applied);
        for (host, facts) in &mut observed {
            let facts = facts.as_mut().unwrap();
            let before = world::applied(from, host);
            facts.units.extend(before.units.clone());
            for (path, fact) in &mut facts.files {
                let there = from.hosts[host].files.iter().any(|f| f.write.path == *path);
                *fact = match before.files.get(path) {
                    Some(before) => before.clone(),
                    // What Pacemaker leaves in the folder of a unit.
                    None if path.starts_with("/run/") => before.files.values().next().unwrap().clone(),
                    None if there => panic!("{path}"),
                    None => Fact::Absent,
                };
            }
            // What the other architecture wants away lies there now.
            for path in to.hosts[host].absent.iter().filter(|p| p.starts_with("/etc/")) {
                let there = from.hosts[host].files.iter().any(|f| f.write.path == *path);
                assert!(there, "{path}");
            }
        }
        let sections = pacemaker::SECTIONS.map(|name| (name.to_owned(), from.cib.section(name)));
        let mut out = Self {
            to: to.clone(),
            switched,
            observed,
            sections: sections.into(),
            remembered: BTreeSet::new(),
            done: 0,
        };
        out.schedule();
        out
    }

    fn cib(&self) -> LiveCib {
        let sections: String = self.sections.values().map(String::as_str).collect();
        let history = self
            .remembered
            .iter()
            .fold(String::new(), |out, id| out + "<lrm_resource id=\"" + id + "\"/>");
        let Some(Ok(Facts {
            cib: Fact::Known(whole),
            ..
        })) = self.observed.values().next()
        else {
            panic!()
        };
        let states = whole.text().unwrap().split_once("<status>").unwrap().1;
        let states = states.rsplit_once("<lrm/>").map_or(states, |(_, rest)| rest);
        let text = format!("<cib><configuration>{sections}</configuration><status>{history}<lrm/>{states}");
        LiveCib::parse(world::filled(&text)).unwrap()
    }

    /// What the cluster does of itself: it probes what it was told of, and stops
    /// what it remembers and has no longer been told of.
    fn schedule(&mut self) {
        let cib = self.cib();
        for id in self.switched.keys() {
            let has = cib.held(id);
            if has == Held::Remembered {
                let kept =
                    self.sections["crm_config"].contains("name=\"stop-orphan-resources\" value=\"false\"");
                assert!(kept, "after {} operations {id} is stopped", self.done);
            }
            if matches!(has, Held::Managed | Held::Unmanaged) {
                self.remembered.insert(id.clone());
            }
        }
        let cib = self.cib();
        for (host, facts) in &mut self.observed {
            let facts = facts.as_mut().unwrap();
            for (id, unit) in &self.switched {
                let Some(Fact::Known(now)) = facts.units.get(unit) else {
                    panic!()
                };
                let twice = now.file == "enabled" && cib.held(id) == Held::Managed;
                assert!(!twice, "after {} operations two rule {id} on {host}", self.done);
            }
            facts.cib = Fact::Known(cib.clone());
        }
    }

    fn unit(&mut self, host: &str, change: &UnitChange) {
        let facts = self.observed[host].as_mut().unwrap();
        if !self.switched.values().any(|u| *u == change.unit) {
            return;
        }
        let told = facts.files.iter().any(|(p, f)| {
            p.ends_with(&format!("{}.d/quorate.conf", change.unit)) && matches!(f, Fact::Known(_))
        });
        let Some(Fact::Known(now)) = facts.units.get_mut(&change.unit) else {
            panic!()
        };
        assert!(
            change.active != Some(false) && !change.restart && change.masked.is_none(),
            "{change:?}"
        );
        if change.enabled == Some(true) {
            assert!(told, "{}: nothing says what would start it", change.unit);
        }
        if let Some(enabled) = change.enabled {
            let word = match (enabled, told) {
                (true, _) => "enabled",
                (false, true) => "disabled",
                (false, false) => "static",
            };
            word.clone_into(&mut now.file);
        }
    }

    /// Does operations until so many were done; whether there were so many.
    fn perform(&mut self, host: &str, ops: &[Op], most: usize) -> bool {
        for op in ops {
            if self.done == most {
                return false;
            }
            if let Op::Unless { ops, .. } = op {
                if !self.perform(host, ops, most) {
                    return false;
                }
                continue;
            }
            self.done += 1;
            let files = &mut self.observed[host].as_mut().unwrap().files;
            match op {
                Op::Cib(sections) => {
                    for section in sections {
                        self.sections.insert(section.name.clone(), section.xml.clone());
                    }
                }
                Op::Files(writes) => {
                    let made = world::applied(&self.to, host).files;
                    files.extend(writes.iter().map(|w| (w.path.clone(), made[&w.path].clone())));
                }
                Op::Remove(paths) => files.extend(paths.iter().map(|p| (p.clone(), Fact::Absent))),
                Op::Units(changes) => changes.iter().for_each(|c| self.unit(host, c)),
                Op::Run(command) if command.argv.contains(&"--refresh".to_owned()) => {
                    assert!(self.remembered.remove(command.argv.last().unwrap().as_str()));
                }
                _ => {}
            }
            self.schedule();
        }
        true
    }

    /// Plans and does until a plan is empty, or so many operations were done.
    fn run(&mut self, most: usize) {
        for _ in 0..8 {
            let plan = make(&self.to, &self.observed, Intent::Converge).unwrap();
            hold(&self.to, &plan);
            assert!(plan.steps.iter().all(|s| s.effects.is_empty()));
            if plan.is_empty() {
                return;
            }
            for step in &plan.steps {
                if !self.perform(&step.hosts[0], &step.ops, most) {
                    return;
                }
            }
        }
        panic!("it does not end");
    }

    /// All is as if it had never been otherwise.
    fn check(&self) {
        let plan = make(&self.to, &self.observed, Intent::Converge).unwrap();
        assert!(plan.is_empty() && !plan.barrier, "{}", plan::show(&plan, true));
        let cib = self.cib();
        let config = &self.sections["crm_config"];
        assert!(!config.contains("stop-orphan-resources"), "{config}");
        for id in self.switched.keys() {
            let wanted = self.to.cib.resources.iter().any(|r| r.primitive().id == *id);
            let held = cib.held(id);
            assert_eq!(held, if wanted { Held::Managed } else { Held::Nothing }, "{id}");
        }
    }
}

/// Wherever it ends, the next run goes on from there, and nothing is stopped.
#[test]
fn instances_change_hands_while_they_run() {
    let [full, core] = both();
    let switched = switched(&core);
    assert!(switched.len() > 1);
    for (from, to) in [(&full, &core), (&core, &full)] {
        let mut unbroken = World::new(from, to, switched.clone());
        unbroken.run(usize::MAX);
        unbroken.check();
        assert!(unbroken.done > 10);
        for most in 0..unbroken.done {
            let mut world = World::new(from, to, switched.clone());
            world.run(most);
            assert_eq!(world.done, most);
            world.run(usize::MAX);
            world.check();
        }
    }
}

/// What changes hands is left alone until the cluster is whole, since one that
/// starts would be stopped by a configuration without it.
#[test]
fn nothing_changes_hands_in_a_cluster_that_is_not_whole() {
    let [full, core] = both();
    let switched = switched(&core);
    for (from, to) in [(&full, &core), (&core, &full)] {
        let mut world = World::new(from, to, switched.clone());
        let facts = world.observed["c2"].as_mut().unwrap();
        facts.cluster = Fact::Absent;
        facts.cib = Fact::Absent;
        let plan = make(to, &world.observed, Intent::Converge).unwrap();
        hold(to, &plan);
        assert!(plan.barrier);
        assert!(plan.steps.iter().any(|s| s.id == "start/c2"));
        for op in plan.steps.iter().flat_map(|s| &s.ops) {
            match op {
                Op::Cib(_) => panic!("{}", plan::show(&plan, true)),
                Op::Units(changes) => {
                    let touched = changes.iter().any(|c| switched.values().any(|u| *u == c.unit));
                    assert!(!touched, "{changes:?}");
                }
                Op::Files(files) => {
                    let told = |path: &str| switched.values().any(|u| path.contains(&format!("/{u}.d/")));
                    assert!(files.iter().all(|f| !told(&f.path)));
                }
                Op::Remove(paths) => assert!(paths.is_empty()),
                _ => {}
            }
        }
    }
}

/// An instance that somebody stopped, or took from systemd, is started and told again.
#[test]
fn what_systemd_runs_is_mended() {
    let [_, core] = both();
    for (resource, unit) in switched(&core) {
        let spoilt: [(&str, &str); 3] = [
            ("active", "disabled"),
            ("failed", "enabled"),
            ("inactive", "static"),
        ];
        for (active, file) in spoilt {
            let mut observed = world::all(&core, world::applied);
            let facts = observed["c2"].as_mut().unwrap();
            let Some(Fact::Known(now)) = facts.units.get_mut(&unit) else {
                panic!()
            };
            active.clone_into(&mut now.active);
            file.clone_into(&mut now.file);
            let plan = make(&core, &observed, Intent::Converge).unwrap();
            hold(&core, &plan);
            let changes: Vec<&UnitChange> = plan
                .steps
                .iter()
                .flat_map(|s| &s.ops)
                .filter_map(|op| {
                    if let Op::Units(changes) = op {
                        Some(changes)
                    } else {
                        None
                    }
                })
                .flatten()
                .collect();
            assert!(
                changes.iter().all(|c| c.unit == unit) && !changes.is_empty(),
                "{resource}: {}",
                plan::show(&plan, true)
            );
            assert!(
                file == "enabled" || changes.iter().any(|c| c.enabled == Some(true)),
                "{resource}"
            );
            assert!(
                active == "active" || changes.iter().any(|c| c.active == Some(true)),
                "{resource}"
            );
        }
    }
}
