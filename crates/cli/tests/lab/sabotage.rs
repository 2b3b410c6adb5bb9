//! Sabotages that take a cloud's redundancy away while everything answers: `status` says each, with
//! its cure, and is `redundant` again once that was run as printed.

use std::time::Duration;

use serde_json::Value;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{program, run, tell, until};

/// A cluster acts within a second, a broker looks at its alarms every few.
const TOLD: Duration = Duration::from_secs(30);
/// `status` takes two seconds at most where nobody else works on the machine.
const BUSY: Duration = Duration::from_secs(5);
const CURED: Duration = Duration::from_mins(1);
/// A member whose disk was full is started again.
const WHOLE: Duration = Duration::from_mins(4);

/// One sabotage: on which host, how, and what `status` says of it.
struct Sabotage {
    host: &'static str,
    script: &'static str,
    kind: &'static str,
    verdict: &'static str,
    /// A plan is refused over it, or else has a step for it; one of neither it leaves alone.
    plan: Plan,
}

#[derive(PartialEq)]
enum Plan {
    Refused,
    Mends,
}

const CHEAP: &[Sabotage] = &[
    Sabotage {
        host: "c1",
        script: "crm_attribute -t crm_config -n maintenance-mode -v true",
        kind: "held",
        verdict: "exposed",
        plan: Plan::Refused,
    },
    Sabotage {
        host: "c2",
        script: "crm_attribute -t nodes -N c3 -n maintenance -v true",
        kind: "node-held",
        verdict: "exposed",
        plan: Plan::Refused,
    },
    Sabotage {
        host: "c1",
        script: "crm_attribute -t crm_config -s cib-bootstrap-options -n stonith-enabled -v false",
        kind: "unfenced",
        verdict: "exposed",
        plan: Plan::Mends,
    },
    Sabotage {
        host: "c3",
        script: "crm_attribute -t crm_config -s cib-bootstrap-options -n startup-fencing -v false",
        kind: "property",
        verdict: "degraded",
        plan: Plan::Mends,
    },
    Sabotage {
        host: "c2",
        script: "crm_resource -r galera --meta -p is-managed -v false",
        kind: "unmanaged",
        verdict: "degraded",
        plan: Plan::Mends,
    },
    Sabotage {
        host: "c1",
        script: "/usr/lib/quorate/galera-birth weigh 3",
        kind: "weight",
        verdict: "exposed",
        plan: Plan::Mends,
    },
];

/// A broker's alarm is told before the limit that raised it, which its own account has late.
const LATE: Sabotage = Sabotage {
    host: "c2",
    script: "rabbitmqctl set_disk_free_limit 900GB",
    kind: "alarm",
    verdict: "down",
    plan: Plan::Mends,
};

#[test]
#[ignore = "lab"]
fn sabotage_is_told_and_cured_as_printed() {
    let cloud = Cloud::new("st-sabotage", 63);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    quick(&cloud);
    for sabotage in CHEAP {
        one(&cloud, sabotage);
    }
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    cloud.down();
}

#[test]
#[ignore = "lab"]
fn long_sabotage_of_brokers_addresses_and_tokens() {
    let cloud = Cloud::new("st-sabotage3", 65);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    one(&cloud, &LATE);
    twice(&cloud);
    tokens(&cloud);
    ends(&cloud);
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    cloud.down();
}

/// The first problem of that kind; fails with all that was said.
fn problem(status: &Value, kind: &str) -> Result<Value, String> {
    let all = status["problems"].as_array().ok_or_else(|| status.to_string())?;
    let found = all.iter().find(|p| p["kind"] == kind);
    found.cloned().ok_or_else(|| format!("{status:#}"))
}

/// Waits until a kind of problem is told, with the verdict of the whole.
#[track_caller]
fn told(cloud: &Cloud, kind: &str, verdict: &str) -> String {
    let next = until(&format!("{kind} to be told"), TOLD, || {
        let status = cloud.status()?;
        let found = problem(&status, kind)?;
        if status["verdict"] == verdict {
            Ok(found["next"].as_str().unwrap_or_default().to_owned())
        } else {
            Err(format!("{status:#}"))
        }
    });
    let check = cloud.say(&["status", "--check"]);
    let code = if verdict == "degraded" { 1 } else { 2 };
    assert_eq!(check.code, Some(code), "{check}");
    assert_eq!(check.out.lines().count(), 1, "{check}");
    next
}

/// Runs a cure as it is printed: our own command, or those on a host.
#[track_caller]
fn cure(cloud: &Cloud, next: &str) {
    match next.split_once(": `") {
        Some((place, rest)) => {
            let host = place.strip_prefix("on ").unwrap();
            let command = rest.strip_suffix('`').unwrap();
            cloud.shell(host, command).good();
        }
        None if next == "quorate apply" => drop(cloud.apply()),
        None => {
            let words: Vec<&str> = next.strip_prefix("quorate ").unwrap().split(' ').collect();
            cloud.say(&words).good();
        }
    }
}

fn one(cloud: &Cloud, sabotage: &Sabotage) {
    cloud.shell(sabotage.host, sabotage.script).good();
    let next = told(cloud, sabotage.kind, sabotage.verdict);
    // A broker tells of its limits some seconds late.
    until(&format!("a plan over {}", sabotage.kind), TOLD, || {
        let plan = cloud.say(&["plan", "--detailed-exitcode"]);
        let right = match sabotage.plan {
            Plan::Refused => plan.code == Some(1) && plan.err.contains("nothing was changed"),
            Plan::Mends => plan.code == Some(3),
        };
        if right { Ok(()) } else { Err(plan.to_string()) }
    });
    cure(cloud, &next);
    cloud.until_redundant(CURED);
    tell(&format!(
        "{}: {} is told, and cured by {next}",
        sabotage.script, sabotage.kind
    ));
}

