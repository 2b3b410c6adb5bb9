//! Networks of the configuration, and since when silence on each of them means anything.
//!
//! Not the sockets, which are the observer's.

use std::net::IpAddr;

use names::NetworkName;
use wire::Fact;

use crate::config::Config;

/// Periods without a datagram that may be chance.
pub(super) const CHANCE: u64 = 2;

/// Networks by place: first those of [`Config::listen`], in its order.
#[derive(Debug)]
pub(super) struct Networks {
    pub(super) all: Vec<Network>,
    pub(super) period_ms: u64,
    /// End of the last time in which the observer looked nowhere, or its begin.
    pub(super) resumed_at: u64,
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
            resumed_at: now_ms,
        }
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
    /// listened to, and the first two periods of listening tell nothing.
    pub(super) fn age_ms(&self, now_ms: u64, place: usize, heard_at: Option<u64>) -> Fact<u64> {
        let Some(network) = self.get(place) else {
            return Fact::Unknown("no such network".to_owned());
        };
        let name = &network.name;
        let Some(since) = network.since else {
            return Fact::Unknown(format!("the observer does not listen on {name}"));
        };
        let since = since.max(self.resumed_at);
        let listened = now_ms.saturating_sub(since);
        match heard_at {
            Some(at) if at >= since => Fact::Known(now_ms.saturating_sub(at)),
            _ if listened < CHANCE * self.period_ms => Fact::Unknown(format!(
                "the observer has listened on {name} for {listened} ms only"
            )),
            Some(_) => Fact::Known(listened),
            None => Fact::Absent,
        }
    }
}
