//! Proofs against scripts as agents, and an observer's socket that hears the host while the
//! plug that feeds it has power.

use std::{fs, os::unix::fs::PermissionsExt as _};

use heartbeat::{Tables, beat::Health, told};
use names::{HostName, NetworkName};
use openstack::Secret;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::UnixListener};

use super::*;
use crate::config::Device;

const AGENT: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
while read -r line; do
    case "$line" in action=*) action="${line#action=}";; plug=*) plug="${line#plug=}";; esac
done
echo "$action $plug" >> told
case "$action" in
    on|off) echo "$action" > "plug-$plug"; exit 0;;
    status) [ "$(cat "plug-$plug")" = on ] && exit 0; exit 2;;
esac
"#;

/// The cluster's fencer knows the plug `bmc` as the host's first level.
const COMMAND: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "command $*" >> told
[ -e refuse ] && { echo "No such device" >&2; exit 1; }
echo off > plug-bmc
"#;

struct Site {
    folder: TempDir,
    room: Room,
}

impl Site {
    /// `feeds` are the plugs that the host has its power from: without one of them it is silent.
    fn new(feeds: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("fence_a", AGENT), ("command", COMMAND)] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for plug in ["bmc", "pdu", "other"] {
            fs::write(folder.path().join(format!("plug-{plug}")), "on").unwrap();
        }
        let observer = folder.path().join("observer");
        let listener = UnixListener::bind(&observer).unwrap();
        let plugs = folder.path().to_owned();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let on = |plug: &&str| {
                    fs::read_to_string(plugs.join(format!("plug-{plug}")))
                        .unwrap()
                        .trim()
                        == "on"
                };
                let text = serde_json::to_string(&tables(feeds.iter().all(on))).unwrap();
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        let fencer = Fencer::new(folder.path().join("command"), folder.path().to_owned());
        Self {
            folder,
            room: Room { observer, fencer },
        }
    }

    fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn set(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    async fn prove(&self, levels: &[&str], level: usize, off: bool) -> String {
        match self.room.level(&host(levels), level, off, &mut |_| {}).await {
            Ok(seen) => seen.to_owned(),
            Err(error) => error
                .to_string()
                .replace(&self.folder.path().display().to_string(), ""),
        }
    }
}

fn host(levels: &[&str]) -> Host {
    let device = |plug: &&str| Device {
        agent: "fence_a".to_owned(),
        options: [("plug".to_owned(), Secret::new((*plug).to_owned()))].into(),
    };
    Host {
        name: HostName::new("n1").unwrap(),
        domain: None,
        devices: levels.iter().map(|plug| vec![device(plug)]).collect(),
    }
}

fn tables(heard: bool) -> Tables {
    let network = NetworkName::new("management").unwrap();
    let nothing = || Fact::Unknown("not told".to_owned());
    let path = told::Path {
        network,
        age_ms: Fact::Known(if heard { 20 } else { 60_000 }),
        echo: nothing_of(),
    };
    let host = told::Host {
        host: HostName::new("n1").unwrap(),
        boot: Fact::Known("boot".to_owned()),
        up_ms: nothing(),
        health: Health {
            storage: Fact::Absent,
            unit: Fact::Absent,
            dump: Fact::Absent,
        },
        paths: vec![path],
    };
    let own = told::Table {
        controller: HostName::new("c1").unwrap(),
        late_ms: Fact::Known(0),
        listens: Vec::new(),
        hosts: vec![host],
    };
    Tables {
        period_ms: 250,
        counted: 0,
        refused: told::Refused::default(),
        own,
        peers: Vec::new(),
    }
}

fn nothing_of<T>() -> Fact<T> {
    Fact::Unknown("not told".to_owned())
}

#[tokio::test]
async fn reading_proves_that_a_device_agrees_with_what_is_heard() {
    let site = Site::new(&["bmc"]);
    assert_eq!(site.prove(&["bmc"], 0, false).await, "reads its power as on");
    // Another machine's device, which is off.
    site.set("plug-other", "off");
    let why = site.prove(&["other"], 0, false).await;
    assert!(
        why.ends_with("reads the power of n1 as off while it is heard: it is another machine's device"),
        "{why}"
    );
    site.set("plug-bmc", "off");
    let why = site.prove(&["bmc"], 0, false).await;
    assert!(why.starts_with("n1 is off by 1:fence_a:"), "{why}");
    assert!(site.told().iter().all(|line| line.starts_with("status ")));
}

#[tokio::test]
async fn cutting_proves_each_level_and_leaves_the_host_on() {
    let site = Site::new(&["bmc", "pdu"]);
    let levels = ["bmc", "pdu"];
    assert_eq!(
        site.prove(&levels, 0, true).await,
        "cut its power and gave it back"
    );
    assert_eq!(
        site.prove(&levels, 1, true).await,
        "cut its power and gave it back"
    );
    let told: Vec<String> = site
        .told()
        .into_iter()
        .filter(|line| !line.starts_with("status"))
        .collect();
    assert_eq!(
        told,
        [
            "command --fence n1 --timeout 120",
            "on pdu",
            "on bmc",
            "off pdu",
            "on pdu",
            "on bmc"
        ]
    );
}

#[tokio::test]
async fn a_device_that_cuts_another_machine_or_nothing_is_found_and_the_host_is_on() {
    // The second level is the plug of another machine, which is on as well.
    let site = Site::new(&["bmc"]);
    let why = site.prove(&["bmc", "other"], 1, true).await;
    assert_eq!(
        why,
        "n1 is still heard: the device is another machine's after 1 s"
    );
    assert_eq!(site.told().last().map(String::as_str), Some("on bmc"));
    let site = Site::new(&["bmc"]);
    site.set("refuse", "");
    let why = site.prove(&["bmc"], 0, true).await;
    assert_eq!(
        why,
        "level 1 did not cut the power of n1: /command: status 1: No such device"
    );
    // The fencer's topology and the configuration name different plugs.
    let site = Site::new(&["other"]);
    let why = site.prove(&["other"], 0, true).await;
    assert!(
        why.starts_with("1:fence_a:") && why.ends_with(" of n1 was cut and reads On"),
        "{why}"
    );
}
