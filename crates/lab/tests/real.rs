//! The lab on the real kernel: power, cables, BMC, and that nothing is left.
//!
//! Needs root, and some minutes for the image at the first time:
//! `cargo test -p lab -- --ignored --test-threads 1`, which also builds the example
//! that plays the product here.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lab::{Actor, BmcAccess, EventKind, LabError, LabHost, LabNetwork, LabSpec, Power};

/// A lab that is taken down whatever becomes of the test.
struct Lab {
    spec: LabSpec,
    _dir: tempfile::TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = lab::down(&self.spec.name) {
            eprintln!("{error}");
        }
    }
}

impl Lab {
    fn new(name: &str, subnet: u8, hosts: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Cargo builds the example that answers the hidden commands beside the tests.
        let test = std::env::current_exe().unwrap();
        let runner = test.ancestors().nth(2).unwrap().join("examples/lab");
        let address = |i: usize| format!("198.18.{subnet}.{}", 10 + i).parse().unwrap();
        let hosts = (1..=hosts).map(|i| LabHost {
            name: format!("h{i}"),
            addresses: vec![
                ("mgmt".to_owned(), address(i)),
                ("six".to_owned(), format!("fd00:{subnet}::{i}0").parse().unwrap()),
            ],
        });
        let network = |name: &str, cidr: String| LabNetwork {
            name: name.to_owned(),
            cidr: cidr.parse().unwrap(),
        };
        let spec = LabSpec {
            name: name.to_owned(),
            state: dir.path().join("state").try_into().unwrap(),
            suite: "trixie".to_owned(),
            packages: ["fence-agents-redfish", "python3", "rsync"]
                .map(str::to_owned)
                .to_vec(),
            networks: vec![
                network("mgmt", format!("198.18.{subnet}.0/24")),
                network("six", format!("fd00:{subnet}::/64")),
            ],
            hosts: hosts.collect(),
            bmc: BmcAccess {
                user: "admin".to_owned(),
                password: "for-tests".to_owned(),
            },
            keep_debs: vec!["rsync".to_owned()],
            self_test: 0,
            runner: Some(runner.try_into().unwrap()),
        };
        lab::down(name).unwrap();
        Self { spec, _dir: dir }
    }

    fn up(&self) -> lab::UpReport {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(lab::up(&self.spec, &|line| eprintln!("{line}")))
            .unwrap()
    }

    fn ready(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let limit = Duration::from_mins(1);
        runtime
            .block_on(lab::wait_ready(&self.spec.name, &[], limit))
            .unwrap();
    }

    fn ssh(&self, target: &str, command: &str) -> Output {
        Command::new("ssh")
            .args([
                "-F",
                self.spec.state.join("ssh_config").as_str(),
                "-o",
                "BatchMode=yes",
            ])
            .args(["-o", "ConnectTimeout=3", target, command])
            .output()
            .unwrap()
    }

