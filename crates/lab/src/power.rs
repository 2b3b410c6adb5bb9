//! Power: on, the honest cut, and what makes sure that nothing is left of a host.
//!
//! A cut drops the cables first, so that no dying socket tells the peers; then
//! ends the file system without a flush, so that what was not synced is lost;
//! then kills all of the host, and returns when nothing of it is left. Every
//! function here blocks: asynchronous callers use a blocking task.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::LabError;
use crate::procfs::{self, Identity};
use crate::spec::{LabHost, LabSpec};
use crate::state::{self, Actor, EventKind};
use crate::supervisor::BOOT_WORD;
use crate::{access, cgroup, names, net, shutdown, supervisor, tools};

/// How long a power-on may take until the host's first process runs.
const ON_LIMIT: Duration = Duration::from_secs(20);
/// How long the remains of a killed host may linger.
const GONE_LIMIT: Duration = Duration::from_secs(20);
/// How often is looked.
const TICK: Duration = Duration::from_millis(20);

/// Cuts a host's power, honestly. It stays off until it is switched on, here or
/// over the BMC. Cutting a host that is off does nothing.
pub fn cut(lab: &str, host: &str) -> Result<(), LabError> {
    cut_by(lab, host, Actor::Operator)
}

/// Switches a host on; returns when its first process runs, seconds before it
/// answers SSH, or when it tests itself. A host that is on stays as it is.
pub fn on(lab: &str, host: &str) -> Result<(), LabError> {
    on_by(lab, host, Actor::Operator)
}

/// Cuts a host's power in somebody's name.
pub(crate) fn cut_by(lab: &str, host: &str, by: Actor) -> Result<(), LabError> {
    tools::need_root()?;
    let spec = state::load(lab)?;
    let host = spec.host(host)?;
    let lock = state::lock_host(lab, &host.name)?;
    let began = Instant::now();
    let was_on = pull(&spec, host)?;
    if was_on {
        state::tell(lab, &host.name, EventKind::Cut, by, None, began)?;
    }
    drop(lock);
    Ok(())
}

/// Cuts a host's power and makes it an empty machine, which nobody switches on before
/// it is one: a cluster that misses it would.
pub(crate) fn empty(spec: &LabSpec, host: &LabHost) -> Result<(), LabError> {
    let lock = state::lock_host(&spec.name, &host.name)?;
    let began = Instant::now();
    if pull(spec, host)? {
        state::tell(
            &spec.name,
            &host.name,
            EventKind::Cut,
            Actor::Operator,
            None,
            began,
        )?;
    }
    let image = access::image_of(&spec.name, &host.name)?;
    access::scrap(spec, host)?;
    let key = access::operator_key(spec)?;
    access::prepare_host(spec, host, &image, &key)?;
    drop(lock);
    Ok(())
}

/// The cut itself: cables, disk, processes. Says whether there was power.
pub(crate) fn pull(spec: &LabSpec, host: &LabHost) -> Result<bool, LabError> {
    let record = state::host_record(&spec.name, &host.name)?;
    let container = record.container.filter(|c| c.alive());
    if let Some(container) = container {
        net::set_cables(spec, host, None, false)?;
        end_disk(&spec.name, &host.name, container)?;
    }
    sweep(spec, &host.name)?;
    Ok(container.is_some())
}

