//! Networks of the configuration, and since when silence on each of them means anything.
//!
//! Not the sockets, which are the observer's.

use std::collections::VecDeque;
use std::net::IpAddr;

use names::NetworkName;
use wire::Fact;

use crate::config::Config;

/// Periods without a datagram that may be chance.
pub(super) const CHANCE: u64 = 2;

/// Stalls that are remembered: with more since a datagram, its age is told too high.
const STALLS: usize = 256;

/// Networks by place: first those of [`Config::listen`], in its order.
#[derive(Debug)]
pub(super) struct Networks {
    pub(super) all: Vec<Network>,
    pub(super) period_ms: u64,
    /// Begin of the observer, ms.
    began_at: u64,
    /// Times in which the observer looked nowhere: end and length, ms, the last at the end.
    stalls: VecDeque<(u64, u64)>,
}

/// One network.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) name: NetworkName,
    /// Own address; `None` where only others are.
    pub(super) address: Option<IpAddr>,
    pub(super) since: Option<u64>,
}

impl Networks {
    pub(super) fn new(config: &Config, now_ms: u64) -> Self {
        let own = config.listen.iter().map(|l| Network {
            name: l.network.clone(),
            address: Some(l.address.to_canonical()),
            since: None,
        });
        let mut all: Vec<Network> = own.collect();
        let hosts = config.hosts.iter().map(|h| &h.addresses);
        let peers = config.peers.iter().map(|p| &p.addresses);
        for name in hosts.chain(peers).flat_map(|addresses| addresses.keys()) {
            if all.iter().all(|n| n.name != *name) {
                all.push(Network {
                    name: name.clone(),
                    address: None,
                    since: None,
                });
            }
        }
        Self {
            all,
            period_ms: config.period_ms,
            began_at: now_ms,
            stalls: VecDeque::new(),
        }
    }

    /// Notes that nothing was looked at for so long, until now.
    pub(super) fn stalled(&mut self, now_ms: u64, length_ms: u64) {
        if self.stalls.len() == STALLS {
            self.stalls.pop_front();
        }
        self.stalls.push_back((now_ms, length_ms));
    }

    /// End of the last stall, or the begin of the observer.
    fn resumed_at(&self) -> u64 {
        self.stalls.back().map_or(self.began_at, |(end, _)| *end)
    }

    /// Time from then on in which nothing was looked at, ms.
    fn stalled_since(&self, at: u64) -> u64 {
        let later = self.stalls.iter().rev().take_while(|(end, _)| *end > at);
        later.map(|(_, length)| length).sum()
    }

    pub(super) fn get(&self, place: usize) -> Option<&Network> {
        self.all.get(place)
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|n| n.name == *name)
    }

    /// Networks with an address of this host, by place.
    pub(super) fn own(&self) -> impl Iterator<Item = (usize, &Network)> {
        let all = self.all.iter().enumerate();
        all.filter(|(_, network)| network.address.is_some())
    }

    pub(super) fn listens(&mut self, place: usize, since_ms: Option<u64>) {
        if let Some(network) = self.all.get_mut(place) {
            network.since = since_ms;
        }
    }

    /// Age of what was last heard on a network, ms: silence counts only while it was
    /// listened to, and the first two periods of listening tell nothing. A stall takes away
    /// its own length and no more: an age that began anew would be a sign of life.
    pub(super) fn age_ms(&self, now_ms: u64, place: usize, heard_at: Option<u64>) -> Fact<u64> {
        let Some(network) = self.get(place) else {
            return Fact::Unknown("no such network".to_owned());
        };
        let name = &network.name;
        let Some(since) = network.since else {
            return Fact::Unknown(format!("the observer does not listen on {name}"));
        };
        let since = since.max(self.resumed_at());
        let listened = now_ms.saturating_sub(since);
        match heard_at {
            Some(at) if at >= since => Fact::Known(now_ms.saturating_sub(at)),
            _ if listened < CHANCE * self.period_ms => Fact::Unknown(format!(
                "the observer has listened on {name} for {listened} ms only"
            )),
            Some(at) => {
                let aged = now_ms.saturating_sub(at);
                Fact::Known(aged.saturating_sub(self.stalled_since(at)).max(listened))
            }
            None => Fact::Absent,
        }
    }
}
