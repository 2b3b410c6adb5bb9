//! A plan as people read it: steps in order, each with what it changes.

use std::fmt::Write as _;

use crate::{Effect, Outage, Plan};

fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

/// What an effect is, in words.
fn words(effect: &Effect) -> String {
    match effect {
        Effect::Restart { resource, host } => format!("restarts {resource} on {host}"),
        Effect::Reload { unit, host } => format!("{unit} on {host} reads its files again"),
        Effect::Reconfigure { resource } => format!("restarts {resource} wherever it runs, at once"),
        Effect::Readdress {
            services, from, to, ..
        } => format!(
            "{} leaves {from} for {to}: clients have to ask for it again",
            services.join(", ")
        ),
        Effect::Joins { host } => {
            format!("everything starts on {host}, which is given a copy of the databases")
        }
        Effect::Recovers { store } => format!("{store} is brought back, and what stands on it with it"),
        Effect::Starts { host } => format!("everything starts on {host}"),
        Effect::Standby { host, services } if services.is_empty() => {
            format!("{host} runs nothing any more; it has no address")
        }
        Effect::Standby { host, services } => format!(
            "{host} runs nothing any more: connections to {} break, and are taken elsewhere",
            services.join(", ")
        ),
        Effect::Move {
            services, from, to, ..
        } => format!(
            "breaks connections to {}: its address leaves {from} for {to}, where new ones are taken",
            services.join(", ")
        ),
    }
}

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
            let _ = writeln!(out, "  ! {}", words(effect));
        }
    }
    let disturbed: Vec<&Outage> = plan.outages.iter().filter(|o| !o.why.is_empty()).collect();
    if !disturbed.is_empty() {
        out.push_str("\nwithout an answer, for who asks once more:\n");
    }
    for outage in disturbed {
        let usual = if outage.usual_ms == 0 {
            "never".to_owned()
        } else {
            seconds(outage.usual_ms)
        };
        let worst = seconds(outage.worst_ms);
        let _ = writeln!(out, "  {}: {usual}, at worst {worst}", outage.resource);
        if diffs {
            for why in &outage.why {
                let _ = writeln!(out, "      {why}");
            }
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
