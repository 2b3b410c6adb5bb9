//! The hosts' image: built once for a list of packages, then only read.
//!
//! It lies in a directory named by the digest of all that goes in, made aside
//! and renamed into place when complete, so that a directory which is there is
//! whole. Building a new one removes those that no host lies over and that are
//! not among the last few asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::error::LabError;
use crate::spec::LabSpec;
use crate::{names, procfs, sources, tools};

/// What is done to the installed root.
const CUSTOMISE: &str = include_str!("recipe/customise.sh");
/// What every host has, whatever is asked for.
const BASE: [&str; 11] = [
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libnss-myhostname",
    "netbase",
    "openssh-server",
    "procps",
    "sudo",
    "systemd-sysv",
];
/// Raised when the build changes otherwise than by the script.
const RECIPE: &str = "2";
/// Images that no host uses and that are kept: those of the short stories.
const KEPT: usize = 6;
/// The ending of an image that is being removed.
const GONE: &str = "gone";
/// The room that a build wants, in MiB.
const ROOM_MIB: u64 = 4096;

/// The directory of the image for a lab, whether or not it is built.
pub(crate) fn path(spec: &LabSpec) -> PathBuf {
    let mut packages: Vec<&str> = spec.packages.iter().map(String::as_str).chain(BASE).collect();
    packages.sort_unstable();
    packages.dedup();
    let mut kept: Vec<&str> = spec.keep_debs.iter().map(String::as_str).collect();
    kept.sort_unstable();
    kept.dedup();
    let digest = names::digest(
        &[
            RECIPE,
            CUSTOMISE,
            &spec.suite,
            &packages.join(","),
            &kept.join(","),
        ],
        16,
    );
    Path::new(names::IMAGES).join(digest)
}

/// Builds the image if it is absent; returns its root directory. Tells its
/// progress in lines. Waits if another process is building the same one.
pub(crate) async fn ensure(spec: &LabSpec, progress: &dyn Fn(&str)) -> Result<PathBuf, LabError> {
    let dir = path(spec);
    let root = dir.join("root");
    if root.is_dir() {
        mark_used(&dir);
        return Ok(root);
    }
    let cache = Path::new(names::IMAGES);
    fs_err::create_dir_all(cache).map_err(LabError::io("making the image cache"))?;
    let lock_path = dir.with_extension("lock");
    let lock = fs_err::File::create(&lock_path).map_err(LabError::io("making the build's lock"))?;
    let lock = lock.into_file();
    if lock.try_lock().is_err() {
        progress("image: another process is building it, waiting");
        let waiting = lock
            .try_clone()
            .map_err(LabError::io("sharing the build's lock"))?;
        tokio::task::spawn_blocking(move || waiting.lock())
            .await
            .map_err(|e| LabError::io("waiting for the build's lock")(std::io::Error::other(e)))?
            .map_err(LabError::io("waiting for the build's lock"))?;
    }
    if !root.is_dir() {
        tools::need_room(cache, ROOM_MIB)?;
        build(spec, &dir, progress).await?;
        prune(progress);
    }
    mark_used(&dir);
    drop(lock);
    let _ = fs_err::remove_file(&lock_path);
    Ok(root)
}

/// Notes when an image was last asked for.
fn mark_used(dir: &Path) {
    // Only the order of pruning hangs on it.
    let _ = std::fs::write(dir.join("used"), "");
}

/// Removes the images that no host lies over, but for the newest ones, and what an earlier
/// removal left. It goes on after this program has ended: gigabytes of small files take
/// minutes on a disk that discards, and nobody is to wait for that.
fn prune(progress: &dyn Fn(&str)) {
    let entries = |dir: &Path| {
        std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect::<Vec<_>>()
    };
    let needed: BTreeSet<PathBuf> = entries(&names::disks_root())
        .iter()
        .flat_map(|lab| entries(lab))
        .filter_map(|host| std::fs::read_to_string(host.join("image")).ok())
        .map(PathBuf::from)
        .collect();
    let mut spare: Vec<_> = entries(Path::new(names::IMAGES))
        .into_iter()
        .filter(|dir| dir.extension().is_none() && !needed.contains(&dir.join("root")))
        .filter_map(|dir| Some((std::fs::metadata(dir.join("used")).ok()?.modified().ok()?, dir)))
        .collect();
    spare.sort();
    let surplus = spare.len().saturating_sub(KEPT);
    for (_, dir) in spare.into_iter().take(surplus) {
        progress(&format!("image: removing {}, long unused", dir.display()));
        let _ = std::fs::rename(&dir, dir.with_extension(GONE)); // the next build tries again
    }
    let gone = entries(Path::new(names::IMAGES)).into_iter();
    let gone: Vec<PathBuf> = gone
        .filter(|d| d.extension().is_some_and(|e| e == GONE))
        .collect();
    if !gone.is_empty() {
        let _ = remove(&gone); // the next build tries again
    }
}

/// Begins to remove directories, which goes on by itself. dpkg's own starter closes what
/// this program has open: a lock that its caller holds would else last as long.
fn remove(all: &[PathBuf]) -> Result<(), LabError> {
    let mut words = vec![
        "start-stop-daemon",
        "--start",
        "--background",
        "--nicelevel",
        "19",
    ];
    // Any that are on their way are no reason not to begin.
    words.extend(["--pidfile", "/nonexistent", "--startas", "/usr/bin/rm", "--"]);
    words.extend(["--recursive", "--force", "--one-file-system"]);
    let all: Vec<String> = all.iter().map(|dir| dir.display().to_string()).collect();
    words.extend(all.iter().map(String::as_str));
    tools::run(&words).map(drop)
}

