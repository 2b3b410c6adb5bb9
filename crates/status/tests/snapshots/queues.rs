//! Snapshots of brokers whose members all run, and whose queues do not bear what they should.

use std::collections::BTreeMap;

use render::Desired;
use status::{Snapshot, Verdict, snapshot};
use wire::{Answer, Fact};

use super::{Seen, check, examples, facts, kept, kinds, seen, texts, world};

fn answered(status: u16, body: &str) -> Fact<Answer> {
    Fact::Known(Answer::Http {
        status,
        body: body.to_owned(),
        headers: BTreeMap::new(),
    })
}

/// A quorum queue on these hosts, of which some are online.
fn queue(name: &str, leader: &str, members: &[&str], online: &[&str]) -> String {
    let nodes = |hosts: &[&str]| {
        let all = hosts.iter().map(|h| format!("\"rabbit@{h}\""));
        all.collect::<Vec<_>>().join(",")
    };
    let (members, online) = (nodes(members), nodes(online));
    format!(
        "{{\"name\":\"{name}\",\"type\":\"quorum\",\"leader\":\"{leader}\",\"members\":[{members}],\"online\":[{online}]}}"
    )
}

/// Every broker tells of these queues.
fn with_queues(seen: &mut Seen, queues: &[String]) {
    let body = format!("[{}]", queues.join(","));
    for facts in seen.values_mut().flatten() {
        facts
            .answers
            .insert("rabbitmq/queues".to_owned(), answered(200, &body));
    }
}

fn bears(found: &Snapshot) -> u32 {
    let mut all = found.bears.iter();
    all.find(|b| b.what == "queues").unwrap().losses
}

/// Senders to such a queue wait, and so do its readers.
#[test]
fn queues_without_a_leader_are_down() {
    let all = ["c1", "c2", "c3"];
    let found = check("queues-leaderless", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let queues = [
            queue("conductor", "rabbit@c1", &all, &all),
            queue("scheduler", "none", &all, &all),
            queue("notify", "", &all, &all),
        ];
        with_queues(&mut seen, &queues);
        seen
    });
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Down, vec!["leaderless"])
    );
    assert_eq!(
        texts(&found),
        ["2 queues of rabbitmq have no leader, such as scheduler"]
    );
}

#[test]
fn queues_with_just_a_majority_are_exposed() {
    let found = check("queues-critical", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let all = ["c1", "c2", "c3"];
        with_queues(&mut seen, &[queue("conductor", "rabbit@c1", &all, &["c1", "c2"])]);
        let told = answered(
            503,
            "{\"status\":\"failed\",\"queues\":[{\"name\":\"conductor\"},{\"name\":\"notify\"}]}",
        );
        facts(&mut seen, "c2")
            .answers
            .insert("rabbitmq/critical".to_owned(), told);
        seen
    });
    assert_eq!((found.verdict, kinds(&found)), (Verdict::Exposed, vec!["queues"]));
    assert_eq!(
        texts(&found),
        ["2 queues of rabbitmq lose their majority with c2, such as conductor"]
    );
    assert_eq!(bears(&found), 0);
}

/// Queues have fewer replicas than there are brokers: two of five may be lost only where not
/// both of them hold one.
#[test]
fn five_brokers_bear_what_three_replicas_bear() {
    let text = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-controllers.yaml"),
    );
    let third = "  c3: { role: controller, address: 198.18.0.13 }\n";
    let text = text.unwrap();
    assert!(text.contains(third), "{text}");
    let more = "  c4: { role: controller, address: 198.18.0.14 }\n  c5: { role: controller, address: 198.18.0.15 }\n";
    let text = text.replace(third, &format!("{third}{more}"));
    let desired: Desired = examples::desired_of(&examples::model_of("five", &text, &[]));
    let replicas = ["c1", "c2", "c3"];
    let seen = |online: &[&str]| {
        let mut seen = world::all(&desired, world::applied);
        with_queues(&mut seen, &[queue("conductor", "rabbit@c1", &replicas, online)]);
        snapshot("demo", &desired, None, &seen)
    };
    let found = seen(&replicas);
    kept("five-brokers", &found);
    assert_eq!(found.verdict, Verdict::Redundant);
    let store = found
        .bears
        .iter()
        .find(|b| b.name == "rabbitmq" && b.what == "store");
    assert_eq!((store.unwrap().losses, bears(&found)), (2, 1));
    assert_eq!(bears(&seen(&["c1", "c3"])), 0);
}
