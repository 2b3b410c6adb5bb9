//! Virtual addresses that a failover left elsewhere come home.
//!
//! A move costs a moment without the address, so it is gated: everything must
//! have been whole for a while, one address goes at a time, and the next only
//! when it answers. The cluster moves it: its preference for home is raised
//! above its stickiness and put back once it is there. A run that dies between
//! leaves a raised preference, which is drift that the next plan takes away.

use names::HostName;
use render::DesiredVip;
use status::Verdict;
use wire::{CibSection, Expect, Op, Wait};

use crate::build::{Planner, step};
use crate::{Effect, Step, StepId, quorate};

/// Above any stickiness; a host that is down is still passed over.
const RAISED: &str = "INFINITY";

impl Planner<'_> {
    /// Addresses away from home, each with its home and its holder; a shared one once.
    fn away(&self) -> Vec<(&DesiredVip, &HostName, String)> {
        let Some(monitor) = quorate(self.observed) else {
            return Vec::new();
        };
        let mut out: Vec<(&DesiredVip, &HostName, String)> = Vec::new();
        let homes = self
            .desired
            .vips
            .iter()
            .filter_map(|v| Some((v, v.home.as_ref()?)));
        for (vip, home) in homes {
            if let [holder] = monitor.nodes_of(&vip.resource, "Started").as_slice()
                && holder != home
                && out.iter().all(|(v, ..)| v.resource != vip.resource)
            {
                out.push((vip, home, (*holder).to_owned()));
            }
        }
        out
    }

    /// For how many seconds everything has been whole, by the members' clocks.
    /// What cannot be seen is no time at all.
    fn whole_for(&self) -> Result<i64, String> {
        let snapshot = status::snapshot("", self.desired, None, self.observed);
        if snapshot.verdict != Verdict::Redundant {
            return Err(snapshot.reason);
        }
        let nodes = self.nodes();
        let mut shortest = i64::MAX;
        for node in &nodes {
            let facts = self.facts(node).ok_or_else(|| format!("{node} cannot be seen"))?;
            let cib = facts
                .cib
                .known()
                .ok_or_else(|| format!("{node} does not tell its configuration"))?;
            shortest = shortest.min(facts.clock - cib.quiet_since(&nodes)?);
        }
        // A clock that was put back makes it less, never more.
        Ok(shortest.max(0))
    }

    /// Plans the moves, or says what they wait for. `barrier`: more is to come.
    pub(crate) fn come_home(&mut self, barrier: bool, explain: &mut Vec<String>) {
        let away = self.away();
        if away.is_empty() {
            return;
        }
        let least = i64::from(self.desired.home_after);
        let places: Vec<String> = away
            .iter()
            .map(|(v, home, holder)| format!("{}: on {holder}, home is {home}", v.service))
            .collect();
        let quiet = !barrier && !self.starting && self.steps.iter().all(is_quiet);
        // The verdict costs as much as the rest of a plan: only where it decides.
        let whole = quiet.then(|| self.whole_for());
        if let Some(Ok(whole)) = whole
            && whole >= least
        {
            let away: Vec<(DesiredVip, HostName, String)> = away
                .into_iter()
                .map(|(vip, home, holder)| (vip.clone(), home.clone(), holder))
                .collect();
            for (vip, home, holder) in away {
                self.move_home(&vip, &home, &holder, whole);
            }
            return;
        }
        let so_far = match whole {
            None => "first the rest is done".to_owned(),
            Some(Ok(whole)) => format!("so far {whole} s"),
            Some(Err(why)) => why,
        };
        explain.push(format!(
            "away from home ({}): the first `quorate apply` after {least} s of `redundant` moves them there, one by one; {so_far}",
            places.join("; ")
        ));
    }

    fn move_home(&mut self, vip: &DesiredVip, home: &HostName, holder: &str, whole: i64) {
        let mut raised = self.desired.cib.clone();
        for location in &mut raised.locations {
            if location.resource == vip.resource && location.node == *home {
                RAISED.clone_into(&mut location.score);
            }
        }
        let constraints = |cib: &pacemaker::Cib| {
            let name = "constraints".to_owned();
            let xml = cib.section(&name);
            Op::Cib(vec![CibSection { name, xml }])
        };
        let services: Vec<String> = self
            .desired
            .vips
            .iter()
            .filter(|v| v.resource == vip.resource)
            .map(|v| v.service.clone())
            .collect();
        let arrived = self.settled_with(vip, home);
        // What was whole when it was looked at may not be any more: somebody was asked
        // in between, or waited for.
        let still = Wait {
            timeout_ms: 10_000,
            ..self.settled(&self.desired.cib)
        };
        let mut ops = vec![Op::Wait(still), constraints(&raised), Op::Wait(arrived.clone())];
        let behind = self.desired.apis.iter().filter(|a| services.contains(&a.service));
        ops.extend(behind.map(|api| Op::Wait(Self::answers(api))));
        ops.push(constraints(&self.desired.cib));
        ops.push(Op::Wait(arrived));
        let after = self.steps.iter().map(|s| s.id.clone()).collect();
        let mut s = step(
            StepId::from(format!("home/{}", vip.service)),
            self.nodes(),
            format!(
                "move the address of {} home from {holder} to {home}",
                services.join(", ")
            ),
            &format!("all has been whole for {whole} s"),
            ops,
            after,
        );
        s.effects = vec![Effect::Move {
            resource: vip.resource.clone(),
            services,
            from: holder.to_owned(),
            to: home.clone(),
        }];
        self.steps.push(s);
    }

    /// Everything runs where it should, and the address at home.
    fn settled_with(&self, vip: &DesiredVip, home: &HostName) -> Wait {
        let mut wait = self.settled(&self.desired.cib);
        if let Expect::Cluster(want) = &mut wait.expect {
            for resource in want.resources.iter_mut().filter(|r| r.id == vip.resource) {
                resource.node = home.to_string();
            }
        }
        wait.what = format!("{home} has the address of {}, and all runs", vip.service);
        wait.timeout_ms = 60_000;
        wait
    }
}

/// Neither restarts nor reconfigures anything in the cluster.
fn is_quiet(step: &Step) -> bool {
    let disturbs = |op: &Op| match op {
        Op::Cib(_) => true,
        Op::Units(units) => units.iter().any(|u| u.restart),
        _ => false,
    };
    step.effects.is_empty() && !step.ops.iter().any(disturbs)
}
