//! A control group for each host, so that all of a host dies at one word.
//!
//! Version 2, whether it is the machine's only hierarchy or mounted beside the
//! old ones; no limits are set. Where there is none the lab falls back to
//! killing by process number. The container manager mirrors its group into the
//! old hierarchies: removing looks there too.
//!
//! Hosts have like shares of the processors, by version 2's controller or the old
//! one: a real host has its own, and one that starts forty services at once would
//! otherwise take those of its neighbours, which no power cut does.

use std::path::{Path, PathBuf};

use crate::error::LabError;
use crate::{bmc, names};

/// Where version 2 is mounted.
fn base() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(PathBuf::from)
        .find(|dir| dir.join("cgroup.procs").exists() && dir.join("cgroup.controllers").exists())
}

/// The lab's groups in every hierarchy of the machine.
fn all(below: &Path) -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut roots = vec![root.clone()];
    if let Ok(entries) = std::fs::read_dir(&root) {
        roots.extend(entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()));
    }
    roots
        .into_iter()
        .map(|root| root.join(names::CGROUP).join(below))
        .filter(|dir| dir.is_dir())
        .collect()
}

/// Makes `LAB/PART…` and returns its path, or nothing where version 2 is absent.
pub(crate) fn make(lab: &str, parts: &[&str]) -> Result<Option<PathBuf>, LabError> {
    let Some(mut dir) = base() else {
        return Ok(None);
    };
    let share = |dir: &Path| {
        // Controllers are a courtesy to the hosts: a machine may have none to give.
        for controller in ["+cpu", "+io", "+memory", "+pids"] {
            let _ = std::fs::write(dir.join("cgroup.subtree_control"), controller);
        }
    };
    for part in [names::CGROUP, lab].iter().chain(parts) {
        share(&dir);
        dir.push(part);
        match std::fs::create_dir(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(LabError::io(format!("making cgroup {}", dir.display()))(e));
            }
            _ => {}
        }
    }
    Ok(Some(dir))
}

/// The old hierarchy that shares out processors, where version 2 has no such controller.
const OLD_SHARES: &str = "/sys/fs/cgroup/cpu";
/// What all labs weigh against one process outside them (a process weighs 1024). Those
/// that measure a lab are outside, and so are the kernel's threads that write its disks:
/// with 4096 a write to a disk took 54 ms where the machine's own took 0.2 ms, and what
/// flushes its disk at each commit stood still for seconds while forty services started.
const LABS_WEIGH: &str = "1024";
/// Real time that a host has, in microseconds of each tenth of a second. Corosync is a
/// process of real time, and a group has none unless it is given some; a tenth of a
/// second without is well below the second after which others would miss it.
const REAL_TIME: u32 = 9_000;
/// The most that all hosts of all labs can have: a rest is the machine's.
const REAL_TIME_MOST: u32 = 90_000;
const REAL_TIME_PERIOD: &str = "100000";

/// Where labs share the processors, if it is by the old hierarchy.
fn old_shares() -> Option<PathBuf> {
    let root = Path::new(OLD_SHARES);
    root.join("cpu.shares").exists().then(|| root.join(names::CGROUP))
}

/// What a group has of real time: of the time that is nobody's yet, in microseconds of a
/// period. Where a kernel has none for groups, or all of it is given away, Corosync asks
/// for it in vain, and says so.
fn give_real_time(group: &Path, runtime: u32) {
    let _ = std::fs::write(group.join("cpu.rt_period_us"), REAL_TIME_PERIOD);
    let _ = std::fs::write(group.join("cpu.rt_runtime_us"), runtime.to_string());
}

/// Gives a lab with so many hosts its part of the processors, before any of them is there:
/// they take theirs from it.
pub(crate) fn share_processors(lab: &str, hosts: usize) -> Result<(), LabError> {
    let Some(labs) = old_shares() else {
        return Ok(());
    };
    let dir = labs.join(lab);
    let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    fs_err::create_dir_all(&dir)
        .and_then(|()| fs_err::write(labs.join("cpu.shares"), LABS_WEIGH))
        // Hosts of different labs have like shares too.
        .and_then(|()| fs_err::write(dir.join("cpu.shares"), hosts.saturating_mul(1024).to_string()))
        .map_err(LabError::io("sharing out the processors"))?;
    give_real_time(&labs, REAL_TIME_MOST);
    give_real_time(&dir, hosts.saturating_mul(REAL_TIME));
    Ok(())
}

