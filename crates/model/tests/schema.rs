//! The JSON Schema of the cloud file, by a validator that is not ours: it takes
//! what the reader takes and refuses what is wrong in one place.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/diagnostics/runner.rs"]
mod runner;

use std::collections::BTreeSet;

use catalog::Catalog;
use cloud::keys::{self, Map, Shape};
use cloud::tree::{self, Kind, Node, Walker};
use diagnostic::Source;
use jsonschema::Validator;
use serde_json::{Value, json};

/// Every key of the table, each with a value.
const WHOLE: &str = r#"
cloud: whole
release: "2025.1"
architecture: full
distribution: debian-13
profile: fast
region: here
hosts:
  c1:
    role: controller
    address: 10.0.0.11
    addresses: { ring2: 10.0.1.11 }
    domain: { rack: r1, switch: s1, feed: 1 }
    away: a disk comes on Friday
    power: { agent: fence_redfish, options: { ip: bmc1, password: { file: bmc1 } } }
    ssh: { user: ops, port: 2222, address: c1.example.org }
  c2: { role: [controller], address: 10.0.0.12, addresses: { ring2: 10.0.1.12 } }
  c3: { role: controller, address: 10.0.0.13, addresses: { ring2: 10.0.1.13 } }
networks:
  management: { cidr: 10.0.0.0/24 }
  ring2: { cidr: 10.0.1.0/24, use: [corosync] }
vips: { pool: 10.0.0.100-10.0.0.119, pins: { keystone: 10.0.0.110 } }
services: [keystone]
power:
  - { agent: fence_ipmilan, options: { ip: "bmc-{host}", password: { secret: bmc } }, hosts: [c2, c3] }
  - { together: [{ agent: fence_apc, options: { ip: "pdu-{host}" } }], hosts: [c2] }
ssh: { user: admin, port: 22, config: ssh_config }
time: { servers: [a.example.org, b.example.org, c.example.org, 10.0.0.1] }
timeouts: { home-after: 60 }
upkeep: { keys-every: 30, backup: { every: 2, keep: 5, to: /srv/backups } }
settings: { keystone: { processes: 4 }, corosync: { token: 1000 } }
config: { /etc/keystone/keystone.conf: { DEFAULT: { use_stderr: ~ }, new: { key: { each: [a, b] } } } }
shared-files: [/etc/keystone/keystone.conf]
cures: [rpc-reply-poll]
"#;

/// Keys that cannot stand in [`WHOLE`], since they exclude others.
const ELSEWHERE: [&str; 3] = ["fencing", "none", "shared"];

fn schema() -> Value {
    let (catalog, findings) = Catalog::load(catalog::embedded());
    assert!(findings.is_empty());
    model::schema(&catalog)
}

fn validator() -> Validator {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&schema()).unwrap()
}

/// A YAML file as an editor reads it.
fn value(text: &str) -> Option<Value> {
    fn of(node: &Node) -> Value {
        match &node.kind {
            Kind::Null => Value::Null,
            Kind::List(items) => items.iter().map(of).collect(),
            Kind::Map(entries) => entries
                .iter()
                .map(|e| (e.key.value.clone(), of(&e.value)))
                .collect(),
            Kind::Scalar(s) => match s.value {
                tree::Value::Bool(b) => json!(b),
                tree::Value::Int(i) => json!(i),
                tree::Value::Float(f) => json!(f),
                tree::Value::Text => json!(s.text),
            },
        }
    }
    let mut walker = Walker::new(&Source::new("cloud.yaml", text));
    let root = tree::load(&mut walker)?;
    walker.finish().is_empty().then(|| of(&root))
}

