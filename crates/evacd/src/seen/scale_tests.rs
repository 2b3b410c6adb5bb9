//! The cost of a round while all is well, for 3 to 1,000 hosts, beside the cost of reading the
//! observer's answer, which no engine can do without. It prints figures and judges none:
//! `cargo test --release -p evacd scale -- --ignored --nocapture`.

use std::time::Duration;

use heartbeat::{
    Tables,
    beat::Health,
    told::{self, Echo},
};
use names::{HostName, NetworkName};
use openstack::{Agent, Capacity};
use serde_json::json;

use super::*;

fn known<T>(value: T) -> Fact<T> {
    Fact::Known(value)
}

fn tables(hosts: usize) -> Tables {
    let networks = ["management", "storage"].map(|n| NetworkName::new(n).unwrap());
    let host = |at: usize| told::Host {
        host: HostName::new(&format!("n{at}")).unwrap(),
        boot: known("6f4ed1ae-6c3c-4a3e-9f7c-b5c4ba2ea9d4".to_owned()),
        up_ms: known(100_000),
        health: Health {
            storage: Fact::Absent,
            unit: Fact::Absent,
            dump: Fact::Absent,
        },
        paths: networks
            .iter()
            .map(|network| told::Path {
                network: network.clone(),
                age_ms: known(100),
                echo: known(Echo {
                    answers: true,
                    age_ms: 100,
                }),
            })
            .collect(),
    };
    let table = |controller: &str| told::Table {
        controller: HostName::new(controller).unwrap(),
        late_ms: known(1),
        listens: Vec::new(),
        hosts: (0..hosts).map(host).collect(),
    };
    let peer = |controller: &str| told::Peer {
        heard: vec![told::Heard {
            network: networks[0].clone(),
            age_ms: known(100),
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

fn overview(hosts: usize) -> Overview {
    let name = |at: usize| format!("n{at}");
    let service = |at: usize| Service {
        id: known(name(at)),
        binary: openstack::COMPUTE.to_owned(),
        host: name(at),
        up: known(true),
        enabled: known(true),
        forced_down: known(false),
        disabled_reason: Fact::Absent,
        reported: known(Timestamp::UNIX_EPOCH),
        zone: known("nova".to_owned()),
    };
    let agent = |at: usize| Agent {
        host: name(at),
        kind: known("OVN Controller agent".to_owned()),
        alive: known(true),
        admin_up: known(true),
    };
    Overview {
        services: Ok((0..hosts).map(service).collect()),
        answer_ms: 10,
        agents: Ok((0..hosts).map(agent).collect()),
        capacity: Ok((0..hosts).map(|at| (name(at), Capacity::default())).collect()),
    }
}

fn config(hosts: usize) -> Config {
    let hosts: Vec<_> = (0..hosts)
        .map(|at| json!({"name": format!("n{at}"), "devices": [[{"agent": "fence_ipmilan", "options": {"ip": "192.0.2.1"}}]]}))
        .collect();
    let config = json!({
        "me": "c1", "controllers": ["c1", "c2", "c3"], "shared_instances": true, "hosts": hosts,
        "identity": {"auth_url": "", "username": "", "password": "", "project": "", "region": ""},
        "store": {"host": "127.0.0.1", "user": "", "password": "", "database": ""},
    });
    serde_json::from_value(config).unwrap()
}

/// Least time of some runs.
fn least(mut work: impl FnMut()) -> Duration {
    let runs = (0..20).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed()
    });
    runs.min().unwrap()
}

#[test]
#[ignore = "prints figures"]
fn scale_of_a_round() {
    println!("hosts  read the answer  put together  decide");
    for hosts in [3, 50, 200, 1_000] {
        let config = config(hosts);
        let told = tables(hosts);
        let text = serde_json::to_vec(&told).unwrap();
        let read = least(|| drop(serde_json::from_slice::<Tables>(&text).unwrap()));
        let rows = Rows {
            store: evac::Store {
                leader: Some(evac::Leader {
                    epoch: 1,
                    controller: Name::from("c1"),
                }),
                ..evac::Store::default()
            },
            ..Rows::default()
        };
        let (powers, memory) = (Powers::default(), Memory::default());
        let sources = Sources {
            config: &config,
            engine: EngineSeen {
                controller: Name::from("c1"),
                held: Some(1),
                quorate: known(true),
                running_ms: 100_000,
                late_ms: 0,
            },
            tables: Ok(told),
            rows: Ok(rows),
            overview: Some(Arc::new(overview(hosts))),
            detail: None,
            survey: None,
            powers: &powers,
            memory: &memory,
            now: Timestamp::UNIX_EPOCH,
        };
        let seen = put_together(&sources);
        let together = least(|| drop(put_together(&sources)));
        let decision = evac::decide(&config.policy, &seen);
        assert_eq!((decision.hosts.len(), decision.acts.len()), (0, 0));
        let decide = least(|| drop(evac::decide(&config.policy, &seen)));
        println!("{hosts:5}  {read:>15.1?}  {together:>12.1?}  {decide:>6.1?}");
    }
}
