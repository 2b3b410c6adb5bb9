//! What a process costs while it runs, and what else the machine has to do:
//! read from /proc, so that nothing has to be installed.
//!
//! Not for the programs that it starts: each `ssh` is a process of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::dist::megabytes;
use crate::shell::Error;

/// A tick of `utime` and `stime`, in ms: `USER_HZ` is 100 on all of Linux's
/// interfaces to programs.
const TICK_MS: u64 = 10;

/// What a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// From start to end.
    pub took: Duration,
    /// Of the process itself, to the tick.
    pub cpu: Duration,
    /// The most memory that it ever had, in KiB.
    pub peak_kib: u64,
}

impl Cost {
    /// For people.
    pub fn tell(&self) -> String {
        format!(
            "at most {}, {:.2} CPU s",
            megabytes(self.peak_kib * 1024),
            self.cpu.as_secs_f64()
        )
    }
}

/// Runs a program with its words going to `log`; these are in the error if it fails.
pub fn watched(command: &mut Command, log: &Path) -> Result<Cost, Error> {
    let failed = |e: std::io::Error| Error::Said(format!("{}: {e}", log.display()));
    let out = fs::File::create(log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    let name = Path::new(command.get_program()).display().to_string();
    let start = |why| Error::Start { command: name, why };
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(start)?;
    let (pid, ended) = (child.id(), AtomicBool::new(false));
    let (status, took, cost) = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut cost = Cost::default();
            while !ended.load(Ordering::Relaxed) {
                sample(pid, &mut cost);
                thread::sleep(Duration::from_millis(5));
            }
            cost
        });
        let status = child.wait();
        let took = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        (status, took, sampler.join().unwrap_or_default())
    });
    let status = status.map_err(failed)?;
    if status.success() {
        return Ok(Cost { took, ..cost });
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
    Err(Error::Said(format!(
        "`{}` failed ({status}); the end of {}:\n{}",
        Path::new(command.get_program()).display(),
        log.display(),
        tail.join("\n")
    )))
}

/// What is left of a process that has just ended is 0: the larger value is kept.
fn sample(pid: u32, cost: &mut Cost) {
    let read = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    cost.peak_kib = cost.peak_kib.max(peak(&read("status")));
    cost.cpu = cost.cpu.max(cpu(&read("stat")));
}

/// `VmHWM` of `/proc/PID/status`, in KiB.
fn peak(status: &str) -> u64 {
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default()
}

/// `utime` and `stime` of `/proc/PID/stat`: the fields 14 and 15. The second is
/// the program's name, which may hold anything.
fn cpu(stat: &str) -> Duration {
    let after = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * TICK_MS)
}

/// How busy all CPUs are with other things, in per cent, and how many there are.
pub fn machine() -> (u64, usize) {
    let times = || busy_and_all(&fs::read_to_string("/proc/stat").unwrap_or_default());
    let (busy, all) = times();
    thread::sleep(Duration::from_secs(2));
    let (busy_now, all_now) = times();
    let all = all_now.saturating_sub(all).max(1);
    let cpus = thread::available_parallelism().map_or(1, Into::into);
    (busy_now.saturating_sub(busy) * 100 / all, cpus)
}

/// The first line of `/proc/stat`: ticks in which something ran, and all.
/// Waiting for a disk (the fifth) counts as idle (the fourth).
fn busy_and_all(stat: &str) -> (u64, u64) {
    let numbers: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|n| n.parse().ok())
        .collect();
    let all: u64 = numbers.iter().sum();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    (all.saturating_sub(idle), all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read() {
        assert_eq!(peak("VmPeak:\t  900 kB\nVmHWM:\t   22632 kB\n"), 22632);
        let stat = "12 (a b) c) S 1 12 12 0 -1 4194304 1 0 0 0 30 12 7 8 20 0";
        assert_eq!(cpu(stat), Duration::from_millis(420));
        assert_eq!(cpu(""), Duration::ZERO);
    }

    #[test]
    fn a_machine_is_read() {
        assert_eq!(busy_and_all("cpu  10 0 5 80 5 0 0 0 3 0\ncpu0 1\n"), (15, 100));
    }

    #[test]
    fn what_runs_is_watched() {
        let log = std::env::temp_dir().join(format!("watched-{}", std::process::id()));
        let cost = watched(Command::new("sleep").arg("0.1"), &log).unwrap();
        assert!(
            cost.took >= Duration::from_millis(100) && cost.peak_kib > 0,
            "{cost:?}"
        );
        let error = watched(Command::new("ls").arg("/nowhere"), &log).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
        let _ = fs::remove_file(&log);
    }
}
