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
    let xml = r#"<pacemaker-result><fence_history>
        <fence_event action="reboot" target="c3" status="success" completed="2026-11-30 07:03:00.123456Z"/>
        <fence_event action="reboot" target="c2" status="success" completed="2026-11-30 09:03:00 +02:00"/>
        <fence_event action="on" target="c3" status="success" completed="2026-11-30 07:03:00Z"/>
        <fence_event action="reboot" target="c1" status="failed" completed="2026-11-30 07:03:00Z"/>
        <fence_event action="reboot" target="c1" status="pending"/></fence_history></pacemaker-result>"#;
    let event = |target: &str, completed| Fencing {
        target: target.to_owned(),
        completed,
    };
    let at = 1_796_022_180;
    let expect = [event("c3", Some(at)), event("c2", Some(at)), event("c1", None)];
    assert_eq!(history(xml).unwrap(), expect);
    let told = "name=\"quorate-fenced-c3\" host=\"c1\" value=\"5,9\"\nname=\"quorate-fenced-c3\" host=\"c2\" value=\"9\"\n";
    assert_eq!(told_by_peers(told), BTreeSet::from([5, 9]));
}

fn done(target: &str, at: i64) -> Fencing {
    Fencing {
        target: target.to_owned(),
        completed: Some(at),
    }
}

fn begun(target: &str) -> Fencing {
    Fencing {
        target: target.to_owned(),
        completed: None,
    }
}

/// Looks, each with the history and the members of its moment; the ends that count for c3.
#[track_caller]
fn check(looks: &[(&[Fencing], &[&str])], expect: &[i64]) {
    let mut watch = Watch::default();
    watch.look(&[], &BTreeSet::from(["c1", "c2", "c3"]));
    for (history, members) in looks {
        watch.look(history, &members.iter().copied().collect());
    }
    let counted = watch.counted(1000);
    assert_eq!(counted.get("c3").map(Vec::as_slice).unwrap_or_default(), expect);
}

#[test]
fn a_member_that_is_fenced_counts() {
    let (all, two): (&[&str], &[&str]) = (&["c1", "c2", "c3"], &["c1", "c2"]);
    // A quick device: done before its peers miss it. A slow one: missed before it is done.
    check(&[(&[done("c3", 900)], all), (&[done("c3", 900)], two)], &[900]);
    check(
        &[
            (&[begun("c3")], all),
            (&[begun("c3")], two),
            (&[done("c3", 900)], two),
        ],
        &[900],
    );
    // Back, it is a member again; that counts nothing more.
    check(
        &[
            (&[done("c3", 900)], all),
            (&[done("c3", 900)], two),
            (&[done("c3", 900)], all),
        ],
        &[900],
    );
}

#[test]
fn a_power_cut_and_the_fencing_after_it_do_not() {
    let (all, two): (&[&str], &[&str]) = (&["c1", "c2", "c3"], &["c1", "c2"]);
    check(
        &[(&[], two), (&[done("c3", 900)], two), (&[done("c3", 900)], all)],
        &[],
    );
    check(
        &[
            (&[begun("c3")], two),
            (&[begun("c3")], all),
            (&[done("c3", 900)], all),
        ],
        &[],
    );
}

#[test]
fn alone_and_running_counts_if_the_fencing_answers_it() {
    let check = |record: &str, ends: &[i64]| {
        let history = [done("c3", 1000), done("c1", 1000), done("c3", 5000)];
        let found = found_alone(record, "c3", &history);
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
        let fenced: BTreeSet<i64> = (0..i64::try_from(random(6)).unwrap()).collect();
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
    assert!(!stays_out(&BTreeSet::from([1, 2, 3]), 100, &alone, 0));
    assert!(!stays_out(&BTreeSet::from([1, 2, 3]), 100 + WINDOW, &quorum(), 2));
}
