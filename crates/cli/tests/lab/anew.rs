//! Two of three members of OVN's databases are lost for good. Each database begins anew with
//! what the third holds; the lost, back with their disks, join it as new members. And members
//! that are silent are told by `status`.

use std::time::Duration;

use crate::cloud::Cloud;
use crate::guide::folder_of_the_repository;
use crate::said::{Said, tell, until};

const WHOLE: Duration = Duration::from_mins(5);
const LEFT: &str = "c1";
const LOST: [&str; 2] = ["c2", "c3"];

/// A catalogue laid over ours in which every cloud has these networks: a small one has them so.
fn catalogue(cloud: &Cloud) -> String {
    let ours = folder_of_the_repository().join("catalog/infra/ovn/service.yaml");
    let text = fs_err::read_to_string(ours).unwrap();
    assert!(text.contains("\nimplied: true\n"));
    let folder = cloud.file().with_file_name("catalogue");
    fs_err::create_dir_all(folder.join("infra/ovn")).unwrap();
    let text = text.replace("\nimplied: true\n", "\nfoundation: true\n");
    fs_err::write(folder.join("infra/ovn/service.yaml"), text).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// Three controllers in two networks with these services.
fn describe(cloud: &Cloud, services: &str, more: &str) {
    let hosts = ["c1", "c2", "c3"].map(|host| {
        let last = host.trim_start_matches('c');
        format!(
            "  {host}: {{ role: controller, address: 198.18.94.1{last}, addresses: {{ provider: 198.18.95.1{last} }} }}\n"
        )
    });
    let text = format!(
        "cloud: {}\nrelease: \"2025.1\"\nhosts:\n{}networks:\n  management: {{ cidr: 198.18.94.0/24 }}\n  \
         provider: {{ cidr: 198.18.95.0/24, use: tunnel }}\nvips: {{ pool: 198.18.94.100-198.18.94.119 }}\n\
         services: {services}\nsettings:\n  ovn: {{ datapath: netdev, provider-nic: eth1 }}\n{more}",
        cloud.name,
        hosts.concat()
    );
    fs_err::write(cloud.file(), text).unwrap();
}

fn say(cloud: &Cloud, catalogue: &str, words: &[&str]) -> Said {
    let mut all = vec!["--catalog", catalogue];
    all.splice(0..0, words.iter().take(1).copied());
    all.extend(&words[1..]);
    cloud.say(&all)
}

/// Names of the switches that a member knows, asked of it alone.
fn switches(cloud: &Cloud, host: &str) -> Said {
    cloud.shell(
        host,
        "ovn-nbctl --no-leader-only --db=unix:/run/ovn/ovnnb_db.sock --timeout=20 ls-list",
    )
}

#[test]
#[ignore = "lab"]
fn long_networks_begin_anew_without_most_members() {
    let cloud = Cloud::new("st-anew", 94);
    // An image with all packages is there.
    describe(
        &cloud,
        "[keystone, placement, swift, glance, nova, neutron, cinder, horizon, heat]",
        "  cinder: { backend: nfs, nfs-host: 198.18.94.5, nfs-path: /volumes }\n",
    );
    cloud.up();
    describe(&cloud, "[keystone]", "");
    let catalogue = catalogue(&cloud);
    let say = |words: &[&str]| say(&cloud, &catalogue, words);
    say(&["apply", "--yes"]).good();
    let add = |name: &str| {
        format!("ovn-nbctl --db=unix:/run/ovn/ovnnb_db.sock --no-leader-only --timeout=30 ls-add {name}")
    };
    cloud.shell(LEFT, &add("kept")).good();
    let status = say(&["status"]);
    assert!(!status.all().contains("OVN's"), "{status}");
    for host in LOST {
        cloud.lab("unplug", &[host]).good();
        cloud.lab("cut", &[host]).good();
    }
    cloud.until_without_quorum(LEFT, WHOLE);
    let said = say(&["recover", "--without", "c2", "--without", "c3", "--yes"]).good();
    tell(&said.all());
    for words in ["left-alone/ovn/nb/c1", "begins anew with what is here"] {
        assert!(said.all().contains(words), "no {words:?} in {said}");
    }
    assert!(switches(&cloud, LEFT).good().out.contains("(kept)"));
    cloud.shell(LEFT, &add("after")).good();
    for host in LOST {
        cloud.lab("plug", &[host]).good();
        let _ = cloud.lab("on", &[host]); // its fence device may have done so
    }
    cloud.forget_boots();
    until("the others to be members again", WHOLE, || {
        let said = say(&["apply", "--yes"]);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
    for host in LOST {
        until("a member that knows what came meanwhile", WHOLE, || {
            let said = switches(&cloud, host);
            if said.out.contains("(kept)") && said.out.contains("(after)") {
                Ok(())
            } else {
                Err(said.to_string())
            }
        });
        let aside = cloud.shell(
            host,
            "ls -d /var/lib/quorate/aside/ovn-nb-* /var/lib/quorate/aside/ovn-sb-*",
        );
        tell(&aside.good().out);
    }
    let status = say(&["status"]);
    assert!(!status.all().contains("OVN's"), "{status}");
    silent(&cloud, &say);
}

/// A member that stands still is told, with the cure.
fn silent(cloud: &Cloud, say: &dyn Fn(&[&str]) -> Said) {
    let leads = "ovs-appctl -t /run/ovn/ovnnb_db.ctl cluster/status OVN_Northbound | grep -q 'Role: leader'";
    let other = ["c1", "c2", "c3"]
        .into_iter()
        .find(|host| !cloud.shell(host, leads).ok())
        .unwrap();
    let signal = |name: &str| {
        format!(
            "for p in $(pgrep -x ovsdb-server); do ! grep -q ovnnb_db.db /proc/$p/cmdline || kill -{name} $p; done"
        )
    };
    cloud.shell(other, &signal("STOP")).good();
    until("the silent member to be told", Duration::from_mins(2), || {
        let said = say(&["status"]);
        if said.all().contains("is not heard") && said.all().contains("quorate-ovn-nb.service") {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
    cloud.shell(other, &signal("CONT")).good();
}
