//! Servers of a balancer and the commands that change their state, for the agent, which brings
//! them to a state, and the planner, which puts back what somebody changed by hand. Not for
//! what the balancer's file says. The commands are of HAProxy's management guide, 9.3.

use serde::{Deserialize, Serialize};

/// State of a server by an administrator's word: does the balancer send it anybody?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerState {
    /// It takes part.
    Ready,
    /// Nobody new; those under way end by themselves.
    Drain,
    /// Nobody at all: sessions are shut where the configuration says so.
    Maint,
}

/// Servers of a balancer on the host, brought to a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Its socket for administrators.
    pub socket: String,
    /// `SECTION/SERVER`.
    pub servers: Vec<String>,
    /// The state.
    pub state: ServerState,
    /// Waits so long at most: for nobody to be on a server that was taken out, whose
    /// sessions are broken then; for one that was let in to be up, or it failed.
    pub wait_ms: u64,
}

impl ServerState {
    /// The command that sets the state of a server, given as `SECTION/SERVER`.
    #[must_use]
    pub fn command(self, server: &str) -> String {
        let word = match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        };
        format!("set server {server} state {word}")
    }
}

/// The commands that let a checked server in, given as `SECTION/SERVER`. The balancer still
/// believes in what it saw before the server was taken out: `state ready` alone sends requests
/// to a process that only begins, or that nobody asked meanwhile. Down until its checks are good
/// again; from `MAINT` by way of `DRAIN`, since whoever leaves `MAINT` is up at once.
#[must_use]
pub fn let_in(server: &str) -> [String; 3] {
    [
        ServerState::Drain.command(server),
        format!("set server {server} health down"),
        ServerState::Ready.command(server),
    ]
}
