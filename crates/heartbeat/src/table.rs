//! The memory of one observer: which host was heard when, on which network. Pure: time is
//! handed in as ms of a clock that only rises, datagrams as bytes.
//!
//! It judges whether a datagram counts, never what silence means. Hosts are kept by `host`,
//! the tables of other observers by `peers`; the answer to those that ask is made in `tell`.

mod host;
mod networks;
mod peers;
mod tell;

use std::collections::HashMap;
use std::net::IpAddr;

use names::HostName;

use crate::config::Config;
use crate::told::Refused;
use host::Host;
use networks::Networks;
use peers::Peers;

/// Forged and replayed datagrams of one address in a period, after which only one that
/// continues what was heard is looked at.
const BAD: u32 = 16;
/// Time that the longest time without a look is remembered, ms.
const LATE_MS: u64 = 10_000;

/// Memory of one observer.
#[derive(Debug)]
pub struct Table {
    me: HostName,
    networks: Networks,
    hosts: Vec<Host>,
    places: HashMap<HostName, usize>,
    /// Senders by the network that a datagram arrives on and the address that it is from.
    senders: HashMap<(usize, IpAddr), Sender>,
    peers: Peers,
    counted: u64,
    refused: Refused,
    looked_at: u64,
    /// The longest time without a look, ms, and when it ended.
    late: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
enum Sender {
    /// Places of a host and of its path.
    Host(usize, usize),
    /// Places of a peer and of its path.
    Peer(usize, usize),
}

/// Verdict over one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Counted,
    /// A peer's that does not know this session yet: nothing else is taken of it.
    Greeting,
    /// Sent from an address that is no host's and no peer's on that network.
    Stranger,
    /// Of no known form.
    Malformed,
    /// Of another name, network or receiver than where it arrived.
    Misplaced,
    /// With another code than the sender's key makes.
    Forged,
    /// Heard before, too old to tell, or of a boot or session that is over.
    Replayed,
    /// More than a sender has reason to send; not looked at.
    Surplus,
}

/// Question to a host's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Place of the network in [`Config::listen`].
    pub network: usize,
    /// Address of the host.
    pub to: IpAddr,
    host: usize,
    path: usize,
}

/// Datagram of gossip that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Place of the network in [`Config::listen`].
    pub network: usize,
    /// Address of the peer.
    pub to: IpAddr,
    /// The datagram.
    pub datagram: Vec<u8>,
}

/// Datagrams of one address that proved to be wrong in this period.
#[derive(Clone, Copy, Debug, Default)]
struct Bad {
    since: u64,
    count: u32,
}

impl Bad {
    fn note(&mut self, now_ms: u64) {
        if self.count == 0 {
            self.since = now_ms;
        }
        self.count = self.count.saturating_add(1);
    }

    /// True while no more of them are looked at.
    fn is_full(&mut self, now_ms: u64, period_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since) >= period_ms {
            self.count = 0;
        }
        self.count >= BAD
    }
}

impl Table {
    /// An empty memory. `session` is random, and of this life of the observer alone.
    pub fn new(config: &Config, session: [u8; 16], now_ms: u64) -> Self {
        let networks = Networks::new(config, now_ms);
        let hosts: Vec<Host> = config.hosts.iter().map(|h| Host::new(h, &networks)).collect();
        let peers = Peers::new(config, session, &networks);
        let mut senders = HashMap::new();
        for (h, host) in hosts.iter().enumerate() {
            let paths = host.addresses().enumerate();
            senders.extend(paths.map(|(p, from)| (from, Sender::Host(h, p))));
        }
        for (p, peer) in peers.addresses().enumerate() {
            let paths = peer.enumerate();
            senders.extend(paths.map(|(path, from)| (from, Sender::Peer(p, path))));
        }
        let places = config.hosts.iter().enumerate();
        Self {
            me: config.me.clone(),
            networks,
            hosts,
            places: places.map(|(place, host)| (host.host.clone(), place)).collect(),
            senders,
            peers,
            counted: 0,
            refused: Refused::default(),
            looked_at: now_ms,
            late: (0, now_ms),
        }
    }

    /// Notes that all sockets are read now. Time in which they were not, longer than a
    /// period, is nobody's silence.
    pub fn looked(&mut self, now_ms: u64) {
        let late_ms = now_ms.saturating_sub(self.looked_at);
        self.looked_at = now_ms;
        if late_ms > self.networks.period_ms {
            self.networks.stalled(now_ms, late_ms);
        }
        if late_ms >= self.late_ms(now_ms) {
            self.late = (late_ms, now_ms);
        }
    }

    fn late_ms(&self, now_ms: u64) -> u64 {
        let (late_ms, at) = self.late;
        if now_ms.saturating_sub(at) > LATE_MS {
            0
        } else {
            late_ms
        }
    }

    /// Notes since when a network is listened to, by its place in [`Config::listen`];
    /// `None`: it is not.
    pub fn listens(&mut self, network: usize, since_ms: Option<u64>) {
        self.networks.listens(network, since_ms);
    }

    /// Takes a datagram that arrived at an address of [`Config::listen`], by its place.
    pub fn hear(&mut self, now_ms: u64, network: usize, from: IpAddr, datagram: &[u8]) -> Verdict {
        let verdict = match self.senders.get(&(network, from.to_canonical())) {
            None => Verdict::Stranger,
            Some(Sender::Host(host, path)) => {
                let verdict = (self.hosts.get_mut(*host)).map_or(Verdict::Stranger, |host| {
                    host.hear(now_ms, *path, &self.networks, datagram)
                });
                self.counted += u64::from(verdict == Verdict::Counted);
                verdict
            }
            Some(Sender::Peer(peer, path)) => {
                let places = &self.places;
                let place = |host: &str| places.get(host).copied();
                (self.peers).hear(now_ms, (*peer, *path), &self.networks, &place, datagram)
            }
        };
        let count = match verdict {
            Verdict::Counted | Verdict::Greeting => return verdict,
            Verdict::Stranger => &mut self.refused.stranger,
            Verdict::Malformed => &mut self.refused.malformed,
            Verdict::Misplaced => &mut self.refused.misplaced,
            Verdict::Forged => &mut self.refused.forged,
            Verdict::Replayed => &mut self.refused.replayed,
            Verdict::Surplus => &mut self.refused.surplus,
        };
        *count += 1;
        verdict
    }

    /// Kernels of silent hosts that are to be asked now, those first that were asked
    /// longest ago; at most so many.
    pub fn questions(&mut self, now_ms: u64, most: usize) -> Vec<Question> {
        let mut due = vec![];
        for (h, host) in self.hosts.iter().enumerate() {
            due.extend(
                host.silent(now_ms, &self.networks)
                    .map(|(path, asked_at)| (asked_at, h, path)),
            );
        }
        due.sort_unstable();
        due.truncate(most);
        let mut questions = vec![];
        for (_, host, path) in due {
            let asked = self.hosts.get_mut(host).and_then(|h| h.asked(path, now_ms));
            questions.extend(asked.map(|(network, to)| Question {
                network,
                to,
                host,
                path,
            }));
        }
        questions
    }

    /// Takes the answer to a question: whether the kernel answered, `None` where it could
    /// not be asked.
    pub fn answered(&mut self, now_ms: u64, question: Question, answers: Option<bool>) {
        if let Some(host) = self.hosts.get_mut(question.host) {
            host.answered(now_ms, question.path, answers);
        }
    }
}

#[cfg(test)]
mod tests;
