//! Snapshots with what only users, parts of services and the operator's machine know.

use status::{Problem, Verdict};
use wire::{Answer, Fact, JourneyKind, Walked};

use super::{check, check_of, facts, kept, kinds, seen, texts, world};

fn walked(service: &str, failed: Option<&str>) -> Walked {
    Walked {
        service: service.to_owned(),
        kind: JourneyKind::Read,
        took_ms: 40,
        failed: failed.map(str::to_owned),
    }
}

/// Everything answers its version page, and no token is taken.
#[test]
fn a_journey_that_fails_is_down() {
    let found = check("redundant", None, |d| seen(d, "healthy", &[]));
    let good = found.clone().walked(vec![walked("keystone", None)]);
    assert_eq!((good.verdict, good.journeys.len()), (Verdict::Redundant, 1));
    let why = "GET /v3/users: status 401, not 200";
    let found = found.walked(vec![walked("keystone", Some(why))]);
    kept("journey-fails", &found);
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Down, vec!["journey-fails"])
    );
    assert_eq!(
        texts(&found),
        [format!("the read journey of keystone fails: {why}")]
    );
    assert_eq!(found.next, "quorate support");
}

/// The worst comes first, whoever found it, and a remark changes no verdict.
#[test]
fn what_is_due_is_judged_with_all_else() {
    let ends = |days: i64| Problem::Ends {
        what: "the certificate tls/c1.crt".to_owned(),
        on: "2026-05-04".to_owned(),
        days,
    };
    let late = Problem::Overdue {
        what: "keys are overdue since 2026-04-01".to_owned(),
    };
    let whole = || check("redundant", None, |d| seen(d, "healthy", &[]));
    let note = "certificates are to be renewed by 2026-07-01: `quorate upkeep` does it";
    let remarked = whole().with_due(Vec::new(), vec![note.to_owned()]);
    assert_eq!(remarked.verdict, Verdict::Redundant);
    assert!(remarked.remarks.iter().any(|r| r == note));
    let found = whole().with_due(vec![late.clone()], Vec::new());
    kept("overdue", &found);
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Degraded, vec!["overdue"])
    );
    assert_eq!(found.next, "quorate upkeep");
    let found = whole().with_due(vec![late.clone(), ends(10)], Vec::new());
    kept("ends-soon", &found);
    assert_eq!(found.verdict, Verdict::Degraded);
    let found = whole().with_due(vec![late, ends(-1)], Vec::new());
    kept("ended", &found);
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Exposed, vec!["ends", "overdue"])
    );
    assert!(
        found.reason.contains("tls/c1.crt ended on 2026-05-04"),
        "{}",
        found.reason
    );
}

/// A member of the networks' database that lags is told by itself, with its cure.
#[test]
fn what_a_part_of_a_service_tells_degrades() {
    let found = check_of("with-compute", "told", None, |d| {
        let mut seen = world::all(d, world::applied);
        let one = d.faults.first().unwrap();
        let told = Answer::Ran {
            status: 0,
            stdout: "a member lags behind\ton c1: `systemctl restart a.service`\n".to_owned(),
            stderr: String::new(),
        };
        for host in &one.hosts[..2] {
            facts(&mut seen, host)
                .answers
                .insert(one.answer.clone(), Fact::Known(told.clone()));
        }
        seen
    });
    assert_eq!((found.verdict, kinds(&found)), (Verdict::Degraded, vec!["told"]));
    assert_eq!(texts(&found), ["a member lags behind (told by c1, c2)"]);
    assert_eq!(found.next, "on c1: `systemctl restart a.service`");
}
