//! Faults between any two operations of a plan, drawn by proptest, from all starts: bare,
//! made, grown, shrunk, restored, and moved between the architectures. What failed is
//! printed with its draw, and once it is in `SEEDS` it is tried for ever.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "support/clouds.rs"]
mod clouds;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::cell::Cell;

use clouds::{ARCHITECTURES, EIGHT, made, of, restoring, said};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use render::Desired;
use sim::{Comes, Ended, Spoils, World};

/// State of a cloud when a story begins, and the one that it is to reach.
struct Start {
    name: String,
    world: World,
    wanted: Desired,
}

fn starts(architecture: &str, services: &str) -> Vec<Start> {
    let [three, five] = [3, 5].map(|n| of(n, architecture, services));
    let other = ARCHITECTURES.into_iter().find(|a| *a != architecture).unwrap();
    let other = of(3, other, services);
    let whole = made(&three);
    let restore = restoring(&three, true);
    let start = |name: &str, world: &World, wanted: &Desired| Start {
        name: format!("{architecture}, {name}"),
        world: world.clone(),
        wanted: wanted.clone(),
    };
    let mut out = vec![
        start("bare", &World::bare(&three), &three),
        start("made", &whole, &three),
        start("grown", &whole, &five),
        start("restored", &whole, &restore),
        start("moved", &made(&other), &three),
    ];
    // Two devices of a hash ring may not go at once: that is refused.
    if services != EIGHT {
        out.push(start("shrunk", &made(&five), &three));
    }
    out
}

fn drawn() -> impl Strategy<Value = (Vec<Spoils>, Vec<Comes>)> {
    let number = || 0..1000_usize;
    let spoils = prop::collection::vec((number(), number(), any::<bool>()), 0..4);
    let comes = (number(), number(), number(), number(), number());
    (spoils, prop::collection::vec(comes, 0..4))
}

/// Plans that were made and refused.
#[derive(Default)]
struct Counted {
    made: Cell<usize>,
    refused: Cell<usize>,
}

impl Counted {
    fn print(&self, what: &str) {
        let (made, refused) = (self.made.get(), self.refused.get());
        let share = 100 * refused / made.max(1);
        println!("{what}: {made} plans, {refused} refused: {share} %");
        assert!(share < 30, "{what}: {refused} of {made} plans were refused");
    }
}

/// Whatever happens on the way, it comes to a good end, and no law is broken by a plan.
fn lives(start: &Start, spoils: &[Spoils], comes: &[Comes], counted: &Counted) -> Result<(), String> {
    let mut world = start.world.clone();
    world.want(&start.wanted);
    world.plans.set(0);
    world.refused.set(0);
    world.told = std::env::var_os("SIM_TELL").map(|_| Vec::new());
    let events = sim::story(&world, spoils, comes);
    let ended = world.live(events);
    counted.made.set(counted.made.get() + world.plans.get());
    counted.refused.set(counted.refused.get() + world.refused.get());
    let told = world.told.as_ref().map_or_else(String::new, |t| t.join("\n"));
    if !matches!(ended, Ended::Empty(_)) {
        return Err(format!(
            "{told}\nafter {} operations: {}",
            world.done,
            said(&ended)
        ));
    }
    if !world.broken.is_empty() {
        return Err(format!("{told}\n{}", world.broken.join("\n")));
    }
    Ok(())
}

/// Tries so many draws of a start. They follow from the seed alone.
fn tried(start: &Start, cases: u32, seed: u8, counted: &Counted) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&drawn(), |(spoils, comes)| {
        lives(start, &spoils, &comes, counted).map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(why, (spoils, comes))) = result {
        panic!("{}, seed {seed}: ({spoils:?}, {comes:?}): {why}", start.name);
    }
}

/// Seeds that are tried in each usual run.
const SEEDS: [u8; 2] = [1, 2];

fn all(architecture: &str, services: &str, cases: u32, seeds: &[u8]) {
    let counted = Counted::default();
    for start in starts(architecture, services) {
        for seed in seeds {
            tried(&start, cases, *seed, &counted);
        }
    }
    counted.print(&format!("{architecture}, {services}"));
}

#[test]
fn whatever_happens_in_full() {
    all("full", "keystone", 8, &SEEDS);
}

#[test]
fn whatever_happens_in_core() {
    all("core", "keystone", 8, &SEEDS);
}

#[test]
#[ignore = "takes long: `cargo xtask test --long`"]
fn long_whatever_happens_to_eight_services() {
    for architecture in ARCHITECTURES {
        all(architecture, EIGHT, 1, &[1]);
    }
}

/// Members come and leave while no controller is elected, and so `crm_mon` tells of no quorum.
#[test]
fn an_election_hides_nobody() {
    for architecture in ARCHITECTURES {
        let counted = Counted::default();
        for start in starts(architecture, "keystone") {
            let result = lives(&start, &[], &[(4, 0, 0, 0, 20)], &counted);
            assert_eq!(result, Ok(()), "{}", start.name);
        }
    }
}

/// A hundred thousand plans, each from another draw.
#[test]
#[ignore = "takes long: `cargo xtask test --long`"]
fn long_a_hundred_thousand_plans() {
    let counted = Counted::default();
    let clouds = [
        ("full", "keystone"),
        ("core", "keystone"),
        ("full", EIGHT),
        ("core", EIGHT),
    ];
    let starts: Vec<Start> = clouds.iter().flat_map(|(a, s)| starts(a, s)).collect();
    for seed in 0..=u8::MAX {
        for start in &starts {
            tried(start, 8, seed, &counted);
        }
        if counted.made.get() > 100_000 {
            break;
        }
    }
    counted.print("all");
}
