//! VM hosts out of service and back: the order of the steps, and reasons against it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use plan::{Observed, Plan, Step, Upkeep, lint, show, take_away, take_back};
use render::Desired;
use wire::{Answer, Expect, Fact, Op};

/// Answer to how many VMs hosts have.
const HELD: &str = "held/nova/services";

/// Three controllers and hosts for VMs; `more` are lines of further hosts.
fn cloud(more: &str) -> Desired {
    let text = compare::read("examples/with-compute.yaml");
    let n1 = "  n1: { role: compute,";
    assert!(text.contains(n1));
    let text = text.replace(n1, &format!("{more}{n1}"));
    let model = examples::model_of("with-compute", &text, &[]);
    world::known_by(examples::desired_of(&model))
}

/// Another VM host, and a controller that runs VMs too.
const MORE: &str = "  n2: { role: compute, address: 198.18.0.22, addresses: { tunnels: 198.19.0.22 } }\n";
const BOTH: &str = "  c4: { role: [controller, compute], address: 198.18.0.14, addresses: { tunnels: 198.19.0.14 } }\n  \
                    c5: { role: controller, address: 198.18.0.15, addresses: { tunnels: 198.19.0.15 } }\n";

fn seen(desired: &Desired) -> Observed {
    world::all(desired, world::applied)
}

/// The databases tell of these VMs.
fn holding(desired: &Desired, fact: &Fact<Answer>) -> Observed {
    let mut observed = seen(desired);
    for facts in observed.values_mut().flatten() {
        if let Some(answer) = facts.answers.get_mut(HELD) {
            *answer = fact.clone();
        }
    }
    observed
}

fn vms(host: &str, count: &str) -> Fact<Answer> {
    let row = [host, count].map(|word| Some(word.to_owned()));
    Fact::Known(Answer::Rows(vec![row.to_vec()]))
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

fn find<'a>(plan: &'a Plan, id: &str) -> &'a Step {
    let found = plan.steps.iter().find(|s| s.id == id);
    found.unwrap_or_else(|| panic!("no {id} in {:?}", ids(plan)))
}

/// The command of a step that asks a service's API first.
fn command(step: &Step) -> &wire::Command {
    let Some((Op::Unless { ops, .. }, waits)) = step.ops.split_last() else {
        panic!("{:?}", step.ops)
    };
    assert!(!waits.is_empty() && waits.iter().all(|op| matches!(op, Op::Wait(_))));
    let [Op::Run(command)] = ops.as_slice() else {
        panic!("{ops:?}")
    };
    command
}

fn codes(desired: &Desired, observed: &Observed, host: &str) -> Vec<&'static str> {
    let refused = take_away(desired, observed, host, Upkeep::Drain).unwrap_err();
    refused.into_iter().map(|r| r.code).collect()
}

/// Each step goes after the one before it, and what is done breaks no law.
fn one_after_the_other(plan: &Plan, desired: &Desired) {
    assert_eq!(lint(plan, desired), [], "{}", show(plan, true));
    for pair in plan.steps.windows(2) {
        assert_eq!(pair[1].after, [pair[0].id.clone()], "{}", show(plan, true));
    }
}

#[test]
fn a_vm_host_is_emptied_before_it_is_worked_on() {
    let desired = cloud(MORE);
    let observed = seen(&desired);
    let check = |upkeep, expect: &[&str]| {
        let plan = take_away(&desired, &observed, "n1", upkeep).unwrap();
        assert_eq!(ids(&plan), expect);
        one_after_the_other(&plan, &desired);
        plan
    };
    let plan = check(Upkeep::Drain, &["empty/nova/n1"]);
    check(Upkeep::Reboot, &["empty/nova/n1", "upkeep/n1"]);
    let empty = find(&plan, "empty/nova/n1");
    // Its commands are said by a host that reaches the API, which is none of the VM hosts.
    assert_eq!(empty.hosts, ["c1", "c2", "c3"]);
    let run = command(empty);
    assert_eq!(
        run.argv,
        [
            "/usr/lib/quorate/quorate",
            "agent",
            "empty",
            "n1",
            "--at-once",
            "2",
            "--as",
            "/etc/quorate/compute.json"
        ]
    );
    // Two hosts at the same time are two units: neither waits for the other's as its own.
    let other = take_away(&desired, &observed, "n2", Upkeep::Drain).unwrap();
    assert_ne!(command(find(&other, "empty/nova/n2")).unit, run.unit);
}

#[test]
fn a_vm_host_takes_vms_again_once_its_units_run() {
    let desired = cloud(MORE);
    let plan = take_back(&desired, &seen(&desired), "n1").unwrap();
    assert_eq!(ids(&plan), ["up/n1", "fill/nova/n1"]);
    one_after_the_other(&plan, &desired);
    let up = find(&plan, "up/n1");
    assert_eq!(up.hosts, ["n1"]);
    let waited = |unit: &str| {
        up.ops.iter().any(|op| {
            matches!(op, Op::Wait(w) if w.what == format!("{unit} is up") && w.expect == Expect::Exit(0))
        })
    };
    assert!(waited("quorate-nova-compute.service") && waited("libvirtd.socket"));
    let argv = &command(find(&plan, "fill/nova/n1")).argv;
    assert_eq!(argv[1..4], ["agent", "fill", "n1"]);
}

