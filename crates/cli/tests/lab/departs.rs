//! Hosts come to a cloud that runs VMs, leave it, and return with an empty disk: services know
//! those that are there and no others, and who asks for a VM right after `apply` gets one.

use std::time::Duration;

use crate::cloud::Cloud;
use crate::said::{Said, tell, until};

const WHOLE: Duration = Duration::from_mins(4);

/// Hosts with their roles and the ends of their addresses.
const ALL: [(&str, &str, u8); 7] = [
    ("c1", "controller", 11),
    ("c2", "controller", 12),
    ("c3", "controller", 13),
    ("c4", "api", 14),
    ("c5", "balancer", 15),
    ("n1", "compute", 21),
    ("n2", "compute", 22),
];

/// The cloud with these of the hosts.
fn describe(cloud: &Cloud, names: &[&str]) {
    let lines = (ALL.iter())
        .filter(|(name, ..)| names.contains(name))
        .map(|(name, role, last)| {
            format!(
                "  {name}: {{ role: {role}, address: 198.18.84.{last}, addresses: {{ provider: 198.18.85.{last} }} }}\n"
            )
        });
    let hosts: String = lines.collect::<Vec<_>>().concat();
    let text = format!(
        "cloud: {}\nrelease: \"2025.1\"\nhosts:\n{hosts}networks:\n  management: {{ cidr: 198.18.84.0/24 }}\n  \
         provider: {{ cidr: 198.18.85.0/24, use: tunnel }}\nvips: {{ pool: 198.18.84.100-198.18.84.119 }}\n\
         services: [keystone, placement, nova, neutron, cinder]\ncures: [rpc-reply-poll]\nsettings:\n  \
         ovn: {{ datapath: netdev, provider-nic: eth1 }}\n  \
         cinder: {{ backend: nfs, nfs-host: 198.18.84.5, nfs-path: /volumes }}\n",
        cloud.name
    );
    fs_err::write(cloud.file(), text).unwrap();
}

/// Makes what a VM is made of, before there is a host for it. Nova asks for the address of
/// images also where a VM has none.
const BEFORE: &str = ". /root/openrc; set -e
openstack service create --name glance image
for interface in public internal admin; do
    openstack endpoint create --region RegionOne image $interface https://198.18.84.99:9292
done
openstack flavor create --ram 64 --vcpus 1 --disk 0 story
openstack network create story
openstack subnet create --network story --subnet-range 10.9.0.0/24 story";

/// `disk - NAME` makes a disk to boot from; `vm HOST DISK` a VM, whose state is printed at the end.
const ASK: &str = r#". /root/openrc; exec python3 - "$@" <<'END'
import json, os, ssl, subprocess, sys, time, urllib.error, urllib.request

def openstack(*words):
    return json.loads(subprocess.check_output(["openstack", *words, "-f", "json"]))

verb, host, disk = sys.argv[1:]
token = openstack("token", "issue")["id"]
trust = ssl.create_default_context(cafile=os.environ["OS_CACERT"])
addresses = {
    s["Name"]: e["url"] for s in openstack("catalog", "list") for e in s["Endpoints"] if e["interface"] == "public"
}

def ask(service, method, path, body=None):
    version = "compute 2.79" if service == "nova" else "volume 3.60"
    headers = {"X-Auth-Token": token, "Content-Type": "application/json", "OpenStack-API-Version": version}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(addresses[service] + path, data, headers, method=method)
    try:
        text = urllib.request.urlopen(request, context=trust).read()
    except urllib.error.HTTPError as refused:
        sys.exit(f"{method} {path}: {refused.code} {refused.read().decode()}")
    return json.loads(text) if text else {}

def until(service, path, what, wanted):
    for _ in range(240):
        seen = ask(service, "GET", path)[what]
        if seen["status"] in (wanted, "ERROR", "error"):
            break
        time.sleep(0.5)
    return seen

def named(service, path, what, name):
    return next(one["id"] for one in ask(service, "GET", path)[what] if one["name"] == name)

if verb == "disk":
    volume = ask("cinder", "POST", "/volumes", {"volume": {"name": disk, "size": 1}})["volume"]["id"]
    until("cinder", f"/volumes/{volume}", "volume", "available")
    ask("cinder", "POST", f"/volumes/{volume}/action", {"os-set_bootable": {"bootable": True}})
else:
    wanted = {
        "name": f"vm-{host}",
        "host": host,
        "flavorRef": named("nova", "/flavors", "flavors", "story"),
        "networks": [{"uuid": named("neutron", "/v2.0/networks", "networks", "story")}],
        "block_device_mapping_v2": [{
            "uuid": named("cinder", "/volumes", "volumes", disk),
            "source_type": "volume", "destination_type": "volume", "boot_index": 0,
        }],
    }
    server = ask("nova", "POST", "/servers", {"server": wanted})["server"]["id"]
    seen = until("nova", f"/servers/{server}", "server", "ACTIVE")
    print(seen["status"], seen.get("fault", {}).get("message", ""))
END"#;

fn ask(cloud: &Cloud, words: [&str; 3]) -> Said {
    let words = [&["c1", "sh", "-c", ASK, "sh"], &words[..]].concat();
    cloud.lab("shell", &words).good()
}

/// A VM on a host, asked for at once.
fn boots(cloud: &Cloud, host: &str, disk: &str) {
    let said = ask(cloud, ["vm", host, disk]);
    tell(&format!(
        "a VM on {host} ({:.1} s): {said}",
        said.took.as_secs_f64()
    ));
    assert_eq!(said.out.trim(), "ACTIVE", "{said}");
}

