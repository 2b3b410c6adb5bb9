//! Objects and images while controllers are lost, one after the other: what was
//! taken is given out again by whoever is left, unchanged, and new ones are taken.

use std::time::{Duration, Instant};

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};

/// What a controller that is left must do again by itself after another was cut.
const AGAIN: Duration = Duration::from_mins(1);

/// Where each part of a ring is, by the servers' own reader: nothing twice on a host.
const RINGS: &str = r#"cd /etc/swift && python3 - <<END
from swift.common.ring import Ring
for name in ("account", "container", "object"):
    ring = Ring("/etc/swift", ring_name=name)
    hosts = {tuple(sorted(dev["meta"] for dev in ring.get_part_nodes(part))) for part in range(ring.partition_count)}
    print(name, ring.partition_count, ring.replica_count, sorted(hosts), [dev["id"] for dev in ring.get_part_nodes(7)])
END
sha256sum account.ring.gz container.ring.gz object.ring.gz"#;

/// An image of 64 MiB that nobody can guess, taken in chunks.
const UPLOAD: &str = r". /root/openrc; cd /tmp
head -c 67108864 /dev/urandom > story.raw
openstack image create --disk-format raw --container-format bare -f value -c status first < story.raw
sha256sum < story.raw";

/// The image as the virtual address gives it.
const DOWNLOAD: &str = ". /root/openrc; openstack image save --file /dev/stdout first | sha256sum";

/// Everything that clients do, written, read and deleted.
const WORK: &str = r". /root/openrc; cd /tmp; set -e
head -c 1048576 /dev/urandom > story.part
openstack container create story > /dev/null
openstack object create story story.part > /dev/null
openstack object save --file story.back story story.part
cmp story.part story.back
openstack object delete story story.part
openstack container delete story
openstack image create --disk-format raw --container-format bare -f value -c status second < story.part
openstack image save --file story.back second
cmp story.part story.back
openstack image delete second";

#[test]
#[ignore = "lab"]
fn long_images_outlive_any_controller() {
    let cloud = Cloud::new("st-images", 53);
    cloud.describe_services("[keystone, swift, glance]", "");
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_mins(2));
    let again = cloud.apply();
    assert!(again.out.contains("0 changes"), "{again}");

    let rings = HOSTS.map(|host| cloud.shell(host, RINGS).good().out);
    assert!(
        rings[0].contains("object 4096 3.0 [('c1', 'c2', 'c3')]"),
        "{}",
        rings[0]
    );
    assert_eq!(rings[0], rings[1]);
    assert_eq!(rings[0], rings[2]);

    let said = cloud.shell("c1", UPLOAD).good();
    let sum = said.out.lines().last().unwrap().to_owned();
    for host in HOSTS {
        one_serves(&cloud, host, &sum);
    }
    for (host, other) in [("c1", "c2"), ("c2", "c3"), ("c3", "c1")] {
        without(&cloud, host, other, &sum);
    }
    for host in HOSTS {
        let memory = "awk '/^MemTotal|^MemAvailable/ {print $2}' /proc/meminfo; \
                      cat /sys/fs/cgroup/memory.current /sys/fs/cgroup/memory.stat 2>/dev/null | grep -E '^[0-9]+$|^anon '";
        tell(&format!(
            "{host}: {}",
            cloud.shell(host, memory).out.replace('\n', " ")
        ));
    }
    cloud.down();
}

/// The image by one instance alone: the cluster stops the other two.
fn one_serves(cloud: &Cloud, host: &str, sum: &str) {
    let others: Vec<&str> = HOSTS.into_iter().filter(|h| *h != host).collect();
    for other in &others {
        let ban = format!("crm_resource --ban --resource glance-api-clone --node {other} --lifetime PT10M");
        cloud.shell(host, &ban).good();
    }
    until("one instance alone", Duration::from_mins(1), || {
        let said = cloud.shell(host, "crm_resource --locate --resource glance-api-clone");
        let alone = said.out.matches("running on").count() == 1 && said.out.contains(host);
        if alone { Ok(()) } else { Err(said.to_string()) }
    });
    let said = cloud.shell(host, DOWNLOAD).good();
    assert_eq!(said.out.trim(), sum, "{host} gives another image");
    tell(&format!(
        "{host} alone gave the image in {:.1} s",
        said.took.as_secs_f64()
    ));
    cloud
        .shell(host, "crm_resource --clear --resource glance-api-clone")
        .good();
    cloud.until_redundant(Duration::from_mins(1));
}

/// A power cut; another controller reads, writes and deletes until it can.
fn without(cloud: &Cloud, host: &str, other: &str, sum: &str) {
    cloud.lab("cut", &[host]).good();
    let cut = Instant::now();
    until("the image", AGAIN, || {
        let said = cloud.shell(other, DOWNLOAD);
        if said.out.trim() == sum {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
    let read = cut.elapsed();
    until("everything again", AGAIN, || {
        let said = cloud.shell(other, WORK);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
    tell(&format!(
        "{host} cut: image read after {:.1} s, all done after {:.1} s",
        read.as_secs_f64(),
        cut.elapsed().as_secs_f64()
    ));
    cloud.until_redundant(Duration::from_mins(3));
    let said = cloud.shell(host, DOWNLOAD).good();
    assert_eq!(said.out.trim(), sum, "{host} came back and gives another image");
    cloud.forget_boots();
}
