//! Hosts as facts, made from what should be: as if it had just been applied,
//! or as if nobody had ever been there. Included by the tests of laws.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own code: to panic is to report, and not every test wants all of it"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pacemaker::{LiveCib, Monitor, Primitive, Resource};
use plan::Observed;
use render::{Desired, UnitRun};
use wire::{
    Address, Answer, Expect, Fact, Facts, FileFact, KeyFact, KeyQuery, Listing, NamedQuery, OsRelease, Own,
    Query, Stat, UnitFact,
};

#[path = "../../../sim/src/cmap.rs"]
mod cmap;
use cmap::cmap;

/// Stands in every value that is a secret, and nowhere else.
pub const MARK: &str = "s3cr3t";
/// When the last thing happened in the cluster, seconds since the epoch.
pub const LAST: i64 = 1_700_000_000;
/// Distribution of the clouds' hosts.
pub const DISTRIBUTION: &str = "debian-13";

/// The name of a host.
pub fn host(name: &str) -> names::HostName {
    names::HostName::new(name).unwrap()
}

/// What `apply` would do.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<plan::Plan, Vec<plan::Refusal>> {
    plan::plan(desired, observed, plan::Intent::Converge, DISTRIBUTION, &digest)
}

/// A text with each secret filled in.
pub fn filled(text: &str) -> String {
    let mut parts = text.split('\u{27e6}');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |out, part| {
        let (name, rest) = part.split_once('\u{27e7}').unwrap();
        format!("{out}{MARK}.{}{rest}", name.replace([':', '/'], "."))
    })
}

/// The digest of a content with its secrets filled in, as the caller of the planner gives it.
pub fn digest(content: &[u8]) -> String {
    let text = std::str::from_utf8(content).map(filled);
    wire::digest(&[7; 32], text.as_deref().map_or(content, str::as_bytes))
}

/// The desired state as the planner is given it: texts that tell a host's cloud are filled in.
pub fn known_by(mut desired: Desired) -> Desired {
    for file in desired.hosts.values_mut().flat_map(|h| &mut h.files) {
        file.identity = filled(&file.identity);
    }
    desired
}

fn unit(load: &str, active: &str, file: &str) -> Fact<UnitFact> {
    Fact::Known(UnitFact {
        load: load.to_owned(),
        active: active.to_owned(),
        file: file.to_owned(),
        pid: 0,
        restarts: 0,
        since: 0,
    })
}

fn empty(host: &str) -> Facts {
    Facts {
        hostname: host.to_owned(),
        boot_id: "boot".to_owned(),
        os: Fact::Known(OsRelease {
            id: "debian".to_owned(),
            version: "13".to_owned(),
        }),
        clock: LAST,
        memory_kib: 8 << 20,
        disk_free: BTreeMap::from([("/".to_owned(), 100 << 30)]),
        disk_size: BTreeMap::from([("/".to_owned(), 200 << 30)]),
        addresses: Vec::new(),
        listeners: Vec::new(),
        files: BTreeMap::new(),
        units: BTreeMap::new(),
        packages: BTreeMap::new(),
        sysctls: BTreeMap::new(),
        answers: BTreeMap::new(),
        cluster: Fact::Absent,
        cib: Fact::Absent,
    }
}

/// A host on which nobody was before.
pub fn bare(desired: &Desired, host: &str) -> Facts {
    let ask = plan::observe(desired, host, [7; 32], false);
    let mut out = empty(host);
    out.files = ask.files.iter().map(|f| (f.clone(), Fact::Absent)).collect();
    out.units = ask.units.iter().map(|u| (u.clone(), Fact::Absent)).collect();
    out.packages = ask.packages.iter().map(|p| (p.clone(), Fact::Absent)).collect();
    out.sysctls = ask
        .sysctls
        .iter()
        .map(|s| (s.clone(), Fact::Known("0".to_owned())))
        .collect();
    out.answers = ask
        .queries
        .iter()
        .map(|q| (q.name.clone(), Fact::Absent))
        .collect();
    out
}

