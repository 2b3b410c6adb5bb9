//! The types of a service's data, as meant. Text that may hold expressions
//! (`{{ … }}`) is kept as written: only the model and render know hosts.

use std::sync::Arc;

use cloud::Architecture;
use cloud::tree::Spanned;
use diagnostic::Source;
use indexmap::IndexMap;

use crate::{Endpoint, Forget, Guests, Journeys, Setting, Step};

/// Names and texts in the order of the file.
pub type Pairs = IndexMap<String, String>;

/// How a component is made highly available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any number, each alone: balanced.
    Stateless,
    /// One at a time; needs fencing.
    Singleton,
    /// Members know each other, all alike.
    Clustered,
    /// Clustered with promoted members.
    Promotable,
    /// One on each host, not balanced.
    PerHost,
}

/// Who starts and stops a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitRun {
    /// Pacemaker.
    Cluster,
    /// systemd, enabled at boot.
    Systemd,
    /// Only prepared: something else starts it (a test, an operator).
    Nobody,
}

/// A secret that the vault makes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSpec {
    /// How it is made.
    pub form: SecretForm,
    /// Role of the hosts that have one each, as `NAME/HOST`; one for all without it.
    pub each: Option<String>,
}

/// How the vault makes a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretForm {
    /// So many letters and digits.
    Password(usize),
    /// So many random bytes in URL-safe base64.
    Key(usize),
    /// So many random bytes in hex.
    Hex(usize),
    /// So many random bytes in plain base64.
    Bytes(usize),
    /// A certificate authority of the service's own: `NAME.crt` and `NAME.key`. Who has its
    /// certificates is trusted by those that trust it, and by nobody else.
    Authority,
    /// A certificate for servers and clients: `NAME.crt` and `NAME.key`.
    Certificate {
        /// The service's authority that signs it.
        of: Spanned<String>,
    },
}

/// Operations of a cluster resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `start`, `stop`, `monitor`, `promote`, `demote`.
    pub name: String,
    /// `timeout`, `interval`, `role`, `on-fail`.
    pub options: Pairs,
}

/// How Pacemaker runs a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSpec {
    /// Agent; when empty, that of units with the component's.
    pub agent: String,
    /// Instance attributes (templates).
    pub params: Pairs,
    /// Meta attributes.
    pub meta: Pairs,
    /// Meta attributes of the clone (templates).
    pub clone: Pairs,
    /// Operations, added to (or in place of) the defaults.
    pub operations: Vec<Operation>,
}

/// How the host of a component tells that it stands still, and ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// It does not: others ask the component, or nobody.
    Not,
    /// By its connection to this TCP port of its peers, without which it does not work.
    Connected(u16),
    /// By a connection to these TCP ports of its own, which it does not take.
    Listens(Vec<u16>),
}

/// A part of a service that runs somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Name, unique in the service.
    pub name: Spanned<String>,
    /// Kind of availability.
    pub kind: Kind,
    /// Roles of the hosts it runs on: those that have any of them.
    pub runs_on: Vec<Spanned<String>>,
    /// systemd unit with suffix; empty for a pure agent.
    pub unit: String,
    /// Who runs the unit, where the architecture has no say.
    pub run: Option<UnitRun>,
    /// How Pacemaker runs it.
    pub resource: ResourceSpec,
    /// Components (`service` or `service.component`) that start before it.
    pub after: Vec<Spanned<String>>,
    /// Where it is reached.
    pub endpoint: Option<Endpoint>,
    /// Which engine knows its members' states; empty for none.
    pub engine: Spanned<String>,
    /// TCP port of its peers: while it runs it has a connection to one of them, or stands still.
    pub connected: Option<u16>,
    /// TCP ports it listens on besides its endpoint's.
    pub ports: Vec<u16>,
    /// What the engine is told (templates): sockets, ports, users.
    pub engine_options: Pairs,
    /// Condition, an expression; empty for always.
    pub when: String,
}

/// What is added to the unit of an instance that systemd runs by the choice of
/// the architecture, so that it does.
pub const BY_SYSTEMD: &str = "common/by-systemd.conf.j2";

impl Component {
    /// Who runs it in an architecture.
    ///
    /// In `core` Pacemaker keeps what must be coordinated, which its kind tells:
    /// members that know each other, what may run only once, and what an address
    /// stands on. Instances of which each is for itself are systemd's there.
    pub fn run_in(&self, architecture: Architecture) -> UnitRun {
        let alone = self.kind == Kind::Stateless && !self.unit.is_empty() && self.resource.agent.is_empty();
        match self.run {
            Some(run) => run,
            None if alone && architecture == Architecture::Core => UnitRun::Systemd,
            None => UnitRun::Cluster,
        }
    }

