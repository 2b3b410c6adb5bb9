//! Observers of the other controllers in an observer's memory: their sessions, and the
//! tables that they told last.
//!
//! It compares no tables: what one observer heard and another did not is for those that ask.

use std::net::IpAddr;

use names::HostName;
use wire::Fact;

use super::networks::Networks;
use super::{Bad, Letter, Verdict};
use crate::beat::Health;
use crate::config::Config;
use crate::gossip::{Age, Link, Row, Rows, Word};
use crate::replay::{Lineage, Place, Window};
use crate::{Key, told};

/// Periods after which what a peer told is no longer told on.
const STALE: u64 = 4;

/// All other observers.
#[derive(Debug)]
pub(super) struct Peers {
    me: HostName,
    key: Key,
    session: [u8; 16],
    sequence: u64,
    all: Vec<Peer>,
}

/// One other observer.
#[derive(Debug)]
struct Peer {
    name: HostName,
    paths: Vec<Path>,
    /// Sessions that proved to be new by naming ours.
    sessions: Lineage,
    /// A session that has not proved it yet.
    greeted: Option<[u8; 16]>,
    head: Option<Head>,
    /// By the place of the host.
    rows: Vec<Option<KeptRow>>,
}

#[derive(Debug)]
struct Path {
    network: usize,
    address: IpAddr,
    window: Window,
    heard_at: Option<u64>,
    bad: Bad,
}

/// Head of the word with the highest sequence.
#[derive(Debug)]
struct Head {
    sequence: u64,
    at: u64,
    late_ms: u64,
    /// Networks by place, and for how long it had listened there.
    listens: Vec<(usize, Option<u64>)>,
}

#[derive(Debug)]
struct KeptRow {
    sequence: u64,
    at: u64,
    boot: Option<([u8; 16], u64)>,
    health: [u8; 3],
    /// Networks by place, and what was heard there.
    paths: Vec<(usize, Link)>,
}

impl Peers {
    pub(super) fn new(config: &Config, session: [u8; 16], networks: &Networks) -> Self {
        let path = |(name, address): (&names::NetworkName, &IpAddr)| {
            let network = networks.place(name)?;
            networks.get(network)?.address?;
            Some(Path {
                network,
                address: address.to_canonical(),
                window: Window::default(),
                heard_at: None,
                bad: Bad::default(),
            })
        };
        let peers = config.peers.iter().map(|peer| Peer {
            name: peer.controller.clone(),
            paths: peer.addresses.iter().filter_map(path).collect(),
            sessions: Lineage::default(),
            greeted: None,
            head: None,
            rows: config.hosts.iter().map(|_| None).collect(),
        });
        Self {
            me: config.me.clone(),
            key: config.peers_key.clone(),
            session,
            sequence: 0,
            all: peers.collect(),
        }
    }

    /// Networks and addresses that each of them sends from, by path.
    pub(super) fn addresses(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, IpAddr)>> {
        (self.all.iter()).map(|peer| peer.paths.iter().map(|p| (p.network, p.address)))
    }

    /// Takes a datagram from the address of a peer on a path; `host` tells a host's place.
    pub(super) fn hear(
        &mut self,
        now_ms: u64,
        (peer, path): (usize, usize),
        networks: &Networks,
        host: &impl Fn(&str) -> Option<usize>,
        datagram: &[u8],
    ) -> Verdict {
        let Some(peer) = self.all.get_mut(peer) else {
            return Verdict::Stranger;
        };
        let Some(path_) = peer.paths.get_mut(path) else {
            return Verdict::Stranger;
        };
        let Some((word, rows)) = Word::read(datagram) else {
            return Verdict::Malformed;
        };
        let here = (networks.get(path_.network))
            .is_some_and(|n| word.network == n.name && word.from == peer.name && word.to == self.me);
        if !here {
            return Verdict::Misplaced;
        }
        let ours = word.known == self.session;
        let place = peer.sessions.place(word.session);
        let due = ours && place == Place::Present && path_.window.is_next(word.sequence);
        if !due && path_.bad.is_full(now_ms, networks.period_ms) {
            return Verdict::Surplus;
        }
        if self.key.proven(datagram).is_none() {
            path_.bad.note(now_ms);
            return Verdict::Forged;
        }
        if place == Place::Over {
            path_.bad.note(now_ms);
            return Verdict::Replayed;
        }
        if !ours {
            peer.greeted = Some(word.session);
            return Verdict::Greeting;
        }
        if place == Place::New {
            peer.begin(word.session);
        }
        peer.take(now_ms, path, networks, host, &word, rows)
    }

