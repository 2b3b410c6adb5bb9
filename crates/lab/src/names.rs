//! Every name and path by which the lab marks what is its own.
//!
//! Cleaning up works from these alone, without any record: after a crash
//! half-way whatever bears a lab's marks is the lab's. Links have at most 15
//! characters, so their names are digests: `q`, a letter for the kind, six
//! hexadecimal digits of the lab, six of the rest.

use std::path::PathBuf;

/// Where running labs keep their records; gone with the machine's power.
const RUN: &str = "/run/quorate-lab";
/// Where the hosts' disks are.
const DISKS: &str = "/var/lib/quorate/lab";
/// Where built images are kept, each by its content's digest.
pub(crate) const IMAGES: &str = "/var/cache/quorate/lab";
/// The folder among a lab's disks that its hosts share.
pub(crate) const SHARED: &str = ".shared";
/// The name of the lab's subtree in the cgroup hierarchies.
pub(crate) const CGROUP: &str = "quorate-lab";
/// The port of the BMC, on each network's gateway address.
pub(crate) const BMC_PORT: u16 = 8443;

/// The first hexadecimal digits of a digest over the parts.
pub(crate) fn digest(parts: &[&str], digits: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize().to_hex().chars().take(digits).collect()
}

/// All labs' records.
pub(crate) fn run_root() -> PathBuf {
    PathBuf::from(RUN)
}

/// A lab's records.
pub(crate) fn run_dir(lab: &str) -> PathBuf {
    run_root().join(lab)
}

/// All labs' disks.
pub(crate) fn disks_root() -> PathBuf {
    PathBuf::from(DISKS)
}

/// The disks of a lab.
pub(crate) fn disks_dir(lab: &str) -> PathBuf {
    disks_root().join(lab)
}

/// What a host owns across its power cycles: disk, keys, first files.
pub(crate) fn host_dir(lab: &str, host: &str) -> PathBuf {
    disks_dir(lab).join(host)
}

/// A host's disk.
pub(crate) fn disk(lab: &str, host: &str) -> PathBuf {
    host_dir(lab, host).join("disk.ext4")
}

/// A folder that all hosts of a lab have as `/srv/lab`, whatever becomes of them: what
/// stands for a server of files outside. No host's name begins with a dot.
pub(crate) fn shared_dir(lab: &str) -> PathBuf {
    disks_dir(lab).join(SHARED)
}

/// Where a host's disk and root are mounted, in the host's own mount namespace.
pub(crate) fn mounts_dir(lab: &str, host: &str) -> PathBuf {
    run_dir(lab).join("mnt").join(host)
}

/// A record of one host: its power, cables, console.
pub(crate) fn host_file(lab: &str, host: &str, kind: &str) -> PathBuf {
    run_dir(lab).join("hosts").join(format!("{host}.{kind}"))
}

/// The start of every machine and network namespace name of a lab. No name of
/// a lab has a dot, so that `a` and `a-b` cannot be mixed up.
pub(crate) fn machine_prefix(lab: &str) -> String {
    format!("qlab.{lab}.")
}

/// The name of a host's machine and of its network namespace.
pub(crate) fn machine(lab: &str, host: &str) -> String {
    format!("{}{host}", machine_prefix(lab))
}

/// The start of every bridge and cable name of a lab, by kind.
pub(crate) fn link_prefixes(lab: &str) -> [String; 2] {
    let lab = digest(&["lab", lab], 6);
    [format!("qb{lab}"), format!("qv{lab}")]
}

/// The bridge of a network.
pub(crate) fn bridge(lab: &str, network: &str) -> String {
    let [prefix, _] = link_prefixes(lab);
    format!("{prefix}{}", digest(&["network", lab, network], 6))
}

/// This machine's end of a host's cable to a network.
pub(crate) fn cable(lab: &str, host: &str, network: &str) -> String {
    let [_, prefix] = link_prefixes(lab);
    format!("{prefix}{}", digest(&["cable", lab, host, network], 6))
}

/// A hardware address that is the same at each power-on: locally administered,
/// unicast, from the names.
pub(crate) fn hardware_address(parts: &[&str]) -> String {
    let digits = digest(parts, 10);
    let mut address = String::from("02");
    for (i, digit) in digits.chars().enumerate() {
        if i % 2 == 0 {
            address.push(':');
        }
        address.push(digit);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_fit_the_kernel_and_differ() {
        let mut names = vec![];
        for lab in ["a", "qlab-with-a-very-long-name"] {
            for network in ["mgmt", "provider"] {
                names.push(bridge(lab, network));
                for host in ["c1", "c2.example.org"] {
                    names.push(cable(lab, host, network));
                }
            }
        }
        assert!(names.iter().all(|n| n.len() < 15), "{names:?}");
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_lab_owns_its_links_and_no_others() {
        let [bridges, cables] = link_prefixes("a");
        assert!(bridge("a", "m").starts_with(&bridges));
        assert!(cable("a", "h", "m").starts_with(&cables));
        assert!(!bridge("b", "m").starts_with(&bridges));
        assert!(!machine("a-b", "h").starts_with(&machine_prefix("a")));
    }

    #[test]
    fn hardware_addresses_are_local_and_stable() {
        let address = hardware_address(&["x"]);
        assert_eq!(address.len(), 17);
        assert!(address.starts_with("02:"));
        assert_eq!(address, hardware_address(&["x"]));
    }
}
