//! What a cloud file means: defaults, roles, networks, power, and that no text
//! whatever makes the reader fall over.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use cloud::{Architecture, Cloud, Fencing, PowerOption, Profile, Role, Setting, VipSource};
use diagnostic::{Source, draw};
use proptest::prelude::*;

const SHORT: &str = r#"cloud: demo
release: "2025.1"
architecture: full          # full (default) | core | keepalived
hosts:
  c1: { role: controller, address: 198.18.0.11 }
  c2: { role: controller, address: 198.18.0.12 }
  c3: { role: controller, address: 198.18.0.13 }
vips: { pool: 198.18.0.100-198.18.0.119 }
services: [keystone]
"#;

const LONG: &str = r#"
cloud: big
release: 2025.1
architecture: core
profile: fast
region: Europe
x-note: &bmc { username: admin, password: { file: bmc.txt } }
hosts:
  d1: { role: [database, messaging, cache, balancer, api], address: "2001:db8::11", addresses: { ring2: 10.0.0.11 }, domain: { rack: r1 } }
  d2: { role: [database, messaging, cache, balancer, api], address: "2001:db8::12", addresses: { ring2: 10.0.0.12 }, domain: { rack: r2 } }
  arb: { role: arbitrator, address: "2001:db8::13", domain: { rack: r3 }, ssh: { user: ops, port: 2222, address: arb.example.org } }
  n1:
    role: compute
    address: 2001:db8::21
    power: { agent: fence_ipmilan, options: { ip: "{address}", username: x } }
networks:
  ring2: { cidr: 10.0.0.0/24, use: [corosync] }
  management: { cidr: "2001:db8::/64" }
vips: { shared: "2001:db8::100", pins: { keystone: "2001:db8::105" } }
services: [keystone]
power:
  - { agent: fence_ipmilan, options: { <<: *bmc, ip: "bmc-{host}.example.org" } }
  - { agent: fence_apc, hosts: [d1], options: { port: 4 } }
ssh: { user: admin }
time: { servers: [a.example.org, b.example.org, c.example.org] }
timeouts: { home-after: 60 }
settings: { keystone: { workers: 4, debug: true, ratio: 1.5, tags: [a, 2] } }
config: { /etc/x.conf: { DEFAULT: { a: b, gone: ~ } } }
"#;

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn good(text: &str) -> Cloud {
    let (cloud, findings) = cloud::parse(&Source::new("cloud.yaml", text));
    assert!(findings.is_empty(), "{}", draw(&findings, false, 100));
    cloud.unwrap()
}

#[test]
fn the_short_file_is_whole() {
    let cloud = good(SHORT);
    assert_eq!(cloud.name.as_str(), "demo");
    assert_eq!(cloud.release.value, "2025.1");
    assert_eq!(cloud.architecture, Architecture::Full);
    assert_eq!(cloud.profile, Profile::Steady);
    assert_eq!(cloud.region.value, "RegionOne");
    assert!(cloud.complete);
    assert_eq!(cloud.controllers().count(), 3);
    assert_eq!(cloud.majority(), 2);
    assert_eq!(cloud.hosts_with(Role::Network).count(), 3);
    assert_eq!(cloud.hosts_with(Role::Storage).count(), 0);
    assert_eq!(
        cloud.network("management").unwrap().cidr.to_string(),
        "198.18.0.0/24"
    );
    assert_eq!(cloud.addresses_in("management").count(), 3);
    assert_eq!(cloud.links().count(), 1);
    let VipSource::Pool(pool) = &cloud.vips.source else {
        panic!("{:?}", cloud.vips)
    };
    assert_eq!(pool.iter().count(), 20);
    assert_eq!(pool.iter().last(), Some("198.18.0.119".parse().unwrap()));
    assert_eq!(&SHORT[pool.span.clone()], "198.18.0.100-198.18.0.119");
    assert_eq!(&SHORT[cloud.services[0].span.clone()], "keystone");
    let c2 = cloud.host("c2").unwrap();
    assert_eq!(&SHORT[c2.name.span.clone()], "c2");
    assert_eq!(
        (c2.ssh.user.as_str(), c2.ssh.port, c2.ssh.address.as_str()),
        ("root", 22, "198.18.0.12")
    );
}

