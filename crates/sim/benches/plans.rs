//! Plans performed a second, faults among them, of one cloud. Run by `cargo xtask bench
//! sim`, which prints it beside its goals:
//!
//! ```text
//! plans ARCHITECTURE SERVICES SECONDS   SERVICES: keystone or eight
//! ```
//!
//! Draws are those of the tests from all starts, until so much of the processor was used.
//! The last line tells plans, refusals, draws and those with no good end, the time that
//! they took, and, as a yardstick, how long the planner alone takes on facts that are there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench's own code: to panic is to report"
)]

#[path = "../tests/support/clouds.rs"]
mod clouds;
#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "../tests/support/stories.rs"]
mod stories;

use std::time::Duration;

use plan::Intent;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stories::{Counted, Start, drawn, line, lives, starts};

/// Plans of the yardstick.
const ALONE: u32 = 100;

/// Time on a processor so far, of this process.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

fn since(began: Duration) -> Duration {
    cpu().saturating_sub(began)
}

/// The planner alone, on the facts of a cloud that is as it is wanted.
fn alone(start: &Start) -> Duration {
    let observed = start.world.observe();
    let desired = &start.world.desired;
    let began = cpu();
    for _ in 0..ALONE {
        plan::plan(
            desired,
            &observed,
            Intent::Converge,
            sim::DISTRIBUTION,
            &sim::digest,
        )
        .unwrap();
    }
    since(began) / ALONE
}

fn measure(architecture: &str, services: &str, most: Duration) {
    let all = starts(architecture, services);
    let counted = Counted::default();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[1; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut draws, mut bad) = (0, 0);
    let began = cpu();
    'all: loop {
        for start in &all {
            if since(began) > most {
                break 'all;
            }
            let draw = drawn().new_tree(&mut runner).unwrap().current();
            let ended = lives(start, &draw, &counted);
            draws += 1;
            if let Err(why) = ended {
                bad += 1;
                eprintln!("{}: {}\n{why}", start.name, line(&draw));
            }
        }
    }
    let took = since(began);
    let whole = all.iter().find(|s| s.name.ends_with("made")).unwrap();
    println!(
        "{} {} {draws} {bad} {} {}",
        counted.made.get(),
        counted.refused.get(),
        took.as_nanos(),
        alone(whole).as_nanos()
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Cargo's own runner of benches gives other words: measured by xtask only.
    if let [architecture @ ("full" | "core"), services, seconds] = words.as_slice() {
        let services = if *services == "eight" {
            clouds::EIGHT
        } else {
            services
        };
        measure(
            architecture,
            services,
            Duration::from_secs(seconds.parse().unwrap()),
        );
    }
}
