//! Who runs a component: what its kind says in each architecture, and what it
//! says of itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

use catalog::{Catalog, Files, UnitRun};
use cloud::Architecture;
use diagnostic::draw;

/// A component of these words, in `full` and in `core`.
fn check(words: &str, full: UnitRun, core: UnitRun) {
    let text = format!("name: case\ncomponents:\n  main: {{ runs-on: api, {words} }}\n");
    let (catalog, findings) = Catalog::load(Files::from([("openstack/case/service.yaml".to_owned(), text)]));
    assert!(findings.is_empty(), "{}", draw(&findings, false, 100));
    let component = &catalog.services["case"].components["main"];
    let found = [Architecture::Full, Architecture::Core].map(|a| component.run_in(a));
    assert_eq!(found, [full, core], "{words}");
    let chosen = component.by_architecture(Architecture::Core);
    assert_eq!(chosen, full != core, "{words}");
}

#[test]
fn kinds_say_who_runs_what() {
    use UnitRun::{Cluster, Nobody, Systemd};
    check("kind: stateless, unit: a.service", Cluster, Systemd);
    for kind in ["singleton", "clustered", "promotable", "per-host"] {
        check(&format!("kind: {kind}, unit: a.service"), Cluster, Cluster);
    }
    // An agent is the cluster's, whatever it runs.
    check(
        "kind: stateless, resource: { agent: ocf:heartbeat:a }",
        Cluster,
        Cluster,
    );
    check(
        "kind: stateless, unit: a.service, resource: { agent: ocf:heartbeat:a }",
        Cluster,
        Cluster,
    );
    check("kind: stateless, unit: a.service, run: cluster", Cluster, Cluster);
    check("kind: stateless, unit: a.service, run: systemd", Systemd, Systemd);
    check("kind: per-host, unit: a.service, run: nobody", Nobody, Nobody);
}
