//! Bad input and bad luck, each by its name: one small world, one fault or two.

use super::draw::{Fault, quiet};
use super::runs::run;
use super::world::{Effect, World};
use crate::guard::Guards;
use crate::tests::seens;
use crate::{Act, Fact, IntentRow, Phase, Policy, Proof, decide};

/// Three proved hosts of one rack each and eight VMs; faults at their time, for their time.
fn story(faults: &[(u64, u64, Fault)]) -> World {
    let mut seed = 0;
    let mut world = loop {
        let world = quiet(seed, Guards::ALL);
        if world.hosts.len() == 3 && world.guests.len() == 8 {
            break world;
        }
        seed += 1;
    };
    for (at, host) in world.hosts.iter_mut().enumerate() {
        (host.storage, host.proved, host.ram, host.rack) = (false, true, 4_096, at);
    }
    world.policy.hosts_percent = 50;
    world.policy.rate_hosts = 5;
    world.policy.storage_alone.clear();
    for (at, lasts, fault) in faults {
        world.pending.push((*at, Effect::Fault(*fault)));
        world.pending.push((at + lasts, Effect::Heal(*fault)));
    }
    assert_eq!(run(&mut world), None);
    world
}

/// Hosts that got an intent in the story.
fn opened(faults: &[(u64, u64, Fault)]) -> usize {
    story(faults).rows.opened.len()
}

const CUT: (u64, u64, Fault) = (4_000, 1_000, Fault::Cut(0));

/// The host was recovered, and no protected VM is on it.
fn recovered(faults: &[(u64, u64, Fault)]) -> World {
    let world = story(faults);
    assert_eq!(world.rows.opened.len(), 1);
    let left = world
        .guests
        .iter()
        .filter(|g| g.host == 0 && !g.deleted && g.server.unprotected.is_empty());
    assert_eq!(left.count(), 0);
    world
}

#[test]
fn nova_is_slow() {
    recovered(&[CUT, (3_000, 30_000, Fault::ApiSlow)]);
}

#[test]
fn nova_answers_503() {
    recovered(&[CUT, (6_000, 20_000, Fault::ApiDown)]);
}

#[test]
fn nova_gives_partial_results() {
    recovered(&[
        CUT,
        (4_000, 20_000, Fault::ListsUnknown),
        (4_000, 25_000, Fault::MigrationsUnknown),
    ]);
}

#[test]
fn a_token_expires_between_two_requests() {
    recovered(&[
        CUT,
        (7_500, 500, Fault::ListsUnknown),
        (8_500, 500, Fault::MigrationsUnknown),
    ]);
}

#[test]
fn a_request_is_lost_on_its_way() {
    recovered(&[CUT, (5_000, 20_000, Fault::RequestsLost)]);
}

#[test]
fn a_device_lies_about_a_host_that_is_heard_again() {
    let mut world = quiet(0, Guards::ALL);
    world.hosts[0].storage = true;
    world.pending.push((4_000, Effect::Fault(Fault::BmcLies(0))));
    world.pending.push((4_000, Effect::Fault(Fault::Isolate(0))));
    world.pending.push((7_500, Effect::Heal(Fault::Isolate(0))));
    world.pending.push((30_000, Effect::Heal(Fault::BmcLies(0))));
    assert_eq!(run(&mut world), None);
}

#[test]
fn a_device_tells_what_it_read_before_the_command() {
    recovered(&[
        (4_000, 60_000, Fault::Isolate(0)),
        (3_000, 60_000, Fault::BmcStale(0)),
    ]);
}

#[test]
fn a_device_hangs() {
    recovered(&[CUT, (3_000, 20_000, Fault::BmcDead(0))]);
}

#[test]
fn a_device_is_slow() {
    recovered(&[CUT, (3_000, 20_000, Fault::BmcSlow(0))]);
}

#[test]
fn a_device_dies_with_its_host() {
    recovered(&[(4_000, 40_000, Fault::CutWithBmc(0))]);
    let confirmed = [
        (4_000, 40_000, Fault::CutWithBmc(0)),
        (9_000, 500, Fault::Confirm(0)),
    ];
    let world = recovered(&confirmed);
    assert!(
        world.moves.iter().all(|m| m.at < 20_000),
        "a person's word was not waited for"
    );
}

#[test]
fn a_host_returns_in_the_middle() {
    let world = recovered(&[
        CUT,
        (8_000, 30_000, Fault::SlowBuilds),
        (9_500, 500, Fault::PowerOn(0)),
    ]);
    assert!(world.hosts[0].boot > 1, "it was not cut off again");
}

#[test]
fn a_target_dies() {
    let world = story(&[CUT, (8_000, 1_000, Fault::Cut(1)), (0, 90_000, Fault::Released)]);
    assert_eq!(world.rows.opened.len(), 2);
}

