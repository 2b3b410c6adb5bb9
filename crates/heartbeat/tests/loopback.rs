//! The sender of the catalogue and observers, over real sockets on loopback addresses.
//!
//! Not for single decisions, which tests beside the code have. Conditions are waited for.

#[path = "support/cloud.rs"]
mod cloud;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloud::{Cloud, NETWORKS, beat, host, key, peer};
use heartbeat::beat::{Storage, Unit};
use heartbeat::told::{Echo, Host, Tables};
use heartbeat::{Error, ask};
use serde_json::json;
use wire::Fact;

/// Heard within two periods on every network.
fn is_fresh(host: &Host) -> bool {
    host.paths.len() == NETWORKS.len()
        && host
            .paths
            .iter()
            .all(|p| matches!(p.age_ms, Fact::Known(ms) if ms < 500))
}

fn all_unknown(host: &Host) -> bool {
    host.paths.len() == NETWORKS.len()
        && host
            .paths
            .iter()
            .all(|p| matches!((&p.age_ms, &p.echo), (Fact::Unknown(_), Fact::Unknown(_))))
}

#[tokio::test]
async fn a_host_is_heard_by_all_and_missed_by_all() {
    let cloud = Cloud::new(3, 2);
    let observers: Vec<_> = [1, 2, 3].map(|c| cloud.observe(c)).into_iter().collect();
    let sender = cloud.send(1, "", &json!({"instances": cloud.folder.path()}));
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for me in [1, 2, 3] {
        let tables = (cloud.wait(me, "all hear h1", |t| {
            let told = t.peers.iter().map(|p| &p.table).chain([&t.own]);
            told.map(|table| host(table, "h1")).all(|h1| {
                is_fresh(h1)
                    && h1.boot == Fact::Known(boot.trim().to_owned())
                    && h1.health.storage == Fact::Known(Storage::Answers)
                    && h1.health.unit == Fact::Absent
            })
        }))
        .await;
        let refused = tables.refused;
        assert_eq!(
            (
                refused.stranger,
                refused.malformed,
                refused.misplaced,
                refused.forged
            ),
            (0, 0, 0, 0)
        );
    }

    // One of them ends: it says nothing of anybody any more, the others do.
    observers[2].abort();
    for me in [1, 2] {
        let gone = |t: &Tables| all_unknown(host(peer(t, "c3"), "h1"));
        let tables = cloud.wait(me, "c3 is missed", gone).await;
        assert!(is_fresh(host(&tables.own, "h1")), "{tables:#?}");
        let other = ["c2", "c1"][usize::from(me) - 1];
        assert!(is_fresh(host(peer(&tables, other), "h1")), "{tables:#?}");
    }
    assert!(observers[..2].iter().all(|o| !o.is_finished()));

    // The sender ends: its host's kernel answers all the same. The other host never sent.
    drop(sender);
    let silent = |h: &Host, heard: bool| {
        h.paths.iter().all(|p| {
            let missed = match p.age_ms {
                Fact::Known(ms) => heard && ms > 500,
                Fact::Absent => !heard,
                Fact::Unknown(_) => false,
            };
            missed && matches!(p.echo, Fact::Known(Echo { answers: true, .. }))
        })
    };
    for me in [1, 2] {
        let other = ["c2", "c1"][usize::from(me) - 1];
        (cloud.wait(me, "h1 is missed, h2 never came", |t| {
            let tables = [&t.own, peer(t, other)];
            (tables.iter()).all(|t| silent(host(t, "h1"), true) && silent(host(t, "h2"), false))
        }))
        .await;
    }

    // It goes on in the same boot, above the sequence that it had.
    let _sender = cloud.send(1, "", &json!({}));
    cloud
        .wait(1, "h1 is back", |t| is_fresh(host(&t.own, "h1")))
        .await;
    // So does the observer that ended, in another session.
    let _third = cloud.observe(3);
    (cloud.wait(1, "c3 is back", |t| is_fresh(host(peer(t, "c3"), "h1")))).await;
}