    /// How its host tells that it stands still. One that is for itself, and that nobody asks
    /// for an answer where it listens, must be looked at whether it takes a connection.
    pub fn watched(&self) -> Watched {
        if let Some(port) = self.connected {
            return Watched::Connected(port);
        }
        let alone = matches!(self.kind, Kind::Stateless | Kind::PerHost) && !self.unit.is_empty();
        let unasked = self.endpoint.iter().filter(|e| !e.answers());
        let ports = unasked.map(|e| e.port.value).chain(self.ports.iter().copied());
        let ports: Vec<u16> = ports.filter(|_| alone).collect();
        if ports.is_empty() {
            Watched::Not
        } else {
            Watched::Listens(ports)
        }
    }

    /// Whether the architecture says who runs it, and says systemd.
    pub fn by_architecture(&self, architecture: Architecture) -> bool {
        self.run.is_none() && self.run_in(architecture) == UnitRun::Systemd
    }
}

/// A file on hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as the catalogue has them")]
pub struct FileSpec {
    /// File in the service's folder; empty for a directory, a hash ring and the program.
    pub from: Spanned<String>,
    /// The service's hash ring that it holds.
    pub ring: Option<Spanned<String>>,
    /// A link to quorate's own program, for what of it stays and runs on the host.
    pub program: bool,
    /// Path on the host (template).
    pub to: Spanned<String>,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// Mode.
    pub mode: u32,
    /// Roles of the hosts that get it: those that have any of them.
    pub on: Vec<Spanned<String>>,
    /// Components restarted when it changes.
    pub restart: Vec<Spanned<String>>,
    /// Components whose unit reads it again when it changes, without a restart.
    pub reload: Vec<Spanned<String>>,
    /// Written only where nothing is there: state that grows on the host.
    pub once: bool,
    /// Only the keys that it is given are ours; the rest is the operator's. For files that are data.
    pub shared: bool,
    /// A table of hosts in which the names that it is given are ours; other lines are the operator's.
    pub names: bool,
    /// Text (template) that the file has when it is this cloud's; empty: not judged.
    pub identity: String,
    /// Repeated for each name in this list expression, as `item`; empty for once.
    pub each: String,
    /// Condition; empty for always.
    pub when: String,
}

impl FileSpec {
    /// Whether a directory is made.
    pub fn is_directory(&self) -> bool {
        self.from.value.is_empty() && self.ring.is_none() && !self.program
    }
}

/// Hosts with devices that keep the parts of a hash ring, and how: all are templates,
/// so that settings can say them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashRing {
    /// Role of the hosts that have the devices.
    pub on: Spanned<String>,
    /// TCP port on them of the server that keeps the parts.
    pub port: u16,
    /// The number of parts, as a power of two.
    pub part_power: String,
    /// Replicas of each part.
    pub replicas: String,
    /// Hours between two changes that move parts.
    pub min_part_hours: String,
    /// `DEVICE` or `HOST/DEVICE`, then `region=`, `zone=`, `weight=`; several behind commas.
    pub devices: String,
}

/// What a service cannot be run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// An expression: it holds in such a cloud.
    pub when: String,
    /// What would go wrong (template).
    pub why: String,
    /// The setting of the service that is to be blamed, or [`Refused::KEYS_EVERY`].
    pub at: Spanned<String>,
    /// What cures it (template).
    pub help: String,
    /// True if it is only told.
    pub warning: bool,
}

impl Refused {
    /// A period of the cloud file that services depend on.
    pub const KEYS_EVERY: &str = "upkeep.keys-every";
}

/// How often work recurs. The words are systemd's own (systemd.time(7), "Calendar events").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// At each full hour.
    Hourly,
    /// After midnight.
    Daily,
    /// After midnight of Mondays.
    Weekly,
    /// After midnight of each first.
    Monthly,
}

impl Interval {
    /// All, by their words.
    pub const WORDS: &[(&str, Self)] = &[
        ("hourly", Self::Hourly),
        ("daily", Self::Daily),
        ("weekly", Self::Weekly),
        ("monthly", Self::Monthly),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// Over how many seconds the work of all services is spread, so that it does not
    /// begin at one moment.
    pub fn spread(self) -> u32 {
        match self {
            Self::Hourly => 600,
            Self::Daily | Self::Weekly | Self::Monthly => 3600,
        }
    }
}

/// A command that is run again and again, on one host at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periodic {
    /// Name, unique among the service's components.
    pub name: Spanned<String>,
    /// Program and arguments (templates, without secrets). It may be ended and run again.
    pub run: Vec<String>,
    /// User.
    pub user: String,
    /// How often.
    pub every: Interval,
    /// Seconds after which it is ended.
    pub timeout: u64,
    /// Roles of the hosts that may do it.
    pub on: Vec<Spanned<String>>,
    /// Condition; empty for always.
    pub when: String,
}