#[test]
fn a_lab_has_its_bmc() {
    let cloud = good(SHORT);
    assert_eq!(cloud.fencing, Fencing::Power);
    let [level] = cloud.host("c2").unwrap().power.as_slice() else {
        panic!()
    };
    assert_eq!(level.devices[0].agent.value, "fence_redfish");
    let option = |key: &str| &level.devices[0].options[key].value.value;
    assert_eq!(*option("ip"), PowerOption::Text("198.18.0.1".into()));
    assert_eq!(
        *option("systems_uri"),
        PowerOption::Text("/redfish/v1/Systems/c2".into())
    );
    assert_eq!(
        *option("password"),
        PowerOption::Secret("lab/bmc-password".into())
    );
}

#[test]
fn everything_that_can_be_said() {
    // The anchor's own key is the one thing in this file that is not known.
    let (cloud, findings) = cloud::parse(&Source::new("cloud.yaml", LONG));
    let codes: Vec<&str> = findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["file::unknown-key"], "{}", draw(&findings, false, 100));
    let cloud = cloud.unwrap();
    assert!(!cloud.complete);
    assert_eq!(cloud.release.value, "2025.1");
    assert_eq!(
        (cloud.controllers().count(), cloud.votes(), cloud.majority()),
        (2, 3, 2)
    );
    let names: Vec<&str> = cloud.links().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["management", "ring2"]);
    let d1 = cloud.host("d1").unwrap();
    assert_eq!(d1.address_in("ring2"), Some("10.0.0.11".parse().unwrap()));
    assert_eq!(d1.power.len(), 2);
    assert_eq!(
        d1.power[0].devices[0].options["ip"].value.value,
        PowerOption::Text("bmc-d1.example.org".into())
    );
    assert_eq!(
        d1.power[0].devices[0].options["password"].value.value,
        PowerOption::File("bmc.txt".into())
    );
    assert_eq!(d1.ssh.user, "admin");
    assert_eq!(cloud.host("d2").unwrap().power.len(), 1);
    let n1 = cloud.host("n1").unwrap();
    assert_eq!(
        n1.power[0].devices[0].options["ip"].value.value,
        PowerOption::Text("2001:db8::21".into())
    );
    assert_eq!(cloud.host("arb").unwrap().ssh.address, "arb.example.org");
    assert_eq!(cloud.timeouts.home_after, 60);
    let settings = &cloud.settings["keystone"].value;
    assert_eq!(settings["workers"].value.value, Setting::Int(4));
    assert_eq!(settings["ratio"].value.value, Setting::Text("1.5".into()));
    assert_eq!(settings["tags"].value.to_string(), "a,2");
    assert_eq!(&LONG[settings["debug"].key.clone()], "debug");
    let section = &cloud.config["/etc/x.conf"].value["DEFAULT"].value;
    assert_eq!(section["gone"].value.value, None);
    assert_eq!(section["a"].value.value, Some(Setting::Text("b".into())));
}

/// Two outlets of one host: dead when both are off. An agent that proves nothing is no level
/// by itself, and a condition more beside one that does.
#[test]
fn devices_act_together() {
    let lab = SHORT.replace("198.18.0.", "10.0.0.");
    let with = |agents: &[&str]| {
        let devices: Vec<String> = agents
            .iter()
            .map(|agent| format!("{{ agent: {agent}, options: {{ ip: \"a-{{host}}\" }} }}"))
            .collect();
        let text = format!("{lab}\npower: [{{ together: [{}] }}]\n", devices.join(", "));
        cloud::parse(&Source::new("cloud.yaml", text))
    };
    let (cloud, findings) = with(&["fence_apc", "fence_apc_snmp"]);
    assert!(findings.is_empty(), "{}", draw(&findings, false, 100));
    let cloud = cloud.unwrap();
    let [level] = cloud.host("c2").unwrap().power.as_slice() else {
        panic!("one level")
    };
    let agents: Vec<&str> = level.devices.iter().map(|d| d.agent.as_str()).collect();
    assert_eq!(agents, ["fence_apc", "fence_apc_snmp"]);
    assert_eq!(
        level.devices[1].options["ip"].value.value,
        PowerOption::Text("a-c2".into())
    );
    let codes = |agents: &[&str]| with(agents).1.iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes(&["fence_heuristics_ping", "fence_ipmilan"]), [""; 0]);
    assert_eq!(codes(&["fence_heuristics_ping"]), ["fencing::cuts-nothing"]);
    assert_eq!(codes(&[]), ["file::wrong-type"]);
}

