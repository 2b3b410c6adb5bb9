//! What holds of every ring and of every change of one, as properties.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

use std::collections::BTreeSet;

use hashring::{Device, Fault, Next, Ring, Share, Wanted, shares};
use proptest::prelude::*;

/// Hours after which another change may move parts.
const HOURS: u32 = 1;

fn device(host: usize, name: usize, region: u32, zone: u32, weight: u32) -> Device {
    Device {
        host: format!("s{host}"),
        name: format!("d{name}"),
        address: format!("10.0.0.{host}"),
        port: 6200,
        region,
        zone,
        weight,
    }
}

/// Hosts of one device each, in one zone, all alike.
fn alike(hosts: usize) -> Vec<Device> {
    (1..=hosts).map(|host| device(host, 1, 1, 1, 100)).collect()
}

fn wanted(devices: Vec<Device>, replicas: usize) -> Wanted {
    Wanted {
        part_power: 6,
        replicas,
        min_part_hours: HOURS,
        devices,
    }
}

/// Up to seven hosts in up to two regions of up to three zones, with up to three devices.
fn some_devices() -> impl Strategy<Value = Vec<Device>> {
    let host = (1_u32..=2, 1_u32..=3, prop::collection::vec(1_u32..=100, 1..=3));
    prop::collection::vec(host, 1..=7).prop_map(|hosts| {
        let mut out = Vec::new();
        for (host, (region, zone, weights)) in hosts.into_iter().enumerate() {
            for (name, weight) in weights.into_iter().enumerate() {
                out.push(device(host, name, region, zone, weight));
            }
        }
        out
    })
}

fn share_of(ring: &Ring) -> Share {
    shares(&ring.devices, ring.rows.len(), ring.rows[0].len()).unwrap()
}

/// The devices that keep a part.
fn keepers(ring: &Ring, part: usize) -> Vec<&Device> {
    let ids = ring.rows.iter().map(|row| row[part]);
    ids.map(|id| ring.devices[usize::from(id)].as_ref().unwrap())
        .collect()
}

fn places(d: &Device) -> [Vec<String>; 3] {
    let region = format!("{:010}", d.region);
    let zone = format!("{:010}", d.zone);
    [
        vec![region.clone()],
        vec![region.clone(), zone.clone()],
        vec![region, zone, d.host.clone()],
    ]
}

fn name(d: &Device) -> String {
    format!("{}/{}", d.host, d.name)
}

/// Never two replicas of a part on one device, and every device of a part is there.
fn whole(ring: &Ring) {
    for part in 0..ring.rows[0].len() {
        let names: BTreeSet<String> = keepers(ring, part).into_iter().map(name).collect();
        assert_eq!(names.len(), ring.rows.len(), "part {part}: {names:?}");
    }
}

/// As far apart as can be, and everybody has its share.
fn settled(ring: &Ring) {
    whole(ring);
    let share = share_of(ring);
    assert_eq!(ring.loads(), share.quota);
    let hosts: BTreeSet<&str> = ring
        .devices
        .iter()
        .flatten()
        .filter(|d| d.weight > 0)
        .map(|d| d.host.as_str())
        .collect();
    for part in 0..ring.rows[0].len() {
        let keepers = keepers(ring, part);
        let all: Vec<Vec<String>> = keepers.iter().flat_map(|d| places(d)).collect();
        for place in &all {
            let here = all.iter().filter(|p| *p == place).count();
            assert!(
                here <= share.most[place],
                "part {part} is {here} times at {place:?}"
            );
        }
        if hosts.len() >= ring.rows.len() {
            let apart: BTreeSet<&str> = keepers.iter().map(|d| d.host.as_str()).collect();
            assert_eq!(apart.len(), ring.rows.len(), "part {part} is twice on one host");
        }
    }
}

/// Of how many parts replicas are elsewhere now; never of one part two.
fn moved(old: &Ring, new: &Ring) -> usize {
    let mut moves = 0;
    for part in 0..old.rows[0].len() {
        let before: BTreeSet<String> = keepers(old, part).into_iter().map(name).collect();
        let after: BTreeSet<String> = keepers(new, part).into_iter().map(name).collect();
        let gone = before.difference(&after).count();
        assert!(gone <= 1, "part {part}: {before:?} became {after:?}");
        moves += gone;
    }
    moves
}

