//! A bench of one decision over many hosts; it prints numbers and judges none.

use std::hint::black_box;
use std::time::Instant;

use super::seens::quiet;
use crate::*;

/// Median of the microseconds that a call takes.
fn median(mut call: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..201)
        .map(|_| {
            let begin = Instant::now();
            call();
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
#[ignore = "a bench: cargo test -p evac --release bench_decisions -- --ignored --nocapture"]
fn bench_decisions() {
    println!("hosts | quiet us | one dead us | yardstick: clone of the observation us");
    for hosts in [3, 50, 200, 1_000] {
        let policy = Policy::default();
        let calm = quiet(hosts);
        let mut dead = quiet(hosts);
        dead.at(1).silent(9_000);
        assert_eq!(decide(&policy, &calm), Decision::default());
        assert!(!decide(&policy, &dead).acts.is_empty());
        let quiet = median(|| drop(black_box(decide(&policy, black_box(&calm)))));
        let one = median(|| drop(black_box(decide(&policy, black_box(&dead)))));
        let clone = median(|| drop(black_box(calm.clone())));
        println!("{hosts:>5} | {quiet:>8.1} | {one:>11.1} | {clone:.1}");
    }
}
