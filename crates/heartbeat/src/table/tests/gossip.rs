//! Two observers that tell each other, without sockets: sessions, replays, what grows old.
//!
//! Not for VM hosts, which the folder's other tests have.

use super::*;
use crate::beat::Unit;
use crate::told::{Peer, Tables};

/// Delivers what one observer tells another, but for the networks that are cut.
fn deliver(from: &mut Table, to: &mut Table, me: u8, at: u64, cut: &[usize]) -> Vec<Verdict> {
    let own: Vec<IpAddr> = to.networks.own().filter_map(|(_, n)| n.address).collect();
    let letters = from.letters(at).into_iter();
    letters
        .filter(|l| own.get(l.network) == Some(&l.to) && !cut.contains(&l.network))
        .map(|l| {
            to.hear(
                at,
                l.network,
                ip(&format!("198.51.{}.{me}", 100 + l.network)),
                &l.datagram,
            )
        })
        .collect()
}

fn of_peer<'a>(tables: &'a Tables, name: &str) -> &'a Peer {
    tables.peers.iter().find(|p| p.table.controller == *name).unwrap()
}

#[test]
fn observers_tell_each_other_what_they_heard() {
    use Verdict::{Counted, Greeting};
    let (mut c1, mut c2) = (table(1, 1, 0), table(2, 2, 0));
    assert_eq!(hear(&mut c1, NOW, &written(&beat(7, 1), 1)), Verdict::Counted);
    assert_eq!(deliver(&mut c1, &mut c2, 1, NOW, &[]), [Greeting, Greeting]);
    assert_eq!(deliver(&mut c2, &mut c1, 2, NOW, &[]), [Counted, Counted]);
    assert_eq!(deliver(&mut c1, &mut c2, 1, NOW + 100, &[1]), [Counted]);
    let tables = c2.tell(NOW + 300);
    let peer = of_peer(&tables, "c1");
    let heard: Vec<_> = peer.heard.iter().map(|h| h.age_ms.clone()).collect();
    assert_eq!(heard, [Fact::Known(200), Fact::Absent]);
    let listens: Vec<_> = peer.table.listens.iter().map(|l| l.since_ms.clone()).collect();
    assert_eq!(listens, [Fact::Known(NOW + 300), Fact::Known(NOW + 300)]);
    let h1 = host(&peer.table.hosts, "h1");
    assert_eq!(
        h1.boot,
        Fact::Known("07070707-0707-0707-0707-070707070707".to_owned())
    );
    assert_eq!(
        (&h1.up_ms, &h1.health.unit),
        (&Fact::Known(5_000), &Fact::Known(Unit::Active))
    );
    let ages: Vec<_> = h1.paths.iter().map(|p| p.age_ms.clone()).collect();
    assert_eq!(ages, [Fact::Known(300), Fact::Absent]);
    assert_eq!(host(&peer.table.hosts, "h2").boot, Fact::Absent);
    // What a peer told long ago says nothing: its own death is no host's.
    let late = c2.tell(NOW + 1_100);
    let late = of_peer(&late, "c1");
    let unknown = Fact::Unknown("c1 told it last 1000 ms ago".to_owned());
    assert_eq!(host(&late.table.hosts, "h1").paths[0].age_ms, unknown);
    assert_eq!(
        (
            late.heard[0].age_ms.clone(),
            late.table.listens[0].since_ms.clone()
        ),
        (Fact::Known(1_000), unknown)
    );
    // The third was never heard.
    let silent = of_peer(&tables, "c3");
    let unknown = Fact::Unknown("c3 has told nothing yet".to_owned());
    assert_eq!(host(&silent.table.hosts, "h1").paths[1].age_ms, unknown);
    assert_eq!(
        (silent.heard[1].age_ms.clone(), silent.table.late_ms.clone()),
        (Fact::Absent, unknown)
    );
}

#[test]
fn words_of_another_life_are_not_taken() {
    let (mut c1, mut c2) = (table(1, 1, 0), table(2, 2, 0));
    for at in [NOW, NOW + 250] {
        deliver(&mut c1, &mut c2, 1, at, &[]);
        deliver(&mut c2, &mut c1, 2, at, &[]);
    }
    let recorded: Vec<Letter> = c1
        .letters(NOW + 500)
        .into_iter()
        .filter(|l| l.to == ip("198.51.100.2"))
        .collect();
    let replay = |to: &mut Table, at| to.hear(at, 0, ip("198.51.100.1"), &recorded[0].datagram);
    assert_eq!(replay(&mut c2, NOW + 500), Verdict::Counted);
    assert_eq!(replay(&mut c2, NOW + 500), Verdict::Replayed);
    // The sender began anew: its earlier words are over.
    let mut again = table(1, 11, NOW + 600);
    deliver(&mut again, &mut c2, 1, NOW + 600, &[]);
    deliver(&mut c2, &mut again, 2, NOW + 2_000, &[]);
    assert_eq!(
        deliver(&mut again, &mut c2, 1, NOW + 2_000, &[1]),
        [Verdict::Counted]
    );
    assert_eq!(replay(&mut c2, NOW + 2_000), Verdict::Replayed);
    // The receiver began anew: they name another life of it.
    let mut new = table(2, 22, NOW + 3_000);
    assert_eq!(replay(&mut new, NOW + 3_000), Verdict::Greeting);
    assert_eq!(
        of_peer(&new.tell(NOW + 4_000), "c1").heard[0].age_ms,
        Fact::Absent
    );
    // A replayed greeting delays the acquaintance and does not prevent it.
    for at in (NOW + 4_000..NOW + 5_000).step_by(250) {
        deliver(&mut again, &mut new, 1, at, &[]);
        deliver(&mut new, &mut again, 2, at, &[]);
        replay(&mut new, at);
    }
    assert_eq!(
        of_peer(&new.tell(NOW + 5_000), "c1").heard[0].age_ms,
        Fact::Known(250)
    );
}

#[test]
fn a_peer_is_no_host_and_a_host_no_peer() {
    let (mut c1, mut c2) = (table(1, 1, 0), table(2, 2, 0));
    let letter = c1
        .letters(NOW)
        .into_iter()
        .find(|l| l.to == ip("198.51.100.2"))
        .unwrap();
    let check = |to: &mut Table, network, from, datagram: &[u8], expect| {
        assert_eq!(
            to.hear(NOW, network, ip(from), datagram),
            expect,
            "{network} {from}"
        );
    };
    check(&mut c2, 0, "198.51.100.11", &letter.datagram, Verdict::Malformed);
    check(
        &mut c2,
        0,
        "198.51.100.1",
        &written(&beat(1, 1), 99),
        Verdict::Malformed,
    );
    check(&mut c2, 0, "198.51.100.3", &letter.datagram, Verdict::Misplaced);
    check(&mut c2, 1, "198.51.101.1", &letter.datagram, Verdict::Misplaced);
    check(&mut c1, 0, "198.51.100.2", &letter.datagram, Verdict::Misplaced);
    let mut forged = letter.datagram.clone();
    *forged.last_mut().unwrap() ^= 1;
    check(&mut c2, 0, "198.51.100.1", &forged, Verdict::Forged);
    check(&mut c2, 0, "198.51.100.1", &letter.datagram, Verdict::Greeting);
}
