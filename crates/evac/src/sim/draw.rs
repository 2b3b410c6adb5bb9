//! Faults: what they are, and how a run's are drawn from its seed.

use super::cloud::{Guest, Service};
use super::machine::{CONTROLLERS, Machine, NETS};
use super::rng::Rng;
use super::world::{Controller, Effect, Failing, Rows, World};
use crate::guard::Guards;
use crate::{Apart, GuestPower, Loss, Policy, Response, Server, Stage, VmState, WhyNot};

/// One fault; hosts, controllers, networks and VMs by index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Cut(usize),
    CutWithBmc(usize),
    CutTwo(usize),
    CutMost(usize),
    Hang(usize),
    Isolate(usize),
    NetGone(usize),
    HalfPaths(usize),
    HostLosesTunnel(usize),
    Blind(usize),
    TwoBlind,
    TableStands(usize),
    TwoTablesStand(usize),
    SenderDies(usize),
    ComputeDies(usize),
    AgentDies(usize),
    StorageGone(usize),
    StorageHangs(usize),
    Kdump(usize),
    Reboots(usize),
    PowerOn(usize),
    BmcDead(usize),
    BmcLies(usize),
    BmcStale(usize),
    BmcSlow(usize),
    ControllerDies(usize),
    EngineDies(u64),
    Partition(usize, bool),
    SecondEngine,
    Freeze,
    StoreDown,
    ApiDown,
    ApiSlow,
    RequestsLost,
    MigrationsUnknown,
    ListsUnknown,
    NoScheduler,
    SlowBuilds,
    Delete(usize),
    Resize(usize),
    Migrate(usize, usize),
    UserStarts(usize),
    PersonEvacuates,
    OldConfirm(usize),
    Confirm(usize),
    Released,
    Paused,
}

/// Kinds of faults that a draw chooses from.
const KINDS: u64 = 47;

/// Fault of a kind, on hosts, VMs and controllers that the seed chooses.
fn fault(kind: u64, rng: &mut Rng, hosts: usize, vms: usize) -> Fault {
    let (h, h2, v, c) = (
        rng.index(hosts),
        rng.index(hosts),
        rng.index(vms),
        rng.index(CONTROLLERS),
    );
    match kind {
        0 => Fault::Cut(h),
        1 => Fault::CutWithBmc(h),
        2 => Fault::CutTwo(h),
        3 => Fault::CutMost(h),
        4 => Fault::Hang(h),
        5 => Fault::Isolate(h),
        6 => Fault::NetGone(rng.index(NETS)),
        7 => Fault::HalfPaths(h),
        8 => Fault::HostLosesTunnel(h),
        9 => Fault::Blind(c),
        10 => Fault::TwoBlind,
        11 => Fault::TableStands(c),
        12 => Fault::TwoTablesStand(h),
        13 => Fault::SenderDies(h),
        14 => Fault::ComputeDies(h),
        15 => Fault::AgentDies(h),
        16 => Fault::StorageGone(h),
        17 => Fault::StorageHangs(h),
        18 => Fault::Kdump(h),
        19 => Fault::Reboots(h),
        20 => Fault::PowerOn(h),
        21 => Fault::BmcDead(h),
        22 => Fault::BmcLies(h),
        23 => Fault::BmcStale(h),
        24 => Fault::BmcSlow(h),
        25 => Fault::ControllerDies(c),
        26 => Fault::EngineDies(rng.between(1, 12)),
        27 => Fault::Partition(c, rng.chance(50)),
        28 => Fault::SecondEngine,
        29 => Fault::Freeze,
        30 => Fault::StoreDown,
        31 => Fault::ApiDown,
        32 => Fault::ApiSlow,
        33 => Fault::RequestsLost,
        34 => Fault::MigrationsUnknown,
        35 => Fault::ListsUnknown,
        36 => Fault::NoScheduler,
        37 => Fault::SlowBuilds,
        38 => Fault::Delete(v),
        39 => Fault::Resize(v),
        40 => Fault::Migrate(v, h2),
        41 => Fault::UserStarts(v),
        42 => Fault::PersonEvacuates,
        43 => Fault::OldConfirm(h),
        44 => Fault::Confirm(h),
        45 => Fault::Released,
        _ => Fault::Paused,
    }
}

/// World without faults.
pub fn quiet(seed: u64, guards: Guards) -> World {
    let mut rng = Rng::new(seed);
    let hosts = 3 + usize::from(rng.chance(30)) + usize::from(rng.chance(20)) * 2;
    let vms = 8 + rng.index(3);
    let mut machines: Vec<Machine> = (0..hosts).map(|at| Machine::new(at + 1, 0)).collect();
    let racks = rng.chance(30);
    for (at, machine) in machines.iter_mut().enumerate() {
        machine.storage = rng.chance(40);
        machine.proved = !rng.chance(6);
        machine.rack = if racks { at / 2 } else { at };
        machine.ram = if rng.chance(30) { 1_280 } else { 4_096 };
    }
    let guests = (0..vms).map(|at| guest(at, &mut rng, hosts, &machines)).collect();
    let service = |at: usize| Service {
        id: format!("service-{at}").into(),
        forced: false,
        enabled: true,
        reason: None,
    };
    World {
        now: 0,
        policy: policy(&mut rng, &machines),
        rng,
        guards,
        hosts: machines,
        guests,
        moves: Vec::new(),
        services: (0..hosts).map(service).collect(),
        queued: Vec::new(),
        rows: Rows::default(),
        controllers: [Controller::default(); CONTROLLERS],
        engines: Vec::new(),
        engines_begun: 0,
        failing: Failing::default(),
        slow_builds: 0,
        pending: Vec::new(),
        changed_at: 0,
        seen: None,
        look: Vec::new(),
        told: super::laws::Told::default(),
        law: None,
        trace: false,
        rounds: 0,
    }
}