/// A host that has everything.
pub fn applied(desired: &Desired, host: &str) -> Facts {
    let ask = plan::observe(desired, host, [7; 32], false);
    let wanted = &desired.hosts[host];
    let mut out = empty(host);
    for path in &ask.files {
        if wanted.absent.contains(path) {
            out.files.insert(path.clone(), Fact::Absent);
            continue;
        }
        let known = wanted.files.iter().find(|f| f.write.path == *path);
        let content = known.map_or(&b"<cib/>"[..], |f| &f.write.content);
        let (owner, group, mode) = known
            .map_or(("hacluster".to_owned(), "haclient".to_owned(), 0o600), |f| {
                (f.write.owner.clone(), f.write.group.clone(), f.write.mode)
            });
        let program = known.is_some_and(|f| f.write.own == Own::Program);
        let program = program.then_some(wire::PROGRAM);
        let text = ask
            .texts
            .contains(path)
            .then(|| filled(std::str::from_utf8(content).unwrap()));
        let lines = if ask.lines.contains(path) {
            let text = filled(std::str::from_utf8(content).unwrap());
            text.lines().map(|l| digest(l.as_bytes())).collect()
        } else {
            Vec::new()
        };
        out.files.insert(
            path.clone(),
            Fact::Known(FileFact {
                lines,
                digest: program.map_or_else(|| digest(content), str::to_owned),
                size: content.len() as u64,
                stat: Stat { owner, group, mode },
                link: program.map(|_| "/var/lib/quorate/bin/quorate-1".to_owned()),
                text,
                keys: ask.keys.get(path).map_or_else(Vec::new, |asked| {
                    let found = ini::keys(std::str::from_utf8(content).unwrap());
                    let fact = |asked: &KeyQuery| KeyFact {
                        section: asked.section.clone(),
                        name: asked.name.clone(),
                        values: ini::values(&found, &asked.section, &asked.name)
                            .iter()
                            .map(|v| digest(v.as_bytes()))
                            .collect(),
                        text: None,
                    };
                    let facts = asked.iter().map(fact);
                    facts.filter(|fact| !fact.values.is_empty()).collect()
                }),
            }),
        );
    }
    out.units = ask
        .units
        .iter()
        .map(|u| (u.clone(), unit("masked", "inactive", "masked")))
        .collect();
    for wanted in &wanted.units {
        let fact = match wanted.run {
            UnitRun::Cluster => unit("loaded", "active", "static"),
            UnitRun::Systemd => unit("loaded", "active", "enabled"),
            UnitRun::Nobody => unit("loaded", "inactive", "disabled"),
        };
        out.units.insert(wanted.unit.clone(), fact);
    }
    out.packages = ask
        .packages
        .iter()
        .map(|p| (p.clone(), Fact::Known("1.0".to_owned())))
        .collect();
    out.sysctls = wanted
        .sysctls
        .iter()
        .map(|(k, v)| (k.clone(), Fact::Known(v.clone())))
        .collect();
    out.answers = ask
        .queries
        .iter()
        .map(|q| (q.name.clone(), Fact::Known(answer(desired, q))))
        .collect();
    if desired.nodes.iter().any(|(n, _)| n == host) {
        out.cluster = Fact::Known(cluster(desired));
        let cib = filled(&desired.cib.document(&desired.nodes));
        out.cib = live(cib.replace("<status/>", &states(desired)));
    }
    let mut held: Vec<&str> = desired
        .vips
        .iter()
        .filter(|v| v.home.as_deref() == Some(host))
        .map(|v| v.address.as_str())
        .collect();
    held.dedup();
    out.addresses = held
        .into_iter()
        .map(|address| Address {
            interface: "eth0".to_owned(),
            address: address.to_owned(),
            prefix: 24,
        })
        .collect();
    out
}

/// The fact of a CIB.
pub fn live(text: String) -> Fact<LiveCib> {
    LiveCib::parse(text).map_or_else(Fact::Unknown, Fact::Known)
}

/// Changes the text of a CIB that is known.
pub fn reconfigure(facts: &mut Facts, change: impl FnOnce(&str) -> String) {
    if let Fact::Known(cib) = &facts.cib {
        facts.cib = live(change(cib.text().unwrap()));
        assert!(facts.cib.known().is_some(), "{:?}", facts.cib);
    }
}