    /// Datagrams that tell all peers of all rows, on each network that both have.
    pub(super) fn letters(
        &mut self,
        now_ms: u64,
        networks: &Networks,
        late_ms: u64,
        chunks: &[Vec<u8>],
    ) -> Vec<Letter> {
        let own = networks.own();
        let listens: Vec<(&str, Option<u64>)> = own
            .map(|(_, n)| (n.name.as_str(), n.since.map(|at| now_ms.saturating_sub(at))))
            .collect();
        let mut letters = vec![];
        for chunk in chunks {
            self.sequence += 1;
            for peer in &self.all {
                for path in &peer.paths {
                    let Some(network) = networks.get(path.network) else {
                        continue;
                    };
                    let word = Word {
                        from: &self.me,
                        to: &peer.name,
                        network: &network.name,
                        session: self.session,
                        known: peer.known(now_ms, networks.period_ms),
                        sequence: self.sequence,
                        late_ms,
                        listens: listens.clone(),
                    };
                    letters.push(Letter {
                        network: path.network,
                        to: path.address,
                        datagram: word.write(chunk, &self.key),
                    });
                }
            }
        }
        letters
    }

    /// Tables of all of them, as those that ask are told; `hosts` are those of the own table.
    pub(super) fn tell(&self, now_ms: u64, networks: &Networks, hosts: &[told::Host]) -> Vec<told::Peer> {
        let peers = self.all.iter();
        peers.map(|p| p.tell(now_ms, networks, hosts)).collect()
    }
}

impl Peer {
    /// Begins a session: of the one before nothing holds any more.
    fn begin(&mut self, session: [u8; 16]) {
        self.sessions.begin(session);
        self.head = None;
        self.rows.iter_mut().for_each(|row| *row = None);
        for path in &mut self.paths {
            path.window = Window::default();
        }
    }

    /// Takes a word of the present session.
    fn take(
        &mut self,
        now_ms: u64,
        path: usize,
        networks: &Networks,
        host: &impl Fn(&str) -> Option<usize>,
        word: &Word<'_>,
        rows: Rows<'_>,
    ) -> Verdict {
        let Some(path) = self.paths.get_mut(path) else {
            return Verdict::Stranger;
        };
        if !path.window.take(word.sequence) {
            path.bad.note(now_ms);
            return Verdict::Replayed;
        }
        path.heard_at = Some(now_ms);
        let places: Vec<Option<usize>> = word.listens.iter().map(|(n, _)| networks.place(n)).collect();
        if self.head.as_ref().is_none_or(|h| h.sequence < word.sequence) {
            let listens = places.iter().zip(&word.listens);
            self.head = Some(Head {
                sequence: word.sequence,
                at: now_ms,
                late_ms: word.late_ms,
                listens: listens
                    .filter_map(|(place, (_, since))| Some(((*place)?, *since)))
                    .collect(),
            });
        }
        for row in rows {
            let Some(kept) = host(row.host).and_then(|place| self.rows.get_mut(place)) else {
                continue;
            };
            // The same came on another network before.
            if kept.as_ref().is_some_and(|k| k.sequence >= word.sequence) {
                break;
            }
            *kept = Some(KeptRow::new(now_ms, word.sequence, &row, &places));
        }
        Verdict::Counted
    }

    fn heard_at(&self) -> Option<u64> {
        self.paths.iter().filter_map(|p| p.heard_at).max()
    }

