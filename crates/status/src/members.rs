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
            let gate = here
                .and_then(|f| f.units.get("quorate-kept-out.service"))
                .and_then(Fact::known);
            let kept_out = gate.is_some_and(|u| u.active == "active");
            let node = mon.and_then(|m| m.nodes.iter().find(|n| n.name == *host));
            let (state, detail) = match node {
                // Pacemaker takes it for one that is about to join: it votes.
                Some(n) if kept_out && (!n.online || n.pending) => kept_out_words(),
                Some(n) if n.unclean => ("unclean", String::new()),
                Some(n) if n.standby => ("standby", String::new()),
                Some(n) if n.pending => ("pending", String::new()),
                Some(n) if n.online => ("online", String::new()),
                _ if kept_out => kept_out_words(),
                _ if here.is_none() => ("unreachable", why.cloned().unwrap_or_default()),
                _ => ("offline", String::new()),
            };
            Host {
                host: host.clone(),
                state: state.to_owned(),
                detail,
            }
        })
        .collect()
}

fn kept_out_words() -> (&'static str, String) {
    let why = "it was fenced three times in half an hour while it ran: it votes and runs nothing; to let it in: \
               `systemctl start pacemaker` there";
    ("kept-out", why.to_owned())
}
