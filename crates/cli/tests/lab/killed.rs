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
    for (what, victim) in [
        (
            "the operator's process",
            operator as fn(&Cloud, &mut Child, usize),
        ),
        ("an agent", agent),
    ] {
        cloud.down();
        cloud.up();
        let began = Instant::now();
        let rounds = resumed(&cloud, what, victim);
        let took = began.elapsed();
        tell(&format!(
            "{what} was killed {rounds} times; whole after {took:.1?}"
        ));
        let end = end_of(&cloud);
        assert!(
            end == unbroken,
            "after {what} was killed {rounds} times it is not as after an unbroken run:\n{}",
            difference(&unbroken, &end)
        );
    }
}

fn end_of(cloud: &Cloud) -> String {
    cloud.until_redundant(Duration::from_mins(1));
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    settled(cloud)
}

/// Steps that changed something, of all runs, in the order in which they ended.
fn changed(cloud: &Cloud) -> Vec<String> {
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
                found.push(event["ended"]["step"].as_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn operator(_: &Cloud, apply: &mut Child, _: usize) {
    apply.kill().unwrap();
}

/// Ends the agent of one host, by its number; another host each time.
fn agent(cloud: &Cloud, _: &mut Child, round: usize) {
    let host = HOSTS[round % HOSTS.len()];
    let script = "for pid in $(ps -eo pid=,args= | awk '$2 ~ \"^/var/lib/quorate/bin/quorate-\" \
         && $3 == \"agent\" && $4 == \"serve\" { print $1 }'); do kill -KILL $pid; done";
    cloud.shell(host, script).good();
}

/// Runs `apply` again and again, with a victim after each first newly finished
/// step that changed something, until one ends well by itself.
fn resumed(cloud: &Cloud, what: &str, victim: fn(&Cloud, &mut Child, usize)) -> usize {
    // Of the runs before this one, which are of other hosts.
    let before = changed(cloud).len();
    let mut done = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut apply = cloud.spawn(&APPLY, LOG);
        let end = until("a step or the end", ENDS, || {
            if let Some(status) = apply.try_wait().unwrap() {
                return Ok(Err(status));
            }
            let mut all = changed(cloud).split_off(before);
            all.retain(|step| !done.contains(step));
            if all.is_empty() {
                Err(cloud.log(LOG))
            } else {
                Ok(Ok(all))
            }
        });
        let status = match end {
            Ok(steps) => {
                tell(&format!("round {round}: {what} after {}", steps.join(", ")));
                victim(cloud, &mut apply, round);
                done.extend(steps);
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
            return round;
        }
    }
    panic!("not whole after {ROUNDS} rounds:\n{}", cloud.log(LOG));
}
