//! Whether the cluster looks as wanted, from `crm_mon`'s XML: a pure function.
//! Not for the CIB, and not for running `crm_mon`.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};

use crate::{ClusterWant, ResourceWant};

/// Whether the cluster looks so.
///
/// # Errors
/// What is missing, in words for people.
pub fn satisfied(xml: &str, want: &ClusterWant) -> Result<(), String> {
    let document =
        Document::parse(xml).map_err(|error| format!("crm_mon's answer cannot be read: {error}"))?;
    let root = document.root_element();
    let mut missing = Vec::new();
    missing.extend(online(root, want.online));
    let instances: Vec<Instance<'_>> = root
        .descendants()
        .filter(|node| node.has_tag_name("resource") && node.attribute("id").is_some())
        .map(Instance::read)
        .collect();
    for resource in &want.resources {
        missing.extend(lacks(&instances, resource));
    }
    if want.idle {
        missing.extend(busy(root, &instances));
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join("; "))
    }
}

/// `PCMK_OCF_UNKNOWN`: the result of an action that has none yet.
const UNDER_WAY: &str = "193";

/// One running (or not running) copy of a resource.
struct Instance<'a> {
    /// Without the number of the copy.
    id: &'a str,
    role: &'a str,
    nodes: Vec<&'a str>,
    good: bool,
    failed: bool,
    /// Runs and is in the configuration no more: it will be stopped.
    orphan: bool,
    /// What is being done to it: `Starting`.
    pending: Option<&'a str>,
}

impl<'a> Instance<'a> {
    fn read(node: Node<'a, 'a>) -> Self {
        let id = node.attribute("id").unwrap_or_default();
        let failed = is(node, "failed");
        let role = node.attribute("role").unwrap_or_default();
        Self {
            id: id.split(':').next().unwrap_or(id),
            role,
            nodes: node
                .children()
                .filter(|n| n.has_tag_name("node"))
                .filter_map(|n| n.attribute("name"))
                .collect(),
            good: is(node, "active") && !failed && !is(node, "orphaned") && !is(node, "blocked"),
            failed,
            orphan: is(node, "active") && is(node, "orphaned"),
            // Pacemaker 3 says it in the role, which no resource has for long.
            pending: node
                .attribute("pending")
                .or_else(|| role.ends_with("ing").then_some(role)),
        }
    }
}

fn is(node: Node<'_, '_>, attribute: &str) -> bool {
    node.attribute(attribute) == Some("true")
}

fn online(root: Node<'_, '_>, wanted: u32) -> Option<String> {
    let list = root.children().find(|node| node.has_tag_name("nodes"));
    let nodes: Vec<_> = list
        .iter()
        .flat_map(Node::children)
        .filter(|node| node.has_tag_name("node"))
        .collect();
    let out: Vec<String> = nodes
        .iter()
        .filter_map(|&node| {
            let name = node.attribute("name").unwrap_or("?");
            let why = [
                ("unclean", is(node, "unclean")),
                ("offline", !is(node, "online")),
                ("pending", is(node, "pending")),
                ("standby", is(node, "standby") || is(node, "standby_onfail")),
                ("in maintenance", is(node, "maintenance")),
            ];
            why.iter()
                .find(|(_, so)| *so)
                .map(|(why, _)| format!("{name} is {why}"))
        })
        .collect();
    let good = nodes.len() - out.len();
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

fn lacks(instances: &[Instance<'_>], want: &ResourceWant) -> Option<String> {
    let ours: Vec<_> = instances
        .iter()
        .filter(|instance| instance.id == want.id)
        .collect();
    if want.role == "Stopped" {
        // Until it has left: also one that is stopping is still there.
        let there = |i: &&Instance<'_>| i.role != "Stopped" && i.nodes.contains(&want.node.as_str());
        let left = ours.iter().copied().find(there)?;
        return Some(format!("{} is {} on {}", want.id, left.role, want.node));
    }
    if ours.is_empty() {
        return Some(format!("{} is not in the cluster", want.id));
    }
    let on: BTreeSet<&str> = ours
        .iter()
        .filter(|instance| instance.good && instance.role == want.role)
        .flat_map(|instance| instance.nodes.iter().copied())
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

fn states(instances: &[&Instance<'_>]) -> String {
    let all: BTreeSet<String> = instances
        .iter()
        .map(|instance| {
            let state = if instance.failed { "failed" } else { instance.role };
            match instance.pending {
                Some(pending) if pending != state => format!("{state}, {pending}"),
                _ => state.to_owned(),
            }
        })
        .collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// What is under way, and what has failed.
fn busy(root: Node<'_, '_>, instances: &[Instance<'_>]) -> Vec<String> {
    let mut busy = Vec::new();
    for instance in instances {
        if let Some(pending) = instance.pending {
            busy.push(format!("{} is {pending}", instance.id));
        }
        if instance.failed {
            busy.push(format!("{} has failed", instance.id));
        }
        if instance.orphan {
            busy.push(format!("{} is no longer wanted and still runs", instance.id));
        }
    }
    for history in root
        .descendants()
        .filter(|node| node.has_tag_name("resource_history"))
    {
        for action in history
            .children()
            .filter(|action| action.attribute("rc") == Some(UNDER_WAY))
        {
            let on = history
                .parent()
                .and_then(|node| node.attribute("name"))
                .unwrap_or("?");
            busy.push(format!(
                "{} of {} is under way on {on}",
                action.attribute("task").unwrap_or("?"),
                history.attribute("id").unwrap_or("?")
            ));
        }
    }
    for failure in root.descendants().filter(|node| node.has_tag_name("failure")) {
        let part = |name| failure.attribute(name).unwrap_or("?");
        // `exitreason` is often empty and says more when it is not.
        let why = failure
            .attribute("exitreason")
            .filter(|why| !why.is_empty())
            .unwrap_or_else(|| part("exitstatus"));
        let what = failure
            .attribute("op_key")
            .or_else(|| failure.attribute("id"))
            .unwrap_or("an action");
        busy.push(format!("{what} failed on {}: {why}", part("node")));
    }
    for fencing in root.descendants().filter(|node| node.has_tag_name("fence_event")) {
        if fencing.attribute("status") == Some("pending") {
            busy.push(format!(
                "{} is being fenced",
                fencing.attribute("target").unwrap_or("a node")
            ));
        }
    }
    busy.sort();
    busy.dedup();
    busy
}

#[cfg(test)]
mod tests;
