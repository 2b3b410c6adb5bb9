//! The cloud as `pcs status` shows a cluster, section by section, for those who read such
//! pages daily. Written from typed facts: not for programs, and no text of `crm_mon`'s own.

use std::collections::BTreeMap;

use names::HostName;
use pacemaker::{Monitor, Node, NodeResource};
use render::{Desired, DesiredHost, UnitRun};
use wire::{Fact, UnitFact};

use crate::cluster::Cluster;
use crate::{Host, Observed, Snapshot, facts};

/// Units whose state is told host by host at the end.
const DAEMONS: [&str; 2] = ["corosync.service", "pacemaker.service"];

/// Page of a snapshot in the form of `pcs status`.
///
/// `machines` has the names of the VMs that run on each VM host, or why they are not known;
/// `at` is the time of the look, for people.
pub fn pacemaker_view(
    found: &Snapshot,
    desired: &Desired,
    observed: &Observed,
    machines: &BTreeMap<HostName, Result<Vec<String>, String>>,
    at: &str,
) -> String {
    let mut out = vec![format!("Cluster name: {}", found.cloud)];
    if let Some(Cluster { monitor, .. }) = Cluster::seen(observed) {
        out.extend(summary(&monitor, at));
        section(&mut out, "", nodes(&monitor));
        section(&mut out, "Full list of resources:", resources(&monitor));
        let failed = monitor.failures.iter().map(|f| format!(" * {f}"));
        section(&mut out, "Failed Resource Actions:", failed.collect());
        let fencing = monitor.fencing.iter().map(|node| format!(" * {node}: pending"));
        section(&mut out, "Pending Fencing Actions:", fencing.collect());
    } else {
        out.push(format!("Last updated: {at}"));
        out.push("The cluster is running on no host that answers".to_owned());
    }
    section(&mut out, "Run by systemd:", by_systemd(desired, observed));
    let (computes, others) = beside(found, desired, observed, machines);
    section(&mut out, "Compute hosts:", computes);
    section(&mut out, "Other hosts beside the cluster:", others);
    section(&mut out, "Daemon Status:", daemons(desired, observed));
    out.join("\n")
}

/// Adds lines under a title; nothing without lines.
fn section(out: &mut Vec<String>, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    out.push(String::new());
    if !title.is_empty() {
        out.extend([title.to_owned(), String::new()]);
    }
    out.extend(lines);
}

/// Names in the brackets of Pacemaker's tools.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    format!("[ {} ]", names.join(" "))
}

/// A row of names under a word; none without names.
fn row(indent: usize, word: &str, names: &[&str]) -> Option<String> {
    let names = names.iter().copied();
    (names.len() > 0).then(|| format!("{:indent$}{word}: {}", "", listed(names)))
}

fn summary(monitor: &Monitor, at: &str) -> Vec<String> {
    let dc = match (&monitor.dc, &monitor.version) {
        (None, _) => "NONE".to_owned(),
        (Some(dc), None) => dc.clone(),
        (Some(dc), Some(version)) => format!("{dc} (version {version})"),
    };
    let quorum = if monitor.quorate { "with" } else { "WITHOUT" };
    let configured =
        (monitor.configured).map_or_else(|| "unknown number of".to_owned(), |number| number.to_string());
    vec![
        format!("Stack: {}", monitor.stack.as_deref().unwrap_or("unknown")),
        format!("Current DC: {dc} - partition {quorum} quorum"),
        format!("Last updated: {at}"),
        format!("{} nodes configured", monitor.nodes.len()),
        format!("{configured} resources configured"),
    ]
}

/// A node's state where it is neither online nor offline alone.
fn odd(node: &Node) -> Option<&'static str> {
    Some(match (node.online, node) {
        (_, node) if node.unclean && node.pending => "UNCLEAN (pending)",
        (true, node) if node.unclean => "UNCLEAN (online)",
        (false, node) if node.unclean => "UNCLEAN (offline)",
        (_, node) if node.pending => "pending",
        (true, node) if node.standby_onfail => "standby (on-fail)",
        (true, node) if node.standby => "standby",
        (true, node) if node.maintenance => "maintenance",
        (false, node) if node.standby => "OFFLINE (standby)",
        (false, node) if node.maintenance => "OFFLINE (maintenance)",
        _ => return None,
    })
}

