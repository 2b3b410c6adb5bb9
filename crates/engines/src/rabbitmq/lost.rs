//! Brokers that are given up: those that are left begin without them, also where the lost were
//! a majority. Not for one that is away, which stays a member.
//!
//! Source: RabbitMQ's guides on clustering and quorum queues, and its 4.0.5 on lab hosts. A
//! minority starts nothing (`pause_minority`) unless it forgets the others while it is
//! stopped; a queue whose replicas were mostly theirs elects no leader until it is told
//! that it has no others.

use names::HostName;
use wire::{Command, Op};

use super::{health, unborn};
use crate::{Intent, Seen, Stage, StageStep, Store};

/// Erlang: each quorum queue without a live majority goes on with this node's replica alone.
/// Others of the cloud get theirs by the broker's own reconciliation.
const SHRINK: &str = "[begin {resource, V, _, N} = amqqueue:get_name(Q), \
    #{nodes := M} = amqqueue:get_type_state(Q), \
    L = [X || X <- M, lists:member(X, [node() | nodes()])], \
    case {2 * length(L) > length(M), lists:member(node(), M)} of \
    {false, true} -> rabbit_quorum_queue:force_shrink_member_to_current_member(V, N); \
    _ -> ok end end || Q <- rabbit_amqqueue:list(), amqqueue:get_type(Q) =:= rabbit_quorum_queue].";

/// Members that never return as what they were: those that are given up, and empty machines
/// under the names of old ones.
fn gone(store: &Store, seen: &Seen<'_>) -> Vec<HostName> {
    let empty = |host: &&HostName| {
        seen.get(*host)
            .copied()
            .flatten()
            .is_some_and(|f| unborn(store, f))
    };
    let members = store.members.iter().filter(empty);
    store.lost.iter().chain(members).cloned().collect()
}

fn all(store: &Store) -> usize {
    store.members.len() + store.lost.len()
}

/// True if members are given up, and those that are left are no majority.
pub(super) fn minority(store: &Store, seen: &Seen<'_>) -> bool {
    let left = all(store).saturating_sub(gone(store, seen).len());
    !store.lost.is_empty() && 2 * left <= all(store)
}

/// Has queues whose replicas were mostly lost go on with what `host` holds of them.
fn shrink(store: &Store, host: &HostName) -> StageStep {
    let argv = ["rabbitmqctl", "--quiet", "eval", SHRINK];
    StageStep {
        name: "shrink".to_owned(),
        host: host.clone(),
        title: format!(
            "let queues of {} without a majority go on with what {host} holds",
            store.resource
        ),
        ops: vec![Op::Run(Command::new(
            format!("quorate-shrink-{}", store.resource),
            &argv,
            180_000,
        ))],
        after: Vec::new(),
    }
}

/// Queues of brokers that serve again, whose replicas were mostly on the lost.
pub(super) fn stuck(store: &Store, seen: &Seen<'_>, intent: Intent) -> Stage {
    let mut out = Stage::default();
    if intent != Intent::Recover || store.lost.is_empty() {
        return out;
    }
    let Some((host, queues)) = health::stuck(store, seen) else {
        return out;
    };
    out.explain.push(format!(
        "{}: {queues} queues have lost most of their replicas, and go on with what {host} holds",
        store.resource
    ));
    out.before.push(shrink(store, &host));
    out
}

/// A script that does something while a unit is stopped. The cluster manager may start it again
/// at any moment, and by its start it wants it up: that start waits meanwhile, for as long as a
/// start may take.
fn held(unit: &str, what: &str) -> String {
    format!(
        "cd /; s=0; held=/run/quorate-held-{unit}; d=/run/systemd/system/{unit}.d; mkdir -p \"$d\"; : >\"$held\"; \
         printf '%s\\n' '[Service]' TimeoutStartSec=300 \"ExecStartPre=-+/usr/bin/timeout 240 /bin/sh -c \
         'while test -e $held; do sleep 0.5; done'\" >\"$d/quorate-held.conf\"; systemctl daemon-reload; \
         systemctl stop {unit}; {what}rm -f \"$held\" \"$d/quorate-held.conf\"; systemctl daemon-reload; \
         systemctl start --no-block {unit}; exit $s"
    )
}

