//! What a lab is to be: hosts, networks, packages; and whether that makes sense.
//!
//! Filled from the cloud file by whoever asks for a lab. Not for what runs: see
//! the records in `state`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::Utf8PathBuf;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::names;

/// A lab, as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabSpec {
    /// The cloud's name: lower-case letters, digits and hyphens, at most 24.
    pub name: String,
    /// The cloud's state directory; the SSH key and configuration go there.
    pub state: Utf8PathBuf,
    /// The Debian suite of the hosts, such as `trixie`.
    pub suite: String,
    /// The packages that the image holds, beyond what makes a bare host.
    pub packages: Vec<String>,
    /// The networks, in the order in which they become the hosts' NICs.
    pub networks: Vec<LabNetwork>,
    /// The hosts.
    pub hosts: Vec<LabHost>,
    /// Who may use the BMC.
    pub bmc: BmcAccess,
    /// Packages whose archive stays in the image's apt cache, so that they can
    /// be installed again without a network.
    #[serde(default)]
    pub keep_debs: Vec<String>,
    /// Seconds from a host's power to the start of its system, but for its first start. A
    /// real machine tests itself for minutes; one that is back at once takes processors
    /// from those that do its work meanwhile, which real ones do not share.
    #[serde(default)]
    pub self_test: u16,
    /// The program that answers `lab bmc` and `lab host-supervisor`; this very
    /// one if absent. A test names the built tool here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<Utf8PathBuf>,
}

/// A network of a lab: one bridge on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabNetwork {
    /// The network's name.
    pub name: String,
    /// Its addresses; the first one is this machine's own, and the gateway.
    pub cidr: IpNet,
}

/// A host of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabHost {
    /// The host's name.
    pub name: String,
    /// Its addresses, each with the name of its network.
    pub addresses: Vec<(String, IpAddr)>,
}

/// Who may use the BMC, by HTTP basic authentication.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BmcAccess {
    /// The user.
    pub user: String,
    /// The password; kept in the lab's record, readable by root only.
    pub password: String,
}

impl std::fmt::Debug for BmcAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BmcAccess")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl LabNetwork {
    /// The first address: this machine's own on the network, the hosts' gateway
    /// and the BMC's.
    pub fn gateway(&self) -> IpAddr {
        match self.cidr {
            IpNet::V4(net) => {
                IpAddr::from(std::net::Ipv4Addr::from(u32::from(net.network()).wrapping_add(1)))
            }
            IpNet::V6(net) => IpAddr::from(std::net::Ipv6Addr::from(
                u128::from(net.network()).wrapping_add(1),
            )),
        }
    }
}

/// One NIC of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nic<'a> {
    /// Its name inside the host, `eth0` and so on.
    pub(crate) name: String,
    /// The network that it is on.
    pub(crate) network: &'a LabNetwork,
    /// The host's addresses there.
    pub(crate) addresses: Vec<IpAddr>,
}

impl LabSpec {
    /// A host by its name.
    pub(crate) fn host(&self, host: &str) -> Result<&LabHost, LabError> {
        self.hosts
            .iter()
            .find(|h| h.name == host)
            .ok_or_else(|| LabError::UnknownHost {
                name: self.name.clone(),
                host: host.to_owned(),
                known: self
                    .hosts
                    .iter()
                    .map(|h| h.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// The NICs of a host, in the order of the networks.
    pub(crate) fn nics(&self, host: &LabHost) -> Vec<Nic<'_>> {
        let mut nics: Vec<Nic<'_>> = vec![];
        for network in &self.networks {
            let addresses: Vec<IpAddr> = host
                .addresses
                .iter()
                .filter(|(name, _)| *name == network.name)
                .map(|(_, address)| *address)
                .collect();
            if !addresses.is_empty() {
                nics.push(Nic {
                    name: format!("eth{}", nics.len()),
                    network,
                    addresses,
                });
            }
        }
        nics
    }

    /// Whether the description makes sense; says the first thing that does not.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        let wrong = |why: String| Err(LabError::BadSpec(why));
        check_name(&self.name)?;
        if self.networks.is_empty() || self.hosts.is_empty() {
            return wrong("a lab has at least one network and one host".to_owned());
        }
        let words = self
            .packages
            .iter()
            .chain(&self.keep_debs)
            .chain(Some(&self.suite));
        for word in words {
            let fits = |c: char| c.is_ascii_alphanumeric() || "+-.:~".contains(c);
            if word.is_empty() || word.starts_with('-') || !word.chars().all(fits) {
                return wrong(format!("{word:?} is no name of a package or suite"));
            }
        }
        for (i, network) in self.networks.iter().enumerate() {
            for other in self.networks.iter().take(i) {
                if network.name == other.name {
                    return wrong(format!("two networks are named {}", network.name));
                }
                if overlap(network.cidr, other.cidr) {
                    return wrong(format!("networks {} and {} overlap", network.name, other.name));
                }
            }
        }
        let mut names = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for host in &self.hosts {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            let edge = |c: char| c == '-' || c == '.';
            let machine = names::machine(&self.name, &host.name);
            if host.name.is_empty()
                || machine.len() > 63
                || !host.name.chars().all(fits)
                || host.name.starts_with(edge)
                || host.name.ends_with(edge)
                || host.name.contains("..")
            {
                return wrong(format!(
                    "host name {:?}: lower-case letters, digits, hyphens and dots, 63 with the lab's name",
                    host.name
                ));
            }
            if !names.insert(&host.name) {
                return wrong(format!("two hosts are named {}", host.name));
            }
            if host.addresses.is_empty() {
                return wrong(format!("host {} has no address", host.name));
            }
            for (network, address) in &host.addresses {
                let Some(network) = self.networks.iter().find(|n| n.name == *network) else {
                    return wrong(format!("host {} is on an unknown network {network}", host.name));
                };
                if !network.cidr.contains(address) {
                    return wrong(format!(
                        "address {address} of host {} is not in {}",
                        host.name, network.cidr
                    ));
                }
                if *address == network.gateway() || *address == network.cidr.network() {
                    return wrong(format!(
                        "address {address} of host {} is taken: the first of {} is this machine's",
                        host.name, network.cidr
                    ));
                }
                if !addresses.insert(address) {
                    return wrong(format!("address {address} is given twice"));
                }
            }
        }
        Ok(())
    }
}

/// Whether a name can be a lab's; everything of the lab is found by it.
pub(crate) fn check_name(name: &str) -> Result<(), LabError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 24 || name.starts_with('-') || !name.chars().all(fits) {
        return Err(LabError::BadSpec(format!(
            "name {name:?}: 1 to 24 lower-case letters, digits and hyphens, no hyphen first"
        )));
    }
    Ok(())
}

/// Whether two networks share addresses.
pub(crate) fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
