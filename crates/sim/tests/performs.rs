//! Plans performed: from bare hosts to what the cloud file says, in both architectures,
//! whatever happens on the way. Law 2 is so tested by doing what a plan says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;

use plan::Intent;
use render::{Desired, DesiredRestore};
use sim::{Ended, Fault, Stop, World};

/// A cloud of the examples, as the planner is given it.
fn cloud(name: &str) -> Desired {
    sim::known_by(examples::example(name).1)
}

/// Other services than Keystone alone, on the same hosts.
const EIGHT: &str = "keystone, placement, swift, glance, nova, neutron, cinder, horizon, heat";

/// A cloud of so many controllers in an architecture.
fn of(controllers: usize, architecture: &str, services: &str) -> Desired {
    let host = |n: usize| format!("  c{n}: {{ role: controller, address: 198.18.0.1{n} }}\n");
    let hosts = (1..=controllers).map(host).collect::<Vec<_>>().concat();
    let mut text = format!(
        "cloud: grows\nrelease: \"2025.1\"\narchitecture: {architecture}\nhosts:\n{hosts}vips: {{ pool: \
         198.18.0.100-198.18.0.119 }}\nservices: [{services}]\n"
    );
    if services == EIGHT {
        text.push_str(
            "cures: [rpc-reply-poll, ovn-hash-ring, tls-error-of-another]\nsettings:\n  ovn: { datapath: netdev \
             }\n  cinder: { backend: nfs, nfs-host: 198.18.0.5, nfs-path: /volumes }\n",
        );
    }
    let model = examples::model_of("cloud.yaml", &text, &[]);
    sim::known_by(examples::desired_of(&model))
}

/// The architectures by their names in a cloud file.
const ARCHITECTURES: [&str; 2] = ["full", "core"];

/// The same cloud in both architectures.
fn both() -> [Desired; 2] {
    ["three-controllers", "core"].map(cloud)
}

/// Nothing is left to do, and no law was broken on the way.
#[track_caller]
fn good(world: &World, ended: &Ended, what: &str) {
    assert!(
        matches!(ended, Ended::Empty(_)),
        "{what}, after {} operations: {}",
        world.done,
        said(ended)
    );
    let told = world.told.as_ref().map_or_else(String::new, |t| t.join("\n"));
    assert!(
        world.broken.is_empty(),
        "{told}\n{what}:\n{}",
        world.broken.join("\n")
    );
}

fn said(ended: &Ended) -> String {
    match ended {
        Ended::Refused(all) => {
            let words: Vec<String> = all.iter().map(|r| format!("{}: {}", r.code, r.message)).collect();
            format!("refused:\n{}", words.join("\n"))
        }
        Ended::Failed(step, why) => format!("{step} failed: {why}"),
        Ended::Endless(last) => format!("it does not end; last:\n{last}"),
        other => format!("{other:?}"),
    }
}

/// A cloud as `apply` made it.
fn made(desired: &Desired) -> World {
    let mut world = World::bare(desired);
    let ended = world.run(Intent::Converge, Stop::Never);
    good(&world, &ended, "from bare");
    world
}

/// A file of each host that a running instance reads is spoilt.
fn spoil(world: &mut World, path: &str) {
    for host in world.machines.keys().cloned().collect::<Vec<_>>() {
        world.suffer(&Fault::Spoilt(host, path.to_owned()));
    }
}

#[test]
fn bare_hosts_become_what_is_wanted() {
    for desired in both() {
        let world = made(&desired);
        assert!(world.done > 40, "{}", world.done);
        // By its own account everything answers.
        for api in &desired.apis {
            assert!(world.answers(&api.resource, &api.service), "{}", api.name);
        }
        for intent in [Intent::Converge, Intent::Recover] {
            let plan = world.plan(intent).unwrap();
            assert!(plan.is_empty() && !plan.barrier, "{}", plan::show(&plan, true));
        }
    }
}

/// Every example: what a plan of it does is what it wants.
#[test]
fn every_example_is_performed() {
    for (name, desired) in examples::clouds() {
        // Other hosts than this world's, and a service that nobody packages.
        if ["debian-12", "centos-9"].contains(&name.as_str()) {
            continue;
        }
        let mut world = World::bare(&sim::known_by(desired));
        let ended = world.run(Intent::Converge, Stop::Never);
        good(&world, &ended, &name);
    }
}

/// The operator is killed after any operation: the next run ends it.
#[test]
fn a_killed_operator_is_gone_on_from() {
    for desired in both() {
        let all = made(&desired).done;
        for most in (0..all).step_by(7) {
            let mut world = World::bare(&desired);
            assert_eq!(world.run(Intent::Converge, Stop::After(most)), Ended::Stopped);
            assert_eq!(world.done, most);
            let ended = world.run(Intent::Converge, Stop::Never);
            good(&world, &ended, &format!("killed after {most} of {all}"));
        }
    }
}

/// A change everywhere goes from host to host, and nobody is without an answer.
#[test]
fn a_rolling_change_stops_nothing_twice() {
    for desired in both() {
        let paths: Vec<String> = (desired.hosts["c1"].files.iter())
            .filter(|f| !f.write.directory && !f.once && (!f.restart.is_empty() || !f.reload.is_empty()))
            .map(|f| f.write.path.clone())
            .collect();
        assert!(paths.len() > 10);
        let whole = made(&desired);
        for path in paths {
            let mut world = whole.clone();
            spoil(&mut world, &path);
            let before = world.done;
            let ended = world.run(Intent::Converge, Stop::Never);
            good(&world, &ended, &path);
            assert!(world.done > before, "{path}: nothing was done");
        }
    }
}

