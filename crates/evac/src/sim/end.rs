//! The law about the end: all is well again, or somebody was told why not.

use super::world::World;
use crate::VmState;

impl World {
    /// Something that is not as it should be at the end; a told reason is an end as well.
    pub fn unsettled(&self) -> Option<String> {
        if let Some((intent, ..)) = self.rows.intents.first() {
            return Some(format!("{} has an intent: {:?}", intent.host, intent.phase));
        }
        for (at, host) in self.hosts.iter().enumerate() {
            let service = &self.services[at];
            if !host.compute(self.now) || service.forced || !service.enabled || host.refused {
                return Some(format!("{} is not back", host.name));
            }
        }
        for guest in self.guests.iter().filter(|g| !g.deleted) {
            let vm = guest.server.vm.as_str();
            let told = || self.told.keys.iter().any(|key| key.ends_with(vm));
            let stays_off = || {
                self.told
                    .keys
                    .iter()
                    .any(|key| key.ends_with(&format!("{vm} stays off")))
            };
            let runs = guest.copies.is_power_of_two();
            if !runs && guest.server.state != VmState::Resized && !told() && !stays_off() {
                return Some(format!("{} does not run, and nobody is told", guest.server.vm));
            }
            if !runs && guest.server.state == VmState::Active && guest.server.task.is_none() && !stays_off() {
                return Some(format!("{} does not run", guest.server.vm));
            }
        }
        None
    }
}
