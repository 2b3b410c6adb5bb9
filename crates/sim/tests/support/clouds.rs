//! Clouds that are performed, and what is said of how it ended.

#![allow(dead_code, reason = "not every test wants all of it")]

use std::ops::RangeInclusive;

use names::HostName;
use plan::Intent;
use render::{Desired, DesiredRestore};
use sim::{Ended, Stop, World};

use crate::examples;

/// A host, by its name.
pub fn name(host: &str) -> HostName {
    HostName::new(host).unwrap()
}

/// A cloud of the examples, as the planner is given it.
pub fn cloud(name: &str) -> Desired {
    sim::known_by(examples::example(name).1)
}

/// Other services than Keystone alone, on the same hosts.
pub const EIGHT: &str = "keystone, placement, swift, glance, nova, neutron, cinder, horizon, heat";

/// A cloud of so many controllers in an architecture.
pub fn of(controllers: usize, architecture: &str, services: &str) -> Desired {
    of_hosts(1..=controllers, architecture, services)
}

/// A cloud of the controllers of these numbers.
pub fn of_hosts(numbers: RangeInclusive<usize>, architecture: &str, services: &str) -> Desired {
    with_away(numbers, architecture, services, None)
}

/// A cloud of so many controllers, of which the last is away.
pub fn away(controllers: usize, architecture: &str, services: &str) -> Desired {
    with_away(1..=controllers, architecture, services, Some(controllers))
}

fn with_away(
    numbers: RangeInclusive<usize>,
    architecture: &str,
    services: &str,
    away: Option<usize>,
) -> Desired {
    let host = |n: usize| {
        let word = if away == Some(n) {
            ", away: its board is dead"
        } else {
            ""
        };
        format!("  c{n}: {{ role: controller, address: 198.18.0.1{n}{word} }}\n")
    };
    let hosts = numbers.map(host).collect::<Vec<_>>().concat();
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
pub const ARCHITECTURES: [&str; 2] = ["full", "core"];

/// The same cloud in both architectures.
pub fn both() -> [Desired; 2] {
    ["three-controllers", "core"].map(cloud)
}

/// Nothing is left to do, and no law was broken on the way.
#[track_caller]
pub fn good(world: &World, ended: &Ended, what: &str) {
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

pub fn said(ended: &Ended) -> String {
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
pub fn made(desired: &Desired) -> World {
    let mut world = World::bare(desired);
    let ended = world.run(Intent::Converge, Stop::Never);
    good(&world, &ended, "from bare");
    world
}

/// The same cloud with a backup to load.
pub fn restoring(desired: &Desired, over: bool) -> Desired {
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
