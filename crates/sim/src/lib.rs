//! A world that performs plans: the operations of `wire` done on hosts that are values.
//! Pacemaker, the databases' members, brokers, balancers and systemd are small state
//! machines; a fault may come between any two operations, and the laws are looked at after
//! each. It is for tests of the planner: law 2 is so tested by performing.
//!
//! It is no model of time. An operation is done at once or fails at once, and what
//! a wait waits for either holds or never will. What it does not know it refuses, so that
//! nothing is believed to be done which was only passed over.
//!
//! Links between hosts may be cut: each side then has its own members and quorum, and the one
//! with quorum fences the other.
//!
//! Mends of the planner are taken out by `xtask/tests/mutants.rs`, which expects these tests
//! to find that one is gone.
//!
//! Pure: no I/O, no clock, no randomness.

mod ask;
mod away;
mod balancer;
mod cluster;
mod cmap;
mod facts;
mod faults;
mod guests;
mod laws;
mod machine;
mod ovn;
mod partition;
mod perform;
mod restore;
mod run;
mod scheduler;
mod stores;
mod story;
mod text;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use names::{HostName, ResourceId};
use render::Desired;
use wire::Observe;

pub use cluster::Cluster;
pub use faults::Fault;
pub use guests::Guests;
pub use machine::{File, Machine, Sense, Unit};
pub use run::{DISTRIBUTION, Ended, Stop};
pub use story::{Comes, Event, Happens, Spoils, story};
pub use text::{KEY, MARK, digest, filled, known_by};

use balancer::Balancer;
use ovn::Members;
use partition::Partition;
use restore::Restored;
use stores::{Broker, Databases};

/// Why an operation failed.
pub type Failure = String;

/// Hosts and what runs on them, and what is wanted of them.
#[derive(Clone, Debug)]
pub struct World {
    /// The desired state.
    pub desired: Arc<Desired>,
    /// Questions to each host, as the planner asks them for this desired state.
    asks: Arc<BTreeMap<HostName, Observe>>,
    /// Hosts by name: those that are wanted, and those that were.
    pub machines: IndexMap<HostName, Machine>,
    /// Pacemaker and Corosync.
    pub cluster: Cluster,
    /// Links that are cut, and who was fenced.
    partition: Partition,
    /// Balancers by host, those that run.
    balancers: BTreeMap<String, Balancer>,
    databases: Databases,
    broker: Broker,
    /// Guards of scripts and parts of databases that hold.
    made: BTreeSet<String>,
    /// Seconds since the epoch, by all hosts' clocks. It goes on with each operation.
    pub clock: i64,
    /// Operations done so far.
    pub done: usize,
    /// Operations done, a line each, if anybody wants to read them.
    pub told: Option<Vec<String>>,
    /// Laws that were broken, a sentence each.
    pub broken: Vec<String>,
    /// Resources that wait for scripts of their service, whoever runs them.
    gated: BTreeSet<ResourceId>,
    /// Units by the resource that they run.
    units: BTreeMap<ResourceId, String>,
    members: Members,
    restored: Restored,
    /// Hosts on which an instance of a resource is down that ran before, since when, and
    /// whether an operation of a plan did it.
    down: BTreeMap<ResourceId, BTreeMap<HostName, (usize, bool)>>,
    /// Operations, plans and things that happened, so far.
    tick: usize,
    /// When the last plan was made, and hosts that were away then.
    planned: usize,
    absent: Vec<HostName>,
    /// When the plan last looked: it was made, or a wait before a step's first change held.
    looked: usize,
    /// Nothing was done since but further waits.
    looking: bool,
    /// When something last happened by itself.
    disturbed: usize,
    /// The step under way has changed something.
    touched: bool,
    /// Hosts on which a resource ever ran.
    seen: BTreeMap<ResourceId, BTreeSet<HostName>>,
    /// Balancers that have somebody to send to, by host and resource.
    served: BTreeSet<(String, ResourceId)>,
    /// How far the databases were.
    written: i64,
    /// Events to come, last first.
    events: Vec<Event>,
    /// VM hosts of which a test says what they have.
    pub guests: BTreeMap<HostName, Guests>,
    /// Plans that were made.
    pub plans: Cell<usize>,
    /// Plans that were refused.
    pub refused: Cell<usize>,
}

