//! Whole snapshots of a cloud in several states, from `crm_mon`'s real output
//! (`tests/captured`) and answers as stores and APIs give them:
//! `tests/captured/status`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "../../plan/tests/support/world.rs"]
mod world;

#[path = "snapshots/cluster.rs"]
mod cluster;
#[path = "snapshots/queues.rs"]
mod queues;
#[path = "snapshots/users.rs"]
mod users;
#[path = "snapshots/view.rs"]
mod view;

use pacemaker::{LiveCib, Monitor, Resource};
use render::Desired;
use status::{Problem, Snapshot, Verdict, snapshot};
use wire::{Address, Answer, Fact, Facts};

type Seen = status::Observed;

/// The three hosts in one captured state; those of `lost` cannot be reached.
fn seen(desired: &Desired, state: &str, lost: &[&str]) -> Seen {
    let mut xml = compare::read(&format!("tests/captured/crm_mon-{state}.xml"));
    // Captured was a cloud of one network: what others have more runs on all.
    for resource in &desired.cib.resources {
        let id = &resource.primitive().id;
        if xml.contains(&format!("id=\"{id}\"")) {
            continue;
        }
        let agent = &resource.primitive().agent;
        let nodes = desired.nodes.iter().map(|(node, _)| node);
        let mut nodes: Vec<_> = nodes.filter(|n| !lost.contains(&n.as_str())).collect();
        if matches!(resource, Resource::Primitive(_)) {
            // The second of those that are left, where there is one.
            nodes.truncate(2);
            nodes.drain(..nodes.len() - 1);
        }
        for node in nodes {
            let one = format!(
                "<resource id=\"{id}\" resource_agent=\"{agent}\" role=\"Started\" active=\"true\"><node \
                 name=\"{node}\"/></resource>"
            );
            xml = xml.replace("</resources>", &format!("{one}</resources>"));
        }
    }
    let monitor = Monitor::parse(&xml).unwrap();
    let alive = desired.nodes.len() - lost.len();
    desired
        .hosts
        .keys()
        .map(|host| {
            if lost.contains(&host.as_str()) {
                return (
                    host.clone(),
                    Err(format!("cannot reach {host}: No route to host")),
                );
            }
            let mut facts = world::applied(desired, host);
            facts.cluster = Fact::Known(monitor.clone());
            facts.addresses.clear();
            for (vip, address) in [("vip-galera", "198.18.0.100"), ("vip-keystone", "198.18.0.101")] {
                if monitor.nodes_of(vip, "Started").contains(&host.as_str()) {
                    facts.addresses.push(Address {
                        interface: "eth0".to_owned(),
                        address: address.to_owned(),
                        prefix: 24,
                    });
                }
            }
            if let Some(Fact::Known(Answer::Rows(rows))) = facts.answers.get_mut("galera/status") {
                for row in rows
                    .iter_mut()
                    .filter(|r| r[0].as_deref() == Some("wsrep_cluster_size"))
                {
                    row[1] = Some(alive.to_string());
                }
            }
            if let Some(Fact::Known(Answer::Http { body, .. })) = facts.answers.get_mut("rabbitmq/nodes") {
                for host in lost {
                    *body = body.replace(
                        &format!("\"rabbit@{host}\",\"running\":true"),
                        &format!("\"rabbit@{host}\",\"running\":false"),
                    );
                }
            }
            (host.clone(), Ok(facts))
        })
        .collect()
}

fn facts<'a>(seen: &'a mut Seen, host: &str) -> &'a mut Facts {
    seen.get_mut(host).unwrap().as_mut().unwrap()
}

fn texts(found: &Snapshot) -> Vec<String> {
    found.problems.iter().map(Problem::text).collect()
}

/// The kinds of what is wrong.
fn kinds(found: &Snapshot) -> Vec<&'static str> {
    found.problems.iter().map(Problem::kind).collect()
}

