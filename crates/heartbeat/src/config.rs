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
    /// An error if a name, an address or a key is not of one machine alone, or the period is
    /// not between 50 ms and 10 s.
    pub fn check(&self) -> Result<(), Error> {
        let mut names = BTreeSet::from([&self.me]);
        let mut places = BTreeSet::new();
        let mut own = BTreeSet::new();
        let mut keys = BTreeSet::from([self.peers_key.mark()]);
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
        for host in &self.hosts {
            // Who has one of them could forge the other's life.
            if !keys.insert(host.key.mark()) {
                return Err(twice(&host.host, "has another machine's key"));
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::{Value, json};

    use super::*;

    fn key(n: u8) -> String {
        base64::engine::general_purpose::STANDARD.encode([n; 32])
    }

    fn written() -> Value {
        json!({
            "me": "c1",
            "listen": [{"network": "management", "address": "198.51.100.1"}],
            "hosts": [
                {"host": "h1", "key": key(1), "addresses": {"management": "198.51.100.11"}},
                {"host": "h2", "key": key(2), "addresses": {"management": "198.51.100.12", "storage": "198.51.100.11"}},
            ],
            "peers": [{"controller": "c2", "addresses": {"management": "198.51.100.2"}}],
            "peers_key": key(3),
        })
    }

    #[test]
    fn what_is_left_out_has_a_default_and_no_key_is_shown() {
        let config: Config = serde_json::from_value(written()).unwrap();
        assert_eq!((config.port, config.period_ms), (7411, 250));
        assert_eq!(config.socket, PathBuf::from("/run/quorate/observer.sock"));
        let shown = format!("{config:?}");
        assert!([1, 2, 3].iter().all(|n| !shown.contains(&key(*n))), "{shown}");
        let mut other = written();
        other["unheard"] = json!(1);
        let refused = serde_json::from_value::<Config>(other).unwrap_err();
        assert!(
            refused.to_string().starts_with("unknown field `unheard`"),
            "{refused}"
        );
    }

    #[test]
    fn names_addresses_and_keys_are_of_one_machine_each() {
        let check = |at: &str, value: Value, expect: Option<&str>| {
            let mut config = written();
            *config.pointer_mut(at).unwrap() = value;
            let config: Config = serde_json::from_value(config).unwrap();
            let found = config.check().err().map(|e| e.to_string());
            let expect = expect.map(|why| format!("the observer's configuration: {why}"));
            assert_eq!(found, expect, "{at}");
        };
        check("/me", json!("c1"), None);
        check("/me", json!("h1"), Some("h1: stands there twice"));
        check("/hosts/1/host", json!("h1"), Some("h1: stands there twice"));
        check("/peers/0/controller", json!("h2"), Some("h2: stands there twice"));
        let taken = |a: &str| json!({"management": a});
        let own = Some("h2: has another machine's address 198.51.100.1 on management");
        check("/hosts/1/addresses", taken("198.51.100.1"), own);
        let mapped = Some("h2: has another machine's address ::ffff:198.51.100.11 on management");
        check("/hosts/1/addresses", taken("::ffff:198.51.100.11"), mapped);
        let peer = Some("c2: has another machine's address 198.51.100.12 on management");
        check("/peers/0/addresses", taken("198.51.100.12"), peer);
        check(
            "/hosts/1/key",
            json!(key(1)),
            Some("h2: has another machine's key"),
        );
        check(
            "/hosts/1/key",
            json!(key(3)),
            Some("h2: has another machine's key"),
        );
        let listen = json!([
            {"network": "management", "address": "198.51.100.1"},
            {"network": "management", "address": "198.51.100.9"},
        ]);
        check(
            "/listen",
            listen,
            Some("management: listens twice on this network"),
        );
    }

    #[test]
    fn the_period_has_bounds() {
        for (period_ms, expect) in [(49, false), (50, true), (10_000, true), (10_001, false)] {
            let mut config = written();
            config["period_ms"] = json!(period_ms);
            let config: Config = serde_json::from_value(config).unwrap();
            assert_eq!(config.check().is_ok(), expect, "{period_ms}");
        }
    }
}
