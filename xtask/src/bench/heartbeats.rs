//! The cost of watching VM hosts: one observer that hears a swarm of stand-ins on two
//! networks, beside a bare loop that only counts the same datagrams. It needs no lab.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::table::{Row, print, short};
use super::watch::watched;
use crate::shell::{self, Error, program, root};

/// Numbers of VM hosts.
const HOSTS: [u32; 4] = [3, 50, 200, 1_000];
/// Goals at the most hosts: of one core, in per cent, and memory.
const CORE: f64 = 3.0;
const MEMORY_MB: u64 = 40;

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Seconds for each number of hosts, and as many for its yardstick
    #[arg(long, default_value_t = 30, value_name = "N")]
    seconds: u32,
}

/// Measures and prints the table.
pub fn run(args: &Args) -> Result<(), Error> {
    super::tell_machine();
    let built = shell::built(
        &["--release", "--package", "heartbeat", "--bench", "swarm"],
        "swarm",
    )?;
    let mut rows = Vec::new();
    for hosts in HOSTS {
        rows.extend(measure(&built, hosts, args.seconds)?.rows(hosts));
    }
    print(&rows);
    Ok(())
}

fn measure(built: &Path, hosts: u32, seconds: u32) -> Result<Told, Error> {
    let log = root().join("target/bench/heartbeats.log");
    let failed = |e: std::io::Error| Error::Said(format!("{}: {e}", log.display()));
    fs::create_dir_all(log.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let mut run = program(built);
    run.args([hosts.to_string(), seconds.to_string()]);
    watched(&mut run, &log)?;
    let text = fs::read_to_string(&log).map_err(failed)?;
    let last = text.lines().last().unwrap_or_default();
    Told::read(last).ok_or_else(|| Error::Said(format!("{} told no numbers: `{last}`", built.display())))
}

/// The output of one run.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    observer: Cost,
    /// The most memory of the observer, in KiB.
    memory_kib: u64,
    /// Time on a processor for one question.
    question: Duration,
    bare: Cost,
}

/// Cost of hearing.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    sent: u64,
    lost: u64,
    cpu: Duration,
    took: Duration,
}

impl Cost {
    fn core(&self) -> f64 {
        100.0 * self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }
}

impl Told {
    fn read(line: &str) -> Option<Self> {
        let numbers: Option<Vec<u64>> = line.split(' ').map(|n| n.parse().ok()).collect();
        let [sent, lost, cpu, took, memory_kib, question, bare @ ..] =
            <[u64; 10]>::try_from(numbers?).ok()?;
        let cost = |[sent, lost, cpu, took]: [u64; 4]| Cost {
            sent,
            lost,
            cpu: Duration::from_nanos(cpu),
            took: Duration::from_nanos(took),
        };
        Some(Self {
            observer: cost([sent, lost, cpu, took]),
            memory_kib,
            question: Duration::from_nanos(question),
            bare: cost(bare),
        })
    }

    fn rows(&self, hosts: u32) -> [Row; 4] {
        let rate = u128::from(self.observer.sent) * 1_000 / self.observer.took.as_millis().max(1);
        let core = format!("bare loop: {:.2} %", self.bare.core());
        let lost = format!(
            "of {}; bare loop: {} of {}",
            self.observer.sent, self.bare.lost, self.bare.sent
        );
        let bytes = self.memory_kib * 1024;
        [
            Row::at_most(
                format!("{hosts} hosts, {rate} datagrams/s: core, %"),
                Some(self.observer.core()),
                CORE,
            )
            .beside(core),
            Row::size(
                format!("{hosts} hosts: memory"),
                bytes,
                crate::dist::megabytes(bytes),
                MEMORY_MB,
            ),
            Row::plain(
                format!("{hosts} hosts: datagrams lost"),
                self.observer.lost.to_string(),
            )
            .beside(lost),
            Row::plain(
                format!("{hosts} hosts: a question"),
                format!("{} of a core", short(self.question)),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_nothing_else() {
        let cost = |sent, lost, ms, s| Cost {
            sent,
            lost,
            cpu: Duration::from_millis(ms),
            took: Duration::from_secs(s),
        };
        let told = Told {
            observer: cost(9, 1, 10, 1),
            memory_kib: 7,
            question: Duration::from_nanos(8),
            bare: cost(6, 0, 5, 2),
        };
        let line = "9 1 10000000 1000000000 7 8 6 0 5000000 2000000000";
        assert_eq!(Told::read(line), Some(told));
        for line in [
            "",
            "1 2 3 4 5 6 7 8 9",
            "1 2 3 4 5 6 7 8 9 10 11",
            "1 2 3 4 5 6 7 8 9 x",
        ] {
            assert_eq!(Told::read(line), None, "{line}");
        }
    }
}