/// Ends a host's file system without a flush, after proof that it is the
/// host's: the same call would end the machine's own.
fn end_disk(lab: &str, host: &str, container: Identity) -> Result<(), LabError> {
    let at = names::mounts_dir(lab, host).join("disk");
    let disk = names::disk(lab, host);
    let wrong = |why: String| {
        Err(LabError::WrongDisk {
            host: host.to_owned(),
            why,
        })
    };
    let mounts = procfs::mounts(&container.pid.to_string());
    let Some(mount) = mounts.iter().find(|m| Path::new(&m.at) == at) else {
        return Ok(()); // not mounted yet: it had nothing to lose
    };
    if mount.kind != "ext4" || !procfs::loops_of(&disk).contains(&mount.source) {
        return wrong(format!(
            "{} on {} is not {}",
            mount.kind,
            mount.source,
            disk.display()
        ));
    }
    let seen =
        PathBuf::from(format!("/proc/{}/root", container.pid)).join(at.strip_prefix("/").unwrap_or(&at));
    let what = || format!("opening the disk of {host}");
    let file = std::fs::File::open(&seen).map_err(LabError::io(what()))?;
    let device = rustix::fs::fstat(&file)
        .map_err(|e| LabError::io(what())(e.into()))?
        .st_dev;
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    if device != mount.device {
        return wrong(format!(
            "{} is on device {device}, not {}",
            seen.display(),
            mount.device
        ));
    }
    shutdown::without_flush(&file).map_err(LabError::io(format!("ending the disk of {host}")))
}

/// Switches a host on in somebody's name.
pub(crate) fn on_by(lab: &str, host: &str, by: Actor) -> Result<(), LabError> {
    tools::need_root()?;
    let spec = state::load(lab)?;
    let host = spec.host(host)?;
    let lock = state::lock_host(lab, &host.name)?;
    let began = Instant::now();
    let record = state::host_record(lab, &host.name)?;
    if record.container.is_some_and(Identity::alive) {
        return Ok(());
    }
    // A host that switches itself off is let finish; else what is left goes.
    while record.supervisor.is_some_and(Identity::alive) && began.elapsed() < ON_LIMIT {
        if state::host_record(lab, &host.name)?
            .container
            .is_some_and(Identity::alive)
        {
            return Ok(()); // it was rebooting
        }
        std::thread::sleep(TICK);
    }
    sweep(&spec, &host.name)?;
    supervisor::detach(&spec, &["lab", "host-supervisor", lab, &host.name])?;
    await_init(&spec, host, began)?;
    state::tell(lab, &host.name, EventKind::On, by, None, began)?;
    drop(lock);
    Ok(())
}

/// Waits until a host's first process runs; until it is on where it tests itself before.
fn await_init(spec: &LabSpec, host: &LabHost, began: Instant) -> Result<(), LabError> {
    let console = names::host_file(&spec.name, &host.name, "console");
    let failed = |why: String| LabError::PowerOn {
        host: host.name.clone(),
        why,
        tail: tools::tail_of(&console, 20),
    };
    loop {
        let record = state::host_record(&spec.name, &host.name)?;
        if let Some(why) = record.failed {
            return Err(failed(why));
        }
        let starts = |c: Identity| c.alive() && (spec.self_test > 0 || procfs::inner_init(c.pid).is_some());
        if record.container.is_some_and(starts) {
            return Ok(());
        }
        if began.elapsed() > ON_LIMIT {
            let log = names::host_file(&spec.name, &host.name, "supervisor");
            return Err(failed(format!("nothing runs yet; {}", tools::tail_of(&log, 5))));
        }
        std::thread::sleep(TICK);
    }
}

/// Asks a host to shut down by itself, as a short press of the button does.
pub(crate) fn press(lab: &str, host: &str, by: Actor) -> Result<(), LabError> {
    let began = Instant::now();
    let container = state::host_record(lab, host)?.container.filter(|c| c.alive());
    if let Some(init) = container.and_then(|c| procfs::inner_init(c.pid)) {
        // The container's init takes this real-time signal for `poweroff`.
        tools::run(&["kill", "-s", "RTMIN+4", &init.to_string()])?;
        state::tell(lab, host, EventKind::Shutdown, by, None, began)?;
    }
    Ok(())
}

/// Kills what there is of a host and removes all but its disk. Returns when it
/// is gone: no process, no mount, no loop device, no link.
pub(crate) fn sweep(spec: &LabSpec, host: &str) -> Result<(), LabError> {
    cgroup::kill(&spec.name, host);
    for pid in host_processes(&spec.name, host) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // it may have ended by itself
    }
    let began = Instant::now();
    while cgroup::populated(&spec.name, host) || !host_processes(&spec.name, host).is_empty() {
        if began.elapsed() > GONE_LIMIT {
            return Err(still_there(&spec.name, host, "a process".to_owned()));
        }
        cgroup::kill(&spec.name, host);
        std::thread::sleep(TICK);
    }
    let_go(spec, host)?;
    remove_group(&spec.name, host, host)?;
    let _ = fs_err::remove_file(names::host_file(&spec.name, host, "json"));
    Ok(())
}

