//! A service comes to a cloud that runs, and leaves it again.

use std::time::Duration;

use crate::caches;
use crate::cloud::{Cloud, HOSTS};
use crate::said::tell;

/// The resource classes, asked for with a token: it takes the balancer, the
/// service, its database and the identity service to answer.
const ASK: &str = r#". /root/openrc
token=$(openstack token issue -f value -c id)
python3 - "$token" "$1" <<END
import ssl, sys, urllib.request
trust = ssl.create_default_context(cafile="/etc/keystone/tls/ca.pem")
request = urllib.request.Request(f"https://{sys.argv[2]}/resource_classes", headers={
    "X-Auth-Token": sys.argv[1], "OpenStack-API-Version": "placement 1.30"})
print(urllib.request.urlopen(request, context=trust).read().decode())
END"#;

#[test]
#[ignore = "lab"]
fn long_a_service_comes_and_leaves() {
    let cloud = Cloud::new("services", 61);
    // With its packages on the hosts, which have no network outside.
    cloud.describe_services("[keystone, placement]", "");
    cloud.up();
    cloud.describe("");
    cloud.apply();
    cloud.describe_services("[keystone, placement]", "");
    cloud.apply();
    cloud.until_redundant(Duration::from_mins(1));
    let url = cloud.url("placement", 8778);
    let said = cloud.lab("shell", &["c1", "sh", "-c", ASK, "sh", &url]).good();
    assert!(said.out.contains("MEMORY_MB"), "{said}");
    let again = cloud.apply();
    assert!(again.out.contains("0 changes"), "{again}");
    caches::withdrawn_from(&cloud, 8778, "/resource_providers");

    cloud.describe("");
    let said = cloud.apply();
    tell(&said.out);
    let plan = cloud.say(&["plan"]).good();
    assert!(plan.out.contains("nothing to do"), "{plan}");
    for host in HOSTS {
        let left = cloud
            .shell(
                host,
                "ls /etc/placement /etc/systemd/system; ss -ltn; crm_resource -l",
            )
            .good();
        for gone in ["placement.conf", "quorate-placement", ":8778", "vip-placement"] {
            assert!(!left.out.contains(gone), "{host} has {gone}: {left}");
        }
    }
    let rest = cloud
        .shell(
            "c1",
            ". /root/openrc; openstack endpoint list; openstack user list; mariadb -e 'SHOW DATABASES'",
        )
        .good();
    // Of all that has its name, the database stays.
    assert_eq!(rest.out.matches("placement").count(), 1, "{rest}");
    cloud.down();
}
