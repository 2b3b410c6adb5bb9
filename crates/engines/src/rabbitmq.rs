//! RabbitMQ 4: members find each other by the configured list (native
//! `classic_config` peer discovery), so a birth needs no command; after a full
//! outage they wait for each other by themselves. What is asked is the
//! management API on loopback: `rabbitmqctl` would cost two CPU seconds.

mod health;
mod holds;
mod lost;

pub use health::{faults, queues_bear};

use names::HostName;
use serde_json::Value;
use wire::{Answer, Command, Expect, Fact, HttpGet, NamedQuery, Op, Query, UnitChange, Wait};

use crate::{Differs, Intent, Member, Refusal, Seen, Stage, StageStep, Store};

fn get(store: &Store, path: &str) -> Query {
    Query::Http(request(store, path))
}

fn request(store: &Store, path: &str) -> HttpGet {
    HttpGet {
        method: "GET".to_owned(),
        url: format!("{}{path}", store.option("api")),
        ca: None,
        auth: Some((
            store.option("user").to_owned(),
            store.option("password").to_owned(),
        )),
        headers: Vec::new(),
        body: None,
    }
}

/// Items that a running broker holds otherwise than its definitions, and runs with otherwise
/// than its configuration.
pub fn differs(store: &Store, seen: &Seen<'_>) -> Vec<Differs> {
    let mut out = holds::differs(store, seen);
    out.extend(health::differs(store, seen));
    out
}

/// The nodes as each member sees them, and whether it ever ran.
pub fn queries(store: &Store) -> Vec<NamedQuery> {
    let mut out = if store.definitions.is_empty() {
        Vec::new()
    } else {
        holds::queries(store)
    };
    out.extend(health::queries(store));
    out.extend([
        NamedQuery {
            name: store.answer("nodes"),
            query: get(store, "/api/nodes?columns=name,running,partitions"),
        },
        NamedQuery {
            name: store.answer("data"),
            query: Query::List(store.option("data").to_owned()),
        },
    ]);
    out
}

/// Whether a member is known to have never run: its folder is empty, or is not
/// there, as before its package is.
fn unborn(store: &Store, facts: &wire::Facts) -> bool {
    match crate::listing(facts, &store.answer("data")) {
        Fact::Known(found) => found.folders.is_empty() && found.others.is_empty(),
        Fact::Absent => true,
        Fact::Unknown(_) => false,
    }
}

/// Names of the nodes that a member knows of, and whether it sees them running.
fn nodes(store: &Store, facts: &wire::Facts) -> Option<Vec<(String, bool)>> {
    let Some(Answer::Http {
        status: 200, body, ..
    }) = facts.answers.get(&store.answer("nodes"))?.known()
    else {
        return None;
    };
    let nodes: Value = serde_json::from_str(body).ok()?;
    let node = |n: &Value| {
        let running = n.get("running").and_then(Value::as_bool) == Some(true);
        Some((n.get("name")?.as_str()?.to_owned(), running))
    };
    Some(nodes.as_array()?.iter().filter_map(node).collect())
}

/// True for a member that could not be asked: it is not known to be down.
fn unasked(store: &Store, facts: &wire::Facts) -> bool {
    matches!(facts.answers.get(&store.answer("nodes")), Some(Fact::Unknown(_)))
}

/// Names of the nodes that a member sees running.
fn running(store: &Store, facts: &wire::Facts) -> Option<Vec<String>> {
    let all = nodes(store, facts)?.into_iter();
    Some(
        all.filter(|(_, running)| *running)
            .map(|(name, _)| name)
            .collect(),
    )
}

/// Two members that serve and are not of one cluster: one of them does not even
/// know of the other. It happens where a birth is cut in the second in which the
/// first member is a cluster and the others are not in it yet.
fn strangers<'a>(store: &'a Store, seen: &Seen<'_>) -> Option<(&'a str, &'a str)> {
    let known: Vec<(&str, Vec<(String, bool)>)> = store
        .members
        .iter()
        .filter_map(|host| Some((host.as_str(), nodes(store, seen.get(host).copied().flatten()?)?)))
        .collect();
    let lists = |nodes: &[(String, bool)], host: &str| {
        nodes
            .iter()
            .any(|(name, _)| name.rsplit('@').next() == Some(host))
    };
    known.iter().find_map(|(host, nodes)| {
        let other = known.iter().find(|(other, _)| !lists(nodes, other))?;
        Some((*host, other.0))
    })
}