    /// The session to be named to it: one that proved to be new, while it is heard.
    fn known(&self, now_ms: u64, period_ms: u64) -> [u8; 16] {
        let heard = |at: u64| now_ms.saturating_sub(at) < STALE * period_ms;
        let proved = self.sessions.present();
        if self.heard_at().is_some_and(heard) {
            return proved.unwrap_or_default();
        }
        self.greeted.or(proved).unwrap_or_default()
    }

    fn tell(&self, now_ms: u64, networks: &Networks, hosts: &[told::Host]) -> told::Peer {
        let name = |place: usize| networks.get(place).map(|n| n.name.clone());
        let stale = |at: Option<u64>| {
            let age_ms = at.map(|at| now_ms.saturating_sub(at));
            match age_ms {
                None => Some(format!("{} has told nothing yet", self.name)),
                Some(ms) if ms >= STALE * networks.period_ms => {
                    Some(format!("{} told it last {ms} ms ago", self.name))
                }
                Some(_) => None,
            }
        };
        let head = self.head.as_ref();
        let why = stale(head.map(|h| h.at));
        let paths = self.paths.iter().filter_map(|path| {
            Some(told::Heard {
                network: name(path.network)?,
                age_ms: networks.age_ms(now_ms, path.network, path.heard_at),
            })
        });
        let listens = head.iter().flat_map(|h| {
            let passed = now_ms.saturating_sub(h.at);
            h.listens
                .iter()
                .map(move |(place, since)| (*place, since.map(|ms| ms + passed)))
        });
        let listens = listens.filter_map(|(place, since)| {
            Some(told::Listens {
                network: name(place)?,
                since_ms: match (&why, since) {
                    (Some(why), _) => Fact::Unknown(why.clone()),
                    (None, Some(ms)) => Fact::Known(ms),
                    (None, None) => Fact::Absent,
                },
            })
        });
        let hosts = hosts.iter().zip(&self.rows).map(|(host, row)| match row {
            Some(row) if stale(Some(row.at)).is_none() => row.tell(now_ms, &host.host, networks),
            row => {
                let why = stale(row.as_ref().map(|r| r.at)).unwrap_or_default();
                host.unknown(&why)
            }
        });
        told::Peer {
            heard: paths.collect(),
            table: told::Table {
                controller: self.name.clone(),
                late_ms: match (&why, head) {
                    (None, Some(head)) => Fact::Known(head.late_ms),
                    (why, _) => Fact::Unknown(why.clone().unwrap_or_default()),
                },
                listens: listens.collect(),
                hosts: hosts.collect(),
            },
        }
    }
}

impl KeptRow {
    fn new(now_ms: u64, sequence: u64, row: &Row<'_>, places: &[Option<usize>]) -> Self {
        let place = |link: &Link| places.get(usize::from(link.network)).copied().flatten();
        let paths = row.paths.iter();
        Self {
            sequence,
            at: now_ms,
            boot: row.boot,
            health: row.health,
            paths: paths.filter_map(|link| Some((place(link)?, *link))).collect(),
        }
    }

    fn tell(&self, now_ms: u64, host: &HostName, networks: &Networks) -> told::Host {
        let passed = now_ms.saturating_sub(self.at);
        let path = |(place, link): &(usize, Link)| {
            Some(told::Path {
                network: networks.get(*place)?.name.clone(),
                age_ms: match link.age {
                    Age::Known(ms) => Fact::Known(ms.saturating_add(passed)),
                    Age::Never => Fact::Absent,
                    Age::Unknown => Fact::Unknown("it has not listened for long enough".to_owned()),
                },
                echo: told::Echo::fact(link.echo.map(|(a, ms)| (a, ms.saturating_add(passed)))),
            })
        };
        told::Host {
            host: host.clone(),
            boot: self
                .boot
                .map_or(Fact::Absent, |(id, _)| Fact::Known(told::boot(id))),
            up_ms: self.boot.map_or(Fact::Absent, |(_, ms)| Fact::Known(ms)),
            health: if self.boot.is_some() {
                Health::read(self.health)
            } else {
                Health::unknown("the host was never heard")
            },
            paths: self.paths.iter().filter_map(path).collect(),
        }
    }
}
