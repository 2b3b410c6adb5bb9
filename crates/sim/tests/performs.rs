//! Plans performed: from bare hosts to what the cloud file says, in both architectures,
//! whatever happens on the way. Law 2 is so tested by doing what a plan says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "support/clouds.rs"]
mod clouds;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::BTreeMap;

use clouds::{ARCHITECTURES, EIGHT, away, both, good, made, name, of, restoring, said};
use names::ResourceId;
use plan::Intent;
use render::{Desired, Reader};
use sim::{Ended, Fault, Stop, World};

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

/// Files of a host that something is restarted for, one for all that restart the same.
fn restarting(desired: &Desired) -> Vec<String> {
    let files = desired.hosts["c1"].files.iter();
    let files = files.filter(|f| !f.write.directory && !f.once && f.ring.is_none() && f.identity.is_empty());
    let paths: BTreeMap<&Vec<Reader>, &String> = files
        .filter(|f| !f.restart.is_empty())
        .map(|f| (&f.restart, &f.write.path))
        .collect();
    paths.into_values().cloned().collect()
}

/// Changes what is restarted beside a member that is away; gives how many files were written.
fn changes_beside(wanted: &Desired, whole: &World, paths: &[String]) -> usize {
    let changed = paths.iter().filter(|path| {
        let mut world = whole.clone();
        spoil(&mut world, path);
        let before = world.done;
        let ended = world.run(Intent::Converge, Stop::Never);
        assert!(world.broken.is_empty(), "{path}: {}", world.broken.join("\n"));
        assert!(matches!(ended, Ended::Empty(_)), "{path}: {}", said(&ended));
        world.done > before
    });
    let changed = changed.count();
    // It is back, gets what came meanwhile, and serves.
    let mut world = whole.clone();
    spoil(&mut world, &paths[0]);
    world.run(Intent::Converge, Stop::Never);
    world.suffer(&Fault::Back(wanted.away.keys().next().unwrap().clone()));
    let ended = world.run(Intent::Converge, Stop::Never);
    good(&world, &ended, &paths[0]);
    assert!(world.cluster.standby.is_empty());
    changed
}

fn without_last(wanted: &Desired, whole: &Desired) -> World {
    let mut world = made(whole);
    world.suffer(&Fault::Lost(wanted.away.keys().next().unwrap().clone()));
    world.want(wanted);
    world
}

/// While a member is away what the others may not miss is left as it is, and the rest changed.
#[test]
fn beside_one_that_is_away_nothing_is_stopped_that_is_missed() {
    for (architecture, controllers) in [("full", 5), ("core", 5), ("core", 3)] {
        let wanted = away(controllers, architecture, "keystone");
        let whole = without_last(&wanted, &of(controllers, architecture, "keystone"));
        let paths = restarting(&wanted);
        assert!(paths.len() > 5, "{paths:?}");
        let changed = changes_beside(&wanted, &whole, &paths);
        assert_eq!(changed > 0, controllers > 3, "{architecture}: {changed}");
    }
}

/// A new machine under the name of one that was away: it is taken back before it is waited for.
#[test]
fn one_that_was_away_comes_back_with_an_empty_disk() {
    for (architecture, controllers) in [("full", 3), ("core", 5)] {
        let wanted = away(controllers, architecture, "keystone");
        let mut world = without_last(&wanted, &of(controllers, architecture, "keystone"));
        spoil(&mut world, "/etc/hosts");
        let ended = world.run(Intent::Converge, Stop::Never);
        good(&world, &ended, architecture);
        assert_eq!(world.cluster.standby.len(), 1, "{architecture}");
        world.suffer(&Fault::Emptied(wanted.away.keys().next().unwrap().clone()));
        let ended = world.run(Intent::Converge, Stop::Never);
        good(&world, &ended, architecture);
        assert!(world.cluster.standby.is_empty(), "{architecture}");
    }
}

