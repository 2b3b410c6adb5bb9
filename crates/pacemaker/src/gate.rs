//! The rule that keeps a host out which was fenced again and again: it stays a voter, and
//! starts no Pacemaker while a majority does without it.
//!
//! A fencing counts when a quorate peer fenced a host that ran: either the host was a member
//! when the fencing was asked for, which peers see, or it had lost its peers and ran on,
//! which the host itself sees. A fencing after a power cut finds neither: peers had lost the
//! host before, and the host saw nothing. Peers tell their count by a transient attribute of
//! their own, so the host asks them once it has joined; one without peers is let in.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Document;

use crate::ParseError;

/// Seconds in which fencings count.
pub const WINDOW: i64 = 1800;
/// Fencings of a running host in that time that keep it out.
pub const LIMIT: usize = 3;
/// Seconds after the loss of all peers in which a fencing is the answer to it.
const ANSWER: i64 = 60;

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

/// One fencing, as the cluster remembers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fencing {
    /// The host.
    pub target: String,
    /// Seconds since the epoch at its good end; none while it is under way.
    pub completed: Option<i64>,
}

/// Reads `stonith_admin --history=* --output-as=xml`; those that failed are left out.
///
/// # Errors
/// When it is not XML.
pub fn history(xml: &str) -> Result<Vec<Fencing>, ParseError> {
    let document = Document::parse(xml).map_err(|e| ParseError(e.to_string()))?;
    let events = document.descendants().filter(|n| n.has_tag_name("fence_event"));
    let read = |event: roxmltree::Node<'_, '_>| {
        let done = event.attribute("status")? == "success";
        let gone = ["reboot", "off"].contains(&event.attribute("action")?);
        let completed = event.attribute("completed").and_then(seconds);
        let known = event.attribute("status") != Some("failed") && (!done || completed.is_some());
        (gone && known).then(|| Fencing {
            target: event.attribute("target").unwrap_or_default().to_owned(),
            completed: completed.filter(|_| done),
        })
    };
    Ok(events.filter_map(read).collect())
}

/// `2026-11-30 07:03:00.123456Z`, or with an offset, in seconds since the epoch.
fn seconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once([' ', 'T'])?;
    let (clock, zone) = rest.split_at(rest.find(['Z', ' ', '+', '-']).unwrap_or(rest.len()));
    let mut days = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (days.next()?.ok()?, days.next()?.ok()?, days.next()?.ok()?);
    let clock = clock.split('.').next()?;
    let mut parts = clock.split(':').map(str::parse::<i64>);
    let (h, m, s) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let zone = zone.trim();
    let east = match zone.split_at_checked(1) {
        None | Some(("Z", _)) => 0,
        Some((sign, offset)) => {
            let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
            let number: i64 = digits.parse().ok()?;
            let east = number / 100 * 3600 + number % 100 * 60;
            if sign == "-" { -east } else { east }
        }
    };
    // Days since the epoch in the Gregorian calendar, years beginning in March.
    let (y, m2) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * m2 + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + h * 3600 + m * 60 + s - east)
}

/// A peer's memory: fencings that it saw, and those that found their host a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// None before the first look: what was there already was not seen.
    seen: Option<BTreeSet<Fencing>>,
    /// Fencings under way: whether the host was a member when they were first seen.
    begun: BTreeMap<String, bool>,
    /// Ends of fencings that found the host a member.
    counted: BTreeMap<String, BTreeSet<i64>>,
}

impl Watch {
    /// One look: the history first, then the members. A host that lost its power is no
    /// member any more when its fencing begins, and so never counts.
    pub fn look(&mut self, history: &[Fencing], members: &BTreeSet<&str>) {
        let now: BTreeSet<Fencing> = history.iter().cloned().collect();
        let Some(before) = self.seen.replace(now) else {
            return;
        };
        for new in history.iter().filter(|f| !before.contains(*f)) {
            let member = members.contains(new.target.as_str());
            let Some(end) = new.completed else {
                self.begun.entry(new.target.clone()).or_insert(member);
                continue;
            };
            if self.begun.remove(&new.target).unwrap_or(member) {
                self.counted.entry(new.target.clone()).or_default().insert(end);
            }
        }
        let under_way = |host: &String| history.iter().any(|f| f.target == *host && f.completed.is_none());
        self.begun.retain(|host, _| under_way(host));
    }

    /// Ends of the fencings that count by host, of the last [`WINDOW`] seconds.
    pub fn counted(&self, now: i64) -> BTreeMap<&str, Vec<i64>> {
        let recent = |ends: &BTreeSet<i64>| ends.iter().copied().filter(|at| *at > now - WINDOW).collect();
        self.counted
            .iter()
            .map(|(host, ends)| (host.as_str(), recent(ends)))
            .collect()
    }
}

/// Ends of fencings of `host` that found it alone and running, from its own record of
/// earlier boots: lines `came|left|alone|back BOOT SECONDS`.
pub fn found_alone(record: &str, host: &str, history: &[Fencing]) -> BTreeSet<i64> {
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
    let ends = history
        .iter()
        .filter(|f| f.target == host)
        .filter_map(|f| f.completed);
    ends.filter(|end| alone.values().any(|at| (*at..=*at + ANSWER).contains(end)))
        .collect()
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
    let recent = fenced.iter().filter(|at| **at > now - WINDOW).count();
    recent >= LIMIT && quorum.quorate && enough(quorum, others)
}

/// True when the others that take part are a majority, so that one that is out may stay so.
pub fn enough(quorum: &Quorum, others: usize) -> bool {
    others >= quorum.majority()
}

#[cfg(test)]
mod tests;
