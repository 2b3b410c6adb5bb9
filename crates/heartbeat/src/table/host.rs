//! One VM host in an observer's memory: its boot, its health, its paths.
//!
//! Not the judge of whether it lives.

use std::net::IpAddr;

use names::HostName;
use wire::Fact;

use super::networks::{CHANCE, Networks};
use super::{Bad, Verdict};
use crate::beat::{Beat, Health};
use crate::gossip::{Age, Link, Row};
use crate::replay::{Lineage, Place, Window};
use crate::{Key, config, told};

/// Datagrams of one host on one network that are looked at in a period.
const LOOKS: u64 = 8;
/// Time until a kernel is asked again, ms.
const ASK_AGAIN_MS: u64 = 1_000;
/// Time that an answer of a kernel tells anything, ms.
const ECHO_MS: u64 = 5_000;

/// One VM host.
#[derive(Debug)]
pub(super) struct Host {
    name: HostName,
    key: Key,
    boots: Lineage,
    /// From the datagram with the highest sequence of this boot.
    latest: Option<Latest>,
    paths: Vec<Path>,
}

#[derive(Debug)]
struct Latest {
    sequence: u64,
    up_ms: u64,
    health: Health,
}

/// One network that the host is in.
#[derive(Debug)]
struct Path {
    network: usize,
    address: IpAddr,
    window: Window,
    heard_at: Option<u64>,
    bad: Bad,
    asked_at: Option<u64>,
    /// Answer of the kernel, and when it came.
    echo: Option<(bool, u64)>,
}

impl Host {
    pub(super) fn new(host: &config::Host, networks: &Networks) -> Self {
        let path = |(name, address): (&names::NetworkName, &IpAddr)| {
            let network = networks.place(name)?;
            networks.get(network)?.address?;
            Some(Path {
                network,
                address: address.to_canonical(),
                window: Window::default(),
                heard_at: None,
                bad: Bad::default(),
                asked_at: None,
                echo: None,
            })
        };
        Self {
            name: host.host.clone(),
            key: host.key.clone(),
            boots: Lineage::default(),
            latest: None,
            paths: host.addresses.iter().filter_map(path).collect(),
        }
    }

