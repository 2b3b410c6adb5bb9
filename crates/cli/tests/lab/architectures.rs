//! A running cloud is moved from one architecture to the other and back: what
//! changes hands between Pacemaker and systemd keeps running, whoever watches
//! sees nothing, and a run that is killed on the way is taken up.

use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::killed::changed;
use crate::said::{tell, until};
use crate::survives::{all_cut, applied_once, one_cut};
use crate::writers::{self, Seen, Writers};

const CORE: &str = "architecture: core\n";
const FULL: &str = "architecture: full\n";
/// What changes hands: units, and their names in the cluster.
const UNITS: [&str; 2] = ["memcached.service", "quorate-keystone.service"];
const RESOURCES: [&str; 2] = ["memcached", "keystone-api"];
const LOG: &str = "apply.log";
const LIVENESS: Duration = Duration::from_mins(1);
const WHOLE: Duration = Duration::from_mins(4);
/// A run that takes longer hangs.
const ENDS: Duration = Duration::from_mins(3);
/// Steps after which a run is killed, by where it goes.
const KILLED_AFTER: [(&str, [&str; 2]); 2] = [
    (CORE, ["handover/release", "handover/take/c2"]),
    (FULL, ["handover/adopt", "handover/give/c2"]),
];

#[test]
#[ignore = "lab"]
fn long_architectures_change_under_way() {
    let cloud = Cloud::new("st-core", 62);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let began = processes(&cloud);
    let probes = writers::all(&cloud);
    let writers = Writers::start(probes.clone());
    for (words, runs) in [(CORE, "systemd"), (FULL, "Pacemaker")] {
        cloud.describe(words);
        writers.mark(&format!("{runs} takes over"));
        cloud.apply();
        arrived(&cloud, words, &began);
        tell(&format!("{runs} runs what it should, in the same processes"));
    }
    writers.until_good(LIVENESS);
    unseen(&writers.stop());
    writers::clean(&probes);
    // Killed wherever: the end is the same.
    let writers = Writers::start(probes);
    for (words, steps) in KILLED_AFTER {
        cloud.describe(words);
        for step in steps {
            killed_after(&cloud, step);
        }
        until("an apply to the end", ENDS, || {
            let said = cloud.say(&["apply", "--yes"]);
            if said.ok() { Ok(()) } else { Err(said.to_string()) }
        });
        arrived(&cloud, words, &began);
    }
    writers.until_good(LIVENESS);
    unseen(&writers.stop());
}

/// A cloud that was made so: what Pacemaker does not know comes back by itself,
/// and is changed host by host.
#[test]
#[ignore = "lab"]
fn long_core_survives() {
    let cloud = Cloud::new("st-core", 62);
    cloud.describe(CORE);
    cloud.up();
    applied_once(&cloud);
    by_systemd(&cloud);
    one_cut(&cloud, "c2");
    by_systemd(&cloud);
    mended(&cloud);
    rolled(&cloud);
    all_cut(&cloud, writers::all(&cloud), "everything is cut").kept();
    by_systemd(&cloud);
}

/// The processes of what changes hands, on all hosts.
fn processes(cloud: &Cloud) -> Vec<String> {
    let words = UNITS.join(" ");
    let script = format!("systemctl show --property=Id,ActiveState,MainPID {words}");
    HOSTS
        .iter()
        .map(|host| cloud.shell(host, &script).good().out)
        .collect()
}

/// All is as the file says, in the processes of before.
#[track_caller]
fn arrived(cloud: &Cloud, words: &str, began: &[String]) {
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    assert_eq!(processes(cloud), began, "something was restarted");
    cloud.until_redundant(LIVENESS);
    if words == CORE {
        by_systemd(cloud);
    } else {
        by_cluster(cloud);
    }
}

/// How a unit is told to start, by host.
fn told(cloud: &Cloud, unit: &str) -> Vec<String> {
    let script =
        format!("systemctl show --property=UnitFileState,ActiveState,Restart,NeedDaemonReload {unit}");
    let all = HOSTS.iter().map(|host| cloud.shell(host, &script).good().out);
    all.collect()
}

