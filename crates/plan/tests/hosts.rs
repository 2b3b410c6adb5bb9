//! Hosts that come and leave as services see them: taken in once they run, forgotten once
//! they left, and kept while something is on them.

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

use plan::{Observed, Plan, Step};
use render::{Desired, IDENTITY};
use wire::{Answer, Expect, Fact, Op};

/// Answer of the guard of the script that takes hosts in.
const TAKEN_IN: &str = "script/nova/hosts/0";
/// Answer to how many VMs hosts have.
const HELD: &str = "held/nova/services";

/// Three controllers and a host for VMs.
fn cloud() -> Desired {
    let text = compare::read("examples/with-compute.yaml");
    let model = examples::model_of("with-compute", &text, &[]);
    world::known_by(examples::desired_of(&model))
}

fn answers(observed: &mut Observed, name: &str, fact: &Fact<Answer>) {
    for facts in observed.values_mut().flatten() {
        if let Some(answer) = facts.answers.get_mut(name) {
            *answer = fact.clone();
        }
    }
}

fn rows(rows: &[&[&str]]) -> Fact<Answer> {
    let row = |r: &&[&str]| r.iter().map(|c| Some((*c).to_owned())).collect();
    Fact::Known(Answer::Rows(rows.iter().map(row).collect()))
}

fn find<'a>(plan: &'a Plan, id: &str) -> Option<&'a Step> {
    plan.steps.iter().find(|s| s.id == id)
}

/// Accounts of hosts that also have a host of this name, at this address.
fn knew(desired: &Desired, by: &[&str], name: &str, address: &str) -> Observed {
    let mut observed = world::all(desired, world::applied);
    for host in by {
        let facts = observed.get_mut(*host).unwrap().as_mut().unwrap();
        let Some(Fact::Known(file)) = facts.files.get_mut(IDENTITY) else {
            panic!("{host} has no account")
        };
        let text = file.text.as_mut().unwrap();
        let told =
            format!("\"hosts\": [{{\"name\": \"{name}\", \"address\": \"{address}\", \"roles\": []}},");
        *text = text.replace("\"hosts\": [", &told);
        "another".clone_into(&mut file.digest);
    }
    observed
}

#[test]
fn a_new_host_is_waited_for_and_then_taken_in() {
    let desired = cloud();
    let mut observed = world::all(&desired, world::applied);
    assert!(world::plan(&desired, &observed).unwrap().is_empty());
    answers(&mut observed, TAKEN_IN, &rows(&[&["left-long-ago"]]));
    let plan = world::plan(&desired, &observed).unwrap();
    let step = find(&plan, "script/nova/hosts").unwrap();
    let waits = step.ops.iter().filter_map(|op| match op {
        Op::Wait(wait) => Some(&wait.expect),
        _ => None,
    });
    let names = Expect::Names(vec!["n1".to_owned()]);
    assert!(waits.into_iter().any(|expect| *expect == names), "{:?}", step.ops);
    let guarded = |op: &Op| matches!(op, Op::Unless { guards, .. } if guards[0].1 == names);
    assert!(step.ops.iter().any(guarded), "{:?}", step.ops);
}

/// Units that the next plan starts are waited for there.
#[test]
fn a_host_whose_units_are_not_there_is_taken_in_by_the_next_plan() {
    let desired = cloud();
    let mut observed = world::all(&desired, world::applied);
    answers(&mut observed, TAKEN_IN, &rows(&[]));
    observed.insert(world::host("n1"), Ok(world::bare(&desired, "n1")));
    let plan = world::plan(&desired, &observed).unwrap();
    assert!(find(&plan, "prepare/n1").is_some());
    assert!(find(&plan, "script/nova/hosts").is_none() && plan.barrier);
}

/// A host that cannot be reached is left out, and nobody waits for it.
#[test]
fn a_host_that_is_away_is_not_waited_for() {
    let desired = cloud();
    let mut observed = world::all(&desired, world::applied);
    answers(&mut observed, TAKEN_IN, &rows(&[]));
    observed.insert(world::host("n1"), Err("n1: cannot connect".to_owned()));
    let plan = world::plan(&desired, &observed).unwrap();
    assert!(plan.is_empty() && !plan.barrier, "{}", plan::show(&plan, true));
}

