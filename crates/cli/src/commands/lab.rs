//! `quorate lab`: real hosts on this machine, as a cloud file names them.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use lab::{BmcAccess, LabHost, LabNetwork, LabSpec};
use vault::ExposeSecret as _;

use crate::args::{LabArgs, LabVerb, Output};
use crate::failure::Failure;
use crate::project::Project;
use crate::say;

/// Packages whose archives stay in the image: hosts have no network outside,
/// and a reinstallation there is something to be tried. Those below everything are on each
/// host without being asked for.
fn keep(packages: &[String]) -> Vec<String> {
    let below = ["libc6", "systemd"].map(str::to_owned);
    let servers = packages.iter().filter(|p| p.ends_with("-server"));
    servers.cloned().chain(below).collect()
}

/// The lab that a cloud file describes, whose hosts have packages `with` too, and test
/// themselves for so many seconds.
fn spec(project: &Project, with: Vec<String>, self_test: u16) -> Result<LabSpec, Failure> {
    let (vault, _) = project.vault_for_change(None, |_| Ok(()))?;
    let mut packages: Vec<String> = project
        .desired
        .hosts
        .values()
        .flat_map(|h| h.packages.clone())
        .chain(with)
        .collect();
    packages.sort();
    packages.dedup();
    let password = vault.get("lab/bmc-password").map_or_else(
        || uuid::Uuid::new_v4().simple().to_string(),
        |s| s.expose_secret().to_owned(),
    );
    let cloud = &project.model.cloud;
    Ok(LabSpec {
        name: cloud.name.value.as_str().to_owned(),
        state: std::path::absolute(&project.state)
            .ok()
            .and_then(|p| camino::Utf8PathBuf::from_path_buf(p).ok())
            .unwrap_or_else(|| project.state.clone()),
        suite: "trixie".to_owned(),
        keep_debs: keep(&packages),
        self_test,
        packages,
        networks: cloud
            .networks
            .iter()
            .map(|n| LabNetwork {
                name: n.name.value.as_str().to_owned(),
                cidr: n.cidr.value,
            })
            .collect(),
        hosts: cloud
            .hosts
            .iter()
            .map(|h| LabHost {
                name: h.name.value.as_str().to_owned(),
                addresses: h
                    .addresses
                    .iter()
                    .map(|(n, a)| (n.as_str().to_owned(), a.value))
                    .collect(),
            })
            .collect(),
        bmc: BmcAccess {
            user: "quorate".to_owned(),
            password,
        },
        runner: None,
    })
}

/// Runs it.
pub async fn run(args: LabArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    match args.verb {
        LabVerb::Up {
            file,
            with,
            self_test,
        } => {
            let project = Project::open(&file, catalog)?;
            let spec = spec(&project, with, self_test)?;
            let report = lab::up(&spec, &|line| say::errln!("{line}")).await?;
            say::outln!(
                "{}: {} hosts answer {} s after power-on",
                spec.name,
                report.hosts.len(),
                Seconds(report.ready_ms)
            );
        }
        LabVerb::Down { name } => lab::down(&name)?,
        LabVerb::List { output } => {
            let labs = lab::list()?;
            match output {
                Output::Json => say::outln!("{}", serde_json::to_string_pretty(&labs)?),
                Output::Text => {
                    for lab in labs {
                        for host in lab.hosts {
                            let addresses: Vec<String> =
                                host.addresses.iter().map(|(_, a)| a.to_string()).collect();
                            say::outln!(
                                "{:<16} {:<12} {:?} {}",
                                lab.name,
                                host.name,
                                host.power,
                                addresses.join(" ")
                            );
                        }
                    }
                }
            }
        }
        LabVerb::Cut { name, hosts } => each(&name, hosts, lab::cut).await?,
        LabVerb::On { name, hosts } => each(&name, hosts, lab::on).await?,
        LabVerb::Blank { name, host } => lab::blank(&name, &host).await?,
        LabVerb::Unplug { name, host, network } => lab::unplug(&name, &host, network.as_deref())?,
        LabVerb::Plug { name, host, network } => lab::plug(&name, &host, network.as_deref())?,
        LabVerb::Shell { name, host, command } => {
            let status = lab::shell(&name, &host, &command)?;
            let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
        LabVerb::Events { name } => {
            for event in lab::events(&name)? {
                say::outln!("{}", serde_json::to_string(&event)?);
            }
        }
        LabVerb::HostSupervisor { name, host } => lab::supervise_host(&name, &host)?,
        LabVerb::Bmc { name } => lab::serve_bmc(&name).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The same to several hosts at the same time: a rack loses its feed at once.
async fn each(
    name: &str,
    hosts: Vec<String>,
    act: fn(&str, &str) -> Result<(), lab::LabError>,
) -> Result<(), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for host in hosts {
        let name = name.to_owned();
        tasks.spawn_blocking(move || act(&name, &host));
    }
    while let Some(joined) = tasks.join_next().await {
        joined.map_err(|e| Failure::world(format!("a part of the lab failed: {e}"), ""))??;
    }
    Ok(())
}

/// Milliseconds shown as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 100)
    }
}
