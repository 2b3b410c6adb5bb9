//! The two clocks of this host, by which the engine doubts itself. Not for ages of anything else.

use std::time::{Duration, Instant, SystemTime};

/// When the next round is due, by both clocks of this host.
pub(crate) struct Clock {
    pub(crate) due: Instant,
    wall: SystemTime,
    at: Instant,
}

impl Clock {
    /// The first round is due now.
    pub(crate) fn new() -> Self {
        let at = Instant::now();
        Self {
            due: at,
            wall: SystemTime::now(),
            at,
        }
    }

    /// Milliseconds by which a round begins too late, with steps of the wall clock.
    pub(crate) fn late_ms(&mut self) -> u64 {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let late = now.saturating_duration_since(self.due);
        let steady = now.saturating_duration_since(self.at);
        let step = match wall.duration_since(self.wall) {
            Ok(went) => went.abs_diff(steady),
            Err(back) => back.duration() + steady,
        };
        (self.at, self.wall) = (now, wall);
        ms(late.max(step))
    }
}

/// A time in whole milliseconds.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_and_steps_of_the_wall_clock() {
        let mut clock = Clock::new();
        assert!(clock.late_ms() < 5_000);
        clock.due = Instant::now();
        for (step, forward) in [(3_600, true), (3_600, false)] {
            let by = Duration::from_secs(step);
            clock.wall = if forward { clock.wall + by } else { clock.wall - by };
            assert!((3_595_000..3_605_000).contains(&clock.late_ms()), "{forward}");
        }
    }
}
