//! Members that come to a cluster that runs, and those that leave it: how many votes
//! each has meanwhile, and in which order they come. Never at rest at an even number.
//!
//! A member that comes has no vote until it serves, and one that leaves has none any
//! more before it is stopped. So one that never gets that far costs no quorum, and no
//! number in between ever counts. What was read in Corosync 3.1.9 (`exec/votequorum.c`)
//! and is why the others' votes may weigh more for a moment:
//! - At a reload a member knows its own new votes and expects all new ones, but counts
//!   for the others what they had until they say otherwise. Where those that had votes
//!   would be no majority by themselves, quorum is lost for that moment, and Pacemaker
//!   is told. So they are given weight first, and lose it at the end.
//! - Expected votes follow from the nodelist.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use engines::Refusal;
use names::{HostName, ResourceId};
use pacemaker::{Monitor, Resource};
use render::{Corosync, CorosyncNode, Desired, IDENTITY};
use wire::{ClusterWant, Expect, Fact, Op, Query, ResourceWant, Wait};

use crate::build::{Planner, step};
use crate::cluster::wanted_role;
use crate::corosync::Member;
use crate::refuse::refuse;
use crate::{Effect, Observed, StepId, corosync, quorate, quorum};

/// How long a member that comes may take until it runs all that the others run, in
/// milliseconds: it is given a copy of the databases first.
const ARRIVES_MS: u64 = 1_200_000;

/// Who has how many votes, by name, where it is not one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Votes {
    /// Votes in the file, where they are not one.
    weights: BTreeMap<HostName, u32>,
    /// Members that the cluster does not count yet.
    pub(crate) coming: Vec<HostName>,
    /// All of those are in the cluster.
    pub(crate) arrived: bool,
    /// Members that the cloud file does not name and that are in the cluster still.
    pub(crate) leaving: Vec<HostName>,
    /// None of those has a vote any more.
    pub(crate) uncounted: bool,
    /// Their part of the file.
    leavers: Vec<CorosyncNode>,
    /// The members that are left are given quorum, since the lost were a majority.
    pub(crate) taken: bool,
}

/// What the members of a quorate cluster run with, by name, and what one sees.
fn running(desired: &Desired, observed: &Observed) -> Option<(BTreeMap<HostName, Member>, Monitor)> {
    let tells = |host: &HostName| {
        let facts = observed.get(host)?.as_ref().ok()?;
        let monitor = quorum::monitor(facts)?;
        Some((corosync::running_members(facts)?, monitor))
    };
    desired.nodes.iter().find_map(|(host, _)| tells(host))
}

/// The least weight by which so many votes are a majority beside so many new ones.
fn weight(have: u32, come: u32) -> u32 {
    come.checked_div(have).unwrap_or_default() + 1
}

impl Votes {
    /// What the file is to say, by what is seen of the cluster.
    pub(crate) fn of(desired: &Desired, observed: &Observed) -> Self {
        let mut out = Self::default();
        let many = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let left = desired.nodes.iter().map(|(name, _)| name);
        let Some((running, monitor)) = running(desired, observed) else {
            if lost_majority(desired) {
                out.taken = true;
                out.weigh(left, &desired.lost);
            }
            return out;
        };
        // Those that were given up count again when they are members again.
        let uncounted = |name: &&HostName| running.get(*name).is_some_and(|member| member.votes == 0);
        let away: Vec<HostName> = desired.apart.iter().filter(uncounted).cloned().collect();
        if !away.is_empty() {
            out.weigh(left, &away);
            return out;
        }
        for (name, member) in running.iter().filter(|(name, _)| !desired.is_member(name)) {
            if monitor.online().any(|n| n.name == *name) {
                out.leaving.push(name.clone());
                out.leavers.push(member.node().with_votes(0));
            }
        }
        // By all accounts, the leavers' own too: one that was started meanwhile runs with the
        // file, and the others with what was loaded before.
        let accounts = observed.values().flatten();
        out.uncounted = accounts.filter_map(corosync::running_members).all(|members| {
            members
                .iter()
                .all(|(name, m)| !out.leaving.contains(name) || m.votes == 0)
        });
        let counted = |name: &str| running.get(name).is_some_and(|member| member.votes > 0);
        let (there, coming): (Vec<&HostName>, Vec<&HostName>) = desired
            .nodes
            .iter()
            .map(|(name, _)| name)
            .partition(|name| counted(name));
        if coming.is_empty() {
            return out;
        }
        let weight = weight(many(there.len()), many(coming.len()));
        if weight > 1 {
            out.weights = there.iter().map(|name| ((*name).clone(), weight)).collect();
        }
        out.coming = coming.iter().map(|name| (*name).clone()).collect();
        out.arrived = coming.iter().all(|name| sees_all(desired, observed, name));
        if !out.arrived {
            out.weights.extend(coming.iter().map(|name| ((*name).clone(), 0)));
        }
        out
    }

