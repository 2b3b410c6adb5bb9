//! Laws that any plan must hold, looked at before it is performed: whatever the planner
//! thought of, a plan that breaks one is not done. It judges a whole plan as the planner
//! makes it, not a part of one, and asks nothing of the hosts.

use std::collections::{BTreeSet, HashMap, HashSet};

use render::{Desired, DesiredBalanced};
use wire::Op;

use crate::{Effect, Plan, Step, StepId};

/// A law that a plan breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// A step has hosts, words and operations, and an id of its own.
    Whole,
    /// A step is done on hosts of the cloud, or is about the host that leaves it.
    Known,
    /// A step goes after steps that stand before it.
    Order,
    /// A virtual address moves alone, after all else, and comes to rest before the next.
    MovesAlone,
    /// Nothing is restarted on two hosts at once, nor on the next before the last is back.
    OneAtATime,
    /// A host is drained, or a store's member stopped, only after the others are known to be whole.
    Gated,
    /// Balancers send nobody to what is restarted, and let it in afterwards.
    Drained,
    /// A secret is a reference until it is sent.
    Secret,
}

/// A fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The law that is broken.
    pub law: Law,
    /// The step that breaks it.
    pub step: StepId,
    /// How, in words.
    pub what: String,
}

/// Steps by id, for questions about their order.
struct Steps<'a>(HashMap<&'a str, &'a Step>);

impl<'a> Steps<'a> {
    /// True if a step goes after another, by way of whatever stands between.
    fn goes_after(&self, step: &'a Step, first: &str) -> bool {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut next: Vec<&Step> = vec![step];
        while let Some(step) = next.pop() {
            for after in &step.after {
                if after == first && self.0.contains_key(first) {
                    return true;
                }
                if seen.insert(after) {
                    next.extend(self.0.get(after.as_str()).copied());
                }
            }
        }
        false
    }

    /// How many steps one goes after.
    fn before(&self, step: &'a Step) -> usize {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut next: Vec<&Step> = vec![step];
        while let Some(step) = next.pop() {
            for after in step.after.iter().filter(|a| !a.is_empty()) {
                if seen.insert(after) {
                    next.extend(self.0.get(after.as_str()).copied());
                }
            }
        }
        seen.len()
    }
}

/// All that is wrong with a plan; empty for every plan that may be performed.
pub fn lint(plan: &Plan, desired: &Desired) -> Vec<Flaw> {
    let mut out = Vec::new();
    let steps = Steps(plan.steps.iter().map(|s| (s.id.as_str(), s)).collect());
    whole(plan, desired, &mut out);
    moves(plan, desired, &steps, &mut out);
    restarts(plan, &steps, &mut out);
    gated(plan, desired, &steps, &mut out);
    drained(plan, desired, &steps, &mut out);
    secrets(plan, &mut out);
    out
}

fn flaw(law: Law, step: &Step, what: impl Into<String>) -> Flaw {
    Flaw {
        law,
        step: step.id.clone(),
        what: what.into(),
    }
}

/// Each step by itself, and that it goes after steps that stand before it: so there is no circle.
fn whole(plan: &Plan, desired: &Desired, out: &mut Vec<Flaw>) {
    let mut before: HashSet<&str> = HashSet::new();
    for step in &plan.steps {
        if step.hosts.is_empty() {
            out.push(flaw(Law::Whole, step, "nobody does it"));
        }
        if step.title.is_empty() || step.why.is_empty() || step.ops.is_empty() {
            out.push(flaw(
                Law::Whole,
                step,
                "it has no title, no reason or no operation",
            ));
        }
        // What a host that leaves is to do names it.
        for host in step.hosts.iter().filter(|h| !desired.hosts.contains_key(*h)) {
            if !step.id.is_about(host) {
                out.push(flaw(Law::Known, step, format!("the cloud has no host {host}")));
            }
        }
        for after in step.after.iter().filter(|a| !before.contains(a.as_str())) {
            out.push(flaw(
                Law::Order,
                step,
                format!("it goes after {after}, which does not stand before it"),
            ));
        }
        if !before.insert(&step.id) {
            out.push(flaw(Law::Whole, step, "another step has the same id"));
        }
    }
}

fn is_move(step: &Step) -> bool {
    step.effects.iter().any(|e| matches!(e, Effect::Move { .. }))
}

fn ends_waiting(step: &Step) -> bool {
    matches!(step.ops.last(), Some(Op::Wait(_)))
}

fn moves<'a>(plan: &'a Plan, desired: &Desired, steps: &Steps<'a>, out: &mut Vec<Flaw>) {
    let restarting = plan.steps.iter().find(|s| !is_move(s) && disturbs(s));
    for (place, step) in plan.steps.iter().enumerate().filter(|(_, s)| is_move(s)) {
        let mut wrong = |what: &str| out.push(flaw(Law::MovesAlone, step, what));
        if step.effects.len() != 1 {
            wrong("it does more than move one address");
        }
        if steps.before(step) != place {
            wrong("it does not wait for all that stands before it");
        }
        if !ends_waiting(step) {
            wrong("the next does not wait for it");
        }
        if restarting.is_some() {
            wrong("something is restarted in the same plan");
        }
        // What was raised for it is put back.
        let last = step.ops.iter().rev().find_map(|op| match op {
            Op::Cib(sections) => Some(sections),
            _ => None,
        });
        let constraints = desired.cib.section("constraints");
        if last.is_none_or(|all| all.len() != 1 || all.iter().any(|s| s.xml != constraints)) {
            wrong("the preference that it raises is not put back");
        }
    }
}

