//! The verdict as a value: for people a table, for machines serde.
//!
//! It is made from a history and what was read back; it asks nothing. Every
//! report says how fine it could see and what the prober cost.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    Ended, Gap, History, Label, Mark, Outcome, ReadBack, Record, Subject, View, Writes, checker::every_gap,
    gaps, history::nanos, writes,
};

mod table;

/// What a prober saw, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run's id: the wall clock at its start, in nanoseconds since 1970.
    pub run: u64,
    /// Start of the window judged, in nanoseconds since the start.
    pub from_ns: u64,
    /// End of the window judged.
    pub to_ns: u64,
    /// Why the prober ended.
    pub ended: Ended,
    /// CPU share of the prober's process over its whole run, as a fraction of one core.
    pub cpu_share: f64,
    /// The marks, by time.
    pub marks: Vec<Mark>,
    /// One for each probe, in their order.
    pub probes: Vec<ProbeReport>,
}

/// What one probe saw. Times are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The probe's name.
    pub name: String,
    /// Its kind.
    pub kind: Label,
    /// Its interval: gaps are known to about this.
    pub resolution_ns: u64,
    /// The longest time between two requests sent. For a probe that asks, more
    /// than twice the interval means that the prober itself was held up; a
    /// writer waits for its own write.
    pub stall_ns: u64,
    /// Good answers, those after a retry included.
    pub ok: u64,
    /// Good answers over a second connection.
    pub retried: u64,
    /// Requests without a good answer.
    pub failed: u64,
    /// Ticks at which too many requests were unanswered to send another.
    pub skipped: u64,
    /// The longest gap.
    pub longest: Gap,
    /// The gaps above the view's threshold, by time.
    pub gaps: Vec<Gap>,
    /// Median time of good answers, to three digits; zero without any.
    pub p50_ns: u64,
    /// 95th percentile of the same.
    pub p95_ns: u64,
    /// The slowest good answer: one that hung is not up, however it ended.
    pub slowest_ns: u64,
    /// Why requests failed, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// For a writer that was read back: what became of its writes, in the whole run.
    pub writes: Option<Writes>,
}

/// What a report must reach.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bar {
    /// The longest gap allowed. `None` judges losses only.
    pub gap: Option<std::time::Duration>,
}

/// A way to miss the bar. Losses and doubts about them miss every bar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Acknowledged writes are not there.
    #[error("{probe}: acknowledged and lost: {}", table::ids(ids))]
    Lost {
        /// The writer's name.
        probe: String,
        /// The ids.
        ids: Vec<u64>,
    },
    /// Ids are there that the history does not know.
    #[error("{probe}: found and never written: {}", table::ids(ids))]
    Unknown {
        /// The writer's name.
        probe: String,
        /// The ids.
        ids: Vec<u64>,
    },
    /// A writer was not read back, so its acknowledgements prove nothing.
    #[error("{probe}: what it wrote was not read back")]
    NotReadBack {
        /// The writer's name.
        probe: String,
    },
    /// No request had a good answer.
    #[error("{probe}: no good answer at all")]
    Silent {
        /// The probe's name.
        probe: String,
    },
    /// A gap is longer than allowed.
    #[error("{probe}: no good answer for {} ms, allowed are {} ms", gap.length_ns() / 1_000_000, allowed_ns / 1_000_000)]
    Gap {
        /// The probe's name.
        probe: String,
        /// The longest gap.
        gap: Gap,
        /// What was allowed, in nanoseconds.
        allowed_ns: u64,
    },
    /// The probe asks too seldom to see what it is judged by.
    #[error("{probe}: its interval of {} ms cannot show gaps of {} ms", every_ns / 1_000_000, allowed_ns / 1_000_000)]
    Coarse {
        /// The probe's name.
        probe: String,
        /// Its interval in nanoseconds.
        every_ns: u64,
        /// The gap allowed, in nanoseconds.
        allowed_ns: u64,
    },
}