/// The same change of what every member tells of the cluster, and of its configuration.
fn told(seen: &mut Seen, change: impl Fn(&mut Monitor), configured: impl Fn(&str) -> String) {
    for facts in seen.values_mut().flatten() {
        if let Fact::Known(cluster) = &mut facts.cluster {
            change(cluster);
        }
        if let Fact::Known(cib) = &mut facts.cib {
            *cib = LiveCib::parse(configured(cib.text().unwrap())).unwrap();
        }
    }
}

/// Nothing listens; what is on the disk stays.
fn silent(facts: &mut Facts) {
    for (name, answer) in &mut facts.answers {
        if !["galera/grastate", "galera/directories"].contains(&name.as_str()) {
            *answer = Fact::Absent;
        }
    }
}

/// The snapshot is as committed; gives it for further questions.
fn check(name: &str, no_fencing: Option<&str>, make: impl Fn(&Desired) -> Seen) -> Snapshot {
    check_of("three-controllers", name, no_fencing, make)
}

/// The same of another example.
fn check_of(
    example: &str,
    name: &str,
    no_fencing: Option<&str>,
    make: impl Fn(&Desired) -> Seen,
) -> Snapshot {
    let (_, desired) = examples::example(example);
    let found = snapshot("demo", &desired, no_fencing, &make(&desired));
    kept(name, &found);
    found
}

/// A snapshot holds the laws of all, and is as committed.
fn kept(name: &str, found: &Snapshot) {
    // Whatever is wrong, the operator is told what is next.
    assert_eq!(
        found.next.is_empty(),
        found.verdict == Verdict::Redundant,
        "{name}"
    );
    // Where nothing is wrong, all bear a loss more.
    if found.verdict == Verdict::Redundant {
        assert!(
            found.fatal.is_empty() && found.bears.iter().all(|b| b.losses > 0),
            "{name}"
        );
    }
    // The worst comes first, and nothing is better than it.
    let verdicts: Vec<Verdict> = found.problems.iter().map(Problem::verdict).collect();
    assert!(verdicts.is_sorted_by(|a, b| a >= b), "{name}: {verdicts:?}");
    assert!(
        verdicts.iter().all(|v| *v <= found.verdict),
        "{name}: {verdicts:?}"
    );
    let json = serde_json::to_string_pretty(found).unwrap() + "\n";
    compare::text(&format!("tests/captured/status/{name}.json"), &json);
}

#[test]
fn a_whole_cloud_is_redundant() {
    let found = check("redundant", None, |d| seen(d, "healthy", &[]));
    assert_eq!(found.verdict, Verdict::Redundant);
    assert!(found.problems.is_empty() && found.next.is_empty());
}

/// Every example of three controllers bears any one loss, and one of a single host none.
#[test]
fn what_is_designed_for_it_is_redundant() {
    let check = |name: &str, verdict| {
        let (_, desired) = examples::example(name);
        let seen = world::all(&desired, world::applied);
        let found = snapshot("demo", &desired, None, &seen);
        assert_eq!(
            found.verdict,
            verdict,
            "{name}: {:?} {:?}",
            found.fatal,
            texts(&found)
        );
        assert_eq!(found.fatal.is_empty(), verdict == Verdict::Redundant, "{name}");
    };
    for name in [
        "three-controllers",
        "core",
        "two-links",
        "ipv6",
        "eight-services",
        "with-compute",
        "with-images",
        "with-placement",
        "with-secrets",
        "with-volumes",
        "active-volumes",
    ] {
        check(name, Verdict::Redundant);
    }
    check("one-controller", Verdict::Exposed);
}

/// VMs on hosts that nobody protects are told of, and change no verdict.
#[test]
fn hosts_of_machines_are_counted_apart() {
    let (_, desired) = examples::example("with-compute");
    let found = snapshot("demo", &desired, None, &world::all(&desired, world::applied));
    assert!(
        found.remarks.iter().any(|r| r == "VMs on n1: not protected"),
        "{:?}",
        found.remarks
    );
}

