//! The table: what was measured, what it should be, whether it is.

use std::time::Duration;

/// Several runs of the same thing.
#[derive(Clone, Default)]
pub struct Runs(pub Vec<Duration>);

impl Runs {
    /// The middle one; of an even number, the upper of the two.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// The median, and between what all lie.
    pub fn tell(&self) -> String {
        let (Some(median), Some(low), Some(high)) = (self.median(), self.0.iter().min(), self.0.iter().max())
        else {
            return "not measured".to_owned();
        };
        format!(
            "{} ({}…{}, n={})",
            short(median),
            short(*low),
            short(*high),
            self.0.len()
        )
    }

    /// How many times as long this takes as the other.
    pub fn ratio(&self, other: &Self) -> Option<f64> {
        let (this, other) = (self.median()?.as_secs_f64(), other.median()?.as_secs_f64());
        (other > 0.0).then_some(this / other)
    }
}

/// Milliseconds below a second, seconds above.
pub fn short(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{:.1} ms", took.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", took.as_secs_f64())
    }
}

/// Whether a number is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    Missed,
    /// It has no goal, or it was not measured.
    None,
}

/// One line of the table.
pub struct Row {
    what: String,
    measured: String,
    goal: String,
    verdict: Verdict,
    beside: String,
}

impl Row {
    /// A number without a goal.
    pub fn plain(what: impl Into<String>, measured: String) -> Self {
        Self {
            what: what.into(),
            measured,
            goal: String::new(),
            verdict: Verdict::None,
            beside: String::new(),
        }
    }

    /// Bytes, in megabytes (10⁶).
    pub fn size(what: impl Into<String>, bytes: u64, told: String, goal_mb: u64) -> Self {
        Self {
            goal: format!("≤ {goal_mb} MB"),
            verdict: verdict(Some(bytes <= goal_mb * 1_000_000)),
            ..Self::plain(what, told)
        }
    }

    /// A time, judged by its median.
    pub fn time(what: impl Into<String>, runs: &Runs, goal: Duration) -> Self {
        let goal_told = if goal < Duration::from_secs(1) {
            format!("≤ {} ms", goal.as_millis())
        } else {
            format!("≤ {} s", goal.as_secs())
        };
        Self {
            goal: goal_told,
            verdict: verdict(runs.median().map(|m| m <= goal)),
            ..Self::plain(what, runs.tell())
        }
    }

    /// How many times a yardstick something takes, which should be little.
    pub fn at_most(what: impl Into<String>, ratio: Option<f64>, goal: f64) -> Self {
        Self {
            goal: format!("≤ {goal:.2}"),
            verdict: verdict(ratio.map(|r| r <= goal)),
            ..Self::plain(what, told(ratio))
        }
    }

    /// How many times faster than a yardstick something is, which should be much.
    pub fn at_least(what: impl Into<String>, ratio: Option<f64>, goal: f64) -> Self {
        Self {
            goal: format!("≥ {goal:.2}"),
            verdict: verdict(ratio.map(|r| r >= goal)),
            ..Self::plain(what, told(ratio))
        }
    }

    /// How many there were of what there should be few of.
    pub fn count(what: impl Into<String>, count: u64, goal: u64) -> Self {
        Self {
            goal: format!("≤ {goal}"),
            verdict: verdict(Some(count <= goal)),
            ..Self::plain(what, count.to_string())
        }
    }

    /// The same, beside its yardstick.
    pub fn beside(self, beside: String) -> Self {
        Self { beside, ..self }
    }
}

fn verdict(met: Option<bool>) -> Verdict {
    met.map_or(
        Verdict::None,
        |met| {
            if met { Verdict::Met } else { Verdict::Missed }
        },
    )
}

fn told(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "not measured".to_owned(), |r| format!("{r:.2}"))
}

/// Prints the table, and how many goals were missed.
pub fn print(rows: &[Row]) {
    println!();
    line(
        "what",
        "median (least…most)",
        "goal",
        "",
        "yardstick, same session",
    );
    for row in rows {
        let verdict = match row.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::None => "",
        };
        line(&row.what, &row.measured, &row.goal, verdict, &row.beside);
    }
    let count = |verdict| rows.iter().filter(|r| r.verdict == verdict).count();
    println!();
    println!(
        "goals: {} met, {} missed",
        count(Verdict::Met),
        count(Verdict::Missed)
    );
}

fn line(what: &str, measured: &str, goal: &str, verdict: &str, beside: &str) {
    let text = format!("{what:<42} {measured:<34} {goal:<8} {verdict:<7} {beside}");
    println!("{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(ms: &[u64]) -> Runs {
        Runs(ms.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn runs_tell_their_median_and_ends() {
        assert_eq!(runs(&[30, 1000, 20]).tell(), "30.0 ms (20.0 ms…1.00 s, n=3)");
        assert_eq!(Runs::default().tell(), "not measured");
    }

    #[test]
    fn a_goal_is_met_up_to_its_bar() {
        let bar = Duration::from_millis(50);
        assert_eq!(Row::time("check", &runs(&[50]), bar).verdict, Verdict::Met);
        assert_eq!(Row::time("check", &runs(&[51]), bar).verdict, Verdict::Missed);
        assert_eq!(Row::time("check", &Runs::default(), bar).verdict, Verdict::None);
        let ratio = runs(&[1400]).ratio(&runs(&[1000]));
        assert_eq!(Row::at_most("apply", ratio, 1.3).verdict, Verdict::Missed);
        assert_eq!(Row::at_least("plan", ratio, 1.3).verdict, Verdict::Met);
        assert_eq!(runs(&[1]).ratio(&runs(&[0])), None);
    }
}
