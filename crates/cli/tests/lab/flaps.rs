//! Two of three power feeds that flap: cut and given back ten times, as drawn. The
//! cloud serves again each time within three minutes of two hosts having power, without a
//! hand, and keeps every acknowledged row.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cloud::Cloud;
use crate::said::tell;
use crate::writers::{self, Writers};

const AGAIN: Duration = Duration::from_mins(3);

/// Hosts that are cut at once, and those that get power back first; the rest follows.
type Round = (Vec<&'static str>, Vec<&'static str>);

const FEEDS: [&str; 2] = ["c2", "c3"];

/// Ten rounds. In the second a member is cut while the third may still be given a copy;
/// all others are drawn.
fn rounds(seed: u64) -> Vec<Round> {
    let mut out = vec![(FEEDS.to_vec(), FEEDS.to_vec()), (vec!["c2"], vec!["c2"])];
    let mut state = seed;
    let mut draw = |of: &[&'static str]| -> Vec<&'static str> {
        // A part of them that is not empty, by the high bits of a linear congruence (Knuth).
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let parts = (1_u64 << of.len()) - 1;
        let part = 1 + (state >> 33) % parts;
        let chosen = of.iter().enumerate().filter(|(at, _)| part & (1 << at) != 0);
        chosen.map(|(_, host)| *host).collect()
    };
    while out.len() < 10 {
        let cut = draw(&FEEDS);
        let first = draw(&cut);
        out.push((cut, first));
    }
    out
}

/// The time, or `QUORATE_SEED`, to see the same again.
fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    std::env::var("QUORATE_SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap())
}

#[test]
#[ignore = "lab"]
fn long_two_feeds_flap() {
    let cloud = Cloud::new("st-flaps", 37);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let writers = Writers::start(writers::all(&cloud));
    let mut took = Vec::new();
    let drawn = seed();
    tell(&format!("QUORATE_SEED={drawn}"));
    for (round, (cut, first)) in rounds(drawn).into_iter().enumerate() {
        cloud.lab("cut", &cut).good();
        if cut.len() == 2 {
            std::thread::sleep(Duration::from_secs(10));
        }
        cloud.lab("on", &first).good();
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
