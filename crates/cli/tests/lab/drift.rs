//! Drift made by hand on three hosts, by the tools that operators have: each is
//! listed, nothing else is, and `apply` puts back just that.

use std::collections::BTreeSet;
use std::time::Duration;

use probe::{Kind, Retry};
use serde_json::Value;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Writers};

/// Pacemaker finds out by its monitors, each 10 s.
const NOTICED: Duration = Duration::from_mins(2);

/// One thing done by hand: on which host, and what a plan says of it.
struct Hand {
    host: &'static str,
    script: &'static str,
    /// The step, what is changed, and words of the diff.
    told: &'static [(&'static str, &'static str, &'static str)],
}

/// Says a line to the balancer's socket.
const SOCKET: &str = "say() { python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); \
    s.connect(\"/run/haproxy.sock\"); s.sendall((sys.argv[1]+\"\\n\").encode()); print(s.recv(99).decode())' \"$1\"; };";

/// Deletes an address, with all that speaks of it.
const DELETED: &str = r#"cat > /run/delete.py <<'END'
import subprocess, xml.etree.ElementTree as xml
ask = ["cibadmin", "--query", "--scope", "configuration"]
tree = xml.fromstring(subprocess.check_output(ask))
for parent in list(tree.iter()):
    for child in list(parent):
        keys = ["rsc", "with-rsc", "first", "then"] + ["id"] * (child.tag == "primitive")
        if "vip-galera" in [child.get(k) for k in keys]:
            parent.remove(child)
put = ["cibadmin", "--replace", "--scope", "configuration", "--xml-pipe"]
subprocess.run(put, input=xml.tostring(tree), check=True)
END
python3 /run/delete.py"#;

const HANDS: &[Hand] = &[
    // A key in a configuration file, under an instance that has to be restarted for it.
    Hand {
        host: "c3",
        script: "sed -i 's/^processes *=.*/processes = 7/' /etc/keystone/quorate-uwsgi.ini; \
                 grep -q '= 7' /etc/keystone/quorate-uwsgi.ini",
        told: &[("change/c3", "/etc/keystone/quorate-uwsgi.ini", "-processes = 7")],
    },
    // A file that is shared: a key of ours is put back, a line of the operator's stays.
    Hand {
        host: "c3",
        script: "sed -i 's/^retry_interval *=.*/retry_interval = 7/' /etc/keystone/keystone.conf; \
                 printf '# by hand\n[mine]\ncolour = blue\n' >> /etc/keystone/keystone.conf; \
                 grep -q '= 7' /etc/keystone/keystone.conf",
        told: &[(
            "change/c3",
            "/etc/keystone/keystone.conf",
            "-retry_interval = 7\n+retry_interval = 1\n",
        )],
    },
    // Rights of a service on its database.
    Hand {
        host: "c2",
        script: "mariadb -e \"REVOKE INSERT, DELETE ON keystone.* FROM 'keystone'@'%'\"",
        told: &[(
            "database/keystone",
            "grants of keystone",
            "-without DELETE, INSERT",
        )],
    },
    // An address, with all that speaks of it.
    Hand {
        host: "c1",
        script: DELETED,
        told: &[
            ("cib/services", "cluster resources", "vip-galera"),
            ("cib/services", "cluster constraints", "vip-galera"),
        ],
    },
    // A clone's instance, by a ban that stays.
    Hand {
        host: "c1",
        script: "crm_resource --ban --resource memcached-clone --node c1",
        told: &[(
            "cib/repair",
            "cluster constraints",
            "cli-ban-memcached-clone-on-c1",
        )],
    },
    // A unit stopped behind the cluster, which was told to look away.
    Hand {
        host: "c2",
        script: "crm_resource --resource keystone-api --meta --set-parameter is-managed --parameter-value false; \
                 systemctl stop quorate-keystone.service",
        told: &[("cib/repair", "cluster resources", "is-managed")],
    },
    // An entry of the service catalogue.
    Hand {
        host: "c1",
        script: "mariadb -e \"DELETE FROM keystone.endpoint WHERE interface = 'internal'\"",
        told: &[("script/keystone/bootstrap", "endpoint internal", "+https://")],
    },
    // The balancer: its file, loaded; at its socket; its file loaded and put back.
    Hand {
        host: "c1",
        script: "sed -i 's/timeout connect 500ms/timeout connect 5s/' /etc/haproxy/haproxy.cfg && \
                 systemctl reload haproxy",
        told: &[("reload/c1", "/etc/haproxy/haproxy.cfg", "-    timeout connect 5s")],
    },
    Hand {
        host: "c2",
        script: "say 'set server keystone-api/c1 state maint'; say 'set server galera/c3 weight 7'; sleep 1.1",
        told: &[
            (
                "balancer/c2",
                "balancer: server keystone-api/c1",
                "-in maintenance by hand",
            ),
            ("balancer/c2", "balancer: server galera/c3", "-weight 7"),
        ],
    },
    Hand {
        host: "c3",
        script: "cp -p /etc/haproxy/haproxy.cfg /run/right && sed -i 's/retries 3/retries 0/' /etc/haproxy/haproxy.cfg && \
                 systemctl reload haproxy && sleep 2.1 && cp -p /run/right /etc/haproxy/haproxy.cfg",
        told: &[(
            "balancer/c3",
            "balancer: the running process",
            "-started before its file was written",
        )],
    },
    // Masks: one that must not be, one that must.
    Hand {
        host: "c2",
        script: "systemctl mask corosync.service",
        told: &[("prepare/c2", "unmask and enable corosync.service", "")],
    },
    Hand {
        host: "c3",
        script: "systemctl unmask keystone.service",
        told: &[("prepare/c3", "mask keystone.service", "")],
    },
    // The broker: a user with its permissions, and a policy.
    Hand {
        host: "c2",
        script: "rabbitmqctl delete_user keystone && rabbitmqctl clear_policy quorate-unread",
        told: &[
            ("store/rabbitmq/holds", "rabbitmq: user keystone", "+tags"),
            (
                "store/rabbitmq/holds",
                "rabbitmq: permissions of keystone in /",
                "+configure: .*",
            ),
            (
                "store/rabbitmq/holds",
                "rabbitmq: policy quorate-unread in /",
                "max-length",
            ),
        ],
    },
];

