//! Each component of one host killed and frozen, on a cloud with all services: when the
//! balancers send nobody there any more, when they do again, and how long it takes until
//! something is done for a user that was asked for at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Child;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wire::{Journey, JourneyKind};

use crate::cloud::{Cloud, HOSTS};
use crate::eight::stands;
use crate::said::{tell, until, wait};
use crate::walks::{journeys, until_well};

/// The host whose components fail.
const HOST: &str = "c1";
/// How long a component stands still.
const FROZEN: Duration = Duration::from_mins(1);
/// The bars: a balancer sends nobody to it; it is sent somebody again once it lives; what
/// was asked of its like is done, in so much more than it takes with nothing lost.
const OUT: f64 = 3.0;
const BACK: f64 = 30.0;
const DONE: f64 = 15.0;
/// How long a broker stands still.
const BROKER: Duration = Duration::from_secs(15);
/// Until whatever is awaited is taken for something that never comes.
const NEVER: Duration = Duration::from_mins(4);

/// Prints what a balancer thinks of each server whenever that changes.
const WATCH: &str = r##"
import socket, time
last = {}
while True:
    try:
        asked = socket.socket(socket.AF_UNIX)
        asked.connect("/run/haproxy.sock")
        asked.sendall(b"show stat -1 4 -1\n")
        said = b""
        while piece := asked.recv(65536):
            said += piece
    except OSError:
        time.sleep(0.1)
        continue
    for line in said.decode().splitlines():
        fields = line.split(",")
        if len(fields) > 17 and not line.startswith("#"):
            up = "up" if fields[17].startswith("UP") else "out"
            if last.get((fields[0], fields[1])) != up:
                last[fields[0], fields[1]] = up
                print(f"{time.time():.3f} {fields[0]} {fields[1]} {up}", flush=True)
    time.sleep(0.1)
"##;

/// Balancers watched from all hosts.
struct Balancers<'a> {
    cloud: &'a Cloud,
    watchers: Vec<Child>,
}

impl<'a> Balancers<'a> {
    fn watch(cloud: &'a Cloud) -> Self {
        let watchers = HOSTS.map(|host| {
            let words = ["lab", "shell", &cloud.name, host, "python3", "-c", WATCH];
            cloud.spawn(&words, &format!("balancer-{host}"))
        });
        Self {
            cloud,
            watchers: watchers.into(),
        }
    }

    /// When each balancer first thought so of a server of [`HOST`] after a moment; the last
    /// of them counts.
    fn all_think(&self, proxy: &str, word: &str, since: f64) -> Result<f64, String> {
        let wanted = format!(" {proxy} {HOST} {word}");
        let mut last = since;
        for host in HOSTS {
            let log = self.cloud.log(&format!("balancer-{host}"));
            let when = log
                .lines()
                .filter_map(|l| l.strip_suffix(&wanted)?.parse::<f64>().ok());
            let Some(first) = when.into_iter().find(|t| *t >= since) else {
                return Err(format!("{host}: {HOST} of {proxy} is not {word}"));
            };
            last = last.max(first);
        }
        Ok(last)
    }

    /// The same, awaited; infinite where it does not come.
    fn until_all_think(&self, proxy: &str, word: &str, since: f64) -> f64 {
        let mut look = || self.all_think(proxy, word, since);
        wait(FROZEN, &mut look).unwrap_or_else(|why| {
            tell(&format!("    {why}"));
            f64::INFINITY
        })
    }
}

