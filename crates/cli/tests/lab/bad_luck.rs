//! What an operator runs into: each is told with host, reason and cure, and
//! changes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::{Said, run, tell, until, wait};

/// Where a deployment would leave something. The pushed program is elsewhere.
const STAMPS: &str = "find /etc /usr/lib/quorate /usr/lib/systemd /usr/local /root /opt /srv \
    /var/lib/keystone /var/lib/dpkg /var/lib/corosync -xdev -printf '%p %C@ %s\\n' 2>/dev/null | sort; \
    find /var/lib/mysql /var/lib/rabbitmq -xdev -maxdepth 1 | sort";

/// All that was found wrong: one story tells of every case.
struct Cases<'a> {
    cloud: &'a Cloud,
    wrong: String,
    /// Something was changed that should not have been.
    dirty: bool,
}

impl Cases<'_> {
    /// Does something that must be refused with all of these words, and leave
    /// the hosts that can be asked as they are.
    fn refused(&mut self, title: &str, verb: &[&str], words: &[&str]) -> Said {
        self.judged(title, verb, Some(1), words)
    }

    fn judged(&mut self, title: &str, verb: &[&str], code: Option<i32>, words: &[&str]) -> Said {
        let stamps = |host: &'static str| {
            let found = self.cloud.shell(host, STAMPS);
            found.ok().then_some((host, found.out))
        };
        let before: Vec<(&str, String)> = HOSTS.into_iter().filter_map(stamps).collect();
        let said = self.cloud.say(verb);
        let missing: Vec<&&str> = words.iter().filter(|w| !said.all().contains(**w)).collect();
        if said.code != code {
            self.note(title, &format!("wanted exit status {code:?}\n{said}"));
        } else if !missing.is_empty() {
            self.note(title, &format!("does not say {missing:?}\n{said}"));
        }
        for (host, before) in before {
            let after = self.cloud.shell(host, STAMPS).out;
            let old: BTreeSet<&str> = before.lines().collect();
            let new: BTreeSet<&str> = after.lines().collect();
            let touched: Vec<&&str> = old.symmetric_difference(&new).collect();
            if let Some(first) = touched.first() {
                let count = touched.len();
                self.note(title, &format!("{host} was touched: {count} lines, as {first}"));
                self.dirty = true;
            }
        }
        tell(&format!("{title}: {:.1} s", said.took.as_secs_f64()));
        said
    }

    /// Hosts as new, where a case has spoilt them for the next.
    fn renew(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.cloud.down();
            self.cloud.up();
        }
    }

    fn note(&mut self, title: &str, text: &str) {
        tell(&format!("WRONG: {title}: {text}"));
        write!(self.wrong, "\n\n== {title}: {text}").unwrap();
    }
}

const APPLY: [&str; 2] = ["apply", "--yes"];

#[test]
#[ignore = "lab"]
fn bad_luck() {
    let cloud = Cloud::new("st-bad", 22);
    cloud.up();
    let mut cases = Cases {
        cloud: &cloud,
        wrong: String::new(),
        dirty: false,
    };
    logins(&mut cases);
    damaged_programs(&mut cases);
    hosts_as_they_should_not_be(&mut cases);
    unreachable(&mut cases);
    for host in HOSTS {
        let found = cloud.shell(host, "test ! -e /etc/corosync/authkey");
        if !found.ok() {
            cases.note("after all refusals", &format!("{host} has a key: {found}"));
        }
    }
    two_at_once_and_a_cut(&mut cases);
    vaults(&mut cases);
    assert!(cases.wrong.is_empty(), "{}", cases.wrong);
}

fn logins(cases: &mut Cases<'_>) {
    let cloud = cases.cloud;
    let config = cloud.state().join("ssh_config");
    let right = fs_err::read_to_string(&config).unwrap();
    let key = cloud.state().join("stranger");
    let made = ["-q", "-t", "ed25519", "-N", "", "-f", key.as_str()];
    run("ssh-keygen".as_ref(), &made).good();
    let own = cloud.state().join("ssh_key");
    fs_err::write(&config, right.replace(own.as_str(), key.as_str())).unwrap();
    let words = ["c1", "c2", "c3", "Permission denied", "does not accept your key"];
    cases.refused("a key that no host knows", &APPLY, &words);

    let user = |name: &str| {
        cloud.describe(&format!("ssh: {{ user: {name} }}\n"));
        let text = right.replace("  User root\n", &format!("  User {name}\n"));
        fs_err::write(&config, text).unwrap();
    };
    user("nosudo");
    let words = ["c1", "c2", "c3", "sudo", "`sudo -n` without a password"];
    cases.refused("a user without sudo", &APPLY, &words);
    user("operator");
    let plan = ["plan", "--brief", "--detailed-exitcode"];
    cases.judged("a user with sudo", &plan, Some(3), &["prepare c1"]);
    cloud.describe("");
    fs_err::write(&config, &right).unwrap();
}