impl Report {
    /// Judges a history. Writers without an entry in `read` are reported
    /// without losses, and miss every bar.
    pub fn of(history: &History, read: &[ReadBack], view: &View) -> Self {
        let (from_ns, to_ns) = view.window(history);
        let probes = history.subjects.iter().map(|subject| {
            let read = read.iter().find(|read| *read.probe == *subject.name);
            judge(history, subject, read, view)
        });
        Self {
            run: history.run,
            from_ns,
            to_ns,
            ended: history.ended,
            cpu_share: history.cpu_share(),
            marks: history.marks.clone(),
            probes: probes.collect(),
        }
    }

    /// All that is below the bar; empty when it is reached.
    #[must_use = "an unread verdict is a pass"]
    pub fn failures(&self, bar: &Bar) -> Vec<Failure> {
        self.probes.iter().flat_map(|probe| probe.failures(bar)).collect()
    }
}

impl ProbeReport {
    /// All that is below the bar for this probe alone: probes may have bars of their own.
    #[must_use = "an unread verdict is a pass"]
    pub fn failures(&self, bar: &Bar) -> Vec<Failure> {
        let probe = || self.name.clone();
        let mut failures = Vec::new();
        match &self.writes {
            None if self.kind.writes() => failures.push(Failure::NotReadBack { probe: probe() }),
            Some(writes) => {
                if !writes.lost.is_empty() {
                    failures.push(Failure::Lost {
                        probe: probe(),
                        ids: writes.lost.clone(),
                    });
                }
                if !writes.unknown.is_empty() {
                    failures.push(Failure::Unknown {
                        probe: probe(),
                        ids: writes.unknown.clone(),
                    });
                }
            }
            None => {}
        }
        if self.ok == 0 {
            failures.push(Failure::Silent { probe: probe() });
        }
        if let Some(allowed_ns) = bar.gap.map(nanos) {
            if self.longest.length_ns() > allowed_ns {
                let gap = self.longest.clone();
                failures.push(Failure::Gap {
                    probe: probe(),
                    gap,
                    allowed_ns,
                });
            }
            if self.resolution_ns >= allowed_ns {
                let every_ns = self.resolution_ns;
                failures.push(Failure::Coarse {
                    probe: probe(),
                    every_ns,
                    allowed_ns,
                });
            }
        }
        failures
    }
}

fn judge(history: &History, subject: &Subject, read: Option<&ReadBack>, view: &View) -> ProbeReport {
    let (from, to) = view.window(history);
    let sent = |record: &&Record| (from..=to).contains(&record.start_ns);
    let longest = every_gap(history, &subject.name, view)
        .into_iter()
        .max_by_key(Gap::length_ns);
    let mut report = ProbeReport {
        name: subject.name.to_string(),
        kind: subject.kind,
        resolution_ns: subject.every_ns,
        stall_ns: 0,
        ok: 0,
        retried: 0,
        failed: 0,
        skipped: 0,
        longest: longest.unwrap_or(Gap {
            from_ns: from,
            to_ns: to,
            upper_ns: to - from,
            open: true,
            failed: 0,
            after: None,
        }),
        gaps: gaps(history, &subject.name, view),
        p50_ns: 0,
        p95_ns: 0,
        slowest_ns: 0,
        reasons: BTreeMap::new(),
        writes: read.map(|read| writes(history, read)),
    };
    // To an hour and three digits; what is longer counts as an hour.
    let mut took = Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 3).ok();
    let mut starts = BTreeSet::new();
    for record in history.of(&subject.name).filter(sent) {
        starts.insert(record.start_ns);
        match &record.outcome {
            Outcome::Skipped => report.skipped += 1,
            Outcome::Failed(reason) => {
                report.failed += 1;
                *report.reasons.entry(reason.clone()).or_default() += 1;
            }
            good @ (Outcome::Ok | Outcome::Retried) => {
                report.ok += 1;
                report.retried += u64::from(*good == Outcome::Retried);
                let time = record.end_ns.saturating_sub(record.start_ns);
                report.slowest_ns = report.slowest_ns.max(time);
                if let Some(took) = &mut took {
                    took.saturating_record(time);
                }
            }
        }
    }
    if let Some(took) = took.filter(|took| !took.is_empty()) {
        report.p50_ns = took.value_at_quantile(0.5);
        report.p95_ns = took.value_at_quantile(0.95);
    }
    let pairs = starts.iter().zip(starts.iter().skip(1));
    report.stall_ns = pairs.map(|(before, after)| after - before).max().unwrap_or(0);
    report
}
