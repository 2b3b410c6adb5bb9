//! What an operator changes on a cloud that serves: an address comes home after
//! a failover, and Corosync runs with what its file says.

use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Writers};

/// Small, so that the story waits seconds where a cloud waits minutes; a broker
/// takes some fifteen from its start to its peers, and counts from its start.
const HOME_AFTER: &str = "timeouts: { home-after: 30 }\n";
const LIVENESS: Duration = Duration::from_mins(1);
const WHOLE: Duration = Duration::from_mins(4);
/// Both keys that the profile sets, and what the links' timers were made of.
const RUNNING: &str =
    "corosync-cmapctl runtime.config.totem | grep -E '\\.(token|consensus|knet_ping_timeout) '";
/// A membership that was formed anew has another ring.
const RING: &str =
    "corosync-quorumtool -s | grep 'Ring ID'; crm_mon -1 --output-as=xml | grep -c 'online=\"true\"'";

#[test]
#[ignore = "lab"]
fn long_moves_and_reloads() {
    let cloud = Cloud::new("st-moves", 25);
    cloud.describe(HOME_AFTER);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    identified(&cloud);
    comes_home(&cloud);
    reloaded(&cloud);
}

/// Each host knows what it is, all of the same generation.
fn identified(cloud: &Cloud) {
    let read = |host: &str| {
        let said = cloud.shell(host, "cat /var/lib/quorate/model.json").good();
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap()
    };
    let first = read(HOSTS[0]);
    for host in HOSTS {
        let found = read(host);
        assert_eq!(found["host"], host);
        assert_eq!(found["generation"], first["generation"]);
        assert_eq!(found["cloud"]["name"], cloud.name.as_str());
    }
}

/// Who has the address of the API, and who should.
fn places(cloud: &Cloud) -> (String, String) {
    let status = cloud.status().unwrap();
    let vip = status["vips"]
        .as_array()
        .unwrap()
        .iter()
        .find(|v| v["service"] == "keystone");
    let word = |key: &str| vip.unwrap()[key].as_str().unwrap_or_default().to_owned();
    (word("host"), word("home"))
}

fn comes_home(cloud: &Cloud) {
    let (host, home) = places(cloud);
    assert_eq!(host, home);
    cloud.lab("cut", &[&home]).good();
    until("the address elsewhere", LIVENESS, || {
        let (host, _) = places(cloud);
        if host.is_empty() || host == home {
            Err(host)
        } else {
            Ok(())
        }
    });
    // Every verdict but `redundant` says what is next, and so does a refusal.
    let status = cloud.status().unwrap();
    assert_ne!(status["next"], "", "{status:#}");
    let refused = cloud.say(&["plan"]);
    if refused.all().contains("host::unreachable") {
        assert!(refused.all().contains("switch it on"), "{refused}");
    }
    cloud.until_redundant(WHOLE);
    let probes: Vec<_> = writers::all(cloud)
        .into_iter()
        .filter(|p| p.name == "get" || p.name == "token")
        .collect();
    let writers = Writers::start(probes);
    // It stays where it is, which is no change, and is told.
    let early = cloud.say(&["apply", "--yes"]).good();
    let (host, _) = places(cloud);
    if early.out.contains(": 0 changes in ") {
        assert!(early.err.contains("away from home"), "{early}");
        assert_ne!(host, home, "{early}");
        let status = cloud.say(&["status"]).good();
        assert!(status.out.contains(&format!("(away from {home})")), "{status}");
    } else {
        // A machine so slow that the time was over; the next look tells the same.
        tell("the time was over before the first apply");
    }
    if host != home {
        until("a plan to move it home", LIVENESS, || {
            let plan = cloud.say(&["plan"]);
            let wanted = format!("move the address of keystone home from {host} to {home}");
            if plan.out.contains(&wanted) {
                Ok(())
            } else {
                Err(plan.to_string())
            }
        });
        writers.mark("apply");
        cloud.apply();
    }
    writers.mark("at home");
    writers.until_good(LIVENESS);
    let seen = writers.stop();
    let gap = seen.longest("get");
    tell(&format!(
        "coming home: longest time without a good answer {} ms",
        gap.as_millis()
    ));
    assert!(gap < LIVENESS, "{}", seen.report);
    assert_eq!(places(cloud), (home.clone(), home));
    // Nothing of the move is left.
    let constraints = cloud.shell("c1", "cibadmin --query --scope constraints").good();
    for left in ["cli-", "lifetime"] {
        assert!(!constraints.out.contains(left), "{constraints}");
    }
    let preferred = constraints.out.lines().filter(|l| l.contains("rsc=\"vip-"));
    for line in preferred.filter(|l| l.contains("rsc_location")) {
        assert!(line.contains("score=\"100\""), "{line}");
    }
    unchanged(cloud);
}

#[track_caller]
fn unchanged(cloud: &Cloud) {
    let again = cloud.say(&["apply", "--yes"]).good();
    assert!(again.out.contains(": 0 changes in "), "{again}");
}

/// What a host says, of all hosts, the same.
#[track_caller]
fn all_say(cloud: &Cloud, script: &str) -> String {
    let said = HOSTS.map(|host| cloud.shell(host, script).good().out);
    assert!(said.iter().all(|s| *s == said[0]), "{said:?}");
    said[0].clone()
}

fn reloaded(cloud: &Cloud) {
    let ring = all_say(cloud, RING);
    let steady = all_say(cloud, RUNNING);
    assert!(steady.contains("totem.token (u32) = 1000"), "{steady}");
    cloud.describe(&format!("profile: fast\n{HOME_AFTER}"));
    cloud.apply();
    let fast = all_say(cloud, RUNNING);
    for line in [
        "totem.token (u32) = 500",
        "totem.consensus (u32) = 600",
        "knet_ping_timeout (u32) = 250",
    ] {
        assert!(fast.contains(line), "{fast}");
    }
    assert_eq!(all_say(cloud, RING), ring, "the membership was lost");
    unchanged(cloud);
    tell("profile fast is loaded on all three, with the membership of before");
    // The file is right, what runs is not: that is seen too.
    let other =
        "sed 's/token: 500/token: 900/; s/consensus: 600/consensus: 1100/' -i /etc/corosync/corosync.conf";
    for host in HOSTS {
        cloud
            .shell(
                host,
                &format!("cp -p /etc/corosync/corosync.conf /run/right && {other}"),
            )
            .good();
    }
    cloud.shell("c2", "corosync-cfgtool -R").good();
    for host in HOSTS {
        cloud
            .shell(host, "cp -p /run/right /etc/corosync/corosync.conf")
            .good();
    }
    let said = cloud.apply();
    assert!(said.err.contains("corosync/reload"), "{said}");
    assert_eq!(all_say(cloud, RUNNING), fast);
    unchanged(cloud);
    // What no link can be timed by is refused before anything is written.
    cloud.describe("settings: { corosync: { token: 300 } }\n");
    let said = cloud.say(&["apply", "--yes"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.err.contains("settings::too-small"), "{said}");
}
