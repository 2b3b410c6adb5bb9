//! Decisions of the engine without acts: now, or in a past that its journal has.

use std::{path::Path, sync::Arc};

use evac::{Decision, EngineSeen, Line, Name, Policy, Seen, decide};
use jiff::Timestamp;
use wire::Fact;

use super::Desk;
use crate::{
    Error,
    engine::Programs,
    quorum::quorate,
    seen::{Detail, Memory, Powers, Sources, Survey, Wishes, detail, overview, put_together, survey},
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
            out.push(format!(
                "all {} hosts are well: there is nothing to do",
                self.seen.hosts.len()
            ));
        }
        out.join("\n")
    }

    /// Decision of the engine that holds the epoch, as of now. Readings of power are left out: a
    /// host's devices are not asked for a rehearsal.
    pub async fn now(desk: &Desk) -> Result<Self, Error> {
        let survey = Some(Arc::new(survey(&desk.client).await));
        let first = look(desk, survey.clone(), None).await;
        let wishes = wishes(&first, &decide(&desk.config.policy, &first));
        // The second look asks about the hosts that the first decision wants to know more of.
        let details = detail(&desk.client, &wishes).await;
        let seen = look(desk, survey, Some(Arc::new(details))).await;
        let decision = decide(&desk.config.policy, &seen);
        Ok(Self { seen, decision })
    }
}

/// One observation, as the engine that holds the epoch would have it.
pub(super) async fn look(desk: &Desk, survey: Option<Arc<Survey>>, detail: Option<Arc<Detail>>) -> Seen {
    let program = Programs::default().quorum;
    let (overview, rows, quorate, tables) = tokio::join!(
        overview(&desk.client),
        desk.store.read(desk.config.policy.rate_ms),
        quorate(&program),
        heartbeat::ask(&desk.config.observer),
    );
    let held = rows
        .as_ref()
        .ok()
        .and_then(|r| r.store.leader.as_ref())
        .map(|l| l.epoch);
    put_together(&Sources {
        config: &desk.config,
        engine: EngineSeen {
            controller: Name::from(desk.config.me.as_str()),
            held,
            quorate,
            running_ms: u64::MAX,
            late_ms: 0,
        },
        tables,
        rows,
        overview: Some(Arc::new(overview)),
        detail,
        survey,
        powers: &Powers::default(),
        memory: &Memory::default(),
        now: Timestamp::now(),
    })
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
