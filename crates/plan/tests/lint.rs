//! Each law of the linter, broken by hand: what would be done so is found.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use std::collections::{HashMap, HashSet};

use names::HostName;
use plan::{Effect, Flaw, Law, Plan, Step, lint};
use render::Desired;
use wire::{Answer, Fact, Op};

/// A cloud, and the plan of a change that goes from host to host.
fn rolling() -> (Desired, Plan) {
    let desired = world::known_by(examples::example("three-controllers").1);
    let mut observed = world::all(&desired, world::applied);
    for facts in observed.values_mut() {
        for file in facts.as_mut().unwrap().files.values_mut() {
            if let Fact::Known(file) = file {
                file.digest = "0".repeat(32);
            }
        }
    }
    let plan = world::plan(&desired, &observed).unwrap();
    assert_eq!(lint(&plan, &desired), []);
    (desired, plan)
}

/// The plan of an address that comes home.
fn homeward() -> (Desired, Plan) {
    let desired = world::known_by(examples::example("three-controllers").1);
    let mut observed = world::all(&desired, world::applied);
    let vip = desired
        .vips
        .iter()
        .find(|v| v.home.as_deref() == Some("c1"))
        .unwrap();
    world::put(&desired, &mut observed, &vip.resource, "c2");
    world::later(&mut observed, 1000);
    let plan = world::plan(&desired, &observed).unwrap();
    assert!(plan.moves());
    assert_eq!(lint(&plan, &desired), []);
    (desired, plan)
}

fn step<'a>(plan: &'a mut Plan, id: &str) -> &'a mut Step {
    let found = plan.steps.iter_mut().find(|s| s.id == id);
    found.unwrap_or_else(|| panic!("no step {id}"))
}

#[track_caller]
fn check((desired, plan): &(Desired, Plan), spoil: impl FnOnce(&mut Plan), law: Law, id: &str) {
    let mut spoilt = plan.clone();
    spoil(&mut spoilt);
    let flaws = lint(&spoilt, desired);
    let found = |f: &Flaw| f.law == law && (id.is_empty() || f.step == id);
    assert!(flaws.iter().any(found), "{flaws:?}");
}

#[test]
fn each_law_is_looked_at() {
    let of = rolling();
    check(
        &of,
        |p| step(p, "change/c1").hosts.clear(),
        Law::Whole,
        "change/c1",
    );
    check(&of, |p| step(p, "change/c1").ops.clear(), Law::Whole, "change/c1");
    check(&of, |p| step(p, "change/c1").why.clear(), Law::Whole, "change/c1");
    check(
        &of,
        |p| step(p, "change/c3").id = "change/c2".into(),
        Law::Whole,
        "change/c2",
    );
    check(
        &of,
        |p| step(p, "change/c1").hosts = vec![world::host("elsewhere")],
        Law::Known,
        "change/c1",
    );
    check(
        &of,
        |p| step(p, "change/c1").after.push("resume/c3/c1".into()),
        Law::Order,
        "change/c1",
    );
    check(
        &of,
        |p| step(p, "change/c1").title.push_str("\u{27e6}secret:a/b\u{27e7}"),
        Law::Secret,
        "change/c1",
    );
    // The next host is changed beside the first.
    let beside = |p: &mut Plan| {
        for step in &mut p.steps {
            step.after.retain(|a| !a.contains("/c1"));
        }
    };
    check(&of, beside, Law::OneAtATime, "");
    let hurried = |p: &mut Plan| {
        let step = step(p, "change/c1");
        while matches!(step.ops.last(), Some(wire::Op::Wait(_))) {
            step.ops.pop();
        }
    };
    // Told of the next host that is touched, whose step may be a reload.
    check(&of, hurried, Law::OneAtATime, "");
    check(
        &of,
        |p| step(p, "change/c1").hosts.push(world::host("c2")),
        Law::OneAtATime,
        "change/c1",
    );
    // Requests are sent away while it is not known whether the others are whole.
    let ungated = |p: &mut Plan| p.steps.retain(|s| s.id != "gate/c1/c2");
    check(&of, ungated, Law::Gated, "drain/c1/c2");
    let unasked = |p: &mut Plan| step(p, "gate/c1/c2").ops.truncate(0);
    check(&of, unasked, Law::Gated, "drain/c1/c2");
    // Nor is its member of the database stopped.
    let unmet = |p: &mut Plan| step(p, "change/c1").after.clear();
    check(&of, unmet, Law::Gated, "change/c1");
    // Requests go to what is restarted, or never come back.
    let undrained = |p: &mut Plan| step(p, "change/c1").after.retain(|a| a != "drain/c1/c2");
    check(&of, undrained, Law::Drained, "change/c1");
    let kept_out = |p: &mut Plan| p.steps.retain(|s| s.id != "resume/c2/c3");
    check(&of, kept_out, Law::Drained, "change/c2");
}

