//! The hands: an engine on a controller does acts one by one, and may die between any two.

use super::machine::CONTROLLERS;
use super::world::{Effect, World};
use crate::decision::{Act, Decision};
use crate::round::decide_with;
use crate::{Answer, Intent, Leader, Phase, Sent};

/// One process of the engine.
pub struct Engine {
    pub number: u64,
    pub controller: usize,
    pub held: Option<u64>,
    pub since: u64,
    /// Steps until it dies.
    pub dies_in: Option<u64>,
    pub late: u64,
    pub ended: bool,
    /// Epoch of its off command that was answered, for each host.
    pub off: Vec<Option<u64>>,
    pub ordered: Vec<Option<u64>>,
    pub restarted: Vec<Option<u64>>,
}

impl Engine {
    pub fn new(number: u64, controller: usize, now: u64, hosts: usize) -> Self {
        Self {
            number,
            controller,
            held: None,
            since: now,
            dies_in: None,
            late: 0,
            ended: false,
            off: vec![None; hosts],
            ordered: vec![None; hosts],
            restarted: vec![None; hosts],
        }
    }

    /// One step is over; true when it was the last.
    fn dies(&mut self) -> bool {
        let Some(left) = &mut self.dies_in else {
            return false;
        };
        *left = left.saturating_sub(1);
        self.ended = *left == 0;
        self.ended
    }
}

impl World {
    /// One round of one engine.
    pub fn decide(&mut self, at: usize) {
        if self.engines[at].ended {
            return;
        }
        let seen = self.view(at);
        let decision = decide_with(&self.policy, &seen, self.guards);
        if self.trace {
            self.say(|| format!("engine {}: {}", self.engines[at].number, in_short(&decision)));
        }
        self.look.clone_from(&decision.look);
        self.look_at(at, &seen, &decision);
        self.seen = Some(seen);
        self.engines[at].late = 0;
        for act in decision.acts {
            if matches!(act, Act::Tell { .. }) {
                continue;
            }
            self.check_act(at, &act);
            self.perform(at, act);
            if self.engines[at].dies() || self.engines[at].ended {
                return;
            }
        }
    }

    fn store(&self, at: usize) -> bool {
        let cut = self.controllers[self.engines[at].controller].alone;
        self.now >= self.failing.store && cut.is_none_or(|(_, too)| !too)
    }

    fn api(&self) -> bool {
        self.now >= self.failing.api
    }

    fn ours(&self, at: usize) -> bool {
        self.store(at) && self.engines[at].held.is_some() && self.engines[at].held == self.epoch()
    }

    fn perform(&mut self, at: usize, act: Act) {
        match act {
            Act::Claim { above, .. } => self.claim(at, above),
            Act::StandDown { .. } => self.engines[at].ended = true,
            Act::Write(intent) => self.write(at, intent),
            Act::Forget { host, .. } => {
                if self.ours(at) {
                    self.rows.intents.retain(|(intent, _, _)| intent.host != host);
                    self.rows.sent.retain(|(sent, _, _)| sent.host != host);
                }
            }
            Act::PowerOff { host, .. } => self.order_off(at, self.index(&host)),
            Act::FenceStorage { host } => {
                let host = self.index(&host);
                self.hosts[host].refused = self.hosts[host].storage;
            }
            Act::AllowStorage { host } => {
                let host = self.index(&host);
                self.hosts[host].refused = false;
            }
            Act::MarkDown { host, reason, .. } => self.request(Effect::MarkDown(self.index(&host), reason)),
            Act::Disable { host, reason, .. } => self.request(Effect::Disable(self.index(&host), reason)),
            Act::Evacuate(sent) => self.send(at, sent),
            Act::PowerOn { host } => {
                let host = self.index(&host);
                self.engines[at].off[host] = None;
                let delay = self.hosts[host].bmc.delay_ms;
                self.once(delay, Effect::On(host));
            }
            Act::RestartCompute { host } => {
                let host = self.index(&host);
                self.engines[at].restarted[host] = Some(self.now);
                self.restart_compute(host);
            }
            Act::RestartVm { vm, .. } => {
                let vm = self.guests.iter().position(|g| g.server.vm == vm).unwrap();
                if self.api() {
                    self.start_guest(vm);
                }
            }
            Act::ForceUp { host, .. } => self.request(Effect::ForceUp(self.index(&host))),
            Act::Enable {
                host, stays_disabled, ..
            } => {
                self.request(Effect::Enable(self.index(&host), stays_disabled));
            }
            Act::Tell { .. } => {}
        }
    }