/// Before the sender: the wall clock cannot be read, and that of the boot is years ahead.
const CLOCKS: &str = "
import time
real = time.clock_gettime_ns
def shifted(clock):
    assert clock == time.CLOCK_BOOTTIME, clock
    return real(clock) + 10 ** 18
def never(*_):
    raise AssertionError('the wall clock was read')
time.clock_gettime_ns, time.time, time.time_ns = shifted, never, never
";

#[tokio::test]
async fn a_wrong_clock_of_the_sender_changes_nothing() {
    let cloud = Cloud::new(1, 1);
    let _observer = cloud.observe(1);
    let ahead = |t: &Tables| matches!(host(&t.own, "h1").up_ms, Fact::Known(ms) if ms > 1_000_000_000_000);
    let first = cloud.send(1, CLOCKS, &json!({}));
    let holds = |t: &Tables| is_fresh(host(&t.own, "h1")) && ahead(t);
    cloud.wait(1, "heard with a clock ahead", holds).await;
    drop(first);
}

/// Before the sender: storage that never answers.
const HANGS: &str = "
import os, threading
os.statvfs = lambda path: threading.Event().wait()
";

#[tokio::test]
async fn storage_that_hangs_is_told_and_holds_up_nothing() {
    let cloud = Cloud::new(1, 2);
    let _observer = cloud.observe(1);
    let instances = json!({"instances": cloud.folder.path()});
    let missing = json!({"instances": cloud.folder.path().join("missing")});
    let _senders = [cloud.send(1, HANGS, &instances), cloud.send(2, "", &missing)];
    (cloud.wait(1, "h1 hangs, h2 fails, both live", |t| {
        let [h1, h2] = ["h1", "h2"].map(|name| host(&t.own, name));
        is_fresh(h1)
            && is_fresh(h2)
            && h1.health.storage == Fact::Known(Storage::Hangs)
            && h2.health.storage == Fact::Known(Storage::Fails)
    }))
    .await;
}

#[tokio::test]
async fn the_unit_is_told_as_systemd_has_it() {
    let cloud = Cloud::new(1, 1);
    let _observer = cloud.observe(1);
    let systemctl = cloud.folder.path().join("systemctl");
    let state = cloud.folder.path().join("state");
    // In place of systemd's: it wants the words that the sender is to give.
    let text = format!(
        "#!/bin/sh\n[ \"$*\" = 'show --property=LoadState --property=ActiveState -- runs.service' ] && cat {}\n",
        state.display()
    );
    std::fs::write(&systemctl, text).unwrap();
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(&state, "").unwrap();
    let _sender = cloud.send(1, "", &json!({"unit": "runs.service"}));
    for (text, expect) in [
        ("", None),
        (
            "LoadState=loaded\nActiveState=active\n",
            Some(Fact::Known(Unit::Active)),
        ),
        (
            "LoadState=loaded\nActiveState=activating\n",
            Some(Fact::Known(Unit::Inactive)),
        ),
        ("LoadState=not-found\nActiveState=inactive\n", Some(Fact::Absent)),
    ] {
        std::fs::write(&state, text).unwrap();
        (cloud.wait(1, text, |t| {
            let unit = &host(&t.own, "h1").health.unit;
            is_fresh(host(&t.own, "h1"))
                && match &expect {
                    Some(expect) => unit == expect,
                    None => matches!(unit, Fact::Unknown(_)),
                }
        }))
        .await;
    }
}