fn nodes(monitor: &Monitor) -> Vec<String> {
    let mut out = Vec::new();
    for (remote, prefix) in [(false, ""), (true, "Remote")] {
        let all = || monitor.nodes.iter().filter(move |n| n.remote == remote);
        out.extend(all().filter_map(|n| Some(format!("{prefix}Node {}: {}", n.name, odd(n)?))));
        for (online, word) in [(true, "Online"), (false, "OFFLINE")] {
            let plain = all().filter(|n| odd(n).is_none() && n.online == online);
            let names: Vec<&str> = plain.map(|n| n.name.as_str()).collect();
            out.extend(row(0, &format!("{prefix}{word}"), &names));
        }
    }
    out
}

/// An agent as `pcs` writes it: `ocf::heartbeat:IPaddr2`.
fn agent(of: &NodeResource) -> String {
    match of.agent.strip_prefix("ocf:") {
        Some(rest) => format!("ocf::{rest}"),
        None => of.agent.clone(),
    }
}

/// Words of an instance that is not simply in its role.
fn flags(one: &NodeResource) -> (&'static str, String) {
    let before = match (one.orphaned, one.failed) {
        (true, true) => "ORPHANED FAILED ",
        (true, false) => "ORPHANED ",
        (false, true) => "FAILED ",
        (false, false) => "",
    };
    let blocked = one.blocked.then_some("blocked");
    let unmanaged = (!one.managed).then_some("unmanaged");
    let after: Vec<&str> = blocked.into_iter().chain(unmanaged).collect();
    if after.is_empty() {
        return (before, String::new());
    }
    (before, format!(" ({})", after.join(", ")))
}

/// One instance: its agent, role and node.
fn alone(width: usize, one: &NodeResource) -> String {
    let (before, after) = flags(one);
    let nodes = if one.nodes.is_empty() {
        String::new()
    } else {
        format!(" {}", one.nodes.join(" "))
    };
    let role = one.pending.as_deref().unwrap_or(&one.role);
    let agent = format!("({}):", agent(one));
    format!(" {:<width$}  {agent:<28}  {before}{role}{nodes}{after}", one.id)
}

/// Instances of a clone by role, and those that are not simply in one.
fn clone_set(monitor: &Monitor, id: &str, promotable: bool, of: &[&NodeResource]) -> Vec<String> {
    let primitive = of.first().map_or("", |r| r.id.as_str());
    let kind = if promotable {
        "Master/Slave Set"
    } else {
        "Clone Set"
    };
    let mut out = vec![format!(" {kind}: {id} [{primitive}]")];
    let is_plain = |r: &&&NodeResource| r.is_good() && r.managed && r.pending.is_none();
    let odd = of.iter().filter(|r| !is_plain(r) && !r.nodes.is_empty());
    out.extend(odd.map(|r| format!("    {}", alone(0, r))));
    for (role, word) in [
        ("Promoted", "Masters"),
        ("Unpromoted", "Slaves"),
        ("Started", "Started"),
    ] {
        let plain = of.iter().filter(is_plain).filter(|r| r.role == role);
        let mut names: Vec<&str> = plain.flat_map(|r| &r.nodes).map(String::as_str).collect();
        names.sort_unstable();
        out.extend(row(5, word, &names));
    }
    let idle = monitor.nodes.iter().map(|n| n.name.as_str());
    let idle: Vec<&str> = idle.filter(|n| !of.iter().any(|r| r.is_on(n))).collect();
    out.extend(row(5, "Stopped", &idle));
    out
}

/// All resources, in the cluster's order; instances of a clone together.
fn resources(monitor: &Monitor) -> Vec<String> {
    let alone_ids = monitor.resources.iter().filter(|r| r.set.is_none());
    let width = alone_ids.map(|r| r.id.as_str().len()).max().unwrap_or(0);
    let mut out = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for one in &monitor.resources {
        let Some(set) = &one.set else {
            out.push(alone(width, one));
            continue;
        };
        if told.contains(&set.id.as_str()) {
            continue;
        }
        told.push(&set.id);
        let all = monitor.resources.iter();
        let of: Vec<&NodeResource> = all.filter(|r| r.set.as_ref() == Some(set)).collect();
        out.extend(clone_set(monitor, &set.id, set.promotable, &of));
    }
    out
}

