//! The planner's laws, tried on clouds that differ from what they should be in
//! ways nobody thought of.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "support/drift.rs"]
mod drift;
#[path = "support/electing.rs"]
mod electing;
#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/growing.rs"]
mod growing;
#[path = "support/leaving.rs"]
mod leaving;
#[path = "support/moving.rs"]
mod moving;
#[path = "support/renewing.rs"]
mod renewing;
#[path = "support/running.rs"]
mod running;
#[path = "support/spoiled.rs"]
mod spoiled;
#[path = "support/world.rs"]
mod world;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use names::ResourceId;
use plan::{Effect, Intent, Observed, Plan, Refusal};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use render::{Desired, Reader};
use spoiled::{Fault, fault, spoil};
use wire::{Answer, Fact, Op};

/// Rendering costs more than planning: once for all cases.
static CLOUDS: LazyLock<Vec<(String, Desired)>> = LazyLock::new(|| {
    examples::clouds()
        .into_iter()
        .map(|(name, d)| (name, world::known_by(d)))
        .collect()
});

fn make(desired: &Desired, observed: &Observed, intent: Intent) -> Result<Plan, Vec<Refusal>> {
    plan::plan(desired, observed, intent, world::DISTRIBUTION, &world::digest)
}

/// Everything that holds of any plan.
fn hold(desired: &Desired, plan: &Plan) {
    assert_eq!(plan::lint(plan, desired), []);
    // A secret is a reference until it is sent.
    let json = serde_json::to_string(plan).unwrap();
    for told in [json, plan::show(plan, true), plan::show(plan, false)] {
        for mark in ["\u{27e6}", "\u{27e7}", world::MARK] {
            assert!(!told.contains(mark), "a secret is told: {}", around(&told, mark));
        }
    }
}

/// The resource and target of the address that a step moves.
fn moved(step: &plan::Step) -> Option<(&str, &str)> {
    step.effects.iter().find_map(|e| match e {
        Effect::Move { resource, to, .. } => Some((resource.as_str(), to.as_str())),
        _ => None,
    })
}

/// The resources that a step restarts, and where.
fn restarted(step: &plan::Step) -> Vec<(&str, &str)> {
    let effects = step.effects.iter().filter_map(|e| match e {
        Effect::Restart { resource, host } => Some((resource.as_str(), host.as_str())),
        _ => None,
    });
    effects.collect()
}

/// Units of systemd that a step restarts, as files name them.
fn restarted_units(step: &plan::Step) -> Vec<String> {
    let changes = step.ops.iter().filter_map(|op| {
        if let Op::Units(changes) = op {
            Some(changes)
        } else {
            None
        }
    });
    changes
        .flatten()
        .filter(|c| c.restart)
        .map(|c| c.unit.clone())
        .collect()
}

fn around<'a>(text: &'a str, mark: &str) -> &'a str {
    let at = text.find(mark).unwrap_or(0);
    let from = text.floor_char_boundary(at.saturating_sub(120));
    &text[from..text.ceil_char_boundary((at + 120).min(text.len()))]
}

#[test]
fn a_plan_of_what_was_applied_is_empty() {
    for (cloud, desired) in CLOUDS.iter() {
        for intent in [Intent::Converge, Intent::Recover] {
            let plan = make(desired, &world::all(desired, world::applied), intent).unwrap();
            assert!(
                plan.is_empty() && !plan.barrier,
                "{cloud}:\n{}",
                plan::show(&plan, true)
            );
        }
    }
}

#[test]
fn bare_hosts_get_everything() {
    for (cloud, desired) in CLOUDS.iter() {
        let plan = make(desired, &world::all(desired, world::bare), Intent::Converge).unwrap();
        hold(desired, &plan);
        let ops: Vec<&Op> = plan.steps.iter().flat_map(|s| &s.ops).collect();
        let written: usize = ops
            .iter()
            .map(|op| if let Op::Files(f) = op { f.len() } else { 0 })
            .sum();
        let wanted: usize = desired.hosts.values().map(|h| h.files.len()).sum();
        assert!(written >= wanted, "{cloud}: {written} of {wanted} files");
        for (host, wanted) in &desired.hosts {
            let packages: Vec<&String> = plan
                .steps
                .iter()
                .filter(|s| s.hosts == [host.clone()])
                .flat_map(|s| &s.ops)
                .filter_map(|op| if let Op::Packages(p) = op { Some(p) } else { None })
                .flatten()
                .collect();
            assert_eq!(
                packages,
                wanted.packages.iter().collect::<Vec<_>>(),
                "{cloud}: {host}"
            );
        }
        assert!(
            plan.steps.iter().all(|s| s.effects.is_empty()),
            "{cloud}: nothing runs yet"
        );
    }
}

