//! Each finding of this crate, drawn as an operator sees it:
//! `tests/diagnostics-catalog`. A case is the `service.yaml` of a service
//! `case` in a catalogue of its own, with the files that lie beside it;
//! `good.txt` is there to be named.

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

use catalog::{Catalog, Files};
use diagnostic::{Diagnostic, Source, draw};
use indexmap::IndexMap;

fn check(source: &Arc<Source>, folder: &Path) -> Vec<Diagnostic> {
    let mut files = Files::new();
    let mut origins = IndexMap::new();
    files.insert("openstack/case/service.yaml".to_owned(), source.text.clone());
    files.insert("openstack/case/good.txt".to_owned(), String::new());
    for (name, text) in runner::beside(folder) {
        let path = match name.as_str() {
            "cure.yaml" => "cures/case.yaml".to_owned(),
            catalog::UNSAFE => name.clone(),
            _ => format!("openstack/case/{name}"),
        };
        origins.insert(path.clone(), name);
        files.insert(path, text);
    }
    Catalog::load_from(files, origins).1
}

#[test]
fn findings_are_drawn_as_expected() {
    runner::run(&compare::root().join("tests/diagnostics-catalog"), check);
}

/// A code without a case is a finding that nobody has looked at.
#[test]
fn every_code_has_a_case() {
    let codes = compare::codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let cases: BTreeSet<String> = runner::cases(&compare::root().join("tests/diagnostics-catalog"))
        .iter()
        .map(|c| runner::code(c))
        .collect();
    assert_eq!(codes, cases);
}

#[test]
fn the_embedded_catalogue_is_without_findings() {
    let (catalog, findings) = Catalog::load(catalog::embedded());
    assert!(findings.is_empty(), "{}", draw(&findings, false, 100));
    assert!(!catalog.services.is_empty() && !catalog.releases.is_empty());
}

/// A file that no service names is either forgotten or dead.
#[test]
fn every_file_is_named_by_some_service() {
    let (catalog, _) = Catalog::load(catalog::embedded());
    let mut named = BTreeSet::from([catalog::BY_SYSTEMD.to_owned()]);
    for service in catalog.services.values() {
        named.insert(format!("{}/service.yaml", service.folder));
        named.extend(
            service
                .files
                .iter()
                .map(|f| match f.from.value.strip_prefix('/') {
                    Some(rooted) => rooted.to_owned(),
                    None => format!("{}/{}", service.folder, f.from.value),
                }),
        );
    }
    let forgotten: Vec<&String> = catalog
        .files
        .keys()
        .filter(|f| {
            ![
                "releases/",
                "platforms/",
                "fragments/",
                "cures/",
                catalog::BUDGET,
                catalog::UNSAFE,
            ]
            .iter()
            .any(|r| f.starts_with(r))
                && !named.contains(*f)
        })
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

/// A service of a release has packages somewhere, and none that is named for nothing.
#[test]
fn every_service_has_packages() {
    let (catalog, _) = Catalog::load(catalog::embedded());
    for release in catalog.releases.values() {
        for service in catalog.services.values() {
            let name = &service.name.value;
            let part_of = service.releases.is_empty() || service.releases.contains(&release.name);
            let mut named = release.packages.values().filter_map(|p| p.get(name)).peekable();
            assert!(
                !part_of || named.peek().is_some(),
                "{name} has no packages in {}",
                release.name
            );
            assert!(
                named.all(|packages| !packages.is_empty()),
                "{name} has packages and none of them in {}",
                release.name
            );
        }
    }
}
