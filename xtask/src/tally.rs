//! Counting tests by the summaries that the runners print themselves.

use std::ops::AddAssign;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Tally {
    /// One check that either holds or not.
    pub fn of(held: bool) -> Self {
        Self {
            passed: usize::from(held),
            failed: usize::from(!held),
        }
    }

    /// What a line of a runner's output adds: nothing, unless it is a summary
    /// of libtest (`test result: ok. 3 passed; 0 failed; …`) or of nextest
    /// (`Summary [ 0.1s] 3 tests run: 3 passed, 1 skipped`).
    pub fn of_line(line: &str) -> Self {
        let line = line.trim_start();
        let counts = if let Some(rest) = line.strip_prefix("test result: ") {
            rest.split_once(". ").map(|(_, counts)| counts)
        } else if line.starts_with("Summary [") {
            line.split_once("run: ").map(|(_, counts)| counts)
        } else {
            None
        };
        let mut tally = Self::default();
        for part in counts.unwrap_or_default().split([',', ';']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => tally.passed += number,
                // Of nextest: failed by an exit status, by a signal, by the clock.
                Some("failed" | "exec" | "timed") => tally.failed += number,
                _ => {}
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_counted_and_nothing_else() {
        let cases = [
            (
                "test result: ok. 3 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                3,
                0,
            ),
            (
                "test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out",
                1,
                4,
            ),
            (
                "     Summary [   0.033s] 42 tests run: 42 passed, 3 skipped",
                42,
                0,
            ),
            (
                "     Summary [   9.001s] 4/7 tests run: 2 passed (1 slow), 1 failed, 1 timed out, 0 skipped",
                2,
                2,
            ),
            ("test galera::tests::five_passed ... ok", 0, 0),
            ("said: 7 passed; 7 failed", 0, 0),
        ];
        for (line, passed, failed) in cases {
            assert_eq!(Tally::of_line(line), Tally { passed, failed }, "{line}");
        }
    }
}
