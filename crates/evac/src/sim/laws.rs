//! The laws: looked at in every round, at every act, and at the end.

use super::cloud::Guest;
use super::machine::{CONTROLLERS, Machine};
use super::world::{ROUND, World};
use crate::decision::{Act, Decision, VmStep};
use crate::{Intent, MigrationKind, Phase, Progress, Proof, Seen, Sent, VmState};

/// Messages that were told, and what the last decisions said.
#[derive(Default)]
pub struct Told {
    pub keys: std::collections::BTreeSet<String>,
    /// The last decision of an engine wanted nothing.
    pub calm: bool,
}

fn is_live(m: &super::cloud::Move) -> bool {
    m.record.kind == MigrationKind::Live && m.record.progress == Progress::Open
}

impl World {
    fn must(&mut self, holds: bool, law: impl FnOnce() -> String) {
        if !holds {
            self.broken(law());
        }
    }

    /// Never two running copies; copies that the storage refuses cannot write.
    pub fn copies(&mut self) {
        let mut refused = 0u32;
        for (at, host) in self.hosts.iter().enumerate() {
            refused |= u32::from(host.refused) << at;
        }
        for at in 0..self.guests.len() {
            let copies = (self.guests[at].copies & !refused).count_ones();
            if copies > 1 {
                let vm = self.guests[at].server.vm.clone();
                self.broken(format!("{copies} copies of {vm} run"));
            }
        }
    }

    /// Laws about a decision as a whole.
    pub fn look_at(&mut self, at: usize, seen: &Seen, decision: &Decision) {
        let messages = decision.acts.iter().filter_map(|act| match act {
            Act::Tell { key, .. } => Some(key.clone()),
            _ => None,
        });
        self.told.keys.extend(messages);
        let quiet = decision.acts.is_empty() && decision.hosts.is_empty() && decision.vms.is_empty();
        self.told.calm = quiet && decision.idle.is_none();
        let works = decision
            .acts
            .iter()
            .any(|act| !matches!(act, Act::Tell { .. } | Act::Claim { .. } | Act::StandDown { .. }));
        if works {
            let engine = &self.engines[at];
            let (quorate, held) = (self.quorate(engine.controller), engine.held);
            let late = seen.engine.late_ms <= self.policy.late_ms;
            let (epoch, paused) = (self.epoch(), self.rows.paused);
            self.must(quorate, || "an engine without quorum acts".to_owned());
            self.must(held == epoch, || {
                format!("an engine of epoch {held:?} acts in {epoch:?}")
            });
            self.must(late, || "an engine acts in a round that was late".to_owned());
            self.must(!paused, || "a paused engine acts".to_owned());
        }
        self.order(decision);
        self.opened(decision);
        for act in &decision.acts {
            if let Act::Write(intent) = act
                && intent.phase == Phase::Returning
                && intent.proof.is_some()
            {
                self.all_placed(intent, decision);
            }
        }
    }

    fn order(&mut self, decision: &Decision) {
        let sent: Vec<i32> = decision
            .acts
            .iter()
            .filter_map(|act| match act {
                Act::Evacuate(sent) => Some(self.guests[self.vm(sent)].server.priority),
                _ => None,
            })
            .collect();
        let sorted = sent.windows(2).all(|pair| pair[0] >= pair[1]);
        self.must(sorted, || "a VM of lower priority is sent first".to_owned());
    }

