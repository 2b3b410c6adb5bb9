//! The resource agent of units, run by a shell beside a `systemctl` that answers as told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const AGENT: &str = include_str!("../../../catalog/infra/pacemaker/unit");

/// `show` prints the first of the answers that are left, and the last for ever. What is
/// called is written down; `start` and `stop` bring the answers of a file of their name.
/// It says nothing while `dead` lies there, or without an answer.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$FAKE" || exit 9
echo "$*" >> calls
[ -e dead ] && exit 1
case $1 in
    show)
        set -- answer.*
        [ -e "$1" ] || exit 1
        cat "$1"
        [ $# = 1 ] || rm "$1"
        ;;
    start | stop)
        [ ! -e "refuse.$1" ] || { rm "refuse.$1"; exit 1; }
        [ -e "$1" ] && rm -f answer.* && mv "$1" answer.9
        ;;
esac
exit 0
"#;

struct Host {
    dir: TempDir,
    unit: String,
}

fn answer(active: &str, main: u32) -> String {
    format!(
        "MainPID={main}\nResult=exit-code\nLoadState=loaded\nActiveState={active}\nSubState=sub\nControlGroup=/g\n\
         NeedDaemonReload=no\n"
    )
}

impl Host {
    /// The answers that systemd gives, in turn.
    fn new(unit: &str, answers: &[&str]) -> Self {
        let host = Self {
            dir: tempfile::tempdir().unwrap(),
            unit: unit.to_owned(),
        };
        host.write("systemctl", SYSTEMCTL);
        let text = AGENT
            .replace(
                "/run/quorate/running",
                &host.path("running").display().to_string(),
            )
            .replace("/sys/fs/cgroup", &host.path("groups").display().to_string())
            .replace("/run/systemd", &host.path("systemd").display().to_string())
            .replace("patience=5", "patience=0");
        host.write("agent", &text);
        for name in ["systemctl", "agent"] {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(host.path(name), mode).unwrap();
        }
        for (i, text) in answers.iter().enumerate() {
            host.write(&format!("answer.{i}"), text);
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Its main process, and whether the group has it.
    fn processes(&self, pids: &str) {
        self.write("groups/g/cgroup.procs", pids);
        let populated = u8::from(!pids.is_empty());
        self.write(
            "groups/g/cgroup.events",
            &format!("populated {populated}\nfrozen 0\n"),
        );
    }

    fn seen(&self) -> Option<String> {
        fs::read_to_string(self.path("running").join(&self.unit)).ok()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    /// Runs an action with the seconds it has; gives its result and the reason.
    fn run(&self, action: &str, every: u32, seconds: u32) -> (i32, String) {
        let path = format!("{}:{}", self.dir.path().display(), std::env::var("PATH").unwrap());
        let out = Command::new("sh")
            .arg(self.path("agent"))
            .arg(action)
            .env("PATH", path)
            .env("FAKE", self.dir.path())
            .env("OCF_RESKEY_unit", &self.unit)
            .env("OCF_RESOURCE_INSTANCE", "api:0")
            .env("OCF_RESKEY_CRM_meta_on_node", "c1")
            .env("OCF_RESKEY_CRM_meta_interval", (every * 1000).to_string())
            .env("OCF_RESKEY_CRM_meta_timeout", (seconds * 1000).to_string())
            .output()
            .unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        (out.status.code().unwrap(), said)
    }

    #[track_caller]
    fn check(&self, action: &str, every: u32, seconds: u32, expect: i32, word: &str) {
        let (code, said) = self.run(action, every, seconds);
        assert!(
            code == expect && said.contains(word),
            "{action}: {code}, {said}\n{}",
            self.calls()
        );
    }
}

const API: &str = "api.service";

#[test]
fn what_systemd_says_is_judged() {
    let check = |active: &str, every: u32, expect: i32, word: &str| {
        let host = Host::new(API, &[&answer(active, 42)]);
        host.check("monitor", every, 4, expect, word);
        assert_eq!(host.seen().is_some(), expect == 0, "{active}");
    };
    check("active", 0, 0, "");
    check("reloading", 10, 0, "");
    check("inactive", 0, 7, "");
    check("inactive", 10, 7, "");
    // A probe finds nothing that runs; a monitor tells why it does not any more.
    check("failed", 0, 7, "");
    check("failed", 10, 1, "has failed (exit-code)");
    check(
        "deactivating",
        10,
        1,
        "is deactivating (sub) and does not come to rest",
    );
    check(
        "activating",
        0,
        1,
        "is activating (sub) and does not come to rest",
    );
}

#[test]
fn processes_are_asked_and_systemd_is_not() {
    let host = Host::new(API, &[&answer("active", 42)]);
    host.processes("42\n43\n");
    host.check("monitor", 0, 4, 0, "");
    assert_eq!(host.seen().unwrap(), "42\n/g\napi\nc1\n");
    let before = host.calls();
    host.write("dead", "");
    host.check("monitor", 10, 4, 0, "");
    assert_eq!(host.calls(), before, "it asked systemd");
    // Its children live on: what becomes of them is systemd's to say.
    fs::remove_file(host.path("dead")).unwrap();
    host.write("answer.0", &answer("deactivating", 0));
    host.write("answer.1", &answer("failed", 0));
    host.processes("43\n");
    host.check("monitor", 10, 9, 1, "is failed and has processes left");
    host.write("answer.1", &answer("failed", 0));
    host.processes("");
    host.check("monitor", 10, 4, 1, "has failed");
    assert_eq!(host.seen(), None);
}

#[test]
fn what_is_started_again_is_waited_for() {
    let again = [
        answer("activating", 0),
        answer("activating", 0),
        answer("active", 50),
    ];
    let host = Host::new(API, &again.each_ref().map(String::as_str));
    host.check("monitor", 10, 9, 0, "");
    assert!(host.seen().unwrap().starts_with("50\n"));
}

#[test]
fn silence_leaves_the_last_known_state_for_a_while() {
    let host = Host::new(API, &[&answer("active", 42)]);
    host.check("monitor", 0, 4, 0, "");
    host.write("dead", "");
    host.processes("");
    host.check("monitor", 10, 4, 0, "");
    assert!(host.seen().is_some());
    // It was silent since the machine started.
    host.write("running/api.service.silent", "0\n");
    host.check("monitor", 10, 4, 1, "systemd has not answered");
    fs::remove_file(host.path("dead")).unwrap();
    host.check("monitor", 10, 4, 0, "");
    assert!(!host.path("running/api.service.silent").exists());
    // What was never seen running is not known to run.
    let host = Host::new(API, &[]);
    host.check("monitor", 0, 4, 1, "systemd has not answered");
}

#[test]
fn what_has_no_process_is_told_by_its_link() {
    let host = Host::new("once.service", &[&answer("active", 0)]);
    host.write("systemd/units/placeholder", "");
    std::os::unix::fs::symlink("id", host.path("systemd/units/invocation:once.service")).unwrap();
    host.check("monitor", 0, 4, 0, "");
    host.write("dead", "");
    host.check("monitor", 10, 4, 0, "");
    assert!(host.seen().unwrap().starts_with("link\n"));
    // A timer has none: it is asked for each time.
    let host = Host::new("flush.timer", &[&answer("active", 0)]);
    host.check("monitor", 0, 4, 0, "");
    host.check("monitor", 10, 4, 0, "");
    assert_eq!(host.calls().matches("show").count(), 2);
    host.write("answer.0", &answer("inactive", 0));
    host.check("monitor", 10, 4, 7, "");
}

#[test]
fn a_start_waits_for_systemd() {
    let host = Host::new(API, &[&answer("inactive", 0)]);
    host.write("start", &answer("active", 42));
    // Its first connection breaks.
    host.write("refuse.start", "");
    host.check("start", 0, 9, 0, "");
    assert_eq!(host.calls().matches("start ").count(), 2, "{}", host.calls());
    assert!(host.seen().is_some());
    // It ran already.
    let host = Host::new(API, &[&answer("active", 42)]);
    host.check("start", 0, 9, 0, "");
    assert!(!host.calls().contains("start "));
    // It had failed before, and fails again.
    let host = Host::new(API, &[&answer("failed", 0)]);
    host.write("start", &answer("failed", 0));
    host.check("start", 0, 9, 1, "has failed (exit-code)");
    assert!(host.calls().contains("reset-failed"));
    let host = Host::new(API, &[&answer("inactive", 0)]);
    host.write("start", &answer("inactive", 0));
    host.check("start", 0, 9, 1, "it ended by itself");
    let host = Host::new(API, &[&answer("inactive", 0).replace("=loaded", "=not-found")]);
    host.check("start", 0, 9, 5, "is not-found");
    let host = Host::new(API, &[&answer("inactive", 0).replace("Reload=no", "Reload=yes")]);
    host.write("start", &answer("active", 42));
    host.check("start", 0, 9, 0, "");
    assert!(host.calls().contains("daemon-reload"));
    let host = Host::new(API, &[]);
    host.check("start", 0, 3, 1, "is not started: it is not known");
}

#[test]
fn a_stop_is_done_when_no_process_is_left() {
    let host = Host::new(API, &[&answer("active", 42)]);
    host.processes("42\n");
    host.check("monitor", 0, 4, 0, "");
    host.write("stop", &answer("inactive", 0));
    host.write("refuse.stop", "");
    host.processes("");
    host.check("stop", 0, 9, 0, "");
    assert_eq!(host.seen(), None);
    assert!(
        host.calls()
            .contains("stop --job-mode=ignore-dependencies -- api.service")
    );
    // What is left of it is killed, and it is not stopped before that.
    let host = Host::new(API, &[&answer("inactive", 0)]);
    host.processes("43\n");
    host.check("stop", 0, 3, 1, "is not known to be stopped");
    assert!(host.calls().contains("kill --signal=KILL"));
    let host = Host::new(API, &[]);
    host.check("stop", 0, 3, 1, "systemd does not answer");
    // A timer takes its work along, and what Pacemaker's own class left goes.
    let host = Host::new("flush.timer", &[&answer("inactive", 0)]);
    let left = "systemd/system/flush.timer.d/50-pacemaker.conf";
    host.write(left, "[Unit]\nBefore=pacemaker.service\n");
    host.check("stop", 0, 9, 0, "");
    assert!(host.calls().contains("stop --job-mode=replace -- flush.timer"));
    assert!(host.calls().contains("daemon-reload") && !host.path(left).exists());
}

#[test]
fn it_tells_what_it_is() {
    let host = Host::new(API, &[]);
    let out = Command::new("sh")
        .arg(host.path("agent"))
        .arg("meta-data")
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(
        out.status.success() && text.contains("<parameter name=\"unit\""),
        "{text}"
    );
    assert_eq!(host.run("promote", 0, 4).0, 3);
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalog/infra/pacemaker/unit");
    assert!(
        Command::new("sh")
            .arg("-n")
            .arg(whole)
            .status()
            .unwrap()
            .success()
    );
}
