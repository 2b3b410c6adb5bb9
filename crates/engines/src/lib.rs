//! Stores and brokers: how each is born, found and brought back.
//!
//! An engine is a pure function from what was observed to the next stage, or
//! to a refusal. **Birth is recovery with everything absent**: there is one
//! function, so it cannot rot. Nothing here speaks to a host; what is wanted of
//! hosts is said in `wire`'s words. Names of stores and brokers appear in this
//! crate and in the catalogue, nowhere else.

mod database;
mod definitions;
mod fault;
mod galera;
mod rabbitmq;

pub use database::{DatabaseMade, DatabasePart, database};
pub use definitions::Definitions;
pub use fault::{StoreFault, faults, queues_bear, weights};

use indexmap::IndexMap;
use names::{HostName, ResourceId};
use serde::Serialize;
use wire::{Answer, Fact, Facts, Listing, NamedQuery, Op, Query, Wait};

/// The engines that the catalogue may name.
pub const ENGINES: [&str; 2] = ["galera", "rabbitmq"];

/// A store or broker of this cloud, and what the catalogue tells its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Store {
    /// One of [`ENGINES`].
    pub engine: String,
    /// Resource id.
    pub resource: ResourceId,
    /// Members.
    pub members: Vec<HostName>,
    /// Options, resolved; the same on all members.
    pub options: IndexMap<String, String>,
    /// Members that the operator gives up: what only they hold is lost.
    #[serde(skip)]
    pub lost: Vec<HostName>,
    /// Members that are away and come back as what they were.
    #[serde(skip)]
    pub away: Vec<HostName>,
    /// Definitions that it should hold, as the file says that the option `definitions` names. Empty
    /// without one.
    pub definitions: Definitions,
}

impl Store {
    fn option(&self, name: &str) -> &str {
        self.options.get(name).map_or("", String::as_str)
    }

    /// The name of one of this store's answers.
    fn answer(&self, what: &str) -> String {
        format!("{}/{what}", self.resource)
    }
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Bring to life what is absent; wait for what is starting.
    Converge,
    /// Also bring back what is stuck.
    Recover,
}

/// A member at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Host.
    pub host: HostName,
    /// The engine's own word: `Synced`, `running`, `down`, `unknown`.
    pub state: String,
    /// Whether it serves.
    pub healthy: bool,
    /// More for people.
    pub detail: String,
}

/// One operation of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageStep {
    /// Short name, unique in the stage.
    pub name: String,
    /// Host that does it.
    pub host: HostName,
    /// For people.
    pub title: String,
    /// What to do.
    pub ops: Vec<Op>,
    /// Names of steps of this stage that go first.
    pub after: Vec<String>,
}

/// The next stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The choice and why, for people.
    pub explain: Vec<String>,
    /// Before the cluster manager may start it.
    pub before: Vec<StageStep>,
    /// `before` goes even before the cluster manager knows of the store, which it
    /// then finds running and adopts.
    pub before_cluster: bool,
    /// Waits that tell when it is up; on the first reachable member.
    pub ready: Vec<Wait>,
    /// Once it is up, on the first reachable member.
    pub after: Vec<StageStep>,
    /// When all else is done that waits for it, on the member that is named.
    pub last: Vec<StageStep>,
    /// The stage ends here: observe again and ask again.
    pub barrier: bool,
    /// An answer is missing, since nobody could be asked yet: observe again when all else is
    /// done.
    pub again: bool,
    /// Members that are gone for good and count until they are forgotten: those that are left may
    /// be no majority with one less.
    pub gone: Vec<String>,
}

impl Stage {
    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.is_ready() && self.last.is_empty()
    }

    /// True if the store serves as it should; what is left is for the end of all.
    pub fn is_ready(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && self.ready.is_empty()
    }
}

/// Why an engine will not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What cures it.
    pub cure: String,
}

impl Refusal {
    /// True where the reason may be gone within seconds: a server that is just being started or
    /// stopped answers nobody, and an election tells of nothing.
    pub fn passes(&self) -> bool {
        [
            "store::member-unknown",
            "store::non-primary",
            "members::quorum-unknown",
        ]
        .contains(&self.code)
    }
}

/// What each member answered; `None` for one that could not be reached.
pub type Seen<'a> = IndexMap<HostName, Option<&'a Facts>>;

/// Of what was observed of each host, its facts or why there are none.
pub fn seen(observed: &IndexMap<HostName, Result<Facts, String>>) -> Seen<'_> {
    let hosts = observed.iter();
    hosts.map(|(h, f)| (h.clone(), f.as_ref().ok())).collect()
}

/// Whether the cluster manager runs somewhere and has the store in its configuration.
fn managed(store: &Store, seen: &Seen<'_>) -> bool {
    let clusters = seen.values().flatten().filter_map(|facts| facts.cluster.known());
    let mut resources = clusters.flat_map(|cluster| &cluster.resources);
    resources.any(|resource| resource.id == store.resource)
}

/// The entries of a folder, as a member told them under this name.
fn listing<'a>(facts: &'a Facts, name: &str) -> Fact<&'a Listing> {
    match facts.answers.get(name) {
        Some(Fact::Known(Answer::Listing(listing))) => Fact::Known(listing),
        Some(Fact::Absent) => Fact::Absent,
        Some(Fact::Unknown(why)) => Fact::Unknown(why.clone()),
        Some(Fact::Known(_)) | None => Fact::Unknown("its folder was not listed".to_owned()),
    }
}

/// What to ask on each member. `deep`: also what costs seconds and is only
/// asked of a store that is down.
pub fn queries(store: &Store, deep: bool) -> Vec<NamedQuery> {
    match store.engine.as_str() {
        "galera" => galera::queries(store, deep),
        "rabbitmq" => rabbitmq::queries(store),
        _ => Vec::new(),
    }
}

