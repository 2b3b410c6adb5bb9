//! Whatever is killed while a cloud is made, the next run goes on from what is
//! there, and the end is that of a run that nobody disturbed.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::cloud::{Cloud, HOSTS};
use crate::observed::{difference, settled};
use crate::said::{tell, until};

const APPLY: [&str; 4] = ["apply", "--yes", "--seed", "7"];
const LOG: &str = "apply.log";
/// A run that takes longer hangs.
const ENDS: Duration = Duration::from_mins(3);
const ROUNDS: usize = 40;

#[test]
#[ignore = "lab"]
fn killed_and_resumed() {
    let cloud = Cloud::new("st-kill", 23);
    cloud.up();
    let said = cloud.say(&APPLY).good();
    tell(&format!("unbroken: {}", said.out.trim()));
    let unbroken = end_of(&cloud);
    // The vault stays beside the cloud file: a seed does not repeat certificates.
    for (what, victim) in [("operators", operator as Victim), ("agents", agents)] {
        cloud.down();
        cloud.up();
        let began = Instant::now();
        let kills = resumed(&cloud, what, victim);
        let took = began.elapsed();
        tell(&format!(
            "{what} were killed {kills} times; whole after {took:.1?}"
        ));
        assert!(kills > 2, "{what} were killed {kills} times only");
        let end = end_of(&cloud);
        assert!(
            end == unbroken,
            "after {what} were killed {kills} times it is not as after an unbroken run:\n{}",
            difference(&unbroken, &end)
        );
    }
}

fn end_of(cloud: &Cloud) -> String {
    cloud.until_redundant(Duration::from_mins(1));
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    settled(cloud)
}

/// What is killed: given are the run under way, its number, and the host on which
/// a step has just ended.
type Victim = fn(&Cloud, &mut Child, usize, &str);

/// Steps that changed something and where, of all runs, in the order in which they ended.
pub fn changed(cloud: &Cloud) -> Vec<(String, String)> {
    let mut found = vec![];
    let runs = fs_err::read_dir(cloud.state().join("runs"));
    let mut runs: Vec<_> = runs.into_iter().flatten().flatten().map(|r| r.path()).collect();
    // Their names begin with the time.
    runs.sort();
    for run in runs {
        let text = fs_err::read_to_string(run.join("events.jsonl")).unwrap_or_default();
        for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let count = event["ended"]["outcome"]["done"]["changed"].as_u64();
            if count.is_some_and(|n| n > 0) {
                let word = |key: &str| event["ended"][key].as_str().unwrap().to_owned();
                found.push((word("step"), word("host")));
            }
        }
    }
    found
}

fn operator(_: &Cloud, apply: &mut Child, _: usize, _: &str) {
    apply.kill().unwrap();
}

/// Ends the agent of the host that has just finished a step, and every second
/// time those of all hosts: a run may get by without one of them.
fn agents(cloud: &Cloud, _: &mut Child, round: usize, host: &str) {
    let script = "for pid in $(ps -eo pid=,args= | awk '$2 ~ \"^/var/lib/quorate/bin/quorate-\" \
         && $3 == \"agent\" && $4 == \"serve\" { print $1 }'); do kill -KILL $pid || true; done";
    let all = round % 2 == 1;
    for host in HOSTS.iter().filter(|h| all || **h == host) {
        cloud.shell(host, script).good();
    }
}

/// Runs `apply` again and again, with a victim after each first newly finished
/// step that changed something, until one ends well. Gives the number of kills.
fn resumed(cloud: &Cloud, what: &str, victim: Victim) -> usize {
    // Runs before this one are of other hosts.
    let before = changed(cloud).len();
    let mut kills = 0;
    for round in 0..ROUNDS {
        // What a disturbed run still finished after the kill is not new either.
        let done: BTreeSet<_> = changed(cloud).split_off(before).into_iter().collect();
        let mut apply = cloud.spawn(&APPLY, LOG);
        let end = until("a step or the end", ENDS, || {
            let mut all = changed(cloud).split_off(before);
            all.retain(|step| !done.contains(step));
            if !all.is_empty() {
                return Ok(Ok(all));
            }
            match apply.try_wait().unwrap() {
                Some(status) => Ok(Err(status)),
                None => Err(cloud.log(LOG)),
            }
        });
        let status = match end {
            Ok(steps) => {
                let (step, host) = steps.last().unwrap();
                tell(&format!("round {round}: {what} after {step} on {host}"));
                victim(cloud, &mut apply, round, host);
                kills += 1;
                until("the end of a disturbed run", ENDS, || {
                    apply.try_wait().unwrap().ok_or_else(|| cloud.log(LOG))
                })
            }
            Err(status) => {
                let log = cloud.log(LOG);
                // A step in flight on a host may outlive its operator, with the lock.
                let locked = log.contains("is being changed by another run");
                assert!(
                    status.success() || locked,
                    "an undisturbed run failed: {status}\n{log}"
                );
                status
            }
        };
        if status.success() {
            return kills;
        }
    }
    panic!("not whole after {ROUNDS} rounds:\n{}", cloud.log(LOG));
}