/// True if a step restarts or stops something on one host. What the cluster restarts
/// everywhere, since its parameters are others, is foretold as such and no turn of a host.
fn disturbs(step: &Step) -> bool {
    let restarts = |op: &Op| matches!(op, Op::Units(all) if all.iter().any(|u| u.restart));
    let of_a_host = |e: &Effect| {
        matches!(
            e,
            Effect::Restart { .. } | Effect::Reload { .. } | Effect::Standby { .. } | Effect::Joins { .. }
        )
    };
    step.effects.iter().any(of_a_host) || step.ops.iter().any(restarts)
}

fn restarts<'a>(plan: &'a Plan, steps: &Steps<'a>, out: &mut Vec<Flaw>) {
    let mut last: Option<&Step> = None;
    for step in plan.steps.iter().filter(|s| !is_move(s) && disturbs(s)) {
        let here = |e: &Effect| match e {
            Effect::Restart { host, .. } => step.hosts == [host.clone()],
            _ => true,
        };
        if !step.effects.iter().all(here) || step.hosts.len() != 1 {
            let what = "it restarts something, and may be done on another host";
            out.push(flaw(Law::OneAtATime, step, what));
        }
        // Of those before, each went after the one before it.
        if let Some(first) = last.filter(|first| first.hosts != step.hosts) {
            if !steps.goes_after(step, &first.id) {
                out.push(flaw(
                    Law::OneAtATime,
                    step,
                    format!("it runs beside {}", first.id),
                ));
            }
            if !ends_waiting(first) {
                let what = format!("it does not wait for what {} restarts", first.id);
                out.push(flaw(Law::OneAtATime, step, what));
            }
        }
        last = Some(step);
    }
}

/// Hosts that a step takes away: out of balancers, out of service, or as a member of a store.
fn taken<'a>(step: &'a Step, desired: &Desired) -> BTreeSet<&'a str> {
    let stops = |resource: &str| {
        let mut all = desired.stores.iter();
        all.any(|s| s.resource == resource && s.members.len() > 1)
    };
    let stopped = step.effects.iter().filter_map(|effect| match effect {
        Effect::Standby { host, .. } => Some(host.as_str()),
        Effect::Restart { resource, host } => stops(resource).then_some(host.as_str()),
        _ => None,
    });
    step.id.drains().into_iter().chain(stopped).collect()
}

/// A host is taken away only after the others are known to be whole, each member of a
/// store by its own account: one that is promoted may still be getting a copy.
fn gated<'a>(plan: &'a Plan, desired: &Desired, steps: &Steps<'a>, out: &mut Vec<Flaw>) {
    for step in &plan.steps {
        for host in taken(step, desired) {
            let mut gates = vec![(format!("gate/{host}"), Vec::new())];
            for store in desired.stores.iter().filter(|s| s.members.len() > 1) {
                let others = store.members.iter().filter(|m| *m != host);
                gates.extend(others.map(|m| (format!("gate/{host}/{m}"), engines::serves(store, host))));
            }
            for (gate, waits) in gates {
                if !steps.goes_after(step, &gate) {
                    out.push(flaw(Law::Gated, step, format!("it does not go after {gate}")));
                }
                let Some(found) = steps.0.get(gate.as_str()) else {
                    continue;
                };
                for wait in waits {
                    let what = format!("{gate} does not wait until {}", wait.what);
                    if !found.ops.contains(&Op::Wait(wait)) {
                        out.push(flaw(Law::Gated, step, what));
                    }
                }
            }
        }
    }
}

/// Whoever stands behind the balancers is taken out at each before it is restarted, and let
/// in again at each afterwards.
fn drained<'a>(plan: &'a Plan, desired: &Desired, steps: &Steps<'a>, out: &mut Vec<Flaw>) {
    for step in &plan.steps {
        for effect in &step.effects {
            let Effect::Restart { resource, host } = effect else {
                continue;
            };
            let behind = |b: &DesiredBalanced| b.resource == *resource && b.members.len() > 1;
            if !desired.balanced.iter().any(behind) {
                continue;
            }
            for at in &desired.balancers {
                let (away, back) = (format!("drain/{host}/{at}"), format!("resume/{host}/{at}"));
                if !steps.goes_after(step, &away) {
                    out.push(flaw(Law::Drained, step, format!("it does not go after {away}")));
                }
                let back_after = steps
                    .0
                    .get(back.as_str())
                    .is_some_and(|b| steps.goes_after(b, &step.id));
                if !back_after {
                    out.push(flaw(Law::Drained, step, format!("{back} does not go after it")));
                }
            }
        }
    }
}

fn secrets(plan: &Plan, out: &mut Vec<Flaw>) {
    let told = |text: &str| text.contains(['\u{27e6}', '\u{27e7}']);
    for step in &plan.steps {
        let changes = step.changes.iter().any(|c| told(&c.what) || told(&c.diff));
        if told(&step.title) || told(&step.why) || changes {
            out.push(flaw(Law::Secret, step, "what is shown of it names a secret"));
        }
    }
}
