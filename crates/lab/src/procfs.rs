//! What the kernel tells of processes, mounts and loop devices.
//!
//! Only reading, from `/proc` and `/sys`, and forgiving: a process may end
//! while it is looked at. Deciding what belongs to a lab is done elsewhere.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: i32,
    /// When it began, in the kernel's ticks.
    pub(crate) began: u64,
}

impl Identity {
    /// The identity of a running process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let (_, _, began) = stat(pid)?;
        Some(Self { pid, began })
    }

    /// Whether it runs still; a zombie does not.
    pub(crate) fn alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, _, began)| began == self.began && state != 'Z')
    }
}

/// A process and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    /// Its command line.
    pub(crate) argv: Vec<String>,
}

/// State, parent and start time of a process.
fn stat(pid: i32) -> Option<(char, i32, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some((
        fields.first()?.chars().next()?,
        fields.get(1)?.parse().ok()?,
        fields.get(19)?.parse().ok()?,
    ))
}

/// The numbers of all processes.
fn pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return vec![];
    };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect()
}

/// All processes that have a command line and are no zombies.
pub(crate) fn processes() -> Vec<Process> {
    let mut found = vec![];
    for pid in pids() {
        let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        let argv: Vec<String> = text
            .trim_end_matches('\0')
            .split('\0')
            .map(str::to_owned)
            .collect();
        if !text.is_empty() && stat(pid).is_some_and(|(state, ..)| state != 'Z') {
            found.push(Process { pid, argv });
        }
    }
    found
}

/// Whether a process is the first of a process namespace below this one.
pub(crate) fn is_inner_init(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .is_some_and(|ids| ids.split_whitespace().skip(1).last() == Some("1"))
}

/// The first process of the machine that a container manager has made.
pub(crate) fn inner_init(manager: i32) -> Option<i32> {
    pids()
        .into_iter()
        .filter(|&pid| stat(pid).is_some_and(|(state, parent, _)| parent == manager && state != 'Z'))
        .find(|&pid| is_inner_init(pid))
}

/// One line of a process's mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The device's numbers, as `major:minor`.
    pub(crate) device: String,
    /// Where it is mounted.
    pub(crate) at: String,
    /// The file system's kind.
    pub(crate) kind: String,
    /// What is mounted.
    pub(crate) source: String,
}

/// The mounts that a process sees, in the order in which they were made.
pub(crate) fn mounts(pid: &str) -> Vec<Mount> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    text.lines().filter_map(parse_mount).collect()
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let mut right = right.split(' ');
    Some(Mount {
        device: left.next()?.to_owned(),
        at: unescape(left.nth(1)?),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
    })
}

/// Undoes the kernel's octal escapes of blanks and backslashes.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The mounts of every mount namespace on the machine that `wanted` picks, as
/// `mount point (seen by process N)`, one process a namespace.
pub(crate) fn mounts_anywhere(wanted: impl Fn(&Mount) -> bool) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = vec![];
    for pid in pids() {
        let Ok(space) = std::fs::read_link(format!("/proc/{pid}/ns/mnt")) else {
            continue;
        };
        if seen.insert(space) {
            for mount in mounts(&pid.to_string()).into_iter().filter(&wanted) {
                found.push(format!("{} {} (seen by process {pid})", mount.kind, mount.at));
            }
        }
    }
    found
}

/// The loop devices and what backs each.
pub(crate) fn loops() -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir("/sys/block") else {
        return vec![];
    };
    let mut found = vec![];
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let backing = entry.path().join("loop/backing_file");
        if let Ok(file) = std::fs::read_to_string(backing) {
            found.push((format!("/dev/{name}"), file.trim_end().to_owned()));
        }
    }
    found.sort();
    found
}

/// The loop devices that a file, or a file below a directory, backs.
pub(crate) fn loops_of(path: &Path) -> Vec<String> {
    loops()
        .into_iter()
        .filter(|(_, backing)| {
            Path::new(backing.strip_suffix(" (deleted)").unwrap_or(backing)).starts_with(path)
        })
        .map(|(device, _)| device)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_line_is_read() {
        let line = "36 35 98:0 /mnt1 /a\\040b rw,noatime master:1 shared:7 - ext4 /dev/loop0 rw";
        let mount = parse_mount(line).unwrap();
        assert_eq!(mount.device, "98:0");
        assert_eq!(mount.at, "/a b");
        assert_eq!(
            (mount.kind.as_str(), mount.source.as_str()),
            ("ext4", "/dev/loop0")
        );
        assert_eq!(parse_mount("nonsense"), None);
    }

    #[test]
    fn this_process_is_alive_and_no_other_of_its_number() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Identity::of(pid).unwrap();
        assert!(me.alive());
        assert!(
            !Identity {
                pid,
                began: me.began + 1
            }
            .alive()
        );
        assert!(!is_inner_init(pid) || pid == 1);
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(mounts("self").iter().any(|m| m.at == "/"));
    }
}
