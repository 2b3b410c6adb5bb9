//! What the engine would do: now, or in a past that its journal has. Nothing is done.

use std::{path::Path, sync::Arc};

use evac::{Decision, EngineSeen, Line, Name, Policy, Seen, decide};
use jiff::Timestamp;
use wire::Fact;

use super::Desk;
use crate::{
    Error,
    engine::Programs,
    quorum::quorate,
    seen::{Memory, Powers, Sources, Wishes, detail, overview, put_together, survey},
    store::Store as _,
};

/// An observation and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// The observation.
    pub seen: Seen,
    /// The decision.
    pub decision: Decision,
}

impl Rehearsal {
    /// The decision in lines: hosts, VMs and brakes with their numbers, and what would be done.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        let decision = &self.decision;
        out.extend(decision.idle.iter().map(|why| format!("nothing is done: {why}")));
        let hosts = decision.hosts.iter();
        out.extend(hosts.map(|h| format!("host {}: {:?}: {}", h.host, h.is, h.why)));
        let vms = decision.vms.iter();
        out.extend(vms.map(|v| format!("VM {} of {}: {:?}: {}", v.vm, v.host, v.step, v.why)));
        let brakes = decision.brakes.iter();
        out.extend(brakes.map(|b| format!("brake {:?}: {}", b.brake, b.why)));
        out.extend(decision.acts.iter().map(|act| format!("would do: {act:?}")));
        if out.is_empty() {
            out.push(format!("all {} hosts are well: there is nothing to do", self.seen.hosts.len()));
        }
        out.join("\n")
    }

    /// What the engine that holds the epoch would do now. Readings of power are left out: a
    /// host's devices are not asked for a rehearsal.
    pub async fn now(desk: &Desk) -> Result<Self, Error> {
        let (overview, survey) = tokio::join!(overview(&desk.client), survey(&desk.client));
        let (overview, survey) = (Some(Arc::new(overview)), Some(Arc::new(survey)));
        let quorate = quorate(&Programs::default().quorum).await;
        let mut details = None;
        // The second look asks about the hosts that the first decision wants to know more of.
        loop {
            let rows = desk.store.read(desk.config.policy.rate_ms).await;
            let held = rows
                .as_ref()
                .ok()
                .and_then(|r| r.store.leader.as_ref())
                .map(|l| l.epoch);
            let powers = Powers::default();
            let seen = put_together(&Sources {
                config: &desk.config,
                engine: EngineSeen {
                    controller: Name::from(desk.config.me.as_str()),
                    held,
                    quorate: quorate.clone(),
                    running_ms: u64::MAX,
                    late_ms: 0,
                },
                tables: heartbeat::ask(&desk.config.observer).await,
                rows,
                overview: overview.clone(),
                detail: details.clone(),
                survey: survey.clone(),
                powers: &powers,
                memory: &Memory::default(),
                now: Timestamp::now(),
            });
            let decision = decide(&desk.config.policy, &seen);
            let wishes = wishes(&seen, &decision);
            if details.is_some() || !wishes.hurried() {
                return Ok(Self { seen, decision });
            }
            details = Some(Arc::new(detail(&desk.client, &wishes).await));
        }
    }
}

/// Hosts and VMs that a decision wants to know more of.
pub(crate) fn wishes(seen: &Seen, decision: &Decision) -> Wishes {
    let mut wishes = Wishes::default();
    wishes.hosts.extend(decision.look.iter().cloned());
    if let Fact::Known(store) = &seen.store {
        wishes
            .vms
            .extend(store.sent.iter().map(|row| row.sent.vm.clone()));
        wishes
            .hosts
            .extend(store.intents.iter().map(|row| row.intent.host.clone()));
    }
    wishes
}

/// Decisions of a journal made again, by another policy where one is given: each line with its
/// own decision and the new one.
pub fn replay(journal: &Path, policy: Option<&Policy>) -> Result<Vec<(Line, Decision)>, Error> {
    let lines = crate::lines(journal).map_err(|e| Error::Refused(format!("{}: {e}", journal.display())))?;
    let again = lines.into_iter().map(|line| {
        let decision = decide(policy.unwrap_or(&line.policy), &line.seen);
        (line, decision)
    });
    Ok(again.collect())
}
