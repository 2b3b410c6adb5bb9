//! The whole path of one host, from its last heartbeat until it takes VMs again.

use wire::Fact;

use super::seens::{quiet, server};
use crate::*;

/// Acts of a decision without messages, one a line.
pub fn acts(seen: &Seen) -> Vec<String> {
    let decision = decide(&Policy::default(), seen);
    let acts = decision
        .acts
        .iter()
        .filter(|act| !matches!(act, Act::Tell { .. }));
    acts.map(|act| match act {
        Act::Write(intent) => format!("write {} {:?} {:?}", intent.host, intent.phase, intent.proof),
        Act::Evacuate(sent) => format!(
            "evacuate {} to {} after {} in {}",
            sent.vm, sent.target, sent.after, sent.epoch
        ),
        Act::PowerOff { host, .. } => format!("off {host}"),
        Act::PowerOn { host } => format!("on {host}"),
        Act::MarkDown { host, .. } => format!("down {host}"),
        Act::ForceUp { host, .. } => format!("up {host}"),
        Act::Enable {
            host, stays_disabled, ..
        } => format!("enable {host} {stays_disabled:?}"),
        Act::Forget { host, .. } => format!("forget {host}"),
        Act::Claim { above, .. } => format!("claim above {above}"),
        other => format!("{other:?}"),
    })
    .collect()
}

fn row(phase: Phase, proof: Option<Proof>) -> IntentRow {
    let intent = Intent {
        host: "n1".into(),
        boot: Some("boot-1".into()),
        epoch: 4,
        phase,
        why: "silent".to_owned(),
        proof,
        disabled_before: None,
    };
    IntentRow {
        intent,
        phase_ms: 1_000,
        opened_ms: 4_000,
    }
}

fn power(on: bool, after_off: Option<u64>) -> Fact<Power> {
    Fact::Known(Power {
        on,
        after_off,
        device: "bmc-n1".into(),
    })
}

fn proved() -> Proof {
    Proof::PowerOff {
        device: "bmc-n1".into(),
    }
}

#[test]
fn a_host_dies_and_comes_back() {
    let check = |seen: &Seen, expect: &[&str]| assert_eq!(acts(seen), expect);
    let mut seen = quiet(3);
    check(&seen, &[]);

    seen.at(1).silent(2_000);
    check(&seen, &[]);
    assert_eq!(decide(&Policy::default(), &seen).look, vec!["n1".into()]);

    // The age of an observer's table, 100 ms here, is not silence of the host.
    seen.at(1).silent(2_599);
    check(&seen, &[]);
    seen.at(1).silent(2_600);
    check(&seen, &["write n1 Fencing None"]);

    seen.rows().intents.push(row(Phase::Fencing, None));
    check(&seen, &["off n1"]);
    seen.at(1).power = power(false, None);
    check(&seen, &["off n1"]);
    seen.at(1).power = power(false, Some(4));
    check(
        &seen,
        &["write n1 Evacuating Some(PowerOff { device: \"bmc-n1\" })"],
    );

    seen.rows().intents = vec![row(Phase::Evacuating, Some(proved()))];
    check(&seen, &["down n1"]);
    let down = seen.at(1).service();
    (down.up, down.forced_down, down.enabled) = (false, true, false);
    down.reason = Some(format!("{OURS}silent"));
    check(&seen, &[]);
    seen.at(1).servers = Fact::Known(vec![server("v1", "n1"), server("v2", "n1")]);
    check(
        &seen,
        &["evacuate v1 to n2 after 0 in 4", "evacuate v2 to n3 after 0 in 4"],
    );

    let sent = |vm: &str, target: &str| Sent {
        vm: vm.into(),
        epoch: 4,
        host: "n1".into(),
        target: target.into(),
        after: 0,
    };
    let sent_row = |sent| SentRow {
        sent,
        answer: Answer::Accepted,
        age_ms: 500,
    };
    seen.rows().sent = vec![sent_row(sent("v1", "n2")), sent_row(sent("v2", "n3"))];
    check(&seen, &[]);
    seen.at(1).servers = Fact::Known(Vec::new());
    check(&seen, &[]);
    let followed = |vm: &str, host: &str| Followed {
        vm: vm.into(),
        server: Fact::Known(server(vm, host)),
    };
    seen.followed = vec![followed("v1", "n2"), followed("v2", "n3")];
    let done = |id, vm: &str, dest: &str, progress| Migration {
        id,
        vm: vm.into(),
        kind: MigrationKind::Evacuation,
        source: "n1".into(),
        dest: Some(dest.into()),
        progress,
        age_ms: 9_000,
    };
    seen.migrations = Fact::Known(vec![
        done(1, "v1", "n2", Progress::Done),
        done(2, "v2", "n3", Progress::Open),
    ]);
    check(&seen, &[]);
    seen.migrations = Fact::Known(vec![
        done(1, "v1", "n2", Progress::Done),
        done(2, "v2", "n3", Progress::Done),
    ]);
    check(
        &seen,
        &["write n1 Returning Some(PowerOff { device: \"bmc-n1\" })"],
    );

    seen.rows().intents = vec![row(Phase::Returning, Some(proved()))];
    check(&seen, &["on n1"]);
    seen.at(1).power = power(true, None);
    check(&seen, &[]);
    for path in &mut seen.at(1).paths {
        (path.age_ms, path.boot) = (Some(100), Some("boot-2".into()));
    }
    seen.at(1).restarted_ms = Some(1_000);
    check(&seen, &[]);
    seen.migrations = Fact::Known(Vec::new());
    check(&seen, &["up n1"]);
    seen.at(1).service().forced_down = false;
    check(&seen, &[]);
    seen.at(1).service().up = true;
    check(&seen, &["enable n1 None"]);
    seen.at(1).service().enabled = true;
    check(&seen, &["forget n1"]);
}

