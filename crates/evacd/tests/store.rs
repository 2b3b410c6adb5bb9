//! The store against a real server. It is asked for by name, since not every machine has one:
//! `QUORATE_SQLD_ROOT=/path cargo test -p evacd --test store -- --ignored`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "support/sqld.rs"]
mod sqld;

use evac::{Answer, BootId, Confirmed, HostId, Intent, Phase, Proof, Sent};
use evacd::store::{People as _, Store as _, StoreError, Word};
use evacd::{SqlStore, config::StoreConfig};
use sqld::Server;

fn intent(epoch: u64, phase: Phase) -> Intent {
    Intent {
        host: HostId::from("n1"),
        boot: Some(BootId::from("b1")),
        epoch,
        phase,
        why: format!("{phase:?} by epoch {epoch}; \u{e9}\u{1f4a5} '\"\\"),
        proof: (phase == Phase::Evacuating).then(|| Proof::PowerOff {
            device: "1:fence_x:0".into(),
        }),
        disabled_before: None,
    }
}

fn sent(epoch: u64) -> Sent {
    Sent {
        vm: "vm1".into(),
        epoch,
        host: HostId::from("n1"),
        target: HostId::from("n2"),
        after: 7,
    }
}

#[tokio::test]
#[ignore = "needs a database server"]
async fn the_rows_of_a_recovery() {
    let server = Server::start().await;
    let store = server.store();
    store.prepare().await.unwrap();
    store.prepare().await.unwrap();
    assert_eq!(store.read(1000).await.unwrap(), evacd::store::Rows::default());

    // Nobody writes before a claim, and a claim is above what it says.
    assert_eq!(
        store.write(&intent(1, Phase::Fencing)).await,
        Err(StoreError::Overtaken(1))
    );
    assert_eq!(store.claim("c1", 3).await, Err(StoreError::Overtaken(3)));
    assert_eq!(store.claim("c1", 0).await, Ok(1));
    let leader = store.read(1000).await.unwrap().store.leader.unwrap();
    assert_eq!((leader.epoch, leader.controller.as_str()), (1, "c1"));

    // An evacuation needs an intent whose host is proved dead.
    let host = HostId::from("n1");
    assert_eq!(store.insert(&sent(1)).await, Ok(false));
    store.write(&intent(1, Phase::Fencing)).await.unwrap();
    assert_eq!(store.insert(&sent(1)).await, Ok(false));
    assert_eq!(
        store.intent(1, &host).await.unwrap(),
        Some(intent(1, Phase::Fencing))
    );
    store.write(&intent(1, Phase::Evacuating)).await.unwrap();
    assert_eq!(store.insert(&sent(1)).await, Ok(true));
    assert_eq!(store.insert(&sent(1)).await, Ok(false));
    let rows = store.read(60_000).await.unwrap().store;
    assert_eq!(rows.intents[0].intent, intent(1, Phase::Evacuating));
    assert_eq!(
        (rows.sent[0].sent.clone(), rows.sent[0].answer.clone()),
        (sent(1), Answer::Unknown)
    );
    assert_eq!(rows.opened_ms.len(), 1);
    store
        .answer(&sent(1), &Answer::Refused("409: \u{e9}".to_owned()))
        .await
        .unwrap();
    let rows = store.read(60_000).await.unwrap().store;
    assert_eq!(rows.sent[0].answer, Answer::Refused("409: \u{e9}".to_owned()));

    // Another engine takes over: the first can no longer write.
    let other = server.store();
    assert_eq!(other.claim("c2", 1).await, Ok(2));
    let overtaken = StoreError::Overtaken(1);
    assert_eq!(
        store.write(&intent(1, Phase::Returning)).await,
        Err(overtaken.clone())
    );
    assert_eq!(store.insert(&sent(1)).await, Err(overtaken.clone()));
    assert_eq!(
        store.answer(&sent(1), &Answer::Accepted).await,
        Err(overtaken.clone())
    );
    assert_eq!(store.forget(1, &host, "no").await, Err(overtaken.clone()));
    assert_eq!(store.intent(1, &host).await, Err(overtaken));
    assert_eq!(other.insert(&sent(2)).await, Ok(true));

    other
        .confirm(&host, Some(&BootId::from("b1")), "op")
        .await
        .unwrap();
    other.forget(2, &host, "back").await.unwrap();
    let rows = other.read(60_000).await.unwrap().store;
    assert_eq!(
        (rows.intents.len(), rows.sent.len(), rows.confirmed.len()),
        (0, 0, 0)
    );
    assert_eq!(rows.opened_ms.len(), 1);
    assert_eq!(other.intent(2, &host).await, Ok(None));

    // The same death of the same VM in a later recovery, in the same epoch, is another row.
    other.write(&intent(2, Phase::Evacuating)).await.unwrap();
    assert_eq!(other.insert(&sent(2)).await, Ok(true));

    let recoveries = other.recoveries(10).await.unwrap();
    let shown: Vec<_> = recoveries
        .iter()
        .map(|r| (r.host.as_str(), r.outcome.as_deref(), r.ended.is_some()))
        .collect();
    assert_eq!(shown, [("n1", None, false), ("n1", Some("back"), true)]);
    let (steps, moved) = other.recovery(recoveries[1].id).await.unwrap();
    let phases: Vec<_> = steps.iter().map(|s| (s.epoch, s.phase.as_str())).collect();
    assert_eq!(phases, [(1, "Fencing"), (1, "Evacuating")]);
    let moved: Vec<_> = moved.iter().map(|m| (m.target.as_str(), &m.answer)).collect();
    assert_eq!(
        moved,
        [
            ("n2", &Answer::Refused("409: \u{e9}".to_owned())),
            ("n2", &Answer::Unknown)
        ]
    );
    assert!(recoveries[0].began >= recoveries[1].began && recoveries[0].began.as_second() > 0);
}

