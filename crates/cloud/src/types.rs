//! The parts a cloud is made of, as meant. Plain values: reading and judging
//! them is done in `read` and `check`.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::tree::Spanned;
use names::{HostName, NetworkName, ServiceName};

/// An enum that is a word in the file: the words are stated once.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[doc = $says:literal])+ $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[doc = $says])+ $variant),+ }

        impl $type {
            /// All of them with their words, in the order of the documentation.
            pub const WORDS: &[(&'static str, Self)] = &[$(($word, Self::$variant)),+];

            /// All words with what each says: its line of documentation here.
            pub const SAYS: &[(&'static str, &'static str)] = &[$(($word, concat!($($says),+).trim_ascii())),+];

            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a host is for.
    Role {
        /// Members of the replicated database.
        Database = "database",
        /// Members of the message broker.
        Messaging = "messaging",
        /// Caches.
        Cache = "cache",
        /// Load balancers and virtual addresses.
        Balancer = "balancer",
        /// APIs and their workers.
        Api = "api",
        /// Network agents.
        Network = "network",
        /// Storage.
        Storage = "storage",
        /// Runs VMs.
        Compute = "compute",
        /// Votes and does nothing else.
        Arbitrator = "arbitrator",
    }
}

impl Role {
    /// What `controller` stands for.
    pub const CONTROLLER: [Self; 6] = [
        Self::Database,
        Self::Messaging,
        Self::Cache,
        Self::Balancer,
        Self::Api,
        Self::Network,
    ];

    /// Whether a host with this role is a member of the cluster with a vote.
    ///
    /// Caches keep nothing and network agents follow the database: hosts of
    /// these alone would only make the quorum larger.
    pub fn makes_controller(self) -> bool {
        matches!(
            self,
            Self::Database | Self::Messaging | Self::Balancer | Self::Api
        )
    }
}

words! {
    /// Who rules the services.
    Architecture {
        /// Pacemaker runs every service.
        Full = "full",
        /// Pacemaker runs virtual addresses, balancers, stores and singletons; systemd the rest.
        Core = "core",
        /// No Pacemaker.
        Keepalived = "keepalived",
    }
}

words! {
    /// How soon a silent host is held dead.
    Profile {
        /// Bears a second of silence.
        Steady = "steady",
        /// Half of that: for networks that never pause.
        Fast = "fast",
    }
}

words! {
    /// The operating system of the hosts.
    Distribution {
        /// Debian 13 "trixie".
        Debian13 = "debian-13",
        /// Debian 12 "bookworm".
        Debian12 = "debian-12",
        /// CentOS Stream 9, with the packages of RDO.
        Centos9 = "centos-9",
    }
}

words! {
    /// What fails together.
    Domain {
        /// A rack.
        Rack = "rack",
        /// A network switch.
        Switch = "switch",
        /// A power feed.
        Feed = "feed",
    }
}

words! {
    /// What a further network carries.
    NetworkUse {
        /// A Corosync link beside the management network's.
        Corosync = "corosync",
        /// Tenants' traffic between hosts; without such a network the management network's.
        Tunnel = "tunnel",
    }
}

/// A map's value with the places of its key and of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed<T> {
    /// Where the key stands.
    pub key: Range<usize>,
    /// The value and its place.
    pub value: Spanned<T>,
}

impl<T: Serialize> Serialize for Keyed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its name, at its key.
    pub name: Spanned<HostName>,
    /// What it is for, `controller` replaced by its six; each once, in the order of [`Role`].
    pub roles: Spanned<Vec<Role>>,
    /// Its address in each network that it is in; management is first.
    pub addresses: IndexMap<NetworkName, Spanned<IpAddr>>,
    /// What it fails together with.
    pub domains: IndexMap<Domain, Spanned<String>>,
    /// How its power is cut, level by level; empty if it cannot be.
    pub power: Vec<PowerLevel>,
    /// Why it is not there for now; the cloud is changed without it meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<Spanned<String>>,
    /// How it is reached.
    pub ssh: Ssh,
}

impl Host {
    /// Whether it has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it is a member of the cluster with a vote: see [`Role::makes_controller`].
    pub fn is_controller(&self) -> bool {
        self.roles.iter().any(|r| r.makes_controller())
    }

    /// Its address in a network.
    pub fn address_in(&self, network: &str) -> Option<IpAddr> {
        self.addresses.get(network).map(|a| a.value)
    }
}

