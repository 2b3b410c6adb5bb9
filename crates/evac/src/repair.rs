//! Repairs of hosts that live: a dead nova-compute, failed VMs, records left behind.
//!
//! Not for hosts that have an intent.

use wire::Fact;

use crate::decision::{Act, HostIs};
use crate::guard::Guard;
use crate::nova::{GuestPower, Progress, Server, VmState};
use crate::round::Round;
use crate::rows::{Intent, Phase};
use crate::seen::HostSeen;
use crate::suspect::{Watch, is_ours};

/// VMs that are restarted in one round, at most.
const VMS_A_ROUND: usize = 8;

impl<'a> Round<'a> {
    /// Repairs of all hosts that are heard.
    pub(crate) fn repair(&mut self) {
        let mut vms = 0;
        for (at, host) in self.seen.hosts.iter().enumerate() {
            // A host that is heard on some networks can be told to restart it.
            let well = matches!(self.watches.get(at), Some(Watch::Well | Watch::Partial(_)));
            if !well || (is_plain(host) && !has_servers(host)) || self.intent(&host.host).is_some() {
                continue;
            }
            self.compute(host);
            self.restart_vms(host, &mut vms);
        }
    }

    fn compute(&mut self, host: &HostSeen) {
        let Fact::Known(compute) = &host.compute else {
            return;
        };
        if compute.forced_down && is_ours(compute) {
            // An order that was late, or a store that was lost: the way back is walked again.
            let why = "forced down by the engine without an intent: brought back".to_owned();
            self.act(Act::Write(Intent {
                host: host.host.clone(),
                boot: None,
                epoch: self.epoch,
                phase: Phase::Returning,
                why,
                proof: None,
                disabled_before: None,
            }));
            return;
        }
        let dead = host.says.as_ref().is_some_and(|says| says.compute_dead);
        let hung = !compute.up && !compute.forced_down && self.unwell().is_none();
        if !dead && !hung {
            return;
        }
        let why = if dead {
            "its nova-compute does not run"
        } else {
            "its nova-compute does not report"
        };
        self.verdict(
            &host.host,
            HostIs::Ailing,
            format!("{why}; the host is alive, no VM is touched"),
        );
        self.tell(&host.host, "nova-compute", format!("{why}: restarted"));
        if self.may_restart(host) {
            self.act(Act::RestartCompute {
                host: host.host.clone(),
            });
        }
    }

    fn restart_vms(&mut self, host: &'a HostSeen, count: &mut usize) {
        let Fact::Known(servers) = &host.servers else {
            return;
        };
        let again = self.policy.vm_again_ms;
        for server in servers.iter().filter(|server| failed(server)) {
            if *count >= VMS_A_ROUND || server.restarted_ms.is_some_and(|ms| ms <= again) {
                continue;
            }
            if let Err(why) = self.may_start(server) {
                let message = format!("VM {} is not started again: {why}", server.vm);
                self.tell(&host.host, &format!("{} stays off", server.vm), message);
                continue;
            }
            *count += 1;
            self.act(Act::RestartVm {
                vm: server.vm.clone(),
                host: host.host.clone(),
            });
        }
    }
}

impl Round<'_> {
    /// A VM whose migration never ended may run elsewhere, whatever its record says.
    fn may_start(&self, server: &Server) -> Result<(), String> {
        if !self.on(Guard::RestartKnown) {
            return Ok(());
        }
        let Fact::Known(migrations) = &self.seen.migrations else {
            return Err("Nova's migrations are unknown".to_owned());
        };
        let mut own = migrations.iter().filter(|m| m.vm == server.vm);
        match own.find(|m| m.progress == Progress::Open) {
            Some(open) => Err(format!("migration {} of it is open", open.id)),
            None => Ok(()),
        }
    }
}

/// Nothing about the host calls for a repair.
fn is_plain(host: &HostSeen) -> bool {
    let quiet = host.says.as_ref().is_none_or(|says| !says.compute_dead);
    quiet && matches!(&host.compute, Fact::Known(c) if c.up && !c.forced_down)
}

fn has_servers(host: &HostSeen) -> bool {
    matches!(&host.servers, Fact::Known(servers) if !servers.is_empty())
}

/// The VM should run, does not, and a restart is asked for.
fn failed(server: &Server) -> bool {
    let idle = server.task.is_none() && server.restart;
    idle && server.state == VmState::Active && server.power == GuestPower::Shutdown
}
