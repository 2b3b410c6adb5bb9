//! One snapshot of the whole cloud at one moment, and the verdict on it.
//!
//! Console, JSON, checks and pictures render this one value. Pure: it reads
//! facts and asks nobody. A verdict says what more can be lost, not merely
//! whether something answers.

mod addresses;
mod away;
mod bears;
mod beside;
mod cluster;
mod cures;
mod faults;
mod groups;
mod hosts;
mod instances;
mod links;
mod members;
mod problem;
mod stores;
mod view;
mod words;

use engines::Member;
use indexmap::IndexMap;
use names::{HostName, ResourceId};
use pacemaker::Monitor;
use render::Desired;
use serde::Serialize;
use wire::{Answer, Fact, Facts, Walked};

pub use bears::Bears;
use cluster::Cluster;
pub use groups::Group;
pub use links::Link;
pub use problem::Problem;
pub use view::pacemaker_view;

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
    pub host: HostName,
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
    pub host: Option<HostName>,
    /// The host that it prefers; written as an empty text without one.
    #[serde(serialize_with = "names::or_empty::serialize")]
    pub home: Option<HostName>,
}

impl Vip {
    /// Whether another host than its home has it.
    pub fn is_away(&self) -> bool {
        self.home.is_some() && self.host.is_some() && self.host != self.home
    }
}

/// A store and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Store {
    /// Resource id.
    pub name: ResourceId,
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
    /// How much more each API, address, store and set of queues bears.
    pub bears: Vec<Bears>,
    /// How many more hosts of each group can be lost.
    pub groups: Vec<Group>,
    /// Single losses that would last until somebody repairs them, a clause each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fatal: Vec<String>,
    /// Problems, worst first.
    pub problems: Vec<Problem>,
    /// What an operator should never forget, such as that there is no fencing.
    pub remarks: Vec<String>,
}

/// What was seen of each host, in the cloud's order.
pub type Observed = IndexMap<HostName, Result<Facts, String>>;

fn facts<'a>(observed: &'a Observed, host: &str) -> Option<&'a Facts> {
    observed.get(host).and_then(|f| f.as_ref().ok())
}

/// Builds the snapshot; `no_fencing` is the operator's reason for having none.
pub fn snapshot(cloud: &str, desired: &Desired, no_fencing: Option<&str>, observed: &Observed) -> Snapshot {
    let cluster = Cluster::seen(observed);
    let mon = cluster.as_ref().map(|c| &c.monitor);
    let members = members::members(desired, observed, mon);
    let seen = engines::seen(observed);
    let mut out = Snapshot {
        verdict: Verdict::Redundant,
        reason: String::new(),
        next: String::new(),
        cloud: cloud.to_owned(),
        beside: beside::hosts(desired, observed),
        vips: addresses::vips(desired, observed),
        links: links::links(desired, observed, &members),
        stores: (desired.stores.iter())
            .map(|s| Store {
                name: s.resource.clone(),
                engine: s.engine.clone(),
                members: engines::members(s, &seen),
            })
            .collect(),
        apis: apis(desired, observed, mon),
        members,
        journeys: Vec::new(),
        bears: Vec::new(),
        groups: Vec::new(),
        fatal: Vec::new(),
        problems: Vec::new(),
        remarks: Vec::new(),
    };
    if observed.values().any(Result::is_ok) {
        let left = bears::left(&out, desired, observed, cluster.as_ref());
        let cluster = bears::members(&out, &left);
        out.bears = bears::bears(&out, desired, &seen, cluster);
        out.groups = groups::groups(&out, desired, &out.bears, cluster);
        out.fatal = bears::fatal(desired, &left);
    }
    out.problems = problems(&out, desired, observed, cluster.as_ref());
    out.remarks = remarks(&out, desired, observed, no_fencing);
    out.judge();
    out
}

