//! The loop against stand-ins of all that it touches: an observer's socket, an HTTP server with
//! a small cloud behind it, scripts as fence agents, rows in memory.

#[path = "../tests/support/sqld.rs"]
mod sqld;
#[path = "engine_world.rs"]
mod world;

use std::time::Duration;

use evac::{HostId, Phase};

use super::*;
use crate::config::StoreConfig;
use crate::store::{People as _, memory::MemoryStore};
use world::World;

/// Runs rounds until a condition holds, and fails after so many.
async fn until<S: Store + 'static>(engine: &mut Engine<S>, what: &str, holds: impl Fn() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        engine.round().await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let lines = crate::journal::lines(&engine.config.journal).unwrap();
    let told = evac::explain(&HostId::from("n1"), &lines).join("\n");
    let last = serde_json::to_string(&lines.last()).unwrap();
    panic!("never: {what}\n{told}\n{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vms_of_a_host_that_dies_run_elsewhere_once_and_it_comes_back() {
    let world = World::start().await;
    let store = world.store();
    let mut engine = world.engine(store.clone());
    until(&mut engine, "an epoch", || world.well(&store)).await;
    world.cut("n1");
    until(&mut engine, "the host is back", || world.is_back("n1", &store)).await;
    assert_eq!(world.hosts_of_vms(), [("a", "n2"), ("b", "n2")]);
    let mut events = world.events();
    // Both are sent at once.
    events.get_mut(2..4).unwrap().sort();
    let order = [
        "command --fence n1 --timeout 120",
        "PUT s-n1 {\"status\":\"disabled\",\"forced_down\":true}",
        "evacuate a to n2",
        "evacuate b to n2",
        "fence_a on n1",
        "PUT s-n1 {\"forced_down\":false}",
        "PUT s-n1 {\"status\":\"enabled\"}",
    ];
    assert_eq!(events, order, "{events:#?}");
    // The journal gives each decision again.
    let lines = crate::journal::lines(&world.journal()).unwrap();
    assert!(lines.len() > 5, "{}", lines.len());
    for line in &lines {
        assert_eq!(line.replay(), line.decision);
    }
    let told = evac::explain(&HostId::from("n1"), &lines).join("\n");
    assert!(told.contains("VM a is evacuated to n2"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_die_after_every_few_rounds_are_continued_without_a_second_evacuation() {
    let world = World::start().await;
    let store = world.store();
    let mut engine = world.engine(store.clone());
    until(&mut engine, "an epoch", || world.well(&store)).await;
    drop(engine);
    world.cut("n1");
    let mut engines = 0;
    while !world.is_back("n1", &store) {
        engines += 1;
        assert!(
            engines < 60,
            "it does not end: {:?} {:#?}",
            store.phases(),
            world.events()
        );
        let mut engine = world.engine(store.clone());
        for _ in 0..25 {
            engine.round().await.unwrap();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    assert!(engines > 2, "{engines}");
    assert_eq!(world.hosts_of_vms(), [("a", "n2"), ("b", "n2")]);
    let mut sent: Vec<String> = world
        .events()
        .into_iter()
        .filter(|e| e.starts_with("evacuate"))
        .collect();
    sent.sort();
    assert_eq!(sent, ["evacuate a to n2", "evacuate b to n2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_was_overtaken_ends() {
    let world = World::start().await;
    let store = world.store();
    let mut engine = world.engine(store.clone());
    until(&mut engine, "an epoch", || world.well(&store)).await;
    store.claim("c2", 1).await.unwrap();
    assert!(matches!(engine.round().await, Err(Error::StoodDown(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_database_quorum_or_proof_nothing_is_cut() {
    let world = World::start().await;
    let store = world.store();
    let mut engine = world.engine(store.clone());
    until(&mut engine, "an epoch", || world.well(&store)).await;
    store.fail(true);
    world.cut("n1");
    let rounds = async |engine: &mut Engine<MemoryStore>| {
        for _ in 0..60 {
            engine.round().await.unwrap();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    rounds(&mut engine).await;
    store.fail(false);
    world.quorate(false);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    rounds(&mut engine).await;
    assert_eq!(store.phases(), []);
    assert_eq!(world.events(), Vec::<String>::new());
    world.quorate(true);
    until(&mut engine, "proved dead", || {
        store
            .phases()
            .iter()
            .any(|(_, phase)| *phase == Phase::Evacuating)
    })
    .await;
    assert!(world.events()[0].starts_with("command --fence n1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_host_is_restarted_in_peace_unless_it_still_has_vms() {
    let world = World::start().await;
    let store = world.store();
    world.drain("n1");
    world.drain("n3");
    let mut engine = world.engine(store.clone());
    until(&mut engine, "an epoch", || world.well(&store)).await;
    world.cut("n3");
    for _ in 0..60 {
        engine.round().await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(world.events(), Vec::<String>::new());
    world.cut("n1");
    until(&mut engine, "its VMs run elsewhere", || {
        world.hosts_of_vms() == [("a", "n2"), ("b", "n2")]
    })
    .await;
    assert!(!world.events().iter().any(|event| event.contains("n3")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_proof_of_its_devices_is_left() {
    let world = World::start().await;
    let store = MemoryStore::default();
    let mut engine = world.engine(store.clone());
    until(&mut engine, "an epoch", || world.well(&store)).await;
    world.cut("n1");
    for _ in 0..60 {
        engine.round().await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(world.events(), Vec::<String>::new());
    let metrics = std::fs::read_to_string(world.metrics()).unwrap();
    assert!(metrics.contains("quorate_evac_hosts_unproved 3"), "{metrics}");
    assert!(
        metrics.contains("quorate_evac_epoch 0\n") || metrics.contains("quorate_evac_epoch 1\n"),
        "{metrics}"
    );
}

/// The whole way with rows in a real database, which goes away in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a database server"]
async fn a_recovery_with_rows_in_a_database() {
    let mut server = sqld::Server::start().await;
    let world = World::start().await;
    let store = server.store();
    store.prepare().await.unwrap();
    for host in &world.config().hosts {
        let device = host.devices[0][0].name(0);
        let id = HostId::from(host.name.as_str());
        store.prove(&id, &device, "op").await.unwrap();
    }
    let mut engine = world.engine(server.store());
    until(&mut engine, "the cloud was looked at", || world.looked()).await;
    world.cut("n1");
    until(&mut engine, "a VM is sent", || {
        world.events().iter().any(|e| e.starts_with("evacuate"))
    })
    .await;
    server.stop();
    for _ in 0..20 {
        engine.round().await.unwrap();
    }
    server.restart().await;
    until(&mut engine, "the host is back", || world.is_in_use("n1")).await;
    assert_eq!(world.hosts_of_vms(), [("a", "n2"), ("b", "n2")]);
    let sent = world
        .events()
        .iter()
        .filter(|e| e.starts_with("evacuate"))
        .count();
    assert_eq!(sent, 2);
    let mut recoveries = Vec::new();
    for _ in 0..200 {
        engine.round().await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
        recoveries = store.recoveries(10).await.unwrap();
        if recoveries.iter().all(|one| one.ended.is_some()) {
            break;
        }
    }
    assert_eq!(recoveries.len(), 1);
    assert!(
        recoveries[0]
            .outcome
            .as_ref()
            .is_some_and(|how| how.starts_with("back after")),
        "{recoveries:?}"
    );
    let (steps, moved) = store.recovery(recoveries[0].id).await.unwrap();
    let phases: Vec<&str> = steps.iter().map(|s| s.phase.as_str()).collect();
    assert_eq!(phases, ["Fencing", "Evacuating", "Returning"]);
    assert_eq!(moved.len(), 2);
}
