//! The observer's configuration: where it listens, whom it hears, whom it tells.
//!
//! It says nothing about what silence means: that is for those that ask the observer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use names::{HostName, NetworkName};
use serde::Deserialize;

use crate::{Error, Key};

/// Configuration of one observer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Controller that it runs on.
    pub me: HostName,
    /// Own addresses to listen at, one a network.
    pub listen: Vec<Listen>,
    /// UDP port of all observers.
    #[serde(default = "port")]
    pub port: u16,
    /// VM hosts that are heard.
    pub hosts: Vec<Host>,
    /// Observers of the other controllers.
    pub peers: Vec<Peer>,
    /// Key of all observers; on controllers only.
    pub peers_key: Key,
    /// Period of the hosts' datagrams and of gossip, ms.
    #[serde(default = "period_ms")]
    pub period_ms: u64,
    /// Unix socket that answers.
    #[serde(default = "socket")]
    pub socket: PathBuf,
}

/// Own address on one network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Name of the network.
    pub network: NetworkName,
    /// Address that datagrams are sent to.
    pub address: IpAddr,
}

/// A VM host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Name of the host.
    pub host: HostName,
    /// Key of this host alone.
    pub key: Key,
    /// Addresses that it sends from, by network.
    pub addresses: BTreeMap<NetworkName, IpAddr>,
}

/// The observer of another controller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Name of the controller.
    pub controller: HostName,
    /// Its addresses, by network.
    pub addresses: BTreeMap<NetworkName, IpAddr>,
}

fn port() -> u16 {
    7411
}

fn period_ms() -> u64 {
    250
}

fn socket() -> PathBuf {
    PathBuf::from("/run/quorate/observer.sock")
}

impl Config {
    /// An error if names or addresses are not of one machine each, or the period is not
    /// between 50 ms and 10 s.
    pub fn check(&self) -> Result<(), Error> {
        let mut names = BTreeSet::from([&self.me]);
        let mut places = BTreeSet::new();
        let mut own = BTreeSet::new();
        for listen in &self.listen {
            if !own.insert(&listen.network) {
                return Err(twice(&listen.network, "listens twice on this network"));
            }
            places.insert((&listen.network, listen.address.to_canonical()));
        }
        let hosts = self.hosts.iter().map(|h| (&h.host, &h.addresses));
        let peers = self.peers.iter().map(|p| (&p.controller, &p.addresses));
        for (name, addresses) in hosts.chain(peers) {
            if !names.insert(name) {
                return Err(twice(name, "stands there twice"));
            }
            for (network, address) in addresses {
                if !places.insert((network, address.to_canonical())) {
                    return Err(twice(
                        name,
                        &format!("has another machine's address {address} on {network}"),
                    ));
                }
            }
        }
        if !(50..=10_000).contains(&self.period_ms) {
            let why = format!("period_ms: {}: it is 50 to 10000", self.period_ms);
            return Err(Error::Config(why));
        }
        Ok(())
    }
}

fn twice(name: &str, why: &str) -> Error {
    Error::Config(format!("{name}: {why}"))
}
