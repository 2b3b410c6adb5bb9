//! A part of a plan, and what a step stands on: for plans that are kept and done
//! later, and for those who want less than all.

use std::collections::{BTreeMap, BTreeSet};

use wire::{Fact, Facts, Op, Own};

use crate::{Digest, Observed, Plan, Step, StepId};

fn named(step: &Step, target: &str) -> bool {
    let about = || (step.id.turn()).map_or_else(|| step.id.is_about(target), |host| host == target);
    step.id.is_within(target) || about()
}

/// Steps that are kept, in their order. One that went after a step that is left out goes
/// after those before that: two hosts do not take their turns at once since a third's
/// turn between them is not done.
pub fn only(steps: &[Step], keep: &dyn Fn(&Step) -> bool) -> Vec<Step> {
    let mut out = Vec::new();
    let mut instead: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    for step in steps {
        let mut after: Vec<StepId> = Vec::new();
        for first in &step.after {
            let own = std::slice::from_ref(first);
            let firsts = instead.get(first.as_str()).map_or(own, Vec::as_slice);
            after.extend(
                firsts
                    .iter()
                    .filter(|f| !after.contains(f))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
        if keep(step) {
            out.push(Step {
                after,
                ..step.clone()
            });
        } else {
            instead.insert(&step.id, after);
        }
    }
    out
}

/// What of a plan belongs to these, with all that must go before. A target is a
/// host, a service, a resource, or a step's name or its beginning. That one host
/// is changed after another is an order and no need: their turns are left out.
///
/// # Errors
/// Targets that name nothing in the plan.
pub fn part(plan: &Plan, targets: &[String]) -> Result<Plan, Vec<String>> {
    let unknown: Vec<String> = targets
        .iter()
        .filter(|t| !plan.steps.iter().any(|s| named(s, t)))
        .cloned()
        .collect();
    if !unknown.is_empty() && !plan.is_empty() {
        return Err(unknown);
    }
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    // Those that others need stand before them.
    for step in plan.steps.iter().rev() {
        let asked = targets.iter().any(|t| named(step, t));
        if !asked && !wanted.contains(step.id.as_str()) {
            continue;
        }
        wanted.insert(&step.id);
        wanted.extend(step.after.iter().filter(|a| step.id.needs(a)).map(StepId::as_str));
    }
    let steps = only(&plan.steps, &|s| wanted.contains(s.id.as_str()));
    let mut out = plan.clone();
    let left = plan.steps.len() - steps.len();
    if left > 0 {
        out.explain.push(format!(
            "{left} steps are left out: they do not belong to {}",
            targets.join(", ")
        ));
    }
    out.steps = steps;
    Ok(out)
}

/// The facts that a step changes, each with its value as a keyed digest or a
/// word: the step may be done as long as they are the same.
pub fn relied(step: &Step, observed: &Observed, digest: Digest<'_>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for host in &step.hosts {
        if let Some(Ok(facts)) = observed.get(host) {
            for op in &step.ops {
                facts_of(op, host, facts, digest, &mut out);
            }
        }
    }
    out
}

fn word<T>(fact: Option<&Fact<T>>, known: impl Fn(&T) -> String) -> String {
    match fact {
        Some(Fact::Known(value)) => known(value),
        Some(Fact::Absent) => "absent".to_owned(),
        Some(Fact::Unknown(_)) | None => "unknown".to_owned(),
    }
}

fn facts_of(op: &Op, host: &str, facts: &Facts, digest: Digest<'_>, out: &mut BTreeMap<String, String>) {
    match op {
        Op::Files(files) => {
            for file in files {
                let now = word(facts.files.get(&file.path), |f| {
                    // Of a shared file the step stands on our keys; the rest may change.
                    let content = match file.own {
                        Own::File | Own::Edit(_) | Own::Program => f.digest.clone(),
                        Own::Keys { .. } => format!("{:?}", f.keys),
                    };
                    format!("{content} {}:{} {:o}", f.stat.owner, f.stat.group, f.stat.mode)
                });
                out.insert(format!("{host}:{}", file.path), now);
            }
        }
        Op::Remove(paths) => {
            for path in paths {
                let now = word(facts.files.get(path), |_| "there".to_owned());
                out.insert(format!("{host}:{path}"), now);
            }
        }
        Op::Packages(names) => {
            for name in names {
                let now = word(facts.packages.get(name), Clone::clone);
                out.insert(format!("{host}: package {name}"), now);
            }
        }
        Op::Units(changes) => {
            for change in changes {
                let now = word(facts.units.get(&change.unit), |u| {
                    format!("{} {}", u.active, u.file)
                });
                out.insert(format!("{host}: {}", change.unit), now);
            }
        }
        Op::Sysctls(wanted) => {
            for (key, _) in wanted {
                out.insert(
                    format!("{host}: {key}"),
                    word(facts.sysctls.get(key), Clone::clone),
                );
            }
        }
        Op::Cib(sections) => {
            let Some(cib) = facts.cib.known() else { return };
            for section in sections {
                // It may hold a fence device's password.
                let now = cib.section(&section.name).map(|text| digest(text.as_bytes()));
                out.insert(format!("the cluster's {}", section.name), now.unwrap_or_default());
            }
        }
        Op::Unless { ops, .. } => {
            for op in ops {
                facts_of(op, host, facts, digest, out);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, after: &[&str]) -> Step {
        let after = after.iter().map(|a| StepId::from(*a)).collect();
        crate::build::step(
            id.into(),
            vec![names::HostName::new("c1").unwrap()],
            id.to_owned(),
            "",
            vec![],
            after,
        )
    }

    #[test]
    fn a_part_has_what_goes_before_it() {
        let plan = Plan {
            steps: vec![
                step("prepare/c1", &[]),
                step("prepare/c2", &[]),
                step("drain/c1/c2", &["prepare/c1", "prepare/c2"]),
                step("change/c1", &["drain/c1/c2"]),
                step("drain/c2/c1", &["change/c1"]),
                step("change/c2", &["drain/c2/c1"]),
                step("database/api", &["prepare/c1"]),
                step("settle", &["change/c2", "database/api"]),
            ],
            ..Plan::default()
        };
        let check = |targets: &[&str], expect: &[&str]| {
            let targets: Vec<String> = targets.iter().map(|t| (*t).to_owned()).collect();
            let part = part(&plan, &targets).unwrap();
            let ids: Vec<&str> = part.steps.iter().map(|s| s.id.as_str()).collect();
            assert_eq!(ids, expect, "{targets:?}");
        };
        check(&["api"], &["prepare/c1", "database/api"]);
        check(&["database"], &["prepare/c1", "database/api"]);
        check(&["change/c2"], &["drain/c2/c1", "change/c2"]);
        check(&["c2"], &["prepare/c2", "drain/c2/c1", "change/c2"]);
        check(&["c1"], &["prepare/c1", "prepare/c2", "drain/c1/c2", "change/c1"]);
        let unknown = part(&plan, &["c9".to_owned()]).unwrap_err();
        assert_eq!(unknown, ["c9"]);
        assert!(part(&Plan::default(), &["c9".to_owned()]).unwrap().is_empty());
    }
}