    /// Brakes as laws: how many hosts may get an intent.
    fn opened(&mut self, decision: &Decision) {
        let new: Vec<usize> = decision
            .acts
            .iter()
            .filter_map(|act| match act {
                Act::Write(intent) if intent.phase == Phase::Fencing => Some(self.index(&intent.host)),
                _ => None,
            })
            .collect();
        if new.is_empty() {
            return;
        }
        let control = self.now >= self.failing.api && self.now >= self.failing.scheduler;
        self.must(control, || {
            "fencing begins while the control plane is unwell".to_owned()
        });
        if self.rows.released_until > self.now {
            return;
        }
        let begun = self
            .rows
            .intents
            .iter()
            .filter(|row| row.0.phase != Phase::Returning);
        let mut lost: Vec<usize> = begun.map(|row| self.index(&row.0.host)).collect();
        lost.extend(&new);
        let all = self.hosts.len() as u64;
        let share = lost.len() as u64 * 100 <= self.policy.hosts_percent * all;
        self.must(share, || {
            format!("{} of {all} hosts are to be fenced", lost.len())
        });
        for rack in 0..self.hosts.len() {
            let of = |h: &&usize| self.hosts[**h].rack == rack;
            let gone = lost.iter().filter(of).count() as u64;
            let members = self.hosts.iter().filter(|h| h.rack == rack).count() as u64;
            let share = gone < 2 || gone * 100 <= self.policy.domain_percent * members;
            self.must(share, || {
                format!("{gone} of {members} hosts of a rack are to be fenced")
            });
        }
        for parity in 0..2 {
            let here = |h: &usize| *h % 2 == parity;
            let gone = lost.iter().copied().filter(here).count() as u64;
            let members = (0..self.hosts.len()).filter(here).count() as u64;
            let share = gone < 2 || gone * 100 <= self.policy.domain_percent * members;
            self.must(share, || {
                format!("{gone} of {members} hosts of an aggregate are to be fenced")
            });
        }
        let heard = self
            .hosts
            .iter()
            .map(|h| h.heard.iter().flatten().map(|(at, _)| *at).max().unwrap_or(0));
        let fell: Vec<u64> = heard.filter(|at| at + 2_500 < self.now).collect();
        let (from, until) = (fell.iter().min(), fell.iter().max());
        let window = self.policy.cliff_ms;
        let together = until
            .zip(from)
            .is_some_and(|(until, from)| until - from <= window);
        let cliff = fell.len() > 2 && fell.len() as u64 * 100 >= self.policy.cliff_percent * all && together;
        self.must(!cliff, || {
            format!(
                "{} of {all} hosts fell silent together, and one is to be fenced",
                fell.len()
            )
        });
        let window = self.policy.rate_ms;
        let recent = self
            .rows
            .opened
            .iter()
            .filter(|at| self.now - **at < window)
            .count();
        let rate = (recent + new.len()) as u64 <= self.policy.rate_hosts;
        self.must(rate, || {
            format!("{recent} hosts were fenced, and {} more", new.len())
        });
    }

    /// All VMs are elsewhere or told as given up when their host may have power again.
    fn all_placed(&mut self, intent: &Intent, decision: &Decision) {
        let host = self.index(&intent.host);
        let left = |g: &&Guest| {
            let given_up = decision
                .vms
                .iter()
                .any(|v| v.vm == g.server.vm && v.step == VmStep::GivenUp);
            g.host == host && !g.deleted && !given_up
        };
        let left = self
            .guests
            .iter()
            .filter(left)
            .map(|g| g.server.vm.clone())
            .next();
        if let Some(vm) = left {
            self.broken(format!("{} returns while {vm} is on it", intent.host));
        }
        let open = self.moves.iter().any(|m| {
            let open = m.record.progress == Progress::Open && m.record.kind == MigrationKind::Evacuation;
            m.source == host && open && self.dest_lives(m) && self.now - m.at < self.policy.stuck_ms
        });
        self.must(!open, || {
            format!("{} returns while an evacuation is open", intent.host)
        });
    }

    /// Laws about one act, at the moment it is done.
    pub fn check_act(&mut self, at: usize, act: &Act) {
        match act {
            Act::PowerOff { host, .. } => self.check_off(self.index(host)),
            Act::Evacuate(sent) => self.check_evacuate(sent),
            Act::Write(intent) if intent.phase == Phase::Evacuating => self.check_proof(at, intent),
            Act::ForceUp { host, .. } => {
                let host = self.index(host);
                let left = self.moves.iter().any(|m| {
                    m.source == host
                        && m.record.kind == MigrationKind::Evacuation
                        && matches!(m.record.progress, Progress::Done | Progress::Open)
                });
                self.must(!left, || "forced up before it cleaned up".to_owned());
            }
            Act::Enable {
                host,
                stays_disabled: None,
                ..
            } => {
                let host = &self.hosts[self.index(host)];
                let agent = host.kernel(self.now) && self.now >= host.agent_at;
                self.must(agent, || "enabled without an L2 agent".to_owned());
            }
            _ => {}
        }
    }

