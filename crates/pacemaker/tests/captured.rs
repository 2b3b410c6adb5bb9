//! Real output of Pacemaker's tools, read: `tests/captured`. Where and when
//! each was captured stands in its first line.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "../../../tests/golden/compare.rs"]
mod compare;

use pacemaker::{LiveCib, Monitor, SECTIONS, has_quorum};

fn captured(name: &str) -> String {
    compare::read(&format!("tests/captured/{name}.xml"))
}

/// What was read out of each, whole.
#[test]
fn crm_mon_is_read() {
    let folder = compare::root().join("tests/captured");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|e| {
            let name = e.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".xml")
                .filter(|n| n.starts_with("crm_mon-"))
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let monitor = Monitor::parse(&captured(&name)).unwrap();
        let read = serde_json::to_string_pretty(&monitor).unwrap() + "\n";
        compare::text(&format!("tests/captured/read/{name}.json"), &read);
    }
}

/// votequorum's word, and none where nothing was told.
#[test]
fn quorum_is_read() {
    let told = |name: &str| has_quorum(&compare::read(&format!("tests/captured/{name}.txt")));
    assert_eq!(told("quorumtool-healthy"), Some(true));
    assert_eq!(told("quorumtool-no-quorum"), Some(false));
    assert_eq!(has_quorum("Cannot initialize CMAP service\n"), None);
    assert_eq!(has_quorum(""), None);
    assert_eq!(has_quorum("Quorate:          \n"), None);
    // Among the flags of a partition without quorum the word does not stand alone.
    assert_eq!(has_quorum("Flags:            Quorate \n"), None);
}

/// A host that is about to join knows neither a controller nor who is online.
#[test]
fn one_that_joins_has_no_view() {
    let monitor = Monitor::parse(&captured("crm_mon-joining")).unwrap();
    assert_eq!((monitor.dc.as_deref(), monitor.quorate), (None, false));
    assert_eq!((monitor.nodes.len(), monitor.online().count()), (3, 0));
}

#[test]
fn a_healthy_cluster_runs_everything_everywhere() {
    let monitor = Monitor::parse(&captured("crm_mon-healthy")).unwrap();
    assert!(monitor.quorate);
    assert_eq!(monitor.dc.as_deref(), Some("c1"));
    assert_eq!(monitor.online().count(), 3);
    for (id, role) in [
        ("galera", "Promoted"),
        ("haproxy", "Started"),
        ("keystone-api", "Started"),
    ] {
        let mut nodes = monitor.nodes_of(id, role);
        nodes.sort_unstable();
        assert_eq!(nodes, ["c1", "c2", "c3"], "{id}");
    }
    assert_eq!(monitor.nodes_of("vip-galera", "Started"), ["c1"]);
    assert!(monitor.failures.is_empty());
}

#[test]
fn who_is_about_to_join_is_not_out_of_service() {
    let check = |pending: &str, expect: bool| {
        let told = captured("crm_mon-healthy")
            .replacen("standby=\"false\"", "standby=\"true\"", 1)
            .replacen("pending=\"false\"", &format!("pending=\"{pending}\""), 1);
        assert_eq!(Monitor::parse(&told).unwrap().nodes[0].standby, expect);
    };
    check("true", false);
    check("false", true);
}

#[test]
fn a_lost_host_runs_nothing() {
    let monitor = Monitor::parse(&captured("crm_mon-one-lost")).unwrap();
    assert!(monitor.quorate);
    let online: Vec<&str> = monitor.online().map(|n| n.name.as_str()).collect();
    assert_eq!(online, ["c1", "c3"]);
    assert!(!monitor.resources.iter().any(|r| r.is_on("c2")));
    assert_eq!(monitor.nodes_of("vip-keystone", "Started"), ["c3"]);
}

