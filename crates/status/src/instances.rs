//! Instances that systemd runs, of which the cluster knows nothing: their units
//! and what they answer on their own hosts tell how they are.

use std::collections::BTreeSet;

use pacemaker::{Monitor, Resource, UNIT_AGENT};
use render::{Desired, DesiredUnit, UnitRun};
use wire::{Answer, Fact, Facts};

use crate::{Observed, Problem, facts};

/// One instance on its host.
struct Instance<'a> {
    resource: &'a str,
    host: &'a str,
    /// Why it does not serve; nothing where it does.
    wrong: Option<String>,
}

fn all<'a>(desired: &'a Desired, observed: &Observed) -> Vec<Instance<'a>> {
    let units = desired
        .hosts
        .iter()
        .flat_map(|(host, wanted)| wanted.units.iter().map(move |unit| (host, unit)));
    units
        .filter(|(_, unit)| unit.run == UnitRun::Systemd && !unit.resource.is_empty())
        .map(|(host, unit)| Instance {
            resource: &unit.resource,
            host,
            wrong: facts(observed, host)
                .map_or_else(|| Some("it cannot be seen".to_owned()), |f| wrong(unit, f)),
        })
        .collect()
}

fn wrong(unit: &DesiredUnit, facts: &Facts) -> Option<String> {
    match facts.units.get(&unit.unit) {
        Some(Fact::Known(now)) if now.active == "active" => {}
        Some(Fact::Known(now)) => return Some(format!("{} is {}", unit.unit, now.active)),
        Some(Fact::Absent) | None => return Some(format!("there is no {}", unit.unit)),
        Some(Fact::Unknown(why)) => return Some(why.clone()),
    }
    let check = unit.check.as_ref()?;
    match facts.answers.get(&format!("instance/{}", unit.resource)) {
        Some(Fact::Absent) => Some("it does not listen".to_owned()),
        Some(fact) => match (fact, wire::holds(fact, &check.expect)) {
            (_, Ok(())) => None,
            (Fact::Known(Answer::Http { status, .. }), Err(_)) => {
                Some(format!("it answers with status {status}"))
            }
            (_, Err(why)) => Some(why),
        },
        None => Some("it was not asked".to_owned()),
    }
}

/// Units that the cluster has running on a member, and that systemd there has not. It
/// finds out at its next look, which for a timer is minutes away.
pub(crate) fn stopped(desired: &Desired, observed: &Observed, monitor: &Monitor) -> Vec<Problem> {
    let resources = desired.cib.resources.iter().map(Resource::primitive);
    let run: BTreeSet<&str> = resources
        .filter(|p| p.agent == UNIT_AGENT)
        .map(|p| p.id.as_str())
        .collect();
    let mut out = Vec::new();
    for (host, wanted) in &desired.hosts {
        let Some(facts) = facts(observed, host) else {
            continue;
        };
        let units = wanted.units.iter();
        for unit in units.filter(|u| u.run == UnitRun::Cluster && run.contains(u.resource.as_str())) {
            let state = match facts.units.get(&unit.unit) {
                Some(Fact::Known(now)) if matches!(now.active.as_str(), "inactive" | "failed") => &now.active,
                _ => continue,
            };
            if monitor
                .nodes_of(&unit.resource, "Started")
                .contains(&host.as_str())
            {
                out.push(Problem::Stopped {
                    host: host.clone(),
                    unit: unit.unit.clone(),
                    state: state.clone(),
                    resource: unit.resource.clone(),
                });
            }
        }
    }
    out
}

/// Hosts on which a resource serves; nothing where systemd does not run it.
pub(crate) fn serving(desired: &Desired, observed: &Observed, resource: &str) -> Option<Vec<String>> {
    let mut of: Vec<Instance<'_>> = all(desired, observed);
    of.retain(|i| i.resource == resource);
    let any = !of.is_empty();
    let good = of.into_iter().filter(|i| i.wrong.is_none());
    any.then(|| good.map(|i| i.host.to_owned()).collect())
}

/// Resources that do not serve everywhere.
pub(crate) fn lacking(desired: &Desired, observed: &Observed) -> Vec<Problem> {
    let all = all(desired, observed);
    let mut names: Vec<&str> = all.iter().map(|i| i.resource).collect();
    names.sort_unstable();
    names.dedup();
    let mut out = Vec::new();
    for name in names {
        let of = || all.iter().filter(|i| i.resource == name);
        let wrong: Vec<String> = of()
            .filter_map(|i| Some(format!("on {}: {}", i.host, i.wrong.as_ref()?)))
            .collect();
        if !wrong.is_empty() {
            let total = of().count();
            out.push(Problem::Lacking {
                what: format!(
                    "{name} runs {} of {total} times ({})",
                    total - wrong.len(),
                    wrong.join("; ")
                ),
            });
        }
    }
    out
}
