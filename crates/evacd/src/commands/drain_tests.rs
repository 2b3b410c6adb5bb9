//! Emptying and filling against a small cloud behind an HTTP server in this process.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::commands::fill;
use openstack::Limits;

use crate::fake::{Asked, Fake, Reply, an_hour};

/// A VM: id, host, state, task, and whether its moves come to pass.
#[derive(Clone)]
struct Vm {
    id: &'static str,
    host: &'static str,
    state: &'static str,
    task: Option<&'static str>,
    moves: bool,
}

struct Move {
    vm: &'static str,
    kind: &'static str,
    status: &'static str,
    /// Looks until it goes on.
    looks: u32,
}

struct Cloud {
    vms: Vec<Vm>,
    moves: Vec<Move>,
    enabled: bool,
    reason: Option<String>,
    up: bool,
    most: usize,
    fails: u32,
}

fn vm(id: &'static str, state: &'static str) -> Vm {
    Vm {
        id,
        host: "n1",
        state,
        task: None,
        moves: true,
    }
}

impl Cloud {
    fn new(vms: Vec<Vm>) -> Self {
        Self {
            vms,
            moves: Vec::new(),
            enabled: true,
            reason: None,
            up: true,
            most: 0,
            fails: 0,
        }
    }

    fn vm(&mut self, id: &str) -> &mut Vm {
        self.vms.iter_mut().find(|vm| vm.id == id).unwrap()
    }

    /// Moves that are under way go on, each with every second look.
    fn go_on(&mut self) {
        let under_way = self.moves.iter().filter(|m| !is_over(m.status)).count();
        self.most = self.most.max(under_way);
        for at in 0..self.moves.len() {
            let one = &mut self.moves[at];
            if is_over(one.status) {
                continue;
            }
            one.looks += 1;
            let (vm, looks, live) = (one.vm, one.looks, one.kind == "live-migration");
            let fails = !self.vm(vm).moves;
            let one = &mut self.moves[at];
            match (looks, fails, live) {
                (0..=2, ..) => {}
                (_, true, _) => one.status = "error",
                (3 | 4, false, false) => {
                    one.status = "post-migrating";
                    self.vm(vm).host = "n2";
                    self.vm(vm).state = "resized";
                }
                (_, false, true) => {
                    one.status = "completed";
                    self.vm(vm).host = "n2";
                }
                (_, false, false) => one.status = "finished",
            }
        }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        let path = asked.path.trim_start_matches("/compute/v2.1");
        if self.fails > 0 && path.contains("servers/detail") {
            self.fails -= 1;
            return Reply::Json(503, json!({"message": "busy"}));
        }
        let body = match (asked.method.as_str(), path) {
            ("GET", "/os-services") => json!({"services": [{
                "id": "s1", "binary": "nova-compute", "host": "n1", "state": if self.up { "up" } else { "down" },
                "status": if self.enabled { "enabled" } else { "disabled" }, "disabled_reason": self.reason,
                "forced_down": false, "updated_at": null, "zone": "nova",
            }]}),
            ("PUT", _) => {
                self.enabled = asked.body["status"] == "enabled";
                self.reason = asked.body["disabled_reason"].as_str().map(str::to_owned);
                json!({})
            }
            ("GET", path) if path.starts_with("/servers/detail") => {
                self.go_on();
                let here = self.vms.iter().filter(|vm| vm.host == "n1");
                json!({"servers": here.map(server).collect::<Vec<_>>()})
            }
            ("GET", path) if path.starts_with("/servers/") => {
                let id = path.trim_start_matches("/servers/").to_owned();
                json!({"server": server(self.vm(&id))})
            }
            ("GET", path) if path.starts_with("/os-migrations") => {
                let all = self.moves.iter().enumerate().map(|(at, one)| json!({
                    "id": at + 1, "uuid": format!("m{at}"), "instance_uuid": one.vm, "migration_type": one.kind,
                    "status": one.status, "source_compute": "n1", "dest_compute": "n2",
                    "created_at": "2025-04-02T10:00:00.000000", "updated_at": null,
                }));
                json!({"migrations": all.collect::<Vec<_>>()})
            }
            ("GET", _) => {
                json!({"agents": [{"host": "n1", "agent_type": "OVN Controller agent", "alive": true, "admin_state_up": true}]})
            }
            (_, path) => return self.act(path, &asked.body),
        };
        Reply::Json(200, body)
    }

    fn act(&mut self, path: &str, body: &Value) -> Reply {
        let id = path.trim_start_matches("/servers/").trim_end_matches("/action");
        let vm = self.vm(id).id;
        let kind = match body.as_object().unwrap().keys().next().unwrap().as_str() {
            "os-migrateLive" => "live-migration",
            "migrate" => "migration",
            "confirmResize" => {
                self.vm(vm).state = "stopped";
                let row = self.moves.iter_mut().rfind(|m| m.vm == vm).unwrap();
                row.status = "confirmed";
                return Reply::Json(204, json!({}));
            }
            other => panic!("{other} is asked for"),
        };
        let busy = self.moves.iter().any(|m| m.vm == vm && !is_over(m.status));
        assert!(!busy, "{vm} is asked to move twice");
        self.moves.push(Move {
            vm,
            kind,
            status: "queued",
            looks: 0,
        });
        Reply::Json(202, json!({}))
    }
}

