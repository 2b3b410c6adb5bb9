//! One snapshot of the whole cloud at one moment, and the verdict on it.
//!
//! Console, JSON, checks and pictures render this one value. Pure: it reads
//! facts and asks nobody. A verdict says what more can be lost, not merely
//! whether something answers.

mod beside;
mod cures;
mod instances;
mod links;

use std::collections::BTreeMap;

use engines::Member;
use indexmap::IndexMap;
use pacemaker::{Monitor, Resource};
use render::Desired;
use serde::Serialize;
use wire::{Answer, Fact, Facts, Walked};

pub use links::Link;

/// What a snapshot means, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Survives one more loss.
    Redundant,
    /// Something is not as it should be, and one more loss is still survived.
    Degraded,
    /// Works, and cannot lose more.
    Exposed,
    /// Something that users need does not answer.
    Down,
}

impl Verdict {
    /// The word in JSON and on the console.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redundant => "redundant",
            Self::Degraded => "degraded",
            Self::Exposed => "exposed",
            Self::Down => "down",
        }
    }
}

/// A host: a member as the cluster sees it, another as it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Name.
    pub host: String,
    /// Of a member `online`, `offline`, `pending`, `standby`, `unclean`, `unreachable`,
    /// `kept-out`; of a host beside the cluster see [`Snapshot::beside`].
    pub state: String,
    /// More for people; empty when all is well.
    pub detail: String,
}

/// A virtual address and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vip {
    /// Service.
    pub service: String,
    /// Address.
    pub address: String,
    /// Holder; none when nobody has it.
    pub host: Option<String>,
    /// The host that it prefers; empty without one.
    pub home: String,
}

impl Vip {
    /// Whether another host than its home has it.
    pub fn is_away(&self) -> bool {
        !self.home.is_empty() && self.host.as_ref().is_some_and(|h| *h != self.home)
    }
}

/// A store and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Store {
    /// Resource id.
    pub name: String,
    /// Engine.
    pub engine: String,
    /// Members.
    pub members: Vec<Member>,
}

/// An API seen through its virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Api {
    /// The service, or its component where that is not its main API.
    pub service: String,
    /// URL.
    pub url: String,
    /// Whether it answers.
    pub ok: bool,
    /// How it answered.
    pub detail: String,
    /// Hosts whose instance runs.
    pub instances: Vec<String>,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What to do next; empty when nothing.
    pub next: String,
    /// The cloud's name.
    pub cloud: String,
    /// Members of the cluster.
    pub members: Vec<Host>,
    /// Hosts beside the cluster: `up`, `impaired` where a unit does not run, `unreachable`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Host>,
    /// Virtual addresses.
    pub vips: Vec<Vip>,
    /// The cluster's links, where it has more than one.
    pub links: Vec<Link>,
    /// Stores.
    pub stores: Vec<Store>,
    /// APIs.
    pub apis: Vec<Api>,
    /// What users do, where it was tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub journeys: Vec<Walked>,
    /// What is not as it should be, a sentence each.
    pub problems: Vec<String>,
    /// What an operator should never forget, such as that there is no fencing.
    pub remarks: Vec<String>,
}

/// What was seen of each host, in the cloud's order.
pub type Observed = IndexMap<String, Result<Facts, String>>;

fn facts<'a>(observed: &'a Observed, host: &str) -> Option<&'a Facts> {
    observed.get(host).and_then(|f| f.as_ref().ok())
}

/// The monitor of a quorate partition, or of any.
fn monitor(observed: &Observed) -> Option<Monitor> {
    let all: Vec<Monitor> = observed
        .iter()
        .filter_map(|(_, f)| f.as_ref().ok()?.crm_mon.known())
        .filter_map(|xml| Monitor::parse(xml).ok())
        .collect();
    all.iter().find(|m| m.quorate).or(all.first()).cloned()
}

