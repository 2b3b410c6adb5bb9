//! Changes of a cloud that runs: one host after the other, each only while all
//! others are whole, and what a plan said is what is done.

use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{Said, tell, until};
use crate::writers::{Writers, all};

const APPLY: [&str; 2] = ["apply", "--yes"];
const CONF: &str = "/etc/keystone/keystone.conf";

/// Tokens that live so many seconds: a key of one service, on all hosts.
fn tokens_live(cloud: &Cloud, seconds: u32) {
    cloud.describe(&format!(
        "config: {{ {CONF}: {{ token: {{ expiration: \"{seconds}\" }} }} }}\n"
    ));
}

/// The value that each host has.
fn lives(cloud: &Cloud) -> [String; 3] {
    HOSTS.map(|host| {
        let said = cloud
            .shell(host, &format!("sed -n 's/^expiration *= *//p' {CONF}"))
            .good();
        said.out.trim().to_owned()
    })
}

#[track_caller]
fn refused(said: &Said, code: i32, words: &[&str]) {
    let missing: Vec<&&str> = words.iter().filter(|w| !said.all().contains(**w)).collect();
    assert!(
        said.code == Some(code) && missing.is_empty(),
        "wanted exit status {code} and {missing:?}\n{said}"
    );
}

#[test]
#[ignore = "lab"]
fn one_host_after_the_other() {
    let cloud = Cloud::new("st-rolls", 32);
    cloud.up();
    cloud.apply();
    a_kept_plan(&cloud);
    nobody_is_without_an_answer(&cloud);
    out_of_service(&cloud);
}

#[test]
#[ignore = "lab"]
fn long_rolls_that_stop() {
    let cloud = Cloud::new("st-stops", 33);
    cloud.up();
    cloud.apply();
    a_gate_that_never_opens(&cloud);
    a_host_that_freezes_under_way(&cloud);
    a_full_disk_on_the_second(&cloud);
    a_reboot_that_is_killed(&cloud);
}

/// What was shown is done, as far as it still stands.
fn a_kept_plan(cloud: &Cloud) {
    tokens_live(cloud, 7200);
    let kept = cloud.state().join("kept.json");
    cloud.say(&["plan", "--out", kept.as_str()]).good();
    let apply = |file: &str| crate::said::run(crate::said::program(), &["apply", "--yes", file]);
    let text = fs_err::read_to_string(&kept).unwrap();
    for (_, password) in [
        ("x", cloud.secret("keystone/database")),
        ("y", cloud.secret("keystone/admin")),
    ] {
        assert!(!text.contains(&password), "a kept plan holds a secret");
    }
    // Cut, and for another cloud of this name.
    let other = cloud.state().join("other.json");
    fs_err::write(&other, &text[..text.len() / 2]).unwrap();
    refused(&apply(other.as_str()), 2, &["cannot be used", "make it again"]);
    let (before, after) = text.split_once("\"id\":\"").unwrap();
    fs_err::write(&other, format!("{before}\"id\":\"0{after}")).unwrap();
    refused(&apply(other.as_str()), 2, &["for another cloud", "make it again"]);
    assert_eq!(lives(cloud), ["", "", ""], "nothing is done yet");
    // One host is not as it was: its turn is refused, those of the others stand.
    cloud.shell("c2", &format!("echo '# by hand' >> {CONF}")).good();
    let said = apply(kept.as_str());
    refused(
        &said,
        1,
        &[
            "change/c2: c2:/etc/keystone/keystone.conf is not as it was",
            "make it again",
        ],
    );
    assert_eq!(lives(cloud), ["7200", "", "7200"], "{said}");
    cloud.apply();
    assert_eq!(lives(cloud), ["7200"; 3]);
    // What was done meanwhile is not done again.
    let said = apply(kept.as_str()).good();
    assert!(said.out.contains(": 0 changes"), "{said}");
}

