//! Hosts that do not reach each other: who is on which side, who is fenced, and who is kept
//! out afterwards by the rule of [`pacemaker::gate`]. The operator reaches all hosts.
//!
//! The side with quorum fences the others before it takes over what they ran. A host that
//! lost quorum stops what it ran a moment later, as `no-quorum-policy=stop` says: where
//! nobody fences, both run meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use names::HostName;
use pacemaker::gate::{self, Quorum};

use crate::cluster::UNITS;
use crate::{Event, Fault, Happens, World};

/// Operations for which a fenced host is down, and seconds.
const REBOOT: usize = 4;
const REBOOT_SECONDS: i64 = 30;

/// Links that are cut, and the hosts' memory of fencings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    /// Hosts of the one side. They reach each other, and none of the others.
    pub(crate) side: BTreeSet<String>,
    /// Hosts that have not noticed yet that they lost quorum.
    pub(crate) unaware: BTreeSet<String>,
    /// Members as the side with quorum saw them last.
    peers: BTreeSet<String>,
    /// Hosts whose power cannot be cut: nothing of theirs is taken over.
    pub(crate) feared: BTreeSet<String>,
    /// The hosts' own records of their boots, as the gate writes them.
    records: BTreeMap<String, String>,
    /// Ends of fencings by host.
    ends: BTreeMap<String, BTreeSet<i64>>,
    /// Hosts that the gate has judged since they began.
    judged: BTreeSet<String>,
    /// Hosts that are kept out, each with the name of the membership in which it was judged.
    pub(crate) out: BTreeMap<String, String>,
    /// No gate looks: what happens is over before one does.
    pub(crate) unwatched: bool,
    /// Memberships so far, and what each host's Corosync is in now.
    formed: usize,
    rings: BTreeMap<String, (Boots, usize)>,
    /// Hosts of which each Pacemaker has an account, since it began.
    accounts: BTreeMap<String, (u32, BTreeSet<String>)>,
}

/// Hosts, each with the number of its boot.
type Boots = BTreeMap<String, u32>;

impl Partition {
    /// True if two hosts reach each other.
    pub(crate) fn reach(&self, one: &str, other: &str) -> bool {
        self.side.contains(one) == self.side.contains(other)
    }
}

impl World {
    /// True if two hosts reach each other.
    pub(crate) fn reach(&self, one: &str, other: &str) -> bool {
        self.partition.reach(one, other)
    }

    /// Members with Pacemaker that have quorum.
    pub(crate) fn ruling(&self) -> BTreeSet<String> {
        let members = self.cluster.members.iter();
        members.filter(|h| self.is_quorate(h)).cloned().collect()
    }

    /// True if a host's Corosync sees a majority of the votes that it runs with.
    pub fn is_quorate(&self, host: &str) -> bool {
        self.cluster.has_majority(host, |other| self.reach(host, other))
    }

    /// True if a host is kept out for having been fenced too often.
    pub fn is_kept_out(&self, host: &str) -> bool {
        self.partition.out.contains_key(host)
    }

    /// True if the cluster does as it is told on a host.
    pub(crate) fn rules(&self, host: &str) -> bool {
        self.cluster.members.contains(host) && self.is_quorate(host)
    }

    /// True if a host reaches a member of the databases that serves.
    pub(crate) fn reaches_sql(&self, host: &str) -> bool {
        let mut members = self.databases.members.iter();
        members.any(|(other, m)| m.joined && self.reach(host, other))
    }

    /// Cuts the links between these hosts and all others.
    pub(crate) fn cut(&mut self, side: &BTreeSet<HostName>) {
        self.partition.side = side.iter().map(ToString::to_string).collect();
        let lost: BTreeSet<String> = (self.cluster.members.iter())
            .filter(|h| !self.is_quorate(h))
            .cloned()
            .collect();
        for host in &lost {
            self.record("alone", host);
        }
        self.partition.unaware = lost;
        self.cluster.old = Some(self.cluster.sections.clone());
        self.databases.part(&self.partition.side);
    }

    /// All hosts reach each other again.
    pub(crate) fn heal(&mut self) {
        self.partition.side.clear();
        self.cluster.old = None;
        for host in self.cluster.members.clone() {
            self.record("back", &host);
        }
        self.databases.meet();
    }

    /// A line of a host's record of its boots.
    fn record(&mut self, word: &str, host: &str) {
        let boot = self.machines.get(host).map_or(0, |m| m.boots);
        let record = self.partition.records.entry(host.to_owned()).or_default();
        let _ = writeln!(record, "{word} {boot} {}", self.clock);
    }

