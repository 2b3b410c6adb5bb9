//! Bringing a lab up: from a description to hosts that answer SSH.
//!
//! Each step looks what is there and adds what lacks, so that a second call, or
//! one after a crash, finishes the work. Hosts may be added to a running lab;
//! what cannot change under way is refused, not changed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::error::LabError;
use crate::spec::{LabHost, LabSpec};
use crate::state::Actor;
use crate::{access, bmc, cgroup, image, names, net, power, state, tools};

/// How long the hosts may take from power-on to SSH.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// The room that a host's disk is expected to take, in MiB.
const HOST_MIB: u64 = 1024;

/// What `up` has brought up.
#[derive(Clone, Debug, Serialize)]
pub struct UpReport {
    /// The hosts, all of which answer SSH.
    pub hosts: Vec<LabHost>,
    /// `ssh -F` this and a host's name.
    pub ssh_config: Utf8PathBuf,
    /// The image's root directory.
    pub image: PathBuf,
    /// Whether this call built the image.
    pub image_built: bool,
    /// The BMC's addresses, as URLs; one a network, all the same service.
    pub bmc: Vec<String>,
    /// From the image being there to SSH answering on every host, in milliseconds.
    pub ready_ms: u64,
}

/// Brings a lab up, building its image first where it is absent, and returns
/// when every host answers SSH. Tells its progress in lines. May be called
/// again: what runs stays, hosts that are off are switched on, hosts that are
/// new in the description are added.
pub async fn up(spec: &LabSpec, progress: &dyn Fn(&str)) -> Result<UpReport, LabError> {
    tools::need_root()?;
    let missing = tools::missing_tools();
    if !missing.is_empty() {
        return Err(LabError::MissingTools(missing));
    }
    spec.check()?;
    let mut spec = spec.clone();
    spec.state = absolute(&spec.state)?;
    if let Some(running) = state::find(&spec.name)? {
        spec = merge(running, &spec)?;
    }
    net::check_free(&spec)?;
    let image_built = !image::path(&spec).join("root").is_dir();
    let image = image::ensure(&spec, progress).await?;

    let began = Instant::now();
    let spec = Arc::new(spec);
    let shared = spec.clone();
    let key = blocking(move || base(&shared)).await?;
    progress(&format!("lab {}: networks and BMC are there", spec.name));
    let mut hosts = JoinSet::new();
    for host in spec.hosts.clone() {
        let (spec, image, key) = (spec.clone(), image.clone(), key.clone());
        hosts.spawn_blocking(move || {
            access::prepare_host(&spec, &host, &image, &key)?;
            power::on_by(&spec.name, &host.name, Actor::Operator)?;
            Ok::<_, LabError>(host.name)
        });
    }
    let mut failed = None;
    while let Some(done) = hosts.join_next().await {
        match done.map_err(joined).and_then(|result| result) {
            Ok(host) => progress(&format!("{host}: power on ({})", seconds(began))),
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    access::write_ssh_files(&spec)?;
    let names: Vec<String> = spec.hosts.iter().map(|h| h.name.clone()).collect();
    ready(&spec, &names, READY_LIMIT, &|host| {
        progress(&format!("{host}: answers SSH ({})", seconds(began)));
    })
    .await?;
    Ok(UpReport {
        hosts: spec.hosts.clone(),
        ssh_config: spec.state.join("ssh_config"),
        image,
        image_built,
        bmc: spec.networks.iter().map(|n| bmc_url(n.gateway())).collect(),
        ready_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Puts an empty machine in the place of a host: power is cut, and what comes back
/// under its name and address has a fresh disk and another SSH host key.
pub async fn blank(lab: &str, host: &str) -> Result<(), LabError> {
    tools::need_root()?;
    let spec = Arc::new(state::load(lab)?);
    let (shared, host) = (spec.clone(), spec.host(host)?.clone());
    let names = [host.name.clone()];
    blocking(move || {
        power::empty(&shared, &host)?;
        power::on_by(&shared.name, &host.name, Actor::Operator)?;
        access::write_ssh_files(&shared)
    })
    .await?;
    ready(&spec, &names, READY_LIMIT, &|_| {}).await
}

/// Waits until hosts of a running lab answer SSH, all of them if none is named;
/// `on` returns earlier than that.
pub async fn wait_ready(lab: &str, hosts: &[String], limit: Duration) -> Result<(), LabError> {
    let spec = state::load(lab)?;
    for host in hosts {
        spec.host(host)?;
    }
    let all: Vec<String> = spec.hosts.iter().map(|h| h.name.clone()).collect();
    ready(&spec, if hosts.is_empty() { &all } else { hosts }, limit, &|_| {}).await
}

/// The SSH configuration names files; it is used from anywhere.
fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf, LabError> {
    let what = || format!("finding {path}");
    let whole = std::path::absolute(path).map_err(LabError::io(what()))?;
    Utf8PathBuf::from_path_buf(whole)
        .map_err(|_| LabError::BadSpec(format!("{path} lies below a directory that is not UTF-8")))
}

fn bmc_url(address: IpAddr) -> String {
    format!("https://{}/redfish/v1", SocketAddr::new(address, names::BMC_PORT))
}

fn seconds(began: Instant) -> String {
    format!("{:.1} s", began.elapsed().as_secs_f32())
}

fn joined(error: tokio::task::JoinError) -> LabError {
    LabError::io("finishing a task")(std::io::Error::other(error))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LabError> + Send + 'static,
) -> Result<T, LabError> {
    tokio::task::spawn_blocking(work).await.map_err(joined)?
}

/// What all hosts share: records, bridges, key, BMC. Returns the public key.
fn base(spec: &LabSpec) -> Result<String, LabError> {
    let disks = names::disks_dir(&spec.name);
    fs_err::create_dir_all(&disks).map_err(LabError::io("making the disks' directory"))?;
    let new = spec
        .hosts
        .iter()
        .filter(|h| !names::disk(&spec.name, &h.name).exists())
        .count();
    tools::need_room(
        &disks,
        HOST_MIB.saturating_mul(u64::try_from(new).unwrap_or(u64::MAX)),
    )?;
    state::save(spec)?;
    net::ensure_bridges(spec)?;
    cgroup::share_processors(&spec.name, spec.hosts.len())?;
    let key = access::operator_key(spec)?;
    bmc::ensure(spec)?;
    Ok(key)
}

/// The running lab with the hosts that are new in the description. Hosts that
/// are no longer in it keep running: a cloud file loses a host while the metal
/// stays where it is.
fn merge(running: LabSpec, wanted: &LabSpec) -> Result<LabSpec, LabError> {
    let changed = |what: String| {
        Err(LabError::Changed {
            name: wanted.name.clone(),
            what,
        })
    };
    if running.state != wanted.state {
        let (name, other) = (running.name, running.state);
        return Err(LabError::NameTaken { name, other });
    }
    if running.networks != wanted.networks {
        return changed("other networks".to_owned());
    }
    if running.bmc != wanted.bmc {
        return changed("another user or password of the BMC".to_owned());
    }
    let mut merged = wanted.clone();
    for host in running.hosts {
        match wanted.hosts.iter().find(|h| h.name == host.name) {
            Some(same) if same.addresses != host.addresses => {
                return changed(format!("other addresses of host {}", host.name));
            }
            Some(_) => {}
            None => merged.hosts.push(host),
        }
    }
    merged.check()?;
    Ok(merged)
}

/// Waits until each host greets an SSH client, telling of each as it does.
async fn ready(
    spec: &LabSpec,
    hosts: &[String],
    limit: Duration,
    tell: &dyn Fn(&str),
) -> Result<(), LabError> {
    let began = Instant::now();
    let mut waiting = JoinSet::new();
    for host in spec.hosts.iter().filter(|h| hosts.contains(&h.name)) {
        let Some((_, address)) = host.addresses.first() else {
            continue;
        };
        let (name, target) = (host.name.clone(), SocketAddr::new(*address, 22));
        waiting.spawn(async move {
            while !greets(target).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            name
        });
    }
    let mut missing: Vec<&String> = hosts.iter().collect();
    let all = async {
        while let Some(done) = waiting.join_next().await {
            if let Ok(name) = done {
                missing.retain(|m| **m != name);
                tell(&name);
            }
        }
    };
    if tokio::time::timeout(limit.saturating_sub(began.elapsed()), all)
        .await
        .is_ok()
    {
        return Ok(());
    }
    let hosts = missing.into_iter().cloned().collect::<Vec<_>>().join(", ");
    let consoles = names::run_dir(&spec.name).join("hosts");
    Err(LabError::NotReady {
        hosts,
        after: limit,
        consoles,
    })
}

async fn greets(target: SocketAddr) -> bool {
    let limit = Duration::from_secs(2);
    let greeting = async {
        let mut stream = tokio::net::TcpStream::connect(target).await.ok()?;
        let mut start = [0_u8; 4];
        stream.read_exact(&mut start).await.ok()?;
        Some(start == *b"SSH-")
    };
    matches!(tokio::time::timeout(limit, greeting).await, Ok(Some(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(hosts: &[(&str, &str)]) -> LabSpec {
        let hosts: Vec<LabHost> = hosts
            .iter()
            .map(|(name, address)| LabHost {
                name: (*name).to_owned(),
                addresses: vec![("m".to_owned(), address.parse().unwrap())],
            })
            .collect();
        LabSpec {
            name: "l".to_owned(),
            state: "/s".into(),
            suite: "trixie".to_owned(),
            packages: vec![],
            networks: vec![crate::LabNetwork {
                name: "m".to_owned(),
                cidr: "198.18.40.0/24".parse().unwrap(),
            }],
            hosts,
            bmc: crate::BmcAccess {
                user: "a".to_owned(),
                password: "b".to_owned(),
            },
            keep_debs: vec![],
            self_test: 0,
            runner: None,
        }
    }

    #[test]
    fn hosts_are_added_and_never_lost() {
        let running = spec(&[("a", "198.18.40.11"), ("b", "198.18.40.12")]);
        let merged = merge(running, &spec(&[("b", "198.18.40.12"), ("c", "198.18.40.13")])).unwrap();
        let mut names: Vec<_> = merged.hosts.iter().map(|h| h.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn what_cannot_change_is_refused() {
        let running = spec(&[("a", "198.18.40.11")]);
        let moved = merge(running.clone(), &spec(&[("a", "198.18.40.12")]));
        assert!(matches!(moved, Err(LabError::Changed { .. })));
        let mut other = running.clone();
        other.state = "/elsewhere".into();
        assert!(matches!(merge(running, &other), Err(LabError::NameTaken { .. })));
    }
}