/// One key of one service: whoever asks meanwhile is answered.
fn nobody_is_without_an_answer(cloud: &Cloud) {
    let asked = all(cloud)
        .into_iter()
        .filter(|p| p.name == "get" || p.name == "token");
    let writers = Writers::start(asked.collect());
    tokens_live(cloud, 7300);
    let said = cloud.apply();
    let seen = writers.stop();
    assert!(said.err.contains("keystone-api: foretold 0.00 s"), "{said}");
    for probe in &seen.report.probes {
        assert_eq!(probe.failed, 0, "{}", seen.report);
    }
    tell(&format!(
        "one key on three hosts: {:.1} s, longest without an answer {:?}",
        said.took.as_secs_f64(),
        seen.longest("get")
    ));
    // Only what belongs to a host is done, and nobody else is touched.
    tokens_live(cloud, 7400);
    cloud.say(&["apply", "--yes", "--target", "c3"]).good();
    assert_eq!(lives(cloud), ["7300", "7300", "7400"]);
    refused(
        &cloud.say(&["plan", "--target", "c9"]),
        2,
        &["c9", "a target is a host"],
    );
    cloud.apply();
}

fn out_of_service(cloud: &Cloud) {
    let file = cloud.file();
    let host = |verb: &str, name: &str| {
        let words = ["host", verb, name, "--yes", "-f", file.to_str().unwrap()];
        crate::said::run(crate::said::program(), &words)
    };
    let said = host("drain", "c1").good();
    assert!(said.err.contains("galera: foretold"), "{said}");
    let status = cloud.status().unwrap();
    assert_eq!(status["verdict"], "exposed", "{status:#}");
    assert_eq!(
        status["next"], "`quorate host resume c1`, then `quorate status`",
        "{status:#}"
    );
    for vip in status["vips"].as_array().unwrap() {
        assert_ne!(vip["host"], "c1", "{status:#}");
    }
    assert!(host("drain", "c1").good().out.contains(": 0 changes"));
    refused(
        &host("drain", "c2"),
        1,
        &["host::another-away", "quorate host resume c1"],
    );
    refused(
        &cloud.say(&APPLY),
        1,
        &["host::drained", "quorate host resume c1"],
    );
    refused(&host("drain", "c7"), 2, &["no host `c7`", "c1"]);
    host("resume", "c1").good();
    cloud.until_redundant(Duration::from_mins(1));
    assert!(host("resume", "c1").good().out.contains(": 0 changes"));
}

/// Prints what the host's balancer says of its servers.
const STAT: &str = "python3 -c 'import socket; s=socket.socket(socket.AF_UNIX); s.connect(\"/run/haproxy.sock\"); \
                    s.sendall(b\"show stat\\n\"); print(b\"\".join(iter(lambda: s.recv(65536), b\"\")).decode())'";

/// Another host is broken: nobody else is touched beside it.
fn a_gate_that_never_opens(cloud: &Cloud) {
    let app = "/usr/bin/keystone-wsgi-public";
    cloud
        .shell(
            "c3",
            &format!("mv {app} {app}.away; systemctl kill -s KILL quorate-keystone"),
        )
        .good();
    until("c3's instance to be down", Duration::from_mins(2), || {
        let status = cloud.status()?;
        if status["verdict"] == "redundant" {
            Err(format!("{status:#}"))
        } else {
            Ok(())
        }
    });
    tokens_live(cloud, 7500);
    let said = cloud.say(&APPLY);
    refused(
        &said,
        1,
        &["all other hosts are whole, before c1 is touched", "keystone-api"],
    );
    let found = lives(cloud);
    assert_eq!([&found[0], &found[1]], ["", ""], "{said}");
    // Nor is anybody sent away from where it goes on: nobody is drained or in maintenance.
    for host in ["c1", "c2", "c3"] {
        let stat = cloud.shell(host, STAT).good();
        let away = |line: &&str| {
            line.split(',')
                .any(|w| w.starts_with("DRAIN") || w.starts_with("MAINT"))
        };
        let away: Vec<&str> = stat.out.lines().filter(away).collect();
        assert!(away.is_empty(), "{host}: {away:?}");
    }
    cloud.shell("c3", &format!("mv {app}.away {app}")).good();
    cloud.say(&APPLY).good();
    assert_eq!(lives(cloud), ["7500"; 3]);
    cloud.until_redundant(Duration::from_mins(1));
}

