//! The rule that keeps a host out which was fenced again and again: it stays a voter, and
//! starts no Pacemaker while a majority does without it.
//!
//! A fencing counts when a quorate peer fenced a host that ran: either the host was a member
//! when the fencing was asked for, which peers see, or it had lost its peers and ran on,
//! which the host itself sees. A fencing after a power cut finds neither: peers had lost the
//! host before, and the host saw nothing. Peers tell their count by a transient attribute of
//! their own, so the host asks them once it has joined; one without peers is let in.

use std::collections::{BTreeMap, BTreeSet};

/// Seconds in which fencings count.
pub const WINDOW: i64 = 1800;
/// Fencings of a running host in that time that keep it out.
pub const LIMIT: usize = 3;
/// Seconds after the loss of all peers in which a fencing is the answer to it.
const ANSWER: i64 = 60;
/// Seconds in which two peers may tell of one fencing.
const SAME: i64 = 5;

/// `corosync-quorumtool -s`, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quorum {
    /// This partition has quorum.
    pub quorate: bool,
    /// Votes of the whole cluster.
    pub expected: u32,
    /// Id of this host.
    pub me: u32,
    /// Names of the members of this partition by id.
    pub members: BTreeMap<u32, String>,
    /// Name of this membership: another after each change of it.
    pub ring: String,
}

impl Quorum {
    /// Reads the tool's output; none where it is cut off or of another form.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let mut lines = text
                .lines()
                .filter_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
            lines.next().map(str::trim)
        };
        let (_, list) = text.split_once("Nodeid")?;
        let member = |line: &str| {
            let mut words = line.split_whitespace();
            let id = words.next()?.parse().ok()?;
            let name = words.rfind(|w| *w != "(local)")?;
            Some((id, name.to_owned()))
        };
        Some(Self {
            quorate: value("Quorate")? == "Yes",
            expected: value("Expected votes")?.parse().ok()?,
            me: value("Node ID")?.parse().ok()?,
            members: list.lines().skip(1).filter_map(member).collect(),
            ring: value("Ring ID")?.to_owned(),
        })
    }

    /// This host's name.
    pub fn name(&self) -> Option<&str> {
        self.members.get(&self.me).map(String::as_str)
    }

    /// Votes that are a majority of all.
    pub fn majority(&self) -> usize {
        usize::try_from(self.expected).unwrap_or(usize::MAX) / 2 + 1
    }
}

/// Number of other hosts whose Pacemaker takes part, from `corosync-cpgtool`'s list of groups.
pub fn taking_part(groups: &str, me: u32) -> usize {
    let mut here = false;
    let mut out = BTreeSet::new();
    for line in groups.lines() {
        if !line.starts_with(char::is_whitespace) {
            // `crmd\x00`, or with the bytes behind the name left out.
            let name = line.split(['\\', '\0', ' ', '\t']).next().unwrap_or_default();
            here = name == "crmd";
        } else if here {
            let id = line.split_whitespace().nth(1).and_then(|w| w.parse::<u32>().ok());
            out.extend(id.filter(|id| *id != me));
        }
    }
    out.len()
}

/// A word of Pacemaker's fencer about a fencing that takes the power of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This peer asks for it: said by one peer, before it is done.
    Asked(String),
    /// It is done: said by every peer.
    Ended(String),
}

/// Reads a line of the fencer's log. The history that it keeps is no source: an entry is gone
/// once its target is back (3.0.0).
pub fn heard(line: &str) -> Option<Heard> {
    let of = |action: &str| ["reboot", "off"].contains(&action);
    let host = |text: &str| Some(text.split_whitespace().next()?.to_owned());
    if let Some((_, rest)) = line.split_once("Requesting peer fencing (") {
        let (action, rest) = rest.split_once(") targeting ")?;
        return of(action).then(|| host(rest).map(Heard::Asked))?;
    }
    let (_, rest) = line.split_once("Operation '")?;
    let (action, rest) = rest.split_once("' targeting ")?;
    let (target, rest) = rest.split_once(" by ")?;
    (of(action) && rest.contains(": OK")).then(|| host(target).map(Heard::Ended))?
}