/// What was seen to be right is left alone.
#[test]
fn one_changed_file_is_one_change() {
    for (cloud, desired) in CLOUDS.iter() {
        for (index, (host, wanted)) in desired.hosts.iter().enumerate() {
            for file in wanted.files.iter().filter(|f| !f.write.directory && !f.once) {
                let mut observed = world::all(desired, world::applied);
                let (_, facts) = observed.get_index_mut(index).unwrap();
                let Fact::Known(now) = facts.as_mut().unwrap().files.get_mut(&file.write.path).unwrap()
                else {
                    panic!("{}", file.write.path)
                };
                now.digest = "0".repeat(32);
                let plan = make(desired, &observed, Intent::Converge).unwrap();
                hold(desired, &plan);
                let changes: Vec<&str> = plan
                    .steps
                    .iter()
                    .flat_map(|s| &s.changes)
                    .map(|c| c.what.as_str())
                    .collect();
                assert_eq!(changes, [file.write.path.as_str()], "{cloud}: {host}");
                let restarted: Vec<&str> = plan
                    .steps
                    .iter()
                    .flat_map(restarted)
                    .map(|(resource, _)| resource)
                    .collect();
                let mut units: Vec<String> = file
                    .restart
                    .iter()
                    .filter_map(Reader::unit)
                    .map(str::to_owned)
                    .collect();
                let mut resources: Vec<ResourceId> = file
                    .restart
                    .iter()
                    .filter_map(Reader::resource)
                    .cloned()
                    .collect();
                // What may exist only once is on the first host of this world.
                let once = |id: &ResourceId| {
                    let mut all = desired.cib.resources.iter();
                    all.any(|r| matches!(r, pacemaker::Resource::Primitive(p) if p.id == *id))
                };
                resources.retain(|id| index == 0 || !once(id));
                assert_eq!(restarted, resources, "{cloud}: {host}: {}", file.write.path);
                // What systemd runs in the place of the cluster it restarts too.
                let by_systemd = |u: &&render::DesiredUnit| {
                    u.run == render::UnitRun::Systemd && resources.contains(&u.resource)
                };
                let instances = wanted.units.iter().filter(by_systemd);
                units.extend(instances.map(|u| u.unit.clone()));
                let found: Vec<String> = plan.steps.iter().flat_map(restarted_units).collect();
                assert_eq!(found, units, "{cloud}: {host}: {}", file.write.path);
            }
        }
    }
}

/// The same change everywhere goes from host to host.
#[test]
fn a_change_everywhere_goes_host_by_host() {
    for (cloud, desired) in CLOUDS.iter() {
        let mut observed = world::all(desired, world::applied);
        for facts in observed.values_mut() {
            for file in facts.as_mut().unwrap().files.values_mut() {
                if let Fact::Known(file) = file {
                    file.digest = "0".repeat(32);
                }
            }
        }
        let plan = make(desired, &observed, Intent::Converge).unwrap();
        hold(desired, &plan);
        let restarting = plan.steps.iter().filter(|s| !restarted(s).is_empty()).count();
        // Beside the cluster only units are restarted, of which no API knows.
        assert_eq!(
            restarting,
            desired.nodes.len(),
            "{cloud}:\n{}",
            plan::show(&plan, false)
        );
    }
}