fn guest(at: usize, rng: &mut Rng, hosts: usize, machines: &[Machine]) -> Guest {
    // The first two of a server group begin on different hosts.
    let host = if at < 2 { at } else { rng.index(hosts) };
    let server = Server {
        vm: format!("vm{at}").into(),
        host: machines[host].name.clone(),
        state: VmState::Active,
        power: GuestPower::Running,
        task: None,
        unprotected: if at == 7 {
            vec![WhyNot::LocalDisk]
        } else {
            Vec::new()
        },
        priority: i32::try_from(rng.below(3)).unwrap(),
        stage: (2..5).contains(&at).then(|| Stage {
            group: "shop".into(),
            order: u32::try_from(at).unwrap() - 2,
        }),
        apart: (at < 2).then(|| Apart {
            group: "twins".into(),
            hosts: Vec::new(),
        }),
        zone: None,
        ram_mb: 256,
        vcpus: 1,
        restart: true,
        restarted_ms: None,
    };
    Guest {
        server,
        host,
        copies: 1 << host,
        deleted: false,
    }
}

fn policy(rng: &mut Rng, machines: &[Machine]) -> Policy {
    let alone = machines
        .iter()
        .filter(|m| m.storage && rng.chance(20))
        .map(|m| m.name.clone());
    let alone = alone.collect();
    let wide = rng.chance(40);
    let fence_tunnel = rng.chance(30);
    Policy {
        losses: if fence_tunnel {
            vec![Loss {
                lost: vec!["tunnel".into()],
                then: Response::Fence,
            }]
        } else {
            vec![Loss {
                lost: vec!["tunnel".into()],
                then: Response::Disable,
            }]
        },
        storage_alone: alone,
        hosts_percent: if wide { 100 } else { 50 },
        domain_percent: if rng.chance(50) { 67 } else { 100 },
        rate_hosts: if rng.chance(30) { 1 } else { 5 },
        rate_ms: 120_000,
        cliff_percent: 50,
        kdump_ms: 15_000,
        in_flight_ms: 15_000,
        stuck_ms: 90_000,
        room_ms: 60_000,
        boot_ms: 20_000,
        compute_again_ms: 5_000,
        vm_again_ms: 2_000,
        at_once: 3,
        per_target: 2,
        ..Policy::default()
    }
}

/// World with three faults or more.
pub fn drawn(seed: u64, guards: Guards) -> World {
    let mut world = quiet(seed, guards);
    let count = 3 + world.rng.below(3);
    let (hosts, vms) = (world.hosts.len(), world.guests.len());
    let first = world.rng.index(hosts);
    for at in 0..count {
        // Most runs are about a host that dies; half of the other faults are about it too.
        let dies = at == 0 && world.rng.chance(75);
        let kind = if dies {
            [0, 0, 1, 4, 5, 19][world.rng.index(6)]
        } else {
            world.rng.below(KINDS)
        };
        let mut fault = fault(kind, &mut world.rng, hosts, vms);
        if dies || world.rng.chance(50) {
            fault = fault.on(first);
        }
        let when = if dies {
            4_000
        } else {
            world.rng.between(6, 40) * 500
        };
        let lasts = world.rng.between(3, 60) * 500;
        let fault_short = matches!(fault, Fault::Isolate(_)) && world.rng.chance(40);
        let lasts = if fault_short {
            world.rng.between(5, 9) * 500
        } else {
            lasts
        };
        let lasts = if matches!(fault, Fault::TwoTablesStand(_)) {
            lasts + 4_000
        } else {
            lasts
        };
        world.pending.push((when, Effect::Fault(fault)));
        world.pending.push((when + lasts, Effect::Heal(fault)));
    }
    world
}

impl Fault {
    /// The same fault on another host.
    fn on(self, host: usize) -> Self {
        match self {
            Self::Cut(_) => Self::Cut(host),
            Self::CutWithBmc(_) => Self::CutWithBmc(host),
            Self::Hang(_) => Self::Hang(host),
            Self::Isolate(_) => Self::Isolate(host),
            Self::Reboots(_) => Self::Reboots(host),
            Self::PowerOn(_) => Self::PowerOn(host),
            Self::BmcDead(_) => Self::BmcDead(host),
            Self::BmcLies(_) => Self::BmcLies(host),
            Self::BmcStale(_) => Self::BmcStale(host),
            Self::BmcSlow(_) => Self::BmcSlow(host),
            Self::OldConfirm(_) => Self::OldConfirm(host),
            Self::Confirm(_) => Self::Confirm(host),
            Self::Kdump(_) => Self::Kdump(host),
            Self::HostLosesTunnel(_) => Self::HostLosesTunnel(host),
            other => other,
        }
    }
}