async fn build(spec: &LabSpec, dir: &Path, progress: &dyn Fn(&str)) -> Result<(), LabError> {
    let began = std::time::Instant::now();
    let archive = sources::archive()?;
    let aside = dir.with_extension("building");
    remove_aside(&aside)?;
    fs_err::create_dir_all(&aside).map_err(LabError::io("making the build's directory"))?;
    let script = aside.join("customise.sh");
    fs_err::write(&script, CUSTOMISE).map_err(LabError::io("writing the recipe"))?;
    let log_path = dir.with_extension("log");
    progress(&format!(
        "image: building {} with {} packages from {} (once; some minutes)",
        spec.suite,
        spec.packages.len(),
        archive.uri
    ));

    let mut packages: Vec<&str> = spec.packages.iter().map(String::as_str).chain(BASE).collect();
    packages.sort_unstable();
    packages.dedup();
    let mut command = Command::new("mmdebstrap");
    command
        .env("PATH", tools::PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("KEEP_DEBS", spec.keep_debs.join(" "))
        .env("SUITE", &spec.suite)
        .args(["--mode=root", "--variant=minbase", "--format=directory"])
        // Archives stay until the recipe picks those to keep, those of essential packages too.
        .args(["--skip=cleanup/apt,essential/unlink", "--dpkgopt=force-unsafe-io"])
        .arg(format!("--components={}", archive.components))
        .arg(format!("--include={}", packages.join(",")))
        .arg("--aptopt=Apt::Install-Recommends \"false\"")
        .arg("--aptopt=Acquire::Languages \"none\"");
    if let Some(keyring) = &archive.keyring {
        command.arg(format!("--keyring={keyring}"));
    }
    // The eatmydata hook asks for a program of the developers' tools.
    let hooks = Path::new("/usr/share/mmdebstrap/hooks/eatmydata");
    if hooks.is_dir() && Path::new("/usr/bin/dpkg-architecture").exists() {
        command.arg(format!("--hook-dir={}", hooks.display()));
    }
    command
        .arg(
            "--setup-hook=mkdir -p \"$1/usr/sbin\"; printf '#!/bin/sh\\nexit 101\\n' \
             > \"$1/usr/sbin/policy-rc.d\"; chmod 755 \"$1/usr/sbin/policy-rc.d\"",
        )
        .arg(format!("--customize-hook=sh {} \"$1\"", script.display()))
        .arg(&spec.suite)
        .arg(aside.join("root"))
        .arg(&archive.uri)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);

    let mut log = tokio::fs::File::create(&log_path)
        .await
        .map_err(LabError::io(format!("making {}", log_path.display())))?;
    let mut child = command.spawn().map_err(LabError::io("running mmdebstrap"))?;
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = log.write_all(format!("{line}\n").as_bytes()).await;
            if let Some(told) = line.strip_prefix("I: ") {
                progress(&format!("image: {told} ({} s)", began.elapsed().as_secs()));
            }
        }
    }
    let _ = log.flush().await;
    let status = child
        .wait()
        .await
        .map_err(LabError::io("waiting for mmdebstrap"))?;
    if !status.success() {
        let tail = tools::tail_of(&log_path, 20);
        remove_aside(&aside)?;
        return Err(LabError::Image {
            why: format!("mmdebstrap: {status}"),
            log: log_path,
            tail,
        });
    }
    let _ = fs_err::remove_dir_all(dir); // an earlier, incomplete one of this name
    fs_err::rename(&aside, dir).map_err(LabError::io("putting the image in place"))?;
    progress(&format!("image: built in {} s", began.elapsed().as_secs()));
    Ok(())
}

/// Removes what an interrupted build left, its mounts first.
fn remove_aside(aside: &Path) -> Result<(), LabError> {
    if !aside.exists() {
        return Ok(());
    }
    for mount in procfs::mounts("self").into_iter().rev() {
        if Path::new(&mount.at).starts_with(aside) {
            tools::run(&["umount", "--lazy", &mount.at])?;
        }
    }
    fs_err::remove_dir_all(aside).map_err(LabError::io("removing an interrupted build"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::BmcAccess;

    #[test]
    fn what_is_removed_goes_and_its_neighbour_stays() {
        let dir = tempfile::tempdir().unwrap();
        let [gone, stays] = ["a.gone", "b"].map(|name| dir.path().join(name));
        for one in [&gone, &stays] {
            std::fs::create_dir_all(one.join("root/etc")).unwrap();
        }
        remove(std::slice::from_ref(&gone)).unwrap();
        let begin = std::time::Instant::now();
        while gone.exists() {
            assert!(begin.elapsed() < std::time::Duration::from_secs(30));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(stays.join("root/etc").exists());
    }

    #[test]
    fn the_digest_ignores_order_and_sees_content() {
        let spec = |packages: &[&str], kept: &[&str]| LabSpec {
            name: "a".to_owned(),
            state: "/s".into(),
            suite: "trixie".to_owned(),
            packages: packages.iter().map(|&p| p.to_owned()).collect(),
            networks: vec![],
            hosts: vec![],
            bmc: BmcAccess {
                user: String::new(),
                password: String::new(),
            },
            keep_debs: kept.iter().map(|&p| p.to_owned()).collect(),
            self_test: 0,
            runner: None,
        };
        let path_of = |packages, kept| path(&spec(packages, kept));
        assert_eq!(path_of(&["b", "c"], &[]), path_of(&["c", "b", "b"], &[]));
        assert_ne!(path_of(&["b"], &[]), path_of(&["c"], &[]));
        assert_ne!(path_of(&["b"], &[]), path_of(&["b"], &["b"]));
    }
}
