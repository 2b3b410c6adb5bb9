//! Kernel parameters, by `/proc/sys`. Not for making them last: files do that.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
};

use rustix::{
    fs::{Access, access},
    io::Errno,
};
use wire::{Fact, OpError};

use crate::{files::is_absent, session::Progress};

/// Reads parameters. One that cannot be set here (a container's host owns it)
/// is unknown, with its value in the reason: a plan that wanted to change it
/// would never become empty.
pub(crate) fn facts(keys: &[String]) -> BTreeMap<String, Fact<String>> {
    keys.iter().map(|key| (key.clone(), fact(key))).collect()
}

fn fact(key: &str) -> Fact<String> {
    let path = path(key);
    match read(&path) {
        Ok(value) => match access(&path, Access::WRITE_OK) {
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => {
                Fact::Unknown(format!("cannot be set here, is `{value}`"))
            }
            _ => Fact::Known(value),
        },
        Err(error) if is_absent(&error) => Fact::Absent,
        Err(error) => Fact::Unknown(format!("cannot read {path}: {error}")),
    }
}

/// Sets what is different; how many were. What the host does not let us set is
/// told and not counted.
pub(crate) fn write(wanted: &[(String, String)], progress: &Progress) -> Result<u32, OpError> {
    let mut changed = 0;
    for (key, value) in wanted {
        let path = path(key);
        let value = normal(value);
        if read(&path).is_ok_and(|present| present == value) {
            continue;
        }
        match fs::write(&path, &value) {
            Ok(()) => changed += 1,
            Err(error) if cannot_be_set(&error) => {
                progress.say(format!("{key} cannot be set here: {error}"));
            }
            Err(error) => {
                return Err(OpError::new(format!("cannot set {key} to `{value}`: {error}")));
            }
        }
    }
    Ok(changed)
}

fn cannot_be_set(error: &io::Error) -> bool {
    is_absent(error)
        || matches!(
            error.kind(),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
        )
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(path).map(|text| normal(&text))
}

/// One space between the numbers of a list; the kernel prints tabs.
fn normal(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Dots part the names and a slash stands for a dot in one (`eth0/100`), or
/// the other way round, as in sysctl(8).
fn path(key: &str) -> String {
    let first = key.find(['.', '/']).and_then(|at| key.get(at..=at));
    let inner: String = if first == Some("/") {
        key.to_owned()
    } else {
        key.chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect()
    };
    format!("/proc/sys/{inner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(
            path("net.ipv4.ip_nonlocal_bind"),
            "/proc/sys/net/ipv4/ip_nonlocal_bind"
        );
        assert_eq!(
            path("net.ipv4.conf.eth0/100.forwarding"),
            "/proc/sys/net/ipv4/conf/eth0.100/forwarding"
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.100/forwarding"),
            "/proc/sys/net/ipv4/conf/eth0.100/forwarding"
        );
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let keys = ["kernel.ostype".to_owned(), "kernel.no_such_key".to_owned()];
        let facts = facts(&keys);
        assert!(!facts["kernel.ostype"].is_absent());
        assert!(facts["kernel.no_such_key"].is_absent());
        let same = [("kernel.ostype".to_owned(), "Linux".to_owned())];
        assert_eq!(write(&same, &Progress::silent()), Ok(0));
        let unknown = [("kernel.no_such_key".to_owned(), "1".to_owned())];
        assert_eq!(write(&unknown, &Progress::silent()), Ok(0));
    }
}
