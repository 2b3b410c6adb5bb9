//! The judge against histories made by hand: each with a known answer, and for
//! each verdict a control that must miss the bar.

use std::{collections::BTreeMap, time::Duration};

use probe::{
    Bar, Ended, Failure, History, Label, Mark, Outcome, ReadBack, Record, Report, Subject, View, gaps, writes,
};

const MS: u64 = 1_000_000;

/// A history of one probe: (sent, known, good), in milliseconds, over `length` ms.
fn history(kind: Label, length: u64, requests: &[(u64, u64, bool)]) -> History {
    let records = (1..).zip(requests).map(|(seq, &(start, end, good))| Record {
        probe: "p".into(),
        seq,
        start_ns: start * MS,
        end_ns: end * MS,
        outcome: if good {
            Outcome::Ok
        } else {
            Outcome::Failed("timeout".into())
        },
    });
    History {
        run: 1,
        subjects: vec![Subject {
            name: "p".into(),
            kind,
            every_ns: 100 * MS,
            timeout_ns: 1000 * MS,
        }],
        records: records.collect(),
        marks: vec![Mark {
            at_ns: 250 * MS,
            text: "cut c1".into(),
        }],
        stopped_ns: length * MS,
        cpu_ns: 0,
        ended: Ended::Stopped,
    }
}

fn read(found: &[(u64, u64)]) -> Vec<ReadBack> {
    vec![ReadBack {
        probe: "p".into(),
        found: found.iter().copied().collect::<BTreeMap<_, _>>(),
    }]
}

