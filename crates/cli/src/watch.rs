//! The prober around a run: what is behind the virtual addresses is asked from
//! the hosts while the run changes things, and at its end what was foretold
//! stands beside what was seen. Not for drills, which have probes of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8Path;
use fleet::{Fill, Session, Sessions};
use names::HostName;
use plan::{Effect, Measures, Observed, Outage, Plan};
use render::{Desired, DesiredBalanced};
use serde::{Deserialize, Serialize};
use wire::{Ask, Op, Probed, Reply, Seen};

use crate::project::Project;
use crate::say;

/// From so many hosts: one may be restarted meanwhile, and more would be load.
const FROM: usize = 3;

/// What was foretold of one thing behind an address, and what was seen.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    /// What was foretold.
    #[serde(flatten)]
    pub outage: Outage,
    /// The longest time without a good answer, in milliseconds.
    pub measured_ms: u64,
    /// Good answers.
    pub ok: u64,
    /// Requests that failed, one retry of the connection included.
    pub failed: u64,
    /// Why.
    pub reasons: Vec<String>,
}

/// A prober under way.
pub struct Watch {
    hosts: Vec<HostName>,
    probes: Vec<Probed>,
    plan: Plan,
    /// What was seen so far by hosts that do not watch any more.
    worst: BTreeMap<String, Seen>,
}

/// Takes up what one host saw.
fn merge(worst: &mut BTreeMap<String, Seen>, all: Vec<Seen>) {
    for seen in all {
        match worst.get_mut(&seen.name) {
            None => {
                worst.insert(seen.name.clone(), seen);
            }
            Some(so_far) => {
                so_far.ok += seen.ok;
                so_far.failed += seen.failed;
                so_far.reasons.extend(seen.reasons);
                if seen.away_ms > so_far.away_ms {
                    (so_far.away_ms, so_far.at_ms) = (seen.away_ms, seen.at_ms);
                }
            }
        }
    }
}

