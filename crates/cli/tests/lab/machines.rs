//! A cloud that runs VMs: what is made of networks goes on after each controller is
//! lost, a database of OVN whose disk is empty joins the others, and a host beside the
//! cluster may be away.

use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};

/// Three controllers and a host that runs VMs, each in two networks.
fn describe(cloud: &Cloud) {
    let hosts = [("c1", 11), ("c2", 12), ("c3", 13), ("n1", 21)]
        .map(|(host, last)| {
            let role = if host == "n1" { "compute" } else { "controller" };
            format!(
                "  {host}: {{ role: {role}, address: 198.18.65.{last}, addresses: {{ provider: 198.18.66.{last} }} }}\n"
            )
        })
        .concat();
    let text = format!(
        "cloud: {}\nrelease: \"2025.1\"\nhosts:\n{hosts}networks:\n  management: {{ cidr: 198.18.65.0/24 }}\n  \
         provider: {{ cidr: 198.18.66.0/24, use: tunnel }}\nvips: {{ pool: 198.18.65.100-198.18.65.119 }}\n\
         services: [keystone, placement, nova, neutron]\n\
         settings: {{ ovn: {{ datapath: netdev, provider-nic: eth1 }} }}\n",
        cloud.name
    );
    fs_err::write(cloud.file(), text).unwrap();
}

/// Waits until Nova knows of the host beside the cluster.
fn until_runs_vms(cloud: &Cloud) {
    until("n1 to run VMs", Duration::from_mins(3), || {
        let ask = ". /root/openrc; openstack hypervisor list -f value -c 'Hypervisor Hostname' -c State";
        let said = cloud.shell("c1", ask);
        if said.out.contains("n1 up") {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
}

/// A router with a network behind it, made and taken away.
const NETWORKS: &str = ". /root/openrc; set -e
openstack network create story
openstack subnet create --network story --subnet-range 10.9.0.0/24 story
openstack router create story
openstack router add subnet story story
openstack router remove subnet story story
openstack router delete story
openstack network delete story";

/// What half of [`NETWORKS`] left.
const LEFT: &str = ". /root/openrc
openstack router remove subnet story story
for what in router network; do openstack $what list -f value -c ID -c Name |
    while read -r id name; do [ \"$name\" != story ] || openstack $what delete $id; done; done";

fn networks(cloud: &Cloud, host: &str) -> Result<(), String> {
    let said = cloud.shell(host, NETWORKS);
    if said.ok() {
        return Ok(());
    }
    cloud.shell(host, LEFT);
    Err(said.to_string())
}

/// Which cluster of databases a host's member is of, and of how many members.
fn cluster(cloud: &Cloud, host: &str) -> Result<(String, usize), String> {
    let ask = "ovs-appctl -t /run/ovn/ovnnb_db.ctl cluster/status OVN_Northbound";
    let said = cloud.shell(host, ask);
    let id = said.out.lines().find_map(|l| l.strip_prefix("Cluster ID: "));
    let members = said.out.lines().filter(|l| l.contains(" at ssl:")).count();
    let member = said.out.contains("Status: cluster member");
    match id {
        Some(id) if member => Ok((id.to_owned(), members)),
        _ => Err(said.to_string()),
    }
}

fn beside(cloud: &Cloud, state: &str, verdict: &str) -> Result<(), String> {
    let status = cloud.status()?;
    if status["beside"][0]["state"] == state && status["verdict"] == verdict {
        Ok(())
    } else {
        Err(format!("{status:#}"))
    }
}

#[test]
#[ignore = "lab"]
fn long_networks_go_on_after_each_controller_is_lost() {
    let cloud = Cloud::new("st-machines", 65);
    describe(&cloud);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_mins(3));
    let plan = cloud.say(&["plan"]).good();
    assert!(plan.out.contains("nothing to do"), "{plan}");
    until_runs_vms(&cloud);

    for (lost, other) in [("c1", "c2"), ("c2", "c3"), ("c3", "c1")] {
        cloud.lab("cut", &[lost]).good();
        let begin = std::time::Instant::now();
        until("networks to be made", Duration::from_mins(3), || {
            networks(&cloud, other)
        });
        tell(&format!(
            "{lost} lost: networks were made and deleted {:.1} s after",
            begin.elapsed().as_secs_f64()
        ));
        cloud.until_redundant(Duration::from_mins(6));
        cloud.forget_boots();
    }

    // A disk that is empty founds nothing, and the others forget the member before.
    let (whole, _) = cluster(&cloud, "c1").unwrap();
    cloud
        .shell(
            "c1",
            "rm /var/lib/ovn/ovnnb_db.db && systemctl kill --signal=KILL quorate-ovn-nb",
        )
        .good();
    until("the member to join again", Duration::from_mins(2), || {
        for host in HOSTS {
            let found = cluster(&cloud, host)?;
            if found != (whole.clone(), HOSTS.len()) {
                return Err(format!("{host}: {found:?}, not three of {whole}"));
            }
        }
        Ok(())
    });

    cloud.shell("n1", "sync").good();
    cloud.lab("cut", &["n1"]).good();
    until("n1 to be missed", Duration::from_mins(1), || {
        beside(&cloud, "unreachable", "degraded")
    });
    let said = cloud.apply();
    assert!(said.all().contains("n1 is left out"), "{said}");
    cloud.lab("on", &["n1"]).good();
    until("n1 to be back", Duration::from_mins(3), || {
        beside(&cloud, "up", "redundant")
    });
    cloud.down();
}
