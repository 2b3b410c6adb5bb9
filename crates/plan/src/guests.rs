//! VM hosts that are emptied before somebody works on them, and take VMs again afterwards.
//! A service's own commands move the VMs; how many at a time is theirs to say.
//!
//! Nothing is remembered: each command may be said again, so a run that was cut off is gone
//! on from by saying it again. Not for VMs that are shut down with the site (`site`).

use engines::Refusal;
use names::HostName;
use render::{Desired, DesiredGuests, DesiredMoves, DesiredScript, UnitRun};
use wire::{Command, Op};

use crate::build::{Planner, step};
use crate::refuse::refuse;
use crate::{Observed, StepId, records};

/// Services of a unit may take so long to start again, in milliseconds.
const RESTART_MS: u64 = 320_000;

/// Services with VMs on a host, and the commands that move them.
fn moving<'d>(desired: &'d Desired, host: &str) -> Vec<(&'d DesiredGuests, &'d DesiredMoves)> {
    let guests = desired.hosts.get(host).into_iter().flat_map(|h| &h.guests);
    guests.filter_map(|g| Some((g, g.moves.as_ref()?))).collect()
}

/// VMs can be moved off a host.
pub(crate) fn can_move(desired: &Desired, host: &str) -> bool {
    !moving(desired, host).is_empty()
}

/// Reasons against emptying a host that are seen before it is tried.
pub(crate) fn reasons(desired: &Desired, observed: &Observed, host: &HostName) -> Vec<Refusal> {
    let mut out = Vec::new();
    for (guests, _) in moving(desired, host) {
        let service = &guests.service;
        let mut others = desired.hosts.iter().filter(|(other, _)| *other != host);
        let has = |guests: &[DesiredGuests]| guests.iter().any(|g| g.service == *service);
        if others.any(|(_, wanted)| has(&wanted.guests)) {
            continue;
        }
        if let Some((count, what)) = records::held_on(desired, observed, service, host) {
            out.push(refuse(
                "host::no-other",
                format!("{host} has {count} {what} of {service}, and no other host takes them"),
                format!("add a host with the same role, or shut them down and delete them; `quorate status` shows {host}"),
            ));
        }
    }
    out
}

impl Planner<'_> {
    /// Moves all VMs off a host, after some steps, and lets none come. Gives the last steps.
    pub(crate) fn empty(&mut self, host: &HostName, before: &[StepId]) -> Vec<StepId> {
        let mut last = before.to_vec();
        for (guests, moves) in moving(self.desired, host) {
            let service = &guests.service;
            let held = records::held_on(self.desired, self.observed, service, host);
            let why = match held {
                Some((count, what)) => format!("{count} {what} are on it: they would end with it"),
                None => "none may be on it or come to it meanwhile".to_owned(),
            };
            let title = format!("{service}: let no VM come to {host}, and move those on it elsewhere");
            last = self.errand("empty", service, host, &moves.empty, (title, why), last);
        }
        last
    }

    /// Lets VMs come to a host again once its units run, after some steps.
    pub(crate) fn fill(&mut self, host: &HostName, before: Vec<StepId>) {
        let all = moving(self.desired, host);
        if all.is_empty() {
            return;
        }
        let up = StepId::from(format!("up/{host}"));
        let units = self.units_up(host);
        let title = format!("wait for the units of {host} to run");
        let why = "VMs come to it next";
        let wait = step(up.clone(), vec![host.clone()], title, why, units, before);
        self.steps.push(wait);
        let mut last = vec![up];
        for (guests, moves) in all {
            let service = &guests.service;
            let title = format!("{service}: let VMs come to {host} again, and wait until it is up");
            let why = "it may have been emptied".to_owned();
            last = self.errand("fill", service, host, &moves.fill, (title, why), last);
        }
    }

    /// A service's command about a host, said where its API is asked; by the host itself last.
    fn errand(
        &mut self,
        verb: &str,
        service: &str,
        host: &HostName,
        script: &DesiredScript,
        (title, why): (String, String),
        after: Vec<StepId>,
    ) -> Vec<StepId> {
        let mut new = self.script(script, Vec::new(), after);
        new.id = StepId::from(format!("{verb}/{service}/{host}"));
        new.hosts.sort_by_key(|h| h == host);
        (new.title, new.why) = (title, why);
        let id = new.id.clone();
        self.steps.push(new);
        vec![id]
    }

    /// Has what runs VMs on a host take up newer programs; what does not run stays so.
    pub(crate) fn renew(&self, host: &HostName) -> Option<Op> {
        let services: Vec<&str> = moving(self.desired, host)
            .into_iter()
            .map(|(guests, _)| guests.service.as_str())
            .collect();
        let units = self.desired.hosts.get(host).into_iter().flat_map(|h| &h.units);
        let units = units.filter(|u| u.run == UnitRun::Systemd && services.contains(&u.service.as_str()));
        // A socket cannot be restarted while its service runs: that is what has the program.
        let names: Vec<String> = units
            .map(|u| match u.unit.strip_suffix(".socket") {
                Some(name) => format!("{name}.service"),
                None => u.unit.clone(),
            })
            .collect();
        if names.is_empty() {
            return None;
        }
        let mut words = vec!["systemctl", "try-restart"];
        words.extend(names.iter().map(String::as_str));
        Some(Op::Run(Command::new(
            "quorate-renew".to_owned(),
            &words,
            RESTART_MS,
        )))
    }
}