/// Whoever has just been updated runs the new program; what did not run stays so.
#[test]
fn programs_that_run_vms_are_taken_up_by_an_update() {
    let desired = cloud(MORE);
    let plan = take_away(&desired, &seen(&desired), "n1", Upkeep::Update).unwrap();
    let [Op::Upgrade, Op::Run(renew)] = find(&plan, "upkeep/n1").ops.as_slice() else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!(
        renew.argv,
        [
            "systemctl",
            "try-restart",
            "libvirtd.service",
            "quorate-libvirt-peers.service",
            "quorate-nova-compute.service"
        ]
    );
    let plan = take_away(&desired, &seen(&desired), "c1", Upkeep::Update).unwrap();
    assert_eq!(find(&plan, "upkeep/c1").ops, [Op::Upgrade]);
}

/// A member that runs VMs loses them first, then its turn as a member begins.
#[test]
fn a_member_with_vms_is_emptied_before_its_gates() {
    let desired = cloud(BOTH);
    let mut observed = seen(&desired);
    let plan = take_away(&desired, &observed, "c4", Upkeep::Reboot).unwrap();
    assert_eq!(lint(&plan, &desired), [], "{}", show(&plan, true));
    assert_eq!(ids(&plan)[0], "empty/nova/c4");
    let gate = find(&plan, "gate/c4");
    assert_eq!(gate.after, ["empty/nova/c4"]);
    assert_eq!(find(&plan, "upkeep/c4").after, ["standby/c4"]);
    // It is the last to be asked: it is about to go.
    assert_eq!(find(&plan, "empty/nova/c4").hosts, ["c1", "c2", "c3", "c5", "c4"]);
    for facts in observed.values_mut().flatten() {
        if let Fact::Known(cluster) = &mut facts.cluster {
            let nodes = cluster.nodes.iter_mut();
            nodes.filter(|n| n.name == "c4").for_each(|n| n.standby = true);
        }
    }
    // It is out of service and may have VMs again: somebody let them come.
    let plan = take_away(&desired, &observed, "c4", Upkeep::Reboot).unwrap();
    assert_eq!(ids(&plan), ["empty/nova/c4", "upkeep/c4"]);
    let plan = take_back(&desired, &observed, "c4").unwrap();
    let all = ids(&plan);
    assert_eq!((all[0], all[all.len() - 1]), ("service/c4", "fill/nova/c4"));
    let up = find(&plan, "up/c4");
    assert!(up.after.iter().all(|a| a.is_within("resume/c4")) && !up.after.is_empty());
    // A member without VMs has none of it.
    let plan = take_back(&desired, &observed, "c1");
    assert_eq!(
        plan.unwrap_err()[0].code,
        "host::another-away",
        "c4 is away beside it"
    );
    assert!(take_back(&desired, &seen(&desired), "c1").unwrap().is_empty());
}

#[test]
fn a_plan_tells_how_many_vms_are_moved() {
    let desired = cloud(MORE);
    let why = |observed: &Observed| {
        let plan = take_away(&desired, observed, "n1", Upkeep::Drain).unwrap();
        find(&plan, "empty/nova/n1").why.clone()
    };
    let some = why(&holding(&desired, &vms("n1", "7")));
    assert_eq!(some, "7 VMs are on it: they would end with it");
    // Of another host's, and of what nobody tells, nothing is said.
    for fact in [vms("n2", "7"), vms("n1", "0"), Fact::Unknown("silent".to_owned())] {
        assert_eq!(
            why(&holding(&desired, &fact)),
            "none may be on it or come to it meanwhile"
        );
    }
}

#[test]
fn a_vm_host_that_cannot_be_emptied_is_refused_with_the_reason() {
    let check = |desired: &Desired, observed: &Observed, expect: &[&str]| {
        assert_eq!(codes(desired, observed, "n1"), expect);
    };
    let alone = cloud("");
    check(&alone, &holding(&alone, &vms("n1", "3")), &["host::no-other"]);
    // Without VMs it needs no other, and where nobody knows the command finds out.
    for fact in [vms("n1", "0"), Fact::Unknown("silent".to_owned())] {
        let plan = take_away(&alone, &holding(&alone, &fact), "n1", Upkeep::Drain).unwrap();
        assert_eq!(ids(&plan), ["empty/nova/n1"]);
    }
    let two = cloud(MORE);
    let plan = take_away(&two, &holding(&two, &vms("n1", "3")), "n1", Upkeep::Drain);
    assert_eq!(ids(&plan.unwrap()), ["empty/nova/n1"]);
    let mut observed = seen(&two);
    observed.insert(world::host("n1"), Err("cannot reach n1".to_owned()));
    check(&two, &observed, &["host::unreachable"]);
    let mut observed = seen(&two);
    world::elect(&mut observed);
    check(&two, &observed, &["host::no-cluster"]);
    // A member that is away hinders no VM host.
    let mut observed = seen(&two);
    observed.insert(world::host("c3"), Err("cannot reach c3".to_owned()));
    assert!(take_away(&two, &observed, "n1", Upkeep::Drain).is_ok());
    assert_eq!(codes(&two, &observed, "zz"), ["host::not-a-member"]);
}

/// Where the catalogue moves no VMs, a host of them is left alone, and told why.
#[test]
fn without_commands_that_move_vms_a_vm_host_is_refused() {
    let mut desired = cloud(MORE);
    for host in desired.hosts.values_mut() {
        host.guests.iter_mut().for_each(|g| g.moves = None);
    }
    let observed = seen(&desired);
    let refused = take_away(&desired, &observed, "n1", Upkeep::Reboot).unwrap_err();
    let [refusal] = refused.as_slice() else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.code, "host::not-a-member");
    assert!(
        refusal
            .message
            .contains("the catalogue has no command that moves its VMs"),
        "{}",
        refusal.message
    );
    assert!(take_back(&desired, &observed, "n1").is_err());
}
