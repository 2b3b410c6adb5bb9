//! The only one who speaks SSH: sessions with the agents on the hosts, the
//! binary pushed to them, the executor of plans and its journal.
//!
//! It makes no choices: a plan says what is to be done where, in which order;
//! of a step's candidate hosts the first that is reachable does it. Secrets
//! are filled in here, on the way to the host, and nowhere before.

mod binary;
mod event;
mod journal;
pub mod pieces;
mod run;
mod session;

pub use binary::Binary;
pub use event::{Event, Outcome};
pub use journal::Journal;
pub use run::{Fill, RunOptions, Stop, Summary, execute};
pub use session::{CallError, ConnectError, Session, Target};

use std::sync::Arc;

use indexmap::IndexMap;
use names::HostName;
use tokio::task::JoinSet;

/// The sessions of one run, by host name; a host that could not be reached has its reason.
pub type Sessions = IndexMap<HostName, Result<Arc<Session>, ConnectError>>;

/// Opens a session to each target at the same time.
pub async fn connect(targets: Vec<Target>, binary: Arc<Binary>) -> Sessions {
    let mut tasks = JoinSet::new();
    let order: Vec<HostName> = targets.iter().map(|t| t.name.clone()).collect();
    for target in targets {
        let binary = Arc::clone(&binary);
        tasks.spawn(async move {
            let name = target.name.clone();
            (name, Session::open(target, &binary).await.map(Arc::new))
        });
    }
    let mut found: IndexMap<HostName, _> = IndexMap::new();
    while let Some(joined) = tasks.join_next().await {
        if let Ok((name, session)) = joined {
            found.insert(name, session);
        }
    }
    // In the operator's order, whatever answered first.
    order
        .into_iter()
        .filter_map(|name| found.swap_remove(&name).map(|s| (name, s)))
        .collect()
}