    /// Networks and addresses that it sends from, by path.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (usize, IpAddr)> {
        self.paths.iter().map(|p| (p.network, p.address))
    }

    /// Takes a datagram from its address on a path.
    pub(super) fn hear(&mut self, now_ms: u64, path: usize, networks: &Networks, datagram: &[u8]) -> Verdict {
        let period_ms = networks.period_ms;
        let Some(path_) = self.paths.get_mut(path) else {
            return Verdict::Stranger;
        };
        // A host with its key sends what it likes: more than a few cost no more than this.
        // Others cannot bring it about, since what they send is never counted as heard.
        if (path_.heard_at).is_some_and(|at| now_ms.saturating_sub(at) < period_ms / LOOKS) {
            return Verdict::Surplus;
        }
        let Some(beat) = Beat::read(datagram) else {
            return Verdict::Malformed;
        };
        let here = (networks.get(path_.network))
            .is_some_and(|n| beat.network == n.name && n.address == Some(beat.to) && beat.host == self.name);
        if !here {
            return Verdict::Misplaced;
        }
        // Forgeries in the host's name cost it nothing: what is due from it is always looked at.
        let due = self.boots.place(beat.boot) == Place::Present && path_.window.is_next(beat.sequence);
        if !due && path_.bad.is_full(now_ms, period_ms) {
            return Verdict::Surplus;
        }
        if self.key.proven(datagram).is_none() {
            path_.bad.note(now_ms);
            return Verdict::Forged;
        }
        self.count(now_ms, path, beat)
    }

    /// Takes what is certainly the host's, if it is new.
    fn count(&mut self, now_ms: u64, path: usize, beat: Beat<'_>) -> Verdict {
        let place = self.boots.place(beat.boot);
        if place == Place::New {
            self.boots.begin(beat.boot);
            self.latest = None;
            for path in &mut self.paths {
                path.window = Window::default();
            }
        }
        let Some(path) = self.paths.get_mut(path) else {
            return Verdict::Stranger;
        };
        if place == Place::Over || !path.window.take(beat.sequence) {
            path.bad.note(now_ms);
            return Verdict::Replayed;
        }
        path.heard_at = Some(now_ms);
        if self.latest.as_ref().is_none_or(|l| l.sequence <= beat.sequence) {
            self.latest = Some(Latest {
                sequence: beat.sequence,
                up_ms: beat.up_ms,
                health: beat.health,
            });
        }
        Verdict::Counted
    }

    /// Paths that are silent and due to be asked, with the time of the last question.
    pub(super) fn silent(
        &self,
        now_ms: u64,
        networks: &Networks,
    ) -> impl Iterator<Item = (usize, Option<u64>)> {
        let least = CHANCE * networks.period_ms;
        let paths = self.paths.iter().enumerate().filter(move |(_, path)| {
            let silent = match networks.age_ms(now_ms, path.network, path.heard_at) {
                Fact::Known(age_ms) => age_ms >= least,
                Fact::Absent => true,
                Fact::Unknown(_) => false,
            };
            let again = |at: u64| now_ms.saturating_sub(at) >= ASK_AGAIN_MS;
            silent && path.asked_at.is_none_or(again)
        });
        paths.map(|(place, path)| (place, path.asked_at))
    }

    /// Notes a question on a path; its network and the host's address.
    pub(super) fn asked(&mut self, path: usize, now_ms: u64) -> Option<(usize, IpAddr)> {
        let path = self.paths.get_mut(path)?;
        path.asked_at = Some(now_ms);
        Some((path.network, path.address))
    }

    /// Notes the answer to a question.
    pub(super) fn answered(&mut self, now_ms: u64, path: usize, answers: Option<bool>) {
        if let Some(path) = self.paths.get_mut(path) {
            path.echo = answers.map(|answers| (answers, now_ms));
        }
    }

    /// The host as those that ask are told of it.
    pub(super) fn tell(&self, now_ms: u64, networks: &Networks) -> told::Host {
        let path = |path: &Path| {
            Some(told::Path {
                network: networks.get(path.network)?.name.clone(),
                age_ms: networks.age_ms(now_ms, path.network, path.heard_at),
                echo: told::Echo::fact(path.echo(now_ms)),
            })
        };
        let boot = self.boots.present();
        let latest = self.latest.as_ref();
        let health = latest.map(|l| l.health.clone());
        told::Host {
            host: self.name.clone(),
            boot: boot.map_or(Fact::Absent, |id| Fact::Known(told::boot(id))),
            up_ms: latest.map_or(Fact::Absent, |l| Fact::Known(l.up_ms)),
            health: health.unwrap_or_else(|| Health::unknown("the host was never heard")),
            paths: self.paths.iter().filter_map(path).collect(),
        }
    }

    /// The host as peers are told of it.
    pub(super) fn row(&self, now_ms: u64, networks: &Networks) -> Row<'_> {
        let link = |path: &Path| {
            Some(Link {
                network: u8::try_from(path.network).ok()?,
                age: match networks.age_ms(now_ms, path.network, path.heard_at) {
                    Fact::Known(age_ms) => Age::Known(age_ms),
                    Fact::Absent => Age::Never,
                    Fact::Unknown(_) => Age::Unknown,
                },
                echo: path.echo(now_ms),
            })
        };
        let latest = self.latest.as_ref();
        Row {
            host: &self.name,
            boot: self.boots.present().zip(latest.map(|l| l.up_ms)),
            health: latest.map_or([0; 3], |l| l.health.codes()),
            paths: self.paths.iter().filter_map(link).collect(),
        }
    }
}

impl Path {
    /// The kernel's answer and its age, ms, while it tells anything.
    fn echo(&self, now_ms: u64) -> Option<(bool, u64)> {
        let (answers, at) = self.echo?;
        let age_ms = now_ms.saturating_sub(at);
        (age_ms < ECHO_MS).then_some((answers, age_ms))
    }
}