#[test]
fn a_move_is_looked_at() {
    let of = homeward();
    let id =
        of.1.steps
            .iter()
            .find(|s| s.id.starts_with("home/"))
            .unwrap()
            .id
            .clone();
    let hurried = |p: &mut Plan| drop(step(p, &id).ops.pop());
    check(&of, hurried, Law::MovesAlone, &id);
    let beside = |p: &mut Plan| {
        step(p, &id).effects.push(Effect::Reload {
            unit: "x".to_owned(),
            host: world::host("c1"),
        });
    };
    check(&of, beside, Law::MovesAlone, &id);
    let raised = |p: &mut Plan| {
        let ops = &mut step(p, &id).ops;
        let last = ops.iter().rposition(|op| matches!(op, wire::Op::Cib(_))).unwrap();
        ops.remove(last);
    };
    check(&of, raised, Law::MovesAlone, &id);
}

/// The answer of a database member in this state.
fn member(state: &str) -> Fact<Answer> {
    let row = |name: &str, value: &str| vec![Some(name.to_owned()), Some(value.to_owned())];
    let joins = matches!(state, "Initialized" | "Joining");
    Fact::Known(Answer::Rows(vec![
        row("wsrep_cluster_status", "Primary"),
        row("wsrep_local_state_comment", state),
        // A donor takes queries, and one whose copy is not replayed yet.
        row("wsrep_ready", if joins { "OFF" } else { "ON" }),
        row("wsrep_cluster_size", "3"),
    ]))
}

/// The cluster calls a member promoted while it is still getting its copy, or giving one.
#[test]
fn no_member_is_stopped_while_another_copies() {
    let (desired, plan) = rolling();
    let steps: Vec<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    let hosts: Vec<&HostName> = desired.hosts.keys().collect();
    let lets_on = |gate: &str, state: &str| {
        let step = plan.steps.iter().find(|s| s.id == gate);
        let ops = &step.unwrap_or_else(|| panic!("no step {gate}: {steps:?}")).ops;
        let mut asked = ops.iter().filter_map(|op| match op {
            Op::Wait(wait) if wait.what.starts_with("galera") => Some(wait),
            _ => None,
        });
        let wait = asked.next().unwrap_or_else(|| panic!("{gate} asks no database"));
        assert!(wait.timeout_ms > 0);
        wire::holds(&member(state), &wait.expect).is_ok()
    };
    for host in &hosts {
        for other in hosts.iter().filter(|o| *o != host) {
            let gate = format!("gate/{host}/{other}");
            assert!(lets_on(&gate, "Synced"));
            for state in ["Joining", "Joined", "Donor/Desynced", "Initialized"] {
                assert!(!lets_on(&gate, state), "{gate} takes {state}");
            }
        }
        // And it is the last word before the next host: all of them are asked.
        let change = format!("change/{host}");
        let change = plan.steps.iter().find(|s| s.id == change).unwrap();
        let waits = change.ops.iter().filter_map(|op| match op {
            Op::Wait(wait) if wait.what.starts_with("galera is Synced") => Some(wait),
            _ => None,
        });
        let waits: Vec<&wire::Wait> = waits.collect();
        assert!(!waits.is_empty(), "{} ends unasked", change.id);
        for wait in waits {
            assert!(wire::holds(&member("Synced"), &wait.expect).is_ok());
            assert!(wire::holds(&member("Joining"), &wait.expect).is_err());
        }
    }
}

/// The turn between two hosts is left out, and they do not take theirs at once.
#[test]
fn a_part_of_a_plan_keeps_its_order() {
    let (_, plan) = rolling();
    let part = plan::part(&plan, &["c1".to_owned(), "c3".to_owned()]).unwrap();
    let mut before: HashMap<&str, HashSet<&str>> = HashMap::new();
    for step in &part.steps {
        let mut all = HashSet::new();
        for first in &step.after {
            let firsts = before.get(first.as_str());
            let firsts = firsts.unwrap_or_else(|| panic!("{} goes after {first}", step.id));
            all.extend(firsts);
            all.insert(first.as_str());
        }
        before.insert(&step.id, all);
    }
    assert!(!before.contains_key("change/c2"), "{:?}", before.keys());
    let turns = ["change/c1", "change/c3"].map(|t| before[t].contains("change/c1"));
    let turned = ["change/c1", "change/c3"].map(|t| before[t].contains("change/c3"));
    assert!(turns[1] || turned[0], "c1 and c3 are changed at once");
}
