//! A cloud file to begin with is accepted as it is, and with every comment that
//! is a setting taken for one.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/compare.rs"]
mod compare;

use std::sync::Arc;

use catalog::Catalog;
use diagnostic::{Source, draw};
use model::{Model, Wanted, Wish, draft};

fn catalog() -> Catalog {
    let (catalog, findings) = Catalog::load(catalog::embedded());
    assert!(findings.is_empty());
    catalog
}

fn wanted(net: &str, fencing: Wish) -> Wanted {
    Wanted {
        name: "demo".to_owned(),
        release: "2025.1".to_owned(),
        controllers: (1..=3).map(|i| (format!("c{i}"), format!("{net}1{i}"))).collect(),
        vips: format!("{net}100-{net}119"),
        services: vec!["keystone".to_owned()],
        fencing,
        ..Wanted::default()
    }
}

/// Accepted without a finding.
fn good(text: &str) {
    let source = Source::new("cloud.yaml", text);
    let (cloud, mut findings) = cloud::parse(&source);
    if let Some(cloud) = cloud {
        findings.extend(Model::resolve(&cloud, &source, &Arc::new(catalog())).1);
    }
    assert!(findings.is_empty(), "{}\n{text}", draw(&findings, false, 100));
}

/// A `#` without a space behind it stands before a setting.
fn uncommented(text: &str) -> String {
    let setting = |l: &str| {
        l.strip_prefix('#')
            .filter(|l| !l.starts_with(' ') || l.starts_with("  "))
            .map(str::to_owned)
    };
    text.lines()
        .map(|l| setting(l).unwrap_or_else(|| l.to_owned()) + "\n")
        .collect()
}

#[test]
fn it_is_accepted() {
    let agent = || Wish::Agent("fence_ipmilan".to_owned());
    let none = || Wish::None("a \"bench\" test: soon".to_owned());
    for wanted in [
        wanted("198.18.0.", Wish::Lab),
        wanted("2001:2::", Wish::Lab),
        wanted("198.51.100.", agent()),
        wanted("2001:db8::", agent()),
        wanted("198.51.100.", none()),
        Wanted {
            vips: "10.0.1.1".to_owned(),
            network: "10.0.0.0/23".to_owned(),
            architecture: "full".to_owned(),
            ..wanted("10.0.0.", none())
        },
    ] {
        let text = draft(&wanted, &catalog());
        good(&text);
        let all = uncommented(&text);
        assert!(
            all.contains("\nprofile: steady\n") && all.contains("\nsettings:\n  "),
            "{all}"
        );
        good(&all);
    }
}

/// What an operator reads.
#[test]
fn it_is_as_it_was_looked_at() {
    let wanted = wanted("198.51.100.", Wish::Agent("fence_ipmilan".to_owned()));
    let text = draft(&wanted, &catalog());
    assert!(text.lines().all(|l| l.chars().count() <= 120));
    compare::text("tests/golden/init.yaml", &text);
}