/// Groups count what is left of them: a host away, a store, the members' majority.
#[test]
fn groups_of_hosts_tell_how_many_more_can_be_lost() {
    let check = |lost: &[&str], expect: &[(&str, usize, u32, bool)]| {
        let (_, desired) = examples::example("eight-services");
        let mut seen = world::all(&desired, world::applied);
        for host in lost {
            seen.insert(world::host(host), Err(format!("cannot reach {host}")));
            let away = |cluster: &mut Monitor| {
                let nodes = cluster.nodes.iter_mut();
                nodes.filter(|n| n.name == *host).for_each(|n| n.online = false);
                let all = cluster.resources.iter_mut();
                all.for_each(|r| r.nodes.retain(|n| n != host));
            };
            told(&mut seen, away, str::to_owned);
        }
        let found = snapshot("demo", &desired, None, &seen);
        let groups = found.groups.iter();
        let groups: Vec<_> = groups.map(|g| (g.name, g.hosts, g.losses, g.moves)).collect();
        assert_eq!(groups, expect, "{lost:?}");
    };
    let all = |losses| {
        [
            ("databases", 3, losses, true),
            ("brokers", 3, losses, true),
            ("API hosts", 3, losses, true),
            ("VM hosts", 1, 0, false),
        ]
    };
    check(&[], &all(1));
    check(&["n1"], &all(1));
    check(&["c2"], &all(0));
}

/// The sum of several half-bad things is foretold, not counted.
#[test]
fn a_loss_that_nobody_mends_exposes() {
    // The address would stay with a balancer that nobody starts again.
    let found = check("balancer-unmanaged", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let change = |cluster: &mut Monitor| {
            let all = cluster.resources.iter_mut();
            all.filter(|r| r.id == "haproxy").for_each(|r| r.managed = false);
        };
        told(&mut seen, change, str::to_owned);
        seen
    });
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Exposed, vec!["unmanaged"])
    );
    assert!(
        found.fatal[0].starts_with("haproxy ends on c1"),
        "{:?}",
        found.fatal
    );
    // And a database without one of its members would be no majority.
    let found = check("weight", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let three = Fact::Known(Answer::Rows(vec![vec![Some("3".to_owned())]]));
        facts(&mut seen, "c1")
            .answers
            .insert("galera/weight".to_owned(), three);
        seen
    });
    assert_eq!((found.verdict, kinds(&found)), (Verdict::Exposed, vec!["weight"]));
    assert!(found.fatal.iter().all(|f| f.contains("c1")), "{:?}", found.fatal);
    let store = found
        .bears
        .iter()
        .find(|b| b.what == "store" && b.name == "galera")
        .unwrap();
    assert_eq!(store.losses, 0);
}

#[test]
fn a_broker_with_an_alarm_is_down_for_those_who_send() {
    let alarm = |seen: &mut Seen| {
        let body =
            "{\"status\":\"failed\",\"alarms\":[{\"node\":\"rabbit@c2\",\"resource\":\"disk space\"}]}";
        let answer = Answer::Http {
            status: 503,
            body: body.to_owned(),
            headers: std::collections::BTreeMap::new(),
        };
        facts(seen, "c1")
            .answers
            .insert("rabbitmq/alarms".to_owned(), Fact::Known(answer));
    };
    let found = check("alarm", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        alarm(&mut seen);
        let disks = &mut facts(&mut seen, "c2").disk_free;
        for free in disks.values_mut() {
            *free = 100 << 20;
        }
        seen
    });
    assert_eq!(found.verdict, Verdict::Down);
    assert!(kinds(&found).contains(&"alarm"), "{:?}", found.problems);
    assert!(found.next.starts_with("make room on c2"), "{}", found.next);
}