impl Periodic {
    /// The name of its unit of a kind (`service`, `timer`).
    pub fn unit(&self, service: &str, kind: &str) -> String {
        format!("quorate-{service}-{}.{kind}", self.name.value)
    }
}

/// A database a service keeps in the SQL store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its name and that of its only user.
    pub name: Spanned<String>,
    /// Further databases of the same user.
    pub others: Vec<String>,
}

impl Database {
    /// All its databases; the first is their user's name too.
    pub fn names(&self) -> Vec<String> {
        let first = std::iter::once(&self.name.value);
        first.chain(&self.others).cloned().collect()
    }
}

/// A user a service has on the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// User name.
    pub user: String,
}

/// How the SQL store is reached on its own host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlAccess {
    /// Unix socket.
    pub socket: String,
    /// User by peer authentication.
    pub user: String,
}

/// Packages of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packages {
    /// On every host that has any part of it.
    pub everywhere: Vec<String>,
    /// On hosts of a role besides.
    pub by_role: IndexMap<String, Vec<String>>,
}

impl Packages {
    /// Whether no host has any.
    pub fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.by_role.values().all(Vec::is_empty)
    }
}

/// Packages of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `2025.1`.
    pub name: String,
    /// Distribution (`debian-13`) → service → packages. A distribution that is not
    /// here does not have this release, nor a service that is not.
    pub packages: IndexMap<String, IndexMap<String, Packages>>,
    /// What the release itself says of services: service → key → value.
    pub values: IndexMap<String, Pairs>,
}

/// What differs between distributions: paths, units, names of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The distributions for which it holds.
    pub distributions: Vec<String>,
    /// Service → key → value; files read it as `platform.KEY`.
    pub values: IndexMap<String, Pairs>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name, that of its folder.
    pub name: Spanned<String>,
    /// Folder below the catalogue's root, such as `infra/chrony`.
    pub folder: String,
    /// Its file, for findings.
    pub source: Arc<Source>,
    /// One line for people.
    pub summary: String,
    /// Part of every cloud; the cloud file need not name it.
    pub foundation: bool,
    /// Part of every cloud with a service that needs it; the cloud file need not name it.
    pub implied: bool,
    /// Releases that have it; empty for all.
    pub releases: Vec<String>,
    /// Services it cannot do without.
    pub needs: Vec<Spanned<String>>,
    /// Settings with kinds and defaults; the cloud file's `settings:` overrides.
    pub settings: IndexMap<String, Setting>,
    /// Settings by timing profile, over the defaults.
    pub profiles: IndexMap<String, IndexMap<String, String>>,
    /// Secrets by name, `SERVICE/NAME` in the vault.
    pub secrets: IndexMap<String, SecretSpec>,
    /// Keys that are replaced in turn, by the ring's name: each takes the value of the
    /// one after it, and the last, which is known everywhere and not yet used, is made anew.
    pub rings: IndexMap<String, Vec<Spanned<String>>>,
    /// Hash rings, by name.
    pub hash_rings: IndexMap<String, HashRing>,
    /// What it cannot be run with.
    pub refuse: Vec<Refused>,
    /// Its database.
    pub database: Option<Database>,
    /// Its broker user.
    pub broker: Option<Broker>,
    /// Set by the service that is the SQL store.
    pub sql: Option<SqlAccess>,
    /// Parts.
    pub components: IndexMap<String, Component>,
    /// Files.
    pub files: Vec<FileSpec>,
    /// Sysctls (templates).
    pub sysctls: Pairs,
    /// Units masked: the distribution's that must never start.
    pub mask: Vec<String>,
    /// Commands once a cloud.
    pub steps: Vec<Step>,
    /// Work that recurs. Each has a component of its name besides.
    pub periodic: IndexMap<String, Periodic>,
    /// Removal of its records of hosts that leave the cloud.
    pub forget: Vec<Forget>,
    /// Commands run on hosts that are left where most of a role's are given up; each is first
    /// asked with the word `done` behind it whether there is anything to do.
    pub left_alone: Vec<Step>,
    /// Commands that tell what is wrong with their host's part, a line each: the words, a tab
    /// and the next command.
    pub faults: Vec<Step>,
    /// Names others use, as `provided.NAME` (templates).
    pub provides: Pairs,
    /// Cluster properties, where the service is the cluster manager (templates).
    pub properties: Pairs,
    /// What a support archive holds of it: programs that only look, by the name of
    /// the file that gets their output.
    pub support: IndexMap<String, Vec<String>>,
    /// Machines of users that run on its hosts.
    pub guests: Option<Guests>,
    /// What a user does with it.
    pub journeys: Journeys,
}

