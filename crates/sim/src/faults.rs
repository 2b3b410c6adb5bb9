//! Faults between any two operations.

use std::collections::BTreeSet;

use crate::{Sense, World};

/// Something that happens by itself, or by a hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power of a host is cut.
    Lost(String),
    /// It has power again, and starts.
    Back(String),
    /// The disk of a host is full.
    Full(String),
    /// It has room again.
    Room(String),
    /// All processes of a host stand still.
    Slow(String),
    /// It goes on.
    Quick(String),
    /// Facts of a host cannot be seen.
    Hidden(String, Sense),
    /// They can be again.
    Seen(String, Sense),
    /// No program lists folders of stores, on all hosts.
    Unlisted(bool),
    /// The cluster elects its controller, and says nothing of quorum meanwhile.
    Election(bool),
    /// Another content in a file.
    Spoilt(String, String),
}

impl World {
    /// Lets something happen.
    pub fn suffer(&mut self, fault: &Fault) {
        self.tick += 1;
        self.disturbed = self.tick;
        match fault {
            Fault::Lost(host) => self.lose(host),
            Fault::Back(host) => self.bring_back(host),
            Fault::Unlisted(begins) => {
                for machine in self.machines.values_mut() {
                    if *begins {
                        machine.hidden.insert(Sense::Data);
                    } else {
                        machine.hidden.remove(&Sense::Data);
                    }
                }
            }
            Fault::Election(under_way) => self.cluster.election = *under_way,
            Fault::Full(host)
            | Fault::Room(host)
            | Fault::Slow(host)
            | Fault::Quick(host)
            | Fault::Hidden(host, _)
            | Fault::Seen(host, _)
            | Fault::Spoilt(host, _) => {
                if let Some(machine) = self.machines.get_mut(host) {
                    machine.suffer(fault);
                }
            }
        }
        self.settle(false);
    }

    fn lose(&mut self, host: &str) {
        let Some(machine) = self.machines.get_mut(host) else {
            return;
        };
        machine.up = false;
        for unit in machine.units.values_mut() {
            unit.active = false;
        }
        self.databases.lose(&BTreeSet::from([host.to_owned()]));
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
        self.tick += 1;
        self.disturbed = self.tick;
        self.settle(false);
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
            Fault::Spoilt(_, path) => {
                if let Some(file) = self.files.get_mut(path) {
                    file.content = "of another hand\n".into();
                    file.digest = crate::digest(&file.content);
                }
            }
            Fault::Lost(_) | Fault::Back(_) | Fault::Election(_) | Fault::Unlisted(_) => {}
        }
    }
}
