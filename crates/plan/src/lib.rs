//! From desired and observed to steps: what changes, why, and in which order.
//!
//! `plan(desired, observed, intent)` is pure and makes all choices; what
//! executes a plan makes none but the first reachable of a step's candidates.
//! A plan of what was just applied is empty.

mod agents;
mod away;
mod balancer;
mod build;
mod cluster;
mod corosync;
mod cures;
mod depart;
mod diff;
mod drift;
mod guests;
mod handover;
mod home;
mod hosts;
mod instances;
mod leave;
mod lint;
mod look;
mod lost;
mod maintain;
mod memo;
mod orders;
mod outage;
mod part;
mod quorum;
mod records;
mod refuse;
mod restore;
mod rings;
mod roll;
mod shared;
mod show;
mod site;
mod step_id;
mod taken_in;
mod votes;

use indexmap::IndexMap;
use names::{HostName, ResourceId};
use serde::{Deserialize, Serialize};
use wire::{Facts, Op};

pub use build::plan;
pub use depart::{gone, is_of_the_cloud};
pub use engines::{Intent, Refusal};
pub use lint::{Flaw, Law, lint};
pub use look::{Looks, observe};
pub use losses::{Fault, Loss, Of, Until, losses, losses_page};
pub use maintain::{Upkeep, drained, take_away, take_back};
pub use outage::{Measures, Outage, learn, outage};
pub use part::{only, part, relied};
pub use quorum::{quorate, quorum};
pub use restore::held;
pub use shared::is_as_wanted;
pub use show::show;
pub use site::{Machines, SiteOff, switch_off};
pub use step_id::StepId;

/// What a step does to what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Effect {
    /// An instance is restarted.
    Restart {
        /// Its resource.
        resource: ResourceId,
        /// On which host.
        host: HostName,
    },
    /// An instance reads its files again, and goes on serving.
    Reload {
        /// Its unit.
        unit: String,
        /// On which host.
        host: HostName,
    },
    /// A resource's parameters change: the cluster restarts it wherever it runs.
    Reconfigure {
        /// Its id.
        resource: ResourceId,
    },
    /// A virtual address is replaced by another: who knows the old one only is out.
    Readdress {
        /// Its resource.
        resource: ResourceId,
        /// Services behind it.
        services: Vec<String>,
        /// The old address.
        from: String,
        /// The new one.
        to: String,
    },
    /// A member joins, and is given a copy of what the stores hold: writes wait for it.
    Joins {
        /// The host.
        host: HostName,
    },
    /// A store that serves nowhere is brought back: until then nothing that stands on it
    /// answers.
    Recovers {
        /// Its resource.
        store: ResourceId,
    },
    /// Everything that the cluster runs on a host starts there.
    Starts {
        /// The host.
        host: HostName,
    },
    /// A host runs nothing of the cluster's any more: its addresses go elsewhere.
    Standby {
        /// The host.
        host: HostName,
        /// Services whose address it has.
        services: Vec<String>,
    },
    /// A virtual address goes to another host: connections over it break, and
    /// new ones are taken there a moment later.
    Move {
        /// Its resource.
        resource: ResourceId,
        /// Services behind it.
        services: Vec<String>,
        /// Its holder now, as the cluster names it.
        from: String,
        /// Its next holder.
        to: HostName,
    },
}

/// A file's change, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is changed: a path, a unit, a section.
    pub what: String,
    /// `+` new, `~` changed, `-` removed.
    pub glyph: char,
    /// A unified diff, or `‹secret› changed`; empty where the glyph says it all.
    pub diff: String,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// Candidates in order; the first reachable does it.
    pub hosts: Vec<HostName>,
    /// For people.
    pub title: String,
    /// Why it is needed.
    pub why: String,
    /// What changes.
    pub changes: Vec<Change>,
    /// What it does to running instances.
    pub effects: Vec<Effect>,
    /// Steps that go first.
    pub after: Vec<StepId>,
    /// What to do, in order.
    #[serde(skip)]
    pub ops: Vec<Op>,
}

/// An immutable plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The verb.
    pub intent: String,
    /// Steps; those before others stand before them.
    pub steps: Vec<Step>,
    /// Choices that were made, for people.
    pub explain: Vec<String>,
    /// The plan ends at a barrier: observe and plan again.
    pub barrier: bool,
    /// Members of the cluster come, leave or are replaced: a backup is taken first.
    #[serde(default)]
    pub members: bool,
    /// What it will cost, see [`outage`]; empty until it was asked for.
    pub outages: Vec<Outage>,
}

impl Plan {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it moves a virtual address.
    pub fn moves(&self) -> bool {
        let mut effects = self.steps.iter().flat_map(|s| &s.effects);
        effects.any(|e| matches!(e, Effect::Move { .. }))
    }
}

/// What was seen of each host: its facts, or why there are none.
pub type Observed = IndexMap<HostName, Result<Facts, String>>;

/// Digest of a text after its secrets are filled in; the planner itself never sees one.
pub type Digest<'a> = &'a dyn Fn(&[u8]) -> String;
