//! Scripts of the catalogue that decide something: each is loaded by a test in its own
//! language, with the world around it made up. Not for scripts that only call others.

#![allow(clippy::expect_used, reason = "the helpers of a test may panic like the test")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn run(name: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let out = Command::new("python3")
        .args(["-B", name])
        .current_dir(tests)
        .output()
        .expect("python3 is there, as on every host of a cloud");
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Never two databases, and one as soon as all answer.
#[test]
fn ovn_members_found_one_database() {
    run("ovn_member.py");
}

/// Another database begins only where nobody leads, and beside no other that runs.
#[test]
fn ovn_begins_anew_where_most_members_are_lost() {
    run("ovn_alone.py");
}

/// Removed are records of hosts that left; a host with an empty disk is who it was to Nova.
#[test]
fn records_of_hosts_that_left_are_removed() {
    run("records.py");
}

/// A broker that was stopped to join again is started again, however often that fails.
#[test]
fn brokers_that_were_apart_are_started_again() {
    run("rabbitmq_whole.py");
}

/// A refusal by an API that has just begun ends no registration.
#[test]
fn the_administrator_is_refused_for_a_moment() {
    run("identity.py");
}

/// Scripts below a folder of the project, each text once, with a path of it.
fn scripts(folder: &str) -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join(folder)];
    let mut seen = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path)
                && text.starts_with("#!")
            {
                seen.insert(text, path);
            }
        }
    }
    seen
}

/// Warnings that stand, each by its code, a part of it or of its line, and the reason.
const STANDS: [(&str, &str, &str); 2] = [
    (
        "SC2154",
        "OCF_RES",
        "the cluster manager gives an agent its parameters so",
    ),
    (
        "SC2045",
        "ls -t ",
        "the newest first, and no name of ours has a space",
    ),
];

/// Warnings in scripts of the shell are found before a host runs them.
#[test]
fn shellcheck_finds_nothing_in_any_script() {
    let mut all = scripts("tests/golden");
    // A template is looked at as hosts get it.
    let plain = scripts("catalog")
        .into_iter()
        .filter(|(text, _)| !text.contains("{{"));
    all.extend(plain);
    all.retain(|text, _| {
        text.lines()
            .next()
            .is_some_and(|l| l.ends_with("/sh") || l.ends_with("/bash"))
    });
    assert!(all.len() >= 30, "{} scripts only", all.len());
    let out = Command::new("shellcheck")
        .args(["--severity=warning", "--format=gcc"])
        .args(all.values())
        .output()
        .expect("shellcheck is there: `cargo xtask tools` installs it");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&out.stderr);
    assert!(wrong.is_empty() && out.status.code() <= Some(1), "{wrong}");
    let mut used = [false; STANDS.len()];
    let mut found = Vec::new();
    for line in said.lines() {
        let mut place = line.splitn(3, ':');
        let (path, number) = (place.next().unwrap_or_default(), place.next().unwrap_or_default());
        let number: usize = number.parse().expect(line);
        let text = all.iter().find(|(_, p)| p.as_path() == Path::new(path));
        let text = text
            .and_then(|(text, _)| text.lines().nth(number - 1))
            .unwrap_or_default();
        let stands = |(code, part, _): &(&str, &str, &str)| {
            line.contains(&format!("[{code}]")) && (line.contains(part) || text.contains(part))
        };
        match STANDS.iter().position(stands) {
            Some(place) => used[place] = true,
            None => found.push(format!("{line}\n    {text}")),
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for ((code, part, _), used) in STANDS.iter().zip(used) {
        assert!(used, "nothing is excepted by {code} {part} any more");
    }
}

/// Every script that an example's hosts get is one that its interpreter can read.
#[test]
fn scripts_can_be_read() {
    let seen = scripts("tests/golden");
    let (mut shell, mut python) = (0, 0);
    for (text, path) in &seen {
        let first = text.lines().next().unwrap_or_default();
        let (program, args): (&str, &[&str]) = if first.contains("python") {
            python += 1;
            (
                "python3",
                &["-c", "import sys; compile(sys.stdin.read(), 'it', 'exec')"],
            )
        } else if first.ends_with("bash") {
            shell += 1;
            ("bash", &["-n"])
        } else {
            assert!(first.ends_with("/sh"), "{}: {first}", path.display());
            shell += 1;
            ("sh", &["-n"])
        };
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an interpreter");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        let out = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{}: {said}", path.display());
    }
    assert!(shell >= 5 && python >= 5, "{shell} and {python} scripts only");
}