/// How a host is reached over SSH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ssh {
    /// The user; others than root need `sudo` without a password.
    pub user: String,
    /// The port.
    pub port: u16,
    /// The name or address to connect to: the management address unless told otherwise.
    pub address: String,
    /// An `ssh_config` to use instead of the user's, relative to the cloud file.
    pub config: Option<Spanned<String>>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Its name, at its key; for a derived network at the first host's address.
    pub name: Spanned<NetworkName>,
    /// Its range.
    pub cidr: Spanned<IpNet>,
    /// What it carries besides; the management network carries everything.
    pub uses: Vec<NetworkUse>,
}

/// The virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vips {
    /// Where they come from.
    pub source: VipSource,
    /// Services with an address of their own choice.
    pub pins: IndexMap<ServiceName, Keyed<IpAddr>>,
}

/// Where virtual addresses come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VipSource {
    /// One a service, out of a range.
    Pool(Spanned<VipPool>),
    /// One for all.
    Shared(Spanned<IpAddr>),
}

/// A range of addresses of one family, ends included, first not above last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VipPool {
    /// The first.
    pub first: IpAddr,
    /// The last.
    pub last: IpAddr,
}

impl VipPool {
    /// Whether an address lies within.
    pub fn contains(&self, address: IpAddr) -> bool {
        // IpAddr orders families before numbers; both ends are of one family.
        self.first <= address && address <= self.last
    }

    /// The addresses in order. Lazy: an IPv6 pool may be vast.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (first, last) = (*self).into();
        let v4 = self.first.is_ipv4();
        (first..=last).map(move |n| match u32::try_from(n) {
            Ok(n) if v4 => IpAddr::V4(n.into()),
            _ => IpAddr::V6(n.into()),
        })
    }
}

impl From<VipPool> for (u128, u128) {
    fn from(pool: VipPool) -> Self {
        let number = |address| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6),
        };
        (number(pool.first), number(pool.last))
    }
}

impl fmt::Display for VipPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// What is done about hosts that must be known dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fencing {
    /// Their power is cut: see [`Host::power`].
    Power,
    /// Nothing, on purpose.
    None {
        /// Why, in the operator's words.
        reason: Spanned<String>,
    },
}

/// How long is waited for what nobody should hurry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timeouts {
    /// Seconds in which all must have been whole before a virtual address is
    /// moved back to its home.
    pub home_after: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { home_after: 300 }
    }
}

/// What `quorate upkeep` does again and again with what only the operator has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Upkeep {
    /// Days after which rings of keys are turned.
    pub keys_every: u32,
    /// Backups.
    pub backup: BackupUpkeep,
}

/// Which backups are made and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BackupUpkeep {
    /// Days from one to the next.
    pub every: u32,
    /// How many are kept.
    pub keep: u16,
    /// Where they lie, relative to the cloud file; beside the vault without it.
    pub to: Option<Spanned<String>>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            // With rings of three keys what was signed can be read for a week after.
            keys_every: 7,
            backup: BackupUpkeep {
                every: 1,
                keep: 14,
                to: None,
            },
        }
    }
}

/// One way to cut a host's power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PowerLevel {
    /// Devices that act together: the host is dead when all of them have switched it off.
    pub devices: Vec<PowerDevice>,
}

/// A device that switches a host off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PowerDevice {
    /// The fence agent, `fence_…`.
    pub agent: Spanned<String>,
    /// Its options, with the host's name filled in.
    pub options: IndexMap<String, Keyed<PowerOption>>,
}

/// A fence agent's option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerOption {
    /// As it stands.
    Text(String),
    /// The content of a file on the operator's machine, relative to the cloud file.
    File(String),
    /// A secret of the vault.
    Secret(String),
}

/// A per-service setting or an overridden value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Setting {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text; also a number with a fraction, as written.
    Text(String),
    /// Several.
    List(Vec<Setting>),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Text(v) => f.pad(v),
            Self::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{item}")?;
                }
                Ok(())
            }
        }
    }
}

/// Settings of each service by key.
pub type Settings = IndexMap<ServiceName, Keyed<IndexMap<String, Keyed<Setting>>>>;

/// Overrides by section and key. No value: the key is left out of the file.
pub type Sections = IndexMap<String, Keyed<IndexMap<String, Keyed<Option<Setting>>>>>;

/// Overrides by file.
pub type Overrides = IndexMap<String, Keyed<Sections>>;