/// Builds the snapshot; `no_fencing` is the operator's reason for having none.
pub fn snapshot(cloud: &str, desired: &Desired, no_fencing: Option<&str>, observed: &Observed) -> Snapshot {
    let mon = monitor(observed);
    let members = members(desired, observed, mon.as_ref());
    let beside = beside::hosts(desired, observed);
    let vips: Vec<Vip> = desired
        .vips
        .iter()
        .map(|v| Vip {
            service: v.service.clone(),
            address: v.address.clone(),
            host: holders(observed, &v.address).next().map(str::to_owned),
            home: v.home.clone(),
        })
        .collect();
    let seen = engines::seen(observed);
    let stores: Vec<Store> = desired
        .stores
        .iter()
        .map(|s| Store {
            name: s.resource.clone(),
            engine: s.engine.clone(),
            members: engines::members(s, &seen),
        })
        .collect();
    let apis = apis(desired, observed, mon.as_ref());
    let links = links::links(desired, observed, &members);
    let mut problems = Vec::new();
    let quorate = mon.as_ref().is_some_and(|m| m.quorate);
    let online = members.iter().filter(|m| m.state == "online").count();
    for member in members.iter().filter(|m| m.state != "online") {
        problems.push(format!(
            "{} is {}{}",
            member.host,
            member.state,
            tail(&member.detail)
        ));
    }
    for host in beside.iter().filter(|h| h.state != "up") {
        problems.push(format!("{} is {}{}", host.host, host.state, tail(&host.detail)));
    }
    problems.extend(beside::lacking(desired, observed, &members));
    for vip in &vips {
        let holders: Vec<&str> = holders(observed, &vip.address).collect();
        if holders.len() > 1 {
            problems.push(format!(
                "{} of {} is held by {} at the same time: the cluster is split, or a host was not fenced",
                vip.address,
                vip.service,
                holders.join(" and ")
            ));
        }
    }
    for vip in vips.iter().filter(|v| v.host.is_none()) {
        problems.push(format!("nobody holds {} of {}", vip.address, vip.service));
    }
    for store in &stores {
        for m in store.members.iter().filter(|m| !m.healthy) {
            problems.push(format!(
                "{} on {} is {}{}",
                store.name,
                m.host,
                m.state,
                tail(&m.detail)
            ));
        }
    }
    for api in apis.iter().filter(|a| !a.ok) {
        problems.push(format!(
            "{} does not answer at {}: {}",
            api.service, api.url, api.detail
        ));
    }
    if let Some(mon) = &mon {
        problems.extend(lacking(desired, mon));
    }
    problems.extend(instances::lacking(desired, observed));
    // Last: whatever else is wrong matters more.
    let only_links = problems.is_empty();
    problems.extend(links.iter().flat_map(|l| links::problems(l, &members)));
    let mut remarks = Vec::new();
    if let Some(reason) = no_fencing {
        remarks.push(format!("there is no fencing: {reason}"));
    }
    remarks.extend(cures::remarks(desired, observed));
    for vip in vips.iter().filter(|v| v.is_away()) {
        remarks.push(format!(
            "the address of {} is on {}, away from its home {}: `quorate apply` moves it there after {} s of `redundant`",
            vip.service,
            vip.host.as_deref().unwrap_or_default(),
            vip.home,
            desired.home_after
        ));
    }
    // A further host gone: is there still a majority, of hosts and of each store?
    let total = members.len();
    let one_more = online.saturating_sub(1) * 2 > total || total == 1;
    let stores_one_more = stores.iter().all(|s| {
        let healthy = s.members.iter().filter(|m| m.healthy).count();
        healthy.saturating_sub(1) * 2 > s.members.len()
    });
    let apis_one_more = apis.iter().all(|a| a.instances.len() > 1);
    let serving = apis.iter().all(|a| a.ok);
    let asked = observed.iter().any(|(_, f)| f.is_ok());
    let (verdict, reason, next) = if !asked {
        // What cannot be seen may well be working; nothing is to be done over it.
        (
            Verdict::Down,
            "no host could be asked".to_owned(),
            "quorate ssh".to_owned(),
        )
    } else if !quorate {
        (
            Verdict::Down,
            "the cluster has no quorum".to_owned(),
            "quorate recover".to_owned(),
        )
    } else if !serving {
        let reason = problems
            .iter()
            .find(|p| p.contains("does not answer"))
            .cloned()
            .unwrap_or_default();
        (Verdict::Down, reason, "quorate recover".to_owned())
    } else if let Some(store) = stores.iter().find(|s| !s.members.iter().any(|m| m.healthy)) {
        // An API may still give its static answers; nothing that matters works.
        (
            Verdict::Down,
            format!("no member of {} serves", store.name),
            "quorate recover".to_owned(),
        )
    } else if !one_more || !stores_one_more || !apis_one_more {
        let reason = problems
            .first()
            .cloned()
            .unwrap_or_else(|| "there is no host to lose".to_owned());
        (
            Verdict::Exposed,
            format!("everything answers, and one more loss would not be survived: {reason}"),
            to_be_redundant(&members, &stores),
        )
    } else if !problems.is_empty() {
        (
            Verdict::Degraded,
            problems.first().cloned().unwrap_or_default(),
            // No plan mends a cable.
            if only_links {
                "look at the cables, ports and addresses of that network".to_owned()
            } else {
                "quorate plan".to_owned()
            },
        )
    } else {
        let reason = "any one host can be lost".to_owned();
        (Verdict::Redundant, reason, String::new())
    };
    Snapshot {
        verdict,
        reason,
        next,
        cloud: cloud.to_owned(),
        members,
        beside,
        vips,
        links,
        stores,
        apis,
        journeys: Vec::new(),
        problems,
        remarks,
    }
}