/// All records of hosts that services keep, a line each.
const RECORDS: &str = ". /root/openrc
openstack compute service list -f value -c Binary -c Host
openstack hypervisor list -f value -c 'Hypervisor Hostname' | sed 's/^/hypervisor /'
openstack network agent list -f value -c 'Agent Type' -c Host
openstack volume service list -f value -c Binary -c Host
mariadb -N -e \"SELECT 'provider', name FROM placement.resource_providers; SELECT 'mapped', host FROM nova_api.host_mappings\"
ovn-sbctl --no-leader-only --format=csv --no-headings --columns=hostname list chassis | sed 's/^/chassis /'";

/// Records that are kept. Nova leaves a cell whose database fails at that moment out of its
/// list, so they are read until they are as they are to be.
fn until_recorded(cloud: &Cloud, all: &str) {
    until("all records to be there", Duration::from_mins(1), || {
        let now = recorded(cloud);
        if now == all { Ok(()) } else { Err(now) }
    });
}

/// Hosts by which a kind of record is kept.
fn recorded(cloud: &Cloud) -> String {
    let said = cloud.shell("c1", RECORDS).good();
    let mut lines: Vec<&str> = said.out.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
#[ignore = "lab"]
fn long_services_forget_hosts_that_left() {
    let cloud = Cloud::new("st-departs", 84);
    let controllers = ["c1", "c2", "c3", "c4", "c5"];
    describe(&cloud, &ALL.map(|(name, ..)| name));
    cloud.up();
    describe(&cloud, &controllers);
    cloud.apply();
    cloud.shell("c1", BEFORE).good();
    for disk in ["disk1", "disk2"] {
        ask(&cloud, ["disk", "-", disk]);
    }
    describe(&cloud, &ALL.map(|(name, ..)| name));
    cloud.apply();
    boots(&cloud, "n2", "disk1");
    let all = recorded(&cloud);
    tell(&all);
    for record in [
        "nova-compute n2",
        "nova-conductor c4",
        "cinder-scheduler c4",
        "chassis n2",
    ] {
        assert!(all.contains(record), "no {record} in {all}");
    }

    // With a VM on it a host is kept, whatever became of it; and nothing else is done.
    let stay = ["c1", "c2", "c3", "n1"];
    describe(&cloud, &stay);
    let said = cloud.say(&["apply", "--yes"]);
    tell(&said.err);
    let why = "n2 is not in the cloud file, and nova has 1 VMs on it";
    assert!(
        !said.ok() && said.err.contains(why) && said.err.contains("host::in-use"),
        "{said}"
    );
    cloud
        .shell("n2", "systemctl is-active quorate-nova-compute")
        .good();
    until_recorded(&cloud, &all);

    let away = ". /root/openrc; openstack server delete --wait vm-n2; sync";
    cloud.shell("c1", away).good();
    // Lost for good: by itself nothing of it goes.
    cloud.lab("cut", &["n2"]).good();
    tell(&cloud.apply().err);
    // Of the others everything stands.
    let keeps = |line: &&str| !line.split_whitespace().any(|w| ["n2", "c4", "c5"].contains(&w));
    let left: Vec<&str> = all.lines().filter(keeps).collect();
    assert!(left.len() < all.lines().count());
    until_recorded(&cloud, &left.join("\n"));
    let plan = cloud.say(&["plan"]).good();
    assert!(plan.out.contains("nothing to do"), "{plan}");

    empty_disk(&cloud);
    compared(&cloud);
    cloud.down();
}

/// A host that has lost its disk is the one that it was.
fn empty_disk(cloud: &Cloud) {
    let id = "cat /var/lib/nova/compute_id";
    let before = cloud.shell("n1", id).good().out;
    cloud.lab("blank", &["n1"]).good();
    cloud.up();
    tell(&cloud.apply().err);
    until("n1 to be up", WHOLE, || {
        let ask =
            ". /root/openrc; openstack compute service list --service nova-compute -f value -c Host -c State";
        let said = cloud.shell("c1", ask);
        if said.out.contains("n1 up") {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
    assert_eq!(cloud.shell("n1", id).good().out, before);
    boots(cloud, "n1", "disk2");
}

/// Networks that OVN's database lacks are told and put back.
fn compared(cloud: &Cloud) {
    let nbctl = |words: &str| {
        let members = ["c1", "c2", "c3"].map(|host| format!("ssl:{}:6641", cloud.address(host)));
        let ask = format!(
            "ovn-nbctl --db={} -p /etc/ovn/tls/key.pem -c /etc/ovn/tls/cert.pem -C /etc/ovn/tls/ca.pem {words}",
            members.join(",")
        );
        cloud.shell("c1", &ask).good().out
    };
    let create = ". /root/openrc; openstack network create -f value -c id lost";
    let made = cloud.shell("c1", create).good();
    let id = made.out.trim();
    nbctl(&format!("ls-del neutron-{id}"));
    let log = || cloud.shell("c1", "/usr/lib/quorate/neutron-sync log 2>&1").good();
    let said = log();
    tell(&said.out);
    assert!(said.out.contains(id), "{said}");
    assert!(!nbctl("ls-list").contains(id));
    cloud.shell("c1", "/usr/lib/quorate/neutron-sync repair").good();
    assert!(nbctl("ls-list").contains(id));
    let said = log();
    assert!(!said.out.contains(id), "{said}");
}
