//! Bridges, cables and the hosts' network namespaces.
//!
//! A network is a bridge of this machine, a host's NIC one end of a pair whose
//! other end is a port of it. The namespace is made, and its addresses set,
//! before the host boots, anew at each power-on: an address that the host took
//! itself is gone with its power, as on metal. Not for what a host does inside.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::error::LabError;
use crate::spec::{LabHost, LabNetwork, LabSpec, overlap};
use crate::{names, procfs, state, tools};

/// A link of this machine, as `ip -json` tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    /// Its name.
    pub(crate) ifname: String,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    local: Option<IpAddr>,
    prefixlen: u8,
}

/// The links of this machine.
pub(crate) fn links() -> Result<Vec<Link>, LabError> {
    let text = tools::run(&["ip", "-json", "address", "show"])?;
    serde_json::from_str(&text).map_err(|e| LabError::io("reading the answer of ip")(e.into()))
}

/// Whether the addresses of the lab's networks are free on this machine.
pub(crate) fn check_free(spec: &LabSpec) -> Result<(), LabError> {
    for link in links()? {
        if spec
            .networks
            .iter()
            .any(|n| names::bridge(&spec.name, &n.name) == link.ifname)
        {
            continue;
        }
        if let Some((network, used)) = conflicts(&spec.networks, &link) {
            return Err(LabError::AddressInUse {
                network: network.name.clone(),
                cidr: network.cidr.to_string(),
                used: used.to_string(),
                by: described(&link.ifname),
            });
        }
    }
    Ok(())
}

/// A link and what somebody wrote on it; the lab writes whose it is.
fn described(link: &str) -> String {
    let note = std::fs::read_to_string(format!("/sys/class/net/{link}/ifalias"));
    match note.unwrap_or_default().trim() {
        "" => link.to_owned(),
        note => format!("{link} ({note})"),
    }
}

fn conflicts<'a>(networks: &'a [LabNetwork], link: &Link) -> Option<(&'a LabNetwork, IpNet)> {
    link.addr_info.iter().find_map(|address| {
        let used = IpNet::new(address.local?, address.prefixlen).ok()?;
        networks
            .iter()
            .find(|n| overlap(n.cidr, used.trunc()))
            .map(|n| (n, used))
    })
}

/// Makes the lab's bridges where they are absent.
pub(crate) fn ensure_bridges(spec: &LabSpec) -> Result<(), LabError> {
    let present: BTreeSet<String> = links()?.into_iter().map(|l| l.ifname).collect();
    for network in &spec.networks {
        let bridge = names::bridge(&spec.name, &network.name);
        // The hardware address is set: a bridge would else take a port's, and
        // change it under the hosts when that one goes.
        let hardware = names::hardware_address(&["bridge", &spec.name, &network.name]);
        let mut script = String::new();
        if !present.contains(&bridge) {
            let _ = writeln!(
                script,
                "link add {bridge} address {hardware} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
            );
        }
        let _ = writeln!(
            script,
            "link set dev {bridge} alias \"{}\"",
            alias(spec, network, None)
        );
        let _ = writeln!(
            script,
            "address replace {}/{} dev {bridge}{}",
            network.gateway(),
            network.cidr.prefix_len(),
            no_detection(network.gateway())
        );
        let _ = writeln!(script, "link set dev {bridge} up");
        tools::run_with(&["ip", "-batch", "-"], &script)?;
    }
    Ok(())
}

/// What a person reads on a link: whose it is.
fn alias(spec: &LabSpec, network: &LabNetwork, host: Option<&LabHost>) -> String {
    match host {
        Some(host) => format!("lab {} host {} network {}", spec.name, host.name, network.name),
        None => format!("lab {} network {}", spec.name, network.name),
    }
}

/// Duplicate address detection takes a second and finds nothing here.
fn no_detection(address: IpAddr) -> &'static str {
    if address.is_ipv6() { " nodad" } else { "" }
}

