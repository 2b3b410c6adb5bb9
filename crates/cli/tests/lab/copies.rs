//! A member of the databases that copies them from another: meanwhile addresses move and
//! services are started again as ever, the verdict tells of the copy, and no other host is
//! taken out of service.

use std::time::{Duration, Instant};

use crate::cloud::Cloud;
use crate::said::{program, run, tell, until};
use crate::writers::{self, Writers};

/// Limit for what the cluster does by itself beside a copy: the promotion's own patience, and
/// a decision after it, on a busy machine.
const DECIDES: Duration = Duration::from_secs(30);
const WHOLE: Duration = Duration::from_mins(3);
/// The copy stands still as soon as it has begun: the program that carries it is stopped.
const HOLD: &str = "until pkill --signal STOP -f [w]srep_sst_mariabackup; do sleep 0.05; done";

/// The host that runs a resource, by the cluster's account.
fn runs_on(cloud: &Cloud, resource: &str) -> String {
    let said = cloud.shell(
        "c1",
        &format!("crm_resource --resource {resource} --locate --quiet"),
    );
    said.good().out.trim().to_owned()
}

#[test]
#[ignore = "lab"]
fn long_a_copy_of_the_databases_delays_nobody() {
    let cloud = Cloud::new("st-copies", 38);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    let writers = Writers::start(writers::all(&cloud));
    cloud
        .shell("c1", "crm_resource --resource galera-clone --ban --node c3")
        .good();
    until("the member on c3 to be stopped", WHOLE, || {
        let said = cloud.shell("c3", "pgrep -u mysql -x mariadbd");
        if said.ok() { Err(said.to_string()) } else { Ok(()) }
    });
    cloud
        .shell("c3", "find /var/lib/mysql -mindepth 1 -delete")
        .good();
    cloud
        .shell("c1", "crm_resource --resource galera-clone --clear --node c3")
        .good();
    cloud.shell("c3", &format!("timeout 60 sh -c '{HOLD}'")).good();
    writers.mark("the copy stands still");
    beside_a_copy(&cloud);
    cloud
        .shell("c3", "pkill --signal CONT -f [w]srep_sst_mariabackup")
        .good();
    cloud.until_redundant(WHOLE);
    tell("the copy is over");
    writers.until_good(WHOLE);
    let seen = writers.stop();
    seen.kept();
    writers::kept_everywhere(&cloud, &seen.history);
    // The address that was moved goes home.
    cloud.apply();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    cloud.down();
}

/// An address moves, a service that was killed is there again, the verdict tells of the copy,
/// and nobody else is taken out.
fn beside_a_copy(cloud: &Cloud) {
    let begin = Instant::now();
    let from = runs_on(cloud, "vip-keystone");
    let ban = format!("crm_resource --resource vip-keystone --ban --node {from}");
    cloud.shell("c1", &ban).good();
    until("the address to move", DECIDES, || {
        let now = runs_on(cloud, "vip-keystone");
        if now.is_empty() || now == from {
            Err(now)
        } else {
            Ok(())
        }
    });
    tell(&format!(
        "beside the copy an address moves within {:.1} s",
        begin.elapsed().as_secs_f64()
    ));
    cloud
        .shell(
            "c1",
            &format!("crm_resource --resource vip-keystone --clear --node {from}"),
        )
        .good();
    let status = cloud.status().unwrap();
    assert_ne!(status["verdict"], "redundant", "{status:#}");
    let file = cloud.file();
    let drain = ["host", "drain", "c1", "--yes", "-f", file.to_str().unwrap()];
    let said = run(program(), &drain);
    tell(&format!("a drain beside the copy: {said}"));
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.err.contains("galera"), "{said}");
    let standby = cloud.shell("c1", "crm_mon --one-shot | grep -i standby");
    assert!(!standby.ok(), "{standby}");
    let copies = cloud.shell("c3", "pgrep -f [w]srep_sst_mariabackup");
    assert!(copies.ok(), "the copy was over before all was seen: {copies}");
}