/// A unit's word by what is known of it.
fn state(fact: Option<&Fact<UnitFact>>) -> &'static str {
    match fact {
        Some(Fact::Known(now)) if now.active == "active" => "Started",
        Some(Fact::Known(now)) if now.active == "failed" => "FAILED",
        Some(Fact::Known(_) | Fact::Absent) => "Stopped",
        Some(Fact::Unknown(_)) | None => "Unknown",
    }
}

/// Names by the word of their unit, a row each.
fn by_state<'a>(of: impl Iterator<Item = (&'a str, &'static str)>) -> Vec<String> {
    let all: Vec<_> = of.collect();
    let rows = ["Started", "FAILED", "Stopped", "Unknown"]
        .into_iter()
        .filter_map(|word| {
            let has = all.iter().filter(|(_, state)| *state == word);
            row(5, word, &has.map(|(name, _)| *name).collect::<Vec<_>>())
        });
    rows.collect()
}

/// Instances that systemd runs by the choice of the architecture, by resource.
fn by_systemd(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut all: BTreeMap<(&str, &str), Vec<(&str, &'static str)>> = BTreeMap::new();
    for (host, wanted) in &desired.hosts {
        let units = wanted.units.iter().filter(|u| u.run == UnitRun::Systemd);
        for unit in units.filter(|u| !u.resource.is_empty()) {
            let now = facts(observed, host).and_then(|f| f.units.get(&unit.unit));
            let of = all
                .entry((unit.resource.as_str(), unit.unit.as_str()))
                .or_default();
            of.push((host.as_str(), state(now)));
        }
    }
    let sets = all.into_iter().flat_map(|((resource, unit), hosts)| {
        let mut lines = vec![format!(" Unit Set: {resource} [systemd:{unit}]")];
        lines.extend(by_state(hosts.into_iter()));
        lines
    });
    sets.collect()
}

/// Units that systemd runs on a host, whatever the architecture.
fn own_units(host: &HostName, wanted: &DesiredHost, observed: &Observed) -> Vec<String> {
    let own = wanted
        .units
        .iter()
        .filter(|u| u.run == UnitRun::Systemd && u.resource.is_empty());
    let now = |unit: &str| state(facts(observed, host).and_then(|f| f.units.get(unit)));
    by_state(own.map(|u| (u.unit.trim_end_matches(".service"), now(&u.unit))))
}

/// VM hosts with what runs on each, and the other hosts that are no members.
fn beside(
    found: &Snapshot,
    desired: &Desired,
    observed: &Observed,
    machines: &BTreeMap<HostName, Result<Vec<String>, String>>,
) -> (Vec<String>, Vec<String>) {
    let mut out = (Vec::new(), Vec::new());
    for (host, wanted) in &desired.hosts {
        let runs_machines = !wanted.guests.is_empty();
        if !runs_machines && desired.is_member(host) {
            continue;
        }
        let lines = if runs_machines { &mut out.0 } else { &mut out.1 };
        let known = found
            .beside
            .iter()
            .chain(&found.members)
            .find(|h| h.host == *host);
        lines.push(format!(
            " {host}: {}",
            known.map_or("unknown", |h: &Host| h.state.as_str())
        ));
        lines.extend(own_units(host, wanted, observed));
        if runs_machines {
            lines.push(match machines.get(host) {
                Some(Ok(names)) if names.is_empty() => "     VMs: none".to_owned(),
                Some(Ok(names)) => format!("     VMs: {}", listed(names.iter().map(String::as_str))),
                Some(Err(why)) => format!("     VMs: unknown ({why})"),
                None => "     VMs: unknown (the host was not asked)".to_owned(),
            });
        }
    }
    out
}

/// State of the cluster's own daemons, hosts with the same together.
fn daemons(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut out = Vec::new();
    for daemon in DAEMONS {
        let mut by: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (host, _) in &desired.nodes {
            let now = match facts(observed, host).and_then(|f| f.units.get(daemon)) {
                Some(Fact::Known(now)) => format!("{}/{}", now.active, now.file),
                Some(Fact::Absent) => "absent".to_owned(),
                Some(Fact::Unknown(_)) | None => "unknown".to_owned(),
            };
            by.entry(now).or_default().push(host);
        }
        let name = daemon.trim_end_matches(".service");
        out.extend(
            by.into_iter()
                .map(|(now, hosts)| format!(" {name}: {now} {}", listed(hosts))),
        );
    }
    out
}