#[test]
fn records_of_hosts_that_left_are_removed_before_it_is_forgotten_that_they_were() {
    let desired = cloud();
    // Also where the host has another name now, as c2 does.
    let c2 = "198.18.0.12";
    for address in ["198.18.0.99", c2] {
        let observed = knew(&desired, &["c1"], "zz", address);
        let plan = world::plan(&desired, &observed).unwrap();
        for id in ["records/nova/services", "records/neutron/agents"] {
            let step = find(&plan, id).unwrap();
            let Some(Op::Run(command)) = step.ops.iter().find_map(|op| match op {
                Op::Unless { ops, .. } => ops.first(),
                _ => None,
            }) else {
                panic!("{:?}", step.ops)
            };
            assert_eq!(command.argv.last().unwrap(), "zz");
            assert!(
                !command
                    .argv
                    .iter()
                    .any(|word| desired.hosts.contains_key(word.as_str()))
            );
            let account = find(&plan, "leave/c1").unwrap();
            assert!(account.after.iter().any(|a| *a == id), "{:?}", account.after);
        }
    }
}

/// No record is touched of a host that no member was told of.
#[test]
fn hosts_that_were_never_in_the_file_keep_their_records() {
    let desired = cloud();
    let mut another = knew(&desired, &["c1"], "zz", "198.18.0.99");
    let facts = another.get_mut("c1").unwrap().as_mut().unwrap();
    if let Some(Fact::Known(file)) = facts.files.get_mut(IDENTITY) {
        let text = file.text.as_mut().unwrap();
        let cloud = "\"name\": \"machines\"";
        assert!(text.contains(cloud), "{text}");
        *text = text.replace(cloud, "\"name\": \"another\"");
    }
    for observed in [
        world::all(&desired, world::applied),
        knew(&desired, &["n1"], "zz", "198.18.0.99"),
        another,
    ] {
        let plan = world::plan(&desired, &observed).unwrap();
        let records = plan.steps.iter().find(|s| s.id.starts_with("records/"));
        assert!(records.is_none(), "{}", plan::show(&plan, true));
    }
}

#[test]
fn a_host_with_vms_does_not_leave() {
    let desired = cloud();
    let mut observed = knew(&desired, &["c1"], "zz", "198.18.0.99");
    let mut said = |fact: &Fact<Answer>| {
        answers(&mut observed, HELD, fact);
        match world::plan(&desired, &observed) {
            Ok(_) => String::new(),
            Err(refusals) => {
                let lines = refusals
                    .iter()
                    .map(|r| format!("{}: {}; {}", r.code, r.message, r.cure));
                lines.collect::<Vec<_>>().join("\n")
            }
        }
    };
    assert_eq!(said(&rows(&[&["n1", "7"], &["zzz", "2"]])), "");
    let held = said(&rows(&[&["n1", "7"], &["zz", "2"]]));
    assert!(
        held.starts_with(
            "host::in-use: zz is not in the cloud file, and nova has 2 VMs on it; move or delete"
        ) && held.contains("--host zz`"),
        "{held}"
    );
    // Unknown is no "none".
    for unknown in [Fact::Absent, Fact::Unknown("silent".to_owned())] {
        let said = said(&unknown);
        assert!(said.starts_with("host::in-use-unknown: zz "), "{said}");
    }
}

#[test]
fn hosts_beside_the_cluster_do_not_ask_apis() {
    let desired = cloud();
    let apis = |host: &str| {
        let asked = plan::observe(&desired, host, [7; 32], false);
        asked
            .queries
            .iter()
            .filter(|q| q.name.starts_with("api/"))
            .count()
    };
    for host in desired.hosts.keys() {
        // Of a thousand hosts each would ask each address at the same moment.
        let expect = if desired.is_member(host) {
            desired.apis.len()
        } else {
            0
        };
        assert_eq!(apis(host), expect, "{host}");
    }
    let beside = desired.hosts.keys().filter(|h| !desired.is_member(h)).count();
    assert!(beside > 0 && !desired.apis.is_empty());
}

/// A service gives a host beside the cluster another unit while one that runs there is
/// restarted: the next plan starts the new one, so this one does not wait for it.
#[test]
fn a_unit_that_is_not_there_yet_is_not_waited_for() {
    let desired = cloud();
    let mut observed = world::all(&desired, world::applied);
    let facts = observed[&world::host("n1")].as_mut().unwrap();
    let new = "quorate-ovn-controller.service";
    facts.units.insert(new.to_owned(), Fact::Absent);
    let Some(Fact::Known(conf)) = facts.files.get_mut("/etc/nova/nova.conf") else {
        panic!("n1 has no nova.conf")
    };
    "another".clone_into(&mut conf.digest);
    let plan = world::plan(&desired, &observed).unwrap();
    let waited = |unit: &str| {
        let waits = |op: &Op| matches!(op, Op::Wait(w) if w.what == format!("{unit} is up"));
        plan.steps.iter().any(|step| step.ops.iter().any(waits))
    };
    assert!(waited("quorate-nova-compute.service"), "{:?}", plan.steps);
    assert!(!waited(new), "{:?}", plan.steps);
}
