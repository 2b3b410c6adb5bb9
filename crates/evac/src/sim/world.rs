//! The world: its state, its time, and the effects that come later.

use super::cloud::{Guest, Move, Service};
use super::draw::Fault;
use super::hands::Engine;
use super::laws::Told;
use super::machine::{CONTROLLERS, Machine};
use super::rng::Rng;
use crate::guard::Guards;
use crate::{Answer, HostId, Intent, Leader, Policy, Seen, Sent};

/// Length of a round.
pub const ROUND: u64 = 500;

/// Something that happens later.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Fault(Fault),
    Heal(Fault),
    /// An order to a fence device, by the engine of that number.
    Off(usize, u64),
    On(usize),
    MarkDown(usize, String),
    Disable(usize, String),
    ForceUp(usize),
    Enable(usize, Option<String>),
    /// A request of the engine of that number.
    Evacuate(Sent, u64),
    Spawn(usize),
    Finish(usize, usize),
    Switch(usize),
    Moved(usize),
    Engine(usize),
    Person,
    Stand(usize),
}

/// Rows of the store with the times of their writing.
#[derive(Default)]
pub struct Rows {
    pub leader: Option<Leader>,
    pub intents: Vec<(Intent, u64, u64)>,
    pub sent: Vec<(Sent, Answer, u64)>,
    pub opened: Vec<u64>,
    pub released_until: u64,
    pub paused: bool,
    pub confirmed: Vec<crate::Confirmed>,
}

/// One controller.
#[derive(Clone, Copy, Default)]
pub struct Controller {
    pub down: bool,
    /// Time since when it is cut from the others; the second tells whether from the store too.
    pub alone: Option<(u64, bool)>,
    /// Time at which its table of heartbeats stood still.
    pub stale: Option<u64>,
    pub since: u64,
}

/// Sources that do not answer, each until a time.
#[derive(Default)]
pub struct Failing {
    pub store: u64,
    pub api: u64,
    pub slow: u64,
    pub lost: u64,
    pub migrations: u64,
    pub lists: u64,
    pub scheduler: u64,
}

pub struct World {
    pub now: u64,
    pub rng: Rng,
    pub policy: Policy,
    pub guards: Guards,
    pub hosts: Vec<Machine>,
    pub guests: Vec<Guest>,
    pub moves: Vec<Move>,
    pub services: Vec<Service>,
    pub queued: Vec<usize>,
    pub rows: Rows,
    pub controllers: [Controller; CONTROLLERS],
    pub engines: Vec<Engine>,
    pub engines_begun: u64,
    pub failing: Failing,
    pub slow_builds: u64,
    pub pending: Vec<(u64, Effect)>,
    /// Time of the last effect.
    pub changed_at: u64,
    pub seen: Option<Seen>,
    pub look: Vec<HostId>,
    pub told: Told,
    pub law: Option<String>,
    pub trace: bool,
    pub rounds: u64,
}

impl World {
    pub fn later(&mut self, after: u64, effect: Effect) {
        self.pending.push((self.now + after, effect));
    }

    /// Records the first law that was broken.
    pub fn broken(&mut self, law: String) {
        self.say(|| format!("BROKEN {law}"));
        self.law.get_or_insert(law);
    }

    pub fn say(&self, text: impl Fn() -> String) {
        if self.trace {
            println!("{:>8} {}", self.now, text());
        }
    }

    /// One round of the world: effects that are due, heartbeats, laws, engines.
    pub fn round(&mut self) {
        self.due();
        for at in 0..self.hosts.len() {
            self.hosts[at].beat(self.now);
            if self.hosts[at].compute(self.now) {
                self.hosts[at].report_at = self.now;
                if !self.hosts[at].compute_began {
                    self.compute_starts(at);
                }
            }
        }
        for at in std::mem::take(&mut self.queued) {
            self.spawn(at);
        }
        self.copies();
        self.pacemaker();
        let engines = self.engines.len();
        for at in 0..engines {
            self.decide(at);
        }
        self.engines.retain(|engine| !engine.ended);
        self.rounds += 1;
    }

    fn due(&mut self) {
        let mut at = 0;
        while at < self.pending.len() {
            if self.pending[at].0 <= self.now {
                let (_, effect) = self.pending.remove(at);
                self.say(|| format!("{effect:?}"));
                self.changed_at = self.now;
                self.happen(effect);
            } else {
                at += 1;
            }
        }
    }