impl Snapshot {
    /// The same with what came of journeys: where users cannot do what they are there
    /// for, it is down, whatever answers.
    #[must_use]
    pub fn walked(mut self, journeys: Vec<Walked>) -> Self {
        let failed = journeys.iter().filter_map(|walked| {
            let why = walked.failed.as_ref()?;
            Some(format!(
                "the {} journey of {} fails: {why}",
                walked.kind.as_str(),
                walked.service
            ))
        });
        let failed: Vec<String> = failed.collect();
        if let Some(first) = failed.first()
            && self.verdict != Verdict::Down
        {
            self.verdict = Verdict::Down;
            self.reason.clone_from(first);
            "quorate support".clone_into(&mut self.next);
        }
        self.problems.extend(failed);
        self.journeys = journeys;
        self
    }
}

/// What to do, or to wait for, where everything answers and nothing can be lost.
fn to_be_redundant(members: &[Host], stores: &[Store]) -> String {
    let again = "then `quorate status`";
    let named = |state: &[&str]| -> Vec<&str> {
        let found = members.iter().filter(|m| state.contains(&m.state.as_str()));
        found.map(|m| m.host.as_str()).collect()
    };
    let out = named(&["kept-out"]);
    if !out.is_empty() {
        return format!(
            "on {}: `rm /var/lib/quorate/boots && reboot`, {again}",
            out.join(" and ")
        );
    }
    let standby = named(&["standby"]);
    if let Some(first) = standby.first() {
        return format!("`quorate host resume {first}`, {again}");
    }
    let away = named(&["unreachable", "offline", "unclean"]);
    if !away.is_empty() {
        return format!(
            "switch {} on, if fencing does not; it joins by itself, {again}",
            away.join(" and ")
        );
    }
    let joining: Vec<String> = stores
        .iter()
        .flat_map(|s| s.members.iter().filter(|m| !m.healthy).map(move |m| (s, m)))
        .map(|(s, m)| format!("{} on {}", s.name, m.host))
        .chain(named(&["pending"]).iter().map(|h| format!("the cluster on {h}")))
        .collect();
    if !joining.is_empty() {
        return format!(
            "wait for {}, {again}; if it stays so: `quorate apply`",
            joining.join(", ")
        );
    }
    if members.len() < 2 {
        return "name three controllers in the cloud file: one host alone is never redundant".to_owned();
    }
    "quorate apply".to_owned()
}

/// Hosts that have an address.
fn holders<'a>(observed: &'a Observed, address: &'a str) -> impl Iterator<Item = &'a str> {
    observed
        .iter()
        .filter(move |(_, f)| {
            f.as_ref()
                .is_ok_and(|f| f.addresses.iter().any(|a| a.address == *address))
        })
        .map(|(h, _)| h.as_str())
}

