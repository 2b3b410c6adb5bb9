//! Foreign settings in the cluster's configuration: what contradicts ours is drift, an order
//! to act on nothing is a reason against any plan.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use plan::Observed;
use render::Desired;
use wire::{Fact, Op};

fn applied(cib: impl Fn(&str) -> String) -> (Desired, Observed) {
    let (_, desired) = examples::example("three-controllers");
    let desired = world::known_by(desired);
    let mut seen = world::all(&desired, world::applied);
    for facts in seen.values_mut().flatten() {
        world::reconfigure(facts, &cib);
    }
    (desired, seen)
}

/// A set as `crm_attribute` and `pcs` write it.
fn foreign(name: &str, value: &str) -> impl Fn(&str) -> String {
    let set = format!(
        "<cluster_property_set id=\"cib-bootstrap-options\"><nvpair id=\"f\" name=\"{name}\" \
         value=\"{value}\"/></cluster_property_set></crm_config>"
    );
    move |cib| cib.replace("</crm_config>", &set)
}

#[test]
fn a_foreign_property_that_contradicts_ours_is_drift() {
    let check = |name, value, drift: bool| {
        let (desired, seen) = applied(foreign(name, value));
        let plan = world::plan(&desired, &seen).unwrap();
        let changes: Vec<&str> = plan
            .steps
            .iter()
            .flat_map(|s| &s.changes)
            .map(|c| c.diff.as_str())
            .collect();
        if drift {
            let words = format!("-  property {name}={value} of cib-bootstrap-options");
            assert!(
                matches!(changes[..], [one] if one.contains(&words)),
                "{changes:?}"
            );
            let configures = |op: &Op| matches!(op, Op::Cib(sections) if sections[0].name == "crm_config");
            assert!(plan.steps.iter().flat_map(|s| &s.ops).any(configures), "{name}");
        } else {
            assert!(plan.is_empty(), "{name}={value}: {changes:?}");
        }
    };
    check("stonith-enabled", "false", true);
    check("no-quorum-policy", "ignore", true);
    check("startup-fencing", "false", true);
    check("symmetric-cluster", "no", true);
    check("stonith-enabled", "true", false);
    check("startup-fencing", "yes", false);
    check("have-watchdog", "false", false);
}

#[test]
fn nothing_is_planned_over_an_order_to_act_on_nothing() {
    let check = |name, value, code: Option<&str>| {
        let (desired, seen) = applied(foreign(name, value));
        let refused = world::plan(&desired, &seen).err().unwrap_or_default();
        let codes: Vec<&str> = refused.iter().map(|r| r.code).collect();
        assert_eq!(codes, code.into_iter().collect::<Vec<_>>(), "{name}={value}");
        for reason in refused {
            assert!(
                reason.cure.contains(&format!("--name {name} --delete")),
                "{}",
                reason.cure
            );
        }
    };
    check("maintenance-mode", "true", Some("cluster::held"));
    check("maintenance-mode", "on", Some("cluster::held"));
    check("maintenance-mode", "false", None);
    check("stop-all-resources", "true", Some("cluster::held"));
}

#[test]
fn nothing_is_planned_while_a_member_is_in_maintenance() {
    let (desired, mut seen) = applied(str::to_owned);
    for facts in seen.values_mut().flatten() {
        if let Fact::Known(seen) = &mut facts.cluster {
            let node = seen.nodes.iter_mut().find(|n| n.name == "c2");
            node.unwrap().maintenance = true;
        }
    }
    let refused = world::plan(&desired, &seen).unwrap_err();
    let told: Vec<(&str, bool)> = refused
        .iter()
        .map(|r| (r.code, r.message.starts_with("c2 is in maintenance")))
        .collect();
    assert_eq!(told, [("host::in-maintenance", true)]);
}
