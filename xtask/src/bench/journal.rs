//! Where an `apply` spent its time: its longest steps, out of its journal.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Shorter steps are left out, in ms.
const SHORTEST: u64 = 500;

/// A step that has ended: from and to in ms since the run began, and its name.
type Ended = (u64, u64, String);

/// Prints the longer steps of all runs in a directory, in the form of the
/// chain's parts. A journal that cannot be read prints nothing: it is no number.
pub fn print_steps(runs: &Path) {
    let mut steps: Vec<Ended> = fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|run| fs::read_to_string(run.path().join("events.jsonl")).ok())
        .flat_map(|text| ended(&text))
        .collect();
    steps.retain(|(from, to, _)| to.saturating_sub(*from) >= SHORTEST);
    steps.sort_unstable();
    println!("{:<32} {:>8} {:>8} {:>8}", "step, seconds", "from", "to", "took");
    for (from, to, name) in steps {
        let [from, to, took] = [from, to, to.saturating_sub(from)].map(seconds);
        println!("{name:<32} {from:>8} {to:>8} {took:>8}");
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02}", ms / 1000, ms % 1000 / 10)
}

fn ended(journal: &str) -> Vec<Ended> {
    journal
        .lines()
        .filter_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let event = event.get("ended")?;
            let to = event.get("ms")?.as_u64()?;
            let took = event.get("took")?.as_u64()?;
            let step = event.get("step")?.as_str()?;
            Some((to.saturating_sub(took), to, step.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_steps_are_found() {
        let journal = r#"{"began":{"at":"2026","intent":"apply","steps":1}}
{"ended":{"ms":900,"step":"prepare/c1","host":"c1","took":850,"outcome":{"done":{"changed":1}}}}
half a li"#;
        assert_eq!(ended(journal), [(50, 900, "prepare/c1".to_owned())]);
        assert_eq!(seconds(12_345), "12.34");
    }
}
