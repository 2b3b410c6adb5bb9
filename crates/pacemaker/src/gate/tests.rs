//! The rule by cases, and its properties over random histories of three to seven hosts.

use super::*;

const STATUS: &str = "Quorum information\n------------------\nDate:             Mon Nov 30 07:03:00 2026\n\
    Quorum provider:  corosync_votequorum\nNodes:            3\nNode ID:          21\nRing ID:          21.10\n\
    Quorate:          Yes\n\nVotequorum information\n----------------------\nExpected votes:   3\n\
    Highest expected: 3\nTotal votes:      3\nQuorum:           2  \nFlags:            Quorate \n\n\
    Membership information\n----------------------\n    Nodeid      Votes Name\n        11          1 c1\n        \
    21          1 c2 (local)\n        31          1 c3\n";

fn quorum() -> Quorum {
    Quorum::parse(STATUS).unwrap()
}

#[test]
fn tools_are_read() {
    let quorum = quorum();
    assert_eq!(
        (quorum.quorate, quorum.majority(), quorum.name()),
        (true, 2, Some("c2"))
    );
    assert_eq!(quorum.members.len(), 3);
    assert_eq!(Quorum::parse("Cannot initialize QUORUM service"), None);
    let groups = "Group Name\t       PID\t   Node ID\ncrmd\\x00\n\t       731\t        21 (10.0.0.2)\n\t       \
        802\t        11 (10.0.0.1)\npacemakerd\\x00\n\t       700\t        31 (10.0.0.3)\n";
    assert_eq!(taking_part(groups, 21), 1);
    let told = "name=\"quorate-fenced-c3\" host=\"c1\" value=\"5,9\"\nname=\"quorate-fenced-c3\" host=\"c2\" value=\"9\"\n";
    assert_eq!(told_by_peers(told), BTreeSet::from([5, 9]));
}

#[test]
fn the_fencers_words_are_read() {
    let check = |line: &str, expect: Option<Heard>| assert_eq!(heard(line), expect, "{line}");
    let c3 = || "c3".to_owned();
    check(
        " notice: Requesting peer fencing (reboot) targeting c3",
        Some(Heard::Asked(c3())),
    );
    check("Requesting peer fencing (on) targeting c3", None);
    check(
        "notice: Requesting that c1 perform 'reboot' action targeting c3 using fence-c3-1",
        None,
    );
    check(
        "notice: Operation 'reboot' [7421] targeting c3 using fence-c3-1 returned 0",
        None,
    );
    let ended = "notice: Operation 'reboot' targeting c3 by c1 for pacemaker-controld.353@c2: OK (Done)";
    check(ended, Some(Heard::Ended(c3())));
    check(&ended.replace(": OK (Done)", ": Timed out (x)"), None);
    check("nothing of it", None);
}

/// Attributes as this peer tells them after what it heard of c3.
#[track_caller]
fn check(heard: &[Option<bool>], counted: &str) {
    let mut watch = Watch::default();
    for (at, what) in (900..).zip(heard) {
        match what {
            Some(member) => watch.asked("c3", *member),
            None => watch.ended("c3", at),
        }
    }
    let told = watch.attributes(1000);
    let found = told.iter().find(|(name, _)| *name == attribute(COUNTED, "c3"));
    assert_eq!(
        found.map(|(_, value)| value.as_str()).unwrap_or_default(),
        counted
    );
}

#[test]
fn a_fencing_counts_where_it_found_a_member() {
    check(&[Some(true), None], "901");
    check(&[Some(true), None, Some(true), None], "901,903");
    // After a power cut it is no member any more; and another peer asked.
    check(&[Some(false), None], "");
    check(&[None], "");
    check(&[Some(true), None, None], "901");
    let mut watch = Watch::default();
    watch.ended("c3", 900);
    assert_eq!(
        watch.attributes(1000),
        [("quorate-ended-c3".to_owned(), "900".to_owned())]
    );
    assert_eq!(
        watch.attributes(900 + WINDOW),
        [("quorate-ended-c3".to_owned(), String::new())]
    );
}

#[test]
fn alone_and_running_counts_if_the_fencing_answers_it() {
    let check = |record: &str, ends: &[i64]| {
        let found = found_alone(record, &BTreeSet::from([1000, 5000]));
        assert_eq!(found, ends.iter().copied().collect(), "{record}");
    };
    check("came a 10\nalone a 995\ncame b 1030\n", &[1000]);
    check("came a 10\nalone a 995\nback a 997\ncame b 1030\n", &[]);
    check("came a 10\nalone a 900\ncame b 1030\n", &[]);
    check("came a 10\ncame b 1030\n", &[]);
    check("alone a 995\nleft a 996\ncut in the mid", &[]);
}

/// However often all hosts were fenced: those that are out are never so many that the
/// others are no majority, in whichever order they decide and look again.
#[test]
fn never_more_than_a_minority_is_out() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    for round in 0..2000 {
        let n = 3 + random(5);
        let quorum = Quorum {
            quorate: true,
            expected: u32::try_from(n).unwrap(),
            ..Quorum::default()
        };
        let fenced: BTreeSet<i64> = (0..i64::try_from(random(6)).unwrap()).map(|n| n * 10).collect();
        let mut taking_part = vec![true; n];
        for _ in 0..50 {
            let host = random(n);
            let others = taking_part
                .iter()
                .enumerate()
                .filter(|(i, p)| *i != host && **p)
                .count();
            taking_part[host] = if taking_part[host] {
                !stays_out(&fenced, 100, &quorum, others)
            } else {
                !enough(&quorum, others)
            };
            let inside = taking_part.iter().filter(|p| **p).count();
            assert!(inside >= quorum.majority(), "round {round}: {taking_part:?}");
            assert!(
                fenced.len() >= LIMIT || inside == n,
                "round {round}: out without a reason"
            );
        }
    }
    // Nobody to ask: without quorum it is let in.
    let alone = Quorum {
        quorate: false,
        expected: 3,
        ..Quorum::default()
    };
    let thrice = BTreeSet::from([10, 20, 30]);
    assert!(!stays_out(&thrice, 100, &alone, 0));
    assert!(!stays_out(&thrice, 100 + WINDOW, &quorum(), 2));
    assert!(stays_out(&thrice, 100, &quorum(), 2));
    // Two peers tell of one fencing, a second apart.
    assert!(!stays_out(&BTreeSet::from([10, 11, 20]), 100, &quorum(), 2));
}

/// Others that were cut and are back at once are no majority that was there all the time.
#[test]
fn who_is_out_stays_so_in_one_membership_alone() {
    let now = quorum();
    assert_eq!(now.ring, "21.10");
    assert!(may_stay_out("21.10", &now, 2));
    assert!(!may_stay_out("21.10", &now, 1));
    let later = Quorum {
        ring: "15.18".to_owned(),
        ..now
    };
    assert!(!may_stay_out("21.10", &later, 2));
}