/// The members in the CIB's status: nothing happened since [`LAST`].
fn states(desired: &Desired) -> String {
    let mut out = String::from("<status>");
    for (node, id) in &desired.nodes {
        let _ = write!(
            out,
            "<node_state id=\"{id}\" uname=\"{node}\" in_ccm=\"{LAST}\" crmd=\"{LAST}\" join=\"member\" expected=\"member\"/>"
        );
    }
    out + "</status>"
}

/// Puts a virtual address on another host.
pub fn put(desired: &Desired, observed: &mut Observed, resource: &str, host: &str) {
    let vip = desired.vips.iter().find(|v| v.resource == resource).unwrap();
    for (name, facts) in observed {
        let facts = facts.as_mut().unwrap();
        facts.addresses.retain(|a| a.address != vip.address);
        if *name == *host {
            facts.addresses.push(Address {
                interface: "eth0".to_owned(),
                address: vip.address.clone(),
                prefix: 24,
            });
        }
        if let Fact::Known(seen) = &mut facts.cluster {
            let mut all = seen.resources.iter_mut();
            all.find(|r| r.id == resource).unwrap().nodes = vec![host.to_owned()];
        }
    }
}

/// So many seconds later by every clock.
pub fn later(observed: &mut Observed, seconds: i64) {
    for facts in observed.values_mut().flatten() {
        facts.clock += seconds;
    }
}

/// All hosts, each made by `make`.
pub fn all(desired: &Desired, make: impl Fn(&Desired, &str) -> Facts) -> Observed {
    desired
        .hosts
        .keys()
        .map(|h| (h.clone(), Ok(make(desired, h))))
        .collect()
}

fn rows(rows: &[&[&str]]) -> Answer {
    Answer::Rows(
        rows.iter()
            .map(|r| r.iter().map(|c| Some((*c).to_owned())).collect())
            .collect(),
    )
}

fn http(body: String) -> Answer {
    Answer::Http {
        status: 200,
        body,
        headers: BTreeMap::new(),
    }
}