    /// Members that leave and have a vote by any account.
    pub(crate) fn to_uncount(&self) -> impl Iterator<Item = &HostName> {
        self.leaving.iter().filter(|_| !self.uncounted)
    }

    /// Makes those that are left a majority by themselves, and gives the others no vote.
    fn weigh<'a>(&mut self, left: impl ExactSizeIterator<Item = &'a HostName>, others: &[HostName]) {
        let many = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let weight = weight(many(left.len()), many(others.len()));
        self.weights = left.map(|name| (name.clone(), weight)).collect();
        self.weights.extend(others.iter().map(|name| (name.clone(), 0)));
    }

    /// The configuration as it is to be for now.
    pub(crate) fn conf<'c>(&self, whole: &'c Corosync) -> Cow<'c, Corosync> {
        if self.weights.is_empty() && self.leavers.is_empty() {
            return Cow::Borrowed(whole);
        }
        let mut out = whole.clone();
        for node in &mut out.nodes {
            if let Some(votes) = self.weights.get(&node.name) {
                *node = node.clone().with_votes(*votes);
            }
        }
        out.nodes.splice(0..0, self.leavers.iter().cloned());
        Cow::Owned(out)
    }

    /// The same of its file.
    pub(crate) fn file<'t>(&self, whole: &Corosync, rendered: &'t str) -> Cow<'t, str> {
        match self.conf(whole) {
            Cow::Borrowed(_) => Cow::Borrowed(rendered),
            // A test of render sees that it stands there.
            Cow::Owned(now) => Cow::Owned(rendered.replacen(&whole.nodelist(), &now.nodelist(), 1)),
        }
    }
}

/// True if the operator gives up so many members that those left are no majority.
fn lost_majority(desired: &Desired) -> bool {
    let lost = desired
        .lost
        .iter()
        .filter(|host| !desired.is_member(host))
        .count();
    !desired.nodes.is_empty() && lost > 0 && desired.nodes.len() <= lost
}

/// Whether the cluster runs on a host and it sees all members there.
pub(crate) fn sees_all(desired: &Desired, observed: &Observed, host: &str) -> bool {
    let facts = observed.get(host).and_then(|facts| facts.as_ref().ok());
    let monitor = facts.and_then(|facts| facts.cluster.known());
    monitor.is_some_and(|monitor| {
        let online: Vec<&str> = monitor.online().map(|n| n.name.as_str()).collect();
        desired
            .nodes
            .iter()
            .all(|(name, _)| online.contains(&name.as_str()))
    })
}

/// Reasons against planning where hosts run a cluster of other members than the cloud file
/// names, and nobody who is to stay tells that it has quorum: who comes and who leaves is then
/// not known, and a file with fewer members would make a few a quorum of their own.
fn not_known(desired: &Desired, observed: &Observed) -> Vec<Refusal> {
    if running(desired, observed).is_some() {
        return Vec::new();
    }
    let nodes = desired.nodes.iter().map(|(name, _)| name);
    // Those that are given up are members still, by the account of the others.
    let wanted: BTreeSet<&str> = nodes.chain(&desired.lost).map(HostName::as_str).collect();
    let mut out = Vec::new();
    for (host, facts) in observed.iter().filter_map(|(h, f)| Some((h, f.as_ref().ok()?))) {
        if facts.cluster.known().is_none() {
            continue;
        }
        let Some(members) = corosync::running_members(facts) else {
            out.push(refuse(
                "members::unknown",
                format!("{host}: the cluster runs there, and it cannot be seen with which members"),
                "`corosync-cmapctl nodelist.` must answer there; then run this again",
            ));
            continue;
        };
        let counted = |member: &Member| member.votes > 0;
        let same = members.len() == wanted.len()
            && members.iter().all(|(name, m)| {
                wanted.contains(name.as_str()) && (counted(m) || desired.lost.contains(name))
            });
        if same {
            continue;
        }
        let names: Vec<&str> = members.keys().map(HostName::as_str).collect();
        let said = format!(
            "{host}: the cluster runs with the members {}, the cloud file names {}",
            names.join(", "),
            wanted.iter().copied().collect::<Vec<_>>().join(", ")
        );
        out.push(match quorum::quorum(facts) {
            Fact::Known(true) if quorum::monitor(facts).is_some() => refuse(
                "members::not-here",
                format!("{said}, and it has quorum on this host, which leaves"),
                "let the hosts that stay join it first: put the cloud file back as it was and run \
                 `quorate recover`",
            ),
            Fact::Known(true) => refuse(
                "members::quorum-unknown",
                format!("{said}, and no controller of it is elected, so nobody tells who is online"),
                "an election is over within seconds: run this again",
            ),
            Fact::Known(false) => refuse(
                "members::no-quorum",
                format!("{said}, and it has no quorum"),
                "put the cloud file back as it was and run `quorate recover`; change the members when the cloud \
                 serves",
            ),
            Fact::Absent => continue,
            Fact::Unknown(why) => refuse(
                "members::quorum-unknown",
                format!("{said}, and it is not known whether it has quorum: {why}"),
                "an election is over within seconds: run this again; if it stays so, `corosync-quorumtool -s` \
                 there tells why",
            ),
        });
    }
    out
}

