//! Stories: what happens to a cloud while it is changed, out of a seed.

use crate::{Ended, Fault, Sense, Stop, World};
use plan::Intent;

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happens {
    /// A fault.
    Fault(Fault),
    /// The operator is killed: somebody looks and plans again.
    Killed,
}

/// When it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// After so many operations of the world.
    pub at: usize,
    /// The fault, or the end of an operator.
    pub what: Happens,
}

/// Runs after which a story has no good end.
const RUNS: usize = 40;

/// Numbers that follow from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap_or_default() % sides.max(1)
    }
}

/// Events of the next operations of a cloud, by a seed: some files are another's at
/// first, everywhere or here and there; then hosts are lost and come back, disks are full,
/// controllers are elected, and operators killed. At the end all is well again.
pub fn story(world: &World, seed: u64, length: usize) -> Vec<Event> {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let hosts: Vec<String> = world.desired.hosts.keys().cloned().collect();
    let now = world.done;
    let mut out = Vec::new();
    let mut add = |at: usize, what: Happens| out.push(Event { at: now + at, what });
    for _ in 0..dice.roll(4) {
        let host = &hosts[dice.roll(hosts.len())];
        // What tells whose a host is, and where data lie, is never written over.
        let files: Vec<&render::DesiredFile> = (world.desired.hosts[host].files.iter())
            .filter(|f| f.identity.is_empty() && f.ring.is_none() && !f.write.directory)
            .collect();
        let path = files[dice.roll(files.len())].write.path.clone();
        let everywhere = dice.roll(2) == 0;
        for other in hosts.iter().filter(|h| everywhere || *h == host) {
            add(0, Happens::Fault(Fault::Spoilt(other.clone(), path.clone())));
        }
    }
    for _ in 0..dice.roll(4) {
        let host = hosts[dice.roll(hosts.len())].clone();
        let (from, long) = (dice.roll(length), 1 + dice.roll(length / 4 + 1));
        let senses = [Sense::Answers, Sense::Files, Sense::Cluster];
        let sense = senses[dice.roll(senses.len())];
        let (first, last) = match dice.roll(6) {
            0 => (Fault::Lost(host.clone()), Fault::Back(host)),
            1 => (Fault::Full(host.clone()), Fault::Room(host)),
            2 => (Fault::Slow(host.clone()), Fault::Quick(host)),
            3 => (Fault::Hidden(host.clone(), sense), Fault::Seen(host, sense)),
            4 => (Fault::Election(true), Fault::Election(false)),
            _ => {
                add(from, Happens::Killed);
                continue;
            }
        };
        add(from, Happens::Fault(first));
        add(from + long, Happens::Fault(last));
    }
    out.sort_by_key(|e| e.at);
    out
}

impl World {
    /// Lets happen what is due; true if the operator was killed by it.
    pub(crate) fn happen(&mut self) -> bool {
        let mut killed = false;
        while self.events.last().is_some_and(|e| e.at <= self.done) {
            killed |= self.next_event();
        }
        killed
    }

    /// Lets the next thing happen; true if it kills the operator.
    fn next_event(&mut self) -> bool {
        match self.events.pop().map(|e| e.what) {
            Some(Happens::Fault(fault)) => {
                self.suffer(&fault);
                false
            }
            Some(Happens::Killed) => true,
            None => false,
        }
    }

    /// Operators plan and do again and again while a story goes on, until it is at its end
    /// and nothing is left to do.
    pub fn live(&mut self, mut events: Vec<Event>) -> Ended {
        events.reverse();
        self.events = events;
        let mut ended = Ended::Stopped;
        for _ in 0..RUNS {
            self.happen();
            ended = self.run(Intent::Converge, Stop::Never);
            match &ended {
                Ended::Empty(_) if self.events.is_empty() => return ended,
                Ended::Stopped => {}
                // Time goes by: what is to come does.
                _ if !self.events.is_empty() => {
                    self.next_event();
                }
                // A store that lost its majority comes back by its own verb.
                Ended::Refused(_) | Ended::Failed(..) => {
                    ended = self.run(Intent::Recover, Stop::Never);
                }
                _ => return ended,
            }
        }
        ended
    }
}
