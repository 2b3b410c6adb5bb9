//! Stories: what happens to a cloud while it is changed, made of a draw of numbers.

use std::collections::BTreeSet;

use names::HostName;

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

/// A file that is another's at first: numbers of a host and of one of its files, and
/// whether it is so everywhere.
pub type Spoils = (usize, usize, bool);
/// Something that happens on the way and ends: numbers of its kind, its host and what is
/// hidden there, when it begins and how long it lasts.
pub type Comes = (usize, usize, usize, usize, usize);

/// Runs after which a story has no good end.
const RUNS: usize = 40;
/// Operations within which all begins.
const SPAN: usize = 150;
/// Numbers from which on something begins before all else.
const AT_ONCE: usize = 900;
/// Numbers of a kind from which on the power of all but one is cut for moments.
const RESTARTS: usize = 950;
/// Times that links flap, and operations that each of them takes.
const TURNS: usize = 3;
const EACH: usize = 12;
/// The longest that anything lasts, in operations.
const LASTS: usize = 40;

fn one<T: Clone>(all: &[T], number: usize) -> Option<T> {
    all.get(number.checked_rem(all.len())?).cloned()
}

/// Events of the next operations of a cloud: some files are another's at first, everywhere
/// or here and there; then hosts are lost and come back, are slow, full or cannot be seen,
/// controllers are elected, and operators killed. At the end all is well again.
pub fn story(world: &World, spoils: &[Spoils], comes: &[Comes]) -> Vec<Event> {
    let hosts: Vec<HostName> = world.desired.hosts.keys().cloned().collect();
    let mut out = Vec::new();
    let mut add = |at: usize, what: Happens| {
        out.push(Event {
            at: world.done + at,
            what,
        });
    };
    for (host, file, everywhere) in spoils {
        let Some(host) = one(&hosts, *host) else { continue };
        // Files that tell a host's cloud, and places of data, are never written over.
        let files: Vec<String> = (world.desired.hosts[&host].files.iter())
            .filter(|f| f.identity.is_empty() && f.ring.is_none() && !f.write.directory)
            .map(|f| f.write.path.clone())
            .collect();
        let Some(path) = one(&files, *file) else { continue };
        for other in hosts.iter().filter(|h| *everywhere || **h == host) {
            add(0, Happens::Fault(Fault::Spoilt(other.clone(), path.clone())));
        }
    }
    for (kind, host, sense, from, lasts) in comes {
        let (begin, next) = (*host, *host + 1);
        let Some(host) = one(&hosts, *host) else { continue };
        // Something begins before all else once in a while.
        let from = if *from < AT_ONCE { from % SPAN } else { 0 };
        let until = from + 1 + lasts % LASTS;
        let sense = [Sense::Answers, Sense::Files, Sense::Cluster, Sense::Data][sense % 4];
        let (begins, ends) = match kind % 11 {
            _ if *kind >= RESTARTS => {
                add(from, Happens::Fault(Fault::Restarted(host)));
                continue;
            }
            0 => (Fault::Lost(host.clone()), Fault::Back(host)),
            1 => (Fault::Full(host.clone()), Fault::Room(host)),
            2 => (Fault::Slow(host.clone()), Fault::Quick(host)),
            3 => (Fault::Hidden(host.clone(), sense), Fault::Seen(host, sense)),
            4 => (Fault::Election(true), Fault::Election(false)),
            6 => (Fault::Unlisted(true), Fault::Unlisted(false)),
            // A minority is cut off: two of five, or else one.
            7 if hosts.len() > 3 => {
                let two = [begin, next].into_iter().filter_map(|n| one(&hosts, n));
                (Fault::Cut(two.collect()), Fault::Healed)
            }
            7 | 8 => (Fault::Cut(BTreeSet::from([host])), Fault::Healed),
            // One comes with an empty disk.
            10 => {
                add(from, Happens::Fault(Fault::Emptied(host)));
                continue;
            }
            // One is cut off again and again.
            9 => {
                for turn in 0..TURNS {
                    let at = from + turn * EACH;
                    add(at, Happens::Fault(Fault::Cut(BTreeSet::from([host.clone()]))));
                    add(at + EACH / 2, Happens::Fault(Fault::Healed));
                }
                continue;
            }
            _ => {
                add(from, Happens::Killed);
                continue;
            }
        };
        add(from, Happens::Fault(begins));
        add(until, Happens::Fault(ends));
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
                if let Some(told) = &mut self.told {
                    told.push(format!("{} {fault:?}", self.done));
                }
                self.suffer(&fault);
                false
            }
            Some(Happens::Killed) => true,
            None => false,
        }
    }

    /// Operators plan and do again and again while a story goes on, until it is at its end
    /// and nothing is left to do.
    pub fn live(&mut self, events: Vec<Event>) -> Ended {
        self.events.reverse();
        self.events.extend(events);
        self.events.sort_by_key(|e| e.at);
        self.events.reverse();
        let mut ended = Ended::Stopped;
        for _ in 0..RUNS {
            self.happen();
            let began = self.tick;
            ended = self.run(Intent::Converge, Stop::Never);
            match &ended {
                Ended::Empty(_) if self.events.is_empty() => return ended,
                Ended::Stopped => {}
                // Time goes by: what is to come does.
                _ if !self.events.is_empty() => {
                    self.next_event();
                }
                // Plan after plan waited for what came to its end on the way.
                Ended::Endless(_) if self.disturbed > began => {}
                // A host that is kept out is let in by a hand, as its status says.
                Ended::Refused(_) | Ended::Failed(..) if self.let_in() => {}
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
