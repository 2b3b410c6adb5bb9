//! A cloud whose cluster runs its units by Pacemaker's own class is moved to the agent of
//! units: a run that may end after any operation, and in which nothing is ever restarted.
//! Part of the tests of laws.

use std::collections::BTreeMap;

use names::ResourceId;
use pacemaker::{LiveCib, Primitive, Resource, UNIT_AGENT};

use super::*;

const SCRIPT: &str = "/usr/lib/ocf/resource.d/quorate/unit";
const REFRESH: &str = "--refresh";

/// A version ago: the same units by the class of systemd.
fn earlier(mut cib: pacemaker::Cib) -> pacemaker::Cib {
    for resource in &mut cib.resources {
        let primitive = match resource {
            Resource::Primitive(p) => p,
            Resource::Clone(c) => &mut c.primitive,
        };
        if primitive.agent == UNIT_AGENT {
            let unit = primitive.params.shift_remove("unit").unwrap();
            primitive.agent = format!("systemd:{}", unit.trim_end_matches(".service"));
        }
    }
    cib
}

fn history(primitive: &Primitive) -> String {
    let words: Vec<&str> = primitive.agent.split(':').collect();
    let id = &primitive.id;
    match words.as_slice() {
        [class, provider, kind] => {
            format!("<lrm_resource id=\"{id}\" class=\"{class}\" provider=\"{provider}\" type=\"{kind}\"/>")
        }
        [class, kind] => format!("<lrm_resource id=\"{id}\" class=\"{class}\" type=\"{kind}\"/>"),
        _ => panic!("{}", primitive.agent),
    }
}

struct World {
    to: Desired,
    observed: Observed,
    sections: BTreeMap<String, String>,
    /// The members' history of each resource, by its id.
    remembered: BTreeMap<ResourceId, String>,
    done: usize,
}

impl World {
    fn new(to: &Desired) -> Self {
        let mut observed = world::all(to, world::applied);
        for facts in observed.values_mut() {
            let files = &mut facts.as_mut().unwrap().files;
            assert!(files.insert(SCRIPT.to_owned(), Fact::Absent).is_some());
        }
        let cib = earlier(to.cib.clone());
        let sections = pacemaker::SECTIONS.map(|name| (name.to_owned(), cib.section(name)));
        let all = cib.resources.iter().map(Resource::primitive);
        let remembered = all.map(|p| (p.id.clone(), history(p))).collect();
        let mut out = Self {
            to: to.clone(),
            observed,
            sections: sections.into(),
            remembered,
            done: 0,
        };
        out.schedule();
        out
    }

    fn cib(&self) -> LiveCib {
        let sections: String = self.sections.values().map(String::as_str).collect();
        let history: String = self.remembered.values().map(String::as_str).collect();
        let first = self.observed.values().next().unwrap().as_ref().unwrap();
        let Fact::Known(whole) = &first.cib else { panic!() };
        let states = whole.text().unwrap().split_once("<status>").unwrap().1;
        let states = states.rsplit_once("<lrm/>").map_or(states, |(_, rest)| rest);
        let text = format!("<cib><configuration>{sections}</configuration><status>{history}<lrm/>{states}");
        LiveCib::parse(world::filled(&text)).unwrap()
    }

    /// The primitive's element in the configuration, with its own settings.
    fn configured(&self, id: &str) -> String {
        let all = &self.sections["resources"];
        let at = all.find(&format!("<primitive id=\"{id}\"")).unwrap();
        let end = all[at..].find("</primitive>").unwrap() + at;
        // A clone's settings stand before its primitive.
        let from = all[..at]
            .rfind("<clone ")
            .filter(|c| !all[*c..at].contains("</clone>"));
        all[from.unwrap_or(at)..end].to_owned()
    }

    /// The cluster's own work: it restarts what it ran by another agent, and moves what
    /// follows others to where it has found them.
    fn schedule(&mut self) {
        let primitives: Vec<Primitive> = self
            .to
            .cib
            .resources
            .iter()
            .map(|r| r.primitive().clone())
            .collect();
        for wanted in &primitives {
            let element = self.configured(&wanted.id);
            let unmanaged = element.contains("name=\"is-managed\" value=\"false\"");
            let now = format!("<cib>{element}</primitive></cib>").replace("<clone ", "<x ");
            let now = now.split_once("<primitive ").unwrap().1.to_owned();
            let new = now.starts_with(&format!(
                "id=\"{}\" class=\"ocf\" provider=\"quorate\" type=\"unit\"",
                wanted.id
            ));
            let remembered = self.remembered.get(&wanted.id);
            let other = remembered.is_some_and(|r| new != r.contains("provider=\"quorate\" type=\"unit\""));
            let is_unit = wanted.agent == UNIT_AGENT;
            assert!(
                !is_unit || !other || unmanaged,
                "after {} operations {} is restarted",
                self.done,
                wanted.id
            );
            let followed = format!("with-rsc=\"{}", wanted.id);
            assert!(
                !is_unit || remembered.is_some() || !self.sections["constraints"].contains(&followed),
                "after {} operations what follows {} moves",
                self.done,
                wanted.id
            );
        }
        let cib = self.cib();
        for facts in self.observed.values_mut() {
            facts.as_mut().unwrap().cib = Fact::Known(cib.clone());
        }
    }

