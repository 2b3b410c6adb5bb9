//! Each finding of this crate, drawn as an operator sees it: `tests/diagnostics-model`.

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
use std::path::Path;
use std::sync::Arc;

use catalog::Catalog;
use diagnostic::{Diagnostic, Source};
use model::Model;

/// Laid over the catalogue for cases that name one of these.
const OVERLAY: [(&str, &str); 4] = [
    (
        "openstack/tomorrow/service.yaml",
        "name: tomorrow\nreleases: [\"2099.1\", \"2099.2\"]\n",
    ),
    (
        "openstack/dependent/service.yaml",
        "name: dependent\nneeds: [haproxy, keystone]\n",
    ),
    ("openstack/elsewhere/service.yaml", "name: elsewhere\n"),
    (
        "releases/elsewhere.yaml",
        "release: elsewhere\npackages: { debian-12: { elsewhere: [elsewhere] } }\n",
    ),
];

fn check(source: &Arc<Source>) -> Vec<Diagnostic> {
    let mut files = catalog::embedded();
    for (path, text) in OVERLAY {
        let name = path.split('/').nth(1).unwrap().trim_end_matches(".yaml");
        if source.text.contains(name) {
            files.insert(path.to_owned(), text.to_owned());
        }
    }
    let (catalog, mut findings) = Catalog::load(files);
    let (cloud, more) = cloud::parse(source);
    findings.extend(more);
    let (model, more) = Model::resolve(&cloud.unwrap(), source, &Arc::new(catalog));
    // Valid by construction: where something is wrong there is no model.
    assert_eq!(model.is_none(), more.iter().any(Diagnostic::is_error));
    findings.extend(more);
    findings
}

#[test]
fn findings_are_drawn_as_expected() {
    runner::run(&compare::root().join("tests/diagnostics-model"), |source, _| {
        check(source)
    });
}

/// A code without a case is a finding that nobody has looked at.
#[test]
fn every_code_has_a_case() {
    let codes = compare::codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let cases: BTreeSet<String> = runner::cases(&compare::root().join("tests/diagnostics-model"))
        .iter()
        .map(|c| runner::code(c))
        .collect();
    assert_eq!(codes, cases);
}

#[test]
fn the_examples_are_without_findings() {
    for entry in std::fs::read_dir(compare::root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        // A cloud that was tried has its state beside its file.
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let source = Source::new(path.to_str().unwrap(), text);
        let findings = check(&source);
        assert!(findings.is_empty(), "{}", diagnostic::draw(&findings, false, 100));
    }
}
