//! The daemon's configuration, `/etc/quorate/evac.json`: whom it asks, whom it guards, how it
//! cuts power. Not for the rules of deciding: those are `evac::Policy`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use names::HostName;
use openstack::{Credentials, Secret};
use serde::Deserialize;

use crate::Error;

/// Path of the configuration.
pub const PATH: &str = "/etc/quorate/evac.json";

/// Configuration of the engine on one controller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This controller.
    pub me: HostName,
    /// All controllers that observe heartbeats, this one too.
    pub controllers: Vec<HostName>,
    /// Socket of this controller's observer of heartbeats.
    #[serde(default = "observer")]
    pub observer: PathBuf,
    /// User of the cloud's APIs.
    pub identity: Credentials,
    /// Database with the engine's rows.
    pub store: StoreConfig,
    /// Numbers and rules of the decider.
    #[serde(default)]
    pub policy: evac::Policy,
    /// VM hosts that are guarded.
    pub hosts: Vec<Host>,
    /// True: disks of VMs lie on storage that all VM hosts share.
    pub shared_instances: bool,
    /// Command that restarts the compute service of a VM host; `{host}` stands for its name.
    #[serde(default)]
    pub restart_compute: Option<Vec<String>>,
    /// File that decisions are written to.
    #[serde(default = "journal")]
    pub journal: PathBuf,
    /// File for metrics, in Prometheus' text format.
    #[serde(default)]
    pub metrics: Option<PathBuf>,
    /// URL that each message is posted to.
    #[serde(default)]
    pub webhook: Option<String>,
}

/// Database that is replicated to all controllers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Address that leads to the member that takes writes.
    pub host: std::net::IpAddr,
    /// Its TCP port.
    #[serde(default = "store_port")]
    pub port: u16,
    /// User.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Path of the certificate authority, PEM; none: the link is in clear.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Database, which exists.
    pub database: String,
}

/// A VM host that is guarded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its name, also to the compute service.
    pub name: HostName,
    /// Rack or other domain of failure.
    #[serde(default)]
    pub domain: Option<String>,
    /// Fence devices by level: of each level all are needed.
    #[serde(default)]
    pub devices: Vec<Vec<Device>>,
}

/// A fence device as a stock agent reaches it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Name of the agent.
    pub agent: String,
    /// Options of the agent, its action left out.
    #[serde(default)]
    pub options: BTreeMap<String, Secret>,
}

impl Device {
    /// Name in proofs: it changes with any option that is no secret.
    pub fn name(&self, level: usize) -> String {
        let mut hash = blake3::Hasher::new();
        for (key, value) in self.options.iter().filter(|(key, _)| !is_secret(key)) {
            hash.update(key.as_bytes())
                .update(b"=")
                .update(value.expose().as_bytes())
                .update(b"\n");
        }
        let mut digest = hash.finalize().to_hex().to_string();
        digest.truncate(8);
        format!("{}:{}:{digest}", level + 1, self.agent)
    }
}

/// Options of fence agents that hold secrets are named after them.
fn is_secret(key: &str) -> bool {
    ["pass", "key", "secret", "token"]
        .iter()
        .any(|word| key.contains(word))
}

fn observer() -> PathBuf {
    PathBuf::from("/run/quorate/observer.sock")
}

fn journal() -> PathBuf {
    PathBuf::from("/var/lib/quorate/evac/journal")
}

fn store_port() -> u16 {
    3306
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let cannot = |why: String| Error::Config(format!("{}: {why}", path.display()));
        let text = std::fs::read(path).map_err(|e| cannot(e.to_string()))?;
        let config: Self = serde_json::from_slice(&text).map_err(|e| cannot(e.to_string()))?;
        config.check().map_err(cannot)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if !self.controllers.contains(&self.me) {
            return Err(format!("`me` is {}, which is none of `controllers`", self.me));
        }
        let mut seen = std::collections::BTreeSet::new();
        for host in &self.hosts {
            if !seen.insert(&host.name) {
                return Err(format!("the host {} stands there twice", host.name));
            }
            for device in host.devices.iter().flatten() {
                // An agent reads an option a line: another line would be another option.
                let lines = device
                    .options
                    .iter()
                    .find(|(k, v)| k.contains(['\n', '=']) || v.expose().contains('\n'));
                if let Some((key, _)) = lines {
                    return Err(format!(
                        "option `{key}` of {} of {} is not one line",
                        device.agent, host.name
                    ));
                }
                if device.agent.contains('/') {
                    return Err(format!(
                        "the agent `{}` of {} is a path, not a name",
                        device.agent, host.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// A guarded host by its name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut serde_json::Value)) -> Result<Config, String> {
        let mut json = serde_json::json!({
            "me": "c1", "controllers": ["c1", "c2", "c3"],
            "identity": {"auth_url": "https://api:5000/v3", "username": "evac", "password": "hunter2",
                         "project": "service", "region": "RegionOne"},
            "store": {"host": "192.0.2.1", "user": "evac", "password": "hunter3", "database": "evac"},
            "shared_instances": true,
            "hosts": [{"name": "n1", "domain": "r1",
                       "devices": [[{"agent": "fence_ipmilan", "options": {"ip": "192.0.2.9", "password": "hunter4"}}]]}],
        });
        change(&mut json);
        let config: Config = serde_json::from_value(json).map_err(|e| e.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |change: fn(&mut serde_json::Value), expect: &str| {
            assert_eq!(config(change).err().unwrap_or_default(), expect);
        };
        check(|_| {}, "");
        check(
            |c| c["me"] = "n1".into(),
            "`me` is n1, which is none of `controllers`",
        );
        check(
            |c| {
                let host = c["hosts"][0].clone();
                c["hosts"].as_array_mut().unwrap().push(host);
            },
            "the host n1 stands there twice",
        );
        check(
            |c| c["hosts"][0]["devices"][0][0]["options"]["ip"] = "1\naction=on".into(),
            "option `ip` of fence_ipmilan of n1 is not one line",
        );
        check(
            |c| c["hosts"][0]["devices"][0][0]["agent"] = "../sh".into(),
            "the agent `../sh` of n1 is a path, not a name",
        );
        check(
            |c| c["policies"] = 1.into(),
            "unknown field `policies`, expected one of `me`, `controllers`, `observer`, `identity`, `store`, `policy`, `hosts`, `shared_instances`, `restart_compute`, `journal`, `metrics`, `webhook`",
        );
    }

    #[test]
    fn a_device_is_another_with_other_options_but_not_with_another_password() {
        let name = |ip: &str, password: &str| {
            let options = [("ip", ip), ("password", password)];
            let options = options.map(|(k, v)| (k.to_owned(), Secret::new(v.to_owned())));
            let device = Device {
                agent: "fence_x".to_owned(),
                options: options.into(),
            };
            device.name(0)
        };
        assert_eq!(name("a", "1"), name("a", "2"));
        assert_ne!(name("a", "1"), name("b", "1"));
        assert!(name("a", "1").starts_with("1:fence_x:"));
    }

    #[test]
    fn no_debug_output_has_a_secret() {
        let shown = format!("{:?}", config(|_| {}).unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
