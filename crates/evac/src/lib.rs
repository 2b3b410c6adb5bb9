//! The pure heart of instance HA: given one observation of the cloud, what is done next
//! about VM hosts that died.
//!
//! Not for doing it: there is no I/O here, no clock and no memory. Everything durable lies
//! in a store with quorum, and each observation holds what was read from it in the same
//! round; so an engine that is killed at any moment is continued by another controller.
//!
//! The hands promise: a row is written only under the epoch that they hold; an evacuation
//! is sent only after the insert of its row was new, and within a bounded time of it;
//! power is cut only after the intent was read once more; and a reading of the power has
//! `after_off` only while no power on came in between.

mod audit;
mod back;
mod brake;
mod decision;
mod evacuate;
mod fence;
mod guard;
mod ids;
mod journal;
mod nova;
mod policy;
mod repair;
mod round;
mod rows;
mod seen;
#[cfg(test)]
mod sim;
mod suspect;
mod target;
#[cfg(test)]
mod tests;
mod vm;

pub use audit::{Audited, audit};
pub use decision::{Act, Brake, BrakeVerdict, Decision, HostIs, HostVerdict, VmStep, VmVerdict};
pub use guard::Guard;
pub use ids::{BootId, HostId, Name, VmId};
pub use journal::{Line, explain};
pub use nova::{
    Apart, Compute, ControlSeen, GuestPower, Migration, MigrationKind, Progress, Room, Server, Stage,
    VmState, WhyNot,
};
pub use policy::{Loss, Policy, Response};
pub use round::{OURS, decide};
pub use rows::{Answer, Confirmed, Intent, IntentRow, Leader, Phase, Proof, Sent, SentRow, Store};
pub use seen::{Echo, EngineSeen, Followed, HostSeen, ObserverSeen, PathSeen, Power, Says, Seen, Watchdog};
pub use wire::Fact;