    fn check_off(&mut self, host: usize) {
        let row = self
            .rows
            .intents
            .iter()
            .find(|row| row.0.host == self.hosts[host].name);
        let phase = row.map(|row| row.0.phase);
        let machine = &self.hosts[host];
        let (proved, name) = (machine.proved, machine.name.clone());
        let asked = (machine.hangs || machine.word.hangs)
            && self
                .policy
                .losses
                .iter()
                .any(|l| l.then == crate::Response::Fence);
        let dump = machine.kdump && machine.word.kdump && self.now - machine.word.at < self.policy.kdump_ms;
        // Nobody knows more than tables do, which may be as old as the policy allows.
        let old = self
            .controllers
            .iter()
            .any(|c| c.stale.is_some() || c.alone.is_some());
        let slack = if old { self.policy.observer_ms + ROUND } else { 0 };
        let healthy = machine.healthy(self.now) && machine.healthy_at.saturating_add(slack) <= self.now;
        let healthy = healthy || self.blind_to(host);
        let hanging = self
            .hosts
            .iter()
            .filter(|h| h.hangs && h.kernel(self.now) && h.sender && !h.isolated())
            .count();
        let confirmed = self.rows.confirmed.iter().any(|c| c.host == name);
        self.must(phase.is_some(), || format!("{name} is fenced without an intent"));
        self.must(proved || confirmed, || {
            format!("{name} is fenced and was never proved")
        });
        if phase == Some(Phase::Refencing) {
            return;
        }
        self.must(!healthy || asked, || format!("{name} is healthy and fenced"));
        let share = hanging as u64 * 100 >= self.policy.storage_percent * self.hosts.len() as u64;
        self.must(!healthy || hanging < 2 || !share, || {
            format!("{name} is fenced for a storage that is gone")
        });
        self.must(!dump, || format!("{name} is fenced while it writes its dump"));
    }

    /// The host is heard by all controllers that hear any host, and others hear none.
    fn blind_to(&self, host: usize) -> bool {
        // A host that anybody hears is given time; after it, blindness must have lasted.
        let row = self
            .rows
            .intents
            .iter()
            .find(|row| row.0.host == self.hosts[host].name);
        let young = row.is_some_and(|row| self.now - row.1 < self.policy.fence_ms);
        let deaf = |h: &Machine, c: usize| {
            let long = h.heard[c].iter().all(|(at, _)| at + 2_000 < self.now);
            long || (young && h.cut[c].iter().all(|cut| *cut))
        };
        let blind = |c: &usize| self.hosts.iter().all(|h| deaf(h, *c));
        let machine = &self.hosts[host];
        let (blind, others): (Vec<usize>, Vec<usize>) = (0..CONTROLLERS).partition(blind);
        let heard = |c: &usize| machine.cut[*c].iter().any(|cut| !cut) && self.fresh(*c);
        !blind.is_empty() && !others.is_empty() && machine.kernel(self.now) && others.iter().all(heard)
    }

    /// The controller's table is seen by all others.
    fn fresh(&self, controller: usize) -> bool {
        let c = &self.controllers[controller];
        !c.down && c.stale.is_none() && c.alone.is_none()
    }

    fn check_proof(&mut self, at: usize, intent: &Intent) {
        let host = self.index(&intent.host);
        if matches!(intent.proof, Some(Proof::PowerOff { .. })) {
            let answered = self.engines[at].off[host].is_some();
            self.must(answered, || "power off counts without our command".to_owned());
        }
    }

