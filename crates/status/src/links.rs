//! The cluster's links over several networks: who hears whom on which.
//!
//! With more than one link a host that is cut off in one network stays a member,
//! so that nothing else would tell. A single link needs no telling: without it a
//! host is no member.

use names::HostName;
use pacemaker::{Heard, LINKS};
use render::Desired;
use serde::Serialize;
use wire::{Answer, Fact};

use crate::{Host, Observed, Problem, facts};

/// One of the cluster's links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The network that it is in.
    pub network: String,
    /// The pairs of members that do not hear each other there.
    pub silent: Vec<(HostName, HostName)>,
}

/// The links, where there are several. Only members that are online are judged:
/// that the others are silent is told otherwise.
pub(crate) fn links(desired: &Desired, observed: &Observed, members: &[Host]) -> Vec<Link> {
    let online = online(members);
    let mut out: Vec<Link> = desired
        .links
        .iter()
        .map(|network| Link {
            network: network.clone(),
            silent: Vec::new(),
        })
        .collect();
    for here in &online {
        let answer = facts(observed, here).and_then(|f| f.answers.get(LINKS));
        let Some(Fact::Known(Answer::Ran { stdout, .. })) = answer else {
            continue;
        };
        for heard in Heard::parse(stdout).into_iter().filter(|h| !h.connected) {
            let there = desired.nodes.iter().find(|(_, id)| *id == heard.node);
            let (Some((there, _)), Some(link)) = (there, out.get_mut(heard.link)) else {
                continue;
            };
            if online.contains(&there) {
                let pair = ((*here).min(there).clone(), (*here).max(there).clone());
                // Both ends tell of it.
                if !link.silent.contains(&pair) {
                    link.silent.push(pair);
                }
            }
        }
    }
    out
}

fn online(members: &[Host]) -> Vec<&HostName> {
    let online = members.iter().filter(|m| m.state == "online");
    online.map(|m| &m.host).collect()
}

/// Faults of a link: of a host where it is the host's,
/// of the network where it is everybody's.
pub(crate) fn problems(link: &Link, members: &[Host]) -> Vec<Problem> {
    let network = &link.network;
    let online = online(members);
    let with = |host: &HostName| link.silent.iter().filter(|(a, b)| a == host || b == host).count();
    let cut_off: Vec<&HostName> = online
        .iter()
        .copied()
        .filter(|host| with(host) > 0 && with(host) + 1 == online.len())
        .collect();
    if !cut_off.is_empty() && cut_off.len() == online.len() {
        let what = format!("no host hears another in the network {network}");
        return vec![Problem::Link { what }];
    }
    let alone = cut_off
        .iter()
        .map(|host| format!("{host} hears nobody in the network {network}"));
    let pairs = link
        .silent
        .iter()
        .filter(|(a, b)| !cut_off.contains(&a) && !cut_off.contains(&b))
        .map(|(a, b)| format!("{a} and {b} do not hear each other in the network {network}"));
    alone.chain(pairs).map(|what| Problem::Link { what }).collect()
}
