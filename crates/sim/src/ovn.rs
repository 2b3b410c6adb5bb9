//! Members of databases that are founded and joined by a script of their own, by the rule of
//! that script: whoever has a file goes on; who has none joins one that has one; the first
//! of the list founds one, when each other says that it has none. Silence tells nothing.

use std::collections::{BTreeMap, BTreeSet};

use names::HostName;

use crate::World;

/// How the units of such databases begin and end.
const UNITS: [&str; 2] = ["quorate-ovn-nb.service", "quorate-ovn-sb.service"];

/// Databases by the unit of a member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    /// Hosts that have a file, and by whom it was founded.
    files: BTreeMap<&'static str, BTreeMap<HostName, Founder>>,
    /// Databases founded so far.
    founded: usize,
}

/// A host, and which of all databases it founded: with an empty disk it might found another.
type Founder = (HostName, usize);

/// A database of another member, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// A database.
    Some,
    /// None, by its own word.
    None,
    /// It does not answer.
    Unknown,
}

/// Choice of a member without a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Joins,
    Founds,
    Waits,
}

fn decide(first: bool, others: &[Known]) -> Does {
    if others.contains(&Known::Some) {
        Does::Joins
    } else if first && others.iter().all(|k| *k == Known::None) {
        Does::Founds
    } else {
        Does::Waits
    }
}

impl World {
    /// Members that run found a database or join it.
    pub(crate) fn follow_members(&mut self) {
        for unit in UNITS {
            // One that joins is one that others can join.
            while self.next_member(unit) {}
        }
    }

    /// The hosts that are to have a member, in their order.
    fn members_of(&self, unit: &str) -> Vec<HostName> {
        let hosts = self.desired.hosts.iter();
        let has = hosts.filter(|(_, wanted)| wanted.units.iter().any(|u| u.unit == unit));
        has.map(|(host, _)| host.clone()).collect()
    }

    /// True if a host has each database of which it is to have a member.
    pub(crate) fn members_have(&self, host: &str) -> bool {
        let mut wanted = UNITS
            .iter()
            .filter(|u| self.members_of(u).iter().any(|h| h == host));
        wanted.all(|u| {
            self.members
                .files
                .get(u)
                .is_some_and(|files| files.contains_key(host))
        })
    }

    /// The disk of a host is empty.
    pub(crate) fn forget_files(&mut self, host: &str) {
        for files in self.members.files.values_mut() {
            files.remove(host);
        }
    }

    /// One that runs without a file gets one; false where nobody does.
    fn next_member(&mut self, unit: &'static str) -> bool {
        let all = self.members_of(unit);
        let files = self.members.files.get(unit).cloned().unwrap_or_default();
        for host in all
            .iter()
            .filter(|h| self.is_active(h, unit) && !files.contains_key(*h))
        {
            let others: Vec<Known> = (all.iter().filter(|h| *h != host))
                .map(|other| {
                    let hears = self.reach(host, other) && !self.machines[other].slow;
                    match (hears && self.is_active(other, unit), files.contains_key(other)) {
                        (false, _) => Known::Unknown,
                        (true, true) => Known::Some,
                        (true, false) => Known::None,
                    }
                })
                .collect();
            let founder = match decide(all.first() == Some(host), &others) {
                Does::Waits => continue,
                Does::Founds => {
                    self.members.founded += 1;
                    (host.clone(), self.members.founded)
                }
                Does::Joins => {
                    let there = |h: &&HostName| self.is_active(h, unit) && self.reach(host, h);
                    let mut having = all.iter().filter(there).filter_map(|h| files.get(h));
                    let Some(founder) = having.next() else { continue };
                    founder.clone()
                }
            };
            let files = self.members.files.entry(unit).or_default();
            files.insert(host.clone(), founder);
            return true;
        }
        false
    }

    /// Never two databases, and one when all run.
    pub(crate) fn one_database(&self, found: &mut Vec<String>) {
        for unit in UNITS {
            let all = self.members_of(unit);
            let files = self.members.files.get(unit);
            let founders: BTreeSet<&Founder> = files.into_iter().flatten().map(|(_, f)| f).collect();
            if founders.len() > 1 {
                found.push(format!(
                    "{unit} has {} databases, founded by {founders:?}",
                    founders.len()
                ));
            }
            if founders.is_empty()
                && !all.is_empty()
                && all.iter().all(|h| self.is_active(h, unit))
                && self.is_calm()
            {
                found.push(format!("{unit} runs everywhere, and nobody founds a database"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_neither_founds_nor_joins() {
        for (first, others, does) in [
            (true, [Known::None, Known::None], Does::Founds),
            (true, [Known::None, Known::Unknown], Does::Waits),
            (false, [Known::None, Known::None], Does::Waits),
            (false, [Known::Unknown, Known::Some], Does::Joins),
        ] {
            assert_eq!(decide(first, &others), does, "{first} {others:?}");
        }
    }
}