/// Puts this process, and so all that it will start, among those of a host of a lab, which
/// has as much of the processors as each other host.
fn enter_share(lab: &str, host: &str) -> Result<(), LabError> {
    let Some(dir) = old_shares().map(|labs| labs.join(lab).join(host)) else {
        return Ok(());
    };
    fs_err::create_dir_all(&dir).map_err(LabError::io("sharing out the processors"))?;
    if host != bmc::PART {
        give_real_time(&dir, REAL_TIME);
    }
    fs_err::write(dir.join("cgroup.procs"), "0").map_err(LabError::io("sharing out the processors"))
}

/// Puts this process into `LAB/PART…`.
pub(crate) fn enter(lab: &str, parts: &[&str]) -> Result<(), LabError> {
    if let Some(part) = parts.first() {
        enter_share(lab, part)?;
    }
    let Some(dir) = make(lab, parts)? else {
        return Ok(());
    };
    std::fs::write(dir.join("cgroup.procs"), "0")
        .map_err(LabError::io(format!("entering cgroup {}", dir.display())))
}

/// Kills every process of `LAB/PART` at once.
pub(crate) fn kill(lab: &str, part: &str) {
    if let Some(base) = base() {
        let dir = base.join(names::CGROUP).join(lab).join(part);
        // Absent or already empty: nothing to kill; the caller looks what is left.
        let _ = std::fs::write(dir.join("cgroup.kill"), "1");
    }
}

/// Whether `LAB/PART` has a group in any hierarchy.
pub(crate) fn exists(lab: &str, part: &str) -> bool {
    !all(&Path::new(lab).join(part)).is_empty()
}

/// Whether a process is left in `LAB/PART`.
pub(crate) fn populated(lab: &str, part: &str) -> bool {
    base().is_some_and(|base| {
        let events = base
            .join(names::CGROUP)
            .join(lab)
            .join(part)
            .join("cgroup.events");
        std::fs::read_to_string(events)
            .unwrap_or_default()
            .contains("populated 1")
    })
}

/// Removes the groups of a lab (`part` empty) or of one of its parts, where no
/// process is in them, and the parents that this leaves empty.
pub(crate) fn remove(lab: &str, part: &str) {
    for dir in all(&Path::new(lab).join(part)) {
        remove_tree(&dir);
        // Parents of other hosts and labs are not empty and stay.
        for parent in dir.ancestors().skip(1).take(if part.is_empty() { 1 } else { 2 }) {
            if parent.ends_with(names::CGROUP) || parent.ends_with(lab) {
                remove_group(parent);
            }
        }
    }
}

/// A group that goes away counts for seconds more among those that have real time.
fn remove_group(dir: &Path) {
    let _ = std::fs::write(dir.join("cpu.rt_runtime_us"), "0");
    let _ = std::fs::remove_dir(dir);
}

fn remove_tree(dir: &Path) {
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten().filter(|e| e.path().is_dir()) {
            remove_tree(&entry.path());
        }
    }
    remove_group(dir);
}

/// The groups of a lab, in every hierarchy.
pub(crate) fn list(lab: &str) -> Vec<String> {
    let mut found = vec![];
    for dir in all(Path::new(lab)) {
        walk(&dir, &mut found);
    }
    found
}

/// All groups of the machine.
pub(crate) fn list_machine() -> Vec<String> {
    let mut found = vec![];
    walk(Path::new("/sys/fs/cgroup"), &mut found);
    found
}

/// The parts of a lab that have a group: its hosts, and the BMC.
pub(crate) fn parts(lab: &str) -> Vec<String> {
    let mut found = vec![];
    for dir in all(Path::new(lab)) {
        let Ok(entries) = std::fs::read_dir(dir) else {
            continue;
        };
        for entry in entries.flatten().filter(|e| e.path().is_dir()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

fn walk(dir: &Path, found: &mut Vec<String>) {
    found.push(dir.display().to_string());
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}