/// Makes a host's network namespace with its NICs, addresses and default route.
/// A cable that was pulled stays out.
pub(crate) fn wire(spec: &LabSpec, host: &LabHost) -> Result<(), LabError> {
    let space = names::machine(&spec.name, &host.name);
    let out = state::unplugged(&spec.name, &host.name)?;
    add_space(&space)?;
    let (outside, inside) = wiring(spec, host, &space, &out);
    tools::run_with(&["ip", "-batch", "-"], &outside)?;
    tools::run_with(&["ip", "-netns", &space, "-batch", "-"], &inside)?;
    Ok(())
}

/// Where `ip` keeps the names of network namespaces.
const SPACES: &str = "/run/netns";
/// Says that the lab was the first to make one, and with it that directory's mount.
const FIRST: &str = "first-netns";

/// Makes a network namespace, and sees to it that one is made at a time: the
/// first one ever also makes a mount of their directory.
fn add_space(space: &str) -> Result<(), LabError> {
    let lock = lock_spaces()?;
    if !procfs::mounts("self").iter().any(|m| m.at == SPACES) {
        let mark = names::run_root().join(FIRST);
        std::fs::write(mark, "").map_err(LabError::io("writing a record of the lab"))?;
    }
    tools::run(&["ip", "netns", "add", space])?;
    drop(lock);
    Ok(())
}

fn lock_spaces() -> Result<std::fs::File, LabError> {
    let root = names::run_root();
    let what = || format!("locking {}", root.display());
    let dir = std::fs::File::open(&root).map_err(LabError::io(what()))?;
    dir.lock().map_err(LabError::io(what()))?;
    Ok(dir)
}

/// After the last lab: removes the mount that the first network namespace made,
/// if it was a lab's and nobody uses it since.
pub(crate) fn forget_spaces() -> Result<(), LabError> {
    let mark = names::run_root().join(FIRST);
    if !mark.exists() {
        return Ok(());
    }
    let lock = lock_spaces()?;
    if state::labs().is_empty() {
        if spaces().is_empty() && procfs::mounts("self").iter().any(|m| m.at == SPACES) {
            tools::run(&["umount", SPACES])?;
            let _ = std::fs::remove_dir(SPACES);
        }
        let _ = std::fs::remove_file(mark);
    }
    drop(lock);
    Ok(())
}

/// The commands for this machine's side and for the host's.
fn wiring(spec: &LabSpec, host: &LabHost, space: &str, out: &BTreeSet<String>) -> (String, String) {
    let (mut outside, mut inside) = (String::new(), String::from("link set dev lo up\n"));
    let mut routed = BTreeSet::new();
    for nic in spec.nics(host) {
        let network = nic.network;
        let cable = names::cable(&spec.name, &host.name, &network.name);
        let bridge = names::bridge(&spec.name, &network.name);
        let parts = [spec.name.as_str(), &host.name, &network.name];
        let near = names::hardware_address(&[&["port"], parts.as_slice()].concat());
        let far = names::hardware_address(&[&["nic"], parts.as_slice()].concat());
        let name = &nic.name;
        let _ = writeln!(
            outside,
            "link add {cable} address {near} type veth peer name {name} address {far} netns {space}"
        );
        let label = alias(spec, network, Some(host));
        let _ = writeln!(outside, "link set dev {cable} alias \"{label}\" master {bridge}");
        let power = if out.contains(&network.name) { "down" } else { "up" };
        let _ = writeln!(outside, "link set dev {cable} {power}");
        for address in nic.addresses {
            let length = network.cidr.prefix_len();
            let quick = no_detection(address);
            let _ = writeln!(inside, "address add {address}/{length} dev {name}{quick}");
        }
        let _ = writeln!(inside, "link set dev {name} up");
        if routed.insert(network.cidr.addr().is_ipv6()) {
            let _ = writeln!(inside, "route add default via {} dev {name}", network.gateway());
        }
    }
    (outside, inside)
}