/// What effects cost when they were measured; nothing where none was.
pub fn measures(state: &Utf8Path) -> Measures {
    let text = fs_err::read_to_string(state.join("measured.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// How something is asked at an address; nothing where there is no harmless question.
fn ask(on: &DesiredBalanced, desired: &Desired, address: &str) -> Option<Ask> {
    if let Some(api) = desired.apis.iter().find(|a| a.resource == on.resource) {
        return Some(Ask::Http {
            url: api.check.replacen(&on.address, address, 1),
            ca: render::secret("tls/trust.crt"),
            status: 200,
        });
    }
    let numeric: std::net::IpAddr = address.parse().ok()?;
    let place = std::net::SocketAddr::new(numeric, on.port).to_string();
    (on.resource == desired.sql_resource).then_some(Ask::Greeting(place))
}

fn probes(plan: &Plan, desired: &Desired, running: &dyn Fn(&str) -> bool) -> Vec<Probed> {
    let mut out = Vec::new();
    for on in &desired.balanced {
        let vip = desired.vips.iter().find(|v| v.service == on.service);
        if !vip.is_some_and(|v| running(&v.resource)) {
            continue;
        }
        let mut addresses = vec![on.address.clone()];
        let effects = plan.steps.iter().flat_map(|s| &s.effects);
        addresses.extend(effects.filter_map(|e| match e {
            Effect::Readdress { services, from, .. } if services.contains(&on.service) => Some(from.clone()),
            _ => None,
        }));
        for address in addresses {
            if let Some(ask) = ask(on, desired, &address) {
                out.push(Probed {
                    name: on.resource.to_string(),
                    ask,
                });
            }
        }
    }
    out
}

impl Watch {
    /// Begins, where there is anything that answers. A host that cannot watch is
    /// left out: the run is not less for it.
    pub async fn begin(
        plan: &Plan,
        project: &Project,
        sessions: &Sessions,
        observed: &Observed,
        fill: &Fill,
    ) -> Option<Self> {
        let desired = &project.desired;
        let monitor = plan::quorate(observed)?;
        let running = |id: &str| !monitor.nodes_of(id, "Started").is_empty();
        let probes = probes(plan, desired, &running);
        if probes.is_empty() {
            return None;
        }
        let mut watch = Self {
            hosts: Vec::new(),
            probes,
            plan: plan.clone(),
            worst: BTreeMap::new(),
        };
        for (host, _) in desired.nodes.iter().take(FROM) {
            watch.join(host, sessions, fill).await;
        }
        Some(watch)
    }

    /// A host begins to watch.
    pub async fn join(&mut self, host: &str, sessions: &Sessions, fill: &Fill) {
        let mut op = Op::Probe(self.probes.clone());
        let Some(Ok(session)) = sessions.get(host) else {
            return;
        };
        if op.fill(&|text: &str| fill(text)).is_ok() && session.call(op, None).await.is_ok() {
            self.hosts.push(session.host.clone());
        }
    }

    /// A host ends to watch, and tells what it saw. Gives whether it did watch.
    pub async fn leave(&mut self, host: &str, sessions: &Sessions) -> bool {
        let watched = self.hosts.iter().any(|h| h == host);
        self.hosts.retain(|h| h != host);
        if watched
            && let Some(Ok(session)) = sessions.get(host)
            && let Ok(Reply::Seen(all)) = session.call(Op::Seen, None).await
        {
            merge(&mut self.worst, all);
        }
        watched
    }

    /// A further stage of the run.
    pub fn also(&mut self, plan: &Plan) {
        self.plan.steps.extend(plan.steps.iter().cloned());
        for more in &plan.outages {
            match self.plan.outages.iter_mut().find(|o| o.resource == more.resource) {
                Some(outage) => {
                    outage.usual_ms = outage.usual_ms.max(more.usual_ms);
                    outage.worst_ms = outage.worst_ms.max(more.worst_ms);
                    outage.why.extend(more.why.iter().cloned());
                }
                None => self.plan.outages.push(more.clone()),
            }
        }
    }

    /// Ends, tells, and keeps what is worth it.
    pub async fn end(
        self,
        sessions: &Sessions,
        desired: &Desired,
        state: &Utf8Path,
        id: &str,
        measures: &mut Measures,
    ) {
        let mut calls = tokio::task::JoinSet::new();
        for host in &self.hosts {
            if let Some(Ok(session)) = sessions.get(host) {
                let session: Arc<Session> = Arc::clone(session);
                calls.spawn(async move { session.call(Op::Seen, None).await });
            }
        }
        let mut worst = self.worst;
        while let Some(joined) = calls.join_next().await {
            // A host that was lost has lost what it saw; others saw the same.
            if let Ok(Ok(Reply::Seen(all))) = joined {
                merge(&mut worst, all);
            }
        }
        if worst.is_empty() {
            return;
        }
        let told: Vec<Told> = self
            .plan
            .outages
            .iter()
            .filter_map(|outage| {
                let mut seen = worst.get(outage.resource.as_str())?.clone();
                seen.reasons.sort();
                seen.reasons.dedup();
                Some(Told {
                    outage: outage.clone(),
                    measured_ms: seen.away_ms,
                    ok: seen.ok,
                    failed: seen.failed,
                    reasons: seen.reasons,
                })
            })
            .collect();
        for told in &told {
            say::errln!("{}", line(told));
        }
        let longest = worst
            .iter()
            .map(|(name, seen)| (name.clone(), seen.away_ms))
            .collect();
        plan::learn(&self.plan, desired, &longest, measures);
        // It is knowledge for later, and not what the operator wanted now.
        if let Err(error) = keep(state, id, &told, measures) {
            say::errln!("warning: what was measured is not kept: {error}");
        }
    }
}

fn line(told: &Told) -> String {
    let seconds = |ms: u64| format!("{}.{:02} s", ms / 1000, ms % 1000 / 10);
    let failed = match told.failed {
        0 => format!("all of {} requests answered", told.ok),
        failed => format!(
            "{failed} of {} requests failed ({})",
            failed + told.ok,
            told.reasons.join(", ")
        ),
    };
    format!(
        "{}: foretold {}, at worst {}; longest without an answer {}, {failed}",
        told.outage.resource,
        seconds(told.outage.usual_ms),
        seconds(told.outage.worst_ms),
        seconds(told.measured_ms),
    )
}

fn keep(state: &Utf8Path, id: &str, told: &[Told], measures: &Measures) -> std::io::Result<()> {
    let runs = state.join("runs").join(id);
    fs_err::create_dir_all(&runs)?;
    fs_err::write(runs.join("outage.json"), serde_json::to_string_pretty(told)?)?;
    let beside = state.join("measured.json.new");
    fs_err::write(&beside, serde_json::to_string_pretty(measures)?)?;
    fs_err::rename(&beside, state.join("measured.json"))
}
