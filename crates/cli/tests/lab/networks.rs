//! A cloud without a single IPv4 address, in two networks: applied, used, a
//! member's data copied anew, each cable pulled, and the holder of an address cut.

use std::time::Duration;

use lab::Actor;
use serde_json::{Value, json};

use crate::cloud::{Cloud, HOSTS, SECOND};
use crate::said::{tell, until};
use crate::survives::{applied_once, one_cut, usable};
use crate::writers::{self, Writers};

const TOLD: Duration = Duration::from_secs(30);
const WHOLE: Duration = Duration::from_mins(3);

#[test]
#[ignore = "lab"]
fn long_networks() {
    let cloud = Cloud::of_two_networks("st-net", "fd00:198:18:26::", "fd00:198:18:27::");
    cloud.up();
    for host in HOSTS {
        let found = cloud.shell(host, "ip -4 -oneline address show | grep -v ' lo '");
        assert!(!found.ok(), "{host} has an IPv4 address: {found}");
    }
    applied_once(&cloud);
    usable(&cloud);
    broker(&cloud);
    copied(&cloud, "c3");
    one_cable(&cloud, &holder(&cloud, "keystone"));
    first_network(&cloud, &holder(&cloud, "keystone"));
    let host = holder(&cloud, "keystone");
    let seen = one_cut(&cloud, &host);
    assert_ne!(holder(&cloud, "keystone"), host);
    tell(&format!(
        "{host} was cut: the API was away for {:.1?}",
        seen.longest("get")
    ));
}

/// Who holds a service's address.
fn holder(cloud: &Cloud, service: &str) -> String {
    let status = cloud.status().unwrap();
    let vips = status["vips"].as_array().unwrap();
    let vip = vips.iter().find(|v| v["service"] == service).unwrap();
    vip["host"].as_str().unwrap().to_owned()
}

/// The broker's own tools find it; they look its name up by themselves.
fn broker(cloud: &Cloud) {
    let script = "rabbitmqctl -q --formatter json cluster_status";
    let said = cloud.shell("c1", script).good();
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        status["running_nodes"].as_array().map(Vec::len),
        Some(3),
        "{status:#}"
    );
}

/// A member that has lost what it knows of its data gets all of it anew.
fn copied(cloud: &Cloud, host: &str) {
    cloud
        .shell(
            host,
            ": >/var/log/mysql/error.log && rm /var/lib/mysql/grastate.dat && kill -KILL $(pidof mariadbd)",
        )
        .good();
    until("a copy of the data", WHOLE, || {
        let said = cloud.shell(host, "grep 'SST succeeded' /var/log/mysql/error.log");
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
    cloud.until_redundant(WHOLE);
    tell("a member was copied anew");
}

/// Who is a member since when, and who holds what.
fn stands(cloud: &Cloud) -> Value {
    let rings = HOSTS.map(|host| {
        let said = cloud
            .shell(host, "corosync-quorumtool -s | grep 'Ring ID'")
            .good();
        said.out.trim().to_owned()
    });
    json!({ "rings": rings, "vips": cloud.status().unwrap()["vips"] })
}

/// The other network of a host is lost, which has everything else: it stays a
/// member and keeps its power, and its addresses go where they can be reached.
fn first_network(cloud: &Cloud, host: &str) {
    const FIRST: &str = "management";
    let power = || {
        lab::events(&cloud.name)
            .unwrap()
            .iter()
            .filter(|e| e.by == Actor::Bmc)
            .count()
    };
    let (before, rings) = (power(), stands(cloud)["rings"].take());
    let probes = writers::all(cloud);
    writers::clean(&probes);
    let writers = Writers::start(probes);
    let lost = writers.mark(&format!("{host} loses {FIRST}"));
    cloud.lab("unplug", &[host, FIRST]).good();
    writers.until_answer("get", lost, TOLD);
    until("the address to be held elsewhere", TOLD, || {
        let status = cloud.status()?;
        let vips = status["vips"].as_array().into_iter().flatten();
        let away = vips
            .into_iter()
            .all(|v| v["host"].is_string() && v["host"] != host);
        if away && status["verdict"] == "exposed" {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    });
    cloud.lab("plug", &[host, FIRST]).good();
    writers.mark(&format!("{host} has {FIRST} again"));
    cloud.until_redundant(WHOLE);
    writers.until_good(TOLD);
    let seen = writers.stop();
    seen.kept();
    assert_eq!(stands(cloud)["rings"], rings, "the membership has changed");
    assert_eq!(power(), before, "somebody was fenced");
    tell(&format!(
        "{host} lost {FIRST}: the API was away for {:.1?}",
        seen.longest("get")
    ));
}

/// One network of a host is lost: it is told, and nothing else happens.
fn one_cable(cloud: &Cloud, host: &str) {
    let before = stands(cloud);
    let probes = writers::all(cloud);
    writers::clean(&probes);
    let writers = Writers::start(probes);
    writers.mark(&format!("{host} loses {SECOND}"));
    cloud.lab("unplug", &[host, SECOND]).good();
    until("the link to be told", TOLD, || {
        let status = cloud.status()?;
        let problem = format!("{host} hears nobody in the network {SECOND}");
        let told = status["problems"]
            .as_array()
            .map(|all| all.iter().map(|p| &p["text"]).collect::<Vec<_>>());
        if status["verdict"] == "degraded" && told.is_some_and(|told| told == [&problem]) {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    });
    assert_eq!(stands(cloud), before);
    cloud.lab("plug", &[host, SECOND]).good();
    writers.mark(&format!("{host} has {SECOND} again"));
    cloud.until_redundant(TOLD);
    assert_eq!(stands(cloud), before);
    writers.until_good(TOLD);
    let seen = writers.stop();
    seen.kept();
    for probe in ["get", "token", "sql", "publish"] {
        let bad = seen.history.of(probe).filter(|r| !r.outcome.good()).count();
        assert_eq!(bad, 0, "{probe} failed\n{}", seen.report);
    }
    tell(&format!(
        "a lost link was told and moved nothing; the longest gap of the API: {:.1?}",
        seen.longest("get")
    ));
}
