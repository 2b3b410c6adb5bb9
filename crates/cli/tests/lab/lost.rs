//! All are cut and one never comes back: the one that took the writes. The cloud goes on
//! without it, what only it held is bounded and counted, and its store is set aside when it
//! returns all the same. And what else an operator has for a bad day: changes while one is
//! away, a second copy of the vault.

use std::time::{Duration, Instant};

use crate::cloud::{Cloud, HOSTS};
use crate::said::{tell, until};
use crate::writers::{self, Writers};

const WHOLE: Duration = Duration::from_mins(5);
/// From the operator's word to a cloud that serves.
const SERVES: Duration = Duration::from_mins(3);

#[test]
#[ignore = "lab"]
fn long_a_member_that_never_comes_back() {
    let cloud = Cloud::new("st-lost", 38);
    cloud.up();
    cloud.apply();
    cloud.until_redundant(Duration::from_secs(30));
    lost(&cloud);
    replaced(&cloud);
    away(&cloud);
}

#[test]
#[ignore = "lab"]
fn an_older_copy_of_the_vault_is_refused() {
    let cloud = Cloud::new("st-vault", 39);
    cloud.up();
    cloud.apply();
    older(&cloud);
}

/// The member that the writer's connection ends at.
fn writer(cloud: &Cloud) -> String {
    let ask = "mariadb -N -B -e \"SELECT COUNT(*) FROM information_schema.processlist WHERE user='keystone' AND \
               info IS NULL\"";
    until("a member that takes the writes", Duration::from_secs(30), || {
        let clients = HOSTS.map(|h| {
            (
                cloud.shell(h, ask).good().out.trim().parse::<u32>().unwrap_or(0),
                h,
            )
        });
        let (most, host) = clients.into_iter().max().unwrap();
        if most > 0 {
            Ok(host.to_owned())
        } else {
            Err("nobody".to_owned())
        }
    })
}

