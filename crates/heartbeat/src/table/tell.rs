//! Answers and gossip, made of an observer's memory.
//!
//! It adds nothing to the memory, but for the sequence of what was sent.

use wire::Fact;

use super::{Letter, Table};
use crate::gossip::chunks;
use crate::told::{self, Tables};

impl Table {
    /// The tables of all observers, with ages of now.
    pub fn tell(&self, now_ms: u64) -> Tables {
        let listens = self.networks.own().map(|(_, network)| told::Listens {
            network: network.name.clone(),
            since_ms: (network.since).map_or(Fact::Absent, |at| Fact::Known(now_ms.saturating_sub(at))),
        });
        let own: Vec<told::Host> = (self.hosts.iter())
            .map(|host| host.tell(now_ms, &self.networks))
            .collect();
        let peers = self.peers.tell(now_ms, &self.networks, &own);
        Tables {
            period_ms: self.networks.period_ms,
            counted: self.counted,
            refused: self.refused,
            own: told::Table {
                controller: self.me.clone(),
                late_ms: Fact::Known(self.late_ms(now_ms)),
                listens: listens.collect(),
                hosts: own,
            },
            peers,
        }
    }

    /// Datagrams that tell all peers of this memory.
    pub fn letters(&mut self, now_ms: u64) -> Vec<Letter> {
        let late_ms = self.late_ms(now_ms);
        let rows = self.hosts.iter().map(|host| host.row(now_ms, &self.networks));
        let chunks = chunks(rows);
        self.peers.letters(now_ms, &self.networks, late_ms, &chunks)
    }
}