/// Has one member begin by what it holds: all wait for each other at a start, and so for
/// those that never return.
pub(super) fn begin(store: &Store, seen: &Seen<'_>, host: &HostName, out: &mut Stage) {
    let lost = store.lost.join(" and ");
    let gone = gone(store, seen);
    let minority = minority(store, seen);
    let forget = if minority {
        let one = |gone: &HostName| {
            format!("rabbitmqctl --quiet forget_cluster_node --offline rabbit@{gone} || s=$?; ")
        };
        gone.iter().map(one).collect::<Vec<_>>().concat()
    } else {
        "rabbitmqctl --quiet force_boot || s=$?; ".to_owned()
    };
    let script = held(store.option("unit"), &forget);
    out.before.push(StageStep {
        name: "begin-alone".to_owned(),
        host: host.clone(),
        title: format!("let {} on {host} begin without {lost}", store.resource),
        ops: vec![Op::Run(Command::new(
            format!("quorate-begin-{}", store.resource),
            &["sh", "-c", script.as_str()],
            300_000,
        ))],
        after: Vec::new(),
    });
    if minority {
        out.explain.push(format!(
            "{}: {} were most of its {} members: {host} forgets them and begins, and each queue goes on with \
             what {host} holds of it; lost are messages that were confirmed by {lost} alone",
            store.resource,
            gone.join(" and "),
            all(store)
        ));
        out.after.push(shrink(store, host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Answer, Fact, Listing};

    fn store(lost: &[&str], members: &[&str]) -> Store {
        Store {
            engine: "rabbitmq".to_owned(),
            resource: "broker".into(),
            members: members.iter().map(|h| crate::host(h)).collect(),
            lost: lost.iter().map(|h| crate::host(h)).collect(),
            ..Store::default()
        }
    }

    /// The stage of brokers that are down; `empty`: those whose folder is.
    fn down(store: &Store, empty: &[&str]) -> Stage {
        let facts = |host: &HostName| {
            let mut facts = crate::silent();
            let folders = if empty.contains(&host.as_str()) {
                Vec::new()
            } else {
                vec!["rabbit".to_owned()]
            };
            let listing = Listing {
                folders,
                others: Vec::new(),
            };
            let data = Fact::Known(Answer::Listing(listing));
            facts.answers.insert(store.answer("data"), data);
            facts
        };
        let all: Vec<(HostName, wire::Facts)> = store.members.iter().map(|h| (h.clone(), facts(h))).collect();
        let seen: Seen<'_> = all.iter().map(|(h, f)| (h.clone(), Some(f))).collect();
        super::super::stage(store, &seen, Intent::Recover).unwrap()
    }

    fn script(stage: &Stage) -> String {
        let begin = stage.before.iter().find(|s| s.name == "begin-alone").unwrap();
        match &begin.ops[..] {
            [Op::Run(command)] => format!("{}: {}", begin.host, command.argv.join(" ")),
            _ => panic!("{begin:?}"),
        }
    }

    #[test]
    fn a_minority_forgets_the_lost_before_it_begins() {
        let check = |lost: &[&str], members: &[&str], empty: &[&str], host: &str, forgets: &[&str]| {
            let stage = down(&store(lost, members), empty);
            let script = script(&stage);
            assert!(script.starts_with(host), "{script}");
            for one in lost.iter().chain(empty) {
                let words = format!("forget_cluster_node --offline rabbit@{one} ");
                assert_eq!(script.contains(&words), forgets.contains(one), "{script}");
            }
            assert_eq!(script.contains("force_boot"), forgets.is_empty(), "{script}");
            let shrinks = stage.after.iter().any(|s| s.name == "shrink" && s.host == host);
            assert_eq!(shrinks, !forgets.is_empty());
        };
        check(&["c1"], &["c2", "c3"], &[], "c2", &[]);
        check(&["c1", "c2"], &["c3"], &[], "c3", &["c1", "c2"]);
        // An empty machine under the name of an old one is a member no more.
        check(&["c1"], &["c2", "c3"], &["c2"], "c3", &["c1", "c2"]);
        check(&["c1", "c2"], &["c3", "c4", "c5"], &[], "c3", &[]);
    }

    /// One that answers before it pauses, and still counts the lost, is not asked to forget them.
    #[test]
    fn a_minority_that_answers_forgets_while_it_is_stopped() {
        let store = store(&["c1", "c2"], &["c3"]);
        let mut facts = crate::silent();
        let body = r#"[{"name":"rabbit@c1","running":false},{"name":"rabbit@c2","running":false},{"name":"rabbit@c3","running":true}]"#;
        let answer = Answer::Http {
            status: 200,
            body: body.to_owned(),
            headers: std::collections::BTreeMap::new(),
        };
        facts.answers.insert(store.answer("nodes"), Fact::Known(answer));
        let seen: Seen<'_> = [(crate::host("c3"), Some(&facts))].into_iter().collect();
        let stage = super::super::stage(&store, &seen, Intent::Recover).unwrap();
        let names: Vec<&str> = stage.before.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["begin-alone", "try-again"]);
        assert!(stage.after.iter().any(|s| s.name == "shrink"));
    }

    /// A start by the cluster manager waits until the members are forgotten.
    #[test]
    fn a_start_meanwhile_waits() {
        let script = script(&down(&store(&["c1", "c2"], &["c3"]), &[]));
        let at = |words: &str| {
            script
                .find(words)
                .unwrap_or_else(|| panic!("no {words} in {script}"))
        };
        let order = [
            ": >\"$held\"",
            "while test -e $held",
            "systemctl daemon-reload",
            "systemctl stop ",
            "forget_cluster_node",
            "rm -f \"$held\"",
            "systemctl start --no-block",
        ];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{script}");
        let checked = std::process::Command::new("sh")
            .args(["-n", "-c"])
            .arg(script.split_once(": sh -c ").unwrap().1)
            .status();
        assert!(checked.unwrap().success());
    }

    #[test]
    fn queues_that_lost_most_of_their_replicas_go_on() {
        let check = |lost: &[&str], intent, online: &str, shrinks: bool| {
            let store = store(lost, &["c3"]);
            let mut facts = crate::silent();
            let http = |body: String| {
                Fact::Known(Answer::Http {
                    status: 200,
                    body,
                    headers: std::collections::BTreeMap::new(),
                })
            };
            let nodes = r#"[{"name":"rabbit@c3","running":true}]"#;
            facts
                .answers
                .insert(store.answer("nodes"), http(nodes.to_owned()));
            // A queue without a leader still names its last one.
            let queues = format!(
                r#"[{{"name":"q","type":"quorum","leader":"rabbit@c3","members":["rabbit@c1","rabbit@c2","rabbit@c3"],"online":{online}}}]"#
            );
            facts.answers.insert(store.answer("queues"), http(queues));
            let seen: Seen<'_> = [(crate::host("c3"), Some(&facts))].into_iter().collect();
            let stage = super::super::stage(&store, &seen, intent).unwrap();
            assert_eq!(
                stage.before.iter().any(|s| s.name == "shrink"),
                shrinks,
                "{online}"
            );
        };
        let gone = ["c1", "c2"];
        check(&gone, Intent::Recover, r#"["rabbit@c3"]"#, true);
        check(&gone, Intent::Recover, r#"["rabbit@c2","rabbit@c3"]"#, false);
        check(&gone, Intent::Converge, r#"["rabbit@c3"]"#, false);
        check(&[], Intent::Recover, r#"["rabbit@c3"]"#, false);
    }
}