/// After the last process of a host: waits for its disk to be released and
/// removes its network namespace and cables.
pub(crate) fn let_go(spec: &LabSpec, host: &str) -> Result<(), LabError> {
    let disk = names::disk(&spec.name, host);
    let began = Instant::now();
    loop {
        let devices = procfs::loops_of(&disk);
        if devices.is_empty() {
            break;
        }
        if began.elapsed() > GONE_LIMIT {
            return Err(still_there(&spec.name, host, devices.join(", ")));
        }
        if began.elapsed() > GONE_LIMIT / 4 {
            for device in devices {
                let _ = tools::run(&["losetup", "--detach", &device]); // a leftover of a crash
            }
        }
        std::thread::sleep(TICK);
    }
    let cables: Vec<String> = spec
        .networks
        .iter()
        .map(|n| names::cable(&spec.name, host, &n.name))
        .collect();
    net::unwire(&spec.name, host, &cables)?;
    let machine = names::machine(&spec.name, host);
    for dir in ["propagate", "unix-export"] {
        // The container's manager removes these itself unless it is killed.
        let _ = std::fs::remove_dir_all(format!("/run/systemd/nspawn/{dir}/{machine}"));
    }
    Ok(())
}

/// Removes a host's control group or one below it. It must be gone: in one that
/// was ever killed, whatever is started later may be killed at once too.
pub(crate) fn remove_group(lab: &str, host: &str, part: &str) -> Result<(), LabError> {
    let began = Instant::now();
    loop {
        cgroup::remove(lab, part);
        if !cgroup::exists(lab, part) {
            return Ok(());
        }
        if began.elapsed() > GONE_LIMIT {
            return Err(still_there(lab, host, format!("cgroup {part}")));
        }
        std::thread::sleep(TICK); // the last process is going still
    }
}

fn still_there(lab: &str, host: &str, what: String) -> LabError {
    LabError::StillThere {
        name: lab.to_owned(),
        host: host.to_owned(),
        what,
        after: GONE_LIMIT,
    }
}

/// The processes by which a host is powered: supervisor, boot, container's
/// manager and first process.
pub(crate) fn host_processes(lab: &str, host: &str) -> Vec<i32> {
    let machine = names::machine(lab, host);
    let mut found = vec![];
    for process in procfs::processes() {
        if is_of_host(&process.argv, lab, host, &machine) {
            found.extend(procfs::inner_init(process.pid));
            found.push(process.pid);
        }
    }
    found
}

fn is_of_host(argv: &[String], lab: &str, host: &str, machine: &str) -> bool {
    let ends = |words: &[&str]| {
        argv.len() >= words.len() && argv.iter().rev().zip(words.iter().rev()).all(|(a, b)| a == b)
    };
    ends(&["lab", "host-supervisor", lab, host])
        || ends(&[BOOT_WORD, machine])
        || argv.iter().any(|a| a.strip_prefix("--machine=") == Some(machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_processes_are_told_from_others() {
        let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mine = |line| is_of_host(&argv(line), "a", "c1", "qlab.a.c1");
        assert!(mine("/usr/bin/tool lab host-supervisor a c1"));
        assert!(mine("setsid --fork tool lab host-supervisor a c1"));
        assert!(mine("systemd-nspawn --quiet --machine=qlab.a.c1 --boot"));
        assert!(mine("/bin/sh -c script quorate-lab-boot qlab.a.c1"));
        assert!(!mine("/usr/bin/tool lab host-supervisor a c11"));
        assert!(!mine("systemd-nspawn --machine=qlab.a.c11"));
        assert!(!mine("c1"));
    }
}
