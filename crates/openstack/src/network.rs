//! Agents of the network service: whether ports of VMs can be bound on a host. Not for
//! networks and ports themselves.

use serde::Serialize;
use serde_json::Value;
use wire::Fact;

use crate::{
    Client, Result,
    fields::{needed, switch, text},
    session::Api,
};

/// One agent on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// Host that it runs on.
    pub host: String,
    /// Kind, such as `OVN Controller agent`.
    pub kind: Fact<String>,
    /// True: it reports.
    pub alive: Fact<bool>,
    /// True: nobody took it out of use.
    pub admin_up: Fact<bool>,
}

/// Kinds of agents that connect VMs' ports on a host.
const CONNECT_PORTS: [&str; 4] = [
    "OVN Controller agent",
    "OVN Controller Gateway agent",
    "Open vSwitch agent",
    "Linux bridge agent",
];

fn parse(item: &Value) -> Result<Agent> {
    Ok(Agent {
        host: needed(item, "host")?,
        kind: text(item, "agent_type"),
        alive: switch(item, "alive"),
        admin_up: switch(item, "admin_state_up"),
    })
}

/// True: an agent that connects ports is alive on the host. A VM sent to a host without
/// one ends in error, and the scheduler does not look.
pub fn carries_ports<'a>(agents: impl IntoIterator<Item = &'a Agent>, host: &str) -> Fact<bool> {
    let connects = |a: &&Agent| {
        a.kind
            .known()
            .is_some_and(|k| CONNECT_PORTS.contains(&k.as_str()))
    };
    let mut fact = Fact::Absent;
    for agent in agents.into_iter().filter(|a| a.host == host).filter(connects) {
        match (&agent.alive, &agent.admin_up) {
            (Fact::Known(true), Fact::Known(true)) => return Fact::Known(true),
            (Fact::Known(_), Fact::Known(_)) => fact = Fact::Known(false),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => fact = Fact::Unknown(why.clone()),
            (Fact::Absent, _) | (_, Fact::Absent) => {}
        }
    }
    fact
}

impl Client {
    /// All agents of the network service.
    pub async fn network_agents(&self) -> Result<Vec<Agent>> {
        let found = self.list(Api::Network, "/agents", "agents").await?;
        found.iter().map(parse).collect()
    }
}
