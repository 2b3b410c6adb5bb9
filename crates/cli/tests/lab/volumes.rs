//! Stacks, volumes and the dashboard on a cloud whose hosts are cut in turn: each
//! time all three work again by themselves, and who had logged in stays so.
//!
//! The kernel of a lab host has neither NFS nor device-mapper nor iSCSI targets.
//! So a lab's share is a folder that all its hosts have: drivers mount, use and unmount
//! it as they do theirs. That the one instance moves and works is shown, not what a
//! server of files does.

use std::time::Duration;

use crate::cloud::Cloud;
use crate::said::{tell, until};

const SERVICES: &str = "[keystone, cinder, heat, horizon]";
const SETTINGS: &str = "settings: { cinder: { backend: nfs, nfs-host: 198.18.0.5, nfs-path: /volumes } }\n";
/// From a cut until everything works: fencing, the one instance's start, and work
/// that another engine takes up.
const WORKS: Duration = Duration::from_mins(3);
/// Until the host that was cut is a member again.
const WHOLE: Duration = Duration::from_mins(4);

/// Made, grown by a signal, which takes a user in the stacks' domain and the owner's
/// trust, and deleted. Not by its signed address at the second API: Keystone 27 answers
/// 401 to Heat 24.0.0, which asks it about the signature as nobody.
const STACK: &str = r#"set -e; . /root/openrc
cat > /tmp/stack.yaml <<END
heat_template_version: 2021-04-16
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties: { min_size: 1, max_size: 3, resource: { type: OS::Heat::RandomString } }
  more:
    type: OS::Heat::ScalingPolicy
    properties: { adjustment_type: change_in_capacity, scaling_adjustment: 1, auto_scaling_group_id: { get_resource: group } }
outputs:
  size: { value: { get_attr: [group, current_size] } }
END
openstack stack show -f value -c id "$1" > /dev/null 2>&1 && openstack stack delete --yes --wait "$1"
openstack stack create --wait -t /tmp/stack.yaml "$1" > /dev/null
openstack stack resource signal "$1" more
for _ in $(seq 60); do
    size=$(openstack stack output show -f value -c output_value "$1" size)
    [ "$size" = 2 ] && break
    sleep 1
done
[ "$size" = 2 ]
openstack stack delete --yes --wait "$1""#;

/// Made in the back end, and deleted from it.
const VOLUME: &str = r#"set -e; . /root/openrc
openstack volume type create --property volume_backend_name=nfs "$1" > /dev/null
# The other client wants an image service to be there.
id=$(cinder create --volume-type "$1" --name "$1" 1 | awk '$2 == "id" { print $4 }')
state=
for _ in $(seq 90); do
    state=$(openstack volume show -f value -c status "$id")
    case $state in available | error) break ;; esac
    sleep 1
done
openstack volume delete "$id"
for _ in $(seq 90); do
    openstack volume show "$id" > /dev/null 2>&1 || break
    sleep 1
done
openstack volume type delete "$1"
[ "$state" = available ]"#;

/// Logs in as a browser does and prints the session, or opens a page with one.
const PAGE: &str = r#"python3 - "$@" <<'END'
import http.cookiejar, re, ssl, sys, urllib.error, urllib.parse, urllib.request
site, session = sys.argv[1], sys.argv[2:]
jar = http.cookiejar.CookieJar()
trust = ssl.create_default_context(cafile="/etc/openstack-dashboard/tls/ca.pem")
browser = urllib.request.build_opener(
    urllib.request.HTTPCookieProcessor(jar), urllib.request.HTTPSHandler(context=trust))
def get(path, form=None, **headers):
    data = urllib.parse.urlencode(form).encode() if form else None
    with browser.open(urllib.request.Request(f"https://{site}{path}", data, headers)) as answer:
        return answer.geturl(), answer.read().decode()
if session:
    browser.addheaders = [("Cookie", f"sessionid={session[0]}")]
else:
    password = next(l.split("=", 1)[1].strip() for l in open("/root/openrc") if "OS_PASSWORD" in l)
    _, page = get("/auth/login/")
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    form |= {"username": "admin", "password": password}
    try:
        get("/auth/login/", form, Referer=f"https://{site}/auth/login/")
    except urllib.error.HTTPError as error:
        # The first page of a project is for those who have instances.
        assert error.code == 403, error
url, page = get("/identity/users/")
assert "/auth/login" not in url and "heat" in page, url
print(next((c.value for c in jar if c.name == "sessionid"), "still logged in"))
END"#;

#[test]
#[ignore = "lab"]
fn long_stacks_volumes_and_sessions_outlive_hosts() {
    let cloud = Cloud::new("st-volumes", 56);
    cloud.describe_services(SERVICES, SETTINGS);
    cloud.up();
    cloud.apply();
    let site = cloud.vip("horizon");
    let session = cloud
        .lab("shell", &["c1", "sh", "-c", PAGE, "sh", &site])
        .good()
        .out;
    for architecture in ["full", "core"] {
        cloud.describe_services(SERVICES, &format!("architecture: {architecture}\n{SETTINGS}"));
        cloud.apply();
        cloud.until_redundant(WHOLE);
        let again = cloud.apply();
        assert!(again.out.contains(": 0 changes in "), "{again}");
        works(&cloud, "c1", session.trim());
        for (host, other) in [("c1", "c2"), ("c2", "c3"), ("c3", "c1")] {
            cloud.forget_boots();
            cloud.lab("cut", &[host]).good();
            works(&cloud, other, session.trim());
            tell(&format!("{architecture}: {host} was cut, and all works"));
            cloud.until_redundant(WHOLE);
        }
    }
    cloud.down();
}

fn works(cloud: &Cloud, host: &str, session: &str) {
    let site = cloud.vip("horizon");
    for (what, script, word) in [("a stack", STACK, "story"), ("a volume", VOLUME, "story")] {
        until(what, WORKS, || {
            let said = cloud.lab("shell", &[host, "sh", "-c", script, "sh", word]);
            if said.ok() { Ok(()) } else { Err(said.to_string()) }
        });
    }
    until("the session", WORKS, || {
        let said = cloud.lab("shell", &[host, "sh", "-c", PAGE, "sh", &site, session]);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
}