#[test]
fn disks_and_clocks_are_looked_at() {
    let found = check("disk", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        facts(&mut seen, "c2").disk_free.insert("/".to_owned(), 1 << 30);
        // A tenth of a large disk is little too.
        facts(&mut seen, "c3").disk_free.insert("/".to_owned(), 15 << 30);
        seen
    });
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Degraded, vec!["disk", "disk"])
    );
    let found = check("disk-full", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        facts(&mut seen, "c2").disk_free.insert("/".to_owned(), 0);
        seen
    });
    assert_eq!(found.verdict, Verdict::Exposed);
    let clock = |seconds: i64| {
        check(&format!("clock-{seconds}"), None, move |d| {
            let mut seen = seen(d, "healthy", &[]);
            facts(&mut seen, "c3").clock += seconds;
            seen
        })
    };
    assert_eq!(clock(2).verdict, Verdict::Redundant);
    assert_eq!(
        texts(&clock(-30)),
        ["the clock of c3 is 30 s behind those of the others"]
    );
    assert_eq!(clock(-30).verdict, Verdict::Degraded);
    assert_eq!(clock(61).verdict, Verdict::Exposed);
}

#[test]
fn without_fencing_it_is_always_remarked() {
    let found = check("no-fencing", Some("a test bench"), |d| seen(d, "healthy", &[]));
    assert_eq!(found.verdict, Verdict::Redundant);
    assert!(
        found
            .remarks
            .iter()
            .any(|r| r == "there is no fencing: a test bench"),
        "{:?}",
        found.remarks
    );
}

#[test]
fn with_one_host_lost_it_is_exposed() {
    let found = check("one-lost", None, |d| seen(d, "one-lost", &["c2"]));
    assert_eq!(found.verdict, Verdict::Exposed);
    assert_eq!(found.members[1].state, "unreachable");
    assert_eq!(found.vips[1].host.as_deref(), Some("c3"));
}

#[test]
fn without_quorum_it_is_down() {
    let found = check("no-quorum", None, |d| {
        let mut seen = seen(d, "no-quorum", &["c2", "c3"]);
        let facts = facts(&mut seen, "c1");
        silent(facts);
        seen
    });
    assert_eq!(found.verdict, Verdict::Down);
    assert_eq!(found.next, "quorate recover");
}

#[test]
fn a_cloud_that_is_configured_and_not_started_is_down() {
    let found = check("stopped", None, |d| {
        let mut seen = seen(d, "stopped", &[]);
        for host in ["c1", "c2", "c3"] {
            silent(facts(&mut seen, host));
        }
        seen
    });
    assert_eq!(found.verdict, Verdict::Down);
}

#[test]
fn an_api_that_does_not_answer_is_down_though_all_runs() {
    let found = check("api-silent", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        for host in ["c1", "c2", "c3"] {
            facts(&mut seen, host).answers.insert(
                "api/keystone".to_owned(),
                Fact::Unknown("timed out after 5 s".to_owned()),
            );
        }
        seen
    });
    assert_eq!(found.verdict, Verdict::Down);
}

#[test]
fn a_failed_member_leaves_it_exposed() {
    let found = check("member-failed", None, |d| {
        let mut seen = seen(d, "failed", &[]);
        facts(&mut seen, "c3")
            .answers
            .insert("galera/status".to_owned(), Fact::Absent);
        seen
    });
    assert_eq!(found.verdict, Verdict::Exposed);
}

#[test]
fn an_address_that_nobody_holds_is_a_problem() {
    let found = check("address-missing", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        facts(&mut seen, "c1").addresses.clear();
        seen
    });
    assert_eq!(found.verdict, Verdict::Down);
    assert_eq!(found.next, "quorate plan");
}

/// A host that cannot be asked may have it.
#[test]
fn an_address_of_a_host_that_is_not_seen_may_be_there() {
    let found = check("address-unseen", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        seen.insert(
            names::HostName::new("c1").unwrap(),
            Err("cannot reach c1: timed out".to_owned()),
        );
        seen
    });
    assert_eq!(found.verdict, Verdict::Exposed);
}

#[test]
fn an_address_away_from_home_is_remarked() {
    let found = check("address-away", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let held = std::mem::take(&mut facts(&mut seen, "c2").addresses);
        facts(&mut seen, "c3").addresses.extend(held);
        seen
    });
    assert_eq!(found.verdict, Verdict::Redundant);
    assert!(found.vips[1].is_away() && !found.vips[0].is_away());
    let away = "keystone is on c3, away from its home c2";
    assert!(
        found.remarks.iter().any(|r| r.contains(away)),
        "{:?}",
        found.remarks
    );
}

