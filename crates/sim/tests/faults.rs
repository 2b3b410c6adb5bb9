//! Faults between any two operations of a plan, drawn by proptest, from all starts: bare,
//! made, grown, shrunk, restored, and moved between the architectures. What failed is
//! printed with its draw as a line for `proptest-regressions/faults.txt`, of which all are
//! tried for ever.

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

use std::collections::BTreeMap;

use clouds::{ARCHITECTURES, EIGHT};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use stories::{Counted, Start, drawn, kept, line, lives, starts};

/// Tries so many draws of a start, which follow from the seed alone. Gives one that did not
/// end well, the smallest that was found.
fn tried(start: &Start, cases: u32, seed: u8, counted: &Counted) -> Option<String> {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&drawn(), |draw| {
        lives(start, &draw, counted).map_err(TestCaseError::fail)
    });
    match result {
        Err(TestError::Fail(why, draw)) => Some(format!(
            "seed {seed}, to be kept:\n{}: {}\n{why}",
            start.name,
            line(&draw)
        )),
        other => {
            assert!(other.is_ok(), "{other:?}");
            None
        }
    }
}

/// Nothing was found, or all that was.
#[track_caller]
fn none(found: &[String]) {
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

/// Draws that did not end well once, a line each.
const KEPT: &str = include_str!("../proptest-regressions/faults.txt");

/// Faults that were found once and mended stay so.
#[test]
fn what_was_found_stays_mended() {
    let mut all: BTreeMap<String, Vec<Start>> = BTreeMap::new();
    let counted = Counted::default();
    // One by hand instead, to be told by `SIM_TELL` what happens.
    let own = std::env::var("SIM_DRAW").unwrap_or_default();
    let lines = if own.is_empty() { KEPT } else { &own };
    let lines = lines.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    for (name, draw) in lines.map(|l| l.split_once(": ").unwrap()) {
        let (cloud, _) = name.rsplit_once(' ').unwrap();
        let starts = all.entry(cloud.to_owned()).or_insert_with(|| {
            let (architecture, services) = cloud.split_once(' ').unwrap();
            starts(architecture, if services == "eight" { EIGHT } else { services })
        });
        let start = starts.iter().find(|s| s.name == name).unwrap();
        let ended = lives(start, &kept(draw), &counted);
        if let Err(why) = ended {
            panic!("{name}: {draw}\n{why}");
        }
    }
}

/// Seeds that are tried in each usual run.
const SEEDS: [u8; 2] = [1, 2];

fn all(architecture: &str, services: &str, cases: u32, seeds: &[u8]) {
    let counted = Counted::default();
    let all = starts(architecture, services);
    let tries = all
        .iter()
        .flat_map(|start| seeds.iter().map(move |seed| (start, *seed)));
    let found = tries.filter_map(|(start, seed)| tried(start, cases, seed, &counted));
    let found: Vec<String> = found.collect();
    counted.print(&format!("{architecture}, {services}"));
    none(&found);
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
fn whatever_happens_to_eight_services() {
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
            let result = lives(&start, &(Vec::new(), vec![(4, 0, 0, 0, 20)]), &counted);
            assert_eq!(result, Ok(()), "{}", start.name);
        }
    }
}

/// A hundred thousand plans of draws that nobody saw, in each cloud.
#[test]
#[ignore = "takes long: `cargo xtask test --long`"]
fn long_a_hundred_thousand_plans() {
    const PLANS: usize = 100_000;
    let counted = Counted::default();
    let mut clouds = Vec::new();
    // A plan of eight services takes as long as six of one.
    for (services, cases) in [("keystone", 16), (EIGHT, 2)] {
        let of = ARCHITECTURES.iter().flat_map(|a| starts(a, services));
        clouds.extend(of.map(|start| (start, cases)));
    }
    let mut found = Vec::new();
    for seed in 0..=u8::MAX {
        let before = found.len();
        let tries = clouds.iter();
        found.extend(tries.filter_map(|(start, cases)| tried(start, *cases, seed, &counted)));
        println!("seed {seed}: {} plans so far", counted.made.get());
        for one in &found[before..] {
            println!("{one}\n");
        }
        if counted.made.get() > PLANS {
            break;
        }
    }
    counted.print("all");
    assert!(counted.made.get() > PLANS, "the seeds ran out");
    none(&found);
}
