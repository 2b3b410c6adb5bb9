//! The judge of the cluster's state: a pure function of what `crm_mon` told.
//! Not for the CIB, and not for running `crm_mon`.

use std::collections::BTreeSet;

use pacemaker::{Monitor, NodeResource};

use crate::{ClusterWant, ResourceWant};

/// Whether the cluster looks so.
///
/// # Errors
/// What is missing, in words for people.
pub fn satisfied(seen: &Monitor, want: &ClusterWant) -> Result<(), String> {
    let mut missing = Vec::new();
    missing.extend(online(seen, want.online));
    for resource in &want.resources {
        missing.extend(lacks(&seen.resources, resource));
    }
    if want.idle {
        missing.extend(busy(seen));
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join("; "))
    }
}

fn online(seen: &Monitor, wanted: u32) -> Option<String> {
    let out: Vec<String> = seen
        .nodes
        .iter()
        .filter_map(|node| {
            let why = [
                ("unclean", node.unclean),
                ("offline", !node.online),
                ("pending", node.pending),
                ("standby", node.standby || node.standby_onfail),
                ("in maintenance", node.maintenance),
            ];
            why.iter()
                .find(|(_, so)| *so)
                .map(|(why, _)| format!("{} is {why}", node.name))
        })
        .collect();
    let good = seen.nodes.len() - out.len();
    if good >= wanted as usize {
        return None;
    }
    let known = if out.is_empty() {
        "no other is known".to_owned()
    } else {
        out.join(", ")
    };
    Some(format!("{good} of {wanted} nodes are online ({known})"))
}

fn lacks(instances: &[NodeResource], want: &ResourceWant) -> Option<String> {
    let ours: Vec<_> = instances
        .iter()
        .filter(|instance| instance.id == want.id)
        .collect();
    if want.role == "Stopped" {
        // Until it has left: also one that is stopping is still there.
        let there = |i: &&NodeResource| i.role != "Stopped" && i.is_on(&want.node);
        let left = ours.iter().copied().find(there)?;
        return Some(format!("{} is {} on {}", want.id, left.role, want.node));
    }
    if ours.is_empty() {
        return Some(format!("{} is not in the cluster", want.id));
    }
    let on: BTreeSet<&str> = ours
        .iter()
        .filter(|instance| instance.is_good() && instance.role == want.role)
        .flat_map(|instance| instance.nodes.iter().map(String::as_str))
        .collect();
    let known = || on.iter().copied().collect::<Vec<_>>().join(", ");
    if on.len() < want.count as usize {
        let now = if on.is_empty() { states(&ours) } else { known() };
        return Some(format!(
            "{} is {} on {} of {} nodes ({now})",
            want.id,
            want.role,
            on.len(),
            want.count
        ));
    }
    if !want.node.is_empty() && !on.contains(want.node.as_str()) {
        return Some(format!(
            "{} is not {} on {} but on {}",
            want.id,
            want.role,
            want.node,
            known()
        ));
    }
    None
}

fn states(instances: &[&NodeResource]) -> String {
    let all: BTreeSet<String> = instances
        .iter()
        .map(|instance| {
            let state = if instance.failed { "failed" } else { &instance.role };
            match &instance.pending {
                Some(pending) if pending != state => format!("{state}, {pending}"),
                _ => state.to_owned(),
            }
        })
        .collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// Actions under way, and those that failed.
fn busy(seen: &Monitor) -> Vec<String> {
    let mut busy = Vec::new();
    for instance in &seen.resources {
        if let Some(pending) = &instance.pending {
            busy.push(format!("{} is {pending}", instance.id));
        }
        if instance.failed {
            busy.push(format!("{} has failed", instance.id));
        }
        if instance.active && instance.orphaned {
            busy.push(format!("{} is no longer wanted and still runs", instance.id));
        }
    }
    let under_way = seen.under_way.iter();
    busy.extend(under_way.map(|a| format!("{} of {} is under way on {}", a.task, a.resource, a.node)));
    let failed = seen.failures.iter();
    busy.extend(failed.map(|f| format!("{} failed on {}: {}", f.action, f.node, f.why)));
    busy.extend(seen.fencing.iter().map(|node| format!("{node} is being fenced")));
    busy.sort();
    busy.dedup();
    busy
}

#[cfg(test)]
mod tests;
