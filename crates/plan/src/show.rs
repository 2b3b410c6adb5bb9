//! A plan as people read it: steps in order, each with what it changes.

use std::fmt::Write as _;

use crate::{Effect, Plan};

/// The plan as text; `diffs` shows each file's.
pub fn show(plan: &Plan, diffs: bool) -> String {
    let mut out = String::new();
    for line in &plan.explain {
        let _ = writeln!(out, "{line}");
    }
    for step in &plan.steps {
        let _ = writeln!(out, "{} ({})", step.title, step.why);
        for change in &step.changes {
            let _ = writeln!(out, "  {} {}", change.glyph, change.what);
            if diffs {
                for line in change.diff.lines() {
                    let _ = writeln!(out, "      {line}");
                }
            }
        }
        for effect in &step.effects {
            let _ = match effect {
                Effect::Restart { resource, host } => writeln!(out, "  ! restarts {resource} on {host}"),
                Effect::Reload { unit, host } => writeln!(out, "  ! {unit} on {host} reads its files again"),
                Effect::Move {
                    services, from, to, ..
                } => writeln!(
                    out,
                    "  ! breaks connections to {}: its address leaves {from} for {to}, where new ones are taken",
                    services.join(", ")
                ),
            };
        }
    }
    let files: usize = plan.steps.iter().map(|s| s.changes.len()).sum();
    if plan.is_empty() {
        out.push_str("nothing to do: the cloud is as the file says\n");
    } else {
        let _ = writeln!(out, "{} steps, {files} changes", plan.steps.len());
    }
    if plan.barrier {
        out.push_str("then the hosts are observed again and the next stage is planned\n");
    }
    out
}
