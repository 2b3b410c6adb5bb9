//! The fencer against scripts that stand for agents and for the cluster's command.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use openstack::Secret;
use tempfile::TempDir;

use super::*;

/// An agent that keeps what it was told, and whose state is a file by its option `plug`:
/// `on`, `off`, `broken` or `hangs`.
const AGENT_SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
while read -r line; do
    echo "$(basename "$0") $* $line" >> told
    case "$line" in action=*) action="${line#action=}";; plug=*) plug="${line#plug=}";; esac
done
state=$(cat "plug-$plug")
case "$state" in broken) echo "Connection timed out" >&2; exit 1;; esac
case "$action" in
    status) [ "$state" = on ] && exit 0; exit 2;;
    on) echo on > "plug-$plug";;
    *) exit 1;;
esac
"#;

/// The cluster's command: cuts all plugs, or fails where there is a file `refuse`.
const COMMAND_SCRIPT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "command $*" >> told
if [ -e refuse ]; then echo "No such device" >&2; exit 1; fi
for plug in plug-*; do echo off > "$plug"; done
"#;

fn script(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

struct Rack {
    folder: TempDir,
    fencer: Fencer,
}

impl Rack {
    /// Plugs with their states.
    fn new(plugs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "fence_a", AGENT_SCRIPT);
        script(folder.path(), "command", COMMAND_SCRIPT);
        let fencer = Fencer::new(folder.path().join("command"), folder.path().to_owned());
        let rack = Self { folder, fencer };
        for (plug, state) in plugs {
            rack.set(plug, state);
        }
        rack
    }

    fn set(&self, plug: &str, state: &str) {
        fs::write(self.folder.path().join(format!("plug-{plug}")), state).unwrap();
    }

    fn told(&self) -> String {
        fs::read_to_string(self.folder.path().join("told")).unwrap_or_default()
    }

    async fn read(&self, levels: &[&[&str]]) -> String {
        match self.fencer.read(&host(levels)).await {
            Fact::Known(power) => {
                let device = power.device.to_string();
                let level = device.split(':').next().unwrap_or_default().to_owned();
                format!("on={} level={level} after={:?}", power.on, power.after_off)
            }
            Fact::Absent => "absent".to_owned(),
            Fact::Unknown(why) => format!(
                "unknown: {}",
                why.replace(&self.folder.path().display().to_string(), "")
            ),
        }
    }
}

fn host(levels: &[&[&str]]) -> Host {
    let device = |plug: &&str| Device {
        agent: "fence_a".to_owned(),
        options: [("plug", *plug), ("password", "hunter2")]
            .map(|(k, v)| (k.to_owned(), Secret::new(v.to_owned())))
            .into(),
    };
    Host {
        name: names::HostName::new("n1").unwrap(),
        domain: None,
        devices: levels.iter().map(|l| l.iter().map(device).collect()).collect(),
    }
}

#[tokio::test]
async fn the_first_level_that_answers_decides_and_of_a_level_all_have_to_be_off() {
    async fn check(plugs: &[(&str, &str)], levels: &[&[&str]], expect: &str) {
        assert_eq!(
            Rack::new(plugs).read(levels).await,
            expect,
            "{plugs:?} {levels:?}"
        );
    }
    check(&[("a", "on")], &[&["a"]], "on=true level=1 after=None").await;
    check(&[("a", "off")], &[&["a"]], "on=false level=1 after=None").await;
    check(
        &[("a", "off"), ("b", "on")],
        &[&["a", "b"]],
        "on=true level=1 after=None",
    )
    .await;
    check(
        &[("a", "off"), ("b", "off")],
        &[&["a", "b"]],
        "on=false level=1 after=None",
    )
    .await;
    check(
        &[("a", "off"), ("b", "on")],
        &[&["a"], &["b"]],
        "on=false level=1 after=None",
    )
    .await;
    check(
        &[("a", "broken"), ("b", "off")],
        &[&["a"], &["b"]],
        "on=false level=2 after=None",
    )
    .await;
    check(
        &[("a", "broken"), ("b", "off")],
        &[&["a", "b"]],
        "unknown: fence_a: status 1: Connection timed out",
    )
    .await;
    check(
        &[("a", "broken"), ("b", "on")],
        &[&["a", "b"]],
        "on=true level=1 after=None",
    )
    .await;
    check(&[], &[], "absent").await;
    check(&[], &[&[]], "absent").await;
}

#[tokio::test]
async fn no_agent_is_unknown() {
    let rack = Rack::new(&[]);
    let mut host = host(&[&["a"]]);
    host.devices[0][0].agent = "fence_none".to_owned();
    assert!(
        matches!(rack.fencer.read(&host).await, Fact::Unknown(why) if why.ends_with("fence_none is not installed"))
    );
}

#[tokio::test]
async fn a_reading_counts_after_the_command_that_the_cluster_did() {
    let rack = Rack::new(&[("a", "on")]);
    let id = HostId::from("n1");
    fs::write(rack.folder.path().join("refuse"), "").unwrap();
    let error = rack.fencer.off(&id, 7).await.unwrap_err();
    assert!(error.ends_with("command: status 1: No such device"), "{error}");
    // Off by somebody else: not by our command.
    rack.set("a", "off");
    assert_eq!(rack.read(&[&["a"]]).await, "on=false level=1 after=None");
    fs::remove_file(rack.folder.path().join("refuse")).unwrap();
    rack.fencer.off(&id, 7).await.unwrap();
    assert_eq!(rack.read(&[&["a"]]).await, "on=false level=1 after=Some(7)");
    rack.fencer.on(&host(&[&["a"]])).await.unwrap();
    assert_eq!(rack.read(&[&["a"]]).await, "on=true level=1 after=None");
}

#[tokio::test]
async fn no_secret_is_an_argument() {
    let rack = Rack::new(&[("a", "on")]);
    rack.fencer.off(&HostId::from("n1"), 1).await.unwrap();
    rack.fencer.on(&host(&[&["a"]])).await.unwrap();
    let told = rack.told();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "command --fence n1 --timeout 120",
            "fence_a  action=on",
            "fence_a  password=hunter2",
            "fence_a  plug=a",
        ]
    );
}

#[tokio::test]
async fn power_comes_from_the_last_level_first_and_one_level_is_enough() {
    let rack = Rack::new(&[("bmc", "broken"), ("pdu", "off")]);
    rack.fencer.on(&host(&[&["bmc"], &["pdu"]])).await.unwrap();
    assert_eq!(rack.read(&[&["pdu"]]).await, "on=true level=1 after=None");
    let plugs: Vec<String> = rack
        .told()
        .lines()
        .filter(|l| l.contains("plug="))
        .take(2)
        .map(str::to_owned)
        .collect();
    assert_eq!(plugs, ["fence_a  plug=pdu", "fence_a  plug=bmc"]);
    let error = rack.fencer.on(&host(&[&["bmc"]])).await.unwrap_err();
    assert_eq!(error, "fence_a: status 1: Connection timed out");
    assert_eq!(
        rack.fencer.on(&host(&[])).await.unwrap_err(),
        "n1 has no fence device"
    );
}