#[test]
#[ignore = "lab"]
fn drift_is_listed_and_repaired() {
    let cloud = Cloud::new("st-drift", 61);
    cloud.describe("shared-files: [/etc/keystone/keystone.conf]\n");
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let before = processes(&cloud);
    for hand in HANDS {
        cloud
            .shell(hand.host, &format!("{SOCKET} {}", hand.script))
            .good();
    }
    tell("drift was made on three hosts");
    listed(&cloud);
    let plan = cloud.say(&["plan"]).good();
    tell(&format!("the plan:\n{}", plan.out));
    let mut get: Vec<_> = writers::all(&cloud)
        .into_iter()
        .filter(|p| p.name == "get")
        .collect();
    if let Kind::Http(http) = &mut get[0].kind {
        http.retry = Retry::Once;
    }
    let writers = Writers::start(get);
    cloud.apply();
    writers.mark("applied");
    let seen = writers.stop();
    let failed = seen.history.of("get").filter(|r| !r.outcome.good()).count();
    assert_eq!(
        failed, 0,
        "requests failed while it was repaired\n{}",
        seen.report
    );
    repaired(&cloud);
    assert_eq!(processes(&cloud), before, "something was restarted in vain");
    cloud.down();
}

#[test]
#[ignore = "lab"]
fn long_an_instance_that_was_given_up_is_started() {
    let cloud = Cloud::new("st-still", 62);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    stands_still(&cloud);
    cloud.down();
}

fn plan(cloud: &Cloud) -> Value {
    let said = cloud.say(&["plan", "--output", "json"]).good();
    serde_json::from_str(&said.out).unwrap()
}

/// Step, what and diff of all changes of a plan.
fn changes(plan: &Value) -> Vec<(String, String, String)> {
    let word = |v: &Value| v.as_str().unwrap().to_owned();
    let steps = plan["steps"].as_array().unwrap().iter();
    steps
        .flat_map(|s| {
            let all = s["changes"].as_array().unwrap().iter();
            all.map(|c| (word(&s["id"]), word(&c["what"]), word(&c["diff"])))
        })
        .collect()
}

