//! Switching a whole site off: the order of its steps, and reasons against it.

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

use plan::{Machines, Observed, SiteOff, Step, switch_off};
use render::Desired;
use wire::{Answer, Fact, Op, ServerState};

fn cloud() -> Desired {
    let text = compare::read("examples/with-compute.yaml");
    let model = examples::model_of("with-compute", &text, &[]);
    world::known_by(examples::desired_of(&model))
}

fn machines() -> Machines {
    [(world::host("n1"), Ok(vec!["instance-1".to_owned()]))].into()
}

fn off(desired: &Desired, observed: &Observed) -> SiteOff {
    switch_off(desired, observed, &machines()).unwrap()
}

fn codes(desired: &Desired, observed: &Observed) -> Vec<&'static str> {
    let refused = switch_off(desired, observed, &machines()).unwrap_err();
    refused.into_iter().map(|r| r.code).collect()
}

fn place(all: &[Step], id: &str) -> usize {
    let ids: Vec<&str> = all.iter().map(|s| s.id.as_str()).collect();
    ids.iter()
        .position(|i| *i == id)
        .unwrap_or_else(|| panic!("no {id} in {ids:?}"))
}

/// A step and all that it goes after, by way of others.
fn before<'a>(all: &'a [Step], id: &str) -> Vec<&'a str> {
    let mut out = Vec::new();
    let mut next = vec![place(all, id)];
    while let Some(at) = next.pop() {
        for after in &all[at].after {
            if !out.contains(&after.as_str()) {
                out.push(after);
                next.push(place(all, after));
            }
        }
    }
    out
}

#[test]
fn machines_go_first_and_stores_last() {
    let desired = cloud();
    let off = off(&desired, &world::all(&desired, world::applied));
    let all = &off.plan.steps;
    assert_eq!(off.last.as_deref(), Some("c1"));
    let check = |id: &str, wanted: &[&str]| {
        let before = before(all, id);
        for one in wanted {
            assert!(before.contains(one), "{id} goes not after {one}: {before:?}");
        }
    };
    check("off/n1", &["guests/nova/n1"]);
    for at in ["c1", "c2", "c3"] {
        check(&format!("quiesce/{at}"), &["off/n1"]);
    }
    check("stop/c3", &["quiesce/c1", "quiesce/c2", "quiesce/c3"]);
    // The last may have lost the others since it was looked at, and be getting a copy.
    check("stop/c3", &["gate/c3"]);
    check("gate/c2", &["stop/c3"]);
    check("stop/c2", &["gate/c2"]);
    assert_eq!(all[place(all, "gate/c2")].hosts, ["c1"]);
    check("stop/c1", &["stop/c2"]);
    // Corosync of all stays until the last store has stopped: quorum is not lost before.
    check("off/c3", &["stop/c1"]);
    check("off/c2", &["off/c3"]);
    check("off/c1", &["off/c2"]);
    assert_eq!(place(all, "off/c1"), all.len() - 1);
    let told = off.plan.explain.join("\n");
    assert!(
        told.contains("c3, c2, c1") && told.contains("c1 stops last"),
        "{told}"
    );
    let guests = &all[place(all, "guests/nova/n1")];
    assert!(guests.why.contains("instance-1"), "{}", guests.why);
    // The databases stay for requests under way.
    let Op::Balance(quiet) = &all[place(all, "quiesce/c1")].ops[0] else {
        panic!()
    };
    assert_eq!(quiet.state, ServerState::Drain);
    assert!(quiet.servers.iter().any(|s| s == "keystone-api/c2"), "{quiet:?}");
    assert!(
        quiet.servers.iter().all(|s| !s.starts_with("galera/")),
        "{quiet:?}"
    );
}

/// A member whose copy of the databases is not whole cannot be the one with the newest data.
#[test]
fn a_member_that_does_not_serve_is_not_the_last() {
    let desired = cloud();
    let mut observed = world::all(&desired, world::applied);
    let facts = observed["c1"].as_mut().unwrap();
    let Some(Fact::Known(Answer::Rows(rows))) = facts.answers.get_mut("galera/status") else {
        panic!()
    };
    for row in rows {
        if row[0].as_deref() == Some("wsrep_local_state_comment") {
            row[1] = Some("Joining".to_owned());
        }
    }
    let off = off(&desired, &observed);
    assert_eq!(off.last.as_deref(), Some("c2"));
    assert!(before(&off.plan.steps, "stop/c3").contains(&"stop/c1"));
}

#[test]
fn it_is_refused_where_the_newest_data_is_not_known() {
    let desired = cloud();
    let whole = world::all(&desired, world::applied);
    let with = |change: &dyn Fn(&mut Observed)| {
        let mut observed = whole.clone();
        change(&mut observed);
        codes(&desired, &observed)
    };
    let lose = |o: &mut Observed, host: &str| {
        o.insert(world::host(host), Err(format!("{host}: cannot connect")));
    };
    assert_eq!(with(&|o| lose(o, "n1")), ["host::unreachable"]);
    assert_eq!(with(&|o| lose(o, "c2")), ["host::unreachable"]);
    let unquorate = |o: &mut Observed| {
        for facts in o.values_mut().flatten() {
            facts.cluster = Fact::Unknown("it hangs".to_owned());
        }
    };
    assert_eq!(with(&unquorate), ["host::no-cluster"]);
    let down = |o: &mut Observed| {
        for facts in o.values_mut().flatten() {
            if facts.answers.contains_key("galera/status") {
                facts.answers.insert("galera/status".to_owned(), Fact::Absent);
            }
        }
    };
    assert_eq!(with(&down), ["power::store-down"]);
    // The cluster manager would leave everything running when it ends.
    let held = |o: &mut Observed| {
        for facts in o.values_mut().flatten() {
            if let Fact::Known(cluster) = &mut facts.cluster {
                let (name, value) = ("maintenance-mode".to_owned(), "true".to_owned());
                cluster.options.insert(name, value);
            }
            let set = "<cluster_property_set id=\"x\" score=\"9\"><nvpair id=\"x-m\" name=\"maintenance-mode\" \
                       value=\"true\"/></cluster_property_set></crm_config>";
            world::reconfigure(facts, |cib| cib.replace("</crm_config>", set));
        }
    };
    assert_eq!(with(&held), ["cluster::held"]);
}

/// A run that was cut off after everything had stopped goes on with the hosts' power.
#[test]
fn it_goes_on_where_everything_has_stopped() {
    let desired = cloud();
    let mut observed = world::all(&desired, world::applied);
    for facts in observed.values_mut().flatten() {
        facts.cluster = Fact::Absent;
    }
    let off = off(&desired, &observed);
    assert_eq!(off.last, None);
    let ids: Vec<&str> = off.plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["guests/nova/n1", "off/n1", "off/c3", "off/c2", "off/c1"]);
}
