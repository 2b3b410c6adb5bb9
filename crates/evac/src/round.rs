//! One round: who decides, what is seen of each host, and the order of the acts.
//!
//! Not for the rules about single steps: those are in `suspect`, `brake`, `fence`,
//! `evacuate`, `back` and `repair`.

use wire::Fact;

use crate::decision::{Act, Decision, HostIs, HostVerdict};
use crate::guard::{Guard, Guards};
use crate::ids::HostId;
use crate::policy::Policy;
use crate::rows::{Intent, IntentRow, Phase, Proof, Store};
use crate::seen::{HostSeen, Seen};
use crate::suspect::Watch;

/// Beginning of every reason that the engine leaves in Nova's record.
pub const OURS: &str = "quorate evac: ";

/// Values that every rule of a round needs.
pub(crate) struct Round<'a> {
    pub policy: &'a Policy,
    pub seen: &'a Seen,
    pub store: &'a Store,
    pub epoch: u64,
    pub guards: Guards,
    /// Judgement of each host, in the order of `seen.hosts`.
    pub watches: Vec<Watch>,
    pub out: Decision,
}

/// Decides what is done next; the same observation gives the same decision.
pub fn decide(policy: &Policy, seen: &Seen) -> Decision {
    decide_with(policy, seen, Guards::ALL)
}

pub(crate) fn decide_with(policy: &Policy, seen: &Seen, guards: Guards) -> Decision {
    let (store, epoch) = match standing(policy, seen, guards) {
        Standing::Acts(store, epoch) => (store, epoch),
        Standing::Idle(why) => return idle(why, None),
        Standing::Only(act, why) => return idle(why, Some(act)),
    };
    let mut round = Round {
        policy,
        seen,
        store,
        epoch,
        guards,
        watches: Vec::new(),
        out: Decision::default(),
    };
    round.watches = round.watch_all();
    round.recover();
    round.open();
    round.repair();
    round.out.acts.sort_by_key(rank);
    round.out
}

fn idle(why: String, act: Option<Act>) -> Decision {
    Decision {
        idle: Some(why),
        acts: act.into_iter().collect(),
        ..Decision::default()
    }
}

enum Standing<'a> {
    Acts(&'a Store, u64),
    Idle(String),
    Only(Act, String),
}

/// Right of this engine to act in this round.
fn standing<'a>(policy: &Policy, seen: &'a Seen, guards: Guards) -> Standing<'a> {
    let engine = &seen.engine;
    if guards.on(Guard::Quorum) && engine.quorate != Fact::Known(true) {
        return Standing::Idle(match &engine.quorate {
            Fact::Unknown(why) => format!("quorum is unknown: {why}"),
            _ => "the cluster has no quorum here".to_owned(),
        });
    }
    let store = match &seen.store {
        Fact::Known(store) => store,
        Fact::Absent => return Standing::Idle("the store has no tables yet".to_owned()),
        Fact::Unknown(why) => return Standing::Idle(format!("the store is unknown: {why}")),
    };
    let above = store.leader.as_ref().map_or(0, |leader| leader.epoch);
    let Some(held) = engine.held else {
        let why = format!("engine on {} begins above epoch {above}", engine.controller);
        let claim = Act::Claim {
            above,
            why: why.clone(),
        };
        return Standing::Only(claim, why);
    };
    if guards.on(Guard::Epoch) && above != held {
        let why = format!("epoch {above} is held by another engine, ours is {held}");
        return Standing::Only(Act::StandDown { why: why.clone() }, why);
    }
    if guards.on(Guard::SelfDoubt) && engine.late_ms > policy.late_ms {
        return Standing::Idle(format!(
            "own round began {} ms late, more than {} ms: ages are not trusted",
            engine.late_ms, policy.late_ms
        ));
    }
    if guards.on(Guard::SelfDoubt) && engine.running_ms < policy.settle_ms {
        return Standing::Idle(format!(
            "engine runs for {} ms, less than {} ms",
            engine.running_ms, policy.settle_ms
        ));
    }
    if guards.on(Guard::Paused) && store.paused {
        return Standing::Idle("paused by a person".to_owned());
    }
    Standing::Acts(store, held)
}

/// Place of an act in the order: what makes safe before what goes on.
fn rank(act: &Act) -> u8 {
    match act {
        Act::StandDown { .. } => 0,
        Act::Write(_) => 1,
        Act::FenceStorage { .. } => 2,
        Act::PowerOff { .. } => 3,
        Act::MarkDown { .. } => 4,
        Act::Evacuate(_) => 5,
        Act::Claim { .. } => 6,
        Act::Disable { .. } | Act::AllowStorage { .. } => 7,
        Act::RestartCompute { .. } => 8,
        Act::RestartVm { .. } => 9,
        Act::PowerOn { .. } => 10,
        Act::ForceUp { .. } => 11,
        Act::Enable { .. } => 12,
        Act::Forget { .. } => 13,
        Act::Tell { .. } => 14,
    }
}

impl<'a> Round<'a> {
    pub(crate) fn on(&self, guard: Guard) -> bool {
        self.guards.on(guard)
    }

    pub(crate) fn intent(&self, host: &HostId) -> Option<&'a IntentRow> {
        self.store.intents.iter().find(|row| row.intent.host == *host)
    }

    /// A host with its judgement.
    pub(crate) fn host(&self, name: &HostId) -> Option<(&'a HostSeen, &Watch)> {
        let mut both = self.seen.hosts.iter().zip(&self.watches);
        both.find(|(host, _)| host.host == *name)
    }

    pub(crate) fn act(&mut self, act: Act) {
        self.out.acts.push(act);
    }

    pub(crate) fn look(&mut self, host: &HostId) {
        self.out.look.push(host.clone());
    }

    pub(crate) fn verdict(&mut self, host: &HostId, is: HostIs, why: impl Into<String>) {
        let why = why.into();
        self.out.hosts.push(HostVerdict {
            host: host.clone(),
            is,
            why,
        });
    }

    /// Message about a host; the key is its name and the topic.
    pub(crate) fn tell(&mut self, host: &HostId, topic: &str, message: String) {
        let key = format!("{host} {topic}");
        self.act(Act::Tell { key, message });
    }

    /// Advance of an intent to another phase.
    pub(crate) fn advance(&mut self, intent: &Intent, phase: Phase, why: String, proof: Option<Proof>) {
        self.verdict(&intent.host, HostIs::Recovering, why.clone());
        self.act(Act::Write(Intent {
            epoch: self.epoch,
            phase,
            why,
            proof,
            ..intent.clone()
        }));
    }

    /// Next steps of all hosts that have an intent.
    fn recover(&mut self) {
        let mut dead = Vec::new();
        for row in &self.store.intents {
            self.look(&row.intent.host);
            if self.host(&row.intent.host).is_none() {
                let why = "the host has an intent and is not in the cloud file".to_owned();
                self.tell(&row.intent.host, "unknown", why);
                continue;
            }
            match row.intent.phase {
                Phase::Fencing | Phase::Refencing => self.fence(row),
                Phase::Evacuating => dead.push(row),
                Phase::Returning => self.bring_back(row),
            }
        }
        self.evacuate(&dead);
    }
}