/// Nodes that the members remember and that will never come back as what they were:
/// hosts that are no members any more, and those under whose name stands an empty
/// machine now, which would not be let in as long as the old one is remembered.
/// A member in a minority answers nobody, so nothing is forgotten by one. Gives their hosts, and how
/// each is forgotten.
fn forget(store: &Store, seen: &Seen<'_>) -> (Vec<String>, Vec<StageStep>) {
    let facts = |host: &str| seen.get(host).copied().flatten();
    let remembers = |host: &HostName| Some((host.clone(), nodes(store, facts(host)?)?));
    let Some((teller, known)) = store.members.iter().find_map(remembers) else {
        return (Vec::new(), Vec::new());
    };
    let mut gone = Vec::new();
    let mut out: Vec<StageStep> = Vec::new();
    for (node, _) in known.iter().filter(|(_, running)| !running) {
        let host = node.rsplit('@').next().unwrap_or_default();
        let member = store.members.iter().any(|m| m == host);
        // One that is away stays a member; one that is given up is none.
        let away = store.away.iter().any(|m| m == host);
        if away || (member && !facts(host).is_some_and(|f| unborn(store, f))) {
            continue;
        }
        gone.push(host.to_owned());
        let argv = ["rabbitmqctl", "forget_cluster_node", node.as_str()];
        out.push(StageStep {
            name: format!("forget-{host}"),
            host: teller.clone(),
            title: format!("have {} forget what {host} was", store.resource),
            ops: vec![Op::Run(Command::new(
                format!("quorate-forget-{host}"),
                &argv,
                120_000,
            ))],
            // One after the other: each is a change of who is a member.
            after: out.last().map(|s| s.name.clone()).into_iter().collect(),
        });
    }
    (gone, out)
}

/// Members: running, down, or unknown.
pub fn members(store: &Store, seen: &Seen<'_>) -> Vec<Member> {
    store
        .members
        .iter()
        .map(|host| {
            let facts = seen.get(host).copied().flatten();
            let (state, healthy, detail) = match facts.map(|f| running(store, f)) {
                None => ("unknown", false, "the host could not be asked".to_owned()),
                Some(None) if facts.is_some_and(|f| unasked(store, f)) => {
                    ("unknown", false, "it was asked and did not answer".to_owned())
                }
                Some(None) if facts.is_some_and(|f| holds::locked_out(store, f)) => {
                    ("running", true, "does not let its own user in".to_owned())
                }
                Some(None) => ("down", false, String::new()),
                Some(Some(nodes)) => {
                    // A member apart from the others takes connections and can confirm nothing.
                    let word = match (nodes.len(), store.members.len()) {
                        (seen, all) if seen >= all => "running",
                        (seen, all) if 2 * seen > all => "partial",
                        _ => "minority",
                    };
                    (
                        word,
                        word != "minority",
                        format!("sees {} of {}", nodes.len(), store.members.len()),
                    )
                }
            };
            Member {
                host: host.clone(),
                state: state.to_owned(),
                healthy,
                detail,
            }
        })
        .collect()
}

/// All members have joined.
pub fn ready(store: &Store) -> Vec<Wait> {
    let count = u32::try_from(store.members.len()).unwrap_or(u32::MAX);
    vec![Wait {
        what: format!("all {count} members of {} have joined", store.resource),
        query: get(store, "/api/nodes?columns=name,running"),
        expect: Expect::JsonCount {
            field: "/running".to_owned(),
            value: "true".to_owned(),
            count,
        },
        timeout_ms: 300_000,
        every_ms: 500,
    }]
}

