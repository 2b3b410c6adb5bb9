//! Two of three power feeds that flap: cut and given back ten times, in all orders. The
//! cloud serves again each time within three minutes of two hosts having power, without a
//! hand, and keeps every acknowledged row.

use std::time::{Duration, Instant};

use crate::cloud::Cloud;
use crate::said::tell;
use crate::writers::{self, Writers};

const AGAIN: Duration = Duration::from_mins(3);

/// Hosts that are cut at once, and those that get power back first; the rest follows.
const ROUNDS: [(&[&str], &[&str]); 10] = [
    (&["c2", "c3"], &["c2"]),
    (&["c3"], &["c3"]),
    (&["c2", "c3"], &["c3"]),
    (&["c2", "c3"], &["c2", "c3"]),
    (&["c2"], &["c2"]),
    (&["c2", "c3"], &["c3"]),
    (&["c2", "c3"], &["c2"]),
    (&["c3"], &["c3"]),
    (&["c2", "c3"], &["c2", "c3"]),
    (&["c2", "c3"], &["c3"]),
];

#[test]
#[ignore = "lab"]
fn long_two_feeds_flap() {
    let cloud = Cloud::new("st-flaps", 37);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let writers = Writers::start(writers::all(&cloud));
    let mut took = Vec::new();
    for (round, (cut, first)) in ROUNDS.into_iter().enumerate() {
        cloud.lab("cut", cut).good();
        if cut.len() == 2 {
            std::thread::sleep(Duration::from_secs(10));
        }
        cloud.lab("on", first).good();
        let since = writers.mark(&format!("{round}: {cut:?} cut, {first:?} on"));
        let begin = Instant::now();
        writers.until_answer("sql", since + 1_000_000_000, AGAIN);
        writers.until_answer(
            "token",
            since + 1_000_000_000,
            AGAIN.saturating_sub(begin.elapsed()),
        );
        took.push(begin.elapsed());
        tell(&format!(
            "{round}: {cut:?} cut, {first:?} on: serves after {:.1} s",
            begin.elapsed().as_secs_f64()
        ));
        let rest: Vec<&str> = cut.iter().copied().filter(|h| !first.contains(h)).collect();
        if !rest.is_empty() {
            cloud.lab("on", &rest).good();
        }
    }
    tell(&format!("serves again after {took:.1?}"));
    cloud.until_redundant(AGAIN);
    writers.until_good(AGAIN);
    let seen = writers.stop();
    seen.kept();
    writers::kept_everywhere(&cloud, &seen.history);
}
