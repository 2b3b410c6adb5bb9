//! Pages in the form of `pcs status`, whole: `tests/captured/status/*.txt`.

use std::collections::BTreeMap;

use names::HostName;
use render::Desired;
use status::{pacemaker_view, snapshot};
use wire::{Answer, Fact};

use super::{Seen, compare, examples, facts, seen, world};

type Machines = BTreeMap<HostName, Result<Vec<String>, String>>;

/// The page of an example as it was seen is as committed.
fn check(
    example: &str,
    name: &str,
    machines: &[(&str, Result<&[&str], &str>)],
    make: impl Fn(&Desired) -> Seen,
) -> String {
    let (_, desired) = examples::example(example);
    let observed = make(&desired);
    let found = snapshot("demo", &desired, None, &observed);
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let machines: Machines = machines
        .iter()
        .map(|(host, told)| (world::host(host), told.map(owned).map_err(str::to_owned)))
        .collect();
    let page = pacemaker_view(&found, &desired, &observed, &machines, "2026-05-04 10:00:00") + "\n";
    compare::text(&format!("tests/captured/status/{name}.txt"), &page);
    page
}

/// Sections and nouns of the page that an operator of such a cluster knows by name.
#[test]
fn a_whole_cloud_is_shown_by_sections() {
    let page = check("three-controllers", "view", &[], |d| seen(d, "healthy", &[]));
    for noun in [
        "Cluster name: demo\n",
        "Stack: corosync\n",
        "Current DC: c1 (version 3.0.0-3.0.0) - partition with quorum\n",
        "\n3 nodes configured\n20 resources configured\n",
        "\nOnline: [ c1 c2 c3 ]\n",
        "\nFull list of resources:\n",
        "(ocf::heartbeat:IPaddr2):",
        "(stonith:fence_redfish):",
        " Clone Set: haproxy-clone [haproxy]\n     Started: [ c1 c2 c3 ]\n",
        " Master/Slave Set: galera-clone [galera]\n     Masters: [ c1 c2 c3 ]\n",
        "\nDaemon Status:\n",
    ] {
        assert!(page.contains(noun), "{noun:?} is not in\n{page}");
    }
    // Addresses are spread, each by its name and with its holder.
    let holders: Vec<&str> = page
        .lines()
        .filter(|l| l.trim_start().starts_with("vip-"))
        .filter_map(|l| l.rsplit(' ').next())
        .collect();
    assert_eq!(holders, ["c1", "c2"]);
    assert!(!page.contains("Failed Resource Actions"), "{page}");
}

#[test]
fn hosts_that_do_not_run_a_clone_are_told() {
    let page = check("three-controllers", "view-one-lost", &[], |d| {
        seen(d, "one-lost", &["c2"])
    });
    for noun in ["\nOFFLINE: [ c2 ]\n", "     Stopped: [ c2 ]\n"] {
        assert!(page.contains(noun), "{noun:?} is not in\n{page}");
    }
    let page = check("three-controllers", "view-failed", &[], |d| {
        seen(d, "failed", &[])
    });
    assert!(page.contains("\nFailed Resource Actions:\n"), "{page}");
    let page = check("three-controllers", "view-unmanaged", &[], |d| {
        seen(d, "unmanaged", &[])
    });
    assert!(page.contains("(unmanaged)"), "{page}");
}

/// Remotes have lines of their own, as in a cluster whose VM hosts are remotes.
#[test]
fn remotes_and_slaves_have_lines_of_their_own() {
    let page = check("three-controllers", "view-remotes", &[], |d| {
        let mut seen = seen(d, "healthy", &[]);
        super::told(
            &mut seen,
            |cluster| {
                let mut remote = cluster.nodes[0].clone();
                (remote.name, remote.remote) = ("n1".to_owned(), true);
                let mut lost = remote.clone();
                (lost.name, lost.online, lost.unclean) = ("n2".to_owned(), false, true);
                cluster.nodes.extend([remote, lost]);
                let all = cluster.resources.iter_mut();
                let galera = all.filter(|r| r.id == "galera");
                galera.skip(1).for_each(|r| r.role = "Unpromoted".to_owned());
            },
            str::to_owned,
        );
        seen
    });
    for noun in [
        "\nRemoteNode n2: UNCLEAN (offline)\nRemoteOnline: [ n1 ]\n",
        "     Masters: [ c1 ]\n     Slaves: [ c2 c3 ]\n     Stopped: [ n1 n2 ]\n",
    ] {
        assert!(page.contains(noun), "{noun:?} is not in\n{page}");
    }
}

/// VM hosts stand with their services and VMs; what is not known is told as that.
#[test]
fn vm_hosts_are_shown_with_what_runs_on_each() {
    let names: &[&str] = &["instance-00000001", "instance-00000002"];
    let page = check("eight-services", "view-eight", &[("n1", Ok(names))], |d| {
        world::all(d, world::applied)
    });
    let computes = page.split("\nCompute hosts:\n").nth(1).unwrap();
    assert!(
        computes.trim_start().starts_with("n1: up\n     Started: [ "),
        "{page}"
    );
    assert!(
        computes.contains("     VMs: [ instance-00000001 instance-00000002 ]\n"),
        "{page}"
    );
    let lost = check(
        "eight-services",
        "view-eight-lost",
        &[("n1", Err("timed out"))],
        |d| {
            let mut seen = world::all(d, world::applied);
            seen.insert(world::host("n1"), Err("cannot reach n1: timed out".to_owned()));
            seen
        },
    );
    let computes = lost.split("\nCompute hosts:\n").nth(1).unwrap();
    assert!(
        computes
            .trim_start()
            .starts_with("n1: unreachable\n     Unknown: [ "),
        "{lost}"
    );
    assert!(computes.contains("     VMs: unknown (timed out)\n"), "{lost}");
}

/// Instances that systemd runs stand apart, each with its hosts.
#[test]
fn units_that_systemd_runs_are_shown_by_host() {
    let page = check("core", "view-core", &[], |d| {
        let mut seen = world::all(d, world::applied);
        let units = &mut facts(&mut seen, "c2").units;
        let Some(Fact::Known(now)) = units.get_mut("quorate-keystone.service") else {
            panic!()
        };
        "failed".clone_into(&mut now.active);
        seen
    });
    let unit = " Unit Set: keystone-api [systemd:quorate-keystone.service]\n";
    let rows = "     Started: [ c1 c3 ]\n     FAILED: [ c2 ]\n";
    assert!(page.contains(&format!("{unit}{rows}")), "{page}");
}

/// Where no host knows a cluster, that is told, and nothing is made up of it.
#[test]
fn a_cloud_without_a_cluster_is_told_as_that() {
    let page = check("three-controllers", "view-no-cluster", &[], |d| {
        let mut seen = seen(d, "healthy", &[]);
        for facts in seen.values_mut().flatten() {
            facts.cluster = Fact::Unknown("crm_mon: timed out".to_owned());
            facts.answers.insert(
                "cluster/links".to_owned(),
                Fact::Known(Answer::Text(String::new())),
            );
        }
        seen
    });
    assert!(!page.contains("Full list of resources"), "{page}");
    assert!(
        page.contains("\nThe cluster is running on no host that answers\n"),
        "{page}"
    );
}
