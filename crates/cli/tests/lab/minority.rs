//! Two of three are lost for good. The one that is left is given quorum by the operator's
//! word, and its stores and brokers begin without the others. Should those return with their
//! disks, what these hold is set aside and feeds nobody.

use std::time::{Duration, Instant};

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Writers};

const WHOLE: Duration = Duration::from_mins(5);
/// From the operator's word to a cloud that serves.
const SERVES: Duration = Duration::from_mins(4);
/// The one that is left.
const LEFT: &str = "c1";
const LOST: [&str; 2] = ["c2", "c3"];

#[test]
#[ignore = "lab"]
fn long_two_of_three_never_come_back() {
    let cloud = Cloud::new("st-minority", 94);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let probes: Vec<probe::Probe> = writers::all(&cloud)
        .into_iter()
        .filter(|p| ["sql", "publish"].contains(&p.name.as_str()))
        .collect();
    let writers = Writers::start(probes.clone());
    std::thread::sleep(Duration::from_secs(10));
    writers.mark("two of three are lost");
    for host in LOST {
        cloud.lab("unplug", &[host]).good();
    }
    // With their power as well: a fence device finds nobody that answers.
    cloud.lab("cut", &LOST).good();
    cloud.until_without_quorum(LEFT, WHOLE);
    std::thread::sleep(Duration::from_secs(20));
    let refused = cloud.say(&["recover", "--yes"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.err.contains("--without"), "no way out is told: {refused}");
    let began = Instant::now();
    let said = cloud
        .say(&["recover", "--without", "c2", "--without", "c3", "--yes"])
        .good();
    tell(&said.all());
    for words in [
        "c2 and c3 are 2 of the cluster's 3 members",
        "what only",
        "were most of its 3 members",
        "in a membership of",
    ] {
        assert!(said.all().contains(words), "no {words:?} in {said}");
    }
    writers.until_good(WHOLE);
    let took = began.elapsed();
    tell(&format!(
        "serves again {:.1} s after the word",
        took.as_secs_f64()
    ));
    assert!(took <= SERVES, "{took:?}");
    let seen = writers.stop();
    for probe in &seen.report.probes {
        let kept = probe.writes.as_ref().unwrap();
        tell(&format!(
            "{}: {} of {} acknowledged writes were on the lost alone",
            probe.name,
            kept.lost.len(),
            kept.acknowledged
        ));
        assert!(kept.lost.len() <= 100 && kept.duplicates.is_empty(), "{kept:?}");
    }
    let queues = cloud
        .shell(LEFT, "rabbitmqctl -q list_queues name type members online")
        .good();
    assert!(
        !queues.out.contains("rabbit@c2") && !queues.out.contains("rabbit@c3"),
        "{queues}"
    );
    return_with_disks(&cloud, &seen);
    writers::clean(&probes);
}

/// The lost are back with their disks: they neither lead nor feed the one that was left.
fn return_with_disks(cloud: &Cloud, seen: &writers::Seen) {
    let kept = writers::kept_on(cloud, LEFT, &seen.history);
    for host in LOST {
        cloud.lab("plug", &[host]).good();
        let _ = cloud.lab("on", &[host]); // its fence device may have done so
    }
    cloud.forget_boots();
    until("the others to be members again", WHOLE, || {
        let said = cloud.say(&["apply", "--yes"]);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
    cloud.until_redundant(WHOLE);
    for host in LOST {
        let aside = "ls -d /var/lib/quorate/aside/galera-*/quorate /var/lib/quorate/aside/rabbitmq-*";
        tell(&cloud.shell(host, aside).good().out);
    }
    for host in HOSTS {
        let fate = writers::kept_on(cloud, host, &seen.history);
        assert_eq!(fate.lost, kept.lost, "{host}");
        let votes = cloud.shell(host, "! corosync-cmapctl nodelist. | grep quorum_votes");
        assert!(votes.ok(), "{host}: {votes}");
    }
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}