#[test]
fn all_findings_at_once() {
    let text = SHORT
        .replace("architecture: full", "architecture: ful")
        .replace("198.18.0.12 }", "198.18.0.11 }")
        .replace("c3: { role: controller", "c3: { rol: controller")
        .replace("198.18.0.100-", "198.18.0.200-")
        .replace("[keystone]", "[keystone, keystone]");
    let (cloud, findings) = cloud::parse(&Source::new("cloud.yaml", text));
    assert!(cloud.is_none());
    let mut codes: Vec<&str> = findings.iter().map(|f| f.code).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "architecture::unknown",
            "file::missing-key",
            "file::unknown-key",
            "host::duplicate-address",
            "service::duplicate",
            "vip::bad-pool"
        ]
    );
}

/// Aliases of aliases: nine lines that would be 10⁹ nodes.
#[test]
fn a_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..10 {
        let before = format!("*a{}, ", i - 1).repeat(10);
        writeln!(text, "a{i}: &a{i} [{before}]").unwrap();
    }
    let (_, findings) = cloud::parse(&Source::new("cloud.yaml", text));
    assert_eq!(findings.last().unwrap().code, "yaml::syntax");
    let deep = "[".repeat(10_000);
    let (_, findings) = cloud::parse(&Source::new("cloud.yaml", deep));
    assert_eq!(findings.last().unwrap().code, "yaml::syntax");
}

#[test]
fn nothing_is_said_kindly() {
    for text in ["", "\n# only a comment\n", "~", "- a", "just words"] {
        let (cloud, findings) = cloud::parse(&Source::new("cloud.yaml", text));
        assert!(cloud.is_none());
        assert_eq!(findings[0].code, "file::wrong-type", "{text:?}");
    }
}

/// The design's bound is 50 ms for a whole check; this is a debug build's share.
#[test]
fn a_thousand_hosts_are_read_quickly() {
    let mut text = SHORT.replace(
        "hosts:",
        "networks: { management: { cidr: 198.18.0.0/16 } }\nhosts:",
    );
    let mut hosts = String::new();
    for i in 0..1000 {
        writeln!(
            hosts,
            "  n{i}: {{ role: compute, address: 198.18.{}.{} }}",
            1 + i / 200,
            1 + i % 200
        )
        .unwrap();
    }
    text = text.replace("vips:", &format!("{hosts}vips:"));
    let start = Instant::now();
    assert_eq!(good(&text).hosts.len(), 1003);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

fn survives(text: &str) {
    let (_, findings) = cloud::parse(&Source::new("cloud.yaml", text));
    for finding in &findings {
        for label in &finding.labels {
            assert!(
                text.get(label.span.clone()).is_some(),
                "{label:?} is no place in {text:?}"
            );
        }
    }
    draw(&findings, false, 100);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_yaml(words in prop::collection::vec(prop::sample::select(vec![
        "cloud", "hosts", "vips", ":", ": ", "- ", "\n", "\n  ", "{", "}", "[", "]", ",", "*a", "&a ", "<<", "~", "é",
        "1", "\"", "'", "|", ">", "#", "!x ", "role", "address", "198.18.0.1", "pool", "power", "?", "---\n", "\t",
    ]), 0..60)) {
        survives(&words.concat());
    }

    #[test]
    fn mutated(
        long in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, "[\\-{}\\[\\]:,#&*!|>'\"%@`a-z0-9é \\n]{0,4}"), 1..6),
    ) {
        let mut text: Vec<char> = (if long { LONG } else { SHORT }).chars().collect();
        for (at, cut, put) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, put.chars());
        }
        survives(&text.into_iter().collect::<String>());
    }
}