/// Members of a database of its own, which no engine knows, stay as well.
#[test]
fn beside_one_that_is_away_no_database_of_its_own_is_stopped() {
    let wanted = away(5, "full", EIGHT);
    let known = |resource: &ResourceId| wanted.stores.iter().any(|s| s.resource == *resource);
    let own: Vec<&ResourceId> = (wanted.parts.iter())
        .filter(|p| p.kind == render::Kind::Clustered && !known(&p.resource))
        .map(|p| &p.resource)
        .collect();
    assert!(!own.is_empty());
    let file = |path: &String| wanted.hosts["c1"].files.iter().find(|f| f.write.path == *path);
    let is_own = |reader: &Reader| reader.resource().is_some_and(|r| own.contains(&r));
    let restarts = |path: &String| file(path).is_some_and(|f| f.restart.iter().any(is_own));
    let paths: Vec<String> = restarting(&wanted).into_iter().filter(restarts).collect();
    assert!(!paths.is_empty());
    let whole = without_last(&wanted, &of(5, "full", EIGHT));
    assert_eq!(changes_beside(&wanted, &whole, &paths), 0, "{paths:?}");
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

/// A cloud is changed for another one, and then nothing is left to do.
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

/// Leavers are told by the cluster too, where the hosts' own accounts of it are gone.
#[test]
fn members_leave_of_whom_no_account_tells() {
    for architecture in ARCHITECTURES {
        let [three, five] = [3, 5].map(|n| of(n, architecture, "keystone"));
        let mut world = made(&five);
        spoil(&mut world, render::IDENTITY);
        becomes(
            &world,
            &three,
            &format!("{architecture}: from five to three, unread"),
        );
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

/// After an outage of all the databases cannot be asked: half of one is found before anything
/// writes to it.
#[test]
fn half_a_restore_is_found_after_an_outage() {
    for desired in both() {
        let mut begin = made(&desired);
        begin.want(&restoring(&desired, true));
        let mut cut = (begin.done..).map(|most| {
            let mut world = begin.clone();
            assert_eq!(world.run(Intent::Converge, Stop::After(most)), Ended::Stopped);
            world
        });
        let half = cut.find(World::has_begun_restore).unwrap();
        for (intent, late) in [
            (Intent::Converge, false),
            (Intent::Recover, false),
            (Intent::Converge, true),
        ] {
            let mut world = half.clone();
            if late {
                world.suffer(&Fault::Late);
            }
            for host in ["c1", "c2", "c3"] {
                world.suffer(&Fault::Lost(name(host)));
            }
            for host in ["c1", "c2", "c3"] {
                world.suffer(&Fault::Back(name(host)));
            }
            world.want(&desired);
            let ended = world.run(intent, Stop::Never);
            let codes = match &ended {
                Ended::Refused(all) => all.iter().map(|r| r.code).collect(),
                other => vec![if matches!(other, Ended::Empty(_)) {
                    "nothing to do"
                } else {
                    "it failed"
                }],
            };
            let found = codes.iter().all(|c| *c == "restore::unfinished") && !world.writes_anywhere();
            assert!(
                found,
                "{intent:?}, late {late}: half a restore was not found: {ended:?}"
            );
            assert!(world.broken.is_empty(), "{:?}", world.broken);
        }
    }
}

/// A host for VMs comes, is found by what gives it work, and leaves again.
#[test]
fn a_host_beside_the_cluster_comes_and_leaves() {
    // With one controller no address is away from home meanwhile.
    let text = include_str!("../../../examples/with-compute.yaml");
    let one = |line: &&str| !["  c2: ", "  c3: "].iter().any(|host| line.starts_with(host));
    let lines: Vec<&str> = text.lines().filter(one).collect();
    let text = lines.join("\n") + "\nfencing: { none: one controller }\n";
    let host = lines.iter().find(|line| line.starts_with("  n1: ")).unwrap();
    let cloud = |text: &str| {
        let model = examples::model_of("with-compute", text, &[]);
        sim::known_by(examples::desired_of(&model))
    };
    let [with, without] = [text.clone(), text.replace(&format!("{host}\n"), "")].map(|text| cloud(&text));
    let whole = made(&without);
    let more = becomes(&whole, &with, "a host comes");
    let told = more.told.as_ref().unwrap().join("\n");
    assert!(told.contains("discover") || told.contains("nova-hosts"), "{told}");
    let less = becomes(&more, &without, "a host leaves");
    let told = less.told.as_ref().unwrap().join("\n");
    assert!(told.contains("nova-records"), "{told}");
}
