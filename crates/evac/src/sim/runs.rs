//! Runs: a seed gives a world, the world runs until all is well again or a law is broken.

use super::draw::{drawn, quiet};
use super::world::{Effect, ROUND, World};
use crate::guard::{GUARDS, Guard, Guards};

/// Longest time in which all must be well again after the last fault.
const LIMIT: u64 = 600_000;

/// Time after an effect in which engines have not seen it yet.
const CALM: u64 = 3_000;

/// Runs a world to its end; the law that was broken, if any.
pub fn run(world: &mut World) -> Option<String> {
    if world.engines.is_empty() {
        world.later(0, Effect::Engine(0));
    }
    let mut settled_at = None;
    loop {
        world.round();
        if world.law.is_some() {
            return world.law.take();
        }
        let faults = world
            .pending
            .iter()
            .any(|(_, e)| matches!(e, Effect::Fault(_) | Effect::Heal(_)));
        if !faults && settled_at.is_none() {
            world.settle();
            settled_at = Some(world.now);
        }
        if let Some(at) = settled_at {
            let unsettled = world.unsettled();
            if unsettled.is_none() && world.pending.is_empty() {
                return None;
            }
            if world.now > at + LIMIT {
                return unsettled.map(|why| format!("stuck: {why}"));
            }
        }
        world.now += ROUND;
        // A calm world does not change before its next effect.
        let next = world.pending.iter().map(|(at, _)| *at).min();
        let calm = world.told.calm && world.engines.len() == 1 && world.now > world.changed_at + CALM;
        if let (true, Some(next)) = (calm, next) {
            world.jump(next);
        }
    }
}

impl World {
    /// Goes on to an effect, with heartbeats that were sent meanwhile.
    fn jump(&mut self, next: u64) {
        let next = next - next % ROUND;
        if next > self.now {
            self.now = next;
            for host in &mut self.hosts {
                host.beat(self.now - ROUND);
                if host.compute(self.now) {
                    host.report_at = self.now - ROUND;
                }
            }
        }
    }
}

/// Runs a drawn world; the law that was broken.
pub fn of(seed: u64, guards: Guards) -> Option<String> {
    run(&mut drawn(seed, guards))
}

/// Message with the one command that replays a run.
fn replay(seed: u64, law: &str) -> String {
    format!("seed {seed}: {law}\nreplay: SIM={seed} cargo test -p evac replay -- --ignored --nocapture")
}

fn all_well(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        if let Some(law) = of(seed, Guards::ALL) {
            panic!("{}", replay(seed, &law));
        }
    }
}

#[test]
fn a_quiet_cloud_stays_quiet() {
    for seed in 0..50 {
        let mut world = quiet(seed, Guards::ALL);
        assert_eq!(run(&mut world), None);
        assert_eq!(world.rows.opened, Vec::<u64>::new());
    }
}

#[test]
fn drawn_runs_keep_the_laws() {
    all_well(0..10_000);
}

#[test]
#[ignore = "minutes"]
fn long_a_million_runs() {
    all_well(0..1_000_000);
}

#[test]
#[ignore = "prints one run: SIM=seed, OUT=guard to take out"]
fn replay_one() {
    let seed = std::env::var("SIM")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let out = std::env::var("OUT").unwrap_or_default();
    let guard = GUARDS.into_iter().find(|g| format!("{g:?}") == out);
    let mut world = drawn(seed, guard.map_or(Guards::ALL, Guards::without));
    world.trace = true;
    for (at, effect) in &world.pending {
        println!("{at:>8} drawn {effect:?}");
    }
    println!("{:?}", run(&mut world));
}

/// First seed that finds a guard's absence.
fn finds(guard: Guard, seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    let mut seeds = seeds;
    let found = |seed| of(seed, Guards::without(guard)).map(|law| (seed, law));
    seeds.find_map(|seed| found(seed).filter(|_| of(seed, Guards::ALL).is_none()))
}

#[test]
#[ignore = "minutes"]
fn long_each_guard_is_missed() {
    let mut missing = Vec::new();
    for guard in GUARDS {
        match finds(guard, 0..100_000) {
            Some((seed, law)) => println!("    (Guard::{guard:?}, {seed}), // {law}"),
            None => missing.push(guard),
        }
    }
    assert!(missing.is_empty(), "no run of 100,000 misses {missing:?}");
}

#[test]
#[ignore = "a bench: cargo test -p evac --release bench_runs -- --ignored --nocapture"]
fn bench_runs() {
    let (mut runs, mut rounds, mut ms) = (0u32, 0, 0);
    let begin = cpu_ms();
    while ms < 5_000 {
        let mut world = drawn(u64::from(runs), Guards::ALL);
        assert_eq!(run(&mut world), None);
        rounds += world.rounds;
        runs += 1;
        ms = cpu_ms() - begin;
    }
    println!(
        "{} runs a second of the processor, {} rounds a run",
        u64::from(runs) * 1_000 / ms,
        rounds / u64::from(runs)
    );
}

/// Time of the processor that this process has used; other work on the machine does not count.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 10
}

#[test]
#[ignore = "prints the broken laws of RUNS runs by kind, OUT=guard to take out"]
fn survey() {
    let runs = std::env::var("RUNS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(10_000);
    let out = std::env::var("OUT").unwrap_or_default();
    let guard = GUARDS.into_iter().find(|g| format!("{g:?}") == out);
    let mut kinds: std::collections::BTreeMap<String, (u32, u64)> = std::collections::BTreeMap::new();
    for seed in 0..runs {
        if let Some(law) = of(seed, guard.map_or(Guards::ALL, Guards::without)) {
            let kind = law.replace(|c: char| c.is_ascii_digit(), "#");
            kinds.entry(kind).or_insert((0, seed)).0 += 1;
        }
    }
    for (law, (count, first)) in kinds {
        println!("{count:>6} first {first:>6} {law}");
    }
}
