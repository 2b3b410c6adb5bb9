//! Tests of the lab's description.

use super::*;

fn spec() -> LabSpec {
    serde_json::from_str(
        r#"{"name":"qlab1","state":"/s","suite":"trixie","packages":["sudo"],
        "networks":[{"name":"mgmt","cidr":"198.18.40.0/24"},{"name":"six","cidr":"fd00:40::/64"}],
        "hosts":[{"name":"c1","addresses":[["six","fd00:40::11"],["mgmt","198.18.40.11"]]},
                 {"name":"c2","addresses":[["six","fd00:40::12"]]}],
        "bmc":{"user":"admin","password":"hidden"}}"#,
    )
    .unwrap()
}

#[test]
fn a_good_description_passes() {
    spec().check().unwrap();
}

#[test]
fn the_gateway_is_the_first_address() {
    let spec = spec();
    assert_eq!(spec.networks[0].gateway().to_string(), "198.18.40.1");
    assert_eq!(spec.networks[1].gateway().to_string(), "fd00:40::1");
}

#[test]
fn nics_follow_the_networks_order_without_gaps() {
    let spec = spec();
    let nics = spec.nics(&spec.hosts[0]);
    assert_eq!(
        (nics[0].name.as_str(), nics[0].network.name.as_str()),
        ("eth0", "mgmt")
    );
    assert_eq!(
        (nics[1].name.as_str(), nics[1].network.name.as_str()),
        ("eth1", "six")
    );
    assert_eq!(spec.nics(&spec.hosts[1])[0].name, "eth0");
}

type Spoil = fn(&mut LabSpec);

#[test]
fn nonsense_is_named() {
    let cases: [(&str, Spoil); 8] = [
        ("name", |s| s.name = "a.b".to_owned()),
        ("package", |s| s.packages.push("a;b".to_owned())),
        ("overlap", |s| {
            s.networks[1].cidr = "198.18.0.0/16".parse().unwrap();
        }),
        ("two hosts", |s| s.hosts[1].name = "c1".to_owned()),
        ("not in", |s| {
            s.hosts[1].addresses[0].1 = "fd00:41::1".parse().unwrap();
        }),
        ("this machine's", |s| {
            s.hosts[1].addresses[0].1 = "fd00:40::1".parse().unwrap();
        }),
        ("twice", |s| {
            s.hosts[1].addresses[0].1 = "fd00:40::11".parse().unwrap();
        }),
        ("unknown network", |s| {
            "x".clone_into(&mut s.hosts[1].addresses[0].0);
        }),
    ];
    for (word, spoil) in cases {
        let mut spec = spec();
        spoil(&mut spec);
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn the_password_is_not_shown() {
    assert!(!format!("{:?}", spec()).contains("hidden"));
}
