//! VM hosts: their VMs as a number, and the commands that move them. A host that is worked
//! on while it has VMs, or while VMs may come to it, breaks a law.

use names::HostName;
use plan::{Plan, Refusal, Upkeep};
use render::{DesiredScript, UnitRun};
use wire::{Command, Op};

use crate::{Ended, Failure, Stop, World};

/// VMs of a host, and whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guests {
    /// The service lets VMs come.
    pub open: bool,
    /// VMs that run there.
    pub vms: u32,
}

impl World {
    /// Takes a host out of service and does something to it, as the verbs of `host` do; all but
    /// a drain also take it back.
    pub fn keep_up(&mut self, host: &str, upkeep: Upkeep, end: Stop) -> Ended {
        let away = plan::take_away(&self.desired, &self.observe(), host, upkeep);
        match self.turn(away, end) {
            Ended::Empty(_) if upkeep != Upkeep::Drain => self.resume(host, end),
            ended => ended,
        }
    }

    /// Takes a host back into service.
    pub fn resume(&mut self, host: &str, end: Stop) -> Ended {
        let back = plan::take_back(&self.desired, &self.observe(), host);
        self.turn(back, end)
    }

    fn turn(&mut self, plan: Result<Plan, Vec<Refusal>>, end: Stop) -> Ended {
        let plan = match plan {
            Ok(plan) => plan,
            Err(refusals) => return Ended::Refused(refusals),
        };
        let flaws = plan::lint(&plan, &self.desired);
        self.broken
            .extend(flaws.iter().map(|f| format!("{}: {}", f.step, f.what)));
        match self.follow(&plan, end) {
            Ok(true) => Ended::Empty(1),
            Ok(false) => Ended::Stopped,
            Err((step, why)) => Ended::Failed(step, why),
        }
    }

    /// Does a command of a host's upkeep; none for any other command.
    pub(crate) fn keeps_up(&mut self, host: &str, command: &Command) -> Option<Result<(), Failure>> {
        if let Some(errand) = self.errand(command) {
            return Some(self.run_errand(host, errand));
        }
        match command.unit.as_str() {
            "quorate-reboot" => Some(self.starts_anew(host)),
            "quorate-renew" => {
                self.is_worked_on(host, "given newer programs");
                Some(Ok(()))
            }
            _ => None,
        }
    }

    /// A host takes up newer packages.
    pub(crate) fn is_updated(&mut self, host: &str) {
        self.is_worked_on(host, "updated");
    }

    /// The command about a host's VMs that this is: the host, the script, and whether it empties.
    fn errand(&self, command: &Command) -> Option<(HostName, DesiredScript, bool)> {
        let is = |s: &DesiredScript| matches!(&s.op, Op::Run(known) if known.unit == command.unit);
        let all = self.desired.hosts.iter();
        let mut moves = all.flat_map(|(host, wanted)| {
            let moves = wanted.guests.iter().filter_map(|g| g.moves.as_ref());
            moves.flat_map(move |m| [(host, &m.empty, true), (host, &m.fill, false)])
        });
        let (host, script, empties) = moves.find(|(_, script, _)| is(script))?;
        Some((host.clone(), script.clone(), empties))
    }

    /// Does such a command, on a host that reaches the API.
    fn run_errand(
        &mut self,
        on: &str,
        (host, script, empties): (HostName, DesiredScript, bool),
    ) -> Result<(), Failure> {
        let mut apis = self
            .desired
            .apis
            .iter()
            .filter(|a| script.asks.contains(&a.service));
        if !script.hosts.iter().any(|h| h == on) || !apis.all(|a| self.answers(&a.resource, &a.service)) {
            return Err(format!("{on} cannot ask for {}", script.name));
        }
        if !empties {
            let wanted = self.desired.hosts.get(&host).into_iter().flat_map(|h| &h.units);
            let mut own = wanted.filter(|u| u.run == UnitRun::Systemd);
            if let Some(idle) = own.find(|u| !self.is_active(&host, &u.unit)) {
                return Err(format!("{host} is not up: {} does not run", idle.unit));
            }
            self.guests_on(&host).open = true;
            return Ok(());
        }
        self.guests_on(&host).open = false;
        let open = self.guests.iter().find(|(h, g)| **h != host && g.open);
        let target = open.map(|(h, _)| h.clone());
        let vms = self.guests_on(&host).vms;
        match target {
            _ if vms == 0 => Ok(()),
            None => Err(format!("{vms} VMs of {host} cannot be moved: no host takes them")),
            Some(target) => {
                self.guests_on(&target).vms += vms;
                self.guests_on(&host).vms = 0;
                Ok(())
            }
        }
    }

    fn guests_on(&mut self, host: &HostName) -> &mut Guests {
        let none = Guests { open: true, vms: 0 };
        self.guests.entry(host.clone()).or_insert(none)
    }

    /// A host is worked on: nothing may run there for anybody.
    fn is_worked_on(&mut self, host: &str, how: &str) {
        let Some(guests) = self.guests.get(host).copied() else {
            return;
        };
        if guests.vms > 0 || guests.open {
            let open = if guests.open { ", and more may come" } else { "" };
            self.break_law(&format!("{host} is {how} with {} VMs on it{open}", guests.vms));
        }
    }

    /// A host without a vote starts anew by order; its units come by themselves.
    fn starts_anew(&mut self, host: &str) -> Result<(), Failure> {
        self.is_worked_on(host, "rebooted");
        if self.desired.is_member(host) {
            return Err("this world reboots no member by order".to_owned());
        }
        if let Some(machine) = self.machines.get_mut(host) {
            machine.boots += 1;
        }
        Ok(())
    }
}
