//! The CPU time of this process: what the prober costs the machine it runs on.
//!
//! Read from `/proc/self/stat`, which is the sum that getrusage(2) gives, in
//! ticks of 10 ms, and needs neither libc nor `unsafe`. It is the whole
//! process: where other work runs beside a prober, it is an upper bound.

use std::fs;

/// Nanoseconds in a tick: `USER_HZ` is 100 on every architecture built for, see proc(5).
const TICK_NS: u64 = 10_000_000;

/// User and system CPU time of this process in nanoseconds, to 10 ms; zero
/// where there is no `/proc`.
pub(crate) fn spent_ns() -> u64 {
    fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| parse(&stat))
        .unwrap_or(0)
}

/// Fields 14 (utime) and 15 (stime) of proc(5)'s stat line. The second field is
/// the command in parentheses and may hold spaces and parentheses itself.
fn parse(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_NS)
}

#[cfg(test)]
mod tests {
    use super::{TICK_NS, parse};

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "4711 (a) b (c)) S 1 4711 4711 0 -1 4194304 9 8 7 6 25 5 0 0 20 0 3 0 99 1 2";
        assert_eq!(parse(stat), Some(30 * TICK_NS));
        assert_eq!(parse("nonsense"), None);
    }
}
