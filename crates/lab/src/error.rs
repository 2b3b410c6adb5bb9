//! What can go wrong in the lab, each with the reason and the cure.
//!
//! One type for the crate: every public function returns it. Not for faults
//! inside a host: those are the host's own affair, seen over SSH.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use camino::Utf8PathBuf;

/// A program that the lab runs on this machine and the package that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The program's name, as found in the search path.
    pub name: &'static str,
    /// The Debian package to install for it.
    pub package: &'static str,
}

/// Why the lab could not do what it was asked for; the text says the cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Mounts, namespaces and cgroups want root.
    #[error("the lab makes mounts, network namespaces and cgroups, and needs root for it: run it with sudo")]
    NotRoot,
    /// Programs that are absent from this machine.
    #[error("this machine lacks {}: apt-get install {}", names(.0), packages(.0))]
    MissingTools(Vec<Tool>),
    /// The description of the lab contradicts itself.
    #[error("the lab's description is wrong: {0}")]
    BadSpec(String),
    /// No source of packages among this machine's own.
    #[error(
        "found no Debian archive among this machine's apt sources (looked for suite {suite}, component main, in /etc/apt/sources.list and /etc/apt/sources.list.d): add one, the image is built from it"
    )]
    NoArchive {
        /// The suite of this machine that its archive line would name.
        suite: String,
    },
    /// The image could not be built.
    #[error("building the hosts' image failed: {why}\nThe whole log: {}\n{tail}", log.display())]
    Image {
        /// What failed.
        why: String,
        /// The log file, kept.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// Too little room on a file system.
    #[error("{} has {free_mib} MiB free and the lab wants {wanted_mib} MiB: make room there", dir.display())]
    NoRoom {
        /// The directory that was looked at.
        dir: PathBuf,
        /// What is free, in MiB.
        free_mib: u64,
        /// What is wanted, in MiB.
        wanted_mib: u64,
    },
    /// A lab of this name exists, made from another cloud file.
    #[error(
        "a lab named {name} already runs for {other}: take it down first (lab down), or name this cloud otherwise"
    )]
    NameTaken {
        /// The lab's name.
        name: String,
        /// The state directory that it belongs to.
        other: Utf8PathBuf,
    },
    /// The addresses of a network are used already on this machine.
    #[error(
        "network {network} ({cidr}) overlaps with {used} on {by}: choose other addresses, or take down what uses them"
    )]
    AddressInUse {
        /// The lab's network.
        network: String,
        /// Its addresses.
        cidr: String,
        /// What is there already.
        used: String,
        /// The link, or the lab, that holds it.
        by: String,
    },
    /// The running lab differs from what is asked, in what cannot change under way.
    #[error("lab {name} runs already with {what}: take it down first (lab down), then bring it up anew")]
    Changed {
        /// The lab's name.
        name: String,
        /// What differs.
        what: String,
    },
    /// No such lab on this machine.
    #[error("no lab named {name} on this machine; there is: {known}")]
    UnknownLab {
        /// What was asked for.
        name: String,
        /// The labs that there are.
        known: String,
    },
    /// No such host in the lab.
    #[error("lab {name} has no host {host}; it has: {known}")]
    UnknownHost {
        /// The lab's name.
        name: String,
        /// What was asked for.
        host: String,
        /// The hosts that there are.
        known: String,
    },
    /// No such network in the lab, or the host has no NIC on it.
    #[error("host {host} of lab {name} has no NIC on a network {network}")]
    UnknownNetwork {
        /// The lab's name.
        name: String,
        /// The host.
        host: String,
        /// What was asked for.
        network: String,
    },
    /// The host has no power.
    #[error("host {host} of lab {name} is off: lab on {host}")]
    Off {
        /// The lab's name.
        name: String,
        /// The host.
        host: String,
    },
    /// A program failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// What it said, its last lines.
        stderr: String,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A record of the lab cannot be read.
    #[error("{} is damaged ({why}): lab down removes it", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A host did not power on.
    #[error("host {host} did not power on: {why}\n{tail}")]
    PowerOn {
        /// The host.
        host: String,
        /// What failed.
        why: String,
        /// The last lines of its console.
        tail: String,
    },
    /// Hosts that have power and answer no SSH.
    #[error("no SSH answer within {} s from {hosts}; their consoles: {}", after.as_secs(), consoles.display())]
    NotReady {
        /// The hosts and addresses.
        hosts: String,
        /// How long was waited.
        after: Duration,
        /// The directory of the consoles' logs.
        consoles: PathBuf,
    },
    /// Something of a host outlived its kill.
    #[error("host {host} of lab {name} is not wholly gone after {} s: {what} is left. Look what holds it, then: lab down", after.as_secs())]
    StillThere {
        /// The lab's name.
        name: String,
        /// The host.
        host: String,
        /// What is left.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The guard before a power cut found something else than the host's disk.
    #[error("refusing to shut down the file system of {host}: {why}")]
    WrongDisk {
        /// The host.
        host: String,
        /// What was found.
        why: String,
    },
    /// The BMC cannot serve.
    #[error("the BMC of lab {name} does not serve on {address}: {why}")]
    Bmc {
        /// The lab's name.
        name: String,
        /// Where it was to listen.
        address: IpAddr,
        /// The reason.
        why: String,
    },
}

impl LabError {
    /// Wraps a system error with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

fn names(tools: &[Tool]) -> String {
    tools.iter().map(|t| t.name).collect::<Vec<_>>().join(", ")
}

fn packages(tools: &[Tool]) -> String {
    let mut packages: Vec<_> = tools.iter().map(|t| t.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_name_each_package_once() {
        let error = LabError::MissingTools(vec![
            Tool {
                name: "mount",
                package: "mount",
            },
            Tool {
                name: "losetup",
                package: "mount",
            },
        ]);
        assert_eq!(
            error.to_string(),
            "this machine lacks mount, losetup: apt-get install mount"
        );
    }
}