/// An API of the third host stands still while it is the first one's turn: nobody is sent
/// away from the second as long as a balancer has the third out.
fn a_host_that_freezes_under_way(cloud: &Cloud) {
    tokens_live(cloud, 7550);
    let mut apply = cloud.spawn(&["apply", "--yes"], "frozen.log");
    until("the first host's turn", Duration::from_mins(1), || {
        let log = cloud.log("frozen.log");
        if log.contains("drain/c1/c1: done") {
            Ok(())
        } else {
            Err(log)
        }
    });
    let signal = |which: &str| {
        let words = format!("systemctl kill --kill-whom=all --signal={which} quorate-keystone");
        cloud.shell("c3", &words).good();
    };
    signal("STOP");
    let (mut out, mut beside) = (0, Vec::new());
    let ended = loop {
        let stat = cloud.shell("c2", STAT).good().out;
        let state = |server: &str| {
            let row = stat
                .lines()
                .find(|l| l.starts_with(&format!("keystone-api,{server},")));
            row.and_then(|l| l.split(',').nth(17))
                .unwrap_or_default()
                .to_owned()
        };
        if !state("c3").starts_with("UP") {
            out += 1;
            if ["DRAIN", "MAINT"].iter().any(|w| state("c2").starts_with(w)) {
                beside.push(stat.clone());
            }
        }
        if let Some(ended) = apply.try_wait().unwrap() {
            break ended;
        }
    };
    let log = cloud.log("frozen.log");
    assert!(out > 0, "c3 was never out: {log}");
    assert!(
        beside.is_empty(),
        "c2 was drained beside c3: {}\n{log}",
        beside[0]
    );
    tell(&format!(
        "with c3 frozen, {out} looks, nobody else was drained; apply: {ended}"
    ));
    signal("CONT");
    cloud.until_redundant(Duration::from_mins(2));
    cloud.say(&APPLY).good();
    assert_eq!(lives(cloud), ["7550"; 3]);
}

/// The disk is full when its turn comes: the rest is untouched, the cloud serves.
fn a_full_disk_on_the_second(cloud: &Cloud) {
    tokens_live(cloud, 7600);
    let mut apply = cloud.spawn(&["apply", "--yes"], "full.log");
    until("the first host's turn", Duration::from_mins(1), || {
        let log = cloud.log("full.log");
        if log.contains("drain/c1/c1: done") {
            Ok(())
        } else {
            Err(log)
        }
    });
    let fill = "set -e; cp -a /etc/keystone /run/kept; mount -t tmpfs -o size=256k none /etc/keystone; \
                cp -a /run/kept/. /etc/keystone/; dd if=/dev/zero of=/etc/keystone/fill bs=4k 2>/dev/null || true";
    cloud.shell("c2", fill).good();
    let ended = apply.wait().unwrap();
    let log = cloud.log("full.log");
    assert_eq!(ended.code(), Some(1), "{log}");
    for word in ["change/c2: FAILED", "no space left on device", "not begun"] {
        assert!(log.contains(word), "{log}");
    }
    assert_eq!(lives(cloud), ["7600", "7550", "7550"], "{log}");
    cloud.shell("c2", "umount /etc/keystone; rm -rf /run/kept").good();
    cloud.say(&APPLY).good();
    assert_eq!(lives(cloud), ["7600"; 3]);
    cloud.until_redundant(Duration::from_mins(1));
}

/// Killed when the host is out of service: said again, it comes to its end.
fn a_reboot_that_is_killed(cloud: &Cloud) {
    let file = cloud.file();
    let words = ["host", "reboot", "c2", "--yes", "-f"];
    let mut reboot = cloud.spawn(&words, "reboot.log");
    until("c2 to be out of service", Duration::from_mins(2), || {
        let log = cloud.log("reboot.log");
        if log.contains("standby/c2: done") {
            Ok(())
        } else {
            Err(log)
        }
    });
    reboot.kill().unwrap();
    reboot.wait().unwrap();
    let words: Vec<&str> = words.into_iter().chain([file.to_str().unwrap()]).collect();
    let said = crate::said::run(crate::said::program(), &words).good();
    tell(&format!("c2 was rebooted in {:.1} s", said.took.as_secs_f64()));
    cloud.until_redundant(Duration::from_mins(1));
}
