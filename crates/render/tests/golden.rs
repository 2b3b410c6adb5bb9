//! What the examples render to, whole: `tests/golden/EXAMPLE`. The first host's
//! files are all there, of the others only those that differ from the first's;
//! `host.txt` lists everything that a host should have, so nothing is hidden.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hashring::Ring;
use render::{Desired, host_page};

/// One element a line, so that a difference can be read.
fn lines(xml: &str) -> String {
    let mut depth = 0_usize;
    let mut out = String::new();
    for tag in xml.replace("><", ">\n<").lines() {
        if tag.starts_with("</") {
            depth = depth.saturating_sub(1);
        }
        let _ = writeln!(out, "{:depth$}{tag}", "", depth = depth * 2);
        if !tag.starts_with("</") && !tag.ends_with("/>") && !tag.contains("</") {
            depth += 1;
        }
    }
    out
}

/// A hash ring as text: its devices with what each keeps, and where the first parts are.
fn ring(file: &[u8]) -> String {
    let ring = Ring::decode(file).unwrap();
    let mut out = format!(
        "2^{} parts, {} replicas, version {}\n",
        ring.part_power(),
        ring.rows.len(),
        ring.version
    );
    let devices = ring.devices.iter().flatten();
    for (d, load) in devices.zip(ring.loads()) {
        let at = format!(
            "region {} zone {} {}:{}/{}",
            d.region, d.zone, d.address, d.port, d.name
        );
        let _ = writeln!(out, "{at} of {}, weight {}, keeps {load}", d.host, d.weight);
    }
    for part in 0..8 {
        let ids: Vec<String> = ring.rows.iter().map(|row| row[part].to_string()).collect();
        let _ = writeln!(out, "part {part}: {}", ids.join(" "));
    }
    out
}

fn files(desired: &Desired) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (index, (name, host)) in desired.hosts.iter().enumerate() {
        let mut all = BTreeMap::from([("host.txt".to_owned(), host_page(host))]);
        for file in host.files.iter().filter(|f| !f.write.directory) {
            let path = file.write.path.trim_start_matches('/').to_owned();
            let text = match &file.ring {
                Some(_) => ring(&file.write.content),
                None => String::from_utf8(file.write.content.to_vec()).unwrap(),
            };
            assert!(
                all.insert(path, text).is_none(),
                "{} is written twice",
                file.write.path
            );
        }
        if index == 0 {
            first.clone_from(&all);
        } else {
            all.retain(|path, text| first.get(path) != Some(text));
        }
        out.extend(
            all.into_iter()
                .map(|(path, text)| (format!("{name}/{path}"), text)),
        );
    }
    out.insert("cib.xml".to_owned(), lines(&desired.cib.document(&desired.nodes)));
    let mut cloud = serde_json::to_value(desired).unwrap();
    // These two have files of their own.
    let fields = cloud.as_object_mut().unwrap();
    fields.remove("hosts").unwrap();
    fields.remove("cib").unwrap();
    out.insert(
        "cloud.json".to_owned(),
        serde_json::to_string_pretty(&cloud).unwrap() + "\n",
    );
    out
}

#[test]
fn examples_render_as_committed() {
    for name in examples::EXAMPLES {
        let (_, desired) = examples::example(name);
        compare::tree(&format!("tests/golden/{name}"), &files(&desired));
    }
}

/// An example that is not compared is one that can rot.
#[test]
fn every_example_has_a_tree() {
    let mut found: Vec<String> = std::fs::read_dir(compare::root().join("examples"))
        .unwrap()
        .filter_map(|e| Some(e.unwrap().file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .collect();
    found.sort();
    let mut known = examples::EXAMPLES.map(str::to_owned);
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    for name in examples::EXAMPLES {
        let (model, once) = examples::example(name);
        assert_eq!(once, examples::desired_of(&model), "{name}: the same model");
        let (_, again) = examples::example(name);
        assert_eq!(once, again, "{name}: the same file");
        assert_eq!(files(&once), files(&again));
    }
}

/// Secrets are references until they are sent.
#[test]
fn a_secret_is_known_as_one_and_its_file_is_closed() {
    for name in examples::EXAMPLES {
        let (model, desired) = examples::example(name);
        let needs: Vec<String> = model.secrets().iter().map(|s| s.name.clone()).collect();
        for host in desired.hosts.values() {
            for file in &host.files {
                let text = String::from_utf8_lossy(&file.write.content);
                assert_eq!(file.secret, text.contains('\u{27e6}'), "{}", file.write.path);
                for placeholder in text.split('\u{27e6}').skip(1) {
                    let (inner, _) = placeholder.split_once('\u{27e7}').unwrap();
                    let secret = inner.strip_prefix("secret:").unwrap();
                    let stem = secret
                        .strip_suffix(".crt")
                        .or(secret.strip_suffix(".key"))
                        .unwrap_or(secret);
                    // Which authorities are trusted is made of the authorities.
                    let stem = if stem == "tls/trust" { "tls/ca" } else { stem };
                    // Its own version is told by the vault itself.
                    let own = secret == "vault/version";
                    // The operator's own, of a fence device.
                    let devices = desired.cib.resources.iter().map(pacemaker::Resource::primitive);
                    let mut params = devices
                        .filter(|p| p.is_fence_device())
                        .flat_map(|p| p.params.values());
                    let own = own || params.any(|value| value.contains(inner));
                    assert!(
                        own || needs.iter().any(|n| n == stem),
                        "{}: nobody makes {secret}",
                        file.write.path
                    );
                    // Certificates are for everybody, and a cluster's name goes over the wire.
                    let public = secret.strip_suffix(".crt").is_some() || secret == "corosync/cluster-id";
                    assert!(
                        public || file.write.mode % 0o10 == 0,
                        "{} is open to all",
                        file.write.path
                    );
                }
            }
        }
    }
}

fn proves(model: &model::Model, name: &str) -> Vec<String> {
    let needs = model.secrets();
    let need = needs.iter().find(|n| n.name == name).unwrap();
    let model::SecretKind::Leaf { addresses, .. } = &need.kind else {
        panic!("{need:?}");
    };
    addresses.iter().map(ToString::to_string).collect()
}

/// What a service more or less changes is the balancers' certificate alone: a host
/// proves its own address, and those whose connections the balancer passes through.
#[test]
fn an_address_is_proved_by_who_ends_the_connection() {
    let one = examples::example("three-controllers").0;
    let two = examples::example("with-placement").0;
    for model in [&one, &two] {
        assert_eq!(proves(model, "tls/c1"), ["198.18.0.11", "198.18.0.100"]);
    }
    assert_eq!(proves(&one, "vips/tls"), ["198.18.0.100", "198.18.0.101"]);
    assert_eq!(
        proves(&two, "vips/tls"),
        ["198.18.0.100", "198.18.0.101", "198.18.0.102"]
    );
}