#[track_caller]
fn listed(cloud: &Cloud) {
    let plan = plan(cloud);
    let found = changes(&plan);
    let told = || HANDS.iter().flat_map(|h| h.told);
    for (step, what, words) in told() {
        assert!(
            found
                .iter()
                .any(|(s, w, diff)| s == step && w == what && diff.contains(words)),
            "{step}: {what}: {words}\n{plan:#}"
        );
    }
    let wanted: BTreeSet<(&str, &str)> = told().map(|(s, w, _)| (*s, *w)).collect();
    let seen: Vec<(&str, &str)> = found.iter().map(|(s, w, _)| (s.as_str(), w.as_str())).collect();
    assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), wanted, "{plan:#}");
    assert_eq!(seen.len(), wanted.len(), "{plan:#}");
    // What it restarts is what has to be.
    let effects: Vec<&Value> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|s| s["effects"].as_array().unwrap())
        .filter(|e| e["kind"] == "restart")
        .collect();
    assert_eq!(effects.len(), 1, "{plan:#}");
    assert_eq!(
        (&effects[0]["resource"], &effects[0]["host"]),
        (&"keystone-api".into(), &"c3".into())
    );
}

#[track_caller]
fn repaired(cloud: &Cloud) {
    let took = cloud.say(&["plan", "--detailed-exitcode"]).good().took;
    tell(&format!("a plan of nothing takes {:.2} s", took.as_secs_f64()));
    cloud.until_redundant(NOTICED);
    let says = |host: &str, script: &str, part: &str| {
        let said = cloud.shell(host, &format!("{SOCKET} {script}")).good();
        assert!(said.out.contains(part), "{said}");
    };
    says(
        "c3",
        "mariadb -BNe \"SHOW GRANTS FOR 'keystone'@'%'\"",
        "ALL PRIVILEGES ON `keystone`",
    );
    says(
        "c1",
        "mariadb -BNe \"SELECT COUNT(*) FROM keystone.endpoint\"",
        "3",
    );
    says(
        "c1",
        "crm_resource --locate --resource vip-galera",
        "is running on",
    );
    says("c1", "systemctl is-active memcached", "active");
    says("c2", "systemctl is-active quorate-keystone", "active");
    says("c2", "systemctl is-enabled corosync", "enabled");
    says("c3", "systemctl is-enabled keystone.service || true", "masked");
    says(
        "c3",
        "tail -n 3 /etc/keystone/keystone.conf",
        "# by hand\n[mine]\ncolour = blue\n",
    );
    says("c1", "grep 'timeout connect' /etc/haproxy/haproxy.cfg", "500ms");
    says("c3", "rabbitmqctl -q list_permissions", "keystone\t.*\t.*\t.*");
    says("c3", "rabbitmqctl -q list_policies", "quorate-unread");
    tell("everything is as before");
}

/// The processes that none of this is a reason to restart, on all hosts.
fn processes(cloud: &Cloud) -> Vec<String> {
    let script = "ps -o pid=,comm= -C mariadbd,beam.smp,corosync,pacemakerd; systemctl show -p MainPID haproxy.service";
    HOSTS.map(|h| cloud.shell(h, script).good().out).to_vec()
}

/// An instance that the cluster gave up, while its configuration is right.
fn stands_still(cloud: &Cloud) {
    let drop_in = "/run/systemd/system/memcached.service.d";
    let spoil = format!(
        "mkdir -p {drop_in} && printf '[Service]\\nExecStart=\\nType=oneshot\\nExecStart=/bin/false\\n' > {drop_in}/x.conf && \
         systemctl daemon-reload && \
         attrd_updater --name 'fail-count-memcached#monitor_10000' --update 8 --node c2 && systemctl stop memcached"
    );
    cloud.shell("c2", &spoil).good();
    until("the cluster to give up", NOTICED, || {
        let said = cloud.shell("c2", "crm_failcount --query --resource memcached --node c2");
        let count = said.out.split("value=").nth(1).map(str::trim);
        // The threshold of what the cluster runs is 10.
        match count.map(|c| (c == "INFINITY", c.parse::<u32>())) {
            Some((true, _) | (_, Ok(10..))) => Ok(()),
            _ => Err(said.to_string()),
        }
    });
    cloud
        .shell("c2", &format!("rm -r {drop_in} && systemctl daemon-reload"))
        .good();
    // What it still does to the instance comes to an end first.
    let (plan, found) = until("a plan that tells of it", NOTICED, || {
        let plan = plan(cloud);
        let found = changes(&plan);
        if found.is_empty() {
            Err(format!("{plan:#}"))
        } else {
            Ok((plan, found))
        }
    });
    assert_eq!(found.len(), 1, "{plan:#}");
    assert_eq!(
        (found[0].0.as_str(), found[0].1.as_str()),
        ("instance/memcached", "instance memcached on c2")
    );
    assert!(found[0].2.contains("-stopped"), "{plan:#}");
    cloud.apply();
    cloud.shell("c2", "systemctl is-active memcached").good();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    tell("an instance that was given up runs again");
}
