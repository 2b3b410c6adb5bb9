//! A backup makes the cloud again, elsewhere and with other addresses; one that
//! is not whole, not for us or of another release touches nothing.

use std::time::Duration;

use backup::{Content, DATABASES, FORMAT, Manifest, Part, Source};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::api::Api;
use crate::cloud::{Cloud, HOSTS};
use crate::said::{Said, program, run, tell, until};
use crate::support;

const PASSWORD: &str = "correct horse";

/// `quorate restore`, of a cloud's file.
fn restore(cloud: &Cloud, backup: &Utf8Path, more: &[&str]) -> Said {
    let file = cloud.file();
    let mut words = vec!["restore", file.to_str().unwrap(), backup.as_str(), "--yes"];
    words.extend(more);
    run(program(), &words)
}

fn backups(cloud: &Cloud) -> Vec<Utf8PathBuf> {
    let said = cloud.say(&["backup", "list", "--output", "json"]).good();
    let listed: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let all = listed.as_array().unwrap().iter();
    all.map(|b| b["path"].as_str().unwrap().into()).collect()
}

/// What a cloud holds that its users know.
#[derive(Debug, PartialEq)]
struct Held {
    users: Vec<(String, String)>,
    projects: Vec<(String, String)>,
    roles: Vec<(String, String)>,
}

fn held(api: &Api<'_>) -> Held {
    let admin = api.admin();
    Held {
        users: api.all(&admin, "users"),
        projects: api.all(&admin, "projects"),
        roles: api.all(&admin, "roles"),
    }
}

/// A project with a member, who can log in.
fn populate(api: &Api<'_>, name: &str) {
    let admin = api.admin();
    let project = api.good(
        &admin,
        "POST",
        "/projects",
        Some(&json!({ "project": { "name": name } })),
    );
    let user = json!({ "user": { "name": name, "password": PASSWORD } });
    let user = api.good(&admin, "POST", "/users", Some(&user));
    let roles = api.all(&admin, "roles");
    let (_, role) = roles.iter().find(|(n, _)| n == "\"member\"").unwrap();
    let word = |value: &serde_json::Value| value["id"].as_str().unwrap().to_owned();
    let path = format!(
        "/projects/{}/users/{}/roles/{}",
        word(&project["project"]),
        word(&user["user"]),
        role.trim_matches('"')
    );
    api.good(&admin, "PUT", &path, None);
}

#[test]
#[ignore = "lab"]
fn long_a_backup_makes_the_cloud_again() {
    let kept = tempfile::tempdir().unwrap();
    let kept = Utf8Path::from_path(kept.path()).unwrap();
    let first = Cloud::new("bk1", 63);
    first.up();
    first.apply();
    first.until_redundant(Duration::from_mins(1));
    let api = Api::of(&first);
    populate(&api, "alice");
    let before = held(&api);
    let token = api.login("alice", PASSWORD, "alice").token.unwrap();
    let audit_ids = api.token(&api.admin(), &token).body["token"]["audit_ids"].clone();
    assert!(audit_ids.is_array(), "{audit_ids}");

    let said = first.say(&["backup", "--keep", "1"]).good();
    tell(said.out.trim());
    written_by_one_that_is_not_the_writer(&first, &said);
    let all = backups(&first);
    assert_eq!(all.len(), 1, "{all:?}");
    let copy = kept.join("copy.tar.age");
    fs_err::copy(&all[0], &copy).unwrap();
    let key = kept.join("vault.key");
    fs_err::copy(first.state().join("vault.key"), &key).unwrap();
    keys_that_differ(&first, &all);
    back_in_time(&first, &copy, &before);
    first.down();

    // From here on the first cloud is its backup and a key.
    let second = Cloud::new("bk2", 64);
    second.up();
    refused(&second, &copy, &key, kept);
    restored(&second, &copy, &key);
    let api = Api::of(&second);
    assert_eq!(held(&api), before);
    let again = api.login("alice", PASSWORD, "alice");
    assert_eq!(again.status, 201, "{again:?}");
    let known = api.token(&api.admin(), &token);
    assert_eq!(known.status, 200, "a token of the first cloud: {known:?}");
    assert_eq!(known.body["token"]["audit_ids"], audit_ids);
    // The addresses are this cloud's own.
    let endpoints = api.good(&api.admin(), "GET", "/endpoints", None);
    for endpoint in endpoints["endpoints"].as_array().unwrap() {
        let url = endpoint["url"].as_str().unwrap();
        assert!(url.contains("//198.18.64."), "{url}");
    }
    second.say(&["plan", "--detailed-exitcode"]).good();
    second.redundant().unwrap();
    let left = second.shell(
        "c1",
        "ls /var/lib/quorate/restore /var/lib/quorate/backup 2>/dev/null",
    );
    assert_eq!(
        left.out.trim().replace("/var/lib/quorate/restore:", ""),
        "",
        "{left}"
    );
    // It is a cloud like any other.
    second.say(&["backup"]).good();
    support::audited(&second);
    second.lab("cut", &["c3"]).good();
    support::gathered_without_secrets(&second);
    second.down();
}

