//! What a broker holds beside messages: virtual hosts, users, permissions and
//! policies, against the definitions that it was born with. They are the same on
//! all members, so any that answers is believed, and what differs is put back by
//! one request to one member; a running broker is not restarted for it.
//!
//! Only what the definitions name is looked at: what an operator added stays.
//! Passwords are not compared, since the broker salts them.

use serde_json::{Map, Value};
use wire::{Answer, Command, Fact, Facts, HttpGet, NamedQuery, Op};

use super::{get, request};
use crate::{Differs, Held, Seen, Store};

/// The sections, each with the keys that name an entry and those that are compared.
/// Source: the HTTP API reference of RabbitMQ 4.
const SECTIONS: [(&str, &[&str], &[&str]); 4] = [
    ("vhosts", &["name"], &["default_queue_type"]),
    ("users", &["name"], &["tags"]),
    ("permissions", &["vhost", "user"], &["configure", "write", "read"]),
    (
        "policies",
        &["vhost", "name"],
        &["pattern", "definition", "priority", "apply-to"],
    ),
];

/// What each section's list is asked for, and no more: a list of virtual hosts has
/// the counts of all messages otherwise, and one of users has hashes.
pub(super) fn queries(store: &Store) -> Vec<NamedQuery> {
    let one = |(section, names, keys): &(&str, &[&str], &[&str])| {
        let columns = format!("{},{}", names.join(","), keys.join(","));
        NamedQuery {
            name: store.answer(section),
            query: get(store, &format!("/api/{section}?columns={columns}")),
        }
    };
    SECTIONS.iter().map(one).collect()
}

/// Whether the broker runs and refuses the user that asks it.
pub(super) fn locked_out(store: &Store, facts: &Facts) -> bool {
    let answer = facts.answers.get(&store.answer("nodes"));
    matches!(answer, Some(Fact::Known(Answer::Http { status: 401, .. })))
}

/// A list as a member tells it.
fn list(store: &Store, facts: &Facts, section: &str) -> Option<Vec<Value>> {
    let Some(Fact::Known(Answer::Http {
        status: 200, body, ..
    })) = facts.answers.get(&store.answer(section))
    else {
        return None;
    };
    serde_json::from_str(body).ok()
}