    fn says(&self, target: &str, command: &str) -> String {
        let output = self.ssh(target, command);
        assert!(output.status.success(), "{target}: {command}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn power(&self, host: &str) -> Power {
        let labs = lab::list().unwrap();
        let own = labs.iter().find(|l| l.name == self.spec.name).unwrap();
        own.hosts.iter().find(|h| h.name == host).unwrap().power
    }

    fn events(&self, kind: EventKind, by: Actor) -> usize {
        let all = lab::events(&self.spec.name).unwrap();
        all.iter().filter(|e| e.event == kind && e.by == by).count()
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs root and a cached image"]
fn hosts_are_whole_and_nothing_is_left() {
    let lab = Lab::new("qlab-whole", 41, 3);
    let before = lab::inventory().unwrap();
    let report = lab.up();
    assert!(report.ready_ms < 15_000, "{} ms", report.ready_ms);
    for host in ["h1", "h2", "h3"] {
        assert_eq!(lab.says(host, "hostname; id -u"), format!("{host}\n0"));
        assert_eq!(lab.says(host, "systemctl is-system-running --wait"), "running");
    }
    assert_ne!(
        lab.says("h1", "cat /etc/machine-id"),
        lab.says("h2", "cat /etc/machine-id")
    );
    assert_eq!(lab.says("operator@h1", "sudo -n id -u"), "0");
    assert!(!lab.ssh("nosudo@h1", "sudo -n id -u").status.success());
    lab.says("h1", "apt-get install --yes --reinstall --no-download rsync");
    // Twice is once.
    let again = lab.up();
    assert!(!again.image_built);
    assert_eq!(lab.events(EventKind::On, Actor::Operator), 3);
    assert!(!lab::residue("qlab-whole").unwrap().is_empty());
    lab::down("qlab-whole").unwrap();
    assert_eq!(lab::residue("qlab-whole").unwrap(), Vec::<String>::new());
    assert!(!lab.spec.state.exists());
    // Other labs and containers of the machine come and go as they like.
    let mine = |lines: Vec<String>| lines.into_iter().filter(|l| l.contains("qlab-whole")).collect();
    let (before, after): (Vec<_>, Vec<_>) = (mine(before), mine(lab::inventory().unwrap()));
    assert_eq!(before, after);
}

#[test]
#[ignore = "needs root and a cached image"]
fn a_cut_loses_what_was_not_synced_and_tells_no_peer() {
    let lab = Lab::new("qlab-cut", 42, 2);
    lab.up();
    lab.says("h1", "echo kept > /root/synced; sync; echo lost > /root/unsynced");
    lab.says("h1", "ip address add 198.18.42.100/24 dev eth0");
    let hardware = lab.says("h1", "cat /sys/class/net/eth0/address");
    let mut peer = TcpStream::connect("198.18.42.11:22").unwrap();
    let mut greeting = [0_u8; 256];
    assert!(peer.read(&mut greeting).unwrap() > 0);
    let began = Instant::now();
    lab::cut("qlab-cut", "h1").unwrap();
    eprintln!("cut in {} ms", began.elapsed().as_millis());
    assert_eq!(lab.power("h1"), Power::Off);
    peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    peer.write_all(b"SSH-2.0-test\r\n").unwrap();
    let silence = peer.read(&mut greeting).unwrap_err();
    assert_eq!(
        silence.kind(),
        std::io::ErrorKind::WouldBlock,
        "the peer was told: {silence}"
    );
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(lab.power("h1"), Power::Off, "a host that was cut stays off");

    lab::on("qlab-cut", "h1").unwrap();
    lab.ready();
    assert_eq!(lab.says("h1", "ls /root"), "synced");
    assert_eq!(lab.says("h1", "cat /sys/class/net/eth0/address"), hardware);
    assert!(!lab.says("h1", "ip address").contains("198.18.42.100"));
    lab::cut("qlab-cut", "h1").unwrap();
    lab::cut("qlab-cut", "h1").unwrap();
    assert_eq!(lab.events(EventKind::Cut, Actor::Operator), 2);
}

#[test]
#[ignore = "needs root and a cached image"]
fn a_stock_fence_agent_drives_the_bmc() {
    let lab = Lab::new("qlab-bmc", 43, 2);
    lab.up();
    let fence = |password: &str, action: &str| {
        let command = format!(
            "fence_redfish --ip 198.18.43.1 --ipport 8443 --username admin --password {password} \
             --ssl-insecure --systems-uri /redfish/v1/Systems/h2 --action {action}"
        );
        lab.ssh("h1", &command)
    };
    let status = |wanted: &str| {
        let output = fence("for-tests", "status");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(wanted),
            "{output:?}"
        );
    };
    status("ON");
    assert!(!fence("wrong", "off").status.success());
    assert_eq!(lab.power("h2"), Power::On);
    assert!(fence("for-tests", "off").status.success());
    status("OFF");
    assert_eq!(lab.power("h2"), Power::Off);
    assert!(fence("for-tests", "on").status.success());
    lab.ready();
    assert!(fence("for-tests", "reboot").status.success());
    lab.ready();
    assert_eq!(lab.events(EventKind::Cut, Actor::Bmc), 2);
    assert_eq!(lab.events(EventKind::On, Actor::Bmc), 2);
}

#[test]
#[ignore = "needs root and a cached image"]
fn hosts_reboot_and_switch_off_by_themselves() {
    let lab = Lab::new("qlab-self", 44, 1);
    lab.up();
    let boot = lab.says("h1", "cat /proc/sys/kernel/random/boot_id");
    lab.ssh("h1", "systemctl reboot");
    wait("the reboot", || lab.events(EventKind::Reboot, Actor::Host) == 1);
    lab.ready();
    assert_ne!(lab.says("h1", "cat /proc/sys/kernel/random/boot_id"), boot);
    lab.ssh("h1", "systemctl poweroff");
    wait("the power off", || lab.events(EventKind::Off, Actor::Host) == 1);
    assert_eq!(lab.power("h1"), Power::Off);
    lab::on("qlab-self", "h1").unwrap();
    lab.ready();
}

#[test]
#[ignore = "needs root and a cached image"]
fn a_pulled_cable_stays_out_over_a_power_cycle() {
    let lab = Lab::new("qlab-wire", 45, 1);
    lab.up();
    let reaches = |address: &str| {
        let target = address.parse().unwrap();
        TcpStream::connect_timeout(&target, Duration::from_secs(1)).is_ok()
    };
    let (four, six) = ("198.18.45.11:22", "[fd00:45::10]:22");
    assert!(reaches(four) && reaches(six));
    lab::unplug("qlab-wire", "h1", Some("mgmt")).unwrap();
    assert!(!reaches(four) && reaches(six));
    lab::cut("qlab-wire", "h1").unwrap();
    lab::on("qlab-wire", "h1").unwrap();
    wait("the host over its other NIC", || reaches(six));
    assert!(!reaches(four));
    let inside = lab::shell("qlab-wire", "h1", &["true".to_owned()]).unwrap();
    assert!(inside.success());
    lab::plug("qlab-wire", "h1", None).unwrap();
    wait("the cable", || reaches(four));
    let unknown = lab::unplug("qlab-wire", "h1", Some("moon"));
    assert!(matches!(unknown, Err(LabError::UnknownNetwork { .. })));
}

#[test]
#[ignore = "needs root and a cached image"]
fn two_labs_stand_side_by_side() {
    let (one, two) = (Lab::new("qlab-a", 46, 1), Lab::new("qlab-a-b", 47, 1));
    one.up();
    two.up();
    let mut same = one.spec.clone();
    same.name = "qlab-c".to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(lab::up(&same, &|_| {}));
    assert!(matches!(&refused, Err(LabError::AddressInUse { by, .. }) if by.contains("qlab-a")));
    lab::down("qlab-a").unwrap();
    assert_eq!(lab::residue("qlab-a").unwrap(), Vec::<String>::new());
    assert_eq!(two.says("h1", "hostname"), "h1");
    assert!(one.ssh("h1", "true").status.code() != Some(0));
}

#[test]
#[ignore = "needs root and a cached image"]
fn down_cures_whatever_was_killed_half_way() {
    let lab = Lab::new("qlab-crash", 48, 2);
    lab.up();
    let proc = |name: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir("/proc").unwrap().flatten().map(|e| e.path());
        entries
            .filter(|p| {
                let line = std::fs::read(p.join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                line.contains(name)
            })
            .collect()
    };
    let end = |name: &str| {
        for path in proc(name) {
            let pid = path.file_name().unwrap().to_str().unwrap().to_owned();
            Command::new("kill").args(["-KILL", &pid]).status().unwrap();
        }
    };
    // The supervisor of one, the container's manager of the other, the BMC.
    end("lab host-supervisor qlab-crash h1");
    end("--machine=qlab.qlab-crash.h2");
    end("lab bmc qlab-crash");
    wait("the other's end", || lab.power("h2") == Power::Off);
    // Up cures it ...
    lab.up();
    assert_eq!(lab.says("h2", "hostname"), "h2");
    // ... and so does down, without a record even.
    end("lab host-supervisor qlab-crash");
    std::fs::remove_file("/run/quorate-lab/qlab-crash/lab.json").unwrap();
    lab::down("qlab-crash").unwrap();
    assert_eq!(lab::residue("qlab-crash").unwrap(), Vec::<String>::new());
}
