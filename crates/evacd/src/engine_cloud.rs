//! The cloud behind the stand-ins: hosts that die and boot, VMs, moves that end by themselves,
//! in the words of the observer and of the APIs.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Instant};

use heartbeat::{
    Tables,
    beat::{Health, Storage, Unit},
    told,
};
use names::{HostName, NetworkName};
use serde_json::{Value, json};
use wire::Fact;

use super::{HOSTS, ms};
use crate::fake::{Asked, Reply};

pub(super) struct Host {
    /// When it fell silent; none: it is heard.
    pub(super) silent: Option<Instant>,
    /// It was off since it fell silent.
    pub(super) was_off: bool,
    pub(super) boot: u8,
    pub(super) enabled: bool,
    pub(super) forced_down: bool,
    pub(super) reason: Option<String>,
}

pub(super) struct Cloud {
    pub(super) folder: PathBuf,
    pub(super) hosts: BTreeMap<&'static str, Host>,
    pub(super) vms: BTreeMap<String, String>,
    /// VM, source, target, state, and when it was asked for.
    pub(super) moves: Vec<(String, String, String, &'static str, Instant)>,
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

    pub(super) fn tables(&mut self) -> Tables {
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

    pub(super) fn answer(&mut self, asked: &Asked) -> Reply {
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
