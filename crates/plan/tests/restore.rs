//! A restore in the planner's eyes: when the databases are loaded, who must have
//! stopped before, and what is refused until it is done.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/world.rs"]
mod world;

use plan::{Observed, Plan, Step};
use render::{Desired, DesiredRestore};
use wire::{Answer, Fact, Op};

const ID: &str = "0123456789abcdef";

fn clouds(over: bool) -> impl Iterator<Item = Desired> {
    named(over).map(|(_, desired)| desired)
}

fn named(over: bool) -> impl Iterator<Item = (String, Desired)> {
    examples::clouds().into_iter().map(move |(name, desired)| {
        let mut desired = world::known_by(desired);
        let names: Vec<String> = desired.databases.iter().flat_map(|d| d.names.clone()).collect();
        let load = engines::load(desired.sql_store().unwrap(), &names, "/copy", ID, over);
        desired.restore = Some(DesiredRestore {
            host: desired.sql_hosts[0].clone(),
            load: load.unwrap(),
        });
        (name, desired)
    })
}

/// What a host of the store answers to one of the restore's questions.
fn answer(observed: &mut Observed, host: &str, name: &str, row: &str) {
    let facts = observed.get_mut(host).unwrap().as_mut().unwrap();
    let rows = Answer::Rows(vec![vec![Some(row.to_owned())]]);
    facts.answers.insert(format!("restore/{name}"), Fact::Known(rows));
}

fn step<'a>(plan: &'a Plan, id: &str) -> &'a Step {
    let found = plan.steps.iter().find(|s| s.id == id);
    found.unwrap_or_else(|| {
        panic!(
            "no {id} in {:?}",
            plan.steps.iter().map(|s| &s.id).collect::<Vec<_>>()
        )
    })
}

#[test]
fn a_fresh_cloud_loads_once_the_store_is_up_and_before_anything_writes() {
    for desired in clouds(false) {
        let observed = world::all(&desired, world::bare);
        let plan = world::plan(&desired, &observed).unwrap();
        let restore = step(&plan, "restore");
        assert_eq!(restore.hosts, [desired.sql_hosts[0].clone()]);
        assert!(
            restore.after.iter().any(|a| a.ends_with("/claim")),
            "{:?}",
            restore.after
        );
        for id in plan.steps.iter().map(|s| &s.id) {
            if id.starts_with("database/") || id.starts_with("script/") {
                assert!(step(&plan, id).after.contains(&"restore".into()), "{id}");
            }
        }
    }
}

#[test]
fn services_that_run_are_taken_out_first_and_come_back_when_it_is_done() {
    for (name, desired) in named(true) {
        let mut observed = world::all(&desired, world::applied);
        let host = desired.sql_hosts[0].clone();
        answer(&mut observed, &host, "held", "one");
        assert_eq!(plan::held(observed.values().flatten()), ["one"]);
        let plan = world::plan(&desired, &observed).unwrap();
        let restore = step(&plan, "restore");
        // The cluster takes out those that it runs, and is waited for; in each architecture
        // it runs some that write.
        assert!(restore.after.contains(&"cib/foundation".into()), "{name}");
        assert!(matches!(restore.ops.first(), Some(Op::Wait(_))), "{name}");

        // Once begun, what is there is its own; once done there is nothing left.
        answer(&mut observed, &host, "begun", "1");
        assert!(plan::held(observed.values().flatten()).is_empty());
        answer(&mut observed, &host, "done", "1");
        let plan = world::plan(&desired, &observed).unwrap();
        assert!(plan.is_empty(), "{:?}", plan.steps);
    }
}

/// Whoever runs it, nothing that writes to the databases runs while they are loaded, and all
/// of it is started again afterwards.
#[test]
fn what_systemd_runs_is_stopped_while_databases_are_loaded() {
    let mut instances = 0;
    for desired in clouds(true) {
        let observed = world::all(&desired, world::applied);
        let made = world::plan(&desired, &observed).unwrap();
        let before = |id: &str| {
            let mut all = step(&made, id).after.clone();
            let mut at = 0;
            while let Some(next) = all.get(at) {
                let more = step(&made, next).after.clone();
                all.extend(more);
                at += 1;
            }
            all
        };
        // What was taken out of the cluster for it is put back by the same plan.
        if !desired.gated.is_empty() {
            let services = step(&made, "cib/services");
            assert!(
                before(&services.id).contains(&"restore".into()),
                "{:?}",
                services.after
            );
        }
        for host in &desired.sql_hosts {
            let quiet = plan::StepId::from(format!("restore/quiet/{host}"));
            assert!(before("restore").contains(&quiet), "{quiet}");
        }
        for (host, wanted) in &desired.hosts {
            let writes = |u: &&render::DesiredUnit| {
                u.run == render::UnitRun::Systemd && !u.resource.is_empty() && u.gated
            };
            for unit in wanted.units.iter().filter(writes) {
                instances += 1;
                let stop = plan::StepId::from(format!("restore/stop/{host}"));
                let stopped = step(&made, &stop).ops.iter().any(|op| {
                    matches!(op, Op::Units(all) if all.iter().any(|c| c.unit == unit.unit && c.active == Some(false)))
                });
                assert!(stopped, "{host}: {} runs on", unit.unit);
                assert!(before("restore").contains(&stop), "{stop}");
                let serve = format!("serve/{host}");
                let started = step(&made, &serve).ops.iter().any(|op| {
                    matches!(op, Op::Units(all) if all.iter().any(|c| c.unit == unit.unit && c.active == Some(true)))
                });
                assert!(started && before(&serve).contains(&"restore".into()), "{serve}");
            }
        }
    }
    assert!(instances > 0, "no example has an instance that systemd runs");
}

#[test]
fn half_a_restore_is_refused_by_everybody_else() {
    for mut desired in clouds(false) {
        let host = desired.sql_hosts[0].clone();
        desired.restore = None;
        let mut observed = world::all(&desired, world::applied);
        assert!(world::plan(&desired, &observed).unwrap().is_empty());
        answer(&mut observed, &host, "unfinished", ID);
        let refusals = world::plan(&desired, &observed).unwrap_err();
        assert_eq!(refusals[0].code, "restore::unfinished");
        assert!(
            refusals[0].message.contains(host.as_str()),
            "{}",
            refusals[0].message
        );
    }
}

/// The law that nothing is written over unasked, on the host itself: what was
/// seen before may have changed since.
#[test]
fn the_host_looks_again_unless_it_was_told_to_replace() {
    for over in [false, true] {
        for desired in clouds(over) {
            let ops = &desired.restore.as_ref().unwrap().load.ops;
            let Some(Op::Unless { ops: inner, .. }) = ops.first() else {
                panic!("{ops:?}");
            };
            let Some(Op::Unless { ops: first, .. }) = inner.first() else {
                panic!("{inner:?}");
            };
            assert_eq!(matches!(first.first(), Some(Op::Wait(_))), !over);
        }
    }
}
