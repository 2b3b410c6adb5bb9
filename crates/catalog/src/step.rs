//! Commands that a service has run once for the cloud, or for hosts that come and leave. Not
//! for work that recurs.

use cloud::tree::Spanned;

use crate::service::Pairs;

/// When a step is already done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoneWhen {
    /// A query of the cloud's SQL store (template).
    pub sql: String,
    /// The rows it gives then; `None` means any row.
    pub rows: Option<Vec<Vec<String>>>,
}

/// A command run once for the whole cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name, unique in the service.
    pub name: Spanned<String>,
    /// Program and arguments (templates).
    pub run: Vec<String>,
    /// User.
    pub user: String,
    /// Environment (templates, may name secrets).
    pub env: Pairs,
    /// Roles whose hosts are candidates.
    pub on: Vec<Spanned<String>>,
    /// `database`, other steps of this service, or services it needs, whose API has to answer.
    pub after: Vec<Spanned<String>>,
    /// Role of the hosts that it takes in: the rows of both queries begin with their names.
    pub each: Option<Spanned<String>>,
    /// Query of the cloud's SQL store that names those of `each` that can be taken in (template).
    pub ready_when: Option<String>,
    /// Guard.
    pub done_when: Option<DoneWhen>,
    /// Seconds.
    pub timeout: u64,
    /// A step that takes it back when the service leaves the cloud, by the same user on the same
    /// hosts; it may be said again. None where what it did goes with the service, or stays.
    pub undo: Option<Box<Step>>,
}

/// A command that removes records of hosts that left the cloud: it is given their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forget {
    /// The command, run on one host of its roles.
    pub step: Step,
    /// Things that a host must not have when it leaves.
    pub held_by: Option<HeldBy>,
}

/// Reason for a host to stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBy {
    /// Query of the cloud's SQL store: a host and how many of them it has in each row (template).
    pub sql: String,
    /// For people: `VMs`.
    pub what: String,
    /// The operator's way out; `{host}` is its name.
    pub help: String,
}
