//! Tables of all observers, as one of them answers who asks: ages are of that moment.
//!
//! Not the observer's own memory, which is [`crate::table`].

use names::{HostName, NetworkName};
use serde::{Deserialize, Serialize};
use wire::Fact;

use crate::beat::Health;

/// Answer of one observer: its own table, and those that its peers told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// Period of the hosts' datagrams, ms.
    pub period_ms: u64,
    /// Datagrams of VM hosts that counted, since the observer began.
    pub counted: u64,
    /// Datagrams that did not count, since the observer began.
    pub refused: Refused,
    /// The table of the observer that answers.
    pub own: Table,
    /// Tables of the others, in the configuration's order.
    pub peers: Vec<Peer>,
}

/// Table of one observer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Controller that it runs on.
    pub controller: HostName,
    /// Longest time of the last 10 s in which it did not look, ms; `Unknown` where not told.
    pub late_ms: Fact<u64>,
    /// Networks that it listens on.
    pub listens: Vec<Listens>,
    /// VM hosts of the configuration, in its order.
    pub hosts: Vec<Host>,
}

/// Table of another observer, as it told it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Time since it was heard, on each network that both have.
    pub heard: Vec<Heard>,
    /// Its table. All is `Unknown` once it was not heard for 4 periods.
    pub table: Table,
}

/// Time since a peer was heard on one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Name of the network.
    pub network: NetworkName,
    /// Age, ms; `Absent`: it was never heard on this network.
    pub age_ms: Fact<u64>,
}

/// One network of an observer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listens {
    /// Name of the network.
    pub network: NetworkName,
    /// Time since it listens there without a break, ms; `Absent`: it does not now.
    pub since_ms: Fact<u64>,
}

/// One VM host as one observer hears it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Name of the host.
    pub host: HostName,
    /// Its boot id, as the kernel writes it; `Absent`: it was never heard.
    pub boot: Fact<String>,
    /// Time since its boot when it was last heard, ms; `Absent`: it was never heard.
    pub up_ms: Fact<u64>,
    /// Its health when it was last heard.
    pub health: Health,
    /// Networks that it and the observer have.
    pub paths: Vec<Path>,
}

/// One network between a VM host and an observer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Name of the network.
    pub network: NetworkName,
    /// Time since its last datagram that counted, ms; `Absent`: none came while the observer
    /// listened for at least two periods.
    pub age_ms: Fact<u64>,
    /// Answer of the host's kernel to a connection, asked for while it is silent. Left out of
    /// the text while `Unknown`, as it is for all hosts that are heard.
    #[serde(default = "Echo::unasked", skip_serializing_if = "is_unknown")]
    pub echo: Fact<Echo>,
}

/// Answer of a host's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// True: it accepted or refused a connection; false: no answer within 500 ms.
    pub answers: bool,
    /// Time since then, ms.
    pub age_ms: u64,
}

fn is_unknown<T>(fact: &Fact<T>) -> bool {
    matches!(fact, Fact::Unknown(_))
}

impl Echo {
    fn unasked() -> Fact<Self> {
        Fact::Unknown("not asked lately".to_owned())
    }

    pub(crate) fn fact(echo: Option<(bool, u64)>) -> Fact<Self> {
        match echo {
            Some((answers, age_ms)) => Fact::Known(Self { answers, age_ms }),
            None => Self::unasked(),
        }
    }
}

impl Host {
    /// The same host with nothing known of it, and the reason.
    pub(crate) fn unknown(&self, why: &str) -> Self {
        let path = |path: &Path| Path {
            network: path.network.clone(),
            age_ms: Fact::Unknown(why.to_owned()),
            echo: Echo::unasked(),
        };
        Self {
            host: self.host.clone(),
            boot: Fact::Unknown(why.to_owned()),
            up_ms: Fact::Unknown(why.to_owned()),
            health: Health::unknown(why),
            paths: self.paths.iter().map(path).collect(),
        }
    }
}

/// A boot id as the kernel writes it.
pub(crate) fn boot(id: [u8; 16]) -> String {
    uuid::Uuid::from_bytes(id).to_string()
}

/// Numbers of datagrams that did not count, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Sent from an address that is no host's and no peer's on that network.
    pub stranger: u64,
    /// Of no known form.
    pub malformed: u64,
    /// Of another name, network or receiver than where it arrived.
    pub misplaced: u64,
    /// With another code than the sender's key makes.
    pub forged: u64,
    /// Heard before, too old to tell, or of a boot or session that is over.
    pub replayed: u64,
    /// More than a sender has reason to send; not looked at.
    pub surplus: u64,
}