/// Changes until there is no more to change; gives the rings in their order.
fn changes(ring: &Ring, wanted: &Wanted) -> Result<Vec<Ring>, Fault> {
    let mut out = vec![ring.clone()];
    for hour in 1..20 {
        let now = (i64::from(HOURS) + 1) * hour * 3600 + 1_000_000 * 3600;
        let last = out.last().unwrap();
        match last.next(wanted, now)? {
            Next::Same => return Ok(out),
            Next::Change { ring, moves } => {
                whole(&ring);
                // A replica more is a copy of what stays where it is.
                let copies = (ring.rows.len() - last.rows.len()) * ring.rows[0].len();
                assert_eq!(moved(last, &ring) + copies, moves);
                // At once nothing moves any more.
                assert!(!matches!(ring.next(wanted, now), Ok(Next::Change { .. })));
                assert_eq!(ring.version, last.version + 1);
                out.push(ring);
            }
            later @ Next::Later { .. } => unreachable!("that was waited for: {later:?}"),
        }
    }
    unreachable!("it never comes to rest");
}

proptest! {
    #[test]
    fn a_first_ring_is_settled_and_stays(devices in some_devices(), replicas in 1_usize..=3) {
        let wanted = wanted(devices, replicas);
        match Ring::first(&wanted) {
            Ok(ring) => {
                settled(&ring);
                prop_assert_eq!(ring.next(&wanted, 0), Ok(Next::Same));
                prop_assert_eq!(&Ring::first(&wanted).unwrap(), &ring);
            }
            Err(fault) => prop_assert_eq!(
                fault,
                Fault::FewDevices { devices: wanted.devices.len(), replicas }
            ),
        }
    }

    /// Whatever the one and the other: at most a replica of each part at a time, and in
    /// the end all is as if it had been so from the first.
    #[test]
    fn any_change_comes_to_rest(from in some_devices(), to in some_devices(), replicas in 1_usize..=3) {
        let Ok(ring) = Ring::first(&wanted(from, replicas)) else { return Ok(()) };
        match changes(&ring, &wanted(to, replicas)) {
            Ok(rings) => settled(rings.last().unwrap()),
            Err(Fault::FewDevices { .. } | Fault::Loses { .. }) => {}
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_file_holds_the_whole_ring(devices in some_devices(), replicas in 1_usize..=3) {
        let Ok(ring) = Ring::first(&wanted(devices, replicas)) else { return Ok(()) };
        let file = ring.encode().unwrap();
        prop_assert_eq!(&Ring::decode(&file).unwrap(), &ring);
        prop_assert_eq!(&ring.encode().unwrap(), &file);
        for end in [0, 5, file.len() / 2, file.len() - 9] {
            prop_assert!(Ring::decode(&file[..end]).is_err());
        }
    }

    /// A host more takes its share and nothing else moves.
    #[test]
    fn growth_moves_the_least(hosts in 3_usize..=8) {
        let ring = Ring::first(&wanted(alike(hosts), 3)).unwrap();
        let rings = changes(&ring, &wanted(alike(hosts + 1), 3)).unwrap();
        let moves: usize = rings.windows(2).map(|w| moved(&w[0], &w[1])).sum();
        let last = rings.last().unwrap();
        settled(last);
        prop_assert_eq!(moves, *last.loads().last().unwrap());
    }

    /// A host less gives away what it had, and nothing else moves.
    #[test]
    fn shrinking_moves_the_least(hosts in 4_usize..=8, gone in 0_usize..4) {
        let ring = Ring::first(&wanted(alike(hosts), 3)).unwrap();
        let mut left = alike(hosts);
        left.remove(gone);
        let Next::Change { ring: next, moves } = ring.next(&wanted(left, 3), 0).unwrap() else {
            return Err(TestCaseError::fail("nothing changed"));
        };
        prop_assert!(moves == ring.loads()[gone], "{} of {}", moves, ring.loads()[gone]);
        prop_assert_eq!(moved(&ring, &next), moves);
        settled(&next);
    }
}

/// By weight, to within one part, and no more than what keeps replicas apart.
#[test]
fn shares_follow_weights_within_what_keeps_replicas_apart() {
    let check = |weights: &[u32], replicas: usize, expect: &[usize]| {
        let devices = weights.iter().zip(1..);
        let devices: Vec<Option<Device>> = devices.map(|(w, host)| Some(device(host, 1, 1, 1, *w))).collect();
        assert_eq!(
            shares(&devices, replicas, 100).unwrap().quota,
            expect,
            "{weights:?}"
        );
    };
    check(&[100, 100, 100], 1, &[34, 33, 33]);
    check(&[100, 200, 100, 0], 1, &[25, 50, 25, 0]);
    // Three hosts for three replicas: each has all, whatever it weighs.
    check(&[100, 1, 50], 3, &[100, 100, 100]);
    // More than all parts is of no use to anybody.
    check(&[300, 100, 100, 100], 2, &[100, 34, 33, 33]);
    check(&[100, 100, 100, 100], 3, &[75, 75, 75, 75]);
    let zones = [
        device(1, 1, 1, 1, 100),
        device(2, 1, 1, 1, 100),
        device(3, 1, 1, 2, 100),
        device(4, 1, 1, 2, 100),
    ];
    let zones: Vec<Option<Device>> = zones.into_iter().map(Some).collect();
    let share = shares(&zones, 3, 100).unwrap();
    assert_eq!(share.quota, [75, 75, 75, 75]);
    let most: Vec<usize> = share.most.values().copied().collect();
    // The region three, of its zones each two, and a host one.
    assert_eq!(most, [3, 3, 2, 1, 1, 2, 1, 1]);
}

#[test]
fn what_would_lose_a_replica_is_refused() {
    let check = |have: usize, want: &[usize], replicas: usize, expect: Result<(), Fault>| {
        let ring = Ring::first(&wanted(alike(have), replicas)).unwrap();
        let all = alike(9);
        let devices = want.iter().map(|h| all[h - 1].clone()).collect();
        let next = ring.next(&wanted(devices, replicas), 0);
        assert_eq!(next.map(|_| ()), expect, "{have} to {want:?}");
    };
    let loses = |parts: usize, names: &[&str]| {
        Err(Fault::Loses {
            parts,
            devices: names.iter().map(|n| (*n).to_owned()).collect(),
        })
    };
    check(4, &[1, 2, 3], 3, Ok(()));
    check(3, &[1, 2, 4], 3, Ok(()));
    // Two of three at once.
    check(3, &[1, 4, 5], 3, loses(64, &["s2/d1", "s3/d1"]));
    check(1, &[2], 1, loses(64, &["s1/d1"]));
    check(2, &[1, 3], 2, Ok(()));
    let few = |devices, replicas| Err(Fault::FewDevices { devices, replicas });
    check(3, &[1, 2], 3, few(2, 3));
}

#[test]
fn more_replicas_are_copies_and_fewer_lose_none() {
    let one = Ring::first(&wanted(alike(1), 1)).unwrap();
    let rings = changes(&one, &wanted(alike(3), 3)).unwrap();
    settled(rings.last().unwrap());
    // Nothing that is there was moved.
    assert_eq!(rings.windows(2).map(|w| moved(&w[0], &w[1])).sum::<usize>(), 0);
    let back = rings.last().unwrap().next(&wanted(alike(3), 2), 1 << 40).unwrap();
    let Next::Change { ring, .. } = back else {
        unreachable!("nothing changed")
    };
    settled(&ring);
}

#[test]
fn a_change_waits_for_the_one_before() {
    let ring = Ring::first(&wanted(alike(3), 3)).unwrap();
    let at = |hour: i64| hour * 3600 + 1800;
    let Ok(Next::Change { ring, .. }) = ring.next(&wanted(alike(4), 3), at(1000)) else {
        unreachable!("nothing changed");
    };
    assert_eq!(ring.moved, 1000);
    let five = wanted(alike(5), 3);
    // The new host is known at once, and keeps nothing yet.
    let Ok(Next::Change { ring, moves: 0 }) = ring.next(&five, at(1000)) else {
        unreachable!("nothing changed");
    };
    assert_eq!((ring.moved, ring.loads()[4]), (1000, 0));
    assert!(matches!(
        ring.next(&five, at(1001)),
        Ok(Next::Later { hour: 1002, .. })
    ));
    assert!(matches!(ring.next(&five, at(1002)), Ok(Next::Change { .. })));
    // What is lost does not wait.
    let gone = ring.next(&wanted(alike(4)[1..].to_vec(), 3), at(1000));
    assert!(matches!(gone, Ok(Next::Change { .. })));
}

#[test]
fn the_number_of_parts_is_for_ever() {
    let ring = Ring::first(&wanted(alike(3), 3)).unwrap();
    let other = Wanted {
        part_power: 7,
        ..wanted(alike(3), 3)
    };
    assert_eq!(ring.next(&other, 0), Err(Fault::Parts { is: 6, wanted: 7 }));
}

#[test]
fn devices_are_written_in_words() {
    let check = |text: &str, expect: Result<&str, &str>| {
        let read = hashring::entries(text).map(|all| {
            let one = |e: hashring::Entry| {
                let host = e.host.unwrap_or_else(|| "*".to_owned());
                format!("{host}/{} {:?} {:?} {:?}", e.name, e.region, e.zone, e.weight)
            };
            all.into_iter().map(one).collect::<Vec<_>>().join("; ")
        });
        assert_eq!(read.as_deref().map_err(String::as_str), expect, "{text}");
    };
    check("d1", Ok("*/d1 None None None"));
    check(
        "c1/sdb zone=2 weight=50,sdc region=3",
        Ok("c1/sdb None Some(2) Some(50); */sdc Some(3) None None"),
    );
    check("c1/", Err("c1/"));
    check("../x", Err("../x"));
    check("d1 size=3", Err("size=3"));
    check("d1 weight=-1", Err("weight=-1"));
}
