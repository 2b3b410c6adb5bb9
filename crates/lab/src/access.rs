//! How one gets into the hosts: keys, the SSH configuration, and what makes a
//! host itself before its first boot.
//!
//! All secrets are made by `ssh-keygen` and stay in the cloud's state directory
//! or with the host's disk. Not for what the deployer puts on a host.

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use camino::Utf8Path;

use crate::error::LabError;
use crate::spec::{LabHost, LabSpec};
use crate::{names, tools};

/// The size of a host's disk; only what is written takes room.
const DISK_BYTES: u64 = 8 << 30;
/// The files that the lab makes in the cloud's state directory.
pub(crate) const STATE_FILES: [&str; 4] = ["ssh_key", "ssh_key.pub", "known_hosts", "ssh_config"];

/// Makes the operator's key where it is absent; returns the public half.
pub(crate) fn operator_key(spec: &LabSpec) -> Result<String, LabError> {
    fs_err::create_dir_all(&spec.state).map_err(LabError::io("making the state directory"))?;
    let key = spec.state.join("ssh_key");
    make_key(key.as_std_path(), &format!("lab {}", spec.name))?;
    let public = spec.state.join("ssh_key.pub");
    fs_err::read_to_string(public).map_err(LabError::io("reading the operator's key"))
}

fn make_key(path: &Path, comment: &str) -> Result<(), LabError> {
    let public = path.with_extension("pub");
    if path.exists() && public.exists() {
        return Ok(());
    }
    let _ = fs_err::remove_file(path); // half a pair; ssh-keygen would ask
    let path = path.to_string_lossy();
    tools::run(&[
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        comment,
        "-f",
        &path,
    ])?;
    Ok(())
}

/// Makes what a host owns before its first boot: disk, keys, first files.
/// Leaves alone what is there.
pub(crate) fn prepare_host(
    spec: &LabSpec,
    host: &LabHost,
    image: &Path,
    operator_key: &str,
) -> Result<(), LabError> {
    let dir = names::host_dir(&spec.name, &host.name);
    let etc = dir.join("seed/etc");
    let ssh = etc.join("ssh");
    let what = || format!("preparing host {}", host.name);
    fs_err::create_dir_all(&ssh).map_err(LabError::io(what()))?;
    let key = dir.join("host_key");
    make_key(&key, &host.name)?;
    let machine_id = names::digest(&["machine", &spec.name, &host.name], 32);
    let put = |path: PathBuf, text: &[u8], mode: u32| -> Result<(), LabError> {
        fs_err::write(&path, text).map_err(LabError::io(what()))?;
        let mode = std::fs::Permissions::from_mode(mode);
        fs_err::set_permissions(&path, mode).map_err(LabError::io(what()))
    };
    let read = |path: PathBuf| fs_err::read(path).map_err(LabError::io(what()));
    put(etc.join("hostname"), format!("{}\n", host.name).as_bytes(), 0o644)?;
    put(
        etc.join("machine-id"),
        format!("{machine_id}\n").as_bytes(),
        0o444,
    )?;
    put(ssh.join("ssh_host_ed25519_key"), &read(key.clone())?, 0o600)?;
    put(
        ssh.join("ssh_host_ed25519_key.pub"),
        &read(key.with_extension("pub"))?,
        0o644,
    )?;
    put(ssh.join("lab_authorized_keys"), operator_key.as_bytes(), 0o644)?;

    // The disk last, whole or not at all; and with it the image that it lies
    // over: a writable layer over another one would be garbage.
    let disk = names::disk(&spec.name, &host.name);
    if !disk.exists() {
        put(dir.join("image"), image.as_os_str().as_encoded_bytes(), 0o644)?;
        let aside = disk.with_extension("new");
        let file = fs_err::File::create(&aside).map_err(LabError::io(what()))?;
        file.set_len(DISK_BYTES).map_err(LabError::io(what()))?;
        let features = "nodiscard,lazy_itable_init=1,lazy_journal_init=1";
        let path = aside.to_string_lossy();
        tools::run(&["mkfs.ext4", "-q", "-F", "-m", "0", "-E", features, &path])?;
        fs_err::rename(&aside, &disk).map_err(LabError::io(what()))?;
    }
    Ok(())
}

