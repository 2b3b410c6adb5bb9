//! The cloud file: as written, as meant, and everything that is wrong with it.
//!
//! [`parse`] takes the text and gives a [`Cloud`], made of types that cannot be
//! wrong, and all findings at once. As written is the spanned tree of [`tree`];
//! as meant is [`Cloud`]; between them stands `read`, and what concerns several
//! places of the file at once is judged in `check`.
//!
//! This crate does not know the catalogue: whether a service exists, what it
//! needs and how many virtual addresses that makes is judged by `model`, for
//! which places are kept here. It may not read files, clocks or the network.

mod check;
pub mod keys;
mod read;
pub mod tree;
mod types;
mod yaml;

pub use read::{FILE_MOST, too_large};

use std::net::IpAddr;
use std::sync::Arc;

use diagnostic::{Diagnostic, Source};
use serde::Serialize;

pub use names::{BadName, CloudName, HostName, NetworkName, ServiceName};
pub use tree::Spanned;
pub use types::{
    Architecture, BackupUpkeep, Distribution, Domain, Fencing, Host, Keyed, Network, NetworkUse, Overrides,
    PowerDevice, PowerLevel, PowerOption, Profile, Role, Sections, Setting, Settings, Ssh, Timeouts, Upkeep,
    VipPool, VipSource, Vips,
};

/// Reads a cloud file.
///
/// A cloud may be given beside errors, so that later checks can add theirs;
/// nobody may act on it then. There is none when its name, release, hosts,
/// management network or virtual addresses could not be read at all.
pub fn parse(source: &Arc<Source>) -> (Option<Cloud>, Vec<Diagnostic>) {
    read::cloud(source)
}

/// A cloud as its operator meant it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cloud {
    /// Its name.
    pub name: Spanned<CloudName>,
    /// The OpenStack release, not yet looked up in the catalogue.
    pub release: Spanned<String>,
    /// Who rules the services.
    pub architecture: Architecture,
    /// How soon a silent host is held dead.
    pub profile: Profile,
    /// The hosts' operating system.
    pub distribution: Distribution,
    /// The region's name.
    pub region: Spanned<String>,
    /// The hosts, in the file's order.
    pub hosts: Vec<Host>,
    /// The networks; management is first.
    pub networks: Vec<Network>,
    /// The virtual addresses.
    pub vips: Vips,
    /// The services asked for, each once, in the file's order.
    pub services: Vec<Spanned<ServiceName>>,
    /// What is done about hosts that must be known dead.
    pub fencing: Fencing,
    /// Time servers outside; none: the hosts keep each other.
    pub time_servers: Vec<Spanned<String>>,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// What recurs.
    pub upkeep: Upkeep,
    /// Settings of each service.
    pub settings: Settings,
    /// Overrides by file, section and key.
    pub config: Overrides,
    /// Files in which the operator writes too: only our keys of them are ours.
    pub shared_files: Vec<Spanned<String>>,
    /// Names of changes to packages' files that are asked for.
    pub cures: Vec<Spanned<String>>,
    /// Whether everything could be read. If not, what is here may be judged, but
    /// not what is missing: it may be among what could not be read.
    pub complete: bool,
}

impl Cloud {
    /// The hosts with a role.
    pub fn hosts_with(&self, role: Role) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |h| h.has(role))
    }

    /// The members of the cluster: hosts with a role that makes them one
    /// ([`Role::makes_controller`]).
    pub fn controllers(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|h| h.is_controller())
    }

    /// How many votes there are: controllers and arbitrators.
    pub fn votes(&self) -> usize {
        self.hosts
            .iter()
            .filter(|h| h.is_controller() || h.has(Role::Arbitrator))
            .count()
    }

    /// How many votes are a majority.
    pub fn majority(&self) -> usize {
        self.votes() / 2 + 1
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name.as_str() == name)
    }

    /// A network by its name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|n| n.name.as_str() == name)
    }

    /// The networks with a Corosync link, in the order of the links: management,
    /// then those with `use: [corosync]`.
    pub fn links(&self) -> impl Iterator<Item = &Network> {
        self.networks
            .iter()
            .enumerate()
            .filter(|(i, n)| *i == 0 || n.uses.contains(&NetworkUse::Corosync))
            .map(|(_, n)| n)
    }

    /// Each host with its address in a network, for those that have one.
    pub fn addresses_in<'a>(&'a self, network: &'a str) -> impl Iterator<Item = (&'a Host, IpAddr)> {
        self.hosts
            .iter()
            .filter_map(move |h| h.address_in(network).map(|a| (h, a)))
    }
}
