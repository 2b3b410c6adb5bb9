//! VM hosts: power, kernel, heartbeats, fence device.

use crate::{BootId, HostId};

pub const CONTROLLERS: usize = 3;
pub const NETS: usize = 2;
pub const NEVER: u64 = u64::MAX;

/// Fence device of a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bmc {
    /// It does not answer.
    pub dead: bool,
    /// It says off after an order that it did not follow.
    pub lies: bool,
    /// It says off until the next order, whatever is true.
    pub stale: bool,
    /// Milliseconds from an order to its effect.
    pub delay_ms: u64,
}

/// Last words of a host about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Word {
    pub at: u64,
    pub boot: usize,
    pub hangs: bool,
    pub compute_dead: bool,
    pub kdump: bool,
}

/// One VM host.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub struct Machine {
    pub name: HostId,
    pub on: bool,
    pub hung: bool,
    /// Number of the boot; `boots` has the ids.
    pub boot: usize,
    pub boots: Vec<BootId>,
    pub ready_at: u64,
    pub compute_at: u64,
    /// nova-compute began since it was last stopped, and has cleaned up.
    pub compute_began: bool,
    pub agent_at: u64,
    pub sender: bool,
    pub hangs: bool,
    pub kdump: bool,
    pub cut: [[bool; NETS]; CONTROLLERS],
    pub heard: [[(u64, usize); NETS]; CONTROLLERS],
    /// It was silent when the controller's table stood still.
    pub stood: [bool; CONTROLLERS],
    pub word: Word,
    pub bmc: Bmc,
    /// The storage can refuse it.
    pub storage: bool,
    pub refused: bool,
    pub proved: bool,
    pub rack: usize,
    pub ram: u64,
    /// Time since when it is neither off nor hung and its paths to most controllers work.
    pub healthy_at: u64,
    pub report_at: u64,
}

impl Machine {
    pub fn new(number: usize, now: u64) -> Self {
        let name = format!("n{number}");
        Self {
            name: name.as_str().into(),
            on: true,
            hung: false,
            boot: 0,
            boots: (0..24).map(|boot| format!("{name}-boot-{boot}").into()).collect(),
            ready_at: 0,
            compute_at: 0,
            compute_began: true,
            agent_at: 0,
            sender: true,
            hangs: false,
            kdump: false,
            cut: [[false; NETS]; CONTROLLERS],
            heard: [[(now, 0); NETS]; CONTROLLERS],
            stood: [false; CONTROLLERS],
            word: Word {
                at: now,
                ..Word::default()
            },
            bmc: Bmc {
                delay_ms: 300,
                ..Bmc::default()
            },
            storage: false,
            refused: false,
            proved: true,
            rack: number,
            ram: 4_096,
            healthy_at: 0,
            report_at: now,
        }
    }

    /// Its kernel runs.
    pub fn kernel(&self, now: u64) -> bool {
        self.on && !self.hung && now >= self.ready_at
    }

    /// nova-compute runs and reaches its cloud.
    pub fn compute(&self, now: u64) -> bool {
        self.kernel(now) && now >= self.compute_at && !self.isolated()
    }

    /// No path to any controller works.
    pub fn isolated(&self) -> bool {
        self.cut.iter().flatten().all(|cut| *cut)
    }

    pub fn boot_id(&self) -> &BootId {
        &self.boots[self.boot]
    }

    /// Most controllers can reach it.
    pub fn healthy(&self, now: u64) -> bool {
        let reach = self.cut.iter().filter(|nets| nets.iter().any(|cut| !cut)).count();
        self.kernel(now) && reach * 2 > CONTROLLERS
    }

    pub fn power_off(&mut self) {
        self.on = false;
        self.hung = false;
        self.kdump = false;
        self.compute_began = false;
    }

    pub fn power_on(&mut self, now: u64, takes: u64) {
        if self.on {
            return;
        }
        self.on = true;
        self.boot = (self.boot + 1) % self.boots.len();
        self.ready_at = now + takes;
        self.compute_at = now + takes + 1_500;
        self.agent_at = now + takes + 2_500;
        self.compute_began = false;
        self.sender = true;
    }

    /// Heartbeats of this moment.
    pub fn beat(&mut self, now: u64) {
        if self.healthy(now) {
            self.healthy_at = self.healthy_at.min(now);
        } else {
            self.healthy_at = NEVER;
        }
        if !self.kernel(now) || !self.sender {
            return;
        }
        let mut any = false;
        for (cuts, heards) in self.cut.iter().zip(&mut self.heard) {
            for (cut, heard) in cuts.iter().zip(heards) {
                if !cut {
                    *heard = (now, self.boot);
                    any = true;
                }
            }
        }
        if any {
            self.word = Word {
                at: now,
                boot: self.boot,
                hangs: self.hangs,
                compute_dead: now < self.compute_at,
                kdump: self.kdump,
            };
        }
    }
}
