//! What is gathered for somebody who helps: of all hosts that can be asked, of the
//! others that they cannot, and not one secret in any form. And who did what.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use vault::ExposeSecret as _;

use crate::cloud::Cloud;
use crate::said::{run, tell};

/// Everything in the archive, by path below its folder.
fn unpacked(archive: &camino::Utf8Path) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    run(
        "tar".as_ref(),
        &["-xzf", archive.as_str(), "-C", folder, "--strip-components=1"],
    )
    .good();
    let found = run("find".as_ref(), &[folder, "-type", "f"]).good();
    let paths = found.out.lines();
    paths
        .map(|path| {
            let text = String::from_utf8_lossy(&fs_err::read(path).unwrap()).into_owned();
            (path[folder.len() + 1..].to_owned(), text)
        })
        .collect()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| match char::from(b) {
            c if c.is_ascii_alphanumeric() => c.to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

/// On a cloud of which c3 has no power.
pub fn gathered_without_secrets(cloud: &Cloud) {
    let vault = cloud.vault();
    let value = |name: &str| vault.get(name).unwrap().expose_secret().to_owned();
    // A careless program: what it logs holds secrets in several forms.
    let (password, key) = (value("keystone/admin"), value("keystone/fernet-1"));
    let careless = format!(
        "story-mark plain={password} basic={} url={} key={key}",
        STANDARD.encode(format!("admin:{password}")),
        percent(&key),
    );
    cloud
        .shell(
            "c1",
            &format!("logger -p user.err '{careless}' && journalctl --sync"),
        )
        .good();

    let archive = cloud.state().join("support-story.tar.gz");
    let said = cloud.say(&["support", "--since", "1h", "-o", archive.as_str()]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.err.contains("c3"), "{said}");
    tell(said.out.trim());
    let files = unpacked(&archive);
    let file = |path: &str| {
        let found = files.iter().find(|(p, _)| p == path);
        let Some((_, text)) = found else {
            let all: Vec<&str> = files.iter().map(|(p, _)| p.as_str()).collect();
            panic!("no {path} but {all:?}");
        };
        text
    };
    for (path, words) in [
        ("README.txt", "Not asked: c3"),
        ("c3/UNREACHABLE.txt", "cannot connect"),
        ("c1/problems.txt", "story-mark plain=‹secret› basic="),
        ("c1/journal.txt", "haproxy"),
        ("c1/haproxy/stat.csv", "BACKEND"),
        ("c2/pacemaker/cib.xml", "<configuration"),
        ("c2/pacemaker/pacemaker.log", "pacemaker"),
        ("c2/corosync/quorum.txt", "Quorate:"),
        ("c1/galera/status.txt", "wsrep_cluster_status"),
        ("c1/galera/error.log", "WSREP"),
        ("c1/rabbitmq/cluster.txt", "rabbit@c1"),
        ("c1/system/debs.txt", "pacemaker"),
        ("c1/audit.log", "restore run"),
        ("c1/facts.json", "\"boot_id\""),
        ("status.json", "\"verdict\""),
        ("cloud.yaml", "release"),
    ] {
        assert!(
            file(path).contains(words),
            "no {words:?} in {path}:\n{}",
            file(path)
        );
    }
    let secrets: Vec<String> = vault
        .names()
        .flat_map(|name| {
            let secret = value(name);
            let lines: Vec<String> = secret.trim().lines().map(str::to_owned).collect();
            lines
        })
        .filter(|line| line.len() >= 16 && !line.starts_with("-----"))
        .collect();
    assert!(secrets.len() > 20, "{}", secrets.len());
    for secret in &secrets {
        for form in [
            secret.clone(),
            percent(secret),
            STANDARD.encode(secret).trim_end_matches('=').to_owned(),
            URL_SAFE.encode(secret).trim_end_matches('=').to_owned(),
        ] {
            // The last group of base64 is shared with what follows.
            let form = &form[..form.len() - form.len() % 4];
            let holds = files.iter().find(|(_, text)| text.contains(form));
            assert!(holds.is_none(), "a secret is in {}", holds.unwrap().0);
        }
    }
    let twice = cloud.say(&["support", "-o", archive.as_str()]);
    assert_eq!(twice.code, Some(2), "{twice}");
}

/// Each host knows who did what.
pub fn audited(cloud: &Cloud) {
    let said = cloud.say(&["audit", "--since", "1h"]).good();
    for (verb, words) in [
        ("restore run", "of bk1 from"),
        ("restore run", "stage 0"),
        ("backup run", "to "),
    ] {
        let line = said.out.lines().find(|l| l.contains(verb) && l.contains(words));
        let Some(line) = line else {
            panic!("no {verb} in {said}");
        };
        assert!(line.contains("(from 198.18."), "{line}");
        assert!(line.contains('@') && line.ends_with("[c1 c2 c3]"), "{line}");
    }
    let later = cloud.say(&["audit", "--since", "2099-01-01T00:00:00Z"]).good();
    assert_eq!(later.out.trim(), "");
}