/// The gaps above 500 ms as (from, to, upper, open, failed), in milliseconds.
fn check(length: u64, requests: &[(u64, u64, bool)], expect: &[(u64, u64, u64, bool, u64)]) {
    let history = history(Label::Http, length, requests);
    let found: Vec<_> = gaps(&history, "p", &View::default())
        .iter()
        .map(|g| (g.from_ns / MS, g.to_ns / MS, g.upper_ns / MS, g.open, g.failed))
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn a_gap_is_between_two_completions() {
    check(
        2000,
        &[
            (100, 110, true),
            (200, 210, true),
            (300, 1300, false),
            (1200, 1260, true),
            (1700, 1710, true),
        ],
        &[(210, 1260, 1060, false, 0)],
    );
}

#[test]
fn a_hang_that_ends_well_is_a_gap() {
    check(
        1500,
        &[(100, 110, true), (200, 1100, true), (1200, 1210, true)],
        &[(110, 1100, 1000, false, 0)],
    );
}

#[test]
fn the_edges_count() {
    check(
        3000,
        &[
            (0, 900, false),
            (800, 810, true),
            (900, 910, true),
            (1000, 2000, false),
        ],
        &[(0, 810, 810, false, 0), (910, 3000, 2100, true, 1)],
    );
    check(1000, &[], &[(0, 1000, 1000, true, 0)]);
}

#[test]
fn answers_out_of_order_do_not_make_a_gap_longer() {
    // Sent while it was down and answered at a retransmission: the requests sent
    // later were answered earlier, and those end the gap.
    check(
        2000,
        &[
            (100, 105, true),
            (200, 1205, true),
            (900, 905, true),
            (1000, 1005, true),
            (1600, 1605, true),
        ],
        &[(105, 905, 805, false, 0)],
    );
}

#[test]
fn the_report_names_the_mark_and_the_slowest() {
    let history = history(
        Label::Http,
        2000,
        &[
            (100, 110, true),
            (200, 210, true),
            (300, 1250, true),
            (1300, 1900, false),
            (1950, 1960, true),
        ],
    );
    let report = Report::of(&history, &[], &View::default());
    let probe = &report.probes[0];
    assert_eq!((probe.ok, probe.failed, probe.slowest_ns), (4, 1, 950 * MS));
    assert_eq!(probe.longest.after.as_deref(), Some("cut c1"));
    assert_eq!(probe.stall_ns, 1000 * MS);
    assert_eq!(probe.reasons["timeout"], 1);
    assert!((9 * MS..11 * MS).contains(&probe.p50_ns), "{}", probe.p50_ns);

    let bar = |ms| Bar {
        gap: Some(Duration::from_millis(ms)),
    };
    assert_eq!(report.failures(&bar(1100)), []);
    assert!(matches!(report.failures(&bar(1000))[..], [Failure::Gap { .. }]));
    assert!(matches!(
        report.failures(&bar(100))[..],
        [Failure::Gap { .. }, Failure::Coarse { .. }]
    ));

    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn a_window_cuts_gaps_at_its_edges() {
    let history = history(
        Label::Http,
        3000,
        &[(100, 110, true), (2000, 2010, true), (2900, 2910, true)],
    );
    let view = View {
        from_ns: Some(1000 * MS),
        to_ns: Some(2500 * MS),
        ..View::default()
    };
    let report = Report::of(&history, &[], &view);
    let longest = &report.probes[0].longest;
    assert_eq!((longest.from_ns, longest.to_ns), (1000 * MS, 2010 * MS));
    assert_eq!(report.probes[0].ok, 1);
}

const WRITES: [(u64, u64, bool); 4] = [
    (100, 110, true),
    (200, 210, true),
    (300, 310, false),
    (400, 410, true),
];

#[test]
fn writes_that_are_all_there_pass() {
    let history = history(Label::SqlWrite, 500, &WRITES);
    let report = Report::of(
        &history,
        &read(&[(1, 1), (2, 1), (3, 1), (4, 1)]),
        &View::default(),
    );
    let found = report.probes[0].writes.as_ref().unwrap();
    assert_eq!((found.acknowledged, found.found), (3, 4));
    assert_eq!(found.indeterminate, [3]);
    assert_eq!(report.failures(&Bar::default()), []);
}

#[test]
fn a_lost_write_fails() {
    let history = history(Label::Publish, 500, &WRITES);
    let report = Report::of(&history, &read(&[(1, 1), (4, 2)]), &View::default());
    let found = report.probes[0].writes.as_ref().unwrap();
    assert_eq!((&found.lost[..], &found.duplicates[..]), (&[2][..], &[4][..]));
    assert_eq!(
        report.failures(&Bar::default()),
        [Failure::Lost {
            probe: "p".into(),
            ids: vec![2]
        }]
    );
    assert!(report.to_string().contains("1 LOST: 2\n"), "{report}");
}

/// The control: take each acknowledged id away in turn; none may pass.
#[test]
fn no_single_loss_is_missed() {
    let history = history(Label::SqlWrite, 500, &WRITES);
    for lost in [1, 2, 4] {
        let found: Vec<_> = (1..=4).filter(|&id| id != lost).map(|id| (id, 1)).collect();
        assert_eq!(writes(&history, &read(&found)[0]).lost, [lost]);
        let report = Report::of(&history, &read(&found), &View::default());
        assert!(!report.failures(&Bar::default()).is_empty());
    }
}

#[test]
fn what_proves_nothing_does_not_pass() {
    let history = history(Label::SqlWrite, 500, &WRITES);
    let unread = Report::of(&history, &[], &View::default());
    assert_eq!(
        unread.failures(&Bar::default()),
        [Failure::NotReadBack { probe: "p".into() }]
    );
    let strange = Report::of(
        &history,
        &read(&[(1, 1), (2, 1), (4, 1), (9, 1)]),
        &View::default(),
    );
    assert_eq!(
        strange.failures(&Bar::default()),
        [Failure::Unknown {
            probe: "p".into(),
            ids: vec![9]
        }]
    );
    let mut silent = history;
    silent.records.clear();
    let silent = Report::of(&silent, &read(&[]), &View::default());
    assert_eq!(
        silent.failures(&Bar::default()),
        [Failure::Silent { probe: "p".into() }]
    );
}

#[test]
fn the_table_is_aligned() {
    let history = history(
        Label::Http,
        2000,
        &[
            (100, 110, true),
            (200, 210, true),
            (300, 1300, false),
            (1200, 1260, true),
            (1700, 1710, true),
        ],
    );
    let expect = "\
2.00 s seen, stopped; the prober used 0.0 % of a core
  250 ms cut c1

probe  kind   every  ok  failed  longest gap      at    p50    p95  slowest   stall
p      http  100 ms   4       1       1.05 s  210 ms  10 ms  60 ms    60 ms  900 ms

p
  gap of 1.05 s (at most 1.06 s) from 210 ms: 0 failed, after `cut c1`
  1 × timeout
";
    assert_eq!(Report::of(&history, &[], &View::default()).to_string(), expect);
}
