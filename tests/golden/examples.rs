//! The example clouds, resolved and rendered against the embedded catalogue.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a test's own code: to panic is to report, and not every test wants all of it"
)]

use std::path::Path;
use std::sync::Arc;

use catalog::{Catalog, Files};
use diagnostic::{Source, draw};
use model::Model;
use render::Desired;

/// The examples that have a golden tree.
pub const EXAMPLES: [&str; 15] = [
    "three-controllers",
    "two-links",
    "ipv6",
    "one-controller",
    "with-placement",
    "with-compute",
    "with-images",
    "with-volumes",
    "active-volumes",
    "with-secrets",
    "eight-services",
    "instance-ha",
    "core",
    "debian-12",
    "centos-9",
];

/// A cloud file's text, judged against the embedded catalogue with `overlay`
/// over it; it must be without findings.
pub fn model_of(name: &str, text: &str, overlay: &[(&str, &str)]) -> Model {
    let mut files: Files = catalog::embedded();
    for (path, text) in overlay {
        files.insert((*path).to_owned(), (*text).to_owned());
    }
    let (catalog, mut findings) = Catalog::load(files);
    let source = Source::new(name, text);
    let (cloud, more) = cloud::parse(&source);
    findings.extend(more);
    let (model, more) = Model::resolve(&cloud.unwrap(), &source, &Arc::new(catalog));
    findings.extend(more);
    assert!(
        findings.iter().all(|f| !f.is_error()),
        "{}",
        draw(&findings, false, 100)
    );
    model.unwrap()
}

/// What a model renders to; its templates must be without findings.
pub fn desired_of(model: &Model) -> Desired {
    let (desired, findings) = render::render(model);
    assert!(findings.is_empty(), "{}", draw(&findings, false, 100));
    desired
}

/// One of `examples/`.
pub fn example(name: &str) -> (Model, Desired) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/{name}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let model = model_of(name, &text, &[]);
    let desired = desired_of(&model);
    (model, desired)
}

/// A cloud with fencing of several levels, a shared address, roles apart and a singleton.
pub const APART: &str = r#"
cloud: apart
release: "2025.1"
hosts:
  db1: { role: [database, messaging], address: 10.0.0.11 }
  db2: { role: [database, messaging], address: 10.0.0.12 }
  db3: { role: [database, messaging], address: 10.0.0.13 }
  lb1: { role: [balancer, cache, api], address: 10.0.0.21 }
  lb2: { role: [balancer, cache, api], address: 10.0.0.22 }
networks: { management: { cidr: 10.0.0.0/24 } }
vips: { shared: 10.0.0.100 }
power:
  - { agent: fence_ipmilan, options: { ip: "bmc-{host}", password: { secret: "power/{host}" } } }
  - together:
      - { agent: fence_apc, options: { ip: 10.0.1.1, port: 1 } }
      - { agent: fence_apc, options: { ip: 10.0.1.2, port: 1 } }
    hosts: [db1]
services: [keystone, lonely]
"#;
/// The singleton of [`APART`].
pub const LONELY: [(&str, &str); 1] = [(
    "openstack/lonely/service.yaml",
    "name: lonely\nneeds: [keystone]\ncomponents:\n  \
     volume: { kind: singleton, runs-on: api, unit: lonely.service, after: [keystone, galera] }\n",
)];

/// All clouds that rules are tried on.
pub fn clouds() -> Vec<(String, Desired)> {
    let mut out: Vec<(String, Desired)> = EXAMPLES.iter().map(|n| ((*n).to_owned(), example(n).1)).collect();
    let model = model_of("apart", APART, &LONELY);
    out.push(("apart".to_owned(), desired_of(&model)));
    out
}
