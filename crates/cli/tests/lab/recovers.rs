//! `recover` where the members of the store do not agree: stopped one after the
//! other, so that only the last has everything; and cut while one of them cannot
//! tell its position. Nothing acknowledged is lost, and the choice is told.

use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Writers};

const WHOLE: Duration = Duration::from_mins(3);
/// The cluster manager, and what may start it with the host.
const STOP: &str = "systemctl stop pacemaker corosync";

#[test]
#[ignore = "lab"]
fn members_that_differ() {
    if std::env::var_os("QUORATE_LONG").is_none() {
        tell("members that differ are recovered with --long");
        return;
    }
    let cloud = Cloud::new("st-recover", 22);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    one_after_the_other(&cloud);
    unreadable(&cloud);
}

/// Each stop leaves a member behind; the last one writes alone to the end.
fn one_after_the_other(cloud: &Cloud) {
    let probes = vec![writers::sql(cloud, &cloud.vip("galera"), 20)];
    let writers = Writers::start(probes);
    let mut last = HOSTS;
    last.reverse();
    for host in last {
        let since = writers.mark(&format!("{host} is stopped"));
        cloud.shell(host, STOP).good();
        if host == "c3" {
            writers.until_answer("sql", since + 1_000_000_000, WHOLE);
        }
    }
    let said = cloud.say(&["recover", "--yes"]).good();
    tell(&format!("stopped one after the other: {}", said.all().trim()));
    // The first to stop has the least; who had the most is in the explanation.
    let begins = said
        .all()
        .lines()
        .find(|l| l.contains("begins"))
        .map(str::to_owned);
    let begins = begins.unwrap_or_else(|| panic!("no choice is told: {said}"));
    assert!(!begins.contains("c3 begins"), "{begins}");
    whole(cloud, writers);
}

/// After a cut of everything a member cannot read its own position: Aria's logs
/// are broken. It is repaired and asked, not passed over.
fn unreadable(cloud: &Cloud) {
    cloud.forget_boots();
    let probes = vec![writers::sql(cloud, &cloud.vip("galera"), 20)];
    let writers = Writers::start(probes);
    for host in HOSTS {
        let script = "systemctl disable corosync pacemaker 2>&1 && sync";
        cloud.shell(host, script).good();
    }
    let begin = writers.mark("writing");
    writers.until_answer("sql", begin + 2_000_000_000, WHOLE);
    writers.mark("everything is cut");
    cloud.lab("cut", &HOSTS).good();
    cloud.lab("on", &HOSTS).good();
    until("all hosts to answer", Duration::from_mins(1), || {
        let said = cloud.say(&["observe"]);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
    let broken = "dd if=/dev/zero of=/var/lib/mysql/aria_log_control bs=1 count=52 conv=notrunc 2>&1";
    cloud.shell("c2", broken).good();
    let said = cloud.say(&["recover", "--yes"]).good();
    tell(&format!("a position that cannot be read: {}", said.all().trim()));
    let text = said.all();
    for words in ["repaired and asked again", "c2 at ", " begins"] {
        assert!(text.contains(words), "no {words:?} in {said}");
    }
    let aside = cloud.shell("c2", "ls /var/lib/quorate/aside/*/").good();
    assert!(aside.out.contains("aria_log_control"), "{aside}");
    whole(cloud, writers);
}

/// Redundant again, with every acknowledged row on every member.
fn whole(cloud: &Cloud, writers: Writers) {
    cloud.until_redundant(WHOLE);
    writers.until_good(WHOLE);
    let seen = writers.stop();
    seen.kept();
    for host in HOSTS {
        let writes = writers::kept_on(cloud, host, &seen.history);
        assert!(
            writes.lost.is_empty() && writes.unknown.is_empty(),
            "{host}: {writes:?}"
        );
    }
    let again = cloud.say(&["plan", "--detailed-exitcode"]).good();
    assert!(again.ok(), "{again}");
    writers::clean(&[writers::sql(cloud, &cloud.vip("galera"), 20)]);
}