/// Two holders answer each other's clients: the split that fencing is for.
#[test]
fn an_address_that_two_hold_is_a_problem() {
    let found = check("address-twice", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let held = facts(&mut seen, "c1").addresses.clone();
        facts(&mut seen, "c3").addresses.extend(held);
        seen
    });
    // The cluster runs it on c1, so it is c3 that has to let go of it.
    assert_eq!(found.verdict, Verdict::Exposed);
    assert!(texts(&found)[0].contains("c1 and c3"), "{:?}", found.problems);
    assert_eq!(found.next, "on c3: `ip address del 198.18.0.100/24 dev eth0`");
}

/// A partition of one that was cut off must not speak for the cloud.
#[test]
fn the_quorate_partition_is_believed() {
    let found = check("cut-off", None, |d| {
        let mut all = seen(d, "one-lost", &[]);
        let cut =
            compare::read("tests/captured/crm_mon-no-quorum.xml").replace("c1\" id=\"1\"", "c2\" id=\"2\"");
        facts(&mut all, "c2").cluster = Fact::Known(Monitor::parse(&cut).unwrap());
        all.move_index(0, 2);
        all
    });
    assert_ne!(found.verdict, Verdict::Down);
}

/// What a host says of the links to the two others, by their places in the file: whether
/// each is connected.
fn heard(desired: &Desired, facts: &mut Facts, others: [(usize, bool, bool); 2]) {
    let word = |connected: bool| if connected { "enabled connected" } else { "enabled" };
    let stdout = others.map(|(place, first, second)| {
        let (_, id) = desired.nodes[place - 1];
        format!(
            "nodeid: {id} reachable\n   LINK: 0 udp (a->b) {} mtu: 1397\n   LINK: 1 udp (a->b) {} mtu: 1397\n",
            word(first),
            word(second)
        )
    });
    let answer = Answer::Ran {
        status: 0,
        stdout: stdout.concat(),
        stderr: String::new(),
    };
    facts
        .answers
        .insert("cluster/links".to_owned(), Fact::Known(answer));
}

#[test]
fn links_that_are_connected_are_told_and_are_no_problem() {
    let found = check_of("two-links", "links", None, |d| seen(d, "healthy", &[]));
    assert_eq!(found.verdict, Verdict::Redundant);
    assert_eq!(found.links.len(), 2);
}

#[test]
fn a_host_that_is_cut_off_in_one_network_degrades_it() {
    let found = check_of("two-links", "link-cut-off", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        heard(d, facts(&mut seen, "c1"), [(2, true, false), (3, true, false)]);
        heard(d, facts(&mut seen, "c2"), [(1, true, false), (3, true, true)]);
        heard(d, facts(&mut seen, "c3"), [(1, true, false), (2, true, true)]);
        seen
    });
    assert_eq!(found.verdict, Verdict::Degraded);
    assert_eq!(texts(&found), ["c1 hears nobody in the network ring2"]);
}

#[test]
fn a_network_without_its_switch_is_one_problem() {
    let found = check_of("two-links", "link-switch", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        heard(d, facts(&mut seen, "c1"), [(2, true, false), (3, true, false)]);
        heard(d, facts(&mut seen, "c2"), [(1, true, false), (3, true, false)]);
        heard(d, facts(&mut seen, "c3"), [(1, true, false), (2, true, false)]);
        seen
    });
    assert_eq!(texts(&found), ["no host hears another in the network ring2"]);
}

/// Half a cable, or a switch with a bad table: it has no one culprit.
#[test]
fn two_that_do_not_hear_each_other_are_named() {
    let found = check_of("two-links", "link-pair", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        heard(d, facts(&mut seen, "c3"), [(1, true, true), (2, true, false)]);
        seen
    });
    assert_eq!(
        texts(&found),
        ["c2 and c3 do not hear each other in the network ring2"]
    );
}

