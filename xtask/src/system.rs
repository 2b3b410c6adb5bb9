//! What this machine must have: system packages, and the rights to run a lab.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::shell::{Error, program, run};

/// Programs that the lab's own programs want and that their packages only
/// recommend: mmdebstrap reads the archive's keyrings with gpg.
const MORE: [(&str, &str); 1] = [("/usr/bin/gpg", "gpg")];

/// Programs that unit tests run.
const TESTS: [(&str, &str); 1] = [("/usr/bin/shellcheck", "shellcheck")];

/// `CAP_SYS_ADMIN`, as a bit of `CapEff` (capabilities(7)).
const SYS_ADMIN: u32 = 21;

/// Every program that the lab runs, and its package: the lab's own list, as text, so
/// that these chores need not wait until the lab is built.
const LAB: &str = include_str!("../../crates/lab/src/tools.txt");

/// Where programs are looked for; root's search path may lack sbin.
const PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The lab's programs that are not there, each with its package.
fn missing() -> impl Iterator<Item = (&'static str, &'static str)> {
    LAB.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, package)| (name, package.trim_start()))
        .filter(|(name, _)| !PATH.iter().any(|dir| Path::new(dir).join(name).exists()))
}

/// Packages of those files that are not there.
fn lacking(files: &[(&'static str, &'static str)]) -> impl Iterator<Item = &'static str> {
    let absent = files.iter().filter(|(file, _)| !Path::new(file).exists());
    absent.map(|(_, package)| *package)
}

/// Installs the packages that are missing, for the lab and for unit tests; prints nothing to
/// do if there are none.
pub fn install(lab: bool, tests: bool) -> Result<(), Error> {
    let mut packages: Vec<&str> = Vec::new();
    if lab {
        packages.extend(missing().map(|(_, package)| package));
        packages.extend(lacking(&MORE));
    }
    if tests {
        packages.extend(lacking(&TESTS));
    }
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        println!("system packages: all there");
        return Ok(());
    }
    println!("system packages: {} missing", packages.join(" "));
    if !is_root() {
        return Err(Error::Said(format!(
            "only root can install them: apt-get install {}",
            packages.join(" ")
        )));
    }
    run(program("apt-get").args(["--quiet", "update"]))?;
    let mut install = program("apt-get");
    install
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--quiet", "--yes", "install", "--no-install-recommends"])
        .args(packages);
    run(&mut install)?;
    Ok(())
}

/// Why no lab can run on this machine; `None` where nothing speaks against it.
pub fn no_lab() -> Option<String> {
    if !is_root() {
        return Some("a lab needs root".to_owned());
    }
    let missing: Vec<&str> = missing().map(|(name, _)| name).collect();
    if !missing.is_empty() {
        return Some(format!(
            "this machine lacks {}: cargo xtask tools",
            missing.join(", ")
        ));
    }
    if !may_mount() {
        return Some(
            "this root may not mount (no CAP_SYS_ADMIN): is this an unprivileged container?".to_owned(),
        );
    }
    if !Path::new("/dev/loop-control").exists() {
        return Some("this kernel has no loop devices (/dev/loop-control)".to_owned());
    }
    None
}

/// Whether this process is root, by the owner of its own entry in /proc.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn may_mount() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .unwrap_or_default();
    u64::from_str_radix(bits.trim(), 16).is_ok_and(|bits| bits >> SYS_ADMIN & 1 == 1)
}