/// As a power cut soon after the first contact leaves the pushed program: empty, cut, or
/// of other bytes. It is pushed again, and nobody is asked to.
fn damaged_programs(cases: &mut Cases<'_>) {
    let newest = "f=$(ls -t /var/lib/quorate/bin/quorate-* | head -1) && test -s $f";
    for (host, damage) in [
        ("c1", ": >$f"),
        ("c2", "truncate -s 1000000 $f"),
        ("c3", "s=$(stat -c %s $f) && : >$f && truncate -s $s $f"),
    ] {
        cases.cloud.shell(host, &format!("{newest} && {damage}")).good();
    }
    let plan = ["plan", "--brief", "--detailed-exitcode"];
    let words = ["prepare c1", "prepare c2", "prepare c3"];
    cases.judged("damaged programs", &plan, Some(3), &words);
}

fn hosts_as_they_should_not_be(cases: &mut Cases<'_>) {
    let cloud = cases.cloud;
    // Each with how it comes to be, how it ends, and what is said.
    let all: [(&str, &str, &str, &str, &[&str]); 6] = [
        (
            "a full disk",
            "c3",
            "free=$(df --output=avail -B1M / | tail -1) && fallocate -l $((free - 90))M /var/hog",
            "rm /var/hog",
            &["c3 has", "MiB free on", "host::disk-full", "make room"],
        ),
        (
            "another release of the distribution",
            "c2",
            "sed -i 's/^VERSION_ID=.*/VERSION_ID=\"12\"/' /etc/os-release",
            "ln -sf ../usr/lib/os-release /etc/os-release",
            &[
                "c2 runs debian-12, the cloud file says debian-13",
                "install the right release",
            ],
        ),
        (
            "a stranger on the API's port",
            "c1",
            "systemd-run -q --unit=stranger python3 -m http.server 5000",
            "systemctl stop stranger",
            &["c1: port 5000", "keystone", "`python3`", "stop `python3` there"],
        ),
        (
            "a stranger on the database's port",
            "c2",
            "systemd-run -q --unit=stranger python3 -m http.server 3306",
            "systemctl stop stranger",
            &["c2: port 3306", "`python3`", "stop `python3` there"],
        ),
        (
            "somebody's database",
            "c2",
            "mkdir /var/lib/mysql/wordpress && touch /var/lib/mysql/wordpress/posts.ibd",
            "test -e /var/lib/mysql/wordpress/posts.ibd && rm -r /var/lib/mysql/wordpress",
            &["c2", "wordpress", "hint: "],
        ),
        (
            "a host of another cluster",
            "c3",
            "cp /etc/corosync/corosync.conf /run/ && \
             sed -i 's/cluster_name: .*/cluster_name: theirs/' /etc/corosync/corosync.conf",
            "grep -q theirs /etc/corosync/corosync.conf && cp /run/corosync.conf /etc/corosync/",
            &[
                "c3 is a member of another cluster",
                "nothing was touched",
                "host::another-cluster",
            ],
        ),
    ];
    for (title, host, make, undo, words) in all {
        cloud.shell(host, make).good();
        if make.starts_with("systemd-run") {
            until("the stranger", Duration::from_secs(20), || {
                let port = words[0].rsplit(' ').next().unwrap();
                let said = cloud.shell(host, &format!("ss -tlnH 'sport = :{port}' | grep ."));
                if said.ok() { Ok(()) } else { Err(said.to_string()) }
            });
        }
        cases.refused(title, &APPLY, words);
        let undone = cloud.shell(host, undo);
        if !undone.ok() {
            cases.note(title, &format!("it is not there any more: {undone}"));
        }
        cases.renew();
    }
}

fn unreachable(cases: &mut Cases<'_>) {
    let cloud = cases.cloud;
    // The cut is honest: what the cases before took back must be on the disk, or
    // the host comes up as they had made it.
    cloud.shell("c3", "sync").good();
    cloud.lab("cut", &["c3"]).good();
    let words = ["c3", "cannot connect", "host::unreachable", "is the host on"];
    cases.refused("a host without power", &APPLY, &words);
    cloud.lab("on", &["c3"]).good();
    answers(cloud);
}