/// What the definitions name and the broker has otherwise or not at all.
pub(super) fn differs(store: &Store, seen: &Seen<'_>) -> Vec<Differs> {
    let members = || {
        store
            .members
            .iter()
            .filter_map(|m| seen.get(m).copied().flatten())
    };
    if members().any(|f| locked_out(store, f)) {
        return vec![let_in(store)];
    }
    let mut out = Vec::new();
    for (section, names, keys) in SECTIONS {
        let Some(now) = members().find_map(|f| list(store, f, section)) else {
            continue;
        };
        let wanted = store.definitions.section(section).as_array();
        for entry in wanted.into_iter().flatten() {
            let found = now
                .iter()
                .find(|n| names.iter().all(|k| n.get(*k) == entry.get(*k)));
            let want = shown(entry, keys, entry);
            let have = found.map(|f| shown(f, keys, entry));
            if have.as_ref() != Some(&want) {
                out.push(Differs {
                    held: Held {
                        what: title(section, entry, names),
                        want,
                        mend: vec![put(store, section, names, entry)],
                    },
                    have,
                    member: None,
                });
            }
        }
    }
    out
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        // Tags are a list in what is told, and a text with commas in what is asked.
        Some(Value::Array(all)) => all.iter().map(|v| text(Some(v))).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// The keys that `wanted` states, as one line.
fn shown(entry: &Value, keys: &[&str], wanted: &Value) -> String {
    let pair = |k: &&str| {
        let value = text(entry.get(*k));
        format!("{k}: {}", if value.is_empty() { "none" } else { &value })
    };
    let stated: Vec<String> = keys
        .iter()
        .filter(|k| wanted.get(**k).is_some())
        .map(pair)
        .collect();
    stated.join("; ")
}

fn title(section: &str, entry: &Value, names: &[&str]) -> String {
    let name = |key: &str| text(entry.get(key));
    match section {
        "permissions" => format!("permissions of {} in {}", name("user"), name("vhost")),
        "policies" => format!("policy {} in {}", name("name"), name("vhost")),
        _ => format!(
            "{} {}",
            section.trim_end_matches('s'),
            name(names.first().unwrap_or(&""))
        ),
    }
}

/// A part of a path: names may hold a slash.
fn escaped(text: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn put(store: &Store, section: &str, names: &[&str], entry: &Value) -> Op {
    let path: Vec<String> = names.iter().map(|k| escaped(&text(entry.get(*k)))).collect();
    let mut body: Map<String, Value> = entry.as_object().cloned().unwrap_or_default();
    body.retain(|k, _| !names.contains(&k.as_str()));
    if let Some(tags) = body.get_mut("tags") {
        *tags = Value::String(text(Some(tags)));
    }
    Op::Http(HttpGet {
        method: "PUT".to_owned(),
        body: Some(Value::Object(body).to_string()),
        ..request(store, &format!("/api/{section}/{}", path.join("/")))
    })
}

/// Who asks is himself not let in: the broker's own tool, which needs no user,
/// reads the definitions again. It costs two CPU seconds, so nothing else goes by it.
fn let_in(store: &Store) -> Differs {
    let argv = ["rabbitmqctl", "import_definitions", store.option("definitions")];
    let unit = format!("quorate-{}-definitions", store.resource);
    Differs {
        held: Held {
            what: format!("user {}", store.option("user")),
            want: "let in".to_owned(),
            mend: vec![Op::Run(Command::new(unit, &argv, 60_000))],
        },
        have: Some("refused".to_owned()),
        member: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Definitions;

    const DEFINITIONS: &str = r#"{
      "users": [{"name": "a", "password": "⟦secret:x⟧", "tags": []}, {"name": "q", "password": "y", "tags": ["administrator"]}],
      "vhosts": [{"name": "/", "default_queue_type": "quorum"}],
      "permissions": [{"user": "a", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
      "policies": [{"vhost": "/", "name": "p", "pattern": "^n", "definition": {"max-length": 5}, "priority": 1, "apply-to": "queues"}]
    }"#;

    #[track_caller]
    fn check(answers: &[(&str, u16, &str)], expect: &[(&str, Option<&str>)]) -> Vec<Differs> {
        let store = Store {
            engine: "rabbitmq".to_owned(),
            resource: "b".into(),
            members: vec![crate::host("c1")],
            definitions: Definitions::parse(DEFINITIONS.to_owned()).unwrap(),
            ..Store::default()
        };
        let mut facts = crate::silent();
        for (section, status, body) in answers {
            facts.answers.insert(
                format!("b/{section}"),
                Fact::Known(Answer::Http {
                    status: *status,
                    body: (*body).to_owned(),
                    headers: std::collections::BTreeMap::new(),
                }),
            );
        }
        let seen: Seen<'_> = [(crate::host("c1"), Some(&facts))].into_iter().collect();
        let found = differs(&store, &seen);
        let told: Vec<(&str, Option<&str>)> = found
            .iter()
            .map(|d| (d.held.what.as_str(), d.have.as_deref()))
            .collect();
        assert_eq!(told, expect);
        found
    }

    #[test]
    fn what_is_named_is_compared_and_what_cannot_be_seen_is_not() {
        let good = [
            (
                "vhosts",
                200,
                r#"[{"name":"/","default_queue_type":"quorum"},{"name":"theirs"}]"#,
            ),
            (
                "users",
                200,
                r#"[{"name":"a","tags":[]},{"name":"q","tags":["administrator"]},{"name":"theirs","tags":[]}]"#,
            ),
            (
                "permissions",
                200,
                r#"[{"user":"a","vhost":"/","configure":".*","write":".*","read":".*"}]"#,
            ),
            (
                "policies",
                200,
                r#"[{"vhost":"/","name":"p","pattern":"^n","definition":{"max-length":5},"priority":1,"apply-to":"queues"}]"#,
            ),
        ];
        check(&good, &[]);
        check(&[], &[]);
        check(&[("users", 500, "{}"), ("policies", 200, "no JSON")], &[]);
    }

    #[test]
    fn each_is_put_back_by_itself() {
        let found = check(
            &[
                ("users", 200, r#"[{"name":"q","tags":["monitoring"]}]"#),
                (
                    "permissions",
                    200,
                    r#"[{"user":"a","vhost":"/","configure":"","write":".*","read":".*"}]"#,
                ),
                ("policies", 200, "[]"),
                ("vhosts", 200, "[]"),
            ],
            &[
                ("vhost /", None),
                ("user a", None),
                ("user q", Some("tags: monitoring")),
                (
                    "permissions of a in /",
                    Some("configure: none; write: .*; read: .*"),
                ),
                ("policy p in /", None),
            ],
        );
        let requests: Vec<(String, String)> = found
            .iter()
            .flat_map(|d| &d.held.mend)
            .map(|op| match op {
                Op::Http(request) => (request.url.clone(), request.body.clone().unwrap()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            requests[1],
            (
                "/api/users/a".to_owned(),
                r#"{"password":"⟦secret:x⟧","tags":""}"#.to_owned()
            )
        );
        assert_eq!(requests[3].0, "/api/permissions/%2F/a");
        assert_eq!(requests[4].0, "/api/policies/%2F/p");
        assert!(requests[4].1.contains(r#""definition":{"max-length":5}"#));
    }

    #[test]
    fn who_asks_may_be_refused() {
        check(
            &[("nodes", 401, "{}"), ("users", 401, "{}")],
            &[("user ", Some("refused"))],
        );
    }
}