/// All that is wrong, worst first.
fn problems(
    found: &Snapshot,
    desired: &Desired,
    observed: &Observed,
    cluster: Option<&Cluster>,
) -> Vec<Problem> {
    if observed.values().all(Result::is_err) {
        return vec![Problem::Unseen];
    }
    let mut out: Vec<Problem> = match cluster {
        None => vec![Problem::NoQuorum],
        Some(cluster) => cluster.quorum().into_iter().collect(),
    };
    if let Some(cluster) = cluster {
        out.extend(cluster.orders());
        out.extend(cluster.properties(desired));
    }
    let away = found.members.iter().filter(|m| m.state != "online");
    out.extend(away.map(|m| Problem::Away {
        host: m.host.clone(),
        state: m.state.clone(),
        detail: m.detail.clone(),
    }));
    let beside = found.beside.iter().filter(|h| h.state != "up");
    out.extend(beside.map(|h| Problem::Beside {
        host: h.host.clone(),
        state: h.state.clone(),
        detail: h.detail.clone(),
    }));
    out.extend(beside::lacking(desired, observed, &found.members));
    out.extend(addresses::problems(desired, observed, cluster));
    for store in &found.stores {
        out.extend(stores::problems(store));
    }
    out.extend(stores::faults(desired, &engines::seen(observed)));
    out.extend(faults::problems(desired, observed));
    out.extend(hosts::disks(desired, observed));
    out.extend(hosts::clocks(desired, observed));
    let silent = found.apis.iter().filter(|a| !a.ok);
    out.extend(silent.map(|a| Problem::ApiSilent {
        service: a.service.clone(),
        url: a.url.clone(),
        detail: a.detail.clone(),
    }));
    if let Some(cluster) = cluster {
        out.extend(cluster.fence_devices(desired));
        out.extend(cluster.unmanaged());
        out.extend(cluster.lacking(desired));
        out.extend(instances::stopped(desired, observed, &cluster.monitor));
    }
    out.extend(instances::lacking(desired, observed));
    // Last: whatever else is wrong matters more.
    out.extend(
        found
            .links
            .iter()
            .flat_map(|l| links::problems(l, &found.members)),
    );
    out.sort_by_key(|p| std::cmp::Reverse(p.verdict()));
    out
}

/// A remark that an operator should never forget.
fn remarks(
    found: &Snapshot,
    desired: &Desired,
    observed: &Observed,
    no_fencing: Option<&str>,
) -> Vec<String> {
    let mut out: Vec<String> = no_fencing
        .map(|reason| format!("there is no fencing: {reason}"))
        .into_iter()
        .collect();
    out.extend(bears::unprotected(desired));
    out.extend(away::remarks(desired, observed));
    out.extend(cures::remarks(desired, observed));
    let away = found.vips.iter().filter(|v| v.is_away());
    out.extend(away.map(|vip| {
        format!(
            "the address of {} is on {}, away from its home {}: `quorate apply` moves it there after {} s of `redundant`",
            vip.service,
            vip.host.as_deref().unwrap_or_default(),
            vip.home.as_deref().unwrap_or_default(),
            desired.home_after
        )
    }));
    out
}

/// Orders of an operator by which the cluster, or it on one member, acts on nothing: no
/// plan comes to its end then.
pub fn orders(observed: &Observed) -> Vec<Problem> {
    Cluster::seen(observed).map(|c| c.orders()).unwrap_or_default()
}

impl Snapshot {
    /// The same with what came of journeys: where users cannot do what they are there
    /// for, it is down, whatever answers.
    #[must_use]
    pub fn walked(mut self, journeys: Vec<Walked>) -> Self {
        let failed = journeys.iter().filter_map(|walked| {
            Some(Problem::JourneyFails {
                service: walked.service.clone(),
                kind: walked.kind.as_str().to_owned(),
                why: walked.failed.clone()?,
            })
        });
        self.problems.extend(failed);
        self.problems.sort_by_key(|p| std::cmp::Reverse(p.verdict()));
        self.judge();
        self.journeys = journeys;
        self
    }

    /// The same with work that only the operator's machine knows of: what is overdue or ends
    /// soon, and what is due but not pressing.
    #[must_use]
    pub fn with_due(mut self, problems: Vec<Problem>, remarks: Vec<String>) -> Self {
        self.problems.extend(problems);
        self.problems.sort_by_key(|p| std::cmp::Reverse(p.verdict()));
        self.remarks.extend(remarks);
        self.judge();
        self
    }

    /// Draws the verdict from the problems, worst first, and from what more can be lost.
    fn judge(&mut self) {
        let worst = self.problems.first().map_or(Verdict::Redundant, Problem::verdict);
        let bears = self.fatal.is_empty();
        self.verdict = if bears { worst } else { worst.max(Verdict::Exposed) };
        let main = main(&self.problems);
        let text = main.map(Problem::text);
        let next = main.map(Problem::next);
        self.reason = match self.verdict {
            Verdict::Redundant => "any one host can be lost".to_owned(),
            Verdict::Degraded | Verdict::Down => text.unwrap_or_default(),
            Verdict::Exposed => {
                let text = text.or_else(|| self.fatal.first().cloned()).unwrap_or_default();
                format!("everything answers, and one more loss would not be survived: {text}")
            }
        };
        self.next = match next {
            Some(next) => next,
            None if bears => String::new(),
            None => "name three controllers in the cloud file: one host alone is never redundant".to_owned(),
        };
    }
}

/// The problem to begin with: the worst, but while a host is away, that it is, before what
/// follows from it.
fn main(problems: &[Problem]) -> Option<&Problem> {
    let first = problems.first()?;
    let away = problems.iter().find(|p| matches!(p, Problem::Away { .. }));
    away.filter(|_| first.may_follow()).or(Some(first))
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
