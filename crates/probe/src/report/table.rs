//! A report for people: one aligned row a probe, then what needs words.
//!
//! Plain text without colour; the numbers are those of the report, rounded.

use std::fmt::{self, Display, Formatter};

use super::{ProbeReport, Report};
use crate::{Ended, Gap, Label, Writes};

/// Most ids listed.
const IDS: usize = 10;
/// The columns; all but the first two are numbers, to the right.
const HEAD: [&str; 11] = [
    "probe",
    "kind",
    "every",
    "ok",
    "failed",
    "longest gap",
    "at",
    "p50",
    "p95",
    "slowest",
    "stall",
];

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ended = match self.ended {
            Ended::Stopped => "stopped",
            Ended::Duration => "its time was over",
            Ended::Requests => "its requests were used up",
            Ended::Running => "still running",
        };
        let share = self.cpu_share * 100.0;
        let seen = time(self.to_ns - self.from_ns);
        writeln!(f, "{seen} seen, {ended}; the prober used {share:.1} % of a core")?;
        for mark in &self.marks {
            writeln!(f, "  {} {}", time(mark.at_ns), mark.text)?;
        }
        writeln!(f)?;
        let rows: Vec<_> = self.probes.iter().map(row).collect();
        let mut widths = HEAD.map(str::len);
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        line(f, &HEAD.map(String::from), &widths)?;
        for row in &rows {
            line(f, row, &widths)?;
        }
        for probe in &self.probes {
            words(f, probe)?;
        }
        Ok(())
    }
}

fn row(probe: &ProbeReport) -> [String; HEAD.len()] {
    let kind = match probe.kind {
        Label::Http => "http",
        Label::Greeting => "greeting",
        Label::Renewing => "renewing",
        Label::SqlWrite => "sql-write",
        Label::Publish => "publish",
    };
    let open = if probe.longest.open { "+" } else { "" };
    [
        probe.name.clone(),
        kind.into(),
        time(probe.resolution_ns),
        probe.ok.to_string(),
        probe.failed.to_string(),
        format!("{}{open}", time(probe.longest.length_ns())),
        time(probe.longest.from_ns),
        time(probe.p50_ns),
        time(probe.p95_ns),
        time(probe.slowest_ns),
        time(probe.stall_ns),
    ]
}

fn line(f: &mut Formatter<'_>, cells: &[String; HEAD.len()], widths: &[usize; HEAD.len()]) -> fmt::Result {
    let mut text = String::new();
    for (index, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        let cell = if index < 2 {
            format!("{cell:<width$}  ")
        } else {
            format!("{cell:>width$}  ")
        };
        text.push_str(&cell);
    }
    writeln!(f, "{}", text.trim_end())
}

fn words(f: &mut Formatter<'_>, probe: &ProbeReport) -> fmt::Result {
    let some = !probe.gaps.is_empty() || !probe.reasons.is_empty() || probe.writes.is_some();
    if !some && probe.retried == 0 && probe.skipped == 0 {
        return Ok(());
    }
    writeln!(f, "\n{}", probe.name)?;
    for gap in &probe.gaps {
        writeln!(f, "  {}", said(gap))?;
    }
    for (reason, times) in &probe.reasons {
        writeln!(f, "  {times} × {reason}")?;
    }
    if probe.retried > 0 {
        writeln!(f, "  {} × good after a second connection", probe.retried)?;
    }
    if probe.skipped > 0 {
        writeln!(f, "  {} × not sent: too many unanswered", probe.skipped)?;
    }
    if let Some(found) = &probe.writes {
        kept(f, found)?;
    }
    Ok(())
}

fn said(gap: &Gap) -> String {
    let (length, upper) = (time(gap.length_ns()), time(gap.upper_ns));
    let lasts = if gap.open { ", and it lasts" } else { "" };
    let after = gap
        .after
        .as_ref()
        .map(|mark| format!(", after `{mark}`"))
        .unwrap_or_default();
    format!(
        "gap of {length} (at most {upper}) from {}: {} failed{after}{lasts}",
        time(gap.from_ns),
        gap.failed
    )
}

fn kept(f: &mut Formatter<'_>, found: &Writes) -> fmt::Result {
    writeln!(f, "  {} acknowledged, {} found", found.acknowledged, found.found)?;
    let lists = [
        ("LOST", &found.lost),
        ("found without an acknowledgement", &found.indeterminate),
        ("found more than once", &found.duplicates),
        ("found and NEVER WRITTEN", &found.unknown),
    ];
    for (what, list) in lists {
        if list.is_empty() && what != "LOST" {
            continue;
        }
        let colon = if list.is_empty() { "" } else { ": " };
        writeln!(f, "  {} {what}{colon}{}", list.len(), ids(list))?;
    }
    Ok(())
}

/// The first ids of a list, for people.
pub(super) fn ids(list: &[u64]) -> String {
    let shown: Vec<_> = list.iter().take(IDS).map(u64::to_string).collect();
    let more = if list.len() > IDS { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Nanoseconds for people, three digits or so.
#[expect(clippy::cast_precision_loss, reason = "rounded to three digits anyway")]
fn time(nanos: u64) -> String {
    let ns = nanos as f64;
    match nanos {
        0..10_000_000 => format!("{:.1} ms", ns / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} ms", ns / 1e6),
        1_000_000_000..100_000_000_000 => format!("{:.2} s", ns / 1e9),
        _ => format!("{:.0} s", ns / 1e9),
    }
}