/// The answer of one that is as it should be.
fn answer(desired: &Desired, query: &NamedQuery) -> Answer {
    let (what, rest) = query.name.split_once('/').unwrap();
    match what {
        "api" => return http("{}".to_owned()),
        "cluster" => {
            let node = |id: &u32| format!("nodeid: {id} reachable\n{}", links(desired));
            let stdout = desired.nodes.iter().map(|(_, id)| node(id)).collect();
            return Answer::Ran {
                status: 0,
                stdout,
                stderr: String::new(),
            };
        }
        "database" => {
            let database = desired.databases.iter().find(|d| d.service == rest);
            let Expect::Rows(want) = &database.unwrap().expect else {
                panic!("{rest}")
            };
            return Answer::Rows(
                want.iter()
                    .map(|r| r.iter().cloned().map(Some).collect())
                    .collect(),
            );
        }
        "balancer" if rest == "written" => {
            return Answer::Ran {
                status: 0,
                stdout: format!("{LAST}\n"),
                stderr: String::new(),
            };
        }
        "balancer" => return Answer::Text(balancer(desired)),
        "ring" => {
            let mut files = desired.hosts.values().flat_map(|h| &h.files);
            let file = files.find(|f| f.write.path == rest).unwrap();
            return Answer::Ran {
                status: 0,
                stdout: BASE64_STANDARD.encode(&file.write.content),
                stderr: String::new(),
            };
        }
        "cure" => {
            let mut cures = desired.hosts.values().flat_map(|h| &h.cures);
            let Own::Edit(edit) = &cures.find(|c| c.name == rest).unwrap().file.write.own else {
                panic!("{rest}")
            };
            return Answer::Ran {
                status: 0,
                stdout: edit.known[0].1.clone(),
                stderr: String::new(),
            };
        }
        // None was begun.
        "restore" | "held" => return rows(&[]),
        "instance" => {
            return match query.query {
                Query::Http(_) => http("{}".to_owned()),
                _ => Answer::Open,
            };
        }
        "corosync" if rest == "quorum" => return quorum("Yes"),
        "corosync" => {
            let files = desired.hosts.values().flat_map(|h| &h.files);
            let conf = files
                .into_iter()
                .find(|f| f.write.path.ends_with("/corosync.conf"));
            return Answer::Ran {
                status: 0,
                stdout: cmap(&filled(
                    std::str::from_utf8(&conf.unwrap().write.content).unwrap(),
                )),
                stderr: String::new(),
            };
        }
        "faults" | "left-alone" => {
            return Answer::Ran {
                status: 0,
                stdout: String::new(),
                stderr: String::new(),
            };
        }
        "script" => {
            let (service, rest) = rest.split_once('/').unwrap();
            let (name, index) = rest.rsplit_once('/').unwrap();
            let script = desired
                .scripts
                .iter()
                .find(|s| s.service == service && s.name == name)
                .unwrap();
            return match &script.guards[index.parse::<usize>().unwrap()].1 {
                Expect::Rows(want) => Answer::Rows(
                    want.iter()
                        .map(|r| r.iter().cloned().map(Some).collect())
                        .collect(),
                ),
                Expect::Names(names) => {
                    let row = |name: &String| vec![Some(name.clone())];
                    Answer::Rows(names.iter().map(row).collect())
                }
                _ => rows(&[&["1"]]),
            };
        }
        _ => {}
    }
    let store = desired.stores.iter().find(|s| s.resource == what).unwrap();
    match rest {
        "status" => rows(&[
            &["wsrep_cluster_status", "Primary"],
            &["wsrep_local_state_comment", "Synced"],
            &["wsrep_ready", "ON"],
            &["wsrep_cluster_size", &store.members.len().to_string()],
            &["wsrep_cluster_state_uuid", "11111111-2222-3333-4444-555555555555"],
            &["wsrep_last_committed", "42"],
        ]),
        "owner" => rows(&[&[&filled("\u{27e6}secret:cloud/id\u{27e7}")]]),
        "stranger" => rows(&[]),
        "weight" => rows(&[&["1"]]),
        "grastate" => {
            Answer::Text("version: 2.1\nuuid: 11111111-2222-3333-4444-555555555555\nseqno: -1\n".to_owned())
        }
        "directories" => Answer::Listing(Listing {
            folders: ["mysql", "performance_schema", "sys", "quorate", "keystone"]
                .map(str::to_owned)
                .to_vec(),
            others: vec!["ibdata1".to_owned()],
        }),
        "data" => Answer::Listing(Listing {
            folders: vec!["member".to_owned()],
            others: Vec::new(),
        }),
        "vhosts" | "users" | "permissions" | "policies" => http(store.definitions.section(rest).to_string()),
        "nodes" => {
            let nodes: Vec<String> = store
                .members
                .iter()
                .map(|m| format!("{{\"name\":\"rabbit@{m}\",\"running\":true,\"partitions\":[]}}"))
                .collect();
            http(format!("[{}]", nodes.join(",")))
        }
        "alarms" | "critical" => http("{\"status\":\"ok\"}".to_owned()),
        "queues" => http("[]".to_owned()),
        "limits" => {
            let one = |m: &names::HostName| {
                format!("{{\"name\":\"rabbit@{m}\",\"disk_free_limit\":200000000,\"mem_limit\":2000000000}}")
            };
            http(format!(
                "[{}]",
                store.members.iter().map(one).collect::<Vec<_>>().join(",")
            ))
        }
        other => panic!("the test's world knows no answer to {what}/{other}"),
    }
}

/// What a balancer says of itself that runs with its file, and was started after it was written.
fn balancer(desired: &Desired) -> String {
    let files = desired.hosts.values().flat_map(|h| &h.files);
    let conf = files.into_iter().find(|f| f.write.path.ends_with("/haproxy.cfg"));
    let conf = std::str::from_utf8(&conf.unwrap().write.content).unwrap();
    let (mut frontends, mut servers, mut section) = (String::new(), String::new(), None);
    for line in conf.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), section) {
            (["listen", name], _) => {
                section = Some(*name);
                let _ = writeln!(frontends, "{name},FRONTEND,OPEN");
            }
            (["backend", name], _) => section = Some(*name),
            (["server", name, at, ..], Some(backend)) => {
                let (address, port) = at.rsplit_once(':').unwrap();
                let address = address.trim_matches(['[', ']']);
                let check = if words.contains(&"check") { 6 } else { 0 };
                let _ = writeln!(servers, "{backend} {name} {address} 0 1 1 {check} {port}");
            }
            _ => {}
        }
    }
    format!(
        "Start_time_sec: {LAST}\n\n# pxname,svname,status\n{frontends}\n1\n# be_id be_name srv_name srv_addr \
         srv_admin_state srv_uweight srv_iweight srv_check_state srv_port\n{}",
        servers
            .lines()
            .fold(String::new(), |out, l| out + "2 " + l + "\n")
    )
}