/// The members as they are.
pub fn members(store: &Store, seen: &Seen<'_>) -> Vec<Member> {
    match store.engine.as_str() {
        "galera" => galera::members(store, seen),
        "rabbitmq" => rabbitmq::members(store, seen),
        _ => Vec::new(),
    }
}

/// The next stage. `former`: hosts that were members of the store by the account of
/// others and are none any more; they may hold what no member has.
///
/// # Errors
/// A [`Refusal`] where going on could lose data or take over what is not ours.
pub fn stage(store: &Store, former: &[HostName], seen: &Seen<'_>, intent: Intent) -> Result<Stage, Refusal> {
    match store.engine.as_str() {
        "galera" => galera::stage(store, former, seen, intent),
        "rabbitmq" => rabbitmq::stage(store, seen, intent),
        _ => Ok(Stage::default()),
    }
}

/// Up on every member, for the gate between two hosts of a rolling change.
pub fn whole(store: &Store) -> Vec<Wait> {
    match store.engine.as_str() {
        "galera" => galera::ready(store),
        "rabbitmq" => rabbitmq::ready(store),
        _ => Vec::new(),
    }
}

/// Waits for one member to serve, asked on its host; some other may be away. What is being
/// given a copy by others, or gives one, does not. `without`: the member that is about to stop.
pub fn serves(store: &Store, without: &str) -> Vec<Wait> {
    match store.engine.as_str() {
        "galera" => galera::serves(store),
        "rabbitmq" => rabbitmq::serves(store, without),
        _ => Vec::new(),
    }
}

/// What to ask of a member of the SQL store about copies of its databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// One row with one number: how many clients are connected. The writer has
    /// the services'; a copy is taken where there are fewest.
    pub clients: Query,
    /// The member's position, once it has everything acknowledged before; read by [`position`].
    pub position: Query,
    /// A row with the id of each backup whose load was begun and not finished.
    pub unfinished: Query,
}

/// How a copy is loaded into the SQL store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copying {
    /// A row with the name of each of the databases that holds a table.
    pub held: Query,
    /// A row where this load was begun and not finished.
    pub begun: Query,
    /// A row where it is done.
    pub done: Query,
    /// A row with user, host and database of each client of these databases, as the member
    /// sees them; of those of root not, which load them.
    pub clients: Query,
    /// The same with those of root: a load that another member was told to do.
    pub loaders: Query,
    /// What to do on a member; nothing where it is done, and again from any point.
    pub ops: Vec<Op>,
    /// What to do when all is done: the next time is another one.
    pub forget: Op,
}

/// What to ask about copies; `None` for what is no SQL store.
pub fn copies(store: &Store) -> Option<Copies> {
    (store.engine == "galera").then(|| galera::copies(store))
}

/// Reads the answer to [`Copies::position`]: the history's id and the place in it.
pub fn position(answer: &wire::Answer) -> Option<(String, u64)> {
    galera::position(answer)
}

/// Writes databases at one moment, compressed with gzip, to `file` on a member.
/// `None` for what is no SQL store.
pub fn dump(store: &Store, databases: &[String], file: &str) -> Option<wire::Command> {
    (store.engine == "galera").then(|| galera::dump(store, databases, file))
}

/// Loads what [`dump`] wrote. `backup` is the copy's id, 64 characters; `over`:
/// also where the databases hold something. `None` for what is no SQL store.
pub fn load(store: &Store, databases: &[String], file: &str, backup: &str, over: bool) -> Option<Copying> {
    (store.engine == "galera").then(|| galera::load(store, databases, file, backup, over))
}

/// A small thing that a store or broker should hold, which can be mended by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// For people: `user reader`.
    pub what: String,
    /// How it should be, in the same words as what is seen.
    pub want: String,
    /// What brings it there.
    pub mend: Vec<Op>,
}

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// What should be.
    pub held: Held,
    /// How it is; `None` where it is not there.
    pub have: Option<String>,
    /// The member that is otherwise and is mended itself, when all else is done; `None`:
    /// any of them does.
    pub member: Option<HostName>,
}

/// What a store that runs should hold and does not: users, permissions, policies, the
/// weight of its members.
/// What cannot be seen differs in nothing.
pub fn differs(store: &Store, seen: &Seen<'_>) -> Vec<Differs> {
    match store.engine.as_str() {
        "galera" => galera::differs(store, seen),
        "rabbitmq" => rabbitmq::differs(store, seen),
        _ => Vec::new(),
    }
}

/// A cluster that has a resource.
#[cfg(test)]
fn running(id: &str) -> pacemaker::Monitor {
    let xml = format!("<pacemaker-result><resources><resource id=\"{id}\"/></resources></pacemaker-result>");
    pacemaker::Monitor::parse(&xml).unwrap()
}

/// The name of a host.
#[cfg(test)]
fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

/// A host that nothing was asked of.
#[cfg(test)]
fn silent() -> Facts {
    use std::collections::BTreeMap;
    use wire::Fact;
    Facts {
        hostname: String::new(),
        boot_id: String::new(),
        os: Fact::Absent,
        clock: 0,
        memory_kib: 0,
        disk_free: BTreeMap::new(),
        disk_size: BTreeMap::new(),
        addresses: Vec::new(),
        listeners: Vec::new(),
        files: BTreeMap::new(),
        units: BTreeMap::new(),
        packages: BTreeMap::new(),
        sysctls: BTreeMap::new(),
        answers: BTreeMap::new(),
        cluster: Fact::Absent,
        cib: Fact::Absent,
    }
}
