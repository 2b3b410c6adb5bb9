//! A cloud of three hosts and two VMs for tests of the loop. It counts what is done to it; it
//! judges nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::UnixListener};

#[path = "engine_cloud.rs"]
mod cloud;

use super::*;
use crate::store::memory::MemoryStore;

use crate::fake::{Fake, an_hour};
use cloud::{Cloud, Host};

const HOSTS: [&str; 3] = ["n1", "n2", "n3"];

/// An agent whose plug is a file: `on` or `off`.
const AGENT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
while read -r line; do
    case "$line" in action=*) action="${line#action=}";; plug=*) plug="${line#plug=}";; esac
done
[ "$action" = on ] && { echo on > "plug-$plug"; echo "fence_a on $plug" >> events; exit 0; }
[ "$(cat "plug-$plug")" = on ] && exit 0
exit 2
"#;
const COMMAND: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "command $*" >> events
echo off > "plug-$2"
"#;
const QUORUM: &str = r#"#!/bin/sh
echo "Quorate: $(cat "$(dirname "$0")/quorate")"
"#;

pub(super) struct World {
    folder: TempDir,
    fake: Fake,
    cloud: Arc<Mutex<Cloud>>,
}

impl World {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("fence_a", AGENT), ("command", COMMAND), ("quorum", QUORUM)] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for host in HOSTS {
            fs::write(folder.path().join(format!("plug-{host}")), "on").unwrap();
        }
        fs::write(folder.path().join("quorate"), "Yes").unwrap();
        fs::write(folder.path().join("events"), "").unwrap();
        let host = || Host {
            silent: None,
            was_off: false,
            boot: 1,
            enabled: true,
            forced_down: false,
            reason: None,
        };
        let vms = ["a", "b"].map(|vm| (vm.to_owned(), "n1".to_owned()));
        let cloud = Arc::new(Mutex::new(Cloud {
            folder: folder.path().to_owned(),
            hosts: HOSTS.map(|name| (name, host())).into(),
            vms: vms.into(),
            moves: Vec::new(),
        }));
        let listener = UnixListener::bind(folder.path().join("observer")).unwrap();
        let tables = cloud.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let text = serde_json::to_string(&tables.lock().unwrap().tables()).unwrap();
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        let answers = cloud.clone();
        let fake = Fake::start(move |asked| {
            if asked.path.starts_with("/identity") {
                an_hour()
            } else {
                answers.lock().unwrap().answer(asked)
            }
        })
        .await;
        Self { folder, fake, cloud }
    }

    /// A store in which all devices are proved.
    pub(super) fn store(&self) -> MemoryStore {
        let store = MemoryStore::default();
        for host in &self.config().hosts {
            store.prove(host.name.as_str(), &host.devices[0][0].name(0));
        }
        store
    }

    pub(super) fn config(&self) -> Config {
        let at = |name: &str| self.folder.path().join(name);
        let hosts =
            HOSTS.map(|h| json!({"name": h, "devices": [[{"agent": "fence_a", "options": {"plug": h}}]]}));
        let config = json!({
            "me": "c1", "controllers": ["c1", "c2", "c3"], "observer": at("observer"),
            "identity": {"auth_url": format!("{}/identity/v3", self.fake.url), "username": "evac",
                         "password": "hunter2", "project": "service", "region": "RegionOne"},
            "store": {"host": "127.0.0.1", "user": "", "password": "", "database": ""},
            "policy": {"suspect_ms": 300, "fence_ms": 600, "settle_ms": 100, "in_flight_ms": 2500,
                       "late_ms": 1500, "compute_again_ms": 500},
            "hosts": hosts, "shared_instances": true, "journal": at("journal"), "metrics": at("metrics"),
        });
        serde_json::from_value(config).unwrap()
    }

    pub(super) fn engine<S: Store + 'static>(&self, store: S) -> Engine<S> {
        let at = |name: &str| self.folder.path().join(name);
        let programs = Programs {
            fence: at("command"),
            agents: self.folder.path().to_owned(),
            quorum: at("quorum"),
        };
        Engine::new(self.config(), store, programs).unwrap()
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    pub(super) fn metrics(&self) -> PathBuf {
        self.folder.path().join("metrics")
    }

    pub(super) fn quorate(&self, yes: bool) {
        fs::write(self.folder.path().join("quorate"), if yes { "Yes" } else { "No" }).unwrap();
    }

    /// The host's guests and its network end; its device still says that it is on.
    pub(super) fn cut(&self, host: &'static str) {
        self.cloud.lock().unwrap().hosts.get_mut(host).unwrap().silent = Some(Instant::now());
    }

    /// The host was drained for work on it.
    pub(super) fn drain(&self, host: &'static str) {
        let mut cloud = self.cloud.lock().unwrap();
        let host = cloud.hosts.get_mut(host).unwrap();
        (host.enabled, host.reason) = (false, Some(crate::commands::DRAINED.to_owned()));
    }

    /// An engine holds an epoch, and the cloud was looked at.
    pub(super) fn well(&self, store: &MemoryStore) -> bool {
        store.leader().is_some() && self.looked()
    }

    /// The cloud was looked at.
    pub(super) fn looked(&self) -> bool {
        let asked = self.fake.asked();
        let looked = [
            "os-services",
            "agents",
            "allocation_candidates",
            "servers/detail",
            "os-migrations",
        ];
        looked.iter().all(|p| asked.iter().any(|a| a.path.contains(p)))
    }

    /// The host is in use again and nothing is left to do.
    pub(super) fn is_back(&self, host: &str, store: &MemoryStore) -> bool {
        self.is_in_use(host) && store.phases().is_empty()
    }

    /// The host has booted since it fell silent, and takes VMs.
    pub(super) fn is_in_use(&self, host: &str) -> bool {
        let cloud = self.cloud.lock().unwrap();
        let host = &cloud.hosts[host];
        host.silent.is_none() && host.boot > 1 && host.enabled && !host.forced_down
    }

    pub(super) fn hosts_of_vms(&self) -> Vec<(&'static str, &'static str)> {
        let cloud = self.cloud.lock().unwrap();
        let host = |name: &str| HOSTS.into_iter().find(|h| *h == name).unwrap();
        ["a", "b"].map(|vm| (vm, host(&cloud.vms[vm]))).into()
    }

    /// Changes of the cloud, in order; of things done again only the first.
    pub(super) fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("events")).unwrap();
        let mut out: Vec<String> = Vec::new();
        for line in text.lines() {
            if line.starts_with("evacuate") || !out.iter().any(|l| l == line) {
                out.push(line.to_owned());
            }
        }
        out
    }
}
