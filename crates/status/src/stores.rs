//! Stores and brokers, where a member of them does not serve, or serves and would not do
//! without another.

use engines::{Seen, StoreFault};
use render::Desired;

use crate::{Problem, Store};

/// Faults that a store tells of itself although its members run.
pub(crate) fn faults(desired: &Desired, seen: &Seen<'_>) -> Vec<Problem> {
    let speaks = desired.needs.values().any(|n| n.messages);
    let mut out = Vec::new();
    for store in &desired.stores {
        let name = &store.resource;
        out.extend(engines::faults(store, seen).into_iter().map(|fault| match fault {
            StoreFault::Alarm { host, of, cure } => Problem::Alarm {
                store: name.clone(),
                host,
                of,
                cure,
                needed: speaks,
            },
            StoreFault::Critical { host, queues, first } => Problem::Queues {
                store: name.clone(),
                host,
                queues,
                first,
            },
            StoreFault::Leaderless { queues, first } => Problem::Leaderless {
                store: name.clone(),
                queues,
                first,
            },
        }));
        let heavy = engines::weights(store, seen).into_iter().filter(|(_, w)| *w != 1);
        out.extend(heavy.map(|(host, weight)| Problem::Weight {
            store: name.clone(),
            host,
            weight,
        }));
    }
    out
}

pub(crate) fn problems(store: &Store) -> Vec<Problem> {
    let ill = store.members.iter().filter(|m| !m.healthy);
    let ill = ill.map(|m| Problem::Member {
        store: store.name.clone(),
        host: m.host.clone(),
        state: m.state.clone(),
        detail: m.detail.clone(),
    });
    let mut out: Vec<Problem> = ill.collect();
    // An API may still give its static answers; nothing that matters works.
    if out.len() == store.members.len() {
        out.push(Problem::StoreDown {
            store: store.name.clone(),
        });
    }
    out
}
