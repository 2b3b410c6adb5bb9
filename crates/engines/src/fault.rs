//! Faults of a store that its members' own words (`Synced`, `running`) do not tell: it
//! serves, and does not do what is asked of it, or could not lose a member.

use std::collections::BTreeMap;

use names::HostName;

use crate::{Seen, Store, galera, rabbitmq};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// A member takes nothing from any client, since it is short of something.
    Alarm {
        /// Host of the member, as the broker names it.
        host: String,
        /// `disk space` or `memory`.
        of: String,
        /// The cure.
        cure: String,
    },
    /// Queues lose their majority with this member.
    Critical {
        /// Host of the member.
        host: HostName,
        /// How many queues.
        queues: usize,
        /// One of them.
        first: String,
    },
    /// Queues without a leader: nobody can write to them or read from them.
    Leaderless {
        /// How many queues.
        queues: usize,
        /// One of them.
        first: String,
    },
}

/// Faults of a store that runs. What cannot be seen is no fault here.
pub fn faults(store: &Store, seen: &Seen<'_>) -> Vec<StoreFault> {
    match store.engine.as_str() {
        "rabbitmq" => rabbitmq::faults(store, seen),
        _ => Vec::new(),
    }
}

/// How much each member counts in a majority, by host; a member that is not named counts
/// once.
pub fn weights(store: &Store, seen: &Seen<'_>) -> BTreeMap<HostName, u32> {
    match store.engine.as_str() {
        "galera" => galera::weights(store, seen),
        _ => BTreeMap::new(),
    }
}

/// How many more members any of a broker's queues can lose, whichever they are; `None` for
/// what has no queues, or does not tell of them.
pub fn queues_bear(store: &Store, seen: &Seen<'_>) -> Option<u32> {
    match store.engine.as_str() {
        "rabbitmq" => rabbitmq::queues_bear(store, seen),
        _ => None,
    }
}