#[test]
fn all_vm_hosts_but_one_are_gone() {
    // Nobody is fenced before a person releases the brake, which the end of faults does.
    let mut world = story(&[(4_000, 30_000, Fault::CutMost(2))]);
    world.rows.opened.retain(|at| *at < 34_000);
    assert_eq!(world.rows.opened, Vec::<u64>::new());
}

#[test]
fn the_management_network_is_gone_with_all_hosts_healthy() {
    assert_eq!(opened(&[(4_000, 60_000, Fault::NetGone(0))]), 0);
}

#[test]
fn all_networks_of_the_observers_are_gone() {
    assert_eq!(
        opened(&[
            (4_000, 60_000, Fault::NetGone(0)),
            (4_000, 60_000, Fault::NetGone(1))
        ]),
        0
    );
    assert_eq!(opened(&[(4_000, 60_000, Fault::TwoBlind)]), 0);
}

#[test]
fn two_engines_by_partition() {
    for store in [false, true] {
        let world = recovered(&[CUT, (6_500, 40_000, Fault::Partition(0, store))]);
        assert_eq!(world.engines_begun, 2);
    }
}

#[test]
fn two_engines_on_one_side() {
    let world = recovered(&[CUT, (7_000, 1_000, Fault::SecondEngine)]);
    assert_eq!(world.engines_begun, 2);
}

#[test]
fn an_engine_dies_at_every_step() {
    for steps in 1..=30 {
        recovered(&[
            (0, 1_000, Fault::EngineDies(steps)),
            CUT,
            (4_000, 1_000, Fault::EngineDies(steps)),
        ]);
    }
}

#[test]
fn clocks_step() {
    assert_eq!(
        opened(&[(4_000, 1_000, Fault::Freeze), (9_000, 1_000, Fault::Freeze)]),
        0
    );
    recovered(&[CUT, (7_000, 1_000, Fault::Freeze)]);
}

#[test]
fn the_store_is_away() {
    recovered(&[CUT, (7_000, 20_000, Fault::StoreDown)]);
}

#[test]
fn a_vm_is_deleted_meanwhile() {
    for vm in 0..8 {
        story(&[CUT, (8_500, 500, Fault::Delete(vm))]);
    }
}

#[test]
fn a_vm_is_resized_meanwhile() {
    for vm in 0..8 {
        story(&[(3_500, 500, Fault::Resize(vm)), CUT]);
    }
}

#[test]
fn a_vm_is_migrating_meanwhile() {
    for vm in 0..8 {
        for at in [1_000, 1_500, 2_000, 3_500] {
            story(&[(at, 500, Fault::Migrate(vm, 1)), CUT]);
        }
    }
}

#[test]
fn shared_storage_is_gone() {
    assert_eq!(opened(&[(4_000, 60_000, Fault::StorageGone(0))]), 0);
}

#[test]
fn two_hundred_volumes_are_attached() {
    // Each VM takes up to 40 s to be rebuilt; none is sent twice.
    let world = recovered(&[CUT, (3_000, 200_000, Fault::SlowBuilds)]);
    let protected = world
        .moves
        .iter()
        .map(|m| m.vm)
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(world.moves.len(), protected.len());
}

#[test]
fn only_nova_compute_dies() {
    let world = story(&[(4_000, 1_000, Fault::ComputeDies(0))]);
    assert_eq!((world.rows.opened.len(), world.moves.len()), (0, 0));
}

#[test]
fn only_the_sender_of_heartbeats_dies() {
    assert_eq!(opened(&[(4_000, 60_000, Fault::SenderDies(0))]), 0);
}

#[test]
fn thousands_of_vms_are_on_a_host() {
    let mut seen = seens::quiet(3);
    let host = seen.at(1);
    host.silent(9_000);
    host.power = Fact::Known(crate::Power {
        on: false,
        after_off: Some(4),
        device: "bmc".into(),
    });
    let service = host.service();
    (service.up, service.forced_down, service.enabled) = (false, true, false);
    let servers = (0..3_000).map(|vm| seens::server(&format!("vm-{vm:04}"), "n1"));
    host.servers = Fact::Known(servers.collect());
    let intent = crate::Intent {
        host: "n1".into(),
        boot: Some("boot-1".into()),
        epoch: 4,
        phase: Phase::Evacuating,
        why: "silent".to_owned(),
        proof: Some(Proof::PowerOff { device: "bmc".into() }),
        disabled_before: None,
    };
    seen.rows().intents.push(IntentRow {
        intent,
        phase_ms: 1_000,
        opened_ms: 4_000,
    });
    let decision = decide(&Policy::default(), &seen);
    let sent = decision
        .acts
        .iter()
        .filter(|act| matches!(act, Act::Evacuate(_)))
        .count();
    assert_eq!((sent, decision.vms.len()), (8, 3_000));
}