/// Waits until all hosts can be looked at.
fn answers(cloud: &Cloud) {
    until("all hosts to answer", Duration::from_mins(1), || {
        let said = cloud.say(&["observe"]);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
}

fn two_at_once_and_a_cut(cases: &mut Cases<'_>) {
    let cloud = cases.cloud;
    let runs = || -> Vec<String> {
        let entries = fs_err::read_dir(cloud.state().join("runs"));
        let names = entries.into_iter().flatten().flatten();
        names
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let before = runs();
    let mut first = cloud.spawn(&APPLY, "first.log");
    let wait_for = |what: &str| {
        until(what, Duration::from_mins(2), || {
            let id = runs().into_iter().find(|r| !before.contains(r));
            let Some(id) = id else {
                return Err(cloud.log("first.log"));
            };
            let events = cloud.state().join("runs").join(&id).join("events.jsonl");
            let text = fs_err::read_to_string(events).unwrap_or_default();
            if text.contains(what) { Ok(id) } else { Err(text) }
        })
    };
    let id = wait_for("\"started\"");
    let second = cloud.say(&APPLY);
    let owner = format!("apply run {id}");
    for word in [
        "c1",
        "is being changed by another run",
        &owner,
        "wait for it to end",
    ] {
        if second.code != Some(1) || !second.all().contains(word) {
            cases.note("two at once", &format!("wanted 1 and {word:?}\n{second}"));
        }
    }
    tell(&format!(
        "two at once: {}",
        second.err.lines().next().unwrap_or_default()
    ));
    // The cluster has begun on all three: now one goes.
    wait_for("\"ended\":{\"ms\":");
    wait_for("\"step\":\"quorum\"");
    cloud.lab("cut", &["c3"]).good();
    let mut ended = || first.try_wait().unwrap().ok_or_else(|| cloud.log("first.log"));
    let status = wait(Duration::from_mins(3), &mut ended).unwrap_or_else(|log| {
        cases.note("a cut in the middle", &format!("apply does not end:\n{log}"));
        first.kill().unwrap();
        first.wait().unwrap()
    });
    let log = cloud.log("first.log");
    tell(&format!("a cut in the middle: {status}:\n{log}"));
    let told = ["c3", "steps failed", "run `quorate apply` again"];
    if status.code() != Some(1) || told.iter().any(|w| !log.contains(w)) {
        cases.note(
            "a cut in the middle",
            &format!("wanted 1 and {told:?}: {status}\n{log}"),
        );
    }
    cloud.lab("on", &["c3"]).good();
    answers(cloud);
    let again = cloud.say(&APPLY);
    tell(&format!("again: {:?} {}", again.code, again.out.trim()));
    if !again.ok() {
        cases.note("apply after a cut in the middle", &again.to_string());
        // What follows needs a whole cloud.
        cloud.apply();
    }
    cloud.until_redundant(Duration::from_mins(2));
}

fn vaults(cases: &mut Cases<'_>) {
    let cloud = cases.cloud;
    let vault = cloud.state().join("vault.age");
    let key = cloud.state().join("vault.key");
    let (sealed, own) = (fs_err::read(&vault).unwrap(), fs_err::read(&key).unwrap());

    let other = tempfile::tempdir().unwrap();
    let folder = camino::Utf8Path::from_path(other.path()).unwrap();
    vault::recipients(folder).unwrap();
    fs_err::copy(folder.join("vault.key"), &key).unwrap();
    for verb in [&APPLY[..], &["plan"], &["status"]] {
        let title = format!("a vault for another key, {}", verb[0]);
        cases.refused(&title, verb, &["cannot decrypt", "vault.age", "hint: "]);
    }
    fs_err::write(&key, &own).unwrap();

    for verb in [&["plan"][..], &["status"], &["observe"], &APPLY] {
        fs_err::remove_file(&vault).unwrap();
        let title = format!("no vault over a cloud that is there, {}", verb[0]);
        cases.refused(&title, verb, &["vault", "hint: "]);
        if vault.exists() {
            cases.note(&title, "it made a new vault");
        }
        fs_err::write(&vault, &sealed).unwrap();
    }
    cloud.until_redundant(Duration::from_mins(1));
    let after = cloud.say(&["plan", "--detailed-exitcode"]);
    if !after.ok() {
        cases.note("after all of it", &after.to_string());
    }
}