/// A peer's memory: fencings that it heard of, and those that found their host a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Fencings under way: whether the host was a member after they were asked for.
    begun: BTreeMap<String, bool>,
    /// Ends of fencings, by host; and of those that found a member.
    ended: BTreeMap<String, BTreeSet<i64>>,
    counted: BTreeMap<String, BTreeSet<i64>>,
}

impl Watch {
    /// A fencing was asked for; `member`: its host is still a member, looked at afterwards. A
    /// host that lost its power is none any more when its fencing is asked for.
    pub fn asked(&mut self, host: &str, member: bool) {
        self.begun.insert(host.to_owned(), member);
    }

    /// A fencing ended well.
    pub fn ended(&mut self, host: &str, now: i64) {
        self.ended.entry(host.to_owned()).or_default().insert(now);
        if self.begun.remove(host) == Some(true) {
            self.counted.entry(host.to_owned()).or_default().insert(now);
        }
    }

    /// Attributes that tell peers, by name: ends of the last [`WINDOW`] seconds.
    pub fn attributes(&self, now: i64) -> Vec<(String, String)> {
        let told = |what: &str, ends: &BTreeMap<String, BTreeSet<i64>>| -> Vec<(String, String)> {
            let recent = |ends: &BTreeSet<i64>| {
                let ends = ends.iter().filter(|at| **at > now - WINDOW);
                ends.map(ToString::to_string).collect::<Vec<_>>().join(",")
            };
            ends.iter()
                .map(|(host, ends)| (attribute(what, host), recent(ends)))
                .collect()
        };
        [told(COUNTED, &self.counted), told(ENDED, &self.ended)].concat()
    }
}

/// Fencings of a host that found it a member.
pub const COUNTED: &str = "fenced";
/// All fencings of a host.
pub const ENDED: &str = "ended";

/// Name of the attribute by which a peer tells of a host's fencings.
pub fn attribute(what: &str, host: &str) -> String {
    format!("quorate-{what}-{host}")
}

/// Those of the ends of this host's fencings that found it alone and running, by its own
/// record of earlier boots: lines `came|left|alone|back BOOT SECONDS`.
pub fn found_alone(record: &str, ends: &BTreeSet<i64>) -> BTreeSet<i64> {
    let mut alone: BTreeMap<&str, i64> = BTreeMap::new();
    for line in record.lines() {
        let mut words = line.split_whitespace();
        let (Some(word), Some(boot), Some(at)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        match (word, at.parse()) {
            ("alone", Ok(at)) => {
                alone.insert(boot, at);
            }
            ("back" | "left", _) => {
                alone.remove(boot);
            }
            _ => {}
        }
    }
    let answers = |end: &i64| alone.values().any(|at| (*at..=*at + ANSWER).contains(end));
    ends.iter().copied().filter(answers).collect()
}

/// Ends of fencings of this host as peers tell them: the output of `attrd_updater --query
/// --all`, with values of seconds behind commas.
pub fn told_by_peers(text: &str) -> BTreeSet<i64> {
    let values = text
        .split("value=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    values
        .flat_map(|v| v.split(','))
        .filter_map(|at| at.trim().parse().ok())
        .collect()
}

/// True when this host is to stay out: it was fenced too often, and a majority of all, each
/// of which takes part, does without it.
pub fn stays_out(fenced: &BTreeSet<i64>, now: i64, quorum: &Quorum, others: usize) -> bool {
    let mut recent = 0;
    let mut last = i64::MIN;
    for at in fenced.iter().filter(|at| **at > now - WINDOW) {
        recent += usize::from(at.saturating_sub(last) > SAME);
        last = *at;
    }
    recent >= LIMIT && quorum.quorate && enough(quorum, others)
}

/// True when a host that was kept out in one membership may stay so: nobody has come or gone
/// since, and the others that take part are a majority.
///
/// Others that were lost and are back, however soon, have no account of what runs here: the
/// scheduler asks each member before it starts anything, a member without Pacemaker never
/// answers, and all starts wait for it (3.0.0: "unrunnable (node is pending)").
pub fn may_stay_out(ring: &str, quorum: &Quorum, others: usize) -> bool {
    quorum.ring == ring && enough(quorum, others)
}

/// True when the others that take part are a majority, so that one that is out may stay so.
pub fn enough(quorum: &Quorum, others: usize) -> bool {
    others >= quorum.majority()
}

#[cfg(test)]
mod tests;
