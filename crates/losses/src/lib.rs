//! What the loss of something will cost those who use the cloud, before it is lost.
//!
//! One pure function from what a cloud consists of and its budget of times to the time,
//! usual and worst, until what a user begins after a fault comes to a good end again, with
//! its reasons. It asks nobody, and knows nothing of what a plan costs.
//!
//! Layers wait beside each other, not one after another, so of what a fault takes the
//! longest counts. What was begun before the fault is not foretold, nor two faults at once.

mod chain;
mod left;
mod page;
mod reach;
mod stores;
mod times;
mod work;

use std::collections::HashMap;

use names::{HostName, ResourceId};
use render::{Desired, DesiredPart};
use serde::{Deserialize, Serialize};
use wire::JourneyKind;

use chain::{Chain, longest};
pub use left::{Left, is_executor};
pub use page::losses_page;

/// How something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The power of a host is cut.
    Power,
    /// The processes of a component are killed.
    Killed,
    /// The processes of a component stand still, all of them (SIGSTOP).
    Frozen,
}

/// A moment after a fault. Any number of milliseconds is before the repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// After so many milliseconds, by itself.
    Ms(u64),
    /// When somebody has repaired it, and not before.
    Repaired,
}

impl Until {
    /// At once.
    pub const NOW: Self = Self::Ms(0);
}

impl std::ops::Add for Until {
    type Output = Self;

    fn add(self, later: Self) -> Self {
        match (self, later) {
            (Self::Ms(a), Self::Ms(b)) => Self::Ms(a.saturating_add(b)),
            _ => Self::Repaired,
        }
    }
}

/// What a user has of the cloud.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// An address and port, by the resource behind it: it takes requests.
    Endpoint(ResourceId),
    /// What is done with the service comes to a good end.
    Journey(JourneyKind),
}

/// What a fault costs one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What happens.
    pub fault: Fault,
    /// On which host.
    pub host: HostName,
    /// To which component, by its resource; empty: to the whole host.
    pub component: ResourceId,
    /// Whose service it is that is asked.
    pub service: String,
    /// What is asked of it.
    pub of: Of,
    /// Usually good again after this. Of what stands on one host only, it is what a fault
    /// on that host costs.
    pub usual: Until,
    /// At worst.
    pub worst: Until,
    /// How it comes about, a reason a line: the longest at worst, then the usually longest.
    pub why: Vec<String>,
}

/// The cost of a fault to one target.
struct Found {
    target: usize,
    usual: Until,
    worst: Until,
    why: Vec<String>,
}

/// All that can be lost and costs somebody something: hosts in the file's order, then
/// component by component. Of hosts that are alike it is worked out once.
pub fn losses(desired: &Desired) -> Vec<Loss> {
    let left = Left::default();
    all(&Chain::new(desired, desired, &left), &|_, _| true)
}

/// The same of a cloud at a moment, for members of the cluster alone: what the next loss of
/// one of them, or of a component there, costs, by these kinds of faults.
pub fn losses_of(designed: &Desired, left: &Left, faults: &[Fault]) -> Vec<Loss> {
    let desired = left.of(designed);
    all(&Chain::new(&desired, designed, left), &|fault, host| {
        faults.contains(&fault) && designed.is_member(host)
    })
}

fn all(chain: &Chain<'_>, of: &dyn Fn(Fault, &str) -> bool) -> Vec<Loss> {
    let desired = chain.desired;
    let mut out = Vec::new();
    let targets = reach::targets(desired);
    let alike = alike(desired);
    let mut known: HashMap<(Fault, usize, Option<usize>), Vec<Found>> = HashMap::new();
    for (fault, host, at) in faults(desired).filter(|(fault, host, _)| of(*fault, host)) {
        let part = at.and_then(|at| desired.parts.get(at));
        let Some(kind) = alike.get(host.as_str()) else {
            continue;
        };
        let found = known.entry((fault, *kind, at)).or_insert_with(|| {
            let scopes = targets.iter().enumerate();
            scopes
                .filter_map(|(target, (_, _, scope))| cost_to(chain, fault, host, part, target, scope))
                .collect()
        });
        out.extend(found.iter().map(|found| {
            let (service, of, _) = &targets[found.target];
            Loss {
                fault,
                host: host.clone(),
                component: part.map(|p| p.resource.clone()).unwrap_or_default(),
                service: service.clone(),
                of: of.clone(),
                usual: found.usual,
                worst: found.worst,
                why: found.why.clone(),
            }
        }));
    }
    out
}

fn cost_to(
    chain: &Chain<'_>,
    fault: Fault,
    host: &str,
    part: Option<&DesiredPart>,
    target: usize,
    scope: &reach::Scope,
) -> Option<Found> {
    let costs = chain.costs(fault, host, part, scope);
    let (usual, worst) = longest(&costs);
    if worst == Until::NOW {
        return None;
    }
    let mut why: Vec<String> = Vec::new();
    for cost in costs {
        if !why.contains(&cost.why) {
            why.push(cost.why);
        }
    }
    Some(Found {
        target,
        usual,
        worst,
        why,
    })
}

/// A number for each host, the same for those of which a fault costs the same: with the same
/// components, behind the same balancers, home of the same addresses, beside the cluster.
fn alike(desired: &Desired) -> HashMap<&str, usize> {
    let parts = desired.parts.iter().map(|p| p.hosts.as_slice());
    let servers = desired.balanced.iter().map(|b| b.members.as_slice());
    let homes = desired.vips.iter().map(|v| v.home.as_slice());
    let mut marks: HashMap<&str, Vec<usize>> =
        desired.hosts.keys().map(|h| (h.as_str(), Vec::new())).collect();
    let lists = parts.chain(servers).chain(homes);
    for (mark, host) in lists.enumerate().flat_map(|(m, l)| l.iter().map(move |h| (m, h))) {
        marks.entry(host).or_default().push(mark);
    }
    // No two members are: one may be lost, or hold what the others do not.
    for (place, (host, _)) in desired.nodes.iter().enumerate() {
        marks.entry(host).or_default().push(usize::MAX - place);
    }
    let mut kinds: HashMap<Vec<usize>, usize> = HashMap::new();
    let numbered = marks.into_iter().map(|(host, marks)| {
        let next = kinds.len();
        (host, *kinds.entry(marks).or_insert(next))
    });
    numbered.collect()
}

/// Every single fault of a cloud: how, on which host, to the component of which place.
fn faults(desired: &Desired) -> impl Iterator<Item = (Fault, &HostName, Option<usize>)> {
    let hosts = desired.hosts.keys().map(|h| (Fault::Power, h, None));
    let parts = desired.parts.iter().enumerate().flat_map(|(at, part)| {
        let on = part.hosts.iter();
        on.flat_map(move |host| [Fault::Killed, Fault::Frozen].map(|f| (f, host, Some(at))))
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|(fault, ..)| *fault);
    hosts.chain(parts)
}
