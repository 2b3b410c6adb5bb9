//! The judge: gaps and losses, from a history and nothing else.
//!
//! **Definition of a gap.** The time between two consecutive successful
//! completions of a probe: from when one good answer was there to when the next
//! one was. The probe's start and end stand in for a good answer that is not
//! there, so a service that never comes back is not a service without gaps.
//! The service can have been away a little longer than that, by at most the
//! time the last good answer before took: [`Gap::upper_ns`] counts from when
//! that request was sent. A healthy service shows gaps of about the interval.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{History, ReadBack, history::nanos};

/// What of a history to judge, and what to list.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Gaps longer than this are listed one by one; 500 ms by default.
    pub threshold: Duration,
    /// Judge from here, in nanoseconds since the start; from the start by default.
    pub from_ns: Option<u64>,
    /// Judge to here; to the end by default.
    pub to_ns: Option<u64>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            threshold: Duration::from_millis(500),
            from_ns: None,
            to_ns: None,
        }
    }
}

impl View {
    /// The window judged. Gaps are cut at its edges.
    pub(crate) fn window(&self, history: &History) -> (u64, u64) {
        let to = self.to_ns.unwrap_or(history.stopped_ns).min(history.stopped_ns);
        (self.from_ns.unwrap_or(0).min(to), to)
    }
}

/// A time without a good answer; see the module's definition. All times are
/// nanoseconds since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When the last good answer before it was there, or the window began.
    pub from_ns: u64,
    /// When the first good answer after it was there, or the window ended.
    pub to_ns: u64,
    /// The longest the service can have been away around it: to `to_ns` from
    /// when the latest request was sent that had been answered well before.
    pub upper_ns: u64,
    /// No good answer came after it: it lasts.
    pub open: bool,
    /// Requests whose failure was known within it.
    pub failed: u64,
    /// The last mark before its end.
    pub after: Option<String>,
}

impl Gap {
    /// Its length in nanoseconds.
    pub fn length_ns(&self) -> u64 {
        self.to_ns - self.from_ns
    }
}

/// All gaps of a probe longer than the view's threshold, by time.
pub fn gaps(history: &History, probe: &str, view: &View) -> Vec<Gap> {
    let over = nanos(view.threshold);
    every_gap(history, probe, view)
        .into_iter()
        .filter(|gap| gap.length_ns() > over)
        .collect()
}

/// All gaps of a probe, one more than good answers.
pub(crate) fn every_gap(history: &History, probe: &str, view: &View) -> Vec<Gap> {
    let (begin, end) = view.window(history);
    let within = |at: u64| (begin..=end).contains(&at);
    let mut good: Vec<(u64, u64)> = Vec::new();
    let mut bad: Vec<u64> = Vec::new();
    for record in history.of(probe).filter(|record| within(record.end_ns)) {
        if record.outcome.good() {
            good.push((record.end_ns, record.start_ns));
        } else {
            bad.push(record.end_ns);
        }
    }
    good.sort_unstable();
    bad.sort_unstable();
    let failed = |from: u64, to: u64| {
        let count = bad.partition_point(|&at| at < to) - bad.partition_point(|&at| at < from);
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    let gap = |from_ns: u64, to_ns: u64, sent: u64, open: bool| Gap {
        from_ns,
        to_ns,
        upper_ns: to_ns - sent,
        open,
        // At the open end the last instant counts too.
        failed: failed(from_ns, to_ns.saturating_add(u64::from(open))),
        after: history
            .marks
            .iter()
            .rfind(|mark| mark.at_ns <= to_ns)
            .map(|m| m.text.clone()),
    };
    let (mut from, mut sent) = (begin, begin);
    let mut gaps = Vec::with_capacity(good.len() + 1);
    for &(answered, asked) in &good {
        gaps.push(gap(from, answered, sent, false));
        (from, sent) = (answered, sent.max(asked));
    }
    gaps.push(gap(from, end, sent, true));
    gaps
}

/// What became of a writer's writes. Ids are those of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// How many were acknowledged.
    pub acknowledged: u64,
    /// How many ids are there.
    pub found: u64,
    /// Acknowledged and not there: broken promises.
    pub lost: Vec<u64>,
    /// There without an acknowledgement: allowed, the answer was lost.
    pub indeterminate: Vec<u64>,
    /// There more than once. A queue may deliver again after a failover; a
    /// table may not.
    pub duplicates: Vec<u64>,
    /// There and never written: the history and what was read are not of one
    /// piece, so neither proves anything.
    pub unknown: Vec<u64>,
}

/// Judges what was read back of one writer against the history.
pub fn writes(history: &History, read: &ReadBack) -> Writes {
    let (mut acknowledged, mut tried) = (BTreeSet::new(), BTreeSet::new());
    for record in history.of(&read.probe) {
        tried.insert(record.seq);
        if record.outcome.good() {
            acknowledged.insert(record.seq);
        }
    }
    let there = |id: &u64| read.found.contains_key(id);
    let found = || read.found.keys().copied();
    Writes {
        acknowledged: count(acknowledged.len()),
        found: count(read.found.len()),
        lost: acknowledged.iter().copied().filter(|id| !there(id)).collect(),
        indeterminate: found()
            .filter(|id| tried.contains(id) && !acknowledged.contains(id))
            .collect(),
        duplicates: read
            .found
            .iter()
            .filter(|&(_, &times)| times > 1)
            .map(|(&id, _)| id)
            .collect(),
        unknown: found().filter(|id| !tried.contains(id)).collect(),
    }
}

pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