fn server(vm: &Vm) -> Value {
    json!({
        "id": vm.id, "name": vm.id, "tenant_id": "p", "status": "X", "locked": false,
        "OS-EXT-SRV-ATTR:host": vm.host, "OS-EXT-SRV-ATTR:hypervisor_hostname": vm.host,
        "OS-EXT-STS:vm_state": vm.state, "OS-EXT-STS:task_state": vm.task, "OS-EXT-STS:power_state": 1,
        "OS-EXT-AZ:availability_zone": "nova", "created": "2025-04-02T10:00:00Z", "tags": [], "metadata": {},
        "image": "", "os-extended-volumes:volumes_attached": [],
        "flavor": {"original_name": "t", "vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "extra_specs": {}},
    })
}

async fn client(cloud: Cloud) -> (Client, Arc<Mutex<Cloud>>) {
    let cloud = Arc::new(Mutex::new(cloud));
    let answers = cloud.clone();
    let fake = Fake::start(move |asked| {
        if asked.path.starts_with("/identity") {
            an_hour()
        } else {
            answers.lock().unwrap().answer(asked)
        }
    })
    .await;
    let identity = json!({
        "auth_url": format!("{}/identity/v3", fake.url), "username": "evac", "password": "",
        "project": "service", "region": "RegionOne",
    });
    let credentials = serde_json::from_value(identity).unwrap();
    (Client::new(credentials, Limits::default()).unwrap(), cloud)
}

#[tokio::test]
async fn a_host_is_emptied_so_many_at_a_time_and_cold_ones_are_confirmed() {
    let vms = vec![
        vm("a", "active"),
        vm("b", "active"),
        vm("c", "paused"),
        vm("d", "stopped"),
    ];
    let (api, cloud) = client(Cloud {
        fails: 1,
        ..Cloud::new(vms)
    })
    .await;
    let mut said = Vec::new();
    let out = empty(&api, "n1", 2, &mut |line| said.push(line)).await.unwrap();
    let mut moved = out.moved.clone();
    moved.sort();
    assert_eq!(
        (moved, out.left),
        (["a", "b", "c", "d"].map(str::to_owned).into(), Vec::new())
    );
    let mut cloud = cloud.lock().unwrap();
    assert_eq!(cloud.most, 2);
    assert_eq!((cloud.enabled, cloud.reason.as_deref()), (false, Some(DRAINED)));
    assert_eq!((cloud.vm("d").state, cloud.vm("d").host), ("stopped", "n2"));
    assert!(said[0].starts_with("n1 takes no new VMs"), "{said:?}");
    assert!(said[1].starts_with("cannot look at n1: unknown: "), "{said:?}");
}

#[tokio::test]
async fn what_cannot_be_moved_is_left_with_its_reason() {
    let stuck = Vm {
        moves: false,
        ..vm("stuck", "active")
    };
    let vms = vec![
        vm("a", "active"),
        vm("e", "error"),
        vm("r", "resized"),
        vm("s", "suspended"),
        stuck,
    ];
    let (api, cloud) = client(Cloud::new(vms)).await;
    let out = empty(&api, "n1", 8, &mut |_| {}).await.unwrap();
    let left: Vec<String> = out.left.iter().map(|l| format!("{}: {}", l.vm, l.why)).collect();
    let expect = [
        "e: it is in ERROR: repair or delete it",
        "r: a resize waits for its owner: `server resize confirm` or `revert`",
        "s: it is suspended: resume it first",
        "stuck: tried 3 times: its move ended as error; see its log on the host",
    ];
    assert_eq!(
        (out.moved, left),
        (vec!["a".to_owned()], expect.map(str::to_owned).into())
    );
    assert_eq!(cloud.lock().unwrap().moves.len(), 4);
    // The same again, with the host as it is left.
    let again = empty(&api, "n1", 8, &mut |_| {}).await.unwrap();
    assert_eq!((again.moved.len(), again.left.len()), (0, 4));
}

/// Killed at any moment and run again, it never asks a VM that moves, and ends the same.
#[tokio::test]
async fn one_that_was_killed_is_gone_on_with() {
    let vms = vec![vm("a", "active"), vm("b", "stopped"), vm("c", "active")];
    let (api, cloud) = client(Cloud::new(vms)).await;
    for ms in [1, 30, 50, 70, 90, 110, 130] {
        let mut say = |_| {};
        let run = empty(&api, "n1", 1, &mut say);
        let _ = tokio::time::timeout(Duration::from_millis(ms), run).await;
    }
    let out = empty(&api, "n1", 1, &mut |_| {}).await.unwrap();
    assert_eq!(out.left, []);
    let cloud = cloud.lock().unwrap();
    assert!(
        cloud
            .vms
            .iter()
            .all(|vm| vm.host == "n2" && vm.state != "resized")
    );
    assert_eq!((cloud.most, cloud.moves.len()), (1, 3));
}

#[tokio::test]
async fn a_drained_host_is_filled_and_no_other() {
    let drained = |reason: &str| Cloud {
        enabled: false,
        reason: Some(reason.to_owned()),
        ..Cloud::new(Vec::new())
    };
    let (api_1, cloud) = client(Cloud {
        up: false,
        ..drained(DRAINED)
    })
    .await;
    let comes_up = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        cloud.lock().unwrap().up = true;
    };
    let mut said = Vec::new();
    let mut say = |line| said.push(line);
    let (filled, ()) = tokio::join!(fill(&api_1, "n1", &mut say), comes_up);
    filled.unwrap();
    assert!(cloud.lock().unwrap().enabled);
    assert_eq!(said[0], "n1: its compute service is not up");
    let (api_2, cloud) = client(drained("disk is to be replaced")).await;
    let error = fill(&api_2, "n1", &mut |_| {}).await.unwrap_err().to_string();
    assert_eq!(error, "n1 is disabled for another reason: disk is to be replaced");
    assert!(!cloud.lock().unwrap().enabled);
}