/// `corosync-quorumtool -s`, as captured, with this word for quorum.
pub fn quorum(word: &str) -> Answer {
    let captured = include_str!("../../../../tests/captured/quorumtool-healthy.txt");
    assert!(captured.contains("Quorate:          Yes"));
    Answer::Ran {
        status: if word == "Yes" { 0 } else { 2 },
        stdout: captured.replace("Quorate:          Yes", &format!("Quorate:          {word}")),
        stderr: String::new(),
    }
}

/// No controller of the cluster is elected: what `crm_mon` says then, as captured of a
/// host that is about to join (`tests/captured/crm_mon-joining.xml`).
pub fn elect(observed: &mut Observed) {
    for facts in observed.values_mut().flatten() {
        if let Fact::Known(seen) = &mut facts.cluster {
            (seen.dc, seen.quorate) = (None, false);
            for node in &mut seen.nodes {
                (node.online, node.unclean) = (false, true);
            }
        }
    }
}

/// Each host that runs the cluster answers so when asked for quorum; `None`: not at all.
pub fn vote(observed: &mut Observed, word: Option<&str>) {
    for facts in observed.values_mut().flatten() {
        if facts.cluster.known().is_some() {
            let answer = word.map_or_else(
                || Fact::Unknown("timed out".to_owned()),
                |w| Fact::Known(quorum(w)),
            );
            facts.answers.insert("corosync/quorum".to_owned(), answer);
        }
    }
}

/// How the links to a node are told when all is well.
fn links(desired: &Desired) -> String {
    let mut out = String::new();
    for link in 0..desired.links.len() {
        let _ = writeln!(out, "   LINK: {link} udp (a->b) enabled connected mtu: 1365");
    }
    out
}

/// The cluster when all runs where it should, read from what `crm_mon` says then.
fn cluster(desired: &Desired) -> Monitor {
    let mut out = String::from(
        "<pacemaker-result><summary><stack type=\"corosync\"/><current_dc present=\"true\" name=\"x\" \
         version=\"3.0.0\" with_quorum=\"true\"/></summary><nodes>",
    );
    for (node, id) in &desired.nodes {
        let _ = write!(
            out,
            "<node name=\"{node}\" id=\"{id}\" online=\"true\" pending=\"false\" unclean=\"false\"/>"
        );
    }
    out.push_str("</nodes><resources>");
    let mut instances = 0;
    for resource in &desired.cib.resources {
        let id = resource.id();
        let home = desired.vips.iter().find(|v| v.resource == id);
        let home = home.and_then(|v| v.home.as_ref());
        let allowed = desired.nodes.iter().map(|(n, _)| n).filter(|n| {
            !desired
                .cib
                .locations
                .iter()
                .any(|l| l.resource == id && l.node == **n && l.score == "-INFINITY")
        });
        let (role, many) = match resource {
            Resource::Primitive(_) => ("Started", 1),
            Resource::Clone(c) if c.meta.contains_key("promotable") => ("Promoted", usize::MAX),
            Resource::Clone(_) => ("Started", usize::MAX),
        };
        let is_clone = matches!(resource, Resource::Clone(_));
        if is_clone {
            let promoted = role == "Promoted";
            let _ = write!(out, "<clone id=\"{id}\" multi_state=\"{promoted}\">");
        }
        let Primitive { id, agent, .. } = resource.primitive();
        for node in allowed.filter(|n| home.is_none_or(|h| h == *n)).take(many) {
            instances += 1;
            let _ = write!(
                out,
                "<resource id=\"{id}\" resource_agent=\"{agent}\" role=\"{role}\" active=\"true\" failed=\"false\" \
                 blocked=\"false\"><node name=\"{node}\"/></resource>"
            );
        }
        out.push_str(if is_clone { "</clone>" } else { "" });
    }
    let _ = write!(
        out,
        "</resources><resources_configured number=\"{instances}\"/></pacemaker-result>"
    );
    Monitor::parse(&out).unwrap()
}
