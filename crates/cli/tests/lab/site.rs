//! The whole site is switched off in order and on again: every acknowledged write is there,
//! and the cloud is redundant without a further hand. A timer that somebody stopped is told
//! at once, with a cure that works.

use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Writers};

const WHOLE: Duration = Duration::from_mins(3);
/// Longest way from the word to a redundant cloud, boots included.
const ON: Duration = Duration::from_mins(5);

#[test]
#[ignore = "lab"]
fn long_the_site_is_switched_off_and_on() {
    let cloud = Cloud::new("st-site", 41);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    timer(&cloud);
    // Without a terminal nothing goes off unasked.
    let said = cloud.say(&["power", "off"]);
    assert_eq!(said.code, Some(1), "{said}");
    cloud.redundant().unwrap();
    off_and_on(&cloud);
}

/// Pacemaker looks after a timer every 300 s.
fn timer(cloud: &Cloud) {
    let unit = "quorate-keystone-trust-flush.timer";
    let run = |host: &&str| cloud.shell(host, &format!("systemctl is-active {unit}")).ok();
    let host = HOSTS.into_iter().find(run).unwrap();
    cloud.shell(host, &format!("systemctl stop {unit}")).good();
    let status = cloud.status().unwrap();
    assert_eq!(status["problems"][0]["kind"], "stopped", "{status:#}");
    let next = status["next"].as_str().unwrap();
    let cure = next.split('`').nth(1).unwrap();
    cloud.shell(host, cure).good();
    cloud.until_redundant(Duration::from_mins(1));
    tell("a timer that somebody stopped is told, and the cure works");
}

fn off_and_on(cloud: &Cloud) {
    let row = writers::sql(cloud, &cloud.vip("galera"), 20);
    let writers = Writers::start(vec![row.clone()]);
    let since = writers.mark("writing");
    writers.until_answer("sql", since + 2_000_000_000, WHOLE);
    writers.mark("the site is switched off");
    let said = cloud.say(&["power", "off", "--yes"]).good();
    tell(&said.all());
    assert!(
        said.all().contains("c1 stopped last and has the newest data"),
        "{said}"
    );
    for host in HOSTS {
        assert!(!cloud.shell(host, "true").ok(), "{host} is on");
    }
    // No host was fenced, and none was switched on again by another.
    std::thread::sleep(Duration::from_secs(10));
    let events = lab::events(&cloud.name).unwrap();
    let fenced = events.iter().any(|e| e.by == lab::Actor::Bmc);
    assert!(!fenced, "{events:#?}");
    let said = cloud.say(&["power", "on", "--yes"]).good();
    tell(&said.all());
    tell(&format!(
        "redundant {:.1} s after the word",
        said.took.as_secs_f64()
    ));
    assert!(said.took <= ON, "{said}");
    cloud.redundant().unwrap();
    writers.until_good(WHOLE);
    let seen = writers.stop();
    seen.kept();
    writers::kept_everywhere(cloud, &seen.history);
    until("a plan with nothing to do", WHOLE, || {
        let said = cloud.say(&["plan", "--detailed-exitcode"]);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
    // On a site that runs it changes nothing.
    cloud.say(&["power", "on", "--yes"]).good();
    writers::clean(&[row]);
}
