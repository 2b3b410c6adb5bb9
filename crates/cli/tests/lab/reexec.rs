//! systemd re-executes itself, reads its units again, and D-Bus is restarted, as each
//! upgrade of them does it: nothing is restarted for that, and nobody who asks sees it.
//! A unit that really ends is found all the same.

use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::eight;
use crate::said::{tell, until};
use crate::writers::{self, Seen, Writers};

const LIVENESS: Duration = Duration::from_mins(1);
/// Limit from an end until it runs again: the pause for systemd's own restart, the
/// judgement, the report, the decision and the start, on a busy machine.
const AGAIN: Duration = Duration::from_secs(15);
/// Units that the cluster runs on each host with Keystone alone.
const UNITS: [&str; 4] = [
    "haproxy.service",
    "memcached.service",
    "rabbitmq-server.service",
    "quorate-keystone.service",
];
/// The packages below everything, installed again by their maintainers' scripts.
const UPGRADE: &str =
    "DEBIAN_FRONTEND=noninteractive apt-get install --reinstall -y --no-download systemd libc6 < /dev/null";
/// The processes of all services of a host, but those of systemd, of D-Bus and of this look.
const PROCESSES: &str = "systemctl list-units --type=service --state=running --plain --no-legend | cut -d' ' -f1 | \
     grep -vE '^(systemd-|dbus|user@|ssh|getty|console-getty|quorate-.*_[0-9a-f]{8})' | sort | \
     xargs systemctl show --property=Id,ActiveState,MainPID,ActiveEnterTimestampMonotonic";
/// Hosts answer again, on a machine that runs four of them with all services.
const BUSY: Duration = Duration::from_mins(6);
/// The cluster's configuration of a version before the agent of units.
const EARLIER: &str = r#"
import subprocess, xml.etree.ElementTree as xml
def run(*words): return subprocess.run(words, check=True, capture_output=True, text=True).stdout
resources = xml.fromstring(run("cibadmin", "--query", "--scope", "resources"))
for primitive in resources.iter("primitive"):
    if primitive.get("type") != "unit":
        continue
    parameters = primitive.find("instance_attributes")
    unit = parameters[0].get("value")
    primitive.remove(parameters)
    primitive.attrib.pop("provider")
    primitive.set("class", "systemd")
    primitive.set("type", unit.removesuffix(".service"))
run("cibadmin", "--replace", "--scope", "resources", "--xml-text", xml.tostring(resources, encoding="unicode"))
"#;

#[test]
#[ignore = "lab"]
fn long_systemd_is_upgraded() {
    let cloud = Cloud::new("st-reexec", 76);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    nothing_is_restarted(&cloud, 10, UPGRADE);
    ended(&cloud);
    adopted(&cloud);
    nothing_is_restarted(&cloud, 3, "true");
}

#[test]
#[ignore = "lab"]
fn long_systemd_is_upgraded_under_eight_services() {
    let cloud = Cloud::new("st-reexece", 82);
    eight::stands(&cloud, "full", ["198.18.82", "198.18.83"], &[]);
    nothing_is_restarted(&cloud, 10, UPGRADE);
    cloud.until_redundant(BUSY);
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    // A host boots again with the packages installed anew.
    eight::outage(&cloud, &["n1"]);
    cloud.down();
}

/// The processes of what runs on each host, and since when.
fn processes(cloud: &Cloud) -> Vec<String> {
    let all = HOSTS.iter().map(|host| cloud.shell(host, PROCESSES).good().out);
    all.collect()
}

/// Failures that the cluster knows of.
fn failures(cloud: &Cloud) -> String {
    let script = "crm_mon --one-shot --inactive --output-as=xml | grep -E '<failure |fail-count' || true";
    cloud.shell("c1", script).good().out
}

/// Each host in turn: so many re-executions and reloads, a restart of the bus, and one thing
/// more. No process is another one, no monitor failed, and every request was answered.
pub fn nothing_is_restarted(cloud: &Cloud, rounds: usize, more: &str) {
    until("no failure of before", LIVENESS * 3, || {
        let failures = failures(cloud);
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    });
    let before = processes(cloud);
    let probes = writers::all(cloud);
    writers::clean(&probes);
    let writers = Writers::start(probes);
    for host in HOSTS {
        writers.mark(&format!("systemd of {host} is re-executed"));
        let script = format!(
            "for i in $(seq {rounds}); do systemctl daemon-reexec; sleep 0.3; systemctl daemon-reload; \
             sleep 0.3; done; systemctl restart dbus && {more}"
        );
        cloud.shell(host, &script).good();
    }
    // Each monitor that may have met it is over.
    std::thread::sleep(Duration::from_secs(12));
    writers.until_good(LIVENESS);
    let seen = writers.stop();
    unseen(&seen);
    assert_eq!(processes(cloud), before, "something was restarted");
    assert_eq!(failures(cloud), "", "a monitor failed");
    cloud.redundant().unwrap();
    tell(&format!(
        "systemd re-executed {rounds} times on each host restarts nothing"
    ));
}

/// Every request was answered at once, and no write was lost.
#[track_caller]
fn unseen(seen: &Seen) {
    seen.kept();
    for probe in &seen.report.probes {
        let mut bad = seen.history.of(&probe.name).filter(|r| !r.outcome.good());
        assert!(bad.next().is_none(), "{}", seen.report);
    }
}

/// A unit that is killed, or that somebody stops, is found and started again.
fn ended(cloud: &Cloud) {
    for (host, unit) in HOSTS.iter().cycle().zip(UNITS) {
        for verb in ["kill --signal=KILL", "stop"] {
            let state = format!("systemctl show --property=MainPID,ActiveState {unit}");
            let before = cloud.shell(host, &state).good().out;
            cloud.shell(host, &format!("systemctl {verb} {unit}")).good();
            let began = std::time::Instant::now();
            until(&format!("{unit} on {host}"), AGAIN, || {
                let now = cloud.shell(host, &state).good().out;
                if now != before && now.contains("ActiveState=active") {
                    Ok(())
                } else {
                    Err(now)
                }
            });
            let took = began.elapsed().as_secs_f64();
            tell(&format!("{verb} {unit} on {host}: runs again after {took:.1} s"));
        }
    }
    cloud.until_redundant(LIVENESS * 3);
}

/// A cloud of an earlier version, whose cluster runs units by Pacemaker's own class, is
/// taken over in the same processes.
fn adopted(cloud: &Cloud) {
    let file = "cat > /run/earlier.py && python3 /run/earlier.py";
    cloud.shell("c1", &format!("echo '{EARLIER}' | ({file})")).good();
    until("Pacemaker's own class", LIVENESS * 3, || {
        let cib = cloud
            .shell("c1", "crm_mon --one-shot --inactive --output-as=xml")
            .good();
        let old = cib.out.matches("resource_agent=\"systemd:").count();
        let busy = cib.out.contains("ing\" active") || !cib.out.contains("role=\"Started\"");
        if old == UNITS.len() * HOSTS.len() + 1 && !busy {
            Ok(())
        } else {
            Err(cib.out)
        }
    });
    cloud.until_redundant(LIVENESS * 3);
    let before = processes(cloud);
    let probes = writers::all(cloud);
    writers::clean(&probes);
    let writers = Writers::start(probes);
    let said = cloud.apply();
    assert!(said.err.contains("agents/adopt"), "{said}");
    writers.until_good(LIVENESS);
    unseen(&writers.stop());
    assert_eq!(processes(cloud), before, "something was restarted");
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    cloud.until_redundant(LIVENESS);
    tell("the cluster has another agent for what runs, in the same processes");
}
