//! A cloud of one grows to three and to five, and is three again; then each of the
//! three is lost with its disk, and an empty machine takes its name. Somebody writes all
//! the while: nothing acknowledged is lost, and nobody is longer without an answer than
//! was foretold.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Writers};

/// For a change of members: copies of the databases, on a machine that does all of it.
const CHANGED: Duration = Duration::from_mins(25);
const WHOLE: Duration = Duration::from_mins(3);
/// What a measurement may be beside what was foretold: the clock of the one who asks.
const SLACK: f64 = 0.25;
const LOG: &str = "members.log";

/// A cloud of one stands.
fn alone(name: &str, net: u8) -> Cloud {
    let cloud = Cloud::new(name, net);
    cloud.describe_hosts(&["c1"], "[keystone]", "");
    cloud.up();
    cloud.apply();
    cloud
}

/// The short form: members that nobody was told of before join; how long others wait is not
/// judged on a busy machine.
#[test]
#[ignore = "lab"]
fn one_becomes_three() {
    let cloud = alone("st-three", 36);
    cloud.describe_hosts(&HOSTS, "[keystone]", "");
    cloud.up();
    let writers = watched(&cloud);
    changed(&cloud, &["apply", "--yes"], "3 members");
    counted(&cloud, &HOSTS);
    kept(&cloud, writers, &HOSTS, &Foretold::new());
    cloud.until_redundant(WHOLE);
}

#[test]
#[ignore = "lab"]
fn long_members_come_and_leave() {
    let cloud = alone("st-grows", 70);
    for hosts in [&HOSTS[..], &["c1", "c2", "c3", "c4", "c5"], &HOSTS[..]] {
        cloud.describe_hosts(hosts, "[keystone]", "");
        cloud.up();
        let writers = watched(&cloud);
        let foretold = changed(&cloud, &["apply", "--yes"], &format!("{} members", hosts.len()));
        counted(&cloud, hosts);
        kept(&cloud, writers, hosts, &foretold);
    }
    // Those that left run nothing of it, and could not be members again by themselves.
    for host in ["c4", "c5"] {
        let left =
            "! systemctl is-active --quiet corosync pacemaker && ! test -e /etc/corosync/corosync.conf";
        cloud.shell(host, left).good();
    }
    replaced(&cloud);
}

/// Each of the three in turn.
fn replaced(cloud: &Cloud) {
    let alive = cloud.say(&["host", "replace", "c1", "--yes", "--file"]);
    assert!(!alive.ok() && alive.err.contains("host::not-empty"), "{alive}");
    for host in HOSTS {
        let writers = watched(cloud);
        writers.mark(&format!("{host} is lost"));
        cloud.lab("blank", &[host]).good();
        writers.until_good(WHOLE);
        // The others cut its power, as they know nothing of what stands there now.
        cloud.until_member(host, "offline", WHOLE);
        cloud.up();
        // The loss itself nobody foretold.
        kept(cloud, writers, &[], &Foretold::new());
        let writers = watched(cloud);
        let foretold = changed(
            cloud,
            &["host", "replace", host, "--yes", "--file"],
            &format!("{host} replaced"),
        );
        counted(cloud, &HOSTS);
        kept(cloud, writers, &HOSTS, &foretold);
        cloud.forget_boots();
    }
}

/// The worst times without an answer in seconds, by what is behind an address.
type Foretold = BTreeMap<String, f64>;

/// Nothing acknowledged is lost, on whichever of these members one asks, and nobody
/// waited longer than was foretold.
fn kept(cloud: &Cloud, writers: Writers, hosts: &[&str], foretold: &Foretold) {
    writers.until_good(WHOLE);
    let seen = writers.stop();
    seen.kept();
    for (probe, resource) in [("sql", "galera"), ("get", "keystone-api")] {
        let longest = seen.longest(probe).as_secs_f64();
        let worst = foretold.get(resource).copied();
        assert!(
            worst.is_none_or(|worst| longest <= worst + SLACK),
            "{probe}: {}",
            seen.report
        );
    }
    for host in hosts {
        let rows = writers::kept_on(cloud, host, &seen.history);
        assert_eq!(rows.lost, Vec::<u64>::new(), "{host}");
    }
}

fn watched(cloud: &Cloud) -> Writers {
    let probes = writers::all(cloud).into_iter().filter(|p| p.name != "publish");
    Writers::start(probes.collect())
}

/// A change of members, to its end: what was foretold stands.
fn changed(cloud: &Cloud, words: &[&str], what: &str) -> Foretold {
    let began = std::time::Instant::now();
    let mut child = cloud.spawn(words, LOG);
    until(what, CHANGED, || match child.try_wait().unwrap() {
        Some(status) if status.success() => Ok(()),
        Some(status) => panic!("{what}: {status}\n{}", cloud.log(LOG)),
        None => Err(cloud.log(LOG)),
    });
    let log = cloud.log(LOG);
    assert!(log.contains("whole, in"), "{what}: no backup was taken\n{log}");
    tell(&format!("{what}: {:.1} s", began.elapsed().as_secs_f64()));
    let seconds = |text: &str| text.trim().trim_end_matches(" s").parse::<f64>().unwrap();
    let mut out = Foretold::new();
    for line in log.lines().filter(|l| l.contains(": foretold ")) {
        tell(line);
        let (resource, after) = line.split_once(": foretold ").unwrap();
        let (_, after) = after.split_once(", at worst ").unwrap();
        let (worst, after) = after.split_once("; longest without an answer ").unwrap();
        let (longest, _) = after.split_once(',').unwrap();
        assert!(
            seconds(longest) <= seconds(worst) + SLACK,
            "{what}: {line}\n{log}"
        );
        out.insert(resource.to_owned(), seconds(worst));
    }
    assert!(!out.is_empty(), "{what}: nothing was foretold\n{log}");
    out
}

/// All of them are members with a vote each, and nothing is left to do.
fn counted(cloud: &Cloud, hosts: &[&str]) {
    cloud.until_redundant(WHOLE);
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    for host in hosts {
        let said = cloud.shell(host, "corosync-quorumtool -s").good();
        let value = |key: &str| {
            let line = said.out.lines().find_map(|l| l.strip_prefix(key));
            line.unwrap_or_default().trim().to_owned()
        };
        let votes = hosts.len().to_string();
        assert_eq!(
            [value("Expected votes:"), value("Total votes:")],
            [&votes, &votes].map(Clone::clone),
            "{said}"
        );
    }
}