#[tokio::test]
#[ignore = "needs a database server"]
async fn words_of_people() {
    let server = Server::start().await;
    let store = server.store();
    store.prepare().await.unwrap();
    let host = HostId::from("n1");
    store.say(Word::Release, Some(60_000), "op").await.unwrap();
    store.say(Word::Pause, None, "op").await.unwrap();
    store.confirm(&host, None, "op").await.unwrap();
    store.prove(&host, "1:fence_x:0", "op").await.unwrap();
    store.prove(&host, "1:fence_x:0", "op").await.unwrap();
    let rows = store.read(0).await.unwrap();
    assert!(rows.store.paused);
    assert!(
        rows.store
            .released_ms
            .is_some_and(|ms| (1..=60_000).contains(&ms))
    );
    assert_eq!(
        rows.store.confirmed,
        [Confirmed {
            host: host.clone(),
            boot: None
        }]
    );
    assert!(rows.proofs[&host]["1:fence_x:0"] < 60_000);
    store.say(Word::Release, Some(0), "op").await.unwrap();
    store.say(Word::Pause, Some(0), "op").await.unwrap();
    let rows = store.read(0).await.unwrap();
    assert_eq!((rows.store.paused, rows.store.released_ms), (false, None));
}

/// Many engines that begin at once: one epoch each, and never the same.
#[tokio::test]
#[ignore = "needs a database server"]
async fn one_of_many_claims_comes_through() {
    let server = Server::start().await;
    let first = server.store();
    first.prepare().await.unwrap();
    for above in 0..5 {
        let stores: Vec<_> = (0..8).map(|_| server.store()).collect();
        let claims = stores.iter().map(|store| store.claim("c", above));
        let won = futures::future::join_all(claims)
            .await
            .into_iter()
            .flatten()
            .count();
        assert_eq!(won, 1, "above {above}");
    }
}

/// A write that waits while another engine claims does not come through.
#[tokio::test]
#[ignore = "needs a database server"]
async fn a_claim_and_a_write_at_once() {
    let server = Server::start().await;
    let (old, new) = (server.store(), server.store());
    old.prepare().await.unwrap();
    let mut epoch = old.claim("c1", 0).await.unwrap();
    for _ in 0..20 {
        let fencing = intent(epoch, Phase::Fencing);
        let (wrote, claimed) = tokio::join!(old.write(&fencing), new.claim("c2", epoch));
        epoch = claimed.unwrap();
        let rows = new.read(0).await.unwrap().store;
        let there = rows.intents.iter().any(|row| row.intent.epoch == epoch - 1);
        assert_eq!(wrote.is_ok(), there, "{wrote:?}");
        assert_eq!(old.write(&fencing).await, Err(StoreError::Overtaken(epoch - 1)));
    }
}

#[tokio::test]
#[ignore = "needs a database server"]
async fn a_server_that_goes_is_failed_and_one_that_comes_back_is_used() {
    let mut server = Server::start().await;
    let store = server.store();
    store.prepare().await.unwrap();
    store.claim("c1", 0).await.unwrap();
    store.read(0).await.unwrap();
    server.stop();
    assert!(matches!(store.read(0).await, Err(StoreError::Failed(_))));
    assert!(matches!(
        store.write(&intent(1, Phase::Fencing)).await,
        Err(StoreError::Failed(_))
    ));
    server.restart().await;
    store.write(&intent(1, Phase::Fencing)).await.unwrap();
    assert_eq!(store.read(0).await.unwrap().store.intents.len(), 1);
}
