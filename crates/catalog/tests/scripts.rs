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

/// Every script that an example's hosts get is one that its interpreter can read.
#[test]
fn scripts_can_be_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut folders = vec![golden];
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
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
