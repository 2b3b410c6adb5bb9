//! Values that the planner compares with what runs are those of the text that hosts get.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::{BTreeMap, BTreeSet};

use render::Desired;

fn text<'a>(desired: &'a Desired, path: &str) -> Vec<&'a str> {
    let files = desired.hosts.values().flat_map(|h| &h.files);
    let found = files.filter(|f| f.write.path == path);
    found
        .map(|f| std::str::from_utf8(&f.write.content).unwrap())
        .collect()
}

/// Keys of a `corosync.conf`, flat, of the sections that are compared.
fn flat(conf: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut place: Vec<String> = Vec::new();
    let mut nodes = 0;
    for line in conf.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        if let Some(name) = line.strip_suffix('{') {
            let number = format!("node.{nodes}");
            let node = name.trim() == "node";
            nodes += usize::from(node);
            place.push(if node { number } else { name.trim().to_owned() });
        } else if line == "}" {
            place.pop();
        } else if let Some((key, value)) = line.split_once(':') {
            let key = format!("{}.{}", place.join("."), key.trim());
            if !key.starts_with("logging.") && !key.starts_with("totem.interface.") {
                out.insert(key, value.trim().to_owned());
            }
        }
    }
    out
}

#[test]
fn corosync_is_as_its_file_says() {
    for (cloud, desired) in examples::clouds() {
        let all = text(&desired, "/etc/corosync/corosync.conf");
        assert_eq!(all.len(), desired.nodes.len(), "{cloud}");
        for conf in all {
            assert_eq!(flat(conf), desired.corosync.flat(), "{cloud}");
            assert_eq!(
                conf.matches(&desired.corosync.nodelist()).count(),
                1,
                "{cloud}: {conf}"
            );
        }
    }
}

/// A section's name, whether it listens, a server's name, its address and port.
type Row = (String, bool, String, String);

fn servers(conf: &str) -> BTreeSet<Row> {
    let mut out = BTreeSet::new();
    let mut section = None;
    for line in conf.lines().filter(|l| !l.trim_start().starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), section) {
            ([kind, rest @ ..], _) if !line.starts_with(' ') => {
                let named = ["listen", "frontend", "backend"].contains(kind);
                section = rest
                    .first()
                    .filter(|_| named)
                    .map(|name| (*kind != "backend", *name));
            }
            (["server", name, at, ..], Some((listens, section))) => {
                out.insert((section.to_owned(), listens, (*name).to_owned(), (*at).to_owned()));
            }
            _ => {}
        }
    }
    out
}

#[test]
fn balancers_have_the_servers_of_their_file() {
    let mut seen = 0;
    for (cloud, desired) in examples::clouds() {
        let mut want = BTreeSet::new();
        for section in &desired.sections {
            for (name, (address, port)) in &section.servers {
                let at = std::net::SocketAddr::new(*address, *port).to_string();
                want.insert((section.name.clone(), section.listens, name.to_string(), at));
            }
        }
        for conf in text(&desired, "/etc/haproxy/haproxy.cfg") {
            assert_eq!(servers(conf), want, "{cloud}");
            seen += want.len();
        }
    }
    assert!(seen > 0);
}

/// Taken for empty, a broker would be as wanted whatever it holds.
#[test]
fn definitions_that_cannot_be_read_are_refused() {
    let cloud = include_str!("../../../examples/three-controllers.yaml");
    let overlay = [("infra/rabbitmq/definitions.json.j2", "{ \"users\": [ }\n")];
    let (_, findings) = render::render(&examples::model_of("cloud.yaml", cloud, &overlay));
    let told: Vec<(&str, bool)> = findings.iter().map(|f| (f.code, f.help.is_some())).collect();
    assert_eq!(told, [("catalog::template", true)]);
}

/// A template that writes members by itself would give newcomers votes before they serve.
#[test]
fn members_in_a_template_of_its_own_are_refused() {
    let cloud = include_str!("../../../examples/three-controllers.yaml");
    let conf =
        "nodelist {\n{% for node in roles.cluster %}\n    node { name: {{ node.name }} }\n{% endfor %}\n}\n";
    let overlay = [("infra/corosync/corosync.conf.j2", conf)];
    let (_, findings) = render::render(&examples::model_of("cloud.yaml", cloud, &overlay));
    let told: Vec<(&str, bool)> = findings.iter().map(|f| (f.code, f.help.is_some())).collect();
    assert_eq!(told, [("catalog::template", true)]);
}
