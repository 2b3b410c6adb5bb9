//! Snapshots of a cluster whose own configuration holds something back.

use pacemaker::Monitor;
use render::Desired;
use status::Verdict;

use super::{Seen, check, kinds, seen, texts, told};

/// Property set of `crm_attribute` and `pcs`: one that outranks ours.
fn foreign(name: &str, value: &str) -> impl Fn(&str) -> String {
    let set = format!(
        "<cluster_property_set id=\"cib-bootstrap-options\"><nvpair id=\"cib-bootstrap-options-{name}\" \
         name=\"{name}\" value=\"{value}\"/></cluster_property_set></crm_config>"
    );
    move |cib: &str| cib.replace("</crm_config>", &set)
}

/// A cloud whose cluster tells of a property, and has it in a foreign set.
fn with_property(name: &'static str, value: &'static str) -> impl Fn(&Desired) -> Seen {
    move |d| {
        let mut seen = seen(d, "healthy", &[]);
        let change = |cluster: &mut Monitor| {
            if let Some(told) = cluster.options.get_mut(name) {
                value.clone_into(told);
            }
        };
        told(&mut seen, change, foreign(name, value));
        seen
    }
}

#[test]
fn a_cluster_in_maintenance_is_exposed() {
    let found = check("maintenance-mode", None, |d| {
        let mut seen = seen(d, "maintenance", &[]);
        told(&mut seen, |_| {}, foreign("maintenance-mode", "true"));
        seen
    });
    assert_eq!(found.verdict, Verdict::Exposed);
    assert_eq!(kinds(&found), ["held"]);
    assert_eq!(
        found.next,
        "on c1: `crm_attribute --type crm_config --set-name cib-bootstrap-options --name maintenance-mode --delete`"
    );
    let found = check("stop-all", None, with_property("stop-all-resources", "true"));
    assert_eq!((found.verdict, kinds(&found)), (Verdict::Exposed, vec!["held"]));
}

/// Whoever sets it, the value in force counts.
#[test]
fn properties_count_by_their_value_in_force() {
    let check = |name, value, kind: &[&str], verdict| {
        let found = check(&format!("{name}-{value}"), None, with_property(name, value));
        assert_eq!(
            (kinds(&found).as_slice(), found.verdict),
            (kind, verdict),
            "{name}"
        );
    };
    check("stonith-enabled", "false", &["unfenced"], Verdict::Exposed);
    check("no-quorum-policy", "ignore", &["property"], Verdict::Exposed);
    check("startup-fencing", "false", &["property"], Verdict::Degraded);
    check("symmetric-cluster", "false", &["property"], Verdict::Degraded);
    // Said in other words, it is the same; what is nobody's business is none of ours.
    check("stonith-enabled", "yes", &[], Verdict::Redundant);
    check("batch-limit", "3", &[], Verdict::Redundant);
}

#[test]
fn fencing_that_somebody_turned_off_is_exposed() {
    let found = check("unfenced", None, |d| {
        let mut seen = seen(d, "unfenced", &[]);
        told(&mut seen, |_| {}, foreign("stonith-enabled", "false"));
        seen
    });
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Exposed, vec!["unfenced"])
    );
    assert_eq!(found.next, "quorate apply");
}

/// Remains in our own set of an `apply` that was killed on its first way.
#[test]
fn a_first_configuration_that_stayed_is_seen() {
    let found = check("startup-fencing", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let pair =
            "<nvpair id=\"quorate-properties-startup-fencing\" name=\"startup-fencing\" value=\"false\"/>";
        let change = |cib: &str| {
            cib.replacen(
                "</cluster_property_set>",
                &format!("{pair}</cluster_property_set>"),
                1,
            )
        };
        told(&mut seen, |_| {}, change);
        seen
    });
    assert_eq!(
        (found.verdict, found.next.as_str()),
        (Verdict::Degraded, "quorate apply")
    );
}

#[test]
fn a_resource_that_is_unmanaged_is_seen() {
    let found = check("unmanaged", None, |d| seen(d, "unmanaged", &[]));
    assert_eq!(
        texts(&found),
        ["galera is unmanaged on c1, c2, c3: the cluster does not start it again when it fails"]
    );
    assert_ne!(found.verdict, Verdict::Redundant);
}

#[test]
fn a_node_in_maintenance_is_exposed() {
    let found = check("node-maintenance", None, |d| seen(d, "node-maintenance", &[]));
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Exposed, vec!["node-held"])
    );
    assert!(
        found.next.contains("--node c2 --name maintenance --delete"),
        "{}",
        found.next
    );
}

#[test]
fn a_fence_device_that_is_dead_exposes_its_host() {
    let found = check("fence-device", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let change = |cluster: &mut Monitor| {
            let mut all = cluster.resources.iter_mut();
            let device = all.find(|r| r.id == "fence-c2-1").unwrap();
            (device.role, device.nodes, device.active) = ("Stopped".to_owned(), Vec::new(), false);
        };
        told(&mut seen, change, str::to_owned);
        seen
    });
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Exposed, vec!["fence-device"])
    );
    assert!(texts(&found)[0].contains("were c2 lost"), "{:?}", found.problems);
}

/// Between two controllers nobody tells of quorum, which is not lost by that.
#[test]
fn an_election_is_not_down() {
    let found = check("electing", None, |d| {
        let mut seen = seen(d, "healthy", &[]);
        let change = |cluster: &mut Monitor| (cluster.dc, cluster.quorate) = (None, false);
        told(&mut seen, change, |cib| {
            cib.replacen("<cib ", "<cib have-quorum=\"1\" ", 1)
        });
        seen
    });
    assert_eq!(
        (found.verdict, kinds(&found)),
        (Verdict::Exposed, vec!["electing"])
    );
}