#[test]
fn a_host_that_cannot_be_seen_stops_the_plan() {
    for (cloud, desired) in CLOUDS.iter() {
        for host in desired.hosts.keys() {
            for make_rest in [world::applied, world::bare] {
                let mut observed = world::all(desired, make_rest);
                observed.insert(host.clone(), Err(format!("{host}: no route to host")));
                if !desired.is_member(host) {
                    // Nothing is planned for it, and everything for the others.
                    let plan = make(desired, &observed, Intent::Converge).unwrap();
                    hold(desired, &plan);
                    assert!(plan.explain.iter().any(|e| e.contains(host.as_str())), "{cloud}");
                    let on = |s: &plan::Step| s.hosts.contains(host);
                    assert!(!plan.steps.iter().any(on), "{cloud}: {host} is away");
                    continue;
                }
                let refusals = make(desired, &observed, Intent::Converge).unwrap_err();
                assert!(
                    refusals
                        .iter()
                        .any(|r| r.code == "host::unreachable" && r.message.contains(host.as_str())),
                    "{cloud}: {refusals:?}"
                );
                observed.shift_remove(host);
                assert!(
                    make(desired, &observed, Intent::Converge).is_err(),
                    "{cloud}: {host} was not asked"
                );
            }
        }
    }
}

/// All reasons are told at once, each with a cure.
#[test]
fn every_reason_is_told() {
    let (_, desired) = &CLOUDS[0];
    let mut observed = world::all(desired, world::bare);
    for (i, facts) in observed.values_mut().enumerate() {
        let facts = facts.as_mut().unwrap();
        facts.disk_free.insert("/var".to_owned(), 1 << 20);
        if i == 1 {
            facts.hostname = "somebody-else".to_owned();
        }
        if i == 2 {
            facts.os = Fact::Known(wire::OsRelease {
                id: "debian".to_owned(),
                version: "12".to_owned(),
            });
        }
    }
    let refusals = make(desired, &observed, Intent::Converge).unwrap_err();
    let codes: Vec<&str> = refusals.iter().map(|r| r.code).collect();
    assert_eq!(
        codes,
        [
            "host::disk-full",
            "host::another-name",
            "host::disk-full",
            "host::wrong-distribution",
            "host::disk-full"
        ]
    );
    assert!(refusals.iter().all(|r| !r.cure.is_empty()));
}

/// A device that is no longer wanted has its password in the cluster, and the
/// line that goes away must not show it.
#[test]
fn a_removed_fence_device_takes_its_password_along() {
    for (cloud, desired) in CLOUDS.iter().filter(|(_, d)| d.nodes.len() > 1) {
        let observed = world::all(desired, world::applied);
        let mut less = desired.clone();
        let device = less.cib.levels.first().unwrap().devices[0].clone();
        less.cib.resources.retain(|r| r.id() != device);
        less.cib.locations.retain(|l| l.resource != device);
        less.cib.levels.remove(0);
        let plan = make(&less, &observed, Intent::Converge).unwrap();
        assert!(!plan.is_empty(), "{cloud}");
        hold(&less, &plan);
    }
}

/// Whether the cluster runs there is not known: it must not be started.
#[test]
fn a_cluster_that_cannot_be_seen_is_not_started() {
    for (cloud, desired) in CLOUDS.iter() {
        for (host, _) in &desired.nodes {
            let mut observed = world::all(desired, world::applied);
            let facts = observed.get_mut(host).unwrap().as_mut().unwrap();
            facts.cluster = Fact::Unknown("crm_mon: timed out".to_owned());
            facts.cib = Fact::Unknown("cibadmin: timed out".to_owned());
            let refusals = make(desired, &observed, Intent::Converge).unwrap_err();
            let named = |r: &Refusal| r.message.contains(host.as_str());
            assert!(refusals.iter().any(named), "{cloud}: {host}: {refusals:?}");
        }
    }
}

/// What could not be read is not written over.
#[test]
fn a_file_that_cannot_be_seen_is_not_written() {
    for (cloud, desired) in CLOUDS.iter() {
        let mut observed = world::all(desired, world::applied);
        let (host, facts) = observed.get_index_mut(0).unwrap();
        let host = host.clone();
        let path = "/etc/corosync/corosync.conf".to_owned();
        let facts = facts.as_mut().unwrap();
        facts
            .files
            .insert(path, Fact::Unknown("Input/output error".to_owned()));
        let refusals = make(desired, &observed, Intent::Converge).unwrap_err();
        let named = |r: &Refusal| r.message.contains(host.as_str());
        assert!(refusals.iter().any(named), "{cloud}: {refusals:?}");
    }
}

