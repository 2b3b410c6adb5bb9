//! A broker's own health: alarms, by which it takes nothing from anybody,
//! and queues that could not lose a member or have lost too many.
//!
//! Source: the HTTP API reference of RabbitMQ 4, `/api/health/checks/…` and `/api/queues`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use names::HostName;
use serde_json::Value;
use wire::{Answer, Command, Fact, Facts, NamedQuery, Op};

use super::get;
use crate::fault::StoreFault;
use crate::{Differs, Held, Seen, Store};

/// Limits of a broker: the name of the alarm, the member's own figure of it, the option that
/// has it as configured, and the words that set it.
const LIMITS: [(&str, &str, &str, &[&str]); 2] = [
    (
        "disk space",
        "disk_free_limit",
        "disk-limit",
        &["set_disk_free_limit"],
    ),
    (
        "memory",
        "mem_limit",
        "memory-limit",
        &["set_vm_memory_high_watermark", "absolute"],
    ),
];

/// Asked of each member for itself.
pub(super) fn queries(store: &Store) -> Vec<NamedQuery> {
    let ask = |what: &str, path: &str| NamedQuery {
        name: store.answer(what),
        query: get(store, path),
    };
    vec![
        ask("alarms", "/api/health/checks/alarms"),
        ask("critical", "/api/health/checks/node-is-quorum-critical"),
        ask("limits", "/api/nodes?columns=name,disk_free_limit,mem_limit"),
        ask(
            "queues",
            "/api/queues?disable_stats=true&columns=name,type,leader,members,online",
        ),
    ]
}

