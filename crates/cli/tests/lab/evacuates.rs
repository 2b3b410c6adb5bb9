//! VMs come up elsewhere when their host loses its power, exactly once, and the host comes back
//! clean; a host is emptied of its VMs, has its fence device proved by a real cut, and is filled
//! again. `QUORATE_ROUNDS` says how many hosts lose their power, one after the other.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cloud::Cloud;
use crate::said::{Said, run, tell, until};

const COMPUTES: [&str; 3] = ["n1", "n2", "n3"];
/// From a cut until the VM answers, on a machine that does the work of six hosts.
const ELSEWHERE: Duration = Duration::from_mins(3);
/// From a cut until the host takes VMs again.
const BACK: Duration = Duration::from_mins(5);

/// Three controllers and three hosts that run VMs, each in two networks.
fn describe(cloud: &Cloud) {
    let hosts = [("c1", 11), ("c2", 12), ("c3", 13), ("n1", 21), ("n2", 22), ("n3", 23)].map(|(host, last)| {
        let role = if host.starts_with('n') { "compute" } else { "controller" };
        format!(
            "  {host}: {{ role: {role}, address: 198.18.67.{last}, addresses: {{ provider: 198.18.68.{last} }} }}\n"
        )
    });
    let text = format!(
        "cloud: {}\nrelease: \"2025.1\"\nhosts:\n{}networks:\n  management: {{ cidr: 198.18.67.0/24 }}\n  \
         provider: {{ cidr: 198.18.68.0/24, use: tunnel }}\nvips: {{ pool: 198.18.67.100-198.18.67.119 }}\n\
         services: [keystone, placement, swift, glance, nova, neutron, evac]\ncures: [rpc-reply-poll, ovn-hash-ring]\n\
         settings:\n  ovn: {{ datapath: netdev, provider-nic: eth1 }}\n  \
         nova: {{ instances: shared, instances-device: \"198.18.67.5:/instances\" }}\n",
        cloud.name,
        hosts.concat()
    );
    fs_err::write(cloud.file(), text).unwrap();
}

/// The program with the cloud file as an option.
fn say(cloud: &Cloud, words: &[&str]) -> Said {
    let file = cloud.file();
    let words = [words, &["--file", file.to_str().unwrap()]].concat();
    run(crate::said::program(), &words)
}

/// Gives a controller a file.
fn give(cloud: &Cloud, from: &std::path::Path, to: &str) {
    let config = cloud.state().join("ssh_config");
    let file = fs_err::File::open(from).unwrap();
    let ended = Command::new("ssh")
        .args(["-q", "-F", config.as_str(), "c1", &format!("cat > {to}")])
        .stdin(Stdio::from(file.into_file()))
        .status();
    assert!(ended.unwrap().success(), "{to} was not written");
}

/// Images, networks and two VMs; the last line is the address of the first.
const MADE: &str = ". /root/openrc; set -e
kernel=$(openstack image create kernel --container-format aki --disk-format aki --public --file /root/kernel -f value -c id)
initrd=$(openstack image create initrd --container-format ari --disk-format ari --public --file /root/initrd -f value -c id)
openstack image create guest --container-format bare --disk-format raw --public --property kernel_id=$kernel \
    --property ramdisk_id=$initrd --property os_command_line='console=ttyS0 quiet' --file /root/disk
openstack flavor create tiny --ram 96 --vcpus 1 --disk 1
openstack network create inside
openstack subnet create --network inside --subnet-range 10.9.0.0/24 inside
openstack network create outside --external --provider-network-type flat --provider-physical-network physnet1
openstack subnet create --network outside --subnet-range 198.18.68.0/24 --gateway 198.18.68.1 --no-dhcp \
    --allocation-pool start=198.18.68.200,end=198.18.68.230 outside
openstack router create way
openstack router set --external-gateway outside way
openstack router add subnet way inside
openstack server create --image guest --flavor tiny --network inside --wait v1
openstack server create --image guest --flavor tiny --network inside --wait v2
for group in $(openstack security group list -f value -c ID); do
    openstack security group rule create --protocol icmp $group || true
done
address=$(openstack floating ip create outside -f value -c floating_ip_address)
openstack server add floating ip v1 $address
echo $address";

/// The host that Nova has a VM on, if it runs.
fn host_of(cloud: &Cloud, vm: &str) -> Result<String, String> {
    let ask = format!(
        ". /root/openrc; openstack server show {vm} -f value -c OS-EXT-SRV-ATTR:host -c status | tr '\\n' ' '"
    );
    let said = cloud.shell("c1", &ask);
    match said.out.split_whitespace().collect::<Vec<_>>()[..] {
        [host, "ACTIVE"] => Ok(host.to_owned()),
        _ => Err(said.to_string()),
    }
}