impl World {
    /// Hosts on which nobody was before.
    pub fn bare(desired: &Desired) -> Self {
        let mut world = Self {
            machines: IndexMap::new(),
            asks: Arc::default(),
            desired: Arc::default(),
            cluster: Cluster::default(),
            partition: Partition::default(),
            balancers: BTreeMap::new(),
            databases: Databases::default(),
            broker: Broker::default(),
            made: BTreeSet::new(),
            clock: 1_700_000_000,
            done: 0,
            told: None,
            broken: Vec::new(),
            gated: BTreeSet::new(),
            units: BTreeMap::new(),
            members: Members::default(),
            restored: Restored::default(),
            down: BTreeMap::new(),
            tick: 0,
            planned: 0,
            absent: Vec::new(),
            looked: 0,
            looking: false,
            disturbed: 0,
            touched: false,
            seen: BTreeMap::new(),
            served: BTreeSet::new(),
            written: 0,
            events: Vec::new(),
            guests: BTreeMap::new(),
            plans: Cell::new(0),
            refused: Cell::new(0),
        };
        world.want(desired);
        world
    }

    /// Another cloud file from now on. Hosts that are new are bare.
    pub fn want(&mut self, desired: &Desired) {
        self.gated = desired.gated.iter().cloned().collect();
        for (host, wanted) in &desired.hosts {
            let gated = wanted.units.iter().filter(|u| u.gated);
            self.gated.extend(gated.map(|u| u.resource.clone()));
            self.machines.entry(host.clone()).or_default();
            let units = wanted.units.iter().filter(|u| !u.resource.is_empty());
            self.units
                .extend(units.map(|u| (u.resource.clone(), u.unit.clone())));
        }
        self.desired = Arc::new(desired.clone());
        let mut looks = plan::Looks::new(&self.desired, KEY, true);
        let hosts = self.machines.keys();
        self.asks = Arc::new(hosts.map(|h| (h.clone(), looks.at(h))).collect());
    }

    /// True if an instance of a resource runs on a host.
    pub fn runs(&self, host: &str, resource: &str) -> bool {
        if !self.machines.get(host).is_some_and(|m| m.up) {
            return false;
        }
        if self.is_sql(resource) {
            return self.serves_sql(host);
        }
        if self.is_broker(resource) {
            return self.broker.serves(host);
        }
        match self.units.get(resource) {
            Some(unit) => self.is_active(host, unit),
            None => self.cluster.runs(resource, host),
        }
    }

    /// True if an instance runs on a host and answers.
    pub fn serves(&self, host: &str, resource: &str) -> bool {
        self.runs(host, resource) && !self.machines[host].slow
    }

    /// True if a unit is active on a host.
    pub(crate) fn is_active(&self, host: &str, unit: &str) -> bool {
        let machine = self.machines.get(host).filter(|m| m.up);
        machine.is_some_and(|m| m.units.get(unit).is_some_and(|u| u.active))
    }

    /// True if an instance serves on a host that another one reaches.
    pub(crate) fn reaches(&self, from: &str, host: &str, resource: &str) -> bool {
        self.reach(from, host) && self.serves(host, resource)
    }

    /// True if an API answers through its virtual address: a host holds the address, and
    /// a balancer there has a server that runs.
    pub fn answers(&self, resource: &str, service: &str) -> bool {
        let vip = self.desired.vips.iter().find(|v| v.service == service);
        let holder = vip.and_then(|v| self.cluster.holder(&v.resource));
        let Some((holder, balancer)) = holder.and_then(|h| self.balancers.get_key_value(h)) else {
            return false;
        };
        let Some(on) = self.desired.balanced.iter().find(|b| b.resource == resource) else {
            return false;
        };
        let mut members = on.members.iter();
        members.any(|m| balancer.sends(resource, m) && self.reaches(holder, m, resource))
    }
}
