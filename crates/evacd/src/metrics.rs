//! Figures of the engine as a file in Prometheus' text format, for a collector of text files.
//! Not for people: they have `explain`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use evac::{Decision, HostIs, Seen, VmStep};
use wire::Fact;

/// Time between two files while nothing changes.
const EVERY: Duration = Duration::from_secs(5);

/// Counters over rounds.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rounds: u64,
    pub(crate) acts: BTreeMap<&'static str, u64>,
    pub(crate) failures: u64,
}

/// The file and what it holds.
pub(crate) struct Metrics {
    path: Option<PathBuf>,
    pub(crate) counts: Counts,
    written: Option<Instant>,
}

impl Metrics {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            counts: Counts::default(),
            written: None,
        }
    }

    /// Writes the file when its time has come.
    pub(crate) fn write(&mut self, seen: &Seen, decision: &Decision, round: Duration) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.written.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        self.written = Some(Instant::now());
        put(path, &text(&self.counts, seen, decision, round))
    }
}

/// A collector never reads half a file.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut half = path.as_os_str().to_owned();
    half.push(".new");
    std::fs::write(&half, text)?;
    std::fs::rename(half, path)
}

fn text(counts: &Counts, seen: &Seen, decision: &Decision, round: Duration) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, values: &[(&str, u64)]| {
        let _ = writeln!(
            out,
            "# HELP quorate_evac_{name} {help}\n# TYPE quorate_evac_{name} gauge"
        );
        for (labels, value) in values {
            let _ = writeln!(out, "quorate_evac_{name}{labels} {value}");
        }
    };
    gauge(
        "epoch",
        "Epoch that this engine holds; 0 for none.",
        &[("", seen.engine.held.unwrap_or(0))],
    );
    gauge(
        "idle",
        "1 while the engine does nothing at all.",
        &[("", u64::from(decision.idle.is_some()))],
    );
    let micros = u64::try_from(round.as_micros()).unwrap_or(u64::MAX);
    gauge("round_microseconds", "Time of the last round.", &[("", micros)]);
    let known = |known: bool| u64::from(known);
    let sources = [
        ("{source=\"store\"}", known(seen.store.known().is_some())),
        (
            "{source=\"api\"}",
            known(seen.control.answer_ms.known().is_some()),
        ),
        (
            "{source=\"quorum\"}",
            known(seen.engine.quorate == Fact::Known(true)),
        ),
    ];
    gauge("source_well", "1 while a source answers.", &sources);
    gauge(
        "hosts",
        "Hosts that are guarded.",
        &[("", seen.hosts.len() as u64)],
    );
    let hosts = |is: HostIs| decision.hosts.iter().filter(|v| v.is == is).count() as u64;
    let states = [
        ("{is=\"unjudged\"}", hosts(HostIs::Unjudged)),
        ("{is=\"ailing\"}", hosts(HostIs::Ailing)),
        ("{is=\"suspected\"}", hosts(HostIs::Suspected)),
        ("{is=\"held\"}", hosts(HostIs::Held)),
        ("{is=\"recovering\"}", hosts(HostIs::Recovering)),
    ];
    gauge(
        "hosts_not_well",
        "Hosts that are not plainly well, by verdict.",
        &states,
    );
    let unproved = seen
        .hosts
        .iter()
        .filter(|h| h.proved_ms.known().is_none())
        .count();
    gauge(
        "hosts_unproved",
        "Hosts whose fence devices are not proved.",
        &[("", unproved as u64)],
    );
    let vms = |step: VmStep| decision.vms.iter().filter(|v| v.step == step).count() as u64;
    let steps = [
        ("{step=\"sent\"}", vms(VmStep::Sent)),
        ("{step=\"waits\"}", vms(VmStep::Waits)),
        ("{step=\"elsewhere\"}", vms(VmStep::Elsewhere)),
        ("{step=\"given_up\"}", vms(VmStep::GivenUp)),
    ];
    gauge("vms", "VMs of hosts that died, by step.", &steps);
    let held = decision.brakes.iter().filter(|b| !b.released).count() as u64;
    gauge("brakes", "Brakes that hold something back.", &[("", held)]);
    let mut counter = |name: &str, help: &str, values: &[(String, u64)]| {
        let _ = writeln!(
            out,
            "# HELP quorate_evac_{name} {help}\n# TYPE quorate_evac_{name} counter"
        );
        for (labels, value) in values {
            let _ = writeln!(out, "quorate_evac_{name}{labels} {value}");
        }
    };
    counter(
        "rounds_total",
        "Rounds of this process.",
        &[(String::new(), counts.rounds)],
    );
    counter(
        "failures_total",
        "Acts that failed.",
        &[(String::new(), counts.failures)],
    );
    let acts: Vec<(String, u64)> = counts
        .acts
        .iter()
        .map(|(k, v)| (format!("{{act=\"{k}\"}}"), *v))
        .collect();
    counter("acts_total", "Acts that were begun.", &acts);
    out
}
