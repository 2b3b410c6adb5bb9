//! Hosts beside the cluster, and what systemd runs on every host whatever the
//! architecture: the cluster knows of neither. One that is away takes nothing from
//! the control plane, so it never makes a cloud `down`.

use render::{Desired, DesiredHost, UnitRun};
use wire::{Fact, Facts};

use crate::{Host, Observed, Problem, facts};

/// Units of a host that systemd should run and does not, each with its state. What
/// cannot be seen is not known to be wrong.
fn idle(wanted: &DesiredHost, facts: &Facts) -> Vec<String> {
    let units = wanted.units.iter();
    let own = units.filter(|u| u.run == UnitRun::Systemd && u.resource.is_empty());
    own.filter_map(|u| match facts.units.get(&u.unit) {
        Some(Fact::Known(now)) if !matches!(now.active.as_str(), "active" | "activating" | "reloading") => {
            Some(format!("{} is {}", u.unit, now.active))
        }
        Some(Fact::Absent) => Some(format!("there is no {}", u.unit)),
        _ => None,
    })
    .collect()
}

/// Every host that is no member of the cluster.
pub(crate) fn hosts(desired: &Desired, observed: &Observed) -> Vec<Host> {
    let beside = desired.hosts.iter().filter(|(host, _)| !desired.is_member(host));
    beside
        .map(|(host, wanted)| {
            let why = observed.get(host).and_then(|f| f.as_ref().err());
            let (state, detail) = match facts(observed, host).map(|f| idle(wanted, f)) {
                None => ("unreachable", why.cloned().unwrap_or_default()),
                Some(idle) if idle.is_empty() => ("up", String::new()),
                Some(idle) => ("impaired", idle.join(", ")),
            };
            Host {
                host: host.clone(),
                state: state.to_owned(),
                detail,
            }
        })
        .collect()
}

/// Units that do not run on a member which is online: of one
/// that is not, more is wrong than that.
pub(crate) fn lacking(desired: &Desired, observed: &Observed, members: &[Host]) -> Vec<Problem> {
    let online = members.iter().filter(|m| m.state == "online");
    let seen = online.filter_map(|m| Some((&m.host, desired.hosts.get(&m.host)?, facts(observed, &m.host)?)));
    seen.flat_map(|(host, wanted, facts)| {
        let idle = idle(wanted, facts).into_iter();
        idle.map(move |what| Problem::Idle {
            host: host.clone(),
            what,
        })
    })
    .collect()
}