    fn check_evacuate(&mut self, sent: &Sent) {
        let (vm, source, target) = (self.vm(sent), self.index(&sent.host), self.index(&sent.target));
        let guest = &self.guests[vm];
        let name = guest.server.vm.clone();
        let local = !guest.server.unprotected.is_empty();
        let stage = guest.server.stage.clone();
        let from = &self.hosts[source];
        let runs = guest.copies & (1 << source) != 0 && !from.refused;
        let confirmed = self.rows.confirmed.iter().any(|c| c.host == from.name);
        let proved = from.proved || confirmed;
        let to = &self.hosts[target];
        let slack = if (0..CONTROLLERS).all(|c| self.fresh(c)) {
            1_500
        } else {
            3_500
        };
        let lives = to.healthy(self.now) || to.word.at + slack >= self.now;
        let agent = self.now >= to.agent_at;
        let forced = self.services[source].forced;
        let control = self.now >= self.failing.scheduler;
        let pinned = self.moves.iter().any(|m| {
            m.vm == vm
                && m.source == source
                && m.record.kind == MigrationKind::Live
                && m.record.progress == Progress::Open
                && m.dest != target
                && self.dest_lives(m)
        });
        let busy = self.busy();
        self.must(!local, || format!("{name} is not protected and is evacuated"));
        self.must(!runs, || format!("{name} runs on {} and is evacuated", sent.host));
        self.must(proved, || {
            format!("{name} is evacuated from a host that was never proved")
        });
        self.must(lives, || {
            format!("{name} is sent to {}, which is dead", sent.target)
        });
        self.must(agent, || {
            format!("{name} is sent to {}, which has no L2 agent", sent.target)
        });
        self.must(forced, || {
            format!("{name} is evacuated before Nova knows that its host is down")
        });
        self.must(control, || {
            format!("{name} is evacuated while no scheduler is up")
        });
        self.must(!pinned, || format!("{name} was migrating and is sent elsewhere"));
        self.must(busy < self.policy.at_once, || {
            format!("{busy} evacuations are under way")
        });
        let coming = self
            .moves
            .iter()
            .any(|m| m.vm == vm && m.dest == target && m.record.progress == Progress::Open);
        if !coming && self.free(target) < self.guests[vm].server.ram_mb {
            self.broken(format!("{name} is sent to {}, which has no room", sent.target));
        }
        if let Some(stage) = stage {
            self.check_stage(&name.to_string(), &stage);
        }
    }

    /// Evacuations that a VM still waits for.
    fn busy(&self) -> u64 {
        (0..self.guests.len())
            .filter(|vm| !self.guests[*vm].deleted && self.in_flight(*vm) && !self.is_stuck(*vm))
            .count() as u64
    }

    fn is_stuck(&self, vm: usize) -> bool {
        let own = self
            .moves
            .iter()
            .filter(|m| m.vm == vm && m.record.progress == Progress::Open);
        own.map(|m| self.now - m.at)
            .max()
            .is_some_and(|age| age > self.policy.stuck_ms)
    }

    fn check_stage(&mut self, name: &str, stage: &crate::Stage) {
        let dead = |g: &Guest| {
            let host = &self.hosts[g.host].name;
            self.rows
                .intents
                .iter()
                .any(|r| r.0.host == *host && r.0.phase == Phase::Evacuating && r.1 < self.now)
        };
        let earlier = self.guests.iter().find(|g| {
            let lower = g
                .server
                .stage
                .as_ref()
                .is_some_and(|s| s.group == stage.group && s.order < stage.order);
            let can =
                g.server.unprotected.is_empty() && matches!(g.server.state, VmState::Active) && !g.deleted;
            let told = self
                .told
                .keys
                .iter()
                .any(|key| key.ends_with(g.server.vm.as_str()));
            lower && can && !told && g.copies == 0 && dead(g)
        });
        let earlier = earlier.map(|g| g.server.vm.clone());
        self.must(earlier.is_none(), || {
            format!("{name} is sent before {earlier:?} of its group")
        });
    }

    /// Two VMs that are kept apart, where no migration under way has fixed the host, on one host, by an evacuation.
    pub fn apart(&mut self, vm: usize, dest: usize) {
        let group = |g: &Guest| g.server.apart.as_ref().map(|a| a.group.clone());
        let Some(own) = group(&self.guests[vm]) else {
            return;
        };
        // Only what Nova knows: a build that outlived its record is seen by nobody.
        let known = |at: usize, g: &Guest| {
            let coming =
                |m: &super::cloud::Move| m.vm == at && m.dest == dest && m.record.progress == Progress::Open;
            g.host == dest || self.moves.iter().any(coming)
        };
        let mut others = self.guests.iter().enumerate();
        let both = others.any(|(at, g)| {
            let runs = g.copies & (1 << dest) != 0 && !g.deleted;
            let chosen = self
                .moves
                .iter()
                .any(|m| m.vm == vm && m.dest == dest && is_live(m));
            at != vm && runs && !chosen && group(g).as_ref() == Some(&own) && known(at, g)
        });
        let name = self.guests[vm].server.vm.clone();
        self.must(!both, || {
            format!("{name} comes to a host with another of its group")
        });
    }
}