#[track_caller]
fn by_systemd(cloud: &Cloud) {
    for unit in UNITS {
        for now in told(cloud, unit) {
            for word in [
                "ActiveState=active",
                "UnitFileState=enabled",
                "Restart=always",
                "NeedDaemonReload=no",
            ] {
                assert!(now.contains(word), "{unit}: {now}");
            }
        }
    }
    let cib = cloud.shell("c1", "cibadmin --query").good();
    for left in RESOURCES.iter().chain(&["stop-orphan-resources"]) {
        assert!(!cib.out.contains(&format!("\"{left}\"")), "{left}: {cib}");
    }
}

#[track_caller]
fn by_cluster(cloud: &Cloud) {
    for unit in UNITS {
        for now in told(cloud, unit) {
            for word in [
                "ActiveState=active",
                "UnitFileState=static",
                "Restart=no",
                "NeedDaemonReload=no",
            ] {
                assert!(now.contains(word), "{unit}: {now}");
            }
        }
    }
    for resource in RESOURCES {
        let script = format!("crm_resource --locate --resource {resource}");
        let found = cloud.shell("c1", &script).good();
        assert_eq!(found.out.lines().count(), HOSTS.len(), "{found}");
    }
    let cib = cloud.shell("c1", "cibadmin --query --scope configuration").good();
    for left in ["is-managed", "stop-orphan-resources"] {
        assert!(!cib.out.contains(left), "{left}: {cib}");
    }
}

/// Nobody waited for an answer or had to ask twice, and no write was lost.
#[track_caller]
fn unseen(seen: &Seen) {
    seen.kept();
    for probe in &seen.report.probes {
        let mut bad = seen.history.of(&probe.name).filter(|r| !r.outcome.good());
        assert!(bad.next().is_none(), "{}", seen.report);
    }
}

/// Kills `apply` once it has done a step.
fn killed_after(cloud: &Cloud, step: &str) {
    let before = changed(cloud).len();
    let mut apply = cloud.spawn(&["apply", "--yes"], LOG);
    until(step, ENDS, || {
        let mut done = changed(cloud).split_off(before).into_iter();
        if done.any(|(s, _)| s == step) {
            return Ok(());
        }
        // A step in flight on a host outlives its operator, with the lock: then again.
        if let Some(status) = apply.try_wait().unwrap() {
            let log = cloud.log(LOG);
            assert!(log.contains("is being changed by another run"), "{status}: {log}");
            apply = cloud.spawn(&["apply", "--yes"], LOG);
        }
        Err(cloud.log(LOG))
    });
    apply.kill().unwrap();
    apply.wait().unwrap();
    tell(&format!("killed after {step}"));
}

/// systemd starts again what dies, and `apply` what somebody stopped.
fn mended(cloud: &Cloud) {
    cloud
        .shell("c1", "systemctl kill --signal=KILL quorate-keystone.service")
        .good();
    cloud.until_redundant(LIVENESS);
    cloud
        .shell("c3", "systemctl disable --now memcached.service")
        .good();
    let status = cloud.status().unwrap();
    assert_eq!(status["verdict"], "degraded", "{status:#}");
    assert!(
        status["reason"]
            .as_str()
            .unwrap()
            .contains("memcached runs 2 of 3 times"),
        "{status:#}"
    );
    cloud.apply();
    cloud.until_redundant(LIVENESS);
    by_systemd(cloud);
}

/// A changed file restarts the instances host by host, and nobody who asks twice sees it.
fn rolled(cloud: &Cloud) {
    let before = processes(cloud);
    let probes: Vec<_> = writers::all(cloud)
        .into_iter()
        .filter(|p| p.name != "sql")
        .collect();
    let writers = Writers::start(probes);
    cloud.describe(&format!("{CORE}settings: {{ keystone: {{ threads: 5 }} }}\n"));
    writers.mark("threads: 5");
    let said = cloud.apply();
    for host in HOSTS {
        assert!(said.err.contains(&format!("change/{host}")), "{said}");
    }
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    writers.until_good(LIVENESS);
    let after = processes(cloud);
    assert!(before.iter().zip(&after).all(|(b, a)| b != a), "{after:?}");
    unseen(&writers.stop());
    cloud.until_redundant(WHOLE);
}