    /// The side with quorum fences members that it lost. Those that lost their power are off.
    /// True if any was.
    pub(crate) fn fence(&mut self) -> bool {
        let ruling = self.ruling();
        let Some(one) = ruling.first().cloned() else {
            return false;
        };
        let lost: Vec<String> = (self.partition.peers.difference(&ruling))
            .chain(&self.partition.feared)
            .filter(|h| self.runs_cluster(h) && !self.reach(&one, h))
            .cloned()
            .collect();
        self.partition.feared.clear();
        self.partition.peers = ruling;
        let enabled = self.cluster.config.fences;
        let mut any = false;
        for host in lost.into_iter().filter(|_| enabled) {
            if self.cluster.config.devices.contains(&host) {
                self.reboot(&host);
                any = true;
            } else {
                self.partition.feared.insert(host);
            }
        }
        any
    }

    fn runs_cluster(&self, host: &str) -> bool {
        UNITS.iter().all(|u| self.is_active(host, u))
    }

    /// Cuts a host's power and gives it back.
    fn reboot(&mut self, host: &str) {
        let Some((name, _)) = self.machines.get_key_value(host) else {
            return;
        };
        let back = Event {
            at: self.done + REBOOT,
            what: Happens::Fault(Fault::Back(name.clone())),
        };
        if let Some(told) = &mut self.told {
            told.push(format!("{} {host} is fenced", self.done));
        }
        let ends = self.partition.ends.entry(host.to_owned()).or_default();
        ends.insert(self.clock);
        self.clock += REBOOT_SECONDS;
        self.lose(host);
        self.cluster.members.remove(host);
        self.cluster.loaded.remove(host);
        let place = self.events.partition_point(|e| e.at > back.at);
        self.events.insert(place, back);
    }

    /// A host begins: the gate has not judged it yet.
    pub(crate) fn unjudged(&mut self, host: &str) {
        self.partition.judged.remove(host);
        self.partition.out.remove(host);
    }

    /// Hosts whose Pacemaker another host reaches and that take part.
    fn others(&self, host: &str) -> usize {
        let members = self.cluster.members.iter();
        members
            .filter(|other| *other != host && self.reach(host, other))
            .count()
    }

    /// Votequorum's numbers as a host has them.
    fn numbers(&self, host: &str) -> Quorum {
        let votes = self.cluster.loaded.get(host).map(|l| l.votes.iter());
        Quorum {
            quorate: self.is_quorate(host),
            expected: votes.into_iter().flatten().map(|(_, votes)| votes).sum(),
            ring: self.membership(host),
            ..Quorum::default()
        }
    }

    fn boot(&self, host: &str) -> u32 {
        self.machines.get(host).map_or(0, |m| m.boots)
    }

    /// Corosync names each membership anew.
    fn form_rings(&mut self) {
        let now = self.cluster.loaded.keys().map(|host| {
            let reached = self.cluster.loaded.keys().filter(|h| self.reach(host, h));
            let reached = reached.map(|h| (h.clone(), self.boot(h)));
            (host.clone(), reached.collect())
        });
        let now: BTreeMap<String, Boots> = now.collect();
        self.partition.rings.retain(|host, _| now.contains_key(host));
        for (host, boots) in now {
            if self
                .partition
                .rings
                .get(&host)
                .is_none_or(|(was, _)| *was != boots)
            {
                self.partition.formed += 1;
                self.partition.rings.insert(host, (boots, self.partition.formed));
            }
        }
    }

    fn membership(&self, host: &str) -> String {
        let ring = self.partition.rings.get(host);
        ring.map_or_else(String::new, |(_, number)| number.to_string())
    }

    /// Members tell each other what they know of all that runs; whose Pacemaker begins knows
    /// nothing.
    fn share_accounts(&mut self) {
        let members = self.cluster.members.clone();
        let mut accounts = std::mem::take(&mut self.partition.accounts);
        accounts.retain(|host, (boot, _)| members.contains(host) && *boot == self.boot(host));
        for side in [true, false] {
            let here = |host: &&String| self.partition.side.contains(*host) == side;
            let here: BTreeSet<String> = members.iter().filter(here).cloned().collect();
            let known = here.iter().filter_map(|host| accounts.get(host));
            let mut known: BTreeSet<String> = known.flat_map(|(_, known)| known).cloned().collect();
            known.extend(here.iter().cloned());
            for host in here {
                let boot = self.boot(&host);
                accounts.insert(host, (boot, known.clone()));
            }
        }
        self.partition.accounts = accounts;
    }

