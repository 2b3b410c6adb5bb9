//! Boundaries and laws of an observer's memory. Not for sockets: `tests/loopback.rs` has them.

mod gossip;

use proptest::prelude::*;
use wire::Fact;

use super::*;
use crate::Key;
use crate::beat::{Beat, Health};
use crate::key::KEY;
use crate::told::{Echo, Host as ToldHost};

const NOW: u64 = 10_000;

/// Controllers c1 to c3 and hosts h1 and h2 on two networks, as `me` is told of them.
fn config(me: u8) -> Config {
    let names = ["management", "storage"];
    let address = |network: usize, last: u8| format!("198.51.{}.{last}", 100 + network);
    let addresses = |last: u8| {
        let all = names.iter().enumerate();
        let all: Vec<String> = all
            .map(|(n, name)| format!("{name:?}: {:?}", address(n, last)))
            .collect();
        format!("{{{}}}", all.join(","))
    };
    let listen = names.iter().enumerate();
    let listen: Vec<String> = listen
        .map(|(n, name)| format!(r#"{{"network": {name:?}, "address": {:?}}}"#, address(n, me)))
        .collect();
    let key = |n: u8| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode([n; KEY])
    };
    let hosts: Vec<String> = [1, 2]
        .map(|n| {
            format!(
                r#"{{"host": "h{n}", "key": {:?}, "addresses": {}}}"#,
                key(n),
                addresses(10 + n)
            )
        })
        .to_vec();
    let peers: Vec<String> = [1, 2, 3]
        .iter()
        .filter(|n| **n != me)
        .map(|n| format!(r#"{{"controller": "c{n}", "addresses": {}}}"#, addresses(*n)))
        .collect();
    let text = format!(
        r#"{{"me": "c{me}", "listen": [{}], "hosts": [{}], "peers": [{}], "peers_key": {:?}}}"#,
        listen.join(","),
        hosts.join(","),
        peers.join(","),
        key(99)
    );
    serde_json::from_str(&text).unwrap()
}

fn table(me: u8, session: u8, at: u64) -> Table {
    let mut table = Table::new(&config(me), [session; 16], at);
    for network in [0, 1] {
        table.listens(network, Some(at));
    }
    table
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Content of a datagram from h1 to c1 on the management network.
fn beat(boot: u8, sequence: u64) -> Beat<'static> {
    Beat {
        host: "h1",
        network: "management",
        to: ip("198.51.100.1"),
        boot: [boot; 16],
        sequence,
        up_ms: 5_000,
        health: Health::read([2, 2, 1]),
    }
}

fn written(beat: &Beat, key: u8) -> Vec<u8> {
    beat.write(&Key::new(&[key; KEY])).unwrap()
}

/// Hears what comes from the address of h1 on the management network.
fn hear(table: &mut Table, at: u64, datagram: &[u8]) -> Verdict {
    table.hear(at, 0, ip("198.51.100.11"), datagram)
}

fn host<'a>(hosts: &'a [ToldHost], name: &str) -> &'a ToldHost {
    hosts.iter().find(|h| h.host == *name).unwrap()
}

fn age(table: &Table, at: u64) -> Fact<u64> {
    host(&table.tell(at).own.hosts, "h1").paths[0].age_ms.clone()
}

#[test]
fn only_what_the_host_itself_sent_here_counts() {
    let check = |change: &dyn Fn(&mut Beat), key: u8, from: (usize, &str), expect: Verdict| {
        let mut table = table(1, 1, 0);
        let mut beat = beat(1, 1);
        change(&mut beat);
        let verdict = table.hear(NOW, from.0, ip(from.1), &written(&beat, key));
        assert_eq!(verdict, expect, "{beat:?} from {from:?}");
        let counted = age(&table, NOW) == Fact::Known(0);
        assert_eq!(counted, expect == Verdict::Counted);
    };
    let home = (0, "198.51.100.11");
    check(&|_| {}, 1, home, Verdict::Counted);
    check(&|_| {}, 2, home, Verdict::Forged);
    check(&|b| b.host = "h2", 2, home, Verdict::Misplaced);
    check(&|_| {}, 1, (0, "198.51.100.12"), Verdict::Misplaced);
    check(&|_| {}, 1, (0, "198.51.100.99"), Verdict::Stranger);
    check(&|_| {}, 1, (1, "198.51.100.11"), Verdict::Stranger);
    check(&|_| {}, 1, (1, "198.51.101.11"), Verdict::Misplaced);
    check(&|b| b.network = "storage", 1, home, Verdict::Misplaced);
    check(&|b| b.to = ip("198.51.100.2"), 1, home, Verdict::Misplaced);
    check(&|_| {}, 1, (0, "::ffff:198.51.100.11"), Verdict::Counted);
}

#[test]
fn a_datagram_counts_once_and_none_of_an_earlier_boot() {
    let mut table = table(1, 1, 0);
    let mut at = NOW;
    let mut check = |boot, sequence, expect| {
        at += 250;
        let verdict = hear(&mut table, at, &written(&beat(boot, sequence), 1));
        assert_eq!(verdict, expect, "{boot} {sequence}");
    };
    check(1, 100, Verdict::Counted);
    check(1, 100, Verdict::Replayed);
    check(1, 101, Verdict::Counted);
    check(1, 99, Verdict::Counted);
    check(1, 30, Verdict::Replayed);
    check(2, 5, Verdict::Counted);
    check(1, 102, Verdict::Replayed);
    check(2, 6, Verdict::Counted);
    check(2, 5, Verdict::Replayed);
}

#[test]
fn silence_counts_only_while_it_is_listened_to() {
    let check = |listens: Option<u64>, heard: Option<u64>, stopped: Option<(u64, u64)>, expect: Fact<u64>| {
        let mut table = table(1, 1, 0);
        table.listens(0, listens);
        for n in 1..NOW / 10 {
            let at = n * 10;
            if heard == Some(at) {
                assert_eq!(hear(&mut table, at, &written(&beat(1, 1), 1)), Verdict::Counted);
            }
            if stopped.is_none_or(|(from, to)| at <= from || at >= to) {
                table.looked(at);
            }
        }
        table.looked(NOW);
        assert_eq!(age(&table, NOW), expect, "{listens:?} {heard:?} {stopped:?}");
    };
    let unknown = |why: &str| Fact::Unknown(why.to_owned());
    check(Some(0), None, None, Fact::Absent);
    check(Some(0), Some(4_000), None, Fact::Known(6_000));
    check(
        None,
        Some(4_000),
        None,
        unknown("the observer does not listen on management"),
    );
    let only = |ms| {
        unknown(&format!(
            "the observer has listened on management for {ms} ms only"
        ))
    };
    check(Some(9_501), None, None, only(499));
    check(Some(9_500), None, None, Fact::Absent);
    // Not looked at for longer than a period: that counts for nothing, and what was counted
    // before still counts. An age that began anew was taken for a host that came back.
    check(Some(0), Some(4_000), Some((5_000, 9_600)), only(400));
    check(Some(0), Some(4_000), Some((5_000, 9_500)), Fact::Known(1_500));
    check(Some(0), Some(9_700), Some((5_000, 9_600)), Fact::Known(300));
    check(Some(0), Some(4_000), Some((9_000, 9_250)), Fact::Known(6_000));
}

#[test]
fn the_longest_time_without_a_look_is_told_for_a_while() {
    let mut table = table(1, 1, 0);
    table.looked(700);
    table.looked(800);
    let late = |table: &Table, at| table.tell(at).own.late_ms;
    assert_eq!(late(&table, 10_700), Fact::Known(700));
    table.looked(10_701);
    assert_eq!(
        late(&table, 10_701),
        Fact::Known(9_901),
        "a new one ends the old one"
    );
    let last = (10_702..30_000)
        .step_by(10)
        .inspect(|at| table.looked(*at))
        .last();
    assert_eq!(late(&table, last.unwrap()), Fact::Known(10));
}

#[test]
fn a_flood_costs_little_and_silences_nobody() {
    let mut table = table(1, 1, 0);
    assert_eq!(hear(&mut table, NOW, &written(&beat(1, 1), 1)), Verdict::Counted);
    // Of its own: a few in a period are looked at.
    let looks = (0..250).filter(|n| {
        let datagram = written(&beat(1, 2 + n), 1);
        hear(&mut table, NOW + n, &datagram) != Verdict::Surplus
    });
    assert_eq!(looks.count(), 8);
    // Forgeries in its name, more than are looked at: what is due counts all the same.
    let at = NOW + 500;
    let forged: Vec<Verdict> = (0..100)
        .map(|n| hear(&mut table, at, &written(&beat(3, n), 2)))
        .collect();
    let bad = usize::try_from(BAD).unwrap();
    assert!(forged[..bad].iter().all(|v| *v == Verdict::Forged));
    assert!(forged[bad..].iter().all(|v| *v == Verdict::Surplus));
    assert_eq!(hear(&mut table, at, &written(&beat(1, 252), 1)), Verdict::Counted);
    // In the next period also what is not due: the host was started again.
    assert_eq!(
        hear(&mut table, at + 249, &written(&beat(2, 1), 1)),
        Verdict::Surplus
    );
    assert_eq!(
        hear(&mut table, at + 250, &written(&beat(2, 1), 1)),
        Verdict::Counted
    );
    // And another host at any time.
    let other = Beat {
        host: "h2",
        ..beat(1, 1)
    };
    assert_eq!(
        table.hear(at, 0, ip("198.51.100.12"), &written(&other, 2)),
        Verdict::Counted
    );
    let refused = table.tell(at).refused;
    assert_eq!((refused.forged, refused.surplus), (16, 242 + 84 + 1));
}

#[test]
fn kernels_of_silent_hosts_are_asked_in_turn() {
    let mut table = table(1, 1, 0);
    let asked = |table: &mut Table, at, most| {
        let questions = table.questions(at, most);
        questions
            .iter()
            .map(|q| (q.network, q.to.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        asked(&mut table, 499, 9),
        [],
        "it has not listened for long enough"
    );
    assert_eq!(hear(&mut table, NOW, &written(&beat(1, 1), 1)), Verdict::Counted);
    let of = |network: usize, host: u8| (network, format!("198.51.{}.{host}", 100 + network));
    assert_eq!(asked(&mut table, NOW, 2), [of(1, 11), of(0, 12)]);
    assert_eq!(asked(&mut table, NOW, 9), [of(1, 12)]);
    assert_eq!(asked(&mut table, NOW + 499, 9), []);
    assert_eq!(asked(&mut table, NOW + 500, 9), [of(0, 11)]);
    let first = table.questions(NOW + 1_000, 1)[0];
    assert_eq!(first.to, ip("198.51.101.11"));
    let echo = |table: &Table, at| host(&table.tell(at).own.hosts, "h1").paths[1].echo.clone();
    table.answered(NOW + 1_100, first, Some(false));
    assert_eq!(
        echo(&table, NOW + 1_300),
        Fact::Known(Echo {
            answers: false,
            age_ms: 200
        })
    );
    let unknown = Fact::Unknown("not asked lately".to_owned());
    assert_eq!(echo(&table, NOW + 1_100 + 5_000), unknown);
    table.answered(NOW + 1_400, first, None);
    assert_eq!(echo(&table, NOW + 1_400), unknown, "it could not be asked");
}

proptest! {
    /// Whatever arrives, from wherever: no panic, and nothing without the key is heard.
    #[test]
    fn what_has_no_key_is_never_heard(
        datagrams in prop::collection::vec((any::<bool>(), 0_usize..3, 0_u8..20, prop::collection::vec(any::<u8>(), 0..160)), 0..60),
    ) {
        let mut table = table(1, 1, 0);
        for (n, (host, network, last, bytes)) in datagrams.iter().enumerate() {
            let mut datagram = if *host { written(&beat(1, 1), 1) } else { bytes.clone() };
            let whole = datagram.clone();
            for (to, from) in datagram.iter_mut().zip(bytes) {
                *to ^= *from;
            }
            let from = ip(&format!("198.51.{}.{last}", 100 + network));
            let verdict = table.hear(NOW + n as u64 * 250, *network, from, &datagram);
            prop_assert!(verdict != Verdict::Counted || (*host && datagram == whole));
        }
    }
}
