//! A law: twice the hosts cost twice the work, at every stage from the cloud file to the
//! plan. Work is what a stage asks the allocator for, in calls and in bytes, which is the
//! same at each run; a search through all hosts for each host shows in it as long as it
//! gathers anything. Searches that only compare show in the time of the processor alone,
//! which differs from run to run: it is judged over three doublings.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "support/large.rs"]
mod large;
#[path = "support/world.rs"]
mod world;

use std::alloc::System;
use std::sync::Arc;

use catalog::Catalog;
use diagnostic::Source;
use model::Model;
use plan::Intent;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The most that twice the hosts may cost.
const TWICE: f64 = 2.3;
/// Least time of the processor that is judged, in ns: below it the clock and other work on
/// the machine weigh too much.
const JUDGED: f64 = 50e6;
/// How often the time of the processor is taken.
const RUNS: usize = 3;

/// Calls of the allocator, bytes asked for, and time of the processor in ns.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    calls: f64,
    bytes: f64,
    cpu: f64,
}

/// Time that this thread had of the processor, in ns.
fn cpu() -> f64 {
    // The kernel adds what runs now to its account when the thread gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Does a stage, and tells its work.
fn work<T>(stage: impl FnOnce() -> T) -> (T, Work) {
    let (region, began) = (Region::new(ALLOCATOR), cpu());
    let out = stage();
    let (change, cpu) = (region.change(), cpu() - began);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let work = Work {
        calls: (change.allocations + change.reallocations) as f64,
        bytes: (change.bytes_allocated + change.bytes_reallocated.unsigned_abs()) as f64,
        cpu,
    };
    (out, work)
}

/// The work of each stage for a cloud of so many hosts.
fn stages(computes: usize, services: &str) -> Vec<(&'static str, Work)> {
    let source = Source::new("cloud.yaml", large::cloud(computes, services));
    let (catalog, _) = Catalog::load(catalog::embedded());
    let catalog = Arc::new(catalog);
    let ((cloud, _), parse) = work(|| cloud::parse(&source));
    let ((model, _), resolve) = work(|| Model::resolve(&cloud.unwrap(), &source, &catalog));
    let model = model.unwrap();
    let ((desired, _), render) = work(|| render::render(&model));
    let (_, secrets) = work(|| model.secrets());
    let desired = world::known_by(desired);
    let (_, look) = work(|| {
        let mut looks = plan::Looks::new(&desired, [7; 32], false);
        desired.hosts.keys().map(|h| looks.at(h)).collect::<Vec<_>>()
    });
    let applied = large::observed(&desired);
    let bare = world::all(&desired, world::bare);
    let make = |observed| {
        plan::plan(
            &desired,
            observed,
            Intent::Converge,
            world::DISTRIBUTION,
            &world::digest,
        )
        .unwrap()
    };
    let (changed, plan) = work(|| make(&applied));
    let (_, first) = work(|| make(&bare));
    let (_, outage) = work(|| plan::outage(&changed, &desired, &plan::Measures::new()));
    let (_, shown) = work(|| plan::show(&changed, true));
    let (losses, loss) = work(|| plan::losses(&desired));
    let (_, page) = work(|| plan::losses_page(&losses));
    let (_, status) = work(|| status::snapshot("large", &desired, None, &applied));
    vec![
        ("parse", parse),
        ("resolve", resolve),
        ("render", render),
        ("secrets", secrets),
        ("look", look),
        ("plan", plan),
        ("first plan", first),
        ("outage", outage),
        ("show", shown),
        ("losses", loss),
        ("losses' page", page),
        ("status", status),
    ]
}

/// One test: the allocator counts for the whole process.
#[test]
fn twice_the_hosts_cost_twice_the_work() {
    let mut wrong = Vec::new();
    for services in [large::ONE, large::EIGHT] {
        let (less, more) = (stages(100, services), stages(200, services));
        for ((stage, less), (_, more)) in less.into_iter().zip(more) {
            let calls = more.calls / less.calls.max(1.0);
            let bytes = more.bytes / less.bytes.max(1.0);
            println!("{services}: {stage}: calls × {calls:.2}, bytes × {bytes:.2}");
            if calls > TWICE || bytes > TWICE {
                wrong.push(format!(
                    "{services}: {stage}: calls × {calls:.2}, bytes × {bytes:.2}"
                ));
            }
        }
    }
    // What is said of each host by itself.
    let parse = |computes| {
        let source = Source::new("cloud.yaml", large::with_power(computes));
        let ((cloud, _), cost) = work(|| cloud::parse(&source));
        assert!(cloud.is_some_and(|c| c.hosts.iter().all(|h| !h.power.is_empty())));
        cost
    };
    let (less, more) = (parse(200), parse(400));
    if more.calls > less.calls * TWICE || more.bytes > less.bytes * TWICE {
        wrong.push(format!("power of each host: {less:?}, {more:?}"));
    }
    for (services, computes) in [(large::ONE, 300), (large::EIGHT, 120)] {
        wrong.extend(slower(services, computes));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Stages whose time of the processor grows too much from so many hosts to eight times as
/// many. The quickest of the large runs stands beside the slowest of the small ones, so
/// other work on the machine hides growth and never shows any.
fn slower(services: &str, computes: usize) -> Vec<String> {
    let runs =
        |computes| -> Vec<Vec<(&str, Work)>> { (0..RUNS).map(|_| stages(computes, services)).collect() };
    let (less, more) = (runs(computes), runs(8 * computes));
    let times = |runs: &[Vec<(&str, Work)>], stage: usize| -> Vec<f64> {
        runs.iter().map(|run| run[stage].1.cpu).collect()
    };
    let mut wrong = Vec::new();
    for (at, (stage, _)) in more[0].iter().enumerate() {
        let slowest = times(&less, at).into_iter().fold(0.0, f64::max);
        let quickest = times(&more, at).into_iter().fold(f64::INFINITY, f64::min);
        let growth = quickest / slowest.max(1.0);
        let line = format!(
            "{services}: {stage}: {:.1} ms, eight times the hosts {:.1} ms, × {growth:.1}",
            slowest / 1e6,
            quickest / 1e6
        );
        println!("{line}");
        if quickest > JUDGED && growth > TWICE.powi(3) {
            wrong.push(line);
        }
    }
    wrong
}