impl Drop for Balancers<'_> {
    fn drop(&mut self) {
        for watcher in &mut self.watchers {
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// What the product says of a host: units with the name of what a balancer sends to, units
/// that work for others, with the service that they are of, those that it knocks at, and
/// what else the cluster runs.
#[derive(Default)]
struct Parts {
    balanced: BTreeMap<String, String>,
    workers: BTreeMap<String, String>,
    listeners: BTreeSet<String>,
    others: BTreeSet<String>,
}

fn parts(cloud: &Cloud) -> Parts {
    let files = ["host.txt", "etc/haproxy/haproxy.cfg", "etc/quorate/liveness.json"];
    let paths = files.map(|file| format!("{HOST}/{file}"));
    let [described, balancer, liveness] = cloud.rendered(paths.each_ref().map(String::as_str));
    let liveness: serde_json::Value = serde_json::from_str(&liveness).unwrap();
    let mut parts = Parts::default();
    // unit UNIT of SERVICE, run by WHOM, as RESOURCE, …
    for line in described.lines().filter_map(|l| l.strip_prefix("unit ")) {
        let words: Vec<&str> = line.split([' ', ',']).filter(|w| !w.is_empty()).collect();
        let after = |word: &str| {
            words
                .iter()
                .position(|w| *w == word)
                .and_then(|at| words.get(at + 1))
        };
        let (Some(unit), Some(service)) = (words.first(), after("of")) else {
            continue;
        };
        if let Some(resource) = after("as")
            && balancer.contains(&format!("listen {resource}\n"))
        {
            parts.balanced.insert((*unit).to_owned(), (*resource).to_owned());
        } else if liveness["units"][unit].get("port").is_some() {
            parts.workers.insert((*unit).to_owned(), (*service).to_owned());
        } else if liveness["units"].get(unit).is_some() {
            parts.listeners.insert((*unit).to_owned());
        } else if after("as").is_some() && unit.ends_with(".service") {
            parts.others.insert((*unit).to_owned());
        }
    }
    assert!(parts.balanced.len() > 5 && parts.workers.len() > 2, "{described}");
    parts
}

fn signal(cloud: &Cloud, host: &str, name: &str, units: &[&str]) -> f64 {
    let units = units.join(" ");
    let at = now();
    cloud
        .shell(host, &format!("systemctl kill --signal={name} {units}"))
        .good();
    at
}

/// Lines of the table, and what of it is over its bar.
#[derive(Default)]
struct Table {
    lines: Vec<String>,
    over: Vec<String>,
}

impl Table {
    fn row(&mut self, what: &str, fault: &str, figures: &[(&str, f64, f64)]) {
        let mut line = format!("  {what:<38} {fault:<7}");
        for (name, seen, bar) in figures {
            write!(line, "  {name} {seen:6.2} s").unwrap();
            if seen > bar {
                self.over
                    .push(format!("{what} {fault}: {name} after {seen:.2} s, not {bar} s"));
            }
        }
        tell(&line);
        self.lines.push(line);
    }
}

#[test]
#[ignore = "lab"]
fn long_each_component_is_killed_and_frozen() {
    let cloud = Cloud::new("st-frozen", 73);
    stands(&cloud, "full", ["198.18.73", "198.18.74"], &[]);
    let parts = parts(&cloud);
    let mut table = Table::default();
    balanced(&cloud, &parts, &mut table);
    workers(&cloud, &parts, &mut table);
    others(&cloud, &parts, &mut table);
    cloud.until_redundant(NEVER);
    tell(&table.lines.join("\n"));
    assert!(table.over.is_empty(), "{}", table.over.join("\n"));
    cloud.down();
}

/// One after the other is killed; then all stand still at once, and go on at once.
fn balanced(cloud: &Cloud, parts: &Parts, table: &mut Table) {
    let balancers = Balancers::watch(cloud);
    for proxy in parts.balanced.values() {
        assert!(balancers.until_all_think(proxy, "up", 0.0).is_finite(), "{proxy}");
    }
    for (unit, proxy) in &parts.balanced {
        let killed = signal(cloud, HOST, "KILL", &[unit]);
        let out = balancers.until_all_think(proxy, "out", killed);
        let back = balancers.until_all_think(proxy, "up", out);
        table.row(
            unit,
            "killed",
            &[("out", out - killed, OUT), ("back", back - out, BACK)],
        );
    }
    cloud.until_redundant(NEVER);
    let units: Vec<&str> = parts.balanced.keys().map(String::as_str).collect();
    let stopped = signal(cloud, HOST, "STOP", &units);
    let outs: Vec<f64> = (parts.balanced.values())
        .map(|proxy| balancers.until_all_think(proxy, "out", stopped))
        .collect();
    std::thread::sleep(FROZEN.saturating_sub(Duration::from_secs_f64(now() - stopped)));
    let going = signal(cloud, HOST, "CONT", &units);
    for ((unit, proxy), out) in parts.balanced.iter().zip(outs) {
        // Who was ended, since nobody asks him, may be back before.
        let back = balancers.until_all_think(proxy, "up", out).max(going);
        table.row(
            unit,
            "frozen",
            &[("out", out - stopped, OUT), ("back", back - going, BACK)],
        );
    }
}

/// Each is killed and frozen, and at that moment its service is asked to do something.
fn workers(cloud: &Cloud, parts: &Parts, table: &mut Table) {
    let actions: BTreeMap<String, Journey> = journeys(cloud)
        .into_iter()
        .filter(|j| j.kind == JourneyKind::Action)
        .map(|j| (j.service.clone(), j))
        .collect();
    for (unit, service) in &parts.workers {
        let Some(action) = actions.get(service) else {
            continue;
        };
        let (whole, _) = until_well(action, NEVER);
        for (name, fault) in [("KILL", "killed"), ("STOP", "frozen")] {
            // The one instance of a cloud may run elsewhere.
            let runs = |host: &&str| cloud.shell(host, &format!("systemctl is-active {unit}")).ok();
            let host = HOSTS.into_iter().find(|host| runs(host)).unwrap();
            // One that has only just been started may wait for something else, and is left alone.
            until(&format!("{unit} to have reached a broker"), NEVER, || {
                let ask = format!(
                    "ss -Htnp state established '( dport = :5671 )' | grep -E \"pid=($(paste -sd '|' \
                     /sys/fs/cgroup/system.slice/{unit}/cgroup.procs)),\""
                );
                let said = cloud.shell(host, &ask);
                if said.ok() { Ok(()) } else { Err(said.to_string()) }
            });
            signal(cloud, host, name, &[unit]);
            let (took, failures) = until_well(action, NEVER);
            let own = whole.as_secs_f64();
            table.row(
                unit,
                fault,
                &[
                    ("done", took.as_secs_f64(), own + DONE),
                    ("else", own, f64::INFINITY),
                ],
            );
            for why in failures {
                tell(&format!("    {why}"));
            }
            until(&format!("{unit} to be started again"), NEVER, || {
                let ask = format!(
                    "grep -l . /sys/fs/cgroup/system.slice/{unit}/cgroup.procs && ! ps -o stat= -p \
                     $(systemctl show --property=MainPID --value {unit}) | grep T"
                );
                let said = cloud.shell(host, &ask);
                if said.ok() { Ok(()) } else { Err(said.to_string()) }
            });
            cloud.until_redundant(NEVER);
        }
    }
}

/// Stores and what carries all: killed, until nothing of the cloud is missing any more, and
/// what nobody but this host itself asks also frozen for good. A broker stands still for a
/// while that is longer than the others wait for it and shorter than the cluster does, after
/// which it has to join them again.
fn others(cloud: &Cloud, parts: &Parts, table: &mut Table) {
    let send = |name: &str, unit: &str| signal(cloud, HOST, name, &[unit]);
    let process = |unit: &str| {
        let ask = format!("systemctl show --property=MainPID --value {unit}");
        cloud.shell(HOST, &ask).good().out
    };
    // Seen by the cloud, or over so soon that only another process tells of it.
    let missed = |unit: &str, before: &str, limit: Duration| {
        until(&format!("{unit} to be missed"), limit, || {
            if process(unit) != before || cloud.redundant().is_err() {
                Ok(())
            } else {
                Err("nothing is missed".to_owned())
            }
        });
    };
    let mut row = |unit: &str, fault: &str, from: f64| {
        cloud.until_redundant(NEVER);
        table.row(unit, fault, &[("whole", now() - from, NEVER.as_secs_f64())]);
    };
    for unit in parts.others.iter().chain(&parts.listeners) {
        let before = process(unit);
        let from = send("KILL", unit);
        missed(unit, &before, FROZEN);
        row(unit, "killed", from);
    }
    for unit in &parts.listeners {
        let before = process(unit);
        let from = send("STOP", unit);
        missed(unit, &before, FROZEN);
        row(unit, "frozen", from);
    }
    let broker = "rabbitmq-server.service";
    let stopped = send("STOP", broker);
    std::thread::sleep(BROKER.saturating_sub(Duration::from_secs_f64(now() - stopped)));
    row(broker, "15 s", send("CONT", broker));
}
