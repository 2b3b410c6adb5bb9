//! Hosts, endpoints and watched units as templates of the catalogue see them. Not for the
//! templates' language (`context`).

use std::net::IpAddr;

use catalog::{UnitRun, Watched};
use indexmap::IndexMap;
use model::Model;
use names::HostName;
use serde::Serialize;

use crate::context::url_host;

#[derive(Serialize)]
pub(crate) struct HostView {
    pub(crate) name: HostName,
    pub(crate) id: u32,
    pub(crate) address: String,
    pub(crate) url_address: String,
    pub(crate) tunnel_address: String,
    pub(crate) interface_addresses: Vec<String>,
    pub(crate) links: Vec<String>,
    pub(crate) roles: Vec<String>,
    /// Addresses by network.
    pub(crate) networks: IndexMap<String, String>,
    /// What it fails together with, by the word for it.
    pub(crate) domains: IndexMap<String, String>,
    /// Fence devices by level.
    pub(crate) power: Vec<Vec<DeviceView>>,
}

/// A fence device.
#[derive(Serialize)]
pub(crate) struct DeviceView {
    pub(crate) agent: String,
    /// Options; secrets are placeholders.
    pub(crate) options: IndexMap<String, String>,
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "as the catalogue has them")]
pub(crate) struct EndpointView {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) mode: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) check: String,
    pub(crate) check_port: u16,
    pub(crate) process_port: Option<u16>,
    pub(crate) tls: bool,
    pub(crate) backend_tls: bool,
    pub(crate) single_writer: bool,
    pub(crate) service_type: String,
    pub(crate) checks: ChecksView,
    pub(crate) options: Vec<String>,
    pub(crate) websocket: bool,
    pub(crate) connections: Option<u32>,
    pub(crate) brake: Option<BrakeView>,
    pub(crate) fallback: Option<String>,
    /// Requests that one instance works on at once; none where it is not known.
    pub(crate) at_once: Option<u32>,
    pub(crate) vip: String,
    pub(crate) url: String,
    pub(crate) members: Vec<MemberView>,
}

/// Times as balancers write them.
#[derive(Serialize)]
pub(crate) struct ChecksView {
    pub(crate) every: Option<String>,
    pub(crate) suspect: Option<String>,
    pub(crate) down: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) fall: Option<u32>,
    pub(crate) rise: Option<u32>,
}

impl From<catalog::Checks> for ChecksView {
    fn from(checks: catalog::Checks) -> Self {
        let time = |ms: u32| match ms % 1000 {
            0 => format!("{}s", ms / 1000),
            _ => format!("{ms}ms"),
        };
        Self {
            every: checks.every.map(time),
            suspect: checks.suspect.map(time),
            down: checks.down.map(time),
            timeout: checks.timeout.map(time),
            fall: checks.fall,
            rise: checks.rise,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct BrakeView {
    /// Methods, and expressions that match a path however often it is slashed.
    pub(crate) asks: Vec<(String, String)>,
    pub(crate) at_once: u32,
    pub(crate) in_ten_seconds: u32,
    pub(crate) refused: u32,
}

impl From<catalog::Brake> for BrakeView {
    fn from(brake: catalog::Brake) -> Self {
        let pattern = |path: &str| format!("^{}/*$", path.replace('/', "/+").replace('*', "[^/]+"));
        Self {
            asks: brake
                .asks
                .into_iter()
                .map(|(method, path)| (method, pattern(&path)))
                .collect(),
            at_once: brake.at_once,
            in_ten_seconds: brake.in_ten_seconds,
            refused: brake.refused,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct MemberView {
    pub(crate) name: HostName,
    pub(crate) address: String,
    pub(crate) url_address: String,
}

pub(crate) fn host_view(model: &Model, ids: &IndexMap<HostName, u32>, host: &cloud::Host) -> HostView {
    let address = host
        .addresses
        .values()
        .next()
        .map_or(IpAddr::from([0, 0, 0, 0]), |a| a.value);
    let tunnels = model.cloud.networks.iter();
    let tunnel = tunnels
        .filter(|n| n.uses.contains(&cloud::NetworkUse::Tunnel))
        .find_map(|n| host.address_in(n.name.as_str()));
    HostView {
        tunnel_address: tunnel.unwrap_or(address).to_string(),
        name: host.name.value.clone(),
        // Of a member of the cluster; nobody asks for another's.
        id: ids.get(host.name.as_str()).copied().unwrap_or_default(),
        address: address.to_string(),
        url_address: url_host(address),
        interface_addresses: host.addresses.values().map(|a| a.value.to_string()).collect(),
        links: model
            .cloud
            .links()
            .filter_map(|n| host.address_in(n.name.as_str()))
            .map(|a| a.to_string())
            .collect(),
        roles: host.roles.iter().map(|r| r.as_str().to_owned()).collect(),
        networks: (host.addresses.iter())
            .map(|(network, a)| (network.to_string(), a.value.to_string()))
            .collect(),
        domains: (host.domains.iter())
            .map(|(domain, name)| (domain.to_string(), name.value.clone()))
            .collect(),
        power: host.power.iter().map(level_view).collect(),
    }
}

fn level_view(level: &cloud::PowerLevel) -> Vec<DeviceView> {
    let devices = level.devices.iter().map(|device| DeviceView {
        agent: device.agent.value.clone(),
        options: crate::cluster::options_of(device).collect(),
    });
    devices.collect()
}

/// Threads of all processes of an instance.
pub(crate) fn at_once(settings: &IndexMap<String, String>) -> Option<u32> {
    let number = |key: &str| settings.get(key).map_or(Some(1), |n| n.parse::<u32>().ok());
    settings.contains_key("processes").then_some(())?;
    number("processes")?.checked_mul(number("threads")?)
}

/// A unit that is alive as long as it has a connection to the port of its peers, or as long
/// as it takes those to its own.
#[derive(Serialize)]
pub(crate) struct WatchedView {
    pub(crate) unit: String,
    pub(crate) connected: Option<u16>,
    pub(crate) listens: Vec<u16>,
    /// Keys, so that a template that asks for one name does not go through all.
    pub(crate) hosts: IndexMap<HostName, bool>,
}

pub(crate) fn watched(model: &Model) -> Vec<WatchedView> {
    let mut out: Vec<WatchedView> = Vec::new();
    for (_, component) in model.components() {
        let (connected, listens) = match component.watched() {
            Watched::Not => continue,
            Watched::Connected(port) => (Some(port), Vec::new()),
            Watched::Listens(ports) => (None, ports),
        };
        // Two components may be of one unit, of which the settings choose one.
        if !out.iter().any(|w| w.unit == component.unit) {
            out.push(WatchedView {
                unit: component.unit.clone(),
                connected,
                listens,
                hosts: (model.names_on(&component.runs_on).into_iter())
                    .map(|name| (name, true))
                    .collect(),
            });
        }
    }
    out
}

/// Services that the cluster runs somewhere, by their units.
pub(crate) fn clustered(model: &Model) -> Vec<&str> {
    let mut out: Vec<&str> = Vec::new();
    for (_, component) in model.components() {
        let unit = component.unit.as_str();
        let run = component.run_in(model.cloud.architecture) == UnitRun::Cluster;
        if run && unit.ends_with(".service") && !out.contains(&unit) {
            out.push(unit);
        }
    }
    out
}
