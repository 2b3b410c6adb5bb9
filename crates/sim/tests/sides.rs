//! Links that are cut: one side goes on, the other is fenced or stops, and all is one again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "support/clouds.rs"]
mod clouds;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::BTreeSet;

use clouds::{ARCHITECTURES, EIGHT, good, made, name, of};
use names::{HostName, ResourceId};
use plan::Intent;
use sim::{Ended, Fault, Stop, World};

fn cut(world: &mut World, hosts: &[&str]) {
    let hosts: BTreeSet<HostName> = hosts.iter().map(|h| name(h)).collect();
    world.suffer(&Fault::Cut(hosts));
}

/// Plans and does as long as it takes, with what comes by itself meanwhile.
#[track_caller]
fn ends_well(world: &mut World, what: &str) {
    world.told = Some(Vec::new());
    let ended = world.live(Vec::new());
    good(world, &ended, what);
    for api in &world.desired.apis {
        assert!(world.answers(&api.resource, &api.service), "{what}: {}", api.name);
    }
}

#[test]
fn the_smaller_side_is_fenced_and_comes_back() {
    for (architecture, hosts, side) in [
        ("full", 3, &["c1"][..]),
        ("core", 3, &["c2"]),
        ("full", 5, &["c1", "c4"]),
        ("core", 5, &["c1", "c2"]),
        // The larger side may be the one that is named.
        ("full", 3, &["c2", "c3"]),
    ] {
        let what = format!("{architecture}, {side:?} of {hosts}");
        let mut world = made(&of(hosts, architecture, "keystone"));
        let addresses: Vec<ResourceId> = world.desired.vips.iter().map(|v| v.resource.clone()).collect();
        cut(&mut world, side);
        let smaller = |host: &str| side.contains(&host) == (side.len() * 2 < hosts);
        for (host, machine) in &world.machines {
            assert_eq!(machine.up, !smaller(host), "{what}: {host}");
            assert_eq!(world.is_quorate(host), !smaller(host), "{what}: {host}");
        }
        for address in &addresses {
            let holder = world.cluster.holder(address).unwrap();
            assert!(!smaller(holder), "{what}: {holder} has {address}");
        }
        world.suffer(&Fault::Healed);
        ends_well(&mut world, &what);
        assert!(world.machines.values().all(|m| m.up), "{what}");
    }
}

/// Without a majority anywhere nobody serves, and nobody is fenced.
#[test]
fn no_side_without_a_majority_goes_on() {
    for architecture in ARCHITECTURES {
        let mut world = made(&of(3, architecture, "keystone"));
        world.suffer(&Fault::Lost(name("c3")));
        cut(&mut world, &["c1"]);
        for host in ["c1", "c2"] {
            assert!(world.machines[host].up && !world.is_quorate(host), "{host}");
        }
        assert_eq!(
            world.cluster.running.values().map(BTreeSet::len).sum::<usize>(),
            0
        );
        world.suffer(&Fault::Healed);
        world.suffer(&Fault::Back(name("c3")));
        ends_well(&mut world, architecture);
    }
}

/// Cuts a host off and lets it come back, again and again.
fn flap(world: &mut World, host: &str, times: usize) {
    for _ in 0..times {
        cut(world, &[host]);
        world.suffer(&Fault::Healed);
        world.suffer(&Fault::Back(name(host)));
    }
}

#[test]
fn a_host_that_is_fenced_again_and_again_is_kept_out() {
    for architecture in ARCHITECTURES {
        let desired = of(3, architecture, "keystone");
        let mut world = made(&desired);
        flap(&mut world, "c2", 2);
        assert!(!world.is_kept_out("c2"), "{architecture}");
        flap(&mut world, "c2", 1);
        assert!(world.is_kept_out("c2"), "{architecture}");
        // It is a voter, and its Pacemaker takes no part.
        assert!(world.is_quorate("c2") && !world.cluster.members.contains("c2"));
        // Another is lost: the last one is no majority, so this one is let in.
        let mut fewer = world.clone();
        fewer.suffer(&Fault::Lost(name("c3")));
        assert!(fewer.broken.is_empty(), "{}", fewer.broken.join("\n"));
        assert!(!fewer.is_kept_out("c2") && fewer.cluster.members.contains("c2"));
        // An apply of the cloud file lets it in by hand.
        ends_well(&mut world, architecture);
        assert!(!world.is_kept_out("c2"), "{architecture}");
    }
}

/// A member that votes and takes no part is none of those that do without one that is out.
#[test]
fn a_host_stays_in_beside_one_whose_pacemaker_is_stopped() {
    for architecture in ARCHITECTURES {
        let mut world = made(&of(3, architecture, "keystone"));
        flap(&mut world, "c2", 2);
        world.suffer(&Fault::Stopped(name("c3"), "pacemaker.service"));
        flap(&mut world, "c2", 1);
        assert!(world.broken.is_empty(), "{}", world.broken.join("\n"));
        let fenced = world.machines["c2"].boots;
        assert!(!world.is_kept_out("c2"), "{architecture}, fenced {fenced} times");
        ends_well(&mut world, architecture);
    }
}

/// Those that begin anew know nothing of one that is out, and would wait for its account.
#[test]
fn who_is_out_is_let_in_by_those_that_begin_anew() {
    for (architecture, hosts) in [("full", 3), ("core", 3), ("core", 5)] {
        let mut world = made(&of(hosts, architecture, "keystone"));
        flap(&mut world, "c2", 3);
        assert!(world.is_kept_out("c2"), "{architecture}");
        world.suffer(&Fault::Restarted(name("c2")));
        assert!(world.broken.is_empty(), "{}", world.broken.join("\n"));
        assert!(!world.is_kept_out("c2") && world.cluster.members.contains("c2"));
        ends_well(&mut world, architecture);
    }
}

/// Two of five leave, and at any moment a third is kept out: brokers without a majority tell nobody
/// whom they remember, and are asked again.
#[test]
fn a_member_is_kept_out_while_others_leave() {
    for architecture in ARCHITECTURES {
        let mut begin = made(&of(5, architecture, "keystone"));
        begin.want(&of(3, architecture, "keystone"));
        for most in begin.done.. {
            let mut world = begin.clone();
            if world.run(Intent::Converge, Stop::After(most)) != Ended::Stopped {
                break;
            }
            flap(&mut world, "c3", 3);
            ends_well(&mut world, &format!("{architecture}, after {most}"));
        }
    }
}

/// An operator finds the links cut, and does what can be done.
#[test]
fn a_change_while_links_are_cut_ends_when_they_are_whole() {
    for architecture in ARCHITECTURES {
        let mut world = made(&of(5, architecture, "keystone"));
        cut(&mut world, &["c1", "c2"]);
        world.want(&of(3, architecture, "keystone"));
        world.run(Intent::Converge, Stop::Never);
        world.suffer(&Fault::Healed);
        ends_well(&mut world, architecture);
    }
}

/// Each controller in turn comes with an empty disk, also the one by which stores begin.
#[test]
fn a_host_with_an_empty_disk_is_what_it_was_again() {
    for architecture in ARCHITECTURES {
        let whole = made(&of(3, architecture, EIGHT));
        for host in ["c1", "c2", "c3"] {
            let mut world = whole.clone();
            world.suffer(&Fault::Emptied(name(host)));
            assert!(world.machines[host].packages.is_empty(), "{host}");
            ends_well(&mut world, &format!("{architecture}, {host}"));
        }
    }
}
