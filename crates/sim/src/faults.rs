//! Faults between any two operations.

use std::collections::BTreeSet;

use names::HostName;

use crate::{Sense, World};

/// Something that happens by itself, or by a hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power of a host is cut.
    Lost(HostName),
    /// It has power again, and starts.
    Back(HostName),
    /// The disk of a host is full.
    Full(HostName),
    /// It has room again.
    Room(HostName),
    /// All processes of a host stand still.
    Slow(HostName),
    /// It goes on.
    Quick(HostName),
    /// Facts of a host cannot be seen.
    Hidden(HostName, Sense),
    /// They can be again.
    Seen(HostName, Sense),
    /// No program lists folders of stores, on all hosts.
    Unlisted(bool),
    /// The cluster elects its controller, and says nothing of quorum meanwhile.
    Election(bool),
    /// No database begins until a plan waits for something: positions are still asked for.
    Late,
    /// A unit is stopped by hand.
    Stopped(HostName, &'static str),
    /// Another content in a file.
    Spoilt(HostName, String),
    /// A host comes back with an empty disk, where the others hold all that it had.
    Emptied(HostName),
    /// These hosts and all others do not reach each other any more.
    Cut(BTreeSet<HostName>),
    /// All hosts reach each other again.
    Healed,
    /// All hosts but one lose their power and have it again, within moments.
    Restarted(HostName),
}

impl World {
    /// Lets something happen.
    pub fn suffer(&mut self, fault: &Fault) {
        match fault {
            Fault::Lost(host) => self.lose(host),
            Fault::Back(host) => self.bring_back(host),
            Fault::Emptied(host) => self.empty(host),
            Fault::Cut(side) => self.cut(side),
            Fault::Healed => self.heal(),
            Fault::Restarted(but) => self.restart_all_but(but),
            Fault::Unlisted(begins) => {
                for machine in self.machines.values_mut() {
                    if *begins {
                        machine.hidden.insert(Sense::Data);
                    } else {
                        machine.hidden.remove(&Sense::Data);
                    }
                }
            }
            Fault::Late => self.databases.late = true,
            Fault::Election(under_way) => {
                // An election changes nothing of the work that is left.
                self.cluster.election = *under_way;
                self.tick += 1;
                self.settle(false);
                return;
            }
            Fault::Full(host)
            | Fault::Room(host)
            | Fault::Slow(host)
            | Fault::Quick(host)
            | Fault::Hidden(host, _)
            | Fault::Seen(host, _)
            | Fault::Stopped(host, _)
            | Fault::Spoilt(host, _) => {
                if let Some(machine) = self.machines.get_mut(host) {
                    machine.suffer(fault);
                }
            }
        }
        self.stir();
        if !self.partition.unaware.is_empty() {
            self.partition.unaware.clear();
            self.settle(false);
        }
    }

    /// Something was done that no plan did.
    pub(crate) fn stir(&mut self) {
        self.tick += 1;
        self.disturbed = self.tick;
        self.settle(false);
    }

    pub(crate) fn lose(&mut self, host: &str) {
        let Some(machine) = self.machines.get_mut(host) else {
            return;
        };
        machine.up = false;
        for unit in machine.units.values_mut() {
            unit.active = false;
        }
        self.databases.lose(&BTreeSet::from([host.to_owned()]));
        self.unjudged(host);
    }

    /// Cuts the power of all hosts but one, and gives it back before any gate looks.
    fn restart_all_but(&mut self, but: &HostName) {
        let others = self
            .machines
            .iter()
            .filter(|(host, machine)| *host != but && machine.up);
        let others: Vec<HostName> = others.map(|(host, _)| host.clone()).collect();
        for host in &others {
            self.lose(host);
        }
        self.partition.unwatched = true;
        self.settle(false);
        self.partition.unwatched = false;
        for host in &others {
            self.bring_back(host);
        }
    }

    /// Replaces a host by a bare one, if a majority of the others holds what it held: it
    /// would be data that is lost, and no plan brings it back.
    fn empty(&mut self, host: &HostName) {
        let others: Vec<HostName> = (self.machines.keys()).filter(|h| *h != host).cloned().collect();
        let whole = |h: &&HostName| {
            let holds = self.databases.members.get(h.as_str()).is_some_and(|m| m.joined);
            holds && self.machines[h.as_str()].up && self.members_have(h)
        };
        if !self.machines.contains_key(host)
            || self.members_change()
            || !self.broker.bears(host)
            || others.iter().filter(whole).count() * 2 <= others.len() + 1
        {
            return;
        }
        self.lose(host);
        self.databases.members.remove(host.as_str());
        self.broker.data.remove(host.as_str());
        self.forget_files(host);
        let boots = self.machines.get(host).map_or(0, |m| m.boots) + 1;
        let bare = crate::Machine {
            boots,
            ..crate::Machine::default()
        };
        self.machines.insert(host.clone(), bare);
    }

    /// True while members come or leave: no plan brings one back meanwhile, and so it says.
    fn members_change(&self) -> bool {
        let nodes: Vec<&HostName> = self.desired.nodes.iter().map(|(name, _)| name).collect();
        self.cluster.loaded.values().any(|loaded| {
            let same = loaded.votes.len() == nodes.len();
            !same
                || loaded
                    .votes
                    .iter()
                    .any(|(name, votes)| *votes != 1 || !nodes.iter().any(|node| **node == *name))
        })
    }

    /// Starts a host: units that are enabled run.
    fn bring_back(&mut self, host: &str) {
        if let Some(machine) = self.machines.get_mut(host).filter(|m| !m.up) {
            machine.up = true;
            machine.boots += 1;
            for unit in machine.units.values_mut() {
                unit.active = unit.enabled && !unit.masked;
            }
        }
    }
}

impl World {
    /// The cluster is stopped everywhere, in order, by hand: nothing runs, and all is there.
    #[must_use]
    pub fn asleep(mut self) -> Self {
        for machine in self.machines.values_mut() {
            for unit in crate::cluster::UNITS {
                let unit = machine.units.entry(unit.to_owned()).or_default();
                (unit.active, unit.enabled) = (false, false);
            }
        }
        self.stir();
        self
    }
}

impl crate::Machine {
    fn suffer(&mut self, fault: &Fault) {
        match fault {
            Fault::Full(_) => self.room = false,
            Fault::Room(_) => self.room = true,
            Fault::Slow(_) => self.slow = true,
            Fault::Quick(_) => self.slow = false,
            Fault::Hidden(_, sense) => drop(self.hidden.insert(*sense)),
            Fault::Seen(_, sense) => drop(self.hidden.remove(sense)),
            Fault::Stopped(_, unit) => self.units.entry((*unit).to_owned()).or_default().active = false,
            Fault::Spoilt(_, path) => {
                if let Some(file) = self.files.get_mut(path) {
                    file.content = "of another hand\n".into();
                    file.digest = crate::digest(&file.content);
                }
            }
            Fault::Lost(_)
            | Fault::Back(_)
            | Fault::Election(_)
            | Fault::Late
            | Fault::Unlisted(_)
            | Fault::Emptied(_)
            | Fault::Cut(_)
            | Fault::Healed
            | Fault::Restarted(_) => {}
        }
    }
}