/// The services' connections are with one member, the databases were read on another.
fn written_by_one_that_is_not_the_writer(cloud: &Cloud, said: &Said) {
    let count =
        "mariadb -N -e \"SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'keystone'\"";
    let writers: Vec<&str> = HOSTS
        .into_iter()
        .filter(|host| cloud.shell(host, count).good().out.trim() != "0")
        .collect();
    let from = said.out.split("databases of ").nth(1).unwrap();
    let from = from.split_whitespace().next().unwrap();
    assert!(
        HOSTS.contains(&from) && !writers.contains(&from),
        "{from}, {writers:?}"
    );
    let left = cloud.shell(from, "ls -A /var/lib/quorate/backup").good();
    assert_eq!(left.out.trim(), "", "password hashes were left behind");
}

/// Keys that the vault does not know are not passed over.
fn keys_that_differ(cloud: &Cloud, all: &[Utf8PathBuf]) {
    let key = "/etc/keystone/fernet-keys/1";
    cloud
        .shell("c2", &format!("cp -p {key} /run/key && echo another >{key}"))
        .good();
    let said = cloud.say(&["backup"]);
    assert_eq!(said.code, Some(1), "{said}");
    for word in ["backup::keys-differ", "c2: /etc/keystone/fernet-keys/1", "hint: "] {
        assert!(said.err.contains(word), "no {word} in {said}");
    }
    cloud.shell("c2", &format!("cp -p /run/key {key}")).good();
    assert_eq!(backups(cloud), all);
}

/// Over a cloud that serves: refused without its name, and with it all is as it was.
fn back_in_time(cloud: &Cloud, copy: &Utf8Path, before: &Held) {
    let api = Api::of(cloud);
    populate(&api, "bob");
    let said = restore(cloud, copy, &[]);
    assert_eq!(said.code, Some(1), "{said}");
    for word in ["restore::not-empty", "keystone", "--replace bk1"] {
        assert!(said.err.contains(word), "no {word} in {said}");
    }
    assert_eq!(api.login("bob", PASSWORD, "bob").status, 201);
    let said = restore(cloud, copy, &["--replace", "bk2"]);
    assert_eq!(said.code, Some(2), "{said}");
    let said = restore(cloud, copy, &["--replace", "bk1"]).good();
    tell(&format!("back in time: {}", said.out.trim()));
    cloud.until_redundant(Duration::from_mins(1));
    assert_eq!(held(&api), *before);
    assert_eq!(api.login("bob", PASSWORD, "bob").status, 401);
    cloud.say(&["plan", "--detailed-exitcode"]).good();
}

