//! Taking a lab down so that nothing of it is left, and proof of that.
//!
//! Works by the names that mark what is the lab's, so that a crash half-way of
//! `up`, or a record that cannot be read, leaves nothing behind either. Images
//! are no part of a lab and stay.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::LabError;
use crate::spec::{BmcAccess, LabSpec, check_name};
use crate::{access, bmc, cgroup, names, net, power, procfs, state, tools};

/// Takes a lab down: hosts, disks, networks, BMC, records, and the SSH files in
/// the cloud's state directory. A lab that there is not is no error.
pub fn down(lab: &str) -> Result<(), LabError> {
    tools::need_root()?;
    check_name(lab)?;
    stop_bmc(lab)?;
    // A record that is damaged or absent is replaced by what the marks say.
    let recorded = state::find(lab).ok().flatten();
    let spec = recorded.clone().unwrap_or_else(|| nameless(lab));
    let mut result = Ok(());
    std::thread::scope(|scope| {
        let threads: Vec<_> = hosts(lab, recorded.as_ref())
            .into_iter()
            .map(|host| {
                let spec = &spec;
                scope.spawn(move || match spec.hosts.iter().find(|h| h.name == host) {
                    // As a power cut: unwritten data is not written just to be removed.
                    Some(known) => power::pull(spec, known).map(|_| ()),
                    None => power::sweep(spec, &host),
                })
            })
            .collect();
        for thread in threads {
            if let Ok(Err(error)) = thread.join() {
                result = Err(error);
            }
        }
    });
    result?;
    net::remove_links(lab)?;
    cgroup::remove(lab, "");
    if let Some(spec) = &recorded {
        for file in access::STATE_FILES {
            let _ = fs_err::remove_file(spec.state.join(file)); // some may never have been made
        }
        // Directories that held nothing else were made by the lab.
        for dir in spec
            .state
            .ancestors()
            .take_while(|d| *d == spec.state || d.ends_with(".quorate"))
        {
            let _ = std::fs::remove_dir(dir);
        }
    }
    for dir in [names::disks_dir(lab), names::run_dir(lab)] {
        if dir.exists() {
            fs_err::remove_dir_all(&dir).map_err(LabError::io("removing the lab's files"))?;
        }
    }
    net::forget_spaces()?;
    for root in [names::disks_root(), names::run_root()] {
        let _ = std::fs::remove_dir(root); // other labs' files keep it
    }
    Ok(())
}

/// Stands in for a record that cannot be read.
fn nameless(lab: &str) -> LabSpec {
    LabSpec {
        name: lab.to_owned(),
        state: names::run_dir(lab).to_string_lossy().into_owned().into(),
        suite: String::new(),
        packages: vec![],
        networks: vec![],
        hosts: vec![],
        bmc: BmcAccess {
            user: String::new(),
            password: String::new(),
        },
        keep_debs: vec![],
        self_test: 0,
        runner: None,
    }
}