/// Laws of one draw; true if a plan was made of it.
fn drawn(
    desired: &Desired,
    fresh: bool,
    recover: bool,
    faults: &[(usize, Fault)],
) -> Result<bool, TestCaseError> {
    let mut observed = world::all(desired, if fresh { world::bare } else { world::applied });
    for (host, fault) in faults {
        spoil(desired, &mut observed, *host, fault);
    }
    let intent = if recover {
        Intent::Recover
    } else {
        Intent::Converge
    };
    let first = make(desired, &observed, intent);
    match &first {
        Ok(plan) => {
            let seen =
                |(host, facts): (&names::HostName, &Result<_, _>)| facts.is_ok() || !desired.is_member(host);
            prop_assert!(
                observed.iter().all(seen),
                "planned over a member that cannot be seen"
            );
            hold(desired, plan);
        }
        Err(refusals) => {
            prop_assert!(!refusals.is_empty());
            for r in refusals {
                prop_assert!(!r.message.is_empty() && !r.cure.is_empty() && r.code.contains("::"));
                prop_assert!(
                    !r.message.contains(world::MARK) && !r.message.contains('\u{27e6}'),
                    "{}",
                    r.message
                );
            }
        }
    }
    prop_assert_eq!(&first, &make(desired, &observed, intent), "not the same twice");
    Ok(first.is_ok())
}

/// Of all draws no more may be refused: a law that only refusals hold is not tried.
const REFUSED: usize = 60;

#[test]
fn whatever_is_found_the_laws_hold() {
    let cases = 300;
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = (
        0..CLOUDS.len(),
        prop::bool::weighted(0.15),
        any::<bool>(),
        prop::collection::vec((0..8_usize, fault()), 0..12),
    );
    let refused = Cell::new(0);
    TestRunner::new(config)
        .run(&strategy, |(cloud, fresh, recover, faults)| {
            let made = drawn(&CLOUDS[cloud].1, fresh, recover, &faults)?;
            refused.set(refused.get() + usize::from(!made));
            Ok(())
        })
        .unwrap();
    let share = 100 * refused.get() / cases as usize;
    println!("{share} % of {cases} draws were refused");
    assert!(share <= REFUSED, "{share} % of the draws were refused");
}

/// What is foretold, usual and worst in milliseconds, of one effect on the first cloud.
#[test]
fn writes_wait_where_a_member_of_the_database_stops() {
    let (_, desired) = &CLOUDS[0];
    let check = |effect: Effect, resource: &str, expect: (u64, u64)| {
        let mut observed = world::all(desired, world::applied);
        observed["c1"].as_mut().unwrap().files.clear();
        let mut plan = make(desired, &observed, Intent::Converge).unwrap();
        for step in &mut plan.steps {
            step.effects.clear();
        }
        plan.steps[0].effects = vec![effect];
        let all = plan::outage(&plan, desired, &plan::Measures::new());
        let told = all.iter().find(|o| o.resource == resource).unwrap();
        assert_eq!(
            (told.usual_ms, told.worst_ms),
            expect,
            "{resource}: {:?}",
            told.why
        );
    };
    let standby = |host: &str, services: &[&str]| Effect::Standby {
        host: world::host(host),
        services: services.iter().map(|s| (*s).to_owned()).collect(),
    };
    check(standby("c3", &[]), "galera", (600, 1500));
    check(standby("c3", &[]), "keystone-api", (0, 500));
    // The address that moves beside it is back sooner.
    check(standby("c3", &["galera"]), "galera", (600, 1500));
    check(standby("c3", &["keystone"]), "keystone-api", (350, 800));
    // A host that the cloud file does not name any more was a member.
    check(standby("c5", &[]), "galera", (600, 1500));
    check(standby("c5", &[]), "keystone-api", (0, 500));
    let restart = |resource: &str| Effect::Restart {
        resource: resource.into(),
        host: world::host("c3"),
    };
    check(restart("galera"), "galera", (600, 3000));
    check(restart("keystone-api"), "keystone-api", (0, 500));
}