#[test]
fn without_quorum_nobody_is_counted_on() {
    let monitor = Monitor::parse(&captured("crm_mon-no-quorum")).unwrap();
    assert!(!monitor.quorate);
    assert_eq!(monitor.online().count(), 1);
    assert!(monitor.nodes.iter().filter(|n| n.unclean).count() == 2);
}

#[test]
fn stopped_is_not_running() {
    let monitor = Monitor::parse(&captured("crm_mon-stopped")).unwrap();
    assert!(!monitor.resources.is_empty());
    for r in &monitor.resources {
        assert_eq!((r.role.as_str(), r.nodes.len()), ("Stopped", 0), "{}", r.id);
        assert!(monitor.nodes_of(&r.id, "Started").is_empty());
    }
}

#[test]
fn a_failed_instance_is_no_instance() {
    let monitor = Monitor::parse(&captured("crm_mon-failed")).unwrap();
    let failed: Vec<_> = monitor.resources.iter().filter(|r| r.failed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].id.as_str(), failed[0].is_on("c3")), ("galera", true));
    let mut nodes = monitor.nodes_of("galera", "Promoted");
    nodes.sort_unstable();
    assert_eq!(nodes, ["c1", "c2"]);
}

#[test]
fn what_is_not_xml_is_refused() {
    for text in [
        "",
        "crm_mon: Connection to cluster failed: Connection refused",
        "<pacemaker-result",
        "<cib><configuration/></cib>",
    ] {
        let error = Monitor::parse(text).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot read crm_mon's output: "),
            "{error}"
        );
    }
}

#[test]
fn each_section_of_a_live_cib_is_found() {
    let cib = LiveCib::parse(captured("cib-healthy")).unwrap();
    for section in SECTIONS {
        let text = cib.section(section).unwrap();
        assert!(text.starts_with(section), "{section}: {text}");
        assert!(text.lines().count() > 1, "{section} is empty");
        compare::text(&format!("tests/captured/read/cib-{section}.txt"), text);
    }
    // The cluster keeps its own facts in property sets of its own.
    assert!(cib.text().unwrap().contains("cib-bootstrap-options"));
    let config = cib.section("crm_config").unwrap();
    assert!(!config.contains("cib-bootstrap-options"));
}

#[test]
fn a_live_cib_tells_since_when_nothing_happened() {
    let text = captured("cib-healthy");
    let cib = LiveCib::parse(text.clone()).unwrap();
    let nodes = ["c1", "c2", "c3"].map(str::to_owned);
    let last = text
        .split("last-rc-change=\"")
        .skip(1)
        .filter_map(|t| t.split('"').next()?.parse::<i64>().ok())
        .max();
    assert_eq!(cib.quiet_since(&nodes).ok(), last);
    let more = [&nodes[..], &["c4".to_owned()]].concat();
    assert!(cib.quiet_since(&more).unwrap_err().contains("c4"));
}

#[test]
fn a_section_that_is_not_there_is_an_empty_one() {
    let text = "<cib><configuration><resources/></configuration></cib>";
    let cib = LiveCib::parse(text.to_owned()).unwrap();
    for section in SECTIONS {
        let empty = pacemaker::Cib::default().canonical(section);
        assert_eq!(cib.section(section), Some(empty.as_str()), "{section}");
    }
    assert_eq!(cib.section("status"), None);
}

/// Sets of the cluster's own are no drift.
#[test]
fn own_properties_of_the_cluster_carry_no_meaning() {
    let of = |foreign: &str| {
        let ours = r#"<cluster_property_set id="quorate-properties"><nvpair id="i" name="n" value="v"/></cluster_property_set>"#;
        let text =
            format!("<cib><configuration><crm_config>{ours}{foreign}</crm_config></configuration></cib>");
        let cib = LiveCib::parse(text).unwrap();
        cib.section("crm_config").unwrap().to_owned()
    };
    assert_eq!(
        of(""),
        of(r#"<cluster_property_set id="cib-bootstrap-options"/>"#)
    );
}