/// A host that is gone is told once, not once more for each of its links.
#[test]
fn links_of_a_lost_host_are_not_told() {
    let found = check_of("two-links", "link-lost-host", None, |d| {
        let mut seen = seen(d, "one-lost", &["c2"]);
        heard(d, facts(&mut seen, "c1"), [(2, false, false), (3, true, true)]);
        heard(d, facts(&mut seen, "c3"), [(2, false, false), (1, true, true)]);
        seen
    });
    assert_eq!(found.verdict, Verdict::Exposed);
    assert!(
        found.links.iter().all(|l| l.silent.is_empty()),
        "{:?}",
        found.links
    );
}

#[test]
fn what_systemd_runs_is_seen_on_its_hosts() {
    let found = check_of("core", "core", None, |d| seen(d, "healthy", &[]));
    assert_eq!(found.verdict, Verdict::Redundant);
    assert_eq!(found.apis[0].instances, ["c1", "c2", "c3"]);
    let found = check_of("core", "core-one-lost", None, |d| seen(d, "one-lost", &["c2"]));
    assert_eq!(found.verdict, Verdict::Exposed);
    assert_eq!(found.apis[0].instances, ["c1", "c3"]);
}

/// The cluster looks after a timer every 300 s, and calls it started until then.
#[test]
fn a_timer_that_somebody_stopped_is_a_problem_before_the_cluster_looks() {
    let [unit, resource] = ["quorate-keystone-trust-flush.timer", "keystone-trust-flush"];
    let found = check_of("core", "timer-stopped", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let Some(Fact::Known(now)) = facts(&mut seen, "c2").units.get_mut(unit) else {
            panic!()
        };
        "inactive".clone_into(&mut now.active);
        seen
    });
    assert_eq!(found.verdict, Verdict::Degraded);
    assert_eq!(kinds(&found), ["stopped"]);
    assert_eq!(
        texts(&found),
        [format!(
            "{unit} on c2 is inactive, and the cluster has not seen yet that {resource} does not run"
        )]
    );
    assert!(
        found.next.contains(&format!("--resource {resource}")),
        "{}",
        found.next
    );
}

/// A unit that runs and does not answer counts as little as one that is stopped.
#[test]
fn an_instance_of_systemd_that_does_not_serve_is_a_problem() {
    let unit = "quorate-keystone.service";
    let failed = |facts: &mut Facts| {
        let Some(Fact::Known(now)) = facts.units.get_mut(unit) else {
            panic!()
        };
        "failed".clone_into(&mut now.active);
    };
    let answer = |facts: &mut Facts, fact: Fact<Answer>| {
        facts.answers.insert("instance/keystone-api".to_owned(), fact);
    };
    let busy = || {
        Fact::Known(Answer::Http {
            status: 503,
            body: String::new(),
            headers: std::collections::BTreeMap::new(),
        })
    };
    let found = check_of("core", "core-instances", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        failed(facts(&mut seen, "c1"));
        answer(facts(&mut seen, "c3"), busy());
        facts(&mut seen, "c2")
            .answers
            .insert("instance/memcached".to_owned(), Fact::Absent);
        seen
    });
    // One API is left, though through its address it answers.
    assert_eq!(found.verdict, Verdict::Exposed);
    assert_eq!(found.apis[0].instances, ["c2"]);
    assert_eq!(
        texts(&found),
        [
            "keystone-api runs 1 of 3 times (on c1: quorate-keystone.service is failed; on c3: it answers with status 503)",
            "memcached runs 2 of 3 times (on c2: it does not listen)"
        ]
    );
    let unknown = check_of("core", "core-unknown", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        answer(
            facts(&mut seen, "c1"),
            Fact::Unknown("timed out after 5 s".to_owned()),
        );
        seen
    });
    assert_eq!(unknown.verdict, Verdict::Degraded);
    assert_eq!(
        texts(&unknown),
        ["keystone-api runs 2 of 3 times (on c1: timed out after 5 s)"]
    );
}