/// Reasons against a change of members.
pub(crate) fn reasons(desired: &Desired, votes: &Votes, observed: &Observed) -> Vec<Refusal> {
    let unknown = not_known(desired, observed);
    if !unknown.is_empty() {
        return unknown;
    }
    let changing: Vec<&HostName> = votes.coming.iter().chain(&votes.leaving).collect();
    let Some(monitor) = quorate(observed).filter(|_| !changing.is_empty()) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    if !votes.coming.is_empty() && !votes.leaving.is_empty() {
        out.push(refuse(
            "members::both-ways",
            format!(
                "{} would become members and {} leave in one change",
                votes.coming.join(", "),
                votes.leaving.join(", ")
            ),
            "do the one first, then the other: take the new ones out of the cloud file for now, or put the \
             others back",
        ));
    }
    let there: Vec<&HostName> = desired
        .nodes
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !votes.coming.contains(name))
        .collect();
    if !votes.leaving.is_empty() && there.len() <= votes.leaving.len() {
        out.push(refuse(
            "members::too-many-leave",
            format!(
                "{} would leave, and what stays ({}) is no majority of what was",
                votes.leaving.join(", "),
                there.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")
            ),
            "let fewer leave at a time",
        ));
    }
    let online: Vec<&str> = monitor.online().map(|n| n.name.as_str()).collect();
    for name in there.into_iter().filter(|name| !online.contains(&name.as_str())) {
        let changing: Vec<&str> = changing.iter().map(|n| n.as_str()).collect();
        out.push(refuse(
            "members::another-away",
            format!(
                "{name} is not online: no members come or leave ({}) beside it",
                changing.join(", ")
            ),
            format!(
                "bring {name} back first: `quorate status` tells why it is away; with the cloud file as it was, \
                 `quorate recover` brings it back, also with an empty disk"
            ),
        ));
    }
    for name in &votes.leaving {
        let why = match observed.get(name) {
            Some(Ok(_)) => continue,
            Some(Err(why)) => why.as_str(),
            None => "it was not asked",
        };
        out.push(refuse(
            "members::out-of-reach",
            format!("{name} leaves the cluster, runs in it and cannot be reached: {why}"),
            "let ssh reach it; or switch it off, and once `quorate status` shows it offline run this again",
        ));
    }
    out
}

