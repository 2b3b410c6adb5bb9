//! Observations to begin from: a quiet cloud of three controllers and some VM hosts.
//!
//! Not for tests: each of them changes what it is about.

use wire::Fact;

use crate::*;

/// Controllers of every observation.
pub const CONTROLLERS: [&str; 3] = ["c1", "c2", "c3"];
/// Networks of every host.
pub const NETWORKS: [&str; 2] = ["management", "tunnel"];

/// All is well on `hosts` VM hosts; the engine on c1 holds epoch 4.
pub fn quiet(hosts: usize) -> Seen {
    let observer = |c: &&str| ObserverSeen {
        controller: (*c).into(),
        age_ms: Some(100),
        running_ms: 900_000,
    };
    Seen {
        engine: EngineSeen {
            controller: "c1".into(),
            held: Some(4),
            quorate: Fact::Known(true),
            running_ms: 900_000,
            late_ms: 0,
        },
        observers: CONTROLLERS.iter().map(observer).collect(),
        control: ControlSeen {
            answer_ms: Fact::Known(80),
            scheduler: Fact::Known(true),
            conductor: Fact::Known(true),
        },
        store: Fact::Known(Store {
            leader: Some(Leader {
                epoch: 4,
                controller: "c1".into(),
            }),
            ..Store::default()
        }),
        hosts: (1..=hosts).map(host).collect(),
        followed: Vec::new(),
        migrations: Fact::Known(Vec::new()),
    }
}

fn host(number: usize) -> HostSeen {
    let name = format!("n{number}");
    let path = |controller: &&str| {
        NETWORKS.map(|network| PathSeen {
            observer: (*controller).into(),
            network: network.into(),
            age_ms: Some(120),
            boot: Some("boot-1".into()),
            echo: Echo::Unknown,
        })
    };
    HostSeen {
        host: name.as_str().into(),
        rack: None,
        aggregates: Vec::new(),
        zone: None,
        paths: CONTROLLERS.iter().flat_map(path).collect(),
        says: Some(Says {
            age_ms: 120,
            boot: "boot-1".into(),
            storage_hangs: false,
            compute_dead: false,
            kdump: false,
        }),
        compute: Fact::Known(Compute {
            id: format!("service-{name}").into(),
            up: true,
            forced_down: false,
            enabled: true,
            reason: None,
            report_ms: 4_000,
        }),
        agent: Fact::Known(true),
        room: Fact::Known(Room {
            ram_mb: 8_192,
            vcpus: 16,
        }),
        servers: Fact::Unknown("not asked".to_owned()),
        power: Fact::Unknown("not asked".to_owned()),
        storage_fenced: Fact::Absent,
        watchdog: None,
        proved_ms: Fact::Known(86_400_000),
        restarted_ms: None,
    }
}

/// A VM that runs on a host and is protected.
pub fn server(vm: &str, host: &str) -> Server {
    Server {
        vm: vm.into(),
        host: host.into(),
        state: VmState::Active,
        power: GuestPower::Running,
        task: None,
        unprotected: Vec::new(),
        priority: 0,
        stage: None,
        apart: None,
        zone: None,
        ram_mb: 512,
        vcpus: 1,
        restart: false,
        restarted_ms: None,
    }
}

#[expect(clippy::missing_panics_doc, reason = "a helper of tests")]
impl Seen {
    /// The host of that number, from 1.
    pub fn at(&mut self, number: usize) -> &mut HostSeen {
        &mut self.hosts[number - 1]
    }

    /// The rows.
    pub fn rows(&mut self) -> &mut Store {
        match &mut self.store {
            Fact::Known(store) => store,
            _ => panic!("the store is known in these tests"),
        }
    }
}

#[expect(clippy::missing_panics_doc, reason = "a helper of tests")]
impl HostSeen {
    /// Silent on every path and to every probe.
    pub fn silent(&mut self, ms: u64) {
        for path in &mut self.paths {
            path.age_ms = Some(ms);
            path.echo = Echo::Silent;
        }
    }

    /// Its compute service.
    pub fn service(&mut self) -> &mut Compute {
        match &mut self.compute {
            Fact::Known(compute) => compute,
            _ => panic!("the service is known in these tests"),
        }
    }
}
