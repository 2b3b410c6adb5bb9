//! Work that recurs: the cloud's own on one host at a time, wherever that is, and
//! the operator's when it is due, and not twice.

use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use vault::SecretString;

use crate::cloud::{Cloud, HOSTS};
use crate::moto;
use crate::said::{program, tell, until};

/// Death is noticed, the power is cut, and the timer starts.
const MOVED: Duration = Duration::from_mins(1);
const WORK: &str = "quorate-keystone-trust-flush";
/// Where the identity service has the key that signs next.
const STAGED: &str = "/etc/keystone/fernet-keys/0";

#[test]
#[ignore = "lab"]
fn work_recurs_on_one_host_and_when_it_is_due() {
    let cloud = Cloud::new("st-upkeep", 51);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    moves(&cloud);
    upkeep(&cloud);
    bucket(&cloud);
    cloud.down();
}

/// The hosts on which the timer runs, of those that can be asked.
fn holders(cloud: &Cloud, hosts: &[&'static str]) -> Vec<&'static str> {
    let runs = |host: &&&str| {
        let said = cloud.shell(host, &format!("systemctl is-active {WORK}.timer || true"));
        said.good().out.trim() == "active"
    };
    hosts.iter().filter(runs).copied().collect()
}

fn moves(cloud: &Cloud) {
    let [holder] = holders(cloud, &HOSTS)[..] else {
        panic!("it runs on {:?}", holders(cloud, &HOSTS));
    };
    let next = cloud.shell(
        holder,
        &format!("systemctl show -P NextElapseUSecRealtime {WORK}.timer"),
    );
    tell(&format!(
        "the timer runs on {holder}, next {}",
        next.good().out.trim()
    ));
    cloud
        .shell(holder, &format!("systemctl start {WORK}.service"))
        .good();
    cloud.lab("cut", &[holder]).good();
    let left: Vec<&str> = HOSTS.into_iter().filter(|h| *h != holder).collect();
    let next = until("the timer to run elsewhere", MOVED, || {
        let now = holders(cloud, &left);
        // Never on two, at whatever moment it is looked at.
        assert!(now.len() < 2, "it runs on {now:?}");
        now.first().copied().ok_or_else(|| "nowhere".to_owned())
    });
    tell(&format!("after a power cut of {holder} it runs on {next}"));
    cloud
        .shell(next, &format!("systemctl start {WORK}.service"))
        .good();
    cloud.lab("on", &[holder]).good();
    cloud.until_redundant(Duration::from_mins(3));
    assert_eq!(holders(cloud, &HOSTS).len(), 1);
    cloud.apply();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}

fn backups(cloud: &Cloud) -> usize {
    let said = cloud.say(&["backup", "list"]).good();
    said.out.lines().count()
}

fn staged(cloud: &Cloud) -> Vec<String> {
    HOSTS
        .map(|h| cloud.shell(h, &format!("cat {STAGED}")).good().out)
        .to_vec()
}

fn upkeep(cloud: &Cloud) {
    let said = cloud.say(&["upkeep"]).good();
    assert!(said.out.contains(": backup due "), "{said}");
    assert_eq!(backups(cloud), 1, "{said}");
    let before = staged(cloud);
    let said = cloud.say(&["upkeep"]).good();
    tell(&format!("nothing is due:\n{}", said.out));
    assert_eq!((backups(cloud), staged(cloud)), (1, before.clone()));
    // A key that was made long ago.
    let mut vault = cloud.vault();
    let old = Timestamp::now() - SignedDuration::from_hours(8 * 24);
    let key = cloud.secret("keystone/fernet-0");
    vault
        .import("keystone/fernet-0", SecretString::from(key), old)
        .unwrap();
    vault.save().unwrap();
    // Somebody else is at it.
    let lock = cloud.state().join("upkeep.lock");
    fs_err::write(&lock, "somebody").unwrap();
    let file = std::fs::File::open(&lock).unwrap();
    file.lock().unwrap();
    let said = cloud.say(&["upkeep"]);
    assert!(said.err.contains("is under way: somebody"), "{said}");
    drop(file);
    // Nothing that the operator has not applied goes along with it.
    cloud.describe("config: { /etc/keystone/keystone.conf: { token: { expiration: 7200 } } }\n");
    let said = cloud.say(&["upkeep"]);
    assert!(said.err.contains("is not as its file says"), "{said}");
    assert_eq!(staged(cloud), before);
    cloud.describe("");
    let said = cloud.say(&["upkeep"]).good();
    tell(&format!("a ring was due:\n{}", said.out));
    assert!(said.out.contains(": keys done"), "{said}");
    let turned = staged(cloud);
    assert!(before.iter().zip(&turned).all(|(a, b)| a != b));
    assert!(turned.windows(2).all(|pair| pair[0] == pair[1]));
    // One that was killed between the vault and the hosts: the next goes on.
    let mut vault = cloud.vault();
    for (from, to) in [("2", "1"), ("0", "2")] {
        vault.rename(
            &format!("keystone/fernet-{from}"),
            &format!("keystone/fernet-{to}"),
        );
    }
    let now = Timestamp::now();
    let mark = SecretString::from("a change of secrets is not on all hosts yet");
    vault.import("upkeep/unfinished", mark, now).unwrap();
    vault
        .import(
            "keystone/fernet-0",
            SecretString::from("c3RhZ2Vk".repeat(5) + "c3Q="),
            now,
        )
        .unwrap();
    vault.save().unwrap();
    let said = cloud.say(&["upkeep"]).good();
    assert!(said.out.contains(": what was interrupted done"), "{said}");
    assert_ne!(staged(cloud), turned);
    assert!(cloud.vault().get("upkeep/unfinished").is_none());
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}

/// Backups in a bucket: what is wrong is said before anything is made, what was sent is
/// listed and pruned, and what could not be sent goes with the next.
fn bucket(cloud: &Cloud) {
    let Some(server) = moto::server() else { return };
    let (file, place) = (cloud.file(), "s3://kept/site");
    let quorate = |port: u16, before: &[&str], after: &[&str]| -> (String, String) {
        let said = Command::new(program())
            .args(before)
            .arg(&file)
            .args(after)
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(said.stdout), text(said.stderr))
    };
    let backup = |port| quorate(port, &["backup"], &["--to", place, "--keep", "1"]);
    let outgoing = cloud.state().join("outgoing");
    let waiting = || fs_err::read_dir(&outgoing).map_or(0, Iterator::count);
    let (_, error) = backup(server.port);
    assert!(error.contains("there is no such bucket"), "{error}");
    let (_, error) = backup(moto::free_port());
    assert!(error.contains("the service cannot be asked"), "{error}");
    assert_eq!(waiting(), 0);
    moto::make(server.port, "kept");
    for _ in 0..2 {
        let (out, error) = backup(server.port);
        assert!(
            out.contains("s3://kept/site/st-upkeep-") && out.contains(": sent"),
            "{out}{error}"
        );
    }
    // One that was cut off from the bucket before it was sent.
    let kept = cloud.state().join("backups");
    let first = fs_err::read_dir(kept).unwrap().next().unwrap().unwrap();
    fs_err::copy(first.path(), outgoing.as_std_path().join(first.file_name())).unwrap();
    let (out, error) = backup(server.port);
    assert_eq!((out.matches(": sent").count(), waiting()), (2, 0), "{out}{error}");
    let (listed, _) = quorate(server.port, &["backup", "list"], &["--to", place]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    tell(&format!("in the bucket:\n{listed}"));
    let last = listed.split_whitespace().last().unwrap();
    let (out, error) = quorate(
        server.port,
        &["restore"],
        &[last, "--replace", &cloud.name, "--yes"],
    );
    assert!(
        out.contains("the cloud has the databases of the backup"),
        "{out}{error}"
    );
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}
