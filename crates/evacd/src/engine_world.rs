//! A cloud of three hosts and two VMs for tests of the loop. It counts what is done to it; it
//! judges nothing.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};

use heartbeat::{
    Tables,
    beat::{Health, Storage, Unit},
    told,
};
use names::{HostName, NetworkName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::UnixListener};

use super::*;
use crate::store::memory::MemoryStore;

#[path = "../../openstack/tests/support/mod.rs"]
#[expect(dead_code, reason = "tests of the client use the rest")]
mod support;

use support::{Asked, Fake, Reply, an_hour};

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

struct Host {
    /// When it fell silent; none: it is heard.
    silent: Option<Instant>,
    /// It was off since it fell silent.
    was_off: bool,
    boot: u8,
    enabled: bool,
    forced_down: bool,
    reason: Option<String>,
}

struct Cloud {
    folder: PathBuf,
    hosts: BTreeMap<&'static str, Host>,
    vms: BTreeMap<String, String>,
    /// VM, source, target, state, and when it was asked for.
    moves: Vec<(String, String, String, &'static str, Instant)>,
}

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

    fn config(&self) -> Config {
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

    pub(super) fn engine(&self, store: &MemoryStore) -> Engine<MemoryStore> {
        let at = |name: &str| self.folder.path().join(name);
        let programs = Programs {
            fence: at("command"),
            agents: self.folder.path().to_owned(),
            quorum: at("quorum"),
        };
        Engine::new(self.config(), store.clone(), programs).unwrap()
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

    /// An engine holds an epoch, and the cloud was looked at.
    pub(super) fn well(&self, store: &MemoryStore) -> bool {
        let asked = self.fake.asked();
        let looked = [
            "os-services",
            "agents",
            "allocation_candidates",
            "servers/detail",
            "os-migrations",
        ];
        store.leader().is_some() && looked.iter().all(|p| asked.iter().any(|a| a.path.contains(p)))
    }

    /// The host is in use again and nothing is left to do.
    pub(super) fn is_back(&self, host: &str, store: &MemoryStore) -> bool {
        let cloud = self.cloud.lock().unwrap();
        let host = &cloud.hosts[host];
        host.silent.is_none()
            && host.boot > 1
            && host.enabled
            && !host.forced_down
            && store.phases().is_empty()
    }

    pub(super) fn hosts_of_vms(&self) -> Vec<(&'static str, &'static str)> {
        let cloud = self.cloud.lock().unwrap();
        let host = |name: &str| HOSTS.into_iter().find(|h| *h == name).unwrap();
        ["a", "b"].map(|vm| (vm, host(&cloud.vms[vm]))).into()
    }

    /// What was done to the cloud, in order; of things done again only the first.
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

impl Cloud {
    fn note(&self, event: &str) {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.folder.join("events"))
            .unwrap();
        writeln!(file, "{event}").unwrap();
    }

    /// Time goes on: hosts whose power comes again boot, moves that were accepted end.
    fn go_on(&mut self) {
        for (name, host) in &mut self.hosts {
            let on = fs::read_to_string(self.folder.join(format!("plug-{name}")))
                .unwrap()
                .trim()
                == "on";
            host.was_off |= !on;
            if host.silent.is_some() && host.was_off && on {
                (host.silent, host.was_off, host.boot) = (None, false, host.boot + 1);
                let own = self.moves.iter_mut().filter(|m| m.1 == *name && m.3 == "done");
                own.for_each(|m| m.3 = "completed");
            }
        }
        for (vm, _, target, state, at) in &mut self.moves {
            if *state == "accepted" && at.elapsed().as_millis() > 400 {
                *state = "done";
                self.vms.insert(vm.clone(), target.clone());
            }
        }
    }

    fn tables(&mut self) -> Tables {
        self.go_on();
        let network = || NetworkName::new("management").unwrap();
        let hosts = self.hosts.iter().map(|(name, host)| told::Host {
            host: HostName::new(name).unwrap(),
            boot: Fact::Known(format!("boot-{}", host.boot)),
            up_ms: Fact::Known(1),
            health: Health {
                storage: Fact::Known(Storage::Answers),
                unit: Fact::Known(Unit::Active),
                dump: Fact::Absent,
            },
            paths: vec![told::Path {
                network: network(),
                age_ms: Fact::Known(host.silent.map_or(20, |at| ms(at.elapsed()) + 20)),
                echo: Fact::Known(told::Echo {
                    answers: host.silent.is_none(),
                    age_ms: 10,
                }),
            }],
        });
        let hosts: Vec<told::Host> = hosts.collect();
        let table = |controller: &str| told::Table {
            controller: HostName::new(controller).unwrap(),
            late_ms: Fact::Known(5),
            listens: vec![told::Listens {
                network: network(),
                since_ms: Fact::Known(100_000),
            }],
            hosts: hosts.clone(),
        };
        let peer = |controller: &str| told::Peer {
            heard: vec![told::Heard {
                network: network(),
                age_ms: Fact::Known(30),
            }],
            table: table(controller),
        };
        Tables {
            period_ms: 250,
            counted: 0,
            refused: told::Refused::default(),
            own: table("c1"),
            peers: vec![peer("c2"), peer("c3")],
        }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        self.go_on();
        let path = asked.path.trim_start_matches("/compute/v2.1");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let wanted = |key: &str| {
            query
                .split('&')
                .find_map(|w| w.strip_prefix(key)?.strip_prefix('='))
        };
        let body = match (asked.method.as_str(), path) {
            ("GET", "/os-services") => json!({"services": self.services()}),
            ("PUT", path) => return self.change(path.trim_start_matches("/os-services/"), &asked.body),
            ("GET", "/servers/detail") => {
                let here = self
                    .vms
                    .iter()
                    .filter(|(_, host)| wanted("host").is_none_or(|h| h == *host));
                json!({"servers": here.map(|(vm, host)| server(vm, host)).collect::<Vec<_>>()})
            }
            ("GET", "/os-migrations") => {
                json!({"migrations": self.migrations(wanted("host"), wanted("status"))})
            }
            ("GET", "/os-hypervisors/detail") => {
                let all = HOSTS.map(|h| json!({"id": h, "hypervisor_hostname": h, "service": {"host": h}}));
                json!({"hypervisors": all})
            }
            ("GET", "/os-aggregates") => json!({"aggregates": []}),
            ("GET", "/os-server-groups") => json!({"server_groups": []}),
            ("GET", "/network/v2.0/agents") => {
                let agent = |h| json!({"host": h, "agent_type": "OVN Controller agent", "alive": true, "admin_state_up": true});
                json!({"agents": HOSTS.map(agent)})
            }
            ("GET", path) if path.starts_with("/placement") => {
                // Only the second host has room, so that the order of targets is no matter here.
                let room = json!({"resources": {"VCPU": {"capacity": 8, "used": 0}, "MEMORY_MB": {"capacity": 999, "used": 0}}});
                json!({"provider_summaries": {"n2": room}})
            }
            ("GET", path) => {
                let vm = path.trim_start_matches("/servers/");
                json!({"server": server(vm, &self.vms[vm])})
            }
            (_, path) => {
                let vm = path.trim_start_matches("/servers/").trim_end_matches("/action");
                let target = asked.body["evacuate"]["host"].as_str().unwrap();
                let from = self.vms[vm].clone();
                self.note(&format!("evacuate {vm} to {target}"));
                self.moves
                    .push((vm.to_owned(), from, target.to_owned(), "accepted", Instant::now()));
                json!({})
            }
        };
        Reply::Json(200, body)
    }

    fn services(&self) -> Vec<Value> {
        let service = |id: String, binary: &str, host: &str, up: bool| {
            json!({"id": id, "binary": binary, "host": host, "state": if up { "up" } else { "down" },
                   "status": "enabled", "disabled_reason": null, "forced_down": false,
                   "updated_at": "2025-04-02T10:00:00.000000", "zone": "nova"})
        };
        let mut all = vec![
            service("s1".to_owned(), "nova-scheduler", "c1", true),
            service("s2".to_owned(), "nova-conductor", "c1", true),
        ];
        for (name, host) in &self.hosts {
            let mut one = service(format!("s-{name}"), "nova-compute", name, !host.forced_down);
            one["status"] = if host.enabled { "enabled" } else { "disabled" }.into();
            one["forced_down"] = host.forced_down.into();
            one["disabled_reason"] = host.reason.clone().into();
            all.push(one);
        }
        all
    }

    fn change(&mut self, id: &str, body: &Value) -> Reply {
        let mut told = body.clone();
        told.as_object_mut().unwrap().shift_remove("disabled_reason");
        let name = id.trim_start_matches("s-");
        let left = self.moves.iter().any(|m| m.1 == name && m.3 == "done");
        if body["forced_down"] == false && left {
            return Reply::Json(
                400,
                json!({"badRequest": {"message": "'done' evacuation records remain"}}),
            );
        }
        self.note(&format!("PUT {id} {told}"));
        let host = self.hosts.get_mut(name).unwrap();
        if let Some(status) = body["status"].as_str() {
            host.enabled = status == "enabled";
            host.reason = body["disabled_reason"].as_str().map(str::to_owned);
        }
        if let Some(down) = body["forced_down"].as_bool() {
            host.forced_down = down;
        }
        Reply::Json(200, json!({"service": {}}))
    }

    fn migrations(&self, host: Option<&str>, status: Option<&str>) -> Vec<Value> {
        let all = self.moves.iter().enumerate();
        let wanted = all.filter(|(_, (_, source, target, state, _))| {
            host.is_none_or(|h| h == source || h == target) && status.is_none_or(|s| s == *state)
        });
        let shown = wanted.map(|(at, (vm, source, target, state, _))| {
            json!({"id": at + 1, "uuid": format!("m{at}"), "instance_uuid": vm, "migration_type": "evacuation",
                   "status": state, "source_compute": source, "dest_compute": target,
                   "created_at": jiff::Timestamp::now().to_string(), "updated_at": null})
        });
        shown.collect()
    }
}

fn server(vm: &str, host: &str) -> Value {
    json!({
        "id": vm, "name": vm, "tenant_id": "p", "status": "ACTIVE", "locked": false,
        "OS-EXT-SRV-ATTR:host": host, "OS-EXT-SRV-ATTR:hypervisor_hostname": host,
        "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": null, "OS-EXT-STS:power_state": 1,
        "OS-EXT-AZ:availability_zone": "nova", "created": "2025-04-02T10:00:00Z", "tags": [], "metadata": {},
        "image": {"id": "i", "properties": {}}, "os-extended-volumes:volumes_attached": [],
        "flavor": {"original_name": "t", "vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "extra_specs": {}},
    })
}
