//! Nova as seen on real hosts: its records, and what it does with requests.
//!
//! A second evacuation is accepted; a record that is done is completed by the start of the
//! source's nova-compute alone, one a VM; a rebuild that its target did not take yet waits
//! in the target's queue; a host whose nova-compute starts ends its evacuated guests.

use super::machine::NEVER;
use super::world::{Effect, World};
use crate::{GuestPower, Migration, MigrationKind, Name, Progress, Sent, Server, VmState};

/// One VM: its record, and where copies of it run.
#[derive(Clone, Debug)]
pub struct Guest {
    pub server: Server,
    pub host: usize,
    /// Hosts on which a copy runs, one bit each.
    pub copies: u32,
    pub deleted: bool,
}

/// One migration with the indices of its hosts.
#[derive(Clone, Debug)]
pub struct Move {
    pub record: Migration,
    pub vm: usize,
    pub source: usize,
    pub dest: usize,
    pub at: u64,
    /// Boot of the destination when it began.
    pub dest_boot: usize,
}

/// Record of one compute service.
#[derive(Clone, Debug)]
pub struct Service {
    pub id: Name,
    pub forced: bool,
    pub enabled: bool,
    pub reason: Option<String>,
}

impl Move {
    fn is_open(&self, kind: MigrationKind) -> bool {
        self.record.kind == kind && self.record.progress == Progress::Open
    }
}

impl World {
    /// An open evacuation of the VM whose target has not died since.
    pub fn in_flight(&self, vm: usize) -> bool {
        self.moves
            .iter()
            .any(|m| m.vm == vm && m.is_open(MigrationKind::Evacuation) && self.dest_lives(m))
    }

    pub fn dest_lives(&self, m: &Move) -> bool {
        let dest = &self.hosts[m.dest];
        // What the storage refuses cannot be a second copy, whatever its device says.
        dest.on && !dest.refused && dest.boot == m.dest_boot
    }

    pub fn vm(&self, sent: &Sent) -> usize {
        self.guests.iter().position(|g| g.server.vm == sent.vm).unwrap()
    }

    /// Nova's answer to an evacuation; `person` is one that no engine sent.
    pub fn evacuate(&mut self, vm: usize, target: usize, person: bool) -> Result<(), String> {
        let source = self.guests[vm].host;
        if self.guests[vm].deleted {
            return Err("404".to_owned());
        }
        if !self.services[source].forced {
            return Err("400 the service is up".to_owned());
        }
        let state = &self.guests[vm].server.state;
        if !matches!(state, VmState::Active | VmState::Stopped | VmState::Error) || source == target {
            return Err("409".to_owned());
        }
        if self.in_flight(vm) && !person {
            self.broken(format!(
                "two evacuations of {} in flight",
                self.guests[vm].server.vm
            ));
        }
        self.guests[vm].server.task = Some("rebuilding".to_owned());
        let at = self.begin(vm, MigrationKind::Evacuation, target);
        let claim = self.rng.between(300, 1_500);
        self.later(claim, Effect::Spawn(at));
        Ok(())
    }

    fn begin(&mut self, vm: usize, kind: MigrationKind, dest: usize) -> usize {
        let source = self.guests[vm].host;
        let record = Migration {
            id: self.moves.len() as u64 + 1,
            vm: self.guests[vm].server.vm.clone(),
            kind,
            source: self.hosts[source].name.clone(),
            dest: Some(self.hosts[dest].name.clone()),
            progress: Progress::Open,
            age_ms: 0,
        };
        let dest_boot = self.hosts[dest].boot;
        self.moves.push(Move {
            record,
            vm,
            source,
            dest,
            at: self.now,
            dest_boot,
        });
        self.moves.len() - 1
    }

    /// The target takes the rebuild from its queue.
    pub fn spawn(&mut self, at: usize) {
        let (vm, dest) = (self.moves[at].vm, self.moves[at].dest);
        if !self.hosts[dest].compute(self.now) {
            self.queued.push(at);
            return;
        }
        let rebuilding = self.guests[vm].server.task.as_deref() == Some("rebuilding");
        let exists = self.guests[vm].copies & (1 << dest) != 0;
        let agent = self.now >= self.hosts[dest].agent_at;
        if self.guests[vm].deleted || !rebuilding || exists || !agent {
            self.moves[at].record.progress = Progress::Failed;
            let server = &mut self.guests[vm].server;
            server.state = VmState::Error;
            server.task = None;
            return;
        }
        self.guests[vm].copies |= 1 << dest;
        self.apart(vm, dest);
        let build = if self.now < self.slow_builds {
            self.rng.between(8_000, 40_000)
        } else {
            self.rng.between(800, 4_000)
        };
        let boot = self.hosts[dest].boot;
        self.later(build, Effect::Finish(at, boot));
    }

    /// The rebuild is over: the VM is on its target.
    pub fn finish(&mut self, at: usize, boot: usize) {
        let (vm, dest) = (self.moves[at].vm, self.moves[at].dest);
        if !self.hosts[dest].on || self.hosts[dest].boot != boot {
            return;
        }
        if self.hosts[dest].hung || self.hosts[dest].isolated() {
            self.later(1_000, Effect::Finish(at, boot));
            return;
        }
        self.moves[at].record.progress = Progress::Done;
        self.place(vm, dest);
    }

    fn place(&mut self, vm: usize, dest: usize) {
        let name = self.hosts[dest].name.clone();
        let guest = &mut self.guests[vm];
        guest.host = dest;
        guest.server.host = name;
        guest.server.state = VmState::Active;
        guest.server.power = GuestPower::Running;
        guest.server.task = None;
    }