    fn claim(&mut self, at: usize, above: u64) {
        if self.store(at) && self.epoch().unwrap_or(0) == above {
            let engine = &mut self.engines[at];
            engine.held = Some(above + 1);
            let controller = format!("c{}", engine.controller + 1).into();
            self.rows.leader = Some(Leader {
                epoch: above + 1,
                controller,
            });
        }
    }

    fn write(&mut self, at: usize, intent: Intent) {
        if !self.ours(at) {
            return;
        }
        let now = self.now;
        let mut rows = self.rows.intents.iter_mut();
        if let Some(row) = rows.find(|row| row.0.host == intent.host) {
            let phase_at = if row.0.phase == intent.phase { row.1 } else { now };
            *row = (intent, phase_at, row.2);
        } else {
            self.rows.intents.push((intent, now, now));
            self.rows.opened.push(now);
        }
    }

    /// The intent is read once more, then the device is told.
    fn order_off(&mut self, at: usize, host: usize) {
        let name = &self.hosts[host].name;
        let phases = [Phase::Fencing, Phase::Refencing];
        let stands = self
            .rows
            .intents
            .iter()
            .any(|r| r.0.host == *name && phases.contains(&r.0.phase));
        if !self.ours(at) || !stands || self.engines[at].ordered[host].is_some() {
            return;
        }
        self.engines[at].ordered[host] = self.engines[at].held;
        let number = self.engines[at].number;
        let delay = self.hosts[host].bmc.delay_ms;
        self.later(delay, Effect::Off(host, number));
    }

    /// The row first; the request only if the insert was new.
    fn send(&mut self, at: usize, sent: Sent) {
        let exists = self
            .rows
            .sent
            .iter()
            .any(|row| row.0.vm == sent.vm && row.0.epoch == sent.epoch);
        if !self.ours(at) || exists {
            return;
        }
        self.rows.sent.push((sent.clone(), Answer::Unknown, self.now));
        if self.engines[at].dies() {
            return;
        }
        let number = self.engines[at].number;
        let delay = self.delay();
        if let Some(delay) = delay {
            self.later(delay, Effect::Evacuate(sent, number));
        }
    }

    /// Time until a request arrives; none when it is lost.
    fn delay(&mut self) -> Option<u64> {
        if !self.api() || (self.now < self.failing.lost && self.rng.chance(50)) {
            return None;
        }
        let slow = self.now < self.failing.slow;
        Some(if slow {
            self.rng.between(1_000, 9_000)
        } else {
            self.rng.between(50, 400)
        })
    }

    fn request(&mut self, effect: Effect) {
        if let Some(delay) = self.delay() {
            self.once(delay, effect);
        }
    }

    /// A request that is on its way is not repeated.
    fn once(&mut self, after: u64, effect: Effect) {
        if !self.pending.iter().any(|(_, e)| *e == effect) {
            self.later(after, effect);
        }
    }

    /// Engines and observer of a controller end with it.
    pub fn controller_dies(&mut self, controller: usize) {
        self.controllers[controller].down = true;
        for engine in self.engines.iter_mut().filter(|e| e.controller == controller) {
            engine.ended = true;
        }
        debug_assert!(controller < CONTROLLERS);
    }
}

fn in_short(decision: &Decision) -> String {
    let mut out: Vec<String> = decision.idle.iter().cloned().collect();
    out.extend(
        decision
            .acts
            .iter()
            .filter(|a| !matches!(a, Act::Tell { .. }))
            .map(|act| format!("{act:?}")),
    );
    out.extend(
        decision
            .hosts
            .iter()
            .map(|v| format!("{} {:?} {}", v.host, v.is, v.why)),
    );
    out.extend(
        decision
            .vms
            .iter()
            .map(|v| format!("{} {:?} {}", v.vm, v.step, v.why)),
    );
    out.extend(
        decision
            .brakes
            .iter()
            .map(|b| format!("{:?} {} {}", b.brake, b.released, b.why)),
    );
    out.join("\n           ")
}