/// `status` of a whole cloud: how long it takes, and what a check says.
fn quick(cloud: &Cloud) {
    let took = (0..3).map(|_| cloud.say(&["status"]).good().took).min().unwrap();
    tell(&format!("status takes {:.2} s", took.as_secs_f64()));
    assert!(took < BUSY, "{took:?}");
    let check = cloud.say(&["status", "--check"]).good();
    assert!(
        check.out.starts_with("QUORATE OK - ") && check.out.contains(" | problems=0 "),
        "{check}"
    );
}

/// An address on a host where the cluster does not run it.
fn twice(cloud: &Cloud) {
    let vip = cloud.vip("keystone");
    let holds = |host: &&&str| {
        let said = cloud.shell(host, "ip -br -4 address");
        said.good().out.contains(&format!("{vip}/"))
    };
    let holder = *HOSTS.iter().find(holds).unwrap();
    let other = HOSTS.iter().find(|h| **h != holder).unwrap();
    let line = format!(
        "set -- $(ip -br -4 address | grep -F {}/) && ip address add {vip}/24 dev ${{1%%@*}}",
        cloud.address(other)
    );
    cloud.shell(other, &line).good();
    let next = told(cloud, "address-twice", "exposed");
    cure(cloud, &next);
    cloud.until_redundant(CURED);
    tell(&format!("an address on two hosts is told, and cured by {next}"));
}

/// Every token is refused while every version page is given.
fn tokens(cloud: &Cloud) {
    let sql = |words: &str| format!("mariadb keystone -e \"{words}\"");
    cloud
        .shell("c1", &sql("RENAME TABLE local_user TO local_user_away"))
        .good();
    told(cloud, "journey-fails", "down");
    cloud
        .shell("c1", &sql("RENAME TABLE local_user_away TO local_user"))
        .good();
    cloud.until_redundant(CURED);
    tell("tokens that nobody gets are told");
}

/// A certificate that was made long ago.
fn ends(cloud: &Cloud) {
    let saved = cloud.vault();
    let leaf = |n: &str| Some(n.strip_suffix(".crt")?.to_owned()).filter(|_| saved.expires(n).is_some());
    let Some(name) = saved.names().filter_map(leaf).find(|n| n != "tls/ca") else {
        panic!("no certificate")
    };
    let mut vault = cloud.vault();
    let leaf = vault::SecretKind::Leaf {
        ca: "tls/ca".to_owned(),
        common_name: "c1".to_owned(),
        names: Vec::new(),
        ips: Vec::new(),
        days: 825,
    };
    vault.remove(&format!("{name}.crt"));
    vault.remove(&format!("{name}.key"));
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(815 * 24);
    vault
        .ensure(&[vault::SecretRequest::new(&name, leaf)], then)
        .unwrap();
    vault.save().unwrap();
    let next = told(cloud, "ends", "degraded");
    assert_eq!(next, "quorate upkeep");
    let said = run(program(), &["upkeep", cloud.file().to_str().unwrap()]).good();
    cloud.until_redundant(CURED);
    tell(&format!(
        "a certificate that ends soon is told, and renewed\n{}",
        said.out
    ));
}

/// Fence devices that lost their BMC, and a disk that is full.
#[test]
#[ignore = "lab"]
fn long_sabotage_that_takes_time() {
    let cloud = Cloud::new("st-wreck", 64);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    full(&cloud);
    bmc(&cloud);
    cloud.down();
}

/// Nearly full, and full to its last block that anybody may use.
fn full(cloud: &Cloud) {
    const NEARLY: &str =
        "fallocate -l $(( $(df --output=avail -B1 / | tail -1) - (512 << 20) )) /var/tmp/full";
    const FULL: &str = "i=0; for mb in 1024 256 64 16 4 1; do \
         while fallocate -l ${mb}M /var/tmp/full.$i 2>/dev/null; do i=$((i + 1)); done; done; \
         dd if=/dev/zero of=/var/tmp/rest bs=4k 2>/dev/null; test $(stat -f -c %a /) -lt 16";
    // Without any room its broker takes nothing in, and whoever sends waits.
    for (fill, verdict) in [(NEARLY, "degraded"), (FULL, "down")] {
        cloud.shell("c2", fill).good();
        told(cloud, "disk", verdict);
        cloud.shell("c2", "rm -f /var/tmp/full* /var/tmp/rest").good();
        cloud.until_redundant(WHOLE);
        tell(&format!(
            "a disk with this is told, the verdict is {verdict}: {fill}"
        ));
    }
}

fn bmc(cloud: &Cloud) {
    cloud
        .shell("c1", "crm_resource -r fence-c2-1 -p password -v wrong")
        .good();
    let next = told(cloud, "fence-device", "exposed");
    let command = next.split('`').nth(1).unwrap();
    assert!(
        next.contains("password, then on another host") && command.contains("fence-c2-1"),
        "{next}"
    );
    cloud
        .shell(
            "c1",
            &format!(
                "crm_resource -r fence-c2-1 -p password -v {}",
                cloud.secret("lab/bmc-password")
            ),
        )
        .good();
    cloud.shell("c3", command).good();
    cloud.until_redundant(Duration::from_mins(2));
    tell(&format!(
        "a fence device that is refused is told, and cured by {next}"
    ));
}
