//! The journal: one line of JSON a round, from which its decision is made again.
//!
//! Not for files: a line is text, and who keeps it says when it was written.

use serde::{Deserialize, Serialize};

use crate::decision::{Act, Decision};
use crate::ids::HostId;
use crate::policy::Policy;
use crate::round::decide;
use crate::seen::Seen;

/// One round as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Time in the words of the engine's clock; for people only.
    pub at: String,
    /// Policy of the round.
    pub policy: Policy,
    /// Observation.
    pub seen: Seen,
    /// Decision.
    pub decision: Decision,
}

impl Line {
    /// The decision that the observation gives now.
    pub fn replay(&self) -> Decision {
        decide(&self.policy, &self.seen)
    }

    /// Text of one line without its end; an error is a bug of a type here.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Line read back; an error names the place that was not understood.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// Story of one host in words, one line a change, oldest first.
pub fn explain<'a>(host: &HostId, lines: impl IntoIterator<Item = &'a Line>) -> Vec<String> {
    let mut out = Vec::new();
    let mut last = Vec::new();
    for line in lines {
        let now = words(host, &line.decision);
        if now == last || (now.is_empty() && out.is_empty()) {
            continue;
        }
        if now.is_empty() {
            out.push(format!("{} {host}: well", line.at));
        }
        let news = now.iter().filter(|text| !last.contains(*text));
        out.extend(news.map(|text| format!("{} {host}: {text}", line.at)));
        last = now;
    }
    out
}

/// Verdicts and acts about a host.
fn words(host: &HostId, decision: &Decision) -> Vec<String> {
    let own = decision.hosts.iter().filter(|v| v.host == *host);
    let mut out: Vec<String> = own.map(|v| format!("{:?}: {}", v.is, v.why)).collect();
    let vms = decision.vms.iter().filter(|v| v.host == *host);
    out.extend(vms.map(|v| format!("VM {} {:?}: {}", v.vm, v.step, v.why)));
    if !out.is_empty() {
        let brakes = decision.brakes.iter().filter(|b| !b.released);
        out.extend(brakes.map(|b| format!("brake {:?}: {}", b.brake, b.why)));
    }
    out.extend(decision.acts.iter().filter_map(|act| act_on(host, act)));
    out
}

/// Words for an act on the host.
fn act_on(host: &HostId, act: &Act) -> Option<String> {
    let (name, text) = match act {
        Act::Write(intent) => (&intent.host, format!("intent written: {:?}", intent.phase)),
        Act::Forget { host, why } => (host, format!("intent ended: {why}")),
        Act::PowerOff { host, .. } => (host, "power is cut".to_owned()),
        Act::FenceStorage { host } => (host, "storage refuses it".to_owned()),
        Act::AllowStorage { host } => (host, "storage takes it again".to_owned()),
        Act::MarkDown { host, .. } => (host, "Nova is told that it is down".to_owned()),
        Act::Disable { host, reason, .. } => (host, format!("disabled: {reason}")),
        Act::Evacuate(sent) => (
            &sent.host,
            format!("VM {} is evacuated to {}", sent.vm, sent.target),
        ),
        Act::PowerOn { host } => (host, "switched on".to_owned()),
        Act::RestartCompute { host } => (host, "nova-compute is restarted".to_owned()),
        Act::RestartVm { vm, host } => (host, format!("VM {vm} is restarted")),
        Act::ForceUp { host, .. } => (host, "no longer forced down".to_owned()),
        Act::Enable {
            host,
            stays_disabled: None,
            ..
        } => (host, "enabled".to_owned()),
        Act::Enable {
            host,
            stays_disabled: Some(why),
            ..
        } => (host, format!("stays disabled: {why}")),
        Act::Claim { .. } | Act::StandDown { .. } | Act::Tell { .. } => return None,
    };
    (name == host).then_some(text)
}