impl Planner<'_> {
    /// Whether members come, leave, or are empty machines now under the names of old ones.
    pub(crate) fn changes_members(&self) -> bool {
        !self.votes.coming.is_empty()
            || !self.votes.leaving.is_empty()
            || self.nodes().iter().any(|host| self.is_replaced(host))
    }

    /// Whether a host is an empty machine under the name of a member of a cluster that
    /// lives.
    pub(crate) fn is_replaced(&self, host: &str) -> bool {
        let account = self.facts(host).and_then(|f| f.files.get(IDENTITY));
        matches!(account, Some(Fact::Absent))
            && !self.clustered(host)
            && self.nodes().iter().any(|n| self.clustered(n))
    }

    /// What the cluster is told before members come: where they may run what, and that
    /// nobody is switched off for not having been seen yet. Fencing begins when there is
    /// a second who could do it.
    fn expect_newcomers(&mut self) -> Option<StepId> {
        let mut layer = self.desired.cib.only(&|id| self.managed(id));
        let known: Vec<ResourceId> = layer.resources.iter().map(Resource::id).collect();
        let there = self.desired.nodes.len() - self.votes.coming.len();
        let fences = self
            .desired
            .cib
            .properties
            .get("stonith-enabled")
            .is_some_and(|v| v == "true");
        layer
            .properties
            .insert("stonith-enabled".to_owned(), (fences && there > 1).to_string());
        layer
            .properties
            .insert("startup-fencing".to_owned(), "false".to_owned());
        layer
            .levels
            .retain(|level| level.devices.iter().all(|d| known.contains(d)));
        let (sections, changes) = self.sections(&layer);
        if sections.is_empty() {
            return None;
        }
        Some(self.cib_step(
            "cib/newcomers",
            "for members that come",
            sections,
            changes,
            Vec::new(),
        ))
    }

    /// Starts the members that come, one after the other: each is given a copy of what
    /// the others hold by one of them.
    pub(crate) fn welcome(&mut self) {
        let mut before = self.prepared.clone();
        before.extend(self.expect_newcomers());
        for host in self.votes.coming.clone() {
            let Some(wanted) = self.desired.hosts.get(&host) else {
                continue;
            };
            let ops = vec![Op::Units(self.starts_with(wanted)), Op::Wait(self.arrives(&host))];
            let id = StepId::from(format!("join/{host}"));
            let mut s = step(
                id.clone(),
                vec![host.clone()],
                format!("let {host} join the cluster, without a vote"),
                "the cloud file names it, and it is no member yet",
                ops,
                before.clone(),
            );
            s.effects = vec![Effect::Joins { host: host.clone() }];
            self.steps.push(s);
            before = vec![id];
        }
    }

    /// The wait for a host to run what the cluster has for it already.
    pub(crate) fn arrives(&self, host: &str) -> Wait {
        let layer = self.managed_layer();
        let banned = |resource: &str| {
            let mut all = layer.locations.iter();
            all.any(|l| l.resource == resource && l.node == host && l.score == "-INFINITY")
        };
        let resources = layer
            .resources
            .iter()
            .filter_map(|resource| match resource {
                Resource::Clone(clone) if !banned(&resource.id()) => Some(ResourceWant {
                    id: clone.primitive.id.clone(),
                    role: wanted_role(clone).to_owned(),
                    count: 1,
                    node: host.to_owned(),
                }),
                _ => None,
            })
            .collect();
        Wait {
            what: format!("{host} runs what the other members run"),
            query: Query::Cluster,
            expect: Expect::Cluster(ClusterWant {
                online: 0,
                resources,
                idle: false,
            }),
            timeout_ms: ARRIVES_MS,
            every_ms: 300,
        }
    }

    /// Steps that go before votes change: stores have the members that came, and those
    /// that leave run nothing any more. Nothing to do where nobody comes or leaves.
    pub(crate) fn before_votes(&mut self) {
        self.empty_leavers();
        if self.votes.coming.is_empty() || !self.votes.arrived {
            return;
        }
        let stores: Vec<&engines::Store> = self
            .desired
            .stores
            .iter()
            .filter(|s| self.managed(&s.resource))
            .collect();
        let prepared = self.prepared.clone();
        let mut made = Vec::new();
        for (store, host) in stores
            .iter()
            .flat_map(|s| s.members.iter().map(move |host| (s, host)))
        {
            let id = StepId::from(format!("joined/{}/{host}", store.resource));
            let waits = engines::whole(store);
            let title = format!("wait for {host} to have all members of {}", store.resource);
            let why = "nobody has a vote before it serves";
            let ops = waits.into_iter().map(Op::Wait).collect();
            made.push(step(id, vec![host.clone()], title, why, ops, prepared.clone()));
        }
        self.prepared.extend(made.iter().map(|s| s.id.clone()));
        self.steps.extend(made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_had_votes_stay_a_majority_by_themselves() {
        for (have, come, expect) in [(1, 2, 3), (3, 2, 1), (1, 4, 5), (3, 4, 2), (2, 1, 1)] {
            let weight = weight(have, come);
            assert_eq!(weight, expect, "{have} and {come}");
            assert!(have * weight > come);
        }
    }

    #[test]
    fn votes_stand_in_their_nodes() {
        let node = |name: &str| CorosyncNode {
            name: HostName::new(name).unwrap(),
            keys: vec![("nodeid".to_owned(), "7".to_owned())],
        };
        let whole = Corosync {
            nodes: ["c1", "c2"].map(node).to_vec(),
            ..Corosync::default()
        };
        let votes = Votes {
            weights: BTreeMap::from([(HostName::new("c2").unwrap(), 0)]),
            leavers: vec![node("c3").with_votes(0)],
            ..Votes::default()
        };
        let text = format!("totem {{\n    cluster_name: c2\n}}\n{}", whole.nodelist());
        let uncounted = |name| {
            format!("    node {{\n        name: {name}\n        quorum_votes: 0\n        nodeid: 7\n    }}\n")
        };
        let expect = text
            .replace(
                "    node {\n        name: c2\n        nodeid: 7\n    }\n",
                &uncounted("c2"),
            )
            .replace("nodelist {\n", &format!("nodelist {{\n{}", uncounted("c3")));
        assert_eq!(votes.file(&whole, &text), expect);
        assert_eq!(Votes::default().file(&whole, &text), text);
    }
}
