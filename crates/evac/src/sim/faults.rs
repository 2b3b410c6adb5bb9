//! Faults strike and heal.

use super::draw::Fault;
use super::machine::{CONTROLLERS, NETS, NEVER, Word};
use super::world::{Effect, World};
use crate::{Confirmed, MigrationKind, Progress, VmState};

impl World {
    pub fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Cut(_)
            | Fault::CutWithBmc(_)
            | Fault::CutTwo(_)
            | Fault::CutMost(_)
            | Fault::Hang(_)
            | Fault::Kdump(_)
            | Fault::Reboots(_)
            | Fault::PowerOn(_) => self.strike_host(fault),
            Fault::BmcDead(h) => self.hosts[h].bmc.dead = true,
            // A lie about a silent host is caught by the storage's refusal alone.
            Fault::BmcLies(h) => self.hosts[h].bmc.lies = self.hosts[h].storage,
            Fault::BmcStale(h) => self.hosts[h].bmc.stale = true,
            Fault::BmcSlow(h) => self.hosts[h].bmc.delay_ms = 6_000,
            Fault::SenderDies(h) => self.hosts[h].sender = false,
            Fault::ComputeDies(h) => self.stop_compute(h),
            Fault::AgentDies(h) => self.hosts[h].agent_at = NEVER,
            Fault::Delete(_) | Fault::Resize(_) | Fault::Migrate(..) | Fault::UserStarts(_) => {
                self.user(fault);
            }
            Fault::PersonEvacuates => {
                self.failing.migrations = self.now + 10_000;
                self.later(1_500, Effect::Person);
            }
            Fault::OldConfirm(h) => {
                self.hosts[h].bmc.dead = true;
                self.confirm(h, "long-ago".into());
            }
            Fault::Confirm(h) => {
                if !self.hosts[h].on {
                    let boot = self.hosts[h].boot_id().clone();
                    self.confirm(h, boot);
                }
            }
            Fault::Released => self.rows.released_until = self.now + 30_000,
            Fault::Paused => self.rows.paused = true,
            _ => {
                self.paths(fault, true);
                self.engine_faults(fault);
            }
        }
    }

    fn confirm(&mut self, host: usize, boot: crate::BootId) {
        let host = self.hosts[host].name.clone();
        self.rows.confirmed.push(Confirmed {
            host,
            boot: Some(boot),
        });
    }

    fn cut_power(&mut self, host: usize) {
        self.hosts[host].power_off();
        self.guests_end(host);
    }

    fn strike_host(&mut self, fault: Fault) {
        let (now, hosts) = (self.now, self.hosts.len());
        match fault {
            Fault::Cut(h) => self.cut_power(h),
            Fault::CutWithBmc(h) => {
                self.cut_power(h);
                self.hosts[h].bmc.dead = true;
            }
            Fault::CutTwo(h) => {
                self.cut_power(h);
                self.cut_power((h + 1) % hosts);
            }
            Fault::CutMost(h) => (0..hosts).filter(|at| *at != h).for_each(|at| self.cut_power(at)),
            Fault::Hang(h) => self.hosts[h].hung = true,
            Fault::Kdump(h) if self.hosts[h].kernel(now) => {
                self.guests_end(h);
                let host = &mut self.hosts[h];
                (host.kdump, host.hung) = (true, true);
                if !host.isolated() {
                    let boot = host.boot;
                    host.word = Word {
                        at: now,
                        boot,
                        kdump: true,
                        ..host.word
                    };
                }
            }
            Fault::Reboots(h) => {
                self.cut_power(h);
                let takes = self.rng.between(3_000, 9_000);
                self.hosts[h].power_on(now, takes);
            }
            Fault::PowerOn(h) => {
                let takes = self.rng.between(2_000, 5_000);
                self.hosts[h].power_on(now, takes);
            }
            _ => {}
        }
    }

    /// Cuts of paths, and tables that stand still, begin or end.
    fn paths(&mut self, fault: Fault, cut: bool) {
        let every = |cuts: &mut [[bool; NETS]; CONTROLLERS]| *cuts = [[cut; NETS]; CONTROLLERS];
        match fault {
            Fault::Isolate(h) => every(&mut self.hosts[h].cut),
            Fault::NetGone(net) => self
                .hosts
                .iter_mut()
                .flat_map(|h| &mut h.cut)
                .for_each(|c| c[net] = cut),
            Fault::HalfPaths(h) => self.hosts[h].cut[h % CONTROLLERS] = [cut; NETS],
            Fault::HostLosesTunnel(h) => self.hosts[h].cut.iter_mut().for_each(|c| c[1] = cut),
            Fault::Blind(c) => self.hosts.iter_mut().for_each(|h| h.cut[c] = [cut; NETS]),
            Fault::TwoBlind => {
                self.rows.released_until = self.rows.released_until.max(self.now + 30_000);
                self.hosts
                    .iter_mut()
                    .for_each(|h| (h.cut[0], h.cut[1]) = ([cut; NETS], [cut; NETS]));
            }
            Fault::StorageGone(h) => {
                self.hosts.iter_mut().for_each(|h| h.hangs = cut);
                self.hosts[h].cut.iter_mut().for_each(|c| c[1] = cut);
            }
            Fault::StorageHangs(h) => {
                self.hosts[h].hangs = cut;
                self.hosts[h].cut.iter_mut().for_each(|c| c[1] = cut);
            }
            Fault::TableStands(c) if cut => self.stand(c),
            Fault::TwoTablesStand(h) if cut => {
                every(&mut self.hosts[h].cut);
                // Meanwhile nothing can be decided: the control plane is away.
                self.failing.api = self.failing.api.max(self.now + 4_500);
                self.later(3_500, Effect::Stand(h));
            }
            Fault::TableStands(c) => self.controllers[c].stale = None,
            Fault::TwoTablesStand(_) => {
                self.controllers[0].stale = None;
                self.controllers[1].stale = None;
            }
            _ => {}
        }
    }

    /// An observer's table stands still, with what its probes said last.
    pub fn stand(&mut self, controller: usize) {
        self.controllers[controller].stale = Some(self.now);
        for host in &mut self.hosts {
            host.stood[controller] = !host.kernel(self.now) || host.cut[controller].iter().all(|cut| *cut);
        }
    }

    /// Two tables stand still while a host is silent, which is back right after.
    pub fn two_stand(&mut self, host: usize) {
        self.stand(0);
        self.stand(1);
        self.hosts[host].cut = [[false; NETS]; CONTROLLERS];
    }

    fn engine_faults(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::ControllerDies(c) => {
                self.controller_dies(c);
                self.stand(c);
            }
            Fault::EngineDies(steps) => self.engines.iter_mut().for_each(|e| e.dies_in = Some(steps)),
            Fault::Partition(c, store) => self.controllers[c].alone = Some((now, store)),
            Fault::SecondEngine => {
                let runs = self.engines.first().map_or(0, |e| e.controller);
                self.begin_engine((runs + 1) % CONTROLLERS);
            }
            Fault::Freeze => self.engines.iter_mut().for_each(|e| e.late = 3_000),
            Fault::StoreDown => self.failing.store = NEVER,
            Fault::ApiDown => self.failing.api = NEVER,
            Fault::ApiSlow => self.failing.slow = NEVER,
            Fault::RequestsLost => self.failing.lost = NEVER,
            Fault::MigrationsUnknown => self.failing.migrations = NEVER,
            Fault::ListsUnknown => self.failing.lists = NEVER,
            Fault::NoScheduler => self.failing.scheduler = NEVER,
            Fault::SlowBuilds => self.slow_builds = NEVER,
            _ => {}
        }
    }

    fn user(&mut self, fault: Fault) {
        match fault {
            Fault::Delete(v) => {
                self.guests[v].deleted = true;
                self.guests[v].copies = 0;
            }
            Fault::Resize(v) => {
                let up = self.hosts[self.guests[v].host].compute(self.now);
                let server = &mut self.guests[v].server;
                if up && server.task.is_none() && server.state == VmState::Active {
                    server.state = VmState::Resized;
                }
            }
            Fault::Migrate(v, dest) => self.migrate(v, dest),
            Fault::UserStarts(v) if !self.requested(v) => self.start_guest(v),
            _ => {}
        }
    }

    /// An evacuation of the VM is on its way to Nova, or a migration of it never ended.
    fn requested(&self, vm: usize) -> bool {
        let name = &self.guests[vm].server.vm;
        let mut pending = self.pending.iter();
        let open = |m: &super::cloud::Move| m.vm == vm && m.record.progress == Progress::Open;
        pending.any(|(_, e)| matches!(e, Effect::Evacuate(sent, _) if sent.vm == *name))
            || self
                .moves
                .iter()
                .any(|m| open(m) && m.record.kind == MigrationKind::Live)
    }

    /// A person evacuates a VM that no engine has sent yet.
    pub fn person(&mut self) {
        let free = |vm: usize| {
            let guest = &self.guests[vm];
            let plain =
                guest.server.apart.is_none() && guest.server.unprotected.is_empty() && guest.copies == 0;
            let sent = self.rows.sent.iter().any(|row| row.0.vm == guest.server.vm);
            plain && !sent && !self.requested(vm) && !self.in_flight(vm) && self.services[guest.host].forced
        };
        let vm = (0..self.guests.len()).find(|vm| free(*vm));
        let takes = |host: usize| {
            let agent = self.now >= self.hosts[host].agent_at;
            self.hosts[host].compute(self.now)
                && self.free(host) >= 256
                && agent
                && !self.services[host].forced
        };
        let host = (0..self.hosts.len()).find(|host| takes(*host));
        if let (Some(vm), Some(host), true) = (vm, host, self.now < self.failing.migrations) {
            let _ = self.evacuate(vm, host, true);
        }
    }

    pub fn heal(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::CutWithBmc(h) | Fault::BmcDead(h) | Fault::OldConfirm(h) => self.hosts[h].bmc.dead = false,
            Fault::BmcLies(h) => self.hosts[h].bmc.lies = false,
            Fault::BmcStale(h) => self.hosts[h].bmc.stale = false,
            Fault::BmcSlow(h) => self.hosts[h].bmc.delay_ms = 300,
            Fault::SenderDies(h) => self.hosts[h].sender = true,
            Fault::AgentDies(h) if self.hosts[h].agent_at == NEVER => self.hosts[h].agent_at = now,
            Fault::Hang(h) if !self.hosts[h].kdump => self.hosts[h].hung = false,
            Fault::Kdump(h) if self.hosts[h].kdump => {
                self.hosts[h].power_off();
                self.hosts[h].power_on(now, 4_000);
            }
            Fault::ControllerDies(c) => {
                self.controllers[c].down = false;
                self.controllers[c].stale = None;
                self.controllers[c].since = now;
            }
            Fault::Partition(c, _) => {
                self.controllers[c].alone = None;
                let others = self.engines.iter().any(|e| e.controller != c);
                let mut engines = self.engines.iter_mut();
                if let Some(engine) = engines.find(|e| e.controller == c && others) {
                    engine.ended = true;
                }
            }
            Fault::StoreDown => self.failing.store = 0,
            Fault::ApiDown => self.failing.api = 0,
            Fault::ApiSlow => self.failing.slow = 0,
            Fault::RequestsLost => self.failing.lost = 0,
            Fault::MigrationsUnknown => self.failing.migrations = 0,
            Fault::ListsUnknown => self.failing.lists = 0,
            Fault::NoScheduler => self.failing.scheduler = 0,
            Fault::SlowBuilds => self.slow_builds = 0,
            Fault::Paused => self.rows.paused = false,
            _ => self.paths(fault, false),
        }
    }

    /// All faults are over: a person releases the brakes, and switches on what nobody may fence.
    pub fn settle(&mut self) {
        self.rows.released_until = NEVER;
        let all_dead = self.hosts.iter().all(|host| !host.on);
        for at in 0..self.hosts.len() {
            let intent = self
                .rows
                .intents
                .iter()
                .any(|row| row.0.host == self.hosts[at].name);
            if !self.hosts[at].on && (all_dead || (!intent && !self.hosts[at].proved)) {
                self.hosts[at].power_on(self.now, 3_000);
            }
        }
    }
}