impl Service {
    /// As it is where `platform` holds: in what is read before any template is
    /// rendered, `{{ platform.KEY }}` becomes the value. What is not known stays.
    #[must_use]
    pub fn on(mut self, platform: &Pairs) -> Self {
        let fill = |text: &mut String| {
            for (key, value) in platform {
                *text = text.replace(&format!("{{{{ platform.{key} }}}}"), value);
            }
        };
        if let Some(sql) = &mut self.sql {
            fill(&mut sql.socket);
        }
        self.mask.iter_mut().for_each(fill);
        self.support.values_mut().flatten().for_each(fill);
        for component in self.components.values_mut() {
            fill(&mut component.unit);
            if let Some(endpoint) = &mut component.endpoint {
                fill(&mut endpoint.process_port);
            }
        }
        for periodic in self.periodic.values_mut() {
            fill(&mut periodic.user);
            periodic.run.iter_mut().for_each(fill);
        }
        for file in &mut self.files {
            fill(&mut file.to.value);
            fill(&mut file.owner);
            fill(&mut file.group);
        }
        self
    }

    /// Whether a part of it is an API that is asked by HTTP.
    pub fn has_api(&self) -> bool {
        let mut endpoints = self.components.values().filter_map(|c| c.endpoint.as_ref());
        endpoints.any(|e| e.mode == "http")
    }
}

/// A time of the budget, or another number of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// By which files read it.
    pub name: String,
    /// An expression over the settings of all services and the numbers before it.
    pub is: Spanned<String>,
    /// What it counts: `s`, `ms`, or a word.
    pub unit: String,
    /// What it is for, and where it is from.
    pub why: String,
}

/// What holds between numbers of the budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Law {
    /// A condition over the numbers.
    pub holds: Spanned<String>,
    /// What it is good for.
    pub why: String,
    /// The setting by which an operator can break it, `SERVICE.SETTING`; `None`: by none.
    pub at: Option<Spanned<String>>,
}

/// How long each layer waits for another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// In the file's order.
    pub numbers: Vec<Number>,
    /// What holds between them.
    pub laws: Vec<Law>,
}

/// A value that nobody should run a service with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsafeValue {
    /// The option's name, in lower case.
    pub key: String,
    /// Texts of which a value holds one; empty: any value.
    pub has: Vec<String>,
    /// Options of the same section, each with a text in its value, with which it is right.
    pub unless: Vec<(String, String)>,
    /// The reason.
    pub why: String,
}

impl UnsafeValue {
    /// Holds for this option and value; `beside` is the value of another option of the section.
    pub fn is(&self, key: &str, value: &str, beside: impl Fn(&str) -> Option<String>) -> bool {
        let named = self.key == key.to_ascii_lowercase() && !value.is_empty();
        let held = self.has.is_empty() || self.has.iter().any(|text| value.contains(text));
        let right = self
            .unless
            .iter()
            .any(|(key, text)| beside(key).is_some_and(|value| value.contains(text)));
        named && held && !right
    }
}

/// A file of a package by its SHA-256, and what it is when it is cured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cured {
    /// As the package has it.
    pub before: String,
    /// Afterwards.
    pub after: String,
}

/// What is known to be wrong in a package, and the change of one of its files that
/// mends it. Done only where the operator asks for it, and undone where he no longer does.
#[derive(Clone, Debug)]
pub struct Cure {
    /// Its name.
    pub name: String,
    /// Where it was read.
    pub source: Arc<Source>,
    /// What is wrong, in a clause.
    pub summary: String,
    /// How that is known, and what the change costs.
    pub evidence: String,
    /// Releases of OpenStack that have it; empty: all.
    pub releases: Vec<String>,
    /// Distributions whose package has it; empty: all.
    pub distributions: Vec<String>,
    /// The package.
    pub package: String,
    /// The file, absolute.
    pub file: String,
    /// A text that is in the file just once.
    pub from: String,
    /// What it is replaced by; then that is in the file just once.
    pub to: String,
    /// The file in each version of the package that is known.
    pub versions: IndexMap<String, Cured>,
    /// Components that read the file, by service: they are restarted.
    pub restart: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
}