fn lost(cloud: &Cloud) {
    let row = writers::sql(cloud, &cloud.vip("galera"), 10);
    let writers = Writers::start(vec![row.clone()]);
    let lost = writer(cloud);
    tell(&format!("{lost} takes the writes"));
    let others: Vec<&str> = HOSTS.into_iter().filter(|h| *h != lost).collect();
    let since = writers.mark("writing");
    writers.until_answer("sql", since + 3_000_000_000, WHOLE);
    writers.mark("everything is cut");
    all_cut_but_one_stays_away(cloud, &lost);
    // Nothing begins by itself, and no recovery begins without a word.
    std::thread::sleep(Duration::from_secs(20));
    for host in &others {
        let said = cloud.shell(host, "mariadb -N -B -e 'SELECT 1'");
        assert!(!said.ok(), "a store began by itself: {said}");
    }
    let said = cloud.say(&["recover", "--yes"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(
        said.err.contains(&format!("--without {lost}")),
        "no way out is told: {said}"
    );
    let began = Instant::now();
    let said = cloud.say(&["recover", "--without", &lost, "--yes"]).good();
    tell(&said.all());
    for words in ["is what only", "wrote last", "begins", "in a membership of"] {
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
    let here = writers::kept_on(cloud, others[0], &seen.history);
    tell(&format!(
        "{} of {} acknowledged writes were {lost}'s alone",
        here.lost.len(),
        here.acknowledged
    ));
    assert!(here.unknown.is_empty() && here.duplicates.is_empty(), "{here:?}");
    // What is not applied elsewhere is what waits there: far less than a second of it.
    assert!(here.lost.len() <= 100, "{here:?}");
    let there = writers::kept_on(cloud, others[1], &seen.history);
    assert_eq!(there.lost, here.lost);
    returns(cloud, &lost, &here.lost, &seen);
    writers::clean(&[row]);
}

/// The power of all goes; all but one have it back, and are a cluster.
fn all_cut_but_one_stays_away(cloud: &Cloud, lost: &str) {
    let others: Vec<&str> = HOSTS.into_iter().filter(|h| *h != lost).collect();
    // Journals tell when each was heard last, and are on the disk within five minutes: of a
    // younger cloud nobody can tell it.
    for host in &others {
        cloud.shell(host, "journalctl --sync").good();
    }
    cloud.lab("cut", &HOSTS).good();
    // It may be switched on by its fence device: nobody hears it.
    cloud.lab("unplug", &[lost]).good();
    cloud.lab("on", &others).good();
    until("the others to be a cluster", WHOLE, || {
        let said = cloud.shell(others[0], "crm_mon -1 --output-as=xml");
        let online = others.iter().all(|h| {
            let line = said
                .out
                .lines()
                .find(|l| l.contains(&format!("node name=\"{h}\"")));
            line.is_some_and(|l| l.contains("online=\"true\"") && l.contains("pending=\"false\""))
        });
        if online && said.out.contains("with_quorum=\"true\"") {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
}

/// Lost once more, with an empty machine in its place: the replacement joins.
fn replaced(cloud: &Cloud) {
    cloud.forget_boots();
    let row = writers::sql(cloud, &cloud.vip("galera"), 10);
    let writers = Writers::start(vec![row.clone()]);
    let lost = writer(cloud);
    writers.mark("everything is cut once more");
    all_cut_but_one_stays_away(cloud, &lost);
    let said = cloud.say(&["recover", "--without", &lost, "--yes"]).good();
    tell(&said.all());
    writers.until_good(WHOLE);
    let seen = writers.stop();
    let other = HOSTS.into_iter().find(|h| *h != lost).unwrap();
    let kept = writers::kept_on(cloud, other, &seen.history);
    // Its fence device may have switched it on.
    let _ = cloud.lab("cut", &[&lost]);
    cloud.lab("plug", &[&lost]).good();
    cloud.lab("blank", &[&lost]).good();
    cloud.up();
    let said = cloud.say(&["host", "replace", &lost, "--yes", "--file"]).good();
    tell(&format!(
        "an empty machine in place of {lost} is a member after {:.1} s",
        said.took.as_secs_f64()
    ));
    cloud.forget_boots();
    cloud.until_redundant(WHOLE);
    let there = writers::kept_on(cloud, &lost, &seen.history);
    assert_eq!(there.lost, kept.lost, "{there:?}");
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    writers::clean(&[row]);
}

/// The lost one is back with its disk: it neither leads nor feeds the others.
fn returns(cloud: &Cloud, lost: &str, rows: &[u64], seen: &writers::Seen) {
    cloud.lab("plug", &[lost]).good();
    let _ = cloud.lab("on", &[lost]); // its fence device may have done so
    cloud.forget_boots();
    cloud.until_redundant(WHOLE);
    let aside = cloud.shell(
        lost,
        "ls -d /var/lib/quorate/aside/galera-*/quorate /var/lib/quorate/aside/rabbitmq-*",
    );
    tell(&aside.good().out);
    for host in HOSTS {
        let fate = writers::kept_on(cloud, host, &seen.history);
        assert_eq!(fate.lost, rows, "{host}");
    }
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}

/// A change while one is away reaches the others, and it before it serves.
fn away(cloud: &Cloud) {
    let host = "c2";
    let file = fs_err::read_to_string(cloud.file()).unwrap();
    let line = format!("address: \"{}\" }}", cloud.address(host));
    assert!(file.contains(&line), "{file}");
    let away = line.replace(" }", ", away: \"its board is dead\" }");
    fs_err::write(cloud.file(), file.replace(&line, &away)).unwrap();
    cloud.lab("unplug", &[host]).good();
    until("it to be missed", WHOLE, || {
        let said = cloud.say(&["plan", "--brief"]);
        if said.ok() { Ok(()) } else { Err(said.to_string()) }
    });
    let status = cloud.status().unwrap();
    assert!(status.to_string().contains("its board is dead"), "{status:#}");
    cloud.say(&["rotate", "keys", "--yes"]).good();
    let keys = |host: &str| {
        cloud
            .shell(host, "sha256sum /etc/keystone/fernet-keys/*")
            .good()
            .out
    };
    assert_eq!(keys("c1"), keys("c3"));
    cloud.forget_boots();
    cloud.lab("plug", &[host]).good();
    until("it to be back and to run nothing", WHOLE, || {
        let said = cloud.shell(
            host,
            "crm_node -n && crm_attribute -N $(crm_node -n) -n standby -l forever -q -G",
        );
        if said.ok() && said.out.contains("on") {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
    assert_ne!(keys(host), keys("c1"));
    assert!(!cloud.shell(host, "pgrep -x mariadbd").ok());
    cloud.apply();
    assert_eq!(keys(host), keys("c1"));
    cloud.until_redundant(WHOLE);
    fs_err::write(cloud.file(), file).unwrap();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}

/// An older copy would put withdrawn keys back: nothing is planned or changed by it.
fn older(cloud: &Cloud) {
    let vault = cloud.state().join("vault.age");
    let copy = cloud.state().join("copy.age");
    fs_err::copy(&vault, &copy).unwrap();
    cloud.say(&["rotate", "keys", "--yes"]).good();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    let newest = fs_err::read(&vault).unwrap();
    fs_err::copy(&copy, &vault).unwrap();
    for words in [&["plan"][..], &["apply", "--yes"], &["rotate", "keys", "--yes"]] {
        let said = cloud.say(words);
        assert_eq!(said.code, Some(1), "{said}");
        assert!(
            said.err.contains("vault::older") && said.err.contains("saved by"),
            "{said}"
        );
        // Nothing was saved either: the copy would else pass for a newer one.
        assert_eq!(fs_err::read(&vault).unwrap(), fs_err::read(&copy).unwrap());
    }
    tell("an older copy is refused");
    fs_err::write(&vault, newest).unwrap();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
    // The way out, where the newest is lost.
    fs_err::copy(&copy, &vault).unwrap();
    cloud.say(&["apply", "--yes", "--older-vault"]).good();
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}