/// A backup of another release, for this cloud's own key.
fn of_another_release(cloud: &Cloud, folder: &Utf8Path) -> Utf8PathBuf {
    let state = cloud.state();
    let vault = fs_err::read(state.join("vault.age")).unwrap();
    let parts = [("vault.age", vault), (DATABASES, b"nothing".to_vec())];
    let manifest = Manifest {
        format: FORMAT,
        quorate: "0.1.0".to_owned(),
        cloud: "bk1".to_owned(),
        id: String::new(),
        generation: String::new(),
        release: "2024.1".to_owned(),
        distribution: "debian-13".to_owned(),
        region: "RegionOne".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
        member: "c1".to_owned(),
        position: None,
        databases: vec!["keystone".to_owned(), "wordpress".to_owned()],
        parts: parts.iter().map(|(name, bytes)| Part::of(name, bytes)).collect(),
    };
    let path = folder.join("another-release");
    let sources = parts.map(|(_, bytes)| Source::Bytes(bytes)).into();
    let recipients = vault::recipients(&state).unwrap();
    backup::write(&path, &recipients, Content { manifest, sources }).unwrap();
    path
}

/// Nothing of these is begun: no host is even asked.
fn refused(cloud: &Cloud, copy: &Utf8Path, key: &Utf8Path, folder: &Utf8Path) {
    let whole = fs_err::read(copy).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs_err::write(&path, bytes).unwrap();
        path
    };
    let cut = write("cut", &whole[..whole.len() / 2]);
    let end = write("end", &whole[..whole.len() - 1]);
    let mut bytes = whole.clone();
    bytes[whole.len() * 2 / 3] ^= 1;
    let altered = write("altered", &bytes);
    let other = of_another_release(cloud, folder);
    let ours = ["--identity", key.as_str()];
    let cases: [(&str, &Utf8Path, &[&str], &[&str]); 6] = [
        (
            "cut in the middle",
            &cut,
            &ours,
            &["backup::damaged", "nothing was touched"],
        ),
        ("cut by a byte", &end, &ours, &["backup::damaged"]),
        ("one byte altered", &altered, &ours, &["backup::damaged"]),
        (
            "a key that it is not for",
            copy,
            &[],
            &["backup::not-for-us", "hint: "],
        ),
        (
            "no backup",
            &cloud.state().join("vault.key"),
            &ours,
            &["backup::damaged"],
        ),
        (
            "another release",
            &other,
            &[],
            &["restore::another-release", "restore::no-service", "wordpress"],
        ),
    ];
    let vault = fs_err::read(cloud.state().join("vault.age")).unwrap();
    for (title, path, more, words) in cases {
        let said = restore(cloud, path, more);
        assert_eq!(said.code, Some(2), "{title}: {said}");
        for word in words {
            assert!(said.err.contains(word), "{title}: no {word} in {said}");
        }
        tell(&format!(
            "{title}: {}",
            said.err.lines().next().unwrap_or_default()
        ));
    }
    for host in HOSTS {
        cloud.shell(host, "test ! -e /var/lib/quorate").good();
    }
    assert_eq!(fs_err::read(cloud.state().join("vault.age")).unwrap(), vault);
    assert!(!cloud.state().join("runs").exists());
}

/// Killed while it loads, and run again.
fn restored(cloud: &Cloud, copy: &Utf8Path, key: &Utf8Path) {
    let file = cloud.file();
    let words = [
        "restore",
        file.to_str().unwrap(),
        copy.as_str(),
        "--yes",
        "--identity",
        key.as_str(),
    ];
    let mut begun = std::process::Command::new(program())
        .args(words)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the load to begin", Duration::from_mins(3), || {
        let ended = begun.try_wait().unwrap();
        assert!(ended.is_none(), "it ended before: {ended:?}");
        let runs = fs_err::read_dir(cloud.state().join("runs")).map_err(|e| e.to_string())?;
        let mut events = runs.flatten().map(|run| run.path().join("events.jsonl"));
        let loads = |path| {
            let text = fs_err::read_to_string(path).unwrap_or_default();
            text.lines()
                .any(|l| l.contains("\"started\"") && l.contains("\"step\":\"restore\""))
        };
        if events.any(loads) {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    begun.kill().unwrap();
    begun.wait().unwrap();
    let said = restore(cloud, copy, &["--identity", key.as_str()]).good();
    tell(&format!("restored: {}", said.out.trim()));
    cloud.until_redundant(Duration::from_mins(1));
}
