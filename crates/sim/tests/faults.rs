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
#[path = "support/stories.rs"]
mod stories;

use clouds::{ARCHITECTURES, EIGHT};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use stories::{Counted, Start, drawn, lives, starts};

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