/// Ends the BMC first: it would else switch hosts on again.
fn stop_bmc(lab: &str) -> Result<(), LabError> {
    let limit = Duration::from_secs(10);
    let began = Instant::now();
    loop {
        let pids = bmc::processes(lab);
        if pids.is_empty() {
            return Ok(());
        }
        if began.elapsed() > limit {
            let what = format!("its process {pids:?}");
            let (name, host) = (lab.to_owned(), "BMC".to_owned());
            return Err(LabError::StillThere {
                name,
                host,
                what,
                after: limit,
            });
        }
        for pid in pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // it may have ended by itself
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every host of a lab that a record or a mark speaks of.
fn hosts(lab: &str, recorded: Option<&LabSpec>) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = recorded
        .iter()
        .flat_map(|spec| spec.hosts.iter().map(|h| h.name.clone()))
        .collect();
    let directories = |path: PathBuf| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    let disks = directories(names::disks_dir(lab));
    found.extend(disks.into_iter().filter(|name| name != names::SHARED));
    found.extend(directories(names::run_dir(lab).join("mnt")));
    found.extend(cgroup::parts(lab).into_iter().filter(|part| part != bmc::PART));
    let prefix = names::machine_prefix(lab);
    found.extend(
        net::spaces()
            .iter()
            .filter_map(|s| s.strip_prefix(&prefix))
            .map(str::to_owned),
    );
    for process in procfs::processes() {
        found.extend(host_of(&process.argv, lab, &prefix));
    }
    found
}

/// The host that a process powers, if it is one of the lab's.
fn host_of(argv: &[String], lab: &str, prefix: &str) -> Option<String> {
    if let [.., a, b, c, host] = argv
        && a == "lab"
        && b == "host-supervisor"
        && c == lab
    {
        return Some(host.clone());
    }
    argv.iter()
        .filter_map(|a| a.strip_prefix("--machine="))
        .find_map(|machine| machine.strip_prefix(prefix))
        .map(str::to_owned)
}

/// Everything on this machine that is a lab's, one line each; empty after
/// `down`. For tests, and for a person who doubts.
pub fn residue(lab: &str) -> Result<Vec<String>, LabError> {
    check_name(lab)?;
    let mut found = vec![];
    let mut add = |kind: &str, items: Vec<String>| {
        found.extend(items.into_iter().map(|item| format!("{kind} {item}")));
    };
    add("link", net::lab_links(lab)?);
    let prefix = names::machine_prefix(lab);
    add(
        "netns",
        net::spaces()
            .into_iter()
            .filter(|s| s.starts_with(&prefix))
            .collect(),
    );
    let dirs = [names::run_dir(lab), names::disks_dir(lab)];
    let below = |path: &str| dirs.iter().any(|dir| Path::new(path).starts_with(dir));
    let space = |path: &str| {
        path.strip_prefix("/run/netns/")
            .is_some_and(|name| name.starts_with(&prefix))
    };
    add("mount", procfs::mounts_anywhere(|m| below(&m.at) || space(&m.at)));
    add("loop", procfs::loops_of(&dirs[1]));
    add("cgroup", cgroup::list(lab));
    let mut processes: Vec<i32> = bmc::processes(lab);
    for host in hosts(lab, None) {
        processes.extend(power::host_processes(lab, &host));
    }
    add("process", processes.iter().map(i32::to_string).collect());
    add(
        "file",
        dirs.iter()
            .filter(|d| d.exists())
            .map(|d| d.display().to_string())
            .collect(),
    );
    for dir in ["propagate", "unix-export"] {
        let Ok(entries) = std::fs::read_dir(format!("/run/systemd/nspawn/{dir}")) else {
            continue;
        };
        let names = entries
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned());
        add("nspawn", names.filter(|n| n.starts_with(&prefix)).collect());
    }
    Ok(found)
}

/// What of this machine a lab could leave behind, sorted: links, mounts of this
/// process's namespace, loop devices, network namespaces, cgroups, and the
/// processes that power hosts or serve a BMC, of all labs and other containers.
/// Equal before `up` and after `down` on a machine where nothing else changes.
pub fn inventory() -> Result<Vec<String>, LabError> {
    let mut found = vec![];
    found.extend(net::links()?.into_iter().map(|l| format!("link {}", l.ifname)));
    found.extend(
        procfs::mounts("self")
            .into_iter()
            .map(|m| format!("mount {} {} {}", m.kind, m.source, m.at)),
    );
    found.extend(
        procfs::loops()
            .into_iter()
            .map(|(device, file)| format!("loop {device} {file}")),
    );
    found.extend(net::spaces().into_iter().map(|s| format!("netns {s}")));
    found.extend(cgroup::list_machine().into_iter().map(|c| format!("cgroup {c}")));
    for process in procfs::processes() {
        let word = |word: &str| process.argv.iter().any(|a| a == word);
        let manager = process.argv.iter().any(|a| a.starts_with("--machine="));
        if manager
            || procfs::is_inner_init(process.pid)
            || (word("lab") && (word("host-supervisor") || word("bmc")))
        {
            found.push(format!("process {} {}", process.pid, process.argv.join(" ")));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_its_processes() {
        let host = |line: &str| {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            host_of(&argv, "a", "qlab.a.")
        };
        assert_eq!(host("/bin/tool lab host-supervisor a c1").as_deref(), Some("c1"));
        assert_eq!(
            host("systemd-nspawn --machine=qlab.a.c2 --boot").as_deref(),
            Some("c2")
        );
        assert_eq!(host("systemd-nspawn --machine=qlab.a-b.c2 --boot"), None);
        assert_eq!(host("/bin/tool lab host-supervisor b c1"), None);
    }
}