    fn happen(&mut self, effect: Effect) {
        match effect {
            Effect::Fault(fault) => self.strike(fault),
            Effect::Heal(fault) => self.heal(fault),
            Effect::Off(host, engine) => self.bmc_off(host, engine),
            Effect::On(host) => {
                let takes = self.rng.between(2_000, 6_000);
                if !self.hosts[host].bmc.dead {
                    self.hosts[host].power_on(self.now, takes);
                }
            }
            Effect::MarkDown(host, reason) => {
                self.services[host].forced = true;
                self.services[host].enabled = false;
                self.services[host].reason = Some(reason);
            }
            Effect::Disable(host, reason) => {
                self.services[host].enabled = false;
                self.services[host].reason = Some(reason);
            }
            Effect::ForceUp(host) => self.force_up(host),
            Effect::Enable(host, stays) => {
                self.services[host].enabled = stays.is_none();
                self.services[host].reason = stays;
            }
            Effect::Evacuate(sent, engine) => self.arrive(&sent, engine),
            Effect::Spawn(at) => self.spawn(at),
            Effect::Finish(at, boot) => self.finish(at, boot),
            Effect::Switch(at) => self.switch(at),
            Effect::Moved(at) => self.moved(at),
            Effect::Engine(controller) => self.begin_engine(controller),
            Effect::Person => self.person(),
            Effect::Stand(host) => self.two_stand(host),
        }
    }

    fn bmc_off(&mut self, host: usize, engine: u64) {
        let bmc = &mut self.hosts[host].bmc;
        bmc.stale = false;
        if bmc.dead {
            if let Some(engine) = self.engines.iter_mut().find(|e| e.number == engine) {
                engine.ordered[host] = None;
            }
            return;
        }
        if !bmc.lies {
            self.hosts[host].power_off();
            self.guests_end(host);
        }
        if let Some(engine) = self.engines.iter_mut().find(|e| e.number == engine) {
            engine.off[host] = engine.ordered[host].take();
        }
    }

    /// Nova forces up, and refuses while records are not completed.
    fn force_up(&mut self, host: usize) {
        let unfinished = |m: &&Move| {
            m.source == host
                && m.record.progress == crate::Progress::Done
                && m.record.kind == crate::MigrationKind::Evacuation
        };
        if self.moves.iter().find(unfinished).is_none() {
            self.services[host].forced = false;
        }
    }

    fn arrive(&mut self, sent: &Sent, engine: u64) {
        let vm = self.vm(sent);
        let target = self.index(&sent.target);
        let answer = match self.evacuate(vm, target, false) {
            Ok(()) => Answer::Accepted,
            Err(why) => Answer::Refused(why),
        };
        if self
            .engines
            .iter()
            .any(|e| e.number == engine && e.held == self.epoch())
        {
            let mut rows = self.rows.sent.iter_mut();
            if let Some(row) = rows.find(|row| row.0 == *sent) {
                row.1 = answer;
            }
        }
    }

    pub fn epoch(&self) -> Option<u64> {
        self.rows.leader.as_ref().map(|leader| leader.epoch)
    }

    pub fn index(&self, host: &HostId) -> usize {
        self.hosts.iter().position(|h| h.name == *host).unwrap()
    }

    /// Quorum as a controller has it: lost a moment after it is alone.
    pub fn quorate(&self, controller: usize) -> bool {
        let alone = self.controllers[controller].alone;
        let up = self.controllers.iter().filter(|c| !c.down).count();
        alone.is_none_or(|(at, _)| self.now < at + 1_500) && up * 2 > CONTROLLERS
    }

    /// Starts an engine where none runs on the side with quorum.
    fn pacemaker(&mut self) {
        let runs = |c: usize| self.controllers[c].alone.is_none() && !self.controllers[c].down;
        let begins = self
            .pending
            .iter()
            .any(|(_, effect)| matches!(effect, Effect::Engine(_)));
        if begins || self.engines.iter().any(|engine| runs(engine.controller)) {
            return;
        }
        if let Some(controller) = (0..CONTROLLERS).find(|c| runs(*c)) {
            self.later(2_500, Effect::Engine(controller));
        }
    }

    pub fn begin_engine(&mut self, controller: usize) {
        if !self.controllers[controller].down {
            self.engines_begun += 1;
            let engine = Engine::new(self.engines_begun, controller, self.now, self.hosts.len());
            self.engines.push(engine);
        }
    }
}