fn tail(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    }
}

fn members(desired: &Desired, observed: &Observed, mon: Option<&Monitor>) -> Vec<Host> {
    desired
        .nodes
        .iter()
        .map(|(host, _)| {
            let here = facts(observed, host);
            let why = observed.get(host).and_then(|f| f.as_ref().err());
            let gate = here.and_then(|f| f.units.get("quorate-boot-gate.service")).and_then(Fact::known);
            let kept_out = gate.is_some_and(|u| u.active == "failed");
            let node = mon.and_then(|m| m.nodes.iter().find(|n| n.name == *host));
            let (state, detail) = match node {
                Some(n) if n.unclean => ("unclean", String::new()),
                Some(n) if n.standby => ("standby", String::new()),
                Some(n) if n.pending => ("pending", String::new()),
                Some(n) if n.online => ("online", String::new()),
                _ if kept_out => (
                    "kept-out",
                    "it lost its power three times in half an hour; to let it in: rm /var/lib/quorate/boots, reboot"
                        .to_owned(),
                ),
                _ if here.is_none() => ("unreachable", why.cloned().unwrap_or_default()),
                _ => ("offline", String::new()),
            };
            Host { host: host.clone(), state: state.to_owned(), detail }
        })
        .collect()
}

fn apis(desired: &Desired, observed: &Observed, mon: Option<&Monitor>) -> Vec<Api> {
    desired
        .apis
        .iter()
        .map(|api| {
            let name = format!("api/{}", api.name);
            let answers: Vec<&Fact<Answer>> = observed
                .iter()
                .filter_map(|(_, f)| f.as_ref().ok()?.answers.get(&name))
                .collect();
            let ok = answers
                .iter()
                .any(|a| matches!(a, Fact::Known(Answer::Http { status, .. }) if *status < 400));
            let detail = match answers.first() {
                Some(Fact::Known(Answer::Http { status, .. })) => format!("status {status}"),
                Some(Fact::Absent) => "nobody listens".to_owned(),
                Some(Fact::Unknown(why)) => why.clone(),
                Some(Fact::Known(_)) => String::new(),
                None => "nobody could be asked".to_owned(),
            };
            let by_cluster = || {
                let nodes = mon.map(|m| m.nodes_of(&api.resource, "Started"));
                nodes.unwrap_or_default().into_iter().map(str::to_owned).collect()
            };
            let instances = instances::serving(desired, observed, &api.resource).unwrap_or_else(by_cluster);
            Api {
                service: api.name.clone(),
                url: api.url.clone(),
                ok,
                detail,
                instances,
            }
        })
        .collect()
}

/// Resources that do not run as often as they should, and those of which an action failed.
fn lacking(desired: &Desired, mon: &Monitor) -> Vec<String> {
    let nodes = desired.nodes.len();
    let mut out = Vec::new();
    for resource in &desired.cib.resources {
        let id = &resource.primitive().id;
        let banned = desired
            .cib
            .locations
            .iter()
            .filter(|l| l.resource == resource.id() && l.score == "-INFINITY")
            .count();
        let (roles, want): (&[&str], usize) = match resource {
            Resource::Primitive(_) => (&["Started"], 1),
            Resource::Clone(c) if c.meta.get("promotable").is_some_and(|v| v == "true") => {
                (&["Promoted"], nodes - banned)
            }
            Resource::Clone(_) => (&["Started"], nodes - banned),
        };
        let have = roles.iter().map(|r| mon.nodes_of(id, r).len()).sum::<usize>();
        if have < want {
            out.push(format!("{id} runs {have} of {want} times"));
        }
    }
    let mut blocked: BTreeMap<&str, usize> = BTreeMap::new();
    for r in mon.resources.iter().filter(|r| r.blocked) {
        *blocked.entry(&r.id).or_default() += 1;
    }
    out.extend(
        blocked
            .into_keys()
            .map(|id| format!("{id} is blocked: an operator must look at it")),
    );
    out
}
