//! Scripts that take hosts of a role in once these run, such as hosts beside the cluster
//! that a service must find before it gives them work.
//!
//! Not for starting what runs on them (`hosts`): that is done one plan earlier, or by the
//! same plan.

use names::HostName;
use render::DesiredScript;
use wire::{Expect, Fact, Query, Wait};

use crate::StepId;
use crate::build::Planner;
use crate::cluster::SETTLE_MS;
use crate::hosts::is_systemd;

impl Planner<'_> {
    /// The guards of a script. Hosts that cannot be seen are not taken in: nothing was
    /// started on them, and nobody waits for them.
    pub(crate) fn guards(&self, script: &DesiredScript) -> Vec<(Query, Expect)> {
        let narrowed = |expect: &Expect| match expect {
            Expect::Names(names) => {
                Expect::Names(names.iter().filter(|n| self.is_seen(n)).cloned().collect())
            }
            other => other.clone(),
        };
        let guards = script.guards.iter();
        guards
            .map(|(query, expect)| (query.clone(), narrowed(expect)))
            .collect()
    }

    /// Plans the scripts that take hosts in, after all else. True if one is left to the next
    /// plan, since a host does not run yet what the script asks for.
    pub(crate) fn take_in(&mut self) -> bool {
        let after = self.ends();
        let mut later = false;
        let scripts = self.desired.scripts.iter();
        for script in scripts.filter(|s| s.each.is_some()) {
            let Some(each) = &script.each else { continue };
            let hosts: Vec<&HostName> = each.hosts.iter().filter(|h| self.is_seen(h)).collect();
            if hosts.is_empty() || self.is_done(script) {
                continue;
            }
            if hosts.iter().any(|host| self.runs_later(host, &script.service)) {
                later = true;
                continue;
            }
            let hosts: Vec<String> = hosts.into_iter().map(ToString::to_string).collect();
            let waits = each.ready.iter().map(|query| Wait {
                what: format!("{} hears of {}", script.service, some(&hosts)),
                query: query.clone(),
                expect: Expect::Names(hosts.clone()),
                timeout_ms: SETTLE_MS,
                every_ms: 500,
            });
            let new = self.script(script, waits.collect(), after.clone());
            self.steps.push(new);
        }
        later
    }

    fn is_seen(&self, host: &str) -> bool {
        self.desired.hosts.contains_key(host) && self.facts(host).is_some()
    }

    /// True if a service's units on a host are started by a later plan than this one.
    fn runs_later(&self, host: &str, service: &str) -> bool {
        if self.is_member(host) && !self.clustered(host) {
            return self.starting;
        }
        let wanted = self.desired.hosts.get(host);
        let units = wanted.into_iter().flat_map(|w| &w.units);
        let mut units = units.filter(|u| is_systemd(u) && !u.gated && u.service == service);
        let fact = |unit: &str| self.facts(host)?.units.get(unit);
        self.prepared.contains(&StepId::from(format!("prepare/{host}")))
            && units.any(|u| matches!(fact(&u.unit), Some(Fact::Absent)))
    }
}

/// Their names, or how many they are.
fn some(hosts: &[String]) -> String {
    match hosts {
        few if few.len() < 4 => few.join(", "),
        [first, ..] => format!("{first} and {} others", hosts.len() - 1),
        [] => String::new(),
    }
}