    /// nova-compute starts: guests that were evacuated from here end, one record a VM is over.
    pub fn compute_starts(&mut self, host: usize) {
        self.hosts[host].compute_began = true;
        let mut cleaned = 0u32;
        for at in (0..self.moves.len()).rev() {
            let m = &self.moves[at];
            let unfinished = matches!(m.record.progress, Progress::Open | Progress::Done);
            let ours = m.source == host && m.record.kind == MigrationKind::Evacuation && unfinished;
            if !ours || cleaned & (1 << m.vm) != 0 {
                continue;
            }
            cleaned |= 1 << m.vm;
            let vm = m.vm;
            self.moves[at].record.progress = Progress::Completed;
            self.guests[vm].copies &= !(1 << host);
        }
        for at in 0..self.guests.len() {
            let (on, runs) = (
                self.guests[at].host == host,
                self.guests[at].copies & (1 << host) != 0,
            );
            if !on || self.guests[at].deleted {
                continue;
            }
            let server = &mut self.guests[at].server;
            if server.power == GuestPower::Running && !runs {
                server.power = GuestPower::Shutdown;
            }
            // The record of a live migration that was cut stays open for ever.
            let live = server.task.as_deref() == Some("migrating");
            if live {
                server.task = None;
            }
        }
    }

    /// A guest starts on the host that Nova has it on: a restart by the engine or a user.
    pub fn start_guest(&mut self, vm: usize) {
        let host = self.guests[vm].host;
        let idle = self.guests[vm].server.task.is_none() && !self.guests[vm].deleted;
        if idle && self.hosts[host].compute(self.now) && self.hosts[host].compute_began {
            self.guests[vm].copies |= 1 << host;
            self.guests[vm].server.power = GuestPower::Running;
        }
    }

    /// A live migration begins, if Nova would let it.
    pub fn migrate(&mut self, vm: usize, dest: usize) {
        let guest = &self.guests[vm];
        let source = guest.host;
        let idle = guest.server.task.is_none() && guest.server.state == VmState::Active && !guest.deleted;
        let up = self.hosts[source].compute(self.now) && self.hosts[dest].compute(self.now);
        let running = guest.copies == 1 << source && !self.services[source].forced;
        let group = guest.server.apart.as_ref().map(|a| &a.group);
        let apart = group.is_none_or(|group| {
            let same = |g: &&Guest| g.server.apart.as_ref().is_some_and(|a| a.group == *group);
            self.guests.iter().filter(same).all(|g| g.host != dest)
        });
        if !idle || !up || !running || !apart || source == dest || self.free(dest) < guest.server.ram_mb {
            return;
        }
        self.guests[vm].server.task = Some("migrating".to_owned());
        let at = self.begin(vm, MigrationKind::Live, dest);
        self.later(2_500, Effect::Switch(at));
    }

    /// The guest goes over; Nova learns it later.
    pub fn switch(&mut self, at: usize) {
        let (vm, source, dest) = (self.moves[at].vm, self.moves[at].source, self.moves[at].dest);
        let (from, to) = (&self.hosts[source], &self.hosts[dest]);
        let lives = from.kernel(self.now) && !from.isolated() && to.compute(self.now);
        let here = self.guests[vm].copies & (1 << source) != 0;
        if !lives || !here || self.moves[at].record.progress != Progress::Open {
            if from.compute(self.now) {
                self.moves[at].record.progress = Progress::Failed;
                self.guests[vm].server.task = None;
            }
            return;
        }
        self.guests[vm].copies = 1 << dest;
        self.later(1_500, Effect::Moved(at));
    }

    /// The source tells Nova that the guest went over.
    pub fn moved(&mut self, at: usize) {
        let (vm, source, dest) = (self.moves[at].vm, self.moves[at].source, self.moves[at].dest);
        if self.hosts[source].on && self.hosts[source].hung {
            self.later(1_000, Effect::Moved(at));
            return;
        }
        if self.hosts[source].kernel(self.now) && self.moves[at].record.progress == Progress::Open {
            self.moves[at].record.progress = Progress::Completed;
            self.place(vm, dest);
        }
    }

    /// Memory that is left on a host, evacuations to it counted.
    pub fn free(&self, host: usize) -> u64 {
        let on = self.guests.iter().filter(|g| g.host == host && !g.deleted);
        let coming = self
            .moves
            .iter()
            .filter(|m| m.dest == host && m.record.progress == Progress::Open);
        let coming = coming.map(|m| self.guests[m.vm].server.ram_mb);
        let used: u64 = on.map(|g| g.server.ram_mb).chain(coming).sum();
        self.hosts[host].ram.saturating_sub(used)
    }

    /// Nova takes the service for up.
    pub fn service_up(&self, host: usize) -> bool {
        !self.services[host].forced && self.now - self.hosts[host].report_at < 20_000
    }

    /// Ends the copies on a host whose power or kernel ended.
    pub fn guests_end(&mut self, host: usize) {
        for guest in &mut self.guests {
            guest.copies &= !(1 << host);
        }
    }

    pub fn restart_compute(&mut self, host: usize) {
        let now = self.now;
        let machine = &mut self.hosts[host];
        if machine.kernel(now) && !machine.isolated() && machine.compute_at != now + 1_500 {
            machine.compute_at = now + 1_500;
            machine.compute_began = false;
        }
    }

    pub fn stop_compute(&mut self, host: usize) {
        self.hosts[host].compute_at = NEVER;
        self.hosts[host].compute_began = false;
    }
}