#[test]
fn a_decision_is_replayed_from_its_journal() {
    let mut seen = quiet(3);
    seen.at(1).silent(2_600);
    let decision = decide(&Policy::default(), &seen);
    let text = serde_json::to_string(&seen).unwrap();
    let again: Seen = serde_json::from_str(&text).unwrap();
    let replayed = decide(&Policy::default(), &again);
    assert_eq!(again, seen);
    assert_eq!(
        serde_json::to_string(&replayed).unwrap(),
        serde_json::to_string(&decision).unwrap()
    );
}

#[test]
fn a_policy_is_read_strictly() {
    let policy: Policy = serde_json::from_str(r#"{"fence_ms": 4000}"#).unwrap();
    assert_eq!(
        policy,
        Policy {
            fence_ms: 4_000,
            ..Policy::default()
        }
    );
    assert!(serde_json::from_str::<Policy>(r#"{"fence": 4000}"#).is_err());
}

#[test]
fn a_story_is_told_from_the_journal() {
    let mut lines = Vec::new();
    for silence in [100, 1_600, 9_000, 100] {
        let mut seen = quiet(3);
        seen.at(1).silent(silence);
        let policy = Policy::default();
        let decision = decide(&policy, &seen);
        let at = format!("12:00:{:02}", lines.len());
        lines.push(Line {
            at,
            policy,
            seen,
            decision,
        });
    }
    for line in &lines {
        let again = Line::parse(&line.to_text().unwrap()).unwrap();
        assert_eq!((&again, again.replay()), (line, line.decision.clone()));
    }
    let expect = [
        "12:00:01 n1: Suspected: silent for 1500 ms of 2500 ms",
        "12:00:02 n1: Recovering: silent on every network for 8900 ms, its kernel too",
        "12:00:02 n1: intent written: Fencing",
        "12:00:03 n1: well",
    ];
    assert_eq!(explain(&"n1".into(), &lines), expect);
    assert_eq!(explain(&"n2".into(), &lines), Vec::<String>::new());
}

#[test]
fn one_dead_host_of_two_is_fenced_and_two_of_three_are_held() {
    let check = |hosts: usize, dead: &[usize], expect: usize| {
        let mut seen = quiet(hosts);
        for number in dead {
            seen.at(*number).silent(9_000);
        }
        let decision = decide(&Policy::default(), &seen);
        let writes = decision
            .acts
            .iter()
            .filter(|act| matches!(act, Act::Write(_)))
            .count();
        assert_eq!(writes, expect, "{dead:?} of {hosts}: {decision:?}");
    };
    check(2, &[1], 1);
    check(3, &[1, 2], 0);
    check(4, &[1, 2], 2);
    check(50, &[1, 2, 3, 4, 5], 5);
    check(50, &[1, 2, 3, 4, 5, 6], 0);
}

#[test]
fn an_idle_engine_says_why() {
    let check = |change: fn(&mut Seen), expect: &str| {
        let mut seen = quiet(3);
        seen.at(1).silent(9_000);
        change(&mut seen);
        let decision = decide(&Policy::default(), &seen);
        assert_eq!(decision.idle.as_deref(), Some(expect));
        assert!(
            decision
                .acts
                .iter()
                .all(|act| matches!(act, Act::Claim { .. } | Act::StandDown { .. }))
        );
    };
    check(
        |s| s.engine.quorate = Fact::Known(false),
        "the cluster has no quorum here",
    );
    check(
        |s| s.engine.quorate = Fact::Unknown("timeout".to_owned()),
        "quorum is unknown: timeout",
    );
    check(
        |s| s.store = Fact::Unknown("timeout".to_owned()),
        "the store is unknown: timeout",
    );
    check(|s| s.engine.held = None, "engine on c1 begins above epoch 4");
    check(
        |s| s.engine.held = Some(3),
        "epoch 4 is held by another engine, ours is 3",
    );
    check(|s| s.rows().paused = true, "paused by a person");
    check(
        |s| s.engine.running_ms = 1_499,
        "engine runs for 1499 ms, less than 1500 ms",
    );
    let late = "own round began 1501 ms late, more than 1500 ms: ages are not trusted";
    check(|s| s.engine.late_ms = 1_501, late);
}

/// A device that answers nothing for a moment, as while it switches, calls nobody.
#[test]
fn a_person_is_called_for_unread_power_only_after_a_boot_s_time() {
    let check = |phase_ms, called: bool| {
        let mut seen = quiet(3);
        seen.at(1).silent(8_000);
        let mut row = row(Phase::Returning, Some(proved()));
        row.phase_ms = phase_ms;
        seen.rows().intents = vec![row];
        seen.at(1).power = Fact::Unknown("busy".to_owned());
        let decision = decide(&Policy::default(), &seen);
        let calls = |act: &Act| matches!(act, Act::Tell { message, .. } if message.contains("a person"));
        assert_eq!(decision.acts.iter().any(calls), called, "{:?}", decision.acts);
    };
    let boot = Policy::default().boot_ms;
    check(1_000, false);
    check(boot, false);
    check(boot + 1, true);
}