/// The member answers, and sees all others but one at least. Those that are gone and not
/// forgotten yet count: with one that is stopped beside them the others are a majority of all.
pub fn serves(store: &Store, without: &str) -> Vec<Wait> {
    let least = store.members.len().saturating_sub(1).max(1);
    let ours = store.members.len() + store.away.len();
    let sees = Wait {
        what: format!(
            "{} sees {least} of {} members running",
            store.resource,
            store.members.len()
        ),
        query: get(store, "/api/nodes?columns=name,running"),
        expect: Expect::JsonCount {
            field: "/running".to_owned(),
            value: "true".to_owned(),
            count: u32::try_from(least).unwrap_or(u32::MAX),
        },
        timeout_ms: 60_000,
        every_ms: 500,
    };
    let majority = Wait {
        what: format!("{} has a majority without {without}", store.resource),
        expect: Expect::JsonMajority {
            field: "/running".to_owned(),
            value: "true".to_owned(),
            without: format!("rabbit@{without}"),
            expected: u32::try_from(ours).unwrap_or(u32::MAX),
        },
        ..sees.clone()
    };
    vec![sees, majority]
}

/// Waits for those that are down; for recovery, lets the cluster manager try again first.
///
/// # Errors
/// When members serve that are not of one cluster.
pub fn stage(store: &Store, seen: &Seen<'_>, intent: Intent) -> Result<Stage, Refusal> {
    let members = members(store, seen);
    let (gone, forget) = forget(store, seen);
    // Nodes that it should forget are told by those that serve alone, as is all that it holds.
    let again = !store.members.iter().any(|host| {
        seen.get(host)
            .copied()
            .flatten()
            .is_some_and(|f| nodes(store, f).is_some())
    });
    if members.iter().all(|m| m.state == "running") && forget.is_empty() {
        return Ok(Stage {
            again,
            ..lost::stuck(store, seen, intent)
        });
    }
    if let Some((one, other)) = strangers(store, seen) {
        return Err(Refusal {
            code: "store::two-clusters",
            message: format!(
                "{}: {one} and {other} run and are not of one cluster, so neither may be thrown away unasked",
                store.resource
            ),
            cure: format!(
                "look at the queues of both; then on the host whose messages may go: rabbitmqctl stop_app, \
                 reset, start_app (it joins {one} or {other} again)"
            ),
        });
    }
    let mut out = Stage {
        ready: ready(store),
        ..Stage::default()
    };
    // In a minority a member answers for a moment and pauses: it forgets while it is stopped.
    let minority = intent == Intent::Recover && lost::minority(store, seen);
    if !forget.is_empty() && !minority {
        out.explain.push(format!(
            "{}: {} will not come back with what it had; the others forget it",
            store.resource,
            gone.join(", ")
        ));
        out.gone = gone;
        out.before = forget;
        out.before_cluster = true;
        return Ok(out);
    }
    // A birth wants all members at once and nothing of the cluster manager: begun
    // beside it, the brokers boot while others wait.
    let all_unborn = store
        .members
        .iter()
        .all(|h| seen.get(h).copied().flatten().is_some_and(|f| unborn(store, f)));
    if all_unborn && !crate::managed(store, seen) {
        out.explain.push(format!(
            "{}: no member ever ran; they are started together and find each other",
            store.resource
        ));
        let start = |host: &HostName| StageStep {
            name: format!("start-{host}"),
            host: host.clone(),
            title: format!("start {} on {host}", store.resource),
            ops: vec![Op::Units(vec![UnitChange {
                unit: store.option("unit").to_owned(),
                active: Some(true),
                ..UnitChange::default()
            }])],
            after: Vec::new(),
        };
        out.before = store.members.iter().map(start).collect();
        out.before_cluster = true;
        return Ok(out);
    }
    out.again = again;
    let down: Vec<&str> = members
        .iter()
        .filter(|m| m.state == "down")
        .map(|m| m.host.as_str())
        .collect();
    // An empty member has nothing to begin by.
    let holds = |host: &str| {
        !seen
            .get(host)
            .copied()
            .flatten()
            .is_some_and(|f| unborn(store, f))
    };
    let known = || members.iter().filter(|m| m.state != "unknown");
    if intent == Intent::Recover
        && let Some(host) = known()
            .find(|m| holds(&m.host))
            .or_else(|| known().next())
            .map(|m| m.host.clone())
    {
        out.explain.push(format!(
            "{}: down on {}; members wait for each other at start, so they are started together",
            store.resource,
            down.join(", ")
        ));
        let served = members.iter().any(|m| m.healthy);
        if !store.lost.is_empty() && (!served || (minority && !forget.is_empty())) {
            lost::begin(store, seen, &host, &mut out);
        }
        let after = out.before.iter().map(|s| s.name.clone()).collect();
        out.before.push(StageStep {
            name: "try-again".to_owned(),
            host,
            title: format!("let the cluster start {} again", store.resource),
            ops: vec![crate::galera::cleanup(&store.resource)],
            after,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a member answers of the nodes that it knows, and whether it sees each running.
    fn told(nodes: &[(&str, bool)]) -> Fact<Answer> {
        let node = |(n, up): &(&str, bool)| format!("{{\"name\":\"rabbit@{n}\",\"running\":{up}}}");
        Fact::Known(Answer::Http {
            status: 200,
            body: format!("[{}]", nodes.iter().map(node).collect::<Vec<_>>().join(",")),
            headers: std::collections::BTreeMap::new(),
        })
    }

    /// A folder with these entries.
    fn holds(names: &[&str]) -> Fact<Answer> {
        Fact::Known(Answer::Listing(wire::Listing {
            folders: names.iter().map(|n| (*n).to_owned()).collect(),
            others: Vec::new(),
        }))
    }

    fn broken() -> Fact<Answer> {
        Fact::Unknown("cannot list /data: Input/output error".to_owned())
    }

    fn said(data: Fact<Answer>, cluster: Fact<pacemaker::Monitor>) -> Vec<String> {
        let store = Store {
            engine: "rabbitmq".to_owned(),
            resource: "broker".into(),
            members: vec![crate::host("c1")],
            ..Store::default()
        };
        let mut facts = crate::silent();
        facts.cluster = cluster;
        facts.answers.insert(store.answer("data"), data);
        let seen: Seen<'_> = [(crate::host("c1"), Some(&facts))].into_iter().collect();
        let stage = stage(&store, &seen, Intent::Converge).unwrap();
        assert_eq!(stage.ready.len(), 1);
        stage.before.into_iter().map(|s| s.title).collect()
    }

    #[test]
    fn those_that_never_ran_are_started_together() {
        assert_eq!(said(holds(&[]), Fact::Absent), ["start broker on c1"]);
        assert_eq!(said(Fact::Absent, Fact::Absent), ["start broker on c1"]);
    }

    #[test]
    fn those_that_ran_are_the_cluster_managers() {
        assert_eq!(said(holds(&["broker@c1"]), Fact::Absent), [""; 0]);
        // A folder that cannot be listed is not empty.
        assert_eq!(said(broken(), Fact::Absent), [""; 0]);
        let named = Fact::Known(crate::running("broker"));
        assert_eq!(said(holds(&[]), named), [""; 0]);
    }

    #[test]
    fn who_will_not_come_back_is_forgotten() {
        let store = Store {
            engine: "rabbitmq".to_owned(),
            resource: "broker".into(),
            members: ["c1", "c2"].map(crate::host).to_vec(),
            ..Store::default()
        };
        // What c1 remembers, whether c2 holds anything, and whom c1 forgets.
        let check = |knows: &[(&str, bool)], data: Fact<Answer>, forgets: &[&str]| {
            let mut one = crate::silent();
            one.answers.insert(store.answer("nodes"), told(knows));
            let mut two = crate::silent();
            two.answers.insert(store.answer("data"), data.clone());
            let seen: Seen<'_> = [(crate::host("c1"), Some(&one)), (crate::host("c2"), Some(&two))]
                .into_iter()
                .collect();
            let stage = stage(&store, &seen, Intent::Converge).unwrap();
            let names: Vec<&str> = stage.before.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, forgets, "{knows:?} {data:?}");
            // Until then none of those that are left is stopped.
            let gone: Vec<String> = stage.gone.iter().map(|host| format!("forget-{host}")).collect();
            assert_eq!(gone, forgets, "{knows:?} {data:?}");
        };
        check(&[("c1", true), ("c2", false)], holds(&["x"]), &[]);
        check(&[("c1", true), ("c2", false)], holds(&[]), &["forget-c2"]);
        check(&[("c1", true)], holds(&[]), &[]);
        check(&[("c1", true), ("c2", false)], broken(), &[]);
        check(&[("c1", true), ("c9", false)], holds(&["x"]), &["forget-c9"]);
        check(&[("c1", true), ("c9", true)], holds(&["x"]), &[]);
    }

    /// Two that left lost their power before they were forgotten: of five members three run.
    #[test]
    fn who_is_gone_counts_until_it_is_forgotten() {
        let check = |away: &[&str], nodes: &[(&str, bool)], expect: bool| {
            let store = Store {
                members: ["c1", "c2", "c3"].map(crate::host).to_vec(),
                away: away.iter().copied().map(crate::host).collect(),
                ..Store::default()
            };
            let waits = serves(&store, "c1");
            let held = waits.iter().all(|w| wire::holds(&told(nodes), &w.expect).is_ok());
            assert_eq!(held, expect, "{nodes:?}, away {away:?}");
        };
        let [a, b, c] = ["c1", "c2", "c3"].map(|n| (n, true));
        check(&[], &[a, b, c], true);
        check(&[], &[a, b, ("c3", false)], true);
        check(&[], &[a, ("c2", false), ("c3", false)], false);
        check(&[], &[a, b, c, ("c4", false), ("c5", false)], false);
        check(&[], &[a, b, c, ("c4", true), ("c5", false)], true);
        check(&[], &[a, b, c, ("c4", false)], false);
        check(&["c4"], &[a, b, c, ("c4", false)], true);
    }

    /// Members that do not serve tell nobody whom they remember: that is asked once they do.
    #[test]
    fn where_nobody_tells_it_is_asked_again() {
        let store = Store {
            engine: "rabbitmq".to_owned(),
            resource: "broker".into(),
            members: ["c1", "c2"].map(crate::host).to_vec(),
            ..Store::default()
        };
        let check = |answers: [Fact<Answer>; 2], again: bool| {
            let facts = answers.map(|answer| {
                let mut facts = crate::silent();
                facts.answers.insert(store.answer("nodes"), answer);
                facts.answers.insert(store.answer("data"), holds(&["x"]));
                facts
            });
            let all = store.members.iter().cloned();
            let seen: Seen<'_> = all.zip(facts.iter().map(Some)).collect();
            let stage = stage(&store, &seen, Intent::Converge).unwrap();
            assert_eq!((stage.again, stage.barrier), (again, false));
        };
        let refused = || {
            Fact::Known(Answer::Http {
                status: 401,
                body: String::new(),
                headers: std::collections::BTreeMap::new(),
            })
        };
        let whole = || told(&[("c1", true), ("c2", true)]);
        check([Fact::Absent, Fact::Absent], true);
        check([Fact::Absent, Fact::Unknown("no answer".to_owned())], true);
        // Both serve, and let their own user not in.
        check([refused(), refused()], true);
        check([whole(), Fact::Absent], false);
        check([whole(), whole()], false);
    }

    /// A broker that does not answer in time is not one that is down.
    #[test]
    fn one_that_does_not_answer_is_unknown() {
        let store = Store {
            engine: "rabbitmq".to_owned(),
            resource: "broker".into(),
            members: vec![crate::host("c1")],
            ..Store::default()
        };
        let state = |answer: Fact<Answer>| {
            let mut facts = crate::silent();
            facts.answers.insert(store.answer("nodes"), answer);
            let seen: Seen<'_> = [(crate::host("c1"), Some(&facts))].into_iter().collect();
            let mut members = members(&store, &seen);
            let member = members.remove(0);
            (member.state, member.healthy)
        };
        assert_eq!(state(Fact::Absent), ("down".to_owned(), false));
        assert_eq!(
            state(Fact::Unknown("it did not answer within 10 s".to_owned())),
            ("unknown".to_owned(), false)
        );
        assert_eq!(state(told(&[("c1", true)])), ("running".to_owned(), true));
    }

    #[test]
    fn one_that_is_given_up_is_forgotten_and_one_that_is_away_is_not() {
        let check = |lost: &[&str], away: &[&str], forgets: &[&str]| {
            let names = |hosts: &[&str]| hosts.iter().map(|h| crate::host(h)).collect();
            let store = Store {
                engine: "rabbitmq".to_owned(),
                resource: "broker".into(),
                members: ["c2", "c3"].map(crate::host).to_vec(),
                lost: names(lost),
                away: names(away),
                ..Store::default()
            };
            let mut facts = crate::silent();
            let knows = told(&[("c1", false), ("c2", true), ("c3", true)]);
            facts.answers.insert(store.answer("nodes"), knows);
            let seen: Seen<'_> = (store.members.iter().cloned())
                .map(|host| (host, Some(&facts)))
                .collect();
            let stage = stage(&store, &seen, Intent::Recover).unwrap();
            let names: Vec<&str> = stage.before.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, forgets, "{lost:?} {away:?}");
        };
        check(&["c1"], &[], &["forget-c1"]);
        check(&[], &["c1"], &[]);
    }

    #[test]
    fn those_that_wait_for_one_that_is_given_up_begin_without_it() {
        let check = |lost: &[&str], begins: &[&str]| {
            let store = Store {
                engine: "rabbitmq".to_owned(),
                resource: "broker".into(),
                members: ["c2", "c3"].map(crate::host).to_vec(),
                lost: lost.iter().map(|h| crate::host(h)).collect(),
                ..Store::default()
            };
            let facts = crate::silent();
            let seen: Seen<'_> = (store.members.iter().cloned())
                .map(|host| (host, Some(&facts)))
                .collect();
            let stage = stage(&store, &seen, Intent::Recover).unwrap();
            let names: Vec<&str> = stage.before.iter().map(|s| s.name.as_str()).collect();
            assert_eq!(names, begins, "{lost:?}");
        };
        check(&["c1"], &["begin-alone", "try-again"]);
        check(&[], &["try-again"]);
    }

    #[test]
    fn two_clusters_are_refused() {
        let store = Store {
            engine: "rabbitmq".to_owned(),
            resource: "broker".into(),
            members: ["c1", "c2"].map(crate::host).to_vec(),
            ..Store::default()
        };
        // What each member knows, and whether that is refused.
        let check = |knows: [&[&str]; 2], refused: bool| {
            let facts = knows.map(|names| {
                let mut facts = crate::silent();
                let nodes: Vec<(&str, bool)> = names.iter().map(|n| (*n, false)).collect();
                facts.answers.insert(store.answer("nodes"), told(&nodes));
                facts
            });
            let seen: Seen<'_> = store
                .members
                .iter()
                .cloned()
                .zip(facts.iter().map(Some))
                .collect();
            let got = stage(&store, &seen, Intent::Converge);
            assert_eq!(
                got.is_err_and(|r| r.code == "store::two-clusters"),
                refused,
                "{knows:?}"
            );
        };
        check([&["c1"], &["c2"]], true);
        check([&["c1", "c2"], &["c2"]], true);
        // One that was just switched on is known and not yet seen running.
        check([&["c1", "c2"], &["c1", "c2"]], false);
    }

    #[test]
    fn who_sees_no_majority_does_not_serve() {
        // How many of how many members the only one that was asked sees.
        let check = |sees: usize, of: usize, word: &str, healthy: bool| {
            let hosts: Vec<HostName> = (1..=of).map(|n| crate::host(&format!("c{n}"))).collect();
            let store = Store {
                engine: "rabbitmq".to_owned(),
                resource: "broker".into(),
                members: hosts.clone(),
                ..Store::default()
            };
            let mut facts = crate::silent();
            let nodes = hosts.iter().enumerate();
            let nodes: Vec<(&str, bool)> = nodes.map(|(n, host)| (host.as_str(), n < sees)).collect();
            facts.answers.insert(store.answer("nodes"), told(&nodes));
            let seen: Seen<'_> = [(crate::host("c1"), Some(&facts))].into_iter().collect();
            let member = members(&store, &seen).swap_remove(0);
            assert_eq!(
                (member.state.as_str(), member.healthy),
                (word, healthy),
                "{sees} of {of}"
            );
        };
        check(3, 3, "running", true);
        check(2, 3, "partial", true);
        check(1, 3, "minority", false);
        check(1, 2, "minority", false);
        check(1, 1, "running", true);
    }
}