/// The body of an answer with one of these statuses.
fn body(store: &Store, facts: &Facts, what: &str, statuses: &[u16]) -> Option<Value> {
    match facts.answers.get(&store.answer(what))? {
        Fact::Known(Answer::Http { status, body, .. }) if statuses.contains(status) => {
            serde_json::from_str(body).ok()
        }
        _ => None,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The host of `rabbit@c1`.
fn host_of(node: &str) -> String {
    node.rsplit('@').next().unwrap_or_default().to_owned()
}

fn members<'a>(store: &'a Store, seen: &Seen<'a>) -> Vec<(&'a HostName, &'a Facts)> {
    let all = store.members.iter();
    all.filter_map(|host| Some((host, seen.get(host).copied().flatten()?)))
        .collect()
}

/// Members with an alarm, and of what, as any member tells.
fn alarms(store: &Store, members: &[(&HostName, &Facts)]) -> BTreeSet<(String, String)> {
    let mut out = BTreeSet::new();
    for (_, facts) in members {
        let told = body(store, facts, "alarms", &[503]);
        let all = told
            .as_ref()
            .and_then(|b| b.get("alarms"))
            .and_then(Value::as_array);
        let all = all.into_iter().flatten();
        let found = all.map(|alarm| (host_of(text(alarm, "node")), text(alarm, "resource").to_owned()));
        out.extend(found.filter(|(_, of)| !of.is_empty()));
    }
    out
}

/// Alarms, and queues in danger, as the members tell.
pub fn faults(store: &Store, seen: &Seen<'_>) -> Vec<StoreFault> {
    let members = members(store, seen);
    let mut out = Vec::new();
    let altered = limits(store, seen);
    out.extend(
        alarms(store, &members)
            .into_iter()
            .map(|(host, of)| StoreFault::Alarm {
                cure: cure(store, &host, &of, &altered),
                host,
                of,
            }),
    );
    for (host, facts) in &members {
        let told = body(store, facts, "critical", &[503]);
        let queues = told
            .as_ref()
            .and_then(|b| b.get("queues"))
            .and_then(Value::as_array);
        if let Some([first, ..]) = queues.map(Vec::as_slice) {
            out.push(StoreFault::Critical {
                host: (*host).clone(),
                queues: queues.map_or(0, Vec::len),
                first: text(first, "name").to_owned(),
            });
        }
    }
    out.extend(leaderless(store, &members));
    out
}

/// Queues of which a member tells that nobody leads them.
fn leaderless(store: &Store, members: &[(&HostName, &Facts)]) -> Option<StoreFault> {
    let told = members
        .iter()
        .find_map(|(_, f)| body(store, f, "queues", &[200]))?;
    let without = told.as_array()?.iter().filter(|q| {
        // Only replicated queues have one; `none` is how Erlang writes that there is none.
        text(q, "type") == "quorum" && matches!(text(q, "leader"), "" | "none" | "undefined")
    });
    let names: Vec<&str> = without.map(|q| text(q, "name")).collect();
    let first = names.first()?;
    Some(StoreFault::Leaderless {
        queues: names.len(),
        first: (*first).to_owned(),
    })
}

/// How many more replicas the worst queue can lose; a queue that is not replicated counts
/// for nothing, since clients make it again.
pub fn queues_bear(store: &Store, seen: &Seen<'_>) -> Option<u32> {
    let members = members(store, seen);
    let told = members
        .iter()
        .find_map(|(_, f)| body(store, f, "queues", &[200]))?;
    let list = |q: &Value, key: &str| q.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let replicated = told.as_array()?.iter().filter(|q| text(q, "type") == "quorum");
    let margins = replicated.map(|q| {
        let (of, online) = (list(q, "members"), list(q, "online"));
        let live = of.iter().filter(|m| online.contains(m)).count();
        u32::try_from(live.saturating_sub(of.len() / 2 + 1)).unwrap_or(u32::MAX)
    });
    margins.min()
}

/// How many quorum queues have no live majority of their replicas, and a member that tells so.
pub(super) fn stuck(store: &Store, seen: &Seen<'_>) -> Option<(HostName, usize)> {
    let members = members(store, seen);
    let (host, told) = members
        .iter()
        .find_map(|(host, f)| Some((host, body(store, f, "queues", &[200])?)))?;
    let list = |q: &Value, key: &str| q.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let stuck = told.as_array()?.iter().filter(|q| {
        let (of, online) = (list(q, "members"), list(q, "online"));
        let live = of.iter().filter(|m| online.contains(m)).count();
        text(q, "type") == "quorum" && 2 * live <= of.len()
    });
    let stuck = stuck.count();
    (stuck > 0).then(|| ((*host).clone(), stuck))
}

/// Bytes of `200MB`, `2GiB` or a number, as a broker reads them.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..)? {
        "" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "k" | "kiB" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// Bytes that are free where the store's data lie.
fn free(store: &Store, facts: &Facts) -> Option<u64> {
    let data = Path::new(store.option("data"));
    let over = facts
        .disk_free
        .iter()
        .filter(|(mount, _)| data.starts_with(mount));
    over.max_by_key(|(mount, _)| mount.len()).map(|(_, free)| *free)
}

/// Limits that members run with and that are not as configured: host, alarm, value.
///
/// A member's own account of its limits is some seconds old, its alarm is not: with one of
/// the disk where the configured limit is still free, it runs with a larger limit.
fn limits(store: &Store, seen: &Seen<'_>) -> BTreeMap<(String, &'static str), String> {
    const DISK: (&str, &str) = (LIMITS[0].0, LIMITS[0].2);
    let mut out = BTreeMap::new();
    let members = members(store, seen);
    let want = bytes(store.option(DISK.1));
    for (host, of) in alarms(store, &members) {
        let facts = members.iter().find(|(name, _)| **name == host);
        if let (Some((_, facts)), Some(want)) = (facts, want)
            && of == DISK.0
            && let Some(free) = free(store, facts).filter(|free| *free > want)
        {
            out.insert((host, DISK.0), format!("more than {free}"));
        }
    }
    let told = members.iter().find_map(|(_, f)| body(store, f, "limits", &[200]));
    for node in told.as_ref().and_then(Value::as_array).into_iter().flatten() {
        for (of, figure, option, _) in LIMITS {
            let want = bytes(store.option(option));
            let have = node.get(figure).and_then(Value::as_u64);
            if let (Some(want), Some(have)) = (want, have)
                && want != have
            {
                out.insert((host_of(text(node, "name")), of), have.to_string());
            }
        }
    }
    out
}

fn cure(store: &Store, host: &str, of: &str, altered: &BTreeMap<(String, &'static str), String>) -> String {
    if altered.keys().any(|(h, o)| h == host && *o == of) {
        return "quorate apply".to_owned();
    }
    match of {
        "disk space" => format!("make room on {host}: `df -h {}`", store.option("data")),
        _ => format!(
            "on {host}: `rabbitmqctl list_queues name messages memory`, and have the longest consumed or purged"
        ),
    }
}

/// Limits that somebody changed at a running member: each is put back there.
pub(super) fn differs(store: &Store, seen: &Seen<'_>) -> Vec<Differs> {
    let all = limits(store, seen).into_iter();
    all.filter_map(|((host, of), have)| {
        let (_, _, option, words) = LIMITS.iter().find(|(name, ..)| *name == of)?;
        let want = store.option(option);
        let argv: Vec<&str> = ["rabbitmqctl"]
            .into_iter()
            .chain(words.iter().copied())
            .chain([want])
            .collect();
        let unit = format!("quorate-{}-limit-{}", store.resource, of.replace(' ', "-"));
        Some(Differs {
            held: Held {
                what: format!("{of} limit of {host}"),
                want: bytes(want)?.to_string(),
                mend: vec![Op::Run(Command::new(unit, &argv, 60_000))],
            },
            have: Some(have),
            // A name that no host can have is of nobody, and nothing is mended.
            member: Some(HostName::new(&host).ok()?),
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let options = [
            ("data", "/data"),
            ("disk-limit", "200MB"),
            ("memory-limit", "2GB"),
        ];
        Store {
            engine: "rabbitmq".to_owned(),
            resource: "b".into(),
            members: ["c1", "c2"].map(crate::host).to_vec(),
            options: options
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into_iter()
                .collect(),
            ..Store::default()
        }
    }

    /// Answers of c1; c2 cannot be asked.
    fn with<T>(answers: &[(&str, u16, &str)], look: impl Fn(&Store, &Seen<'_>) -> T) -> T {
        with_room(answers, 0, look)
    }

    /// The same with so many bytes free on c1.
    fn with_room<T>(answers: &[(&str, u16, &str)], free: u64, look: impl Fn(&Store, &Seen<'_>) -> T) -> T {
        let mut facts = crate::silent();
        facts.disk_free.insert("/".to_owned(), free);
        for (what, status, body) in answers {
            let answer = Answer::Http {
                status: *status,
                body: (*body).to_owned(),
                headers: BTreeMap::new(),
            };
            facts.answers.insert(format!("b/{what}"), Fact::Known(answer));
        }
        let seen: Seen<'_> = [(crate::host("c1"), Some(&facts)), (crate::host("c2"), None)]
            .into_iter()
            .collect();
        look(&store(), &seen)
    }

    const LIMITS_KEPT: (&str, u16, &str) = (
        "limits",
        200,
        r#"[{"name":"rabbit@c1","disk_free_limit":200000000,"mem_limit":2000000000}]"#,
    );

    #[test]
    fn an_alarm_is_told_with_its_cure() {
        let alarm = (
            "alarms",
            503,
            r#"{"status":"failed","reason":"x","alarms":[{"resource":"disk space","node":"rabbit@c2"}]}"#,
        );
        let check = |limits, cure: &str| {
            let found = with(&[alarm, limits], faults);
            let expect = StoreFault::Alarm {
                host: "c2".to_owned(),
                of: "disk space".to_owned(),
                cure: cure.to_owned(),
            };
            assert_eq!(found, [expect]);
        };
        check(LIMITS_KEPT, "make room on c2: `df -h /data`");
        let raised = r#"[{"name":"rabbit@c2","disk_free_limit":900000000000,"mem_limit":2000000000}]"#;
        check(("limits", 200, raised), "quorate apply");
        // Its own account of the limit is late: the room that the host has says the same.
        let of_c1 = (alarm.0, alarm.1, &*alarm.2.replace("c2", "c1"));
        let room = |free: u64| {
            let found = with_room(&[of_c1, LIMITS_KEPT], free, |store, seen| {
                (faults(store, seen), differs(store, seen))
            });
            let cure = found.0.into_iter().map(|fault| match fault {
                StoreFault::Alarm { cure, .. } => cure,
                other => format!("{other:?}"),
            });
            (cure.collect::<String>(), found.1.len())
        };
        assert_eq!(room(200_000_001), ("quorate apply".to_owned(), 1));
        assert_eq!(
            room(199_999_999),
            ("make room on c1: `df -h /data`".to_owned(), 0)
        );
        assert_eq!(with(&[("alarms", 200, r#"{"status":"ok"}"#)], faults), []);
        assert_eq!(with(&[("alarms", 500, "")], faults), []);
    }

    #[test]
    fn queues_that_bear_no_loss_are_told() {
        let critical =
            r#"{"status":"failed","reason":"x","queues":[{"readable_name":"q","name":"q1"},{"name":"q2"}]}"#;
        let found = with(&[("critical", 503, critical)], faults);
        let expect = StoreFault::Critical {
            host: crate::host("c1"),
            queues: 2,
            first: "q1".to_owned(),
        };
        assert_eq!(found, [expect]);
        let queues = r#"[{"name":"a","type":"quorum","leader":"rabbit@c1"},{"name":"b","type":"quorum"},{"name":"c","type":"classic"}]"#;
        let found = with(&[("queues", 200, queues)], faults);
        let expect = StoreFault::Leaderless {
            queues: 1,
            first: "b".to_owned(),
        };
        assert_eq!(found, [expect]);
    }

    #[test]
    fn the_worst_queue_counts() {
        let check = |queues: &str, expect| {
            assert_eq!(with(&[("queues", 200, queues)], queues_bear), expect, "{queues}");
        };
        let three = r#"{"type":"quorum","members":["a","b","c"],"online":["a","b","c"]}"#;
        check(&format!("[{three}]"), Some(1));
        check(
            &format!(r#"[{three},{{"type":"quorum","members":["a","b","c"],"online":["a","c"]}}]"#),
            Some(0),
        );
        check(
            r#"[{"type":"quorum","members":["a","b","c","d","e"],"online":["a","b","c","d","e"]}]"#,
            Some(2),
        );
        check(r#"[{"type":"classic"}]"#, None);
        check("[]", None);
    }

    #[test]
    fn a_limit_that_somebody_changed_is_put_back_there() {
        assert_eq!(with(&[LIMITS_KEPT], differs).len(), 0);
        let raised = r#"[{"name":"rabbit@c2","disk_free_limit":900000000000,"mem_limit":2000000000}]"#;
        let found = with(&[("limits", 200, raised)], differs);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].member.as_deref(), Some("c2"));
        let Op::Run(command) = &found[0].held.mend[0] else {
            panic!("{found:?}")
        };
        assert_eq!(command.argv, ["rabbitmqctl", "set_disk_free_limit", "200MB"]);
    }

    #[test]
    fn sizes_are_read_as_a_broker_reads_them() {
        let check = |text, expect| assert_eq!(bytes(text), expect, "{text}");
        check("200MB", Some(200_000_000));
        check("2GiB", Some(2 << 30));
        check("1024", Some(1024));
        check("many", None);
        check("", None);
    }
}