/// Throws away what a host owns: its disk and its keys. It must be off.
pub(crate) fn scrap(spec: &LabSpec, host: &LabHost) -> Result<(), LabError> {
    let key = names::host_dir(&spec.name, &host.name).join("host_key");
    for path in [
        names::disk(&spec.name, &host.name),
        key.with_extension("pub"),
        key,
    ] {
        fs_err::remove_file(path).map_err(LabError::io(format!("scrapping host {}", host.name)))?;
    }
    Ok(())
}

/// The image that a host's disk lies over.
pub(crate) fn image_of(lab: &str, host: &str) -> Result<PathBuf, LabError> {
    let path = names::host_dir(lab, host).join("image");
    fs_err::read_to_string(path)
        .map(PathBuf::from)
        .map_err(LabError::io(format!("finding the image of host {host}")))
}

/// Writes the SSH configuration and the hosts' keys into the state directory,
/// owned like the directory above it, so that the cloud's owner can use them
/// although root brought the lab up.
pub(crate) fn write_ssh_files(spec: &LabSpec) -> Result<(), LabError> {
    let mut known = String::new();
    for host in &spec.hosts {
        let key = names::host_dir(&spec.name, &host.name).join("host_key.pub");
        let key = fs_err::read_to_string(key).map_err(LabError::io("reading a host's key"))?;
        known.push_str(&known_host(host, &key));
    }
    let write = |name: &str, text: &str| {
        fs_err::write(spec.state.join(name), text).map_err(LabError::io("writing SSH files"))
    };
    write("known_hosts", &known)?;
    write("ssh_config", &configuration(spec))?;
    let above = spec.state.parent().filter(|p| !p.as_str().is_empty());
    let owner = fs_err::metadata(above.unwrap_or(Utf8Path::new(".")))
        .map_err(LabError::io("looking whose the state directory is"))?;
    let (user, group) = (Some(owner.uid()), Some(owner.gid()));
    for path in STATE_FILES
        .map(|name| spec.state.join(name))
        .iter()
        .chain(Some(&spec.state))
    {
        std::os::unix::fs::chown(path, user, group)
            .map_err(LabError::io(format!("handing {path} to its owner")))?;
    }
    Ok(())
}

fn known_host(host: &LabHost, key: &str) -> String {
    let mut names = vec![host.name.clone()];
    names.extend(host.addresses.iter().map(|(_, address)| address.to_string()));
    let mut words = key.split_whitespace();
    let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    format!("{} {kind} {body}\n", names.join(","))
}

/// The `ssh_config` of a lab: `ssh -F` it and the host's name.
fn configuration(spec: &LabSpec) -> String {
    let mut text = String::from("# Written by `lab up`; removed by `lab down`.\n");
    for host in &spec.hosts {
        let Some((_, address)) = host.addresses.first() else {
            continue;
        };
        let _ = write!(
            text,
            "\nHost {}\n  HostName {address}\n  User root\n  IdentityFile \"{state}/ssh_key\"\n  \
             IdentitiesOnly yes\n  UserKnownHostsFile \"{state}/known_hosts\"\n  \
             GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
            host.name,
            state = spec.state,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_name_and_addresses() {
        let host = LabHost {
            name: "c1".to_owned(),
            addresses: vec![("m".to_owned(), "198.18.40.11".parse().unwrap())],
        };
        assert_eq!(
            known_host(&host, "ssh-ed25519 AAAA c1\n"),
            "c1,198.18.40.11 ssh-ed25519 AAAA\n"
        );
    }
}