#[tokio::test]
async fn what_is_forged_or_recorded_is_counted_and_not_heard() {
    let cloud = Cloud::new(1, 2);
    let _observer = cloud.observe(1);
    (cloud.wait(1, "it listens", |t| {
        t.own.listens.iter().all(|l| l.since_ms.known().is_some())
    }))
    .await;
    let to = cloud.controller(0, 1);
    let [h1, h2] = [1, 2].map(|h| cloud.socket_of(h, 0));
    let own = beat("h1", to, 9).write(&key(1)).unwrap();
    let of_h2 = beat("h1", to, 10).write(&key(2)).unwrap();
    // From the address of another host, with another host's key, garbage, a stranger.
    cloud.throw(&h2, 0, 1, &own);
    cloud.throw(&h1, 0, 1, &of_h2);
    cloud.throw(&h1, 0, 1, b"garbage");
    cloud.throw(&cloud.socket_of(9, 0), 0, 1, &own);
    let told = cloud
        .wait(1, "all are counted", |t| {
            let r = t.refused;
            (r.misplaced, r.forged, r.malformed, r.stranger) == (1, 1, 1, 1)
        })
        .await;
    assert!(host(&told.own, "h1").boot.is_absent() && host(&told.own, "h2").boot.is_absent());
    // The host itself, and the same again.
    cloud.throw(&h1, 0, 1, &own);
    let heard = |t: &Tables| host(&t.own, "h1").up_ms == Fact::Known(9);
    cloud.wait(1, "h1 is heard", heard).await;
    // Until it is looked at: so soon after the first it is not.
    (cloud.wait(1, "the record is refused", |t| {
        cloud.throw(&h1, 0, 1, &own);
        t.refused.replayed > 0
    }))
    .await;
}

#[tokio::test]
async fn a_flood_of_one_host_silences_no_other() {
    let cloud = Arc::new(Cloud::new(1, 2));
    let _observer = cloud.observe(1);
    (cloud.wait(1, "it listens", |t| {
        t.own.listens.iter().all(|l| l.since_ms.known().is_some())
    }))
    .await;
    let to = cloud.controller(0, 1);
    let done = Arc::new(AtomicBool::new(false));
    let flood = {
        let (cloud, done) = (Arc::clone(&cloud), Arc::clone(&done));
        std::thread::spawn(move || {
            let from = cloud.socket_of(1, 0);
            let datagrams: Vec<_> = (0..1_000)
                .map(|n| beat("h1", to, n).write(&key(1)).unwrap())
                .collect();
            while !done.load(Ordering::Relaxed) {
                for datagram in &datagrams {
                    cloud.throw(&from, 0, 1, datagram);
                }
            }
        })
    };
    (cloud.wait(1, "the flood is there", |t| t.refused.surplus > 10_000)).await;
    let from = cloud.socket_of(2, 0);
    let mut sequence = 0;
    for round in 1..=20 {
        // What the kernel had no room for is followed by the next one, as a sender does.
        (cloud.wait(1, "h2 is heard through the flood", |t| {
            if *host(&t.own, "h2").up_ms.known().unwrap_or(&0) >= round {
                return true;
            }
            sequence += 1;
            let beat = heartbeat::beat::Beat {
                up_ms: round,
                ..beat("h2", to, sequence)
            };
            cloud.throw(&from, 0, 1, &beat.write(&key(2)).unwrap());
            false
        }))
        .await;
    }
    done.store(true, Ordering::Relaxed);
    flood.join().unwrap();
}

#[tokio::test]
async fn who_asks_is_root_and_is_answered_in_time_or_told_why() {
    let cloud = Cloud::new(1, 0);
    let nobody = ask(cloud.socket(1)).await.unwrap_err();
    assert!(matches!(nobody, Error::Socket { .. }), "{nobody}");
    // One that an earlier observer left is replaced.
    std::fs::write(cloud.socket(1), "").unwrap();
    let _observer = cloud.observe(1);
    cloud.wait(1, "it answers", |_| true).await;
    let mode = std::fs::metadata(cloud.socket(1)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second one does not take the first one's place.
    let refused = cloud.observe(1).await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::Listen { .. }), "{refused}");
    cloud.wait(1, "the first still answers", |_| true).await;
    let stands = tempfile::tempdir().unwrap();
    let stands = stands.path().join("stands.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&stands).unwrap();
    let late = ask(&stands).await.unwrap_err();
    assert!(matches!(late, Error::Late { limit_ms: 1_000, .. }), "{late}");
}
