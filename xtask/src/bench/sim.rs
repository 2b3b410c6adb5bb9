//! Plans performed a second in the world that performs plans, faults among them: on one
//! core, as users build it and as tests do. It needs no lab.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::table::{Row, print, short};
use super::watch::watched;
use crate::shell::{self, Error, program, root};

/// Clouds, each with how many plans a second are the goal.
const CLOUDS: [(&str, f64); 2] = [("keystone", 200.0), ("eight", 30.0)];
const ARCHITECTURES: [&str; 2] = ["full", "core"];
/// Profiles of Cargo, and their names in the table.
const PROFILES: [(&str, &str); 2] = [("release", "release"), ("test", "tests' build")];
/// More refusals than this share, in per cent, leave too little to be performed.
const REFUSED: f64 = 30.0;

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Seconds of the processor for each cloud
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u32,
}

/// Measures and prints the table.
pub fn run(args: &Args) -> Result<(), Error> {
    super::tell_machine();
    let mut rows = Vec::new();
    for (profile, name) in PROFILES {
        let words = ["--profile", profile, "--package", "sim", "--bench", "plans"];
        let built = shell::built(&words, "plans")?;
        for (services, goal) in CLOUDS {
            for architecture in ARCHITECTURES {
                let told = measure(&built, architecture, services, args.seconds)?;
                let what = format!("{services}, {architecture}, {name}");
                rows.extend(told.rows(&what, goal));
            }
        }
    }
    print(&rows);
    Ok(())
}

fn measure(built: &Path, architecture: &str, services: &str, seconds: u32) -> Result<Told, Error> {
    let log = root().join("target/bench/sim.log");
    let failed = |e: std::io::Error| Error::Said(format!("{}: {e}", log.display()));
    fs::create_dir_all(log.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let mut run = program(built);
    run.args([architecture, services, &seconds.to_string()]);
    watched(&mut run, &log)?;
    let text = fs::read_to_string(&log).map_err(failed)?;
    let last = text.lines().last().unwrap_or_default();
    Told::read(last).ok_or_else(|| Error::Said(format!("{} told no numbers: `{last}`", built.display())))
}

/// The output of one run.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    plans: u32,
    refused: u32,
    draws: u64,
    bad: u64,
    took: Duration,
    /// The planner alone, for one plan.
    alone: Duration,
}

impl Told {
    fn read(line: &str) -> Option<Self> {
        let numbers: Option<Vec<u64>> = line.split(' ').map(|n| n.parse().ok()).collect();
        let [plans, refused, draws, bad, took, alone] = numbers?.try_into().ok()?;
        Some(Self {
            plans: plans.try_into().ok()?,
            refused: refused.try_into().ok()?,
            draws,
            bad,
            took: Duration::from_nanos(took),
            alone: Duration::from_nanos(alone),
        })
    }

    fn rows(&self, what: &str, goal: f64) -> [Row; 3] {
        let rate = f64::from(self.plans) / self.took.as_secs_f64();
        let share = (self.plans > 0).then(|| 100.0 * f64::from(self.refused) / f64::from(self.plans));
        let alone = format!(
            "the planner alone, nothing to do: {} a plan, {:.0} a second",
            short(self.alone),
            1.0 / self.alone.as_secs_f64()
        );
        [
            Row::at_least(format!("plans a second, {what}"), Some(rate), goal).beside(alone),
            Row::at_most(format!("refused, %, {what}"), share, REFUSED),
            Row::count(format!("no good end, {what}"), self.bad, 0)
                .beside(format!("of {} draws", self.draws)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_nothing_else() {
        let told = Told {
            plans: 9,
            refused: 2,
            draws: 3,
            bad: 0,
            took: Duration::from_secs(1),
            alone: Duration::from_millis(2),
        };
        assert_eq!(Told::read("9 2 3 0 1000000000 2000000"), Some(told));
        for line in ["", "9 2 3 0 1", "9 2 3 0 1 2 3", "9 2 3 0 1 x"] {
            assert_eq!(Told::read(line), None, "{line}");
        }
    }
}
