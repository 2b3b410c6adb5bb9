//! A host's cables, and the way in that needs none.
//!
//! Pulling a cable is this machine's end going down: the host sees its carrier
//! go, as on metal, and keeps running. A pulled cable stays out over power
//! cycles. Not for power: see `power`.

use std::process::{Command, ExitStatus};
use std::time::Instant;

use crate::error::LabError;
use crate::state::{self, Actor, EventKind};
use crate::{names, net, procfs, tools};

/// Pulls a host's cables, or the one of a network. The host keeps running.
pub fn unplug(lab: &str, host: &str, network: Option<&str>) -> Result<(), LabError> {
    cables(lab, host, network, false)
}

/// Puts a host's cables back, or the one of a network.
pub fn plug(lab: &str, host: &str, network: Option<&str>) -> Result<(), LabError> {
    cables(lab, host, network, true)
}

/// Runs a command inside a host, as root and without its network, on this
/// process's own terminal; a login shell if there is no command. Returns how it
/// ended.
pub fn shell(lab: &str, host: &str, argv: &[String]) -> Result<ExitStatus, LabError> {
    tools::need_root()?;
    let spec = state::load(lab)?;
    let host = spec.host(host)?;
    let init = state::host_record(lab, &host.name)?
        .container
        .filter(|c| c.alive())
        .and_then(|c| procfs::inner_init(c.pid))
        .ok_or_else(|| LabError::Off {
            name: lab.to_owned(),
            host: host.name.clone(),
        })?;
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let mut command = Command::new("nsenter");
    command
        .env("PATH", tools::PATH)
        .args(["--target", &init.to_string()])
        .args([
            "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
        ])
        .args([
            "--",
            "/usr/bin/env",
            "-i",
            "HOME=/root",
            "USER=root",
            "LANG=C.UTF-8",
        ])
        .arg(format!("PATH={}", tools::PATH))
        .arg(format!("TERM={terminal}"));
    if argv.is_empty() {
        command.args(["/bin/bash", "--login"])
    } else {
        command.args(argv)
    };
    command.status().map_err(LabError::io("running nsenter"))
}

fn cables(lab: &str, host: &str, network: Option<&str>, up: bool) -> Result<(), LabError> {
    tools::need_root()?;
    let spec = state::load(lab)?;
    let host = spec.host(host)?;
    let began = Instant::now();
    let all: Vec<String> = spec
        .nics(host)
        .into_iter()
        .map(|n| n.network.name.clone())
        .collect();
    let meant: Vec<String> = all
        .into_iter()
        .filter(|n| network.is_none_or(|wanted| wanted == n))
        .collect();
    if let (Some(network), true) = (network, meant.is_empty()) {
        return Err(LabError::UnknownNetwork {
            name: lab.to_owned(),
            host: host.name.clone(),
            network: network.to_owned(),
        });
    }
    let lock = state::lock_host(lab, &host.name)?;
    let mut out = state::unplugged(lab, &host.name)?;
    for name in meant {
        if up {
            out.remove(&name)
        } else {
            out.insert(name)
        };
    }
    state::write(&names::host_file(lab, &host.name, "unplugged"), &out)?;
    if state::power(lab, &host.name)? == state::Power::On {
        net::set_cables(&spec, host, network, up)?;
    }
    drop(lock);
    let event = if up { EventKind::Plug } else { EventKind::Unplug };
    state::tell(lab, &host.name, event, Actor::Operator, network, began)
}