/// Waits until a VM answers at its address.
fn until_answers(cloud: &Cloud, address: &str, limit: Duration) {
    until(&format!("{address} to answer"), limit, || {
        let said = cloud.shell("c3", &format!("ping -c 1 -W 1 {address}"));
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
}

/// Guests that run, over all hosts.
fn guests(cloud: &Cloud) -> usize {
    let list = |host: &&str| cloud.shell(host, "virsh list --name | grep -c .").out;
    COMPUTES
        .iter()
        .map(|host| list(host).trim().parse::<usize>().unwrap_or_default())
        .sum()
}

/// Waits until the engine has ended all that it began, and all hosts take VMs.
fn until_whole(cloud: &Cloud, limit: Duration) {
    until("all hosts to take VMs", limit, || {
        let history = say(cloud, &["evac", "history"]).good().out;
        let ask = ". /root/openrc; openstack compute service list --service nova-compute -f value -c Status -c State";
        let services = cloud.shell("c1", ask);
        let up = services.out.lines().filter(|line| *line == "enabled up").count();
        if up == COMPUTES.len() && !history.contains("goes on") {
            Ok(())
        } else {
            Err(format!("{history}\n{services}"))
        }
    });
}

/// A host is emptied, its device cuts its power and gives it back, and it takes VMs again.
fn emptied(cloud: &Cloud) {
    let host = host_of(cloud, "v1").unwrap();
    let said = say(cloud, &["host", "drain", &host, "--yes"]).good();
    tell(&format!("{host} drained in {:.1} s", said.took.as_secs_f64()));
    assert_eq!(
        cloud.shell(&host, "virsh list --name | grep -c .").out.trim(),
        "0"
    );
    say(cloud, &["evac", "prove", &host, "--off"]).good();
    let said = say(cloud, &["host", "resume", &host, "--yes"]).good();
    tell(&format!("{host} resumed in {:.1} s", said.took.as_secs_f64()));
    until_whole(cloud, BACK);
}

/// The host of `v1` loses its power.
fn lost(cloud: &Cloud, round: usize, address: &str) {
    let host = until("v1 to run", BACK, || host_of(cloud, "v1"));
    until_answers(cloud, address, ELSEWHERE);
    let begin = Instant::now();
    cloud.lab("cut", &[&host]).good();
    until_answers(cloud, address, ELSEWHERE);
    let gap = begin.elapsed();
    let to = until("v1 to be elsewhere", ELSEWHERE, || host_of(cloud, "v1"));
    assert_ne!(to, host, "it runs where no power is");
    until_whole(cloud, BACK);
    let back = begin.elapsed();
    assert_eq!(guests(cloud), 2, "each VM runs exactly once");
    let history = say(cloud, &["evac", "history", "--last", "1"]).good().out;
    let number = history.split_whitespace().next().unwrap().to_owned();
    let steps = say(cloud, &["evac", "show", &number]).good().out;
    tell(&format!(
        "round {round}: {host} lost, v1 on {to} answers after {:.1} s, {host} is back after {:.1} s\n{steps}",
        gap.as_secs_f64(),
        back.as_secs_f64()
    ));
}

#[test]
#[ignore = "lab"]
fn long_vms_come_up_elsewhere() {
    let rounds: usize = std::env::var("QUORATE_ROUNDS").map_or(3, |n| n.parse().unwrap());
    let cloud = Cloud::new("st-evac", 67);
    describe(&cloud);
    cloud.up();
    cloud.apply();
    for host in COMPUTES {
        say(&cloud, &["evac", "prove", host]).good();
    }
    let folder = tempfile::tempdir().unwrap();
    let make = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/guest/make.sh");
    let guest = Command::new("sh").arg(make).arg(folder.path()).status();
    assert!(guest.unwrap().success(), "no guest was made");
    for file in ["kernel", "initrd", "disk"] {
        give(&cloud, &folder.path().join(file), &format!("/root/{file}"));
    }
    let vms = cloud.shell("c1", MADE).good().out;
    let address = vms.lines().last().unwrap().to_owned();
    until_answers(&cloud, &address, ELSEWHERE);
    let audit = say(&cloud, &["evac", "audit"]).good().out;
    assert!(audit.contains("2 of 2 VMs are protected"), "{audit}");
    emptied(&cloud);
    for round in 1..=rounds {
        lost(&cloud, round, &address);
    }
    let said = say(&cloud, &["evac", "rehearse"]).good().out;
    assert!(said.contains("there is nothing to do"), "{said}");
}
