//! Scripts of the catalogue that decide something: each is loaded by a test in its own
//! language, with the world around it made up. Not for scripts that only call others.

#![allow(clippy::expect_used, reason = "the helpers of a test may panic like the test")]

use std::path::Path;
use std::process::Command;

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

/// A broker that was stopped to join again is started again, however often that fails.
#[test]
fn brokers_that_were_apart_are_started_again() {
    run("rabbitmq_whole.py");
}
