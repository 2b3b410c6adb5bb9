//! What leaves a cloud that runs: services, and addresses. Part of the tests of laws.

use super::*;

/// The cloud of an example with other lines in place of some.
fn with(replaced: &[(&str, &str)]) -> Desired {
    let mut text = compare::read("examples/with-placement.yaml");
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let model = examples::model_of("with-placement", &text, &[]);
    world::known_by(examples::desired_of(&model))
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|s| s.id.as_str()).collect()
}

/// The services of the example, and those without the last.
const BOTH: &str = "services: [keystone, placement]";
const ONE: &str = "services: [keystone]";

#[test]
fn a_service_that_is_not_named_any_more_leaves() {
    let (both, one) = (with(&[]), with(&[(BOTH, ONE)]));
    let observed = world::all(&both, world::applied);
    let plan = make(&one, &observed, Intent::Converge).unwrap();
    hold(&one, &plan);
    compare::text("tests/golden/plans/service-leaves.txt", &plan::show(&plan, true));
    // Nothing of the database is touched.
    let ops = plan.steps.iter().flat_map(|s| &s.ops);
    let sql = |op: &Op| matches!(op, Op::Sql(_));
    assert!(!ops.clone().any(|op| match op {
        Op::Unless { ops, .. } => ops.iter().any(sql),
        op => sql(op),
    }));
    // Then it is gone, and a plan is empty.
    let gone = world::all(&one, world::applied);
    let plan = make(&one, &gone, Intent::Converge).unwrap();
    assert!(plan.is_empty(), "{}", plan::show(&plan, true));
}

/// A run that was cut off after the cluster was configured finds what is left.
#[test]
fn a_removal_that_was_cut_off_goes_on() {
    let (both, one) = (with(&[]), with(&[(BOTH, ONE)]));
    let mut observed = world::all(&one, world::applied);
    let before = world::all(&both, world::applied);
    let account = |of: &Observed, host: &str| of[host].as_ref().unwrap().files[render::IDENTITY].clone();
    // Two hosts were not told yet.
    for host in ["c2", "c3"] {
        let facts = observed.get_mut(host).unwrap().as_mut().unwrap();
        facts
            .files
            .insert(render::IDENTITY.to_owned(), account(&before, host));
    }
    let plan = make(&one, &observed, Intent::Converge).unwrap();
    hold(&one, &plan);
    assert_eq!(ids(&plan), ["undo/placement/identity", "leave/c2", "leave/c3"]);
}

/// Services that hosts have and nobody knows are not passed over.
#[test]
fn a_service_that_the_catalogue_does_not_know_stops_the_plan() {
    let (both, mut one) = (with(&[]), with(&[(BOTH, ONE)]));
    one.absent.clear();
    let observed = world::all(&both, world::applied);
    let refusals = make(&one, &observed, Intent::Converge).unwrap_err();
    let codes: Vec<&str> = refusals.iter().map(|r| r.code).collect();
    assert_eq!(codes, ["service::left-unknown"]);
    assert!(
        refusals[0].message.contains("`placement`"),
        "{}",
        refusals[0].message
    );
}

/// With whom it would ask, a service takes nothing back: it goes with it.
#[test]
fn all_services_may_leave() {
    let (both, none) = (with(&[]), with(&[(BOTH, "services: []")]));
    let observed = world::all(&both, world::applied);
    let plan = make(&none, &observed, Intent::Converge).unwrap();
    hold(&none, &plan);
    assert!(
        !ids(&plan).iter().any(|id| id.starts_with("undo/")),
        "{:?}",
        ids(&plan)
    );
    assert_eq!(plan.explain.len(), 2, "{:?}", plan.explain);
}

/// Addresses that are not wanted any more are stopped before they are deleted.
#[test]
fn addresses_that_are_not_wanted_are_stopped_first() {
    let (pool, shared) = ("pool: 198.18.0.100-198.18.0.119", "shared: 198.18.0.100");
    let (many, one) = (with(&[]), with(&[(pool, shared)]));
    let observed = world::all(&many, world::applied);
    let plan = make(&one, &observed, Intent::Converge).unwrap();
    hold(&one, &plan);
    let stop = plan.steps.iter().find(|s| s.id == "leave/stop").unwrap();
    assert_eq!(
        stop.title,
        "stop vip-galera, vip-keystone, vip-placement in the cluster"
    );
    let configured = plan.steps.iter().find(|s| s.id == "cib/services").unwrap();
    assert!(configured.after.contains(&stop.id), "{:?}", configured.after);
    // What stays is not among it, and no service leaves.
    assert!(
        !ids(&plan).iter().any(|id| id.starts_with("leave/c")),
        "{:?}",
        ids(&plan)
    );
}
