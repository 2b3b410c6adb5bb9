//! What a host says of itself by its kernel and its release file: names,
//! clock, memory, free space. Not for the network (`network`).

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use wire::{Fact, OsRelease};

/// `gethostname()`.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Changes with each boot; empty where the kernel does not say.
pub(crate) fn boot_id() -> String {
    read("/proc/sys/kernel/random/boot_id")
}

/// Seconds since the epoch.
pub(crate) fn clock() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |secs| -secs),
    }
}

/// Total memory in KiB.
pub(crate) fn memory_kib() -> u64 {
    read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// Free bytes for each mount point that can be asked.
pub(crate) fn disk_free(mounts: &[String]) -> BTreeMap<String, u64> {
    mounts
        .iter()
        .filter_map(|mount| free(mount).map(|bytes| (mount.clone(), bytes)))
        .collect()
}

/// Bytes that are used or may still be, for each mount point that can be asked: what is
/// kept for root and for others' quotas is neither.
pub(crate) fn disk_size(mounts: &[String]) -> BTreeMap<String, u64> {
    let size = |mount: &String| {
        let stat = rustix::fs::statvfs(mount.as_str()).ok()?;
        let blocks = stat
            .f_blocks
            .saturating_sub(stat.f_bfree)
            .saturating_add(stat.f_bavail);
        Some((mount.clone(), blocks.saturating_mul(stat.f_frsize)))
    };
    mounts.iter().filter_map(size).collect()
}

/// Bytes that root's files may still take on the file system of `path`.
pub(crate) fn free(path: &str) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The distribution.
pub(crate) fn os() -> Fact<OsRelease> {
    match std::fs::read_to_string("/etc/os-release")
        .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))
    {
        Ok(text) => Fact::Known(parse_os(&text)),
        Err(error) => Fact::Unknown(format!("cannot read /etc/os-release: {error}")),
    }
}

fn parse_os(text: &str) -> OsRelease {
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
            .unwrap_or_default()
    };
    OsRelease {
        id: field("ID"),
        version: field("VERSION_ID"),
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_with_and_without_quotes() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=\"13\"\nID=debian\n";
        assert_eq!(
            parse_os(debian),
            OsRelease {
                id: "debian".to_owned(),
                version: "13".to_owned()
            }
        );
        assert_eq!(
            parse_os("ID='sid'\n"),
            OsRelease {
                id: "sid".to_owned(),
                version: String::new()
            }
        );
    }

    #[test]
    fn this_machine_has_memory_and_disk() {
        assert!(memory_kib() > 1024);
        assert!(disk_free(&["/".to_owned(), "/nonexistent".to_owned()]).contains_key("/"));
        assert!(clock() > 1_700_000_000);
    }
}
