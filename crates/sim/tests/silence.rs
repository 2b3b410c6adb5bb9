//! Silence that is taken for an answer: what cannot be seen is neither empty nor gone.

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

use clouds::{ARCHITECTURES, EIGHT, good, made, name, of, said};
use names::HostName;
use plan::Intent;
use sim::{Ended, Fault, Sense, Stop, World};

fn suffer(world: &mut World, fault: impl Fn(HostName) -> Fault, hosts: &[&str]) {
    for host in hosts {
        world.suffer(&fault(name(host)));
    }
}

/// No law is broken so far.
#[track_caller]
fn unbroken(world: &World) {
    assert!(world.broken.is_empty(), "{}", world.broken.join("\n"));
}

/// A broker that does not run on a host whose disk cannot be read has what it had.
#[test]
fn a_broker_whose_folder_cannot_be_listed_is_not_forgotten() {
    for architecture in ARCHITECTURES {
        let mut world = made(&of(3, architecture, "keystone"));
        for _ in 0..3 {
            world.suffer(&Fault::Cut(BTreeSet::from([name("c2")])));
            world.suffer(&Fault::Healed);
            world.suffer(&Fault::Back(name("c2")));
        }
        assert!(world.is_kept_out("c2"), "{architecture}");
        world.suffer(&Fault::Hidden(name("c2"), Sense::Data));
        let ended = world.run(Intent::Converge, Stop::Never);
        unbroken(&world);
        good(&world, &ended, architecture);
        assert!(!world.is_kept_out("c2"), "{architecture}");
    }
}

/// The newest members of the databases cannot be looked at: nobody begins with older data.
#[test]
fn databases_whose_folders_cannot_be_listed_may_be_the_newest() {
    for architecture in ARCHITECTURES {
        let mut world = made(&of(3, architecture, "keystone"));
        suffer(&mut world, Fault::Lost, &["c3"]);
        // Users write meanwhile.
        world.perform("c1", &wire::Op::Sysctls(Vec::new())).unwrap();
        let mut world = world.asleep();
        suffer(&mut world, Fault::Back, &["c3"]);
        suffer(&mut world, |host| Fault::Hidden(host, Sense::Data), &["c1", "c2"]);
        let ended = world.run(Intent::Recover, Stop::Never);
        unbroken(&world);
        assert!(matches!(ended, Ended::Refused(_)), "{}", said(&ended));
        suffer(&mut world, |host| Fault::Seen(host, Sense::Data), &["c1", "c2"]);
        let ended = world.run(Intent::Recover, Stop::Never);
        good(&world, &ended, architecture);
    }
}

/// The first of a database's hosts comes with an empty disk while the others are silent.
#[test]
fn a_database_is_not_founded_beside_silent_members() {
    for architecture in ARCHITECTURES {
        let mut world = made(&of(3, architecture, EIGHT));
        suffer(&mut world, Fault::Emptied, &["c1"]);
        suffer(&mut world, Fault::Slow, &["c2", "c3"]);
        let ended = world.run(Intent::Converge, Stop::Never);
        assert!(world.machines["c1"].packages.len() > 10, "{}", said(&ended));
        unbroken(&world);
        suffer(&mut world, Fault::Quick, &["c2", "c3"]);
        let ended = world.live(Vec::new());
        good(&world, &ended, architecture);
    }
}