/// What the schema has against a file.
fn refused(validator: &Validator, value: &Value) -> Vec<String> {
    let errors = validator.iter_errors(value);
    errors.map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// What the reader has against the shape of a file. JSON is YAML.
fn misshapen(value: &Value) -> Vec<String> {
    let (_, findings) = cloud::parse(&Source::new("cloud.yaml", value.to_string()));
    let shape = findings
        .iter()
        .filter(|f| f.code.starts_with("file::") || f.code == "config::list");
    shape.map(ToString::to_string).collect()
}

#[test]
fn it_is_a_schema() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn every_example_is_right() {
    let validator = validator();
    let mut count = 0;
    for entry in std::fs::read_dir(compare::root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            count += 1;
            let value = value(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(
                refused(&validator, &value),
                Vec::<String>::new(),
                "{}",
                path.display()
            );
        }
    }
    assert!(count >= 3, "{count} examples");
}

/// Both take a file with every key of the table, so each key is read.
#[test]
fn every_key_is_known_to_both() {
    fn names<'m>(map: &'m Map, out: &mut BTreeSet<&'m str>) {
        fn shapes<'m>(shape: &'m Shape, out: &mut BTreeSet<&'m str>) {
            match shape {
                Shape::Map(map) => names(map, out),
                Shape::By(_, _, inner) | Shape::List(inner) | Shape::OneOrMore(inner) => shapes(inner, out),
                Shape::Either(all) => all.iter().for_each(|s| shapes(s, out)),
                _ => {}
            }
        }
        for key in map.keys {
            out.insert(key.name);
            shapes(&key.shape, out);
        }
    }
    let whole = value(WHOLE).unwrap();
    assert_eq!(refused(&validator(), &whole), Vec::<String>::new());
    let (cloud, findings) = cloud::parse(&Source::new("cloud.yaml", WHOLE));
    assert!(cloud.is_some() && findings.is_empty(), "{findings:?}");
    let mut known = BTreeSet::new();
    names(&keys::CLOUD, &mut known);
    let missing: Vec<&&str> = known
        .iter()
        .filter(|k| !ELSEWHERE.contains(k) && !WHOLE.contains(&format!("{k}:")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every place of a file, by the keys that lead there.
fn places(value: &Value, way: &str, out: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (key, inner) in map {
            let way = format!("{way}/{}", key.replace('~', "~0").replace('/', "~1"));
            out.push(way.clone());
            places(inner, &way, out);
        }
    }
}

/// What is left out, is one too many or has the wrong shape, at every place of the
/// whole file: reader and schema say the same.
#[test]
fn both_refuse_the_same_shapes() {
    let validator = validator();
    let whole = value(WHOLE).unwrap();
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    assert!(all.len() > 60, "{}", all.len());
    let mut wrong = Vec::new();
    let mut compare = |what: String, changed: &Value| {
        let (reader, schema) = (misshapen(changed), refused(&validator, changed));
        if reader.is_empty() != schema.is_empty() {
            wrong.push(format!("{what}: reader {reader:?}, schema {schema:?}"));
        }
    };
    for place in &all {
        let (above, key) = place.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        let mut without = whole.clone();
        without
            .pointer_mut(above)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .shift_remove(&key);
        compare(format!("{place} left out"), &without);
        let mut other = whole.clone();
        *other.pointer_mut(place).unwrap() = json!([[{ "x": 1 }]]);
        compare(format!("{place} of another shape"), &other);
        // What is free to be named is known to the catalogue alone.
        let free = ["/settings", "/config", "/vips/pins"]
            .iter()
            .any(|f| place.starts_with(f));
        if !free && let Some(Value::Object(map)) = other.pointer_mut(above) {
            map.insert(key, whole.pointer(place).unwrap().clone());
            map.insert("Unknown_Key".to_owned(), json!({ "x": [{}] }));
            compare(format!("one more beside {place}"), &other);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of the wrong files those whose mistake stands in one place.
#[test]
fn wrong_files_are_refused() {
    let validator = validator();
    let mut caught = Vec::new();
    for folder in ["tests/diagnostics", "tests/diagnostics-model"] {
        for case in runner::cases(&compare::root().join(folder)) {
            let text = std::fs::read_to_string(case.join("cloud.yaml")).unwrap();
            // An overlay of that test names services that are not embedded.
            let embedded = !text.contains("tomorrow") && !text.contains("dependent");
            if let Some(value) = value(&text).filter(|_| embedded)
                && !refused(&validator, &value).is_empty()
            {
                caught.push(runner::code(&case));
            }
        }
    }
    let expected = [
        "address::bad",
        "architecture::unknown",
        "cloud::bad-name",
        "config::list",
        "distribution::unknown",
        "fencing::none-without-reason",
        "file::control-character",
        "file::missing-key",
        "file::unknown-key",
        "file::wrong-type",
        "host::bad-name",
        "host::unknown-role",
        "network::bad-cidr",
        "network::bad-name",
        "network::unknown-use",
        "power::agent-and-together",
        "power::bad-option",
        "profile::unknown",
        "service::bad-name",
        "service::duplicate",
        "ssh::bad-port",
        "vip::pool-and-shared",
        "config::owned",
        "config::unknown-file",
        "release::unknown",
        "service::not-in-cloud",
        "service::not-packaged",
        "service::unknown",
        "settings::too-large",
        "settings::too-small",
        "settings::unknown-key",
        "settings::wrong-kind",
    ];
    assert_eq!(caught, expected);
}

/// What an editor shows: a text for each key, words to choose from.
#[test]
fn an_editor_finds_what_it_shows() {
    fn walk(schema: &Value, way: &str, out: &mut Vec<(String, Value)>) {
        match schema {
            Value::Object(map) => {
                for (key, inner) in map {
                    if key == "properties" {
                        for (name, of) in inner.as_object().unwrap() {
                            out.push((format!("{way}/{name}"), of.clone()));
                            walk(of, &format!("{way}/{name}"), out);
                        }
                    } else {
                        walk(inner, way, out);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|i| walk(i, way, out)),
            _ => {}
        }
    }
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["title"].as_str().unwrap().contains("cloud file"));
    let mut keys = Vec::new();
    walk(&schema, "", &mut keys);
    assert!(keys.len() > 80, "{}", keys.len());
    for (way, of) in &keys {
        // A section of a file is the service's own, and is not explained here.
        let section =
            way.starts_with("/config/") && of.get("properties").is_some() && of.get("description").is_none();
        let says = of["description"].as_str().unwrap_or_default();
        assert!(section || says.len() > 10, "{way} is not explained");
    }
    let words = |way: &str| {
        let (_, of) = keys.iter().find(|(w, _)| w == way).unwrap();
        let one = if of["anyOf"].is_null() {
            of
        } else {
            &of["anyOf"][0]
        };
        let one = if one["items"].is_null() {
            one
        } else {
            &one["items"]
        };
        let says = one["markdownEnumDescriptions"].as_array().map_or(0, Vec::len);
        let words: Vec<String> = one["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|w| w.as_str().unwrap().to_owned())
            .collect();
        assert!(says == 0 || says == words.len());
        words
    };
    assert_eq!(words("/profile"), ["steady", "fast"]);
    assert!(words("/hosts/role").contains(&"controller".to_owned()));
    assert!(words("/services").contains(&"keystone".to_owned()));
    assert!(words("/release").contains(&"2025.1".to_owned()));
    let owned = keys
        .iter()
        .find(|(w, _)| w.ends_with("/database/connection"))
        .unwrap();
    assert!(
        owned.1["description"]
            .as_str()
            .unwrap()
            .contains("follows the writer")
    );
}