/// Sets the cables of a host, of one network or of all, up or down; all at once.
pub(crate) fn set_cables(
    spec: &LabSpec,
    host: &LabHost,
    network: Option<&str>,
    up: bool,
) -> Result<(), LabError> {
    let mut script = String::new();
    for nic in spec.nics(host) {
        if network.is_none_or(|n| n == nic.network.name) {
            let cable = names::cable(&spec.name, &host.name, &nic.network.name);
            let _ = writeln!(script, "link set dev {cable} {}", if up { "up" } else { "down" });
        }
    }
    tools::run_with(&["ip", "-force", "-batch", "-"], &script).map(|_| ())
}

/// Removes a host's namespace and with it its cables. Absence is no error.
pub(crate) fn unwire(lab: &str, host: &str, cables: &[String]) -> Result<(), LabError> {
    let space = names::machine(lab, host);
    // Cables first and by name: the namespace takes its own with it only later.
    for link in links()?.into_iter().filter(|l| cables.contains(&l.ifname)) {
        delete_link(&link.ifname)?;
    }
    if spaces().contains(&space) {
        tools::run(&["ip", "netns", "delete", &space])?;
    }
    Ok(())
}

/// Removes every bridge and cable that bears the lab's mark.
pub(crate) fn remove_links(lab: &str) -> Result<(), LabError> {
    for link in lab_links(lab)? {
        delete_link(&link)?;
    }
    Ok(())
}

/// The links that bear the lab's mark.
pub(crate) fn lab_links(lab: &str) -> Result<Vec<String>, LabError> {
    let prefixes = names::link_prefixes(lab);
    Ok(links()?
        .into_iter()
        .map(|l| l.ifname)
        .filter(|name| prefixes.iter().any(|p| name.starts_with(p)))
        .collect())
}

/// A link may go by itself meanwhile, with its namespace: that is no error.
fn delete_link(link: &str) -> Result<(), LabError> {
    match tools::run(&["ip", "link", "delete", "dev", link]) {
        Err(e) if links()?.iter().any(|l| l.ifname == link) => Err(e),
        _ => Ok(()),
    }
}

/// The names of all network namespaces of this machine.
pub(crate) fn spaces() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(SPACES) else {
        return vec![];
    };
    let mut found: Vec<String> = entries
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks() -> Vec<LabNetwork> {
        vec![LabNetwork {
            name: "m".to_owned(),
            cidr: "198.18.40.0/24".parse().unwrap(),
        }]
    }

    fn link(address: &str) -> Link {
        let text = format!(
            r#"[{{"ifname":"eth0","mtu":1500,"addr_info":[{{"local":"{address}","prefixlen":24}}]}}]"#
        );
        serde_json::from_str::<Vec<Link>>(&text).unwrap().remove(0)
    }

    #[test]
    fn used_addresses_are_seen() {
        let networks = networks();
        assert!(conflicts(&networks, &link("198.18.40.77")).is_some());
        assert!(conflicts(&networks, &link("198.18.41.77")).is_none());
    }

    #[test]
    fn a_pulled_cable_stays_out_and_each_family_has_one_default_route() {
        let spec: LabSpec = serde_json::from_str(
            r#"{"name":"l","state":"/s","suite":"trixie","packages":[],
            "networks":[{"name":"m","cidr":"198.18.40.0/24"},{"name":"p","cidr":"198.18.41.0/24"},
                        {"name":"six","cidr":"fd00::/64"}],
            "hosts":[{"name":"h","addresses":[["m","198.18.40.2"],["p","198.18.41.2"],["six","fd00::2"]]}],
            "bmc":{"user":"a","password":"b"}}"#,
        )
        .unwrap();
        let out = BTreeSet::from(["p".to_owned()]);
        let (outside, inside) = wiring(&spec, &spec.hosts[0], "qlab.l.h", &out);
        let down = format!("link set dev {} down", names::cable("l", "h", "p"));
        assert!(outside.contains(&down), "{outside}");
        assert_eq!(outside.matches(" up\n").count(), 2);
        assert!(
            inside.contains("address add fd00::2/64 dev eth2 nodad\n"),
            "{inside}"
        );
        assert!(inside.contains("route add default via 198.18.40.1 dev eth0\n"));
        assert_eq!(inside.matches("route add default").count(), 2);
    }
}