    /// Voters of which those that rule have no account, since their Pacemaker does not run: all
    /// starts wait for it.
    pub(crate) fn pending(&self) -> Vec<String> {
        let ruling = self.ruling();
        let Some((one, (_, known))) = ruling
            .iter()
            .find_map(|host| self.partition.accounts.get_key_value(host))
        else {
            return Vec::new();
        };
        let voters = self.cluster.loaded.keys().filter(|h| self.reach(one, h));
        voters
            .filter(|h| !self.cluster.members.contains(*h) && !known.contains(*h))
            .cloned()
            .collect()
    }

    /// Gates look, as long as one changes something; then members know of each other.
    pub(crate) fn look_at_gates(&mut self) {
        self.form_rings();
        while !self.partition.unwatched && self.gates() {
            self.join();
        }
        self.share_accounts();
    }

    /// Each host's gate: who was fenced too often stops its Pacemaker, and starts it again
    /// where the others are no majority without it. True if one did.
    fn gates(&mut self) -> bool {
        let hosts: Vec<String> = self.cluster.loaded.keys().cloned().collect();
        for host in hosts {
            let (quorum, others) = (self.numbers(&host), self.others(&host));
            let takes_part = self.cluster.members.contains(&host);
            if let Some(ring) = self.partition.out.get(&host) {
                if !gate::may_stay_out(ring, &quorum, others) {
                    self.partition.out.remove(&host);
                    self.pacemaker(&host, true);
                    return true;
                }
            } else if takes_part && !self.partition.judged.contains(&host) && others > 0 {
                let record = self.partition.records.get(&host);
                let ends = self.partition.ends.get(&host).cloned().unwrap_or_default();
                let fenced = gate::found_alone(record.map_or("", String::as_str), &ends);
                let out = gate::stays_out(&fenced, self.clock, &quorum, others);
                if quorum.quorate || out {
                    self.partition.judged.insert(host.clone());
                }
                if out {
                    self.partition.out.insert(host.clone(), quorum.ring);
                    self.pacemaker(&host, false);
                    return true;
                }
            }
        }
        false
    }

    fn pacemaker(&mut self, host: &str, active: bool) {
        if let Some(machine) = self.machines.get_mut(host) {
            machine.units.entry(UNITS[1].to_owned()).or_default().active = active;
        }
    }

    /// Starts Pacemaker by hand on hosts that are kept out; false where there are none.
    pub(crate) fn let_in(&mut self) -> bool {
        let out = std::mem::take(&mut self.partition.out);
        for host in out.keys() {
            self.pacemaker(host, true);
        }
        if !out.is_empty() {
            self.stir();
        }
        !out.is_empty()
    }

    /// Laws that hold at any time, whoever is to blame: a fault may come in the middle of a
    /// plan, and what the plan has made until then has to bear it.
    pub(crate) fn look_at_sides(&mut self) {
        let mut found = Vec::new();
        for host in self.pending() {
            found.push(format!(
                "all starts wait for {host}, whose Pacemaker does not run"
            ));
        }
        let quorate: BTreeSet<bool> = (self.cluster.loaded.keys())
            .filter(|h| self.is_quorate(h))
            .map(|h| self.partition.side.contains(h))
            .collect();
        if quorate.len() > 1 {
            found.push("two sides of a cut have quorum".to_owned());
        }
        for resource in self.cluster.config.resources.iter().filter(|r| !r.clone) {
            let on = self.cluster.running.get(&resource.id);
            let on: Vec<&String> = on.into_iter().flatten().collect();
            if on.len() > 1 && !resource.stonith {
                found.push(format!("{} runs on {on:?}", resource.id));
            }
        }
        let serving: BTreeSet<bool> = (self.databases.members.iter())
            .filter(|(_, m)| m.joined)
            .map(|(h, _)| self.partition.side.contains(h))
            .collect();
        if serving.len() > 1 {
            found.push("databases take writes on two sides of a cut".to_owned());
        }
        for host in self.partition.out.keys() {
            let (quorum, others) = (self.numbers(host), self.others(host));
            if others < quorum.majority() {
                found.push(format!("{host} is kept out, and the others are no majority"));
            }
        }
        for what in found {
            self.break_law(&what);
        }
    }
}
