//! The process that is a host's power supply: it boots the container, boots it
//! again when the host reboots itself, and tidies up when it switches off.
//!
//! It runs detached from whoever switched the host on. A power cut kills it
//! with everything else of the host, so nothing depends on its last words.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::error::LabError;
use crate::power;
use crate::procfs::Identity;
use crate::spec::{LabHost, LabSpec};
use crate::state::{self, Actor, EventKind, HostRecord};
use crate::{access, cgroup, names, net, tools};

/// Mounts and starts the container; see the script's own words.
const BOOT: &str = include_str!("recipe/boot.sh");
/// The word by which a booting host is found before its container's manager runs.
pub(crate) const BOOT_WORD: &str = "quorate-lab-boot";
/// How a container's manager says that the host asked for a reboot.
const REBOOT: i32 = 133;

/// Supplies a host with power until it switches off; what the hidden command
/// `lab host-supervisor LAB HOST` runs. Errors are also left in the host's
/// record, for whoever waits for the power-on.
pub fn supervise_host(lab: &str, host: &str) -> Result<(), LabError> {
    let result = supply(lab, host);
    if let Err(error) = &result {
        let record = HostRecord {
            failed: Some(error.to_string()),
            ..HostRecord::default()
        };
        state::write(&names::host_file(lab, host, "json"), &record)?;
    }
    result
}

fn supply(lab: &str, host: &str) -> Result<(), LabError> {
    let spec = state::load(lab)?;
    let host = spec.host(host)?;
    cgroup::enter(lab, &[&host.name, "supervisor"])?;
    let me = i32::try_from(std::process::id()).ok().and_then(Identity::of);
    let record_path = names::host_file(lab, &host.name, "json");
    loop {
        net::wire(&spec, host)?;
        let mut child = boot(&spec, host)?;
        let pid = i32::try_from(child.id()).ok();
        let record = HostRecord {
            supervisor: me,
            container: pid.and_then(Identity::of),
            failed: None,
        };
        state::write(&record_path, &record)?;
        let began = Instant::now();
        let status = child.wait().map_err(LabError::io("waiting for the container"))?;
        let event = match (status.code(), status.signal()) {
            (Some(REBOOT), _) => EventKind::Reboot,
            (Some(0), _) => EventKind::Off,
            _ => EventKind::Died,
        };
        if event == EventKind::Died {
            // The manager's end is not the host's, if somebody killed it.
            cgroup::kill(lab, &format!("{}/container", host.name));
        }
        power::let_go(&spec, &host.name)?;
        power::remove_group(lab, &host.name, &format!("{}/container", host.name))?;
        state::tell(lab, &host.name, event, Actor::Host, None, Instant::now())?;
        if event != EventKind::Reboot {
            state::write(
                &record_path,
                &HostRecord {
                    supervisor: me,
                    ..HostRecord::default()
                },
            )?;
            if event == EventKind::Died && began.elapsed().as_secs() < 5 {
                let tail = tools::tail_of(&names::host_file(lab, &host.name, "console"), 20);
                let why = format!("its container ended at once ({status})");
                return Err(LabError::PowerOn {
                    host: host.name.clone(),
                    why,
                    tail,
                });
            }
            return Ok(());
        }
    }
}

/// Starts the container in a mount namespace of its own.
fn boot(spec: &LabSpec, host: &LabHost) -> Result<Child, LabError> {
    let lab = spec.name.as_str();
    let machine = names::machine(lab, &host.name);
    let mounts = names::mounts_dir(lab, &host.name);
    for part in ["disk", "root"] {
        fs_err::create_dir_all(mounts.join(part)).map_err(LabError::io("making mount points"))?;
    }
    let group = cgroup::make(lab, &[&host.name, "container"])?;
    let console = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(names::host_file(lab, &host.name, "console"))
        .map_err(LabError::io("opening the console's log"))?;
    let errors = console
        .try_clone()
        .map_err(LabError::io("opening the console's log"))?;
    let shared = names::shared_dir(lab);
    fs_err::create_dir_all(&shared).map_err(LabError::io("making the hosts' shared folder"))?;
    let mut binds = format!("--bind={}:/srv/lab", shared.display());
    if Path::new("/dev/net/tun").exists() {
        binds.push_str(" --bind=/dev/net/tun");
    }
    Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c",
            BOOT,
            BOOT_WORD,
            &machine,
        ])
        .env_clear()
        .env("PATH", tools::PATH)
        .env("LAB_CGROUP", group.unwrap_or_default())
        .env("LAB_DISK", names::disk(lab, &host.name))
        .env("LAB_MOUNTS", &mounts)
        .env("LAB_IMAGE", access::image_of(lab, &host.name)?)
        .env("LAB_SEED", names::host_dir(lab, &host.name).join("seed"))
        .env("LAB_MACHINE", &machine)
        .env("LAB_HOST", &host.name)
        .env("LAB_BINDS", binds)
        .env("LAB_SELF_TEST", spec.self_test.to_string())
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(errors)
        .spawn()
        .map_err(LabError::io("starting the container"))
}

/// Starts this program, or the one that the lab names, apart from this process:
/// own session, no terminal, a log file for its words.
pub(crate) fn detach(spec: &LabSpec, arguments: &[&str]) -> Result<(), LabError> {
    let program = if let Some(runner) = &spec.runner {
        runner.clone().into_std_path_buf()
    } else {
        let own = std::env::current_exe().map_err(LabError::io("finding this program"))?;
        // Replaced by a newer build meanwhile: this link still leads to it.
        let link = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        if own.exists() { own } else { link }
    };
    let log_path = match arguments {
        [.., _, host] if arguments.len() == 4 => names::host_file(&spec.name, host, "supervisor"),
        _ => names::run_dir(&spec.name).join("bmc.out"),
    };
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .map_err(LabError::io(format!("opening {}", log_path.display())))?;
    let errors = log.try_clone().map_err(LabError::io("opening a log"))?;
    let status = Command::new("setsid")
        .env("PATH", tools::PATH)
        .arg("--fork")
        .arg(&program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .status()
        .map_err(LabError::io("running setsid"))?;
    if status.success() {
        return Ok(());
    }
    Err(LabError::Command {
        command: format!("setsid {} {}", program.display(), arguments.join(" ")),
        status: status.to_string(),
        stderr: String::new(),
    })
}