/// A rolling change is cut anywhere, and gone on with.
#[test]
fn a_killed_rolling_change_is_gone_on_from() {
    for desired in both() {
        let file = desired.hosts["c1"]
            .files
            .iter()
            .find(|f| f.restart.len() == 1)
            .unwrap();
        let whole = made(&desired);
        let mut unbroken = whole.clone();
        spoil(&mut unbroken, &file.write.path);
        unbroken.run(Intent::Converge, Stop::Never);
        for most in whole.done..unbroken.done {
            let mut world = whole.clone();
            spoil(&mut world, &file.write.path);
            assert_eq!(world.run(Intent::Converge, Stop::After(most)), Ended::Stopped);
            let ended = world.run(Intent::Converge, Stop::Never);
            good(&world, &ended, &format!("{} killed at {most}", file.write.path));
        }
    }
}

/// What a cloud became is changed for another one, and then nothing is left to do.
fn becomes(world: &World, other: &Desired, what: &str) -> World {
    let mut world = world.clone();
    world.want(other);
    world.told = Some(Vec::new());
    let ended = world.run(Intent::Converge, Stop::Never);
    good(&world, &ended, what);
    world
}

#[test]
fn members_come_and_leave() {
    for architecture in ARCHITECTURES {
        let [one, three, five] = [1, 3, 5].map(|n| of(n, architecture, "keystone"));
        let whole = made(&three);
        let grown = becomes(&whole, &five, &format!("{architecture}: from three to five"));
        becomes(&grown, &three, &format!("{architecture}: from five to three"));
        becomes(&made(&one), &three, &format!("{architecture}: from one to three"));
    }
}

#[test]
fn a_cloud_moves_between_the_architectures() {
    for services in ["keystone", EIGHT] {
        let [full, core] = ARCHITECTURES.map(|a| of(3, a, services));
        let whole = made(&full);
        let moved = becomes(&whole, &core, "from full to core");
        becomes(&moved, &full, "from core to full");
    }
}

/// The same cloud with a backup to load.
fn restoring(desired: &Desired, over: bool) -> Desired {
    let mut desired = desired.clone();
    let names: Vec<String> = desired.databases.iter().flat_map(|d| d.names.clone()).collect();
    let load = engines::load(
        desired.sql_store().unwrap(),
        &names,
        "/copy",
        "0123456789abcdef",
        over,
    );
    desired.restore = Some(DesiredRestore {
        host: desired.sql_hosts[0].clone(),
        load: load.unwrap(),
    });
    desired
}

/// Ends a restore as the verb does, and plans what the cloud file says.
fn ends_restore(mut world: World, desired: &Desired, what: &str) {
    assert!(world.is_loaded(), "{what}: nothing was loaded");
    let restore = world.desired.restore.clone().unwrap();
    world.perform(&restore.host, &restore.load.forget).unwrap();
    becomes(&world, desired, what);
}

#[test]
fn a_backup_is_loaded_while_nobody_writes() {
    for desired in both() {
        let whole = made(&desired);
        for (begin, over) in [(World::bare(&desired), false), (whole, true)] {
            let restore = restoring(&desired, over);
            let what = format!("restored, over what was there: {over}");
            let done = becomes(&begin, &restore, &what);
            let (first, last) = (begin.done, done.done);
            ends_restore(done, &desired, &what);
            // Said again after the operator was killed anywhere, also in the middle of the load.
            for most in first..last {
                let mut world = begin.clone();
                world.want(&restore);
                assert_eq!(world.run(Intent::Converge, Stop::After(most)), Ended::Stopped);
                let what = format!("{what}, killed at {most} of {last}");
                let mut ended = world.run(Intent::Converge, Stop::Never);
                // Another load that goes on is waited for.
                for _ in 0..3 {
                    if matches!(ended, Ended::Failed(..)) {
                        ended = world.run(Intent::Converge, Stop::Never);
                    }
                }
                good(&world, &ended, &what);
                ends_restore(world, &desired, &what);
            }
        }
    }
}

/// How many seeds are tried in a usual run of the tests.
const SEEDS: u64 = 20;

/// Whatever happens on the way, it comes to a good end, and no law is broken by a plan.
fn lives(name: &str, whole: &World, seed: u64) -> (usize, usize) {
    let mut world = whole.clone();
    world.plans.set(0);
    world.refused.set(0);
    let events = sim::story(&world, seed, 120);
    let ended = world.live(events.clone());
    let told = format!("{name}, seed {seed}: {events:#?}");
    good(&world, &ended, &told);
    (world.plans.get(), world.refused.get())
}

#[test]
fn whatever_happens_the_laws_hold() {
    let (mut plans, mut refused) = (0, 0);
    for (name, desired) in ["full", "core"].iter().zip(both()) {
        for whole in [World::bare(&desired), made(&desired)] {
            for seed in 0..SEEDS {
                let (some, against) = lives(name, &whole, seed);
                plans += some;
                refused += against;
            }
        }
    }
    println!("{plans} plans, {refused} refused: {} %", 100 * refused / plans);
    assert!(
        refused * 100 < plans * 30,
        "{refused} of {plans} plans were refused"
    );
}
