//! Members of the cluster, one by one: in which state each is.

use pacemaker::Monitor;
use render::Desired;
use wire::Fact;

use crate::{Host, Observed, facts};

pub(crate) fn members(desired: &Desired, observed: &Observed, mon: Option<&Monitor>) -> Vec<Host> {
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