    /// The probes of what was forgotten, once the cluster waits for them.
    fn probe(&mut self) {
        for wanted in self.to.cib.resources.iter().map(|r| r.primitive().clone()) {
            if !self.remembered.contains_key(&wanted.id) {
                let missing = self
                    .observed
                    .values()
                    .any(|f| matches!(f.as_ref().unwrap().files.get(SCRIPT), Some(Fact::Absent)));
                assert!(!missing, "{} is probed by an agent that is not there", wanted.id);
                self.remembered.insert(wanted.id.clone(), history(&wanted));
            }
        }
    }

    fn perform(&mut self, hosts: &[names::HostName], ops: &[Op], most: usize) -> bool {
        for op in ops {
            if self.done == most {
                return false;
            }
            if let Op::Unless { ops, .. } = op {
                if !self.perform(hosts, ops, most) {
                    return false;
                }
                continue;
            }
            self.done += 1;
            match op {
                Op::Cib(sections) => {
                    for section in sections {
                        self.sections.insert(section.name.clone(), section.xml.clone());
                    }
                }
                Op::Files(writes) => {
                    let made = world::applied(&self.to, &hosts[0]).files;
                    let files = &mut self.observed.get_mut(&hosts[0]).unwrap().as_mut().unwrap().files;
                    files.extend(writes.iter().map(|w| (w.path.clone(), made[&w.path].clone())));
                }
                Op::Run(command) if command.argv.contains(&REFRESH.to_owned()) => {
                    assert!(
                        self.remembered
                            .remove(command.argv.last().unwrap().as_str())
                            .is_some()
                    );
                }
                Op::Wait(_) => self.probe(),
                op => panic!("{op:?}"),
            }
            self.schedule();
        }
        true
    }

    /// Plans and does until a plan is empty, or so many operations were done.
    fn run(&mut self, most: usize) {
        for _ in 0..4 {
            // Pacemaker probes by itself, whoever waits for it.
            self.probe();
            self.schedule();
            let plan = make(&self.to, &self.observed, Intent::Converge).unwrap();
            hold(&self.to, &plan);
            assert!(
                plan.steps.iter().all(|s| s.effects.is_empty()),
                "{}",
                plan::show(&plan, true)
            );
            if plan.is_empty() {
                return;
            }
            for step in &plan.steps {
                if !self.perform(&step.hosts, &step.ops, most) {
                    return;
                }
            }
        }
        panic!("it does not end");
    }

    fn check(&self) {
        let plan = make(&self.to, &self.observed, Intent::Converge).unwrap();
        assert!(plan.is_empty() && !plan.barrier, "{}", plan::show(&plan, true));
        assert!(!self.sections["resources"].contains("is-managed"));
        let all = self.to.cib.resources.iter().map(Resource::primitive);
        let wanted: Vec<_> = all.map(|p| (p.id.as_str(), p.agent.as_str())).collect();
        assert_eq!(
            self.cib().of_another_agent(wanted.into_iter()),
            Vec::<String>::new()
        );
    }
}

fn cloud() -> Desired {
    let text = include_str!("../../../../examples/with-placement.yaml");
    world::known_by(examples::desired_of(&examples::model_of("renewing", text, &[])))
}

/// The next run goes on from any operation at which one ended; nothing is restarted.
#[test]
fn units_change_their_agent_while_they_run() {
    let to = cloud();
    let mut unbroken = World::new(&to);
    let plan = make(&to, &unbroken.observed, Intent::Converge).unwrap();
    compare::text("tests/golden/plans/agents-change.txt", &plan::show(&plan, true));
    unbroken.run(usize::MAX);
    unbroken.check();
    assert!(unbroken.done > 10);
    for most in 0..unbroken.done {
        let mut world = World::new(&to);
        world.run(most);
        assert_eq!(world.done, most);
        world.run(usize::MAX);
        world.check();
    }
}

/// A cluster that is not whole is made whole first, and then no resource is configured.
#[test]
fn no_agent_changes_in_a_cluster_that_is_not_whole() {
    let to = cloud();
    let mut world = World::new(&to);
    let facts = world.observed.get_mut("c2").unwrap().as_mut().unwrap();
    facts.cluster = Fact::Absent;
    facts.cib = Fact::Absent;
    let plan = make(&to, &world.observed, Intent::Converge).unwrap();
    hold(&to, &plan);
    assert!(plan.barrier && plan.steps.iter().any(|s| s.id == "start/c2"));
    let mut ops = plan.steps.iter().flat_map(|s| &s.ops);
    assert!(
        !ops.any(|op| matches!(op, Op::Cib(_))),
        "{}",
        plan::show(&plan, true)
    );
}
