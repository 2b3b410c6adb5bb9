//! Quorum, host by host: votequorum's own word, which is there also during an election,
//! when `crm_mon` tells of no controller and so of no quorum. Not for who is a member
//! (`corosync`) and what follows from it (`votes`).

use pacemaker::{ASK_QUORUM, Monitor, QUORUM, has_quorum};
use wire::{Answer, Fact, Facts, NamedQuery, Query};

use crate::Observed;

/// The question to a member.
pub(crate) fn query() -> NamedQuery {
    NamedQuery {
        name: QUORUM.to_owned(),
        query: Query::Run {
            argv: ASK_QUORUM.map(str::to_owned).to_vec(),
            timeout_ms: 10_000,
        },
    }
}

/// Quorum of a host's partition; absent if no cluster runs there. Pacemaker's word stands in
/// for a votequorum that does not answer: it comes from there, while there is a controller.
pub fn quorum(facts: &Facts) -> Fact<bool> {
    if let Some(Fact::Known(Answer::Ran { stdout, .. })) = facts.answers.get(QUORUM)
        && let Some(has) = has_quorum(stdout)
    {
        return Fact::Known(has);
    }
    match &facts.cluster {
        Fact::Known(monitor) if monitor.dc.is_some() => Fact::Known(monitor.quorate),
        Fact::Known(_) => {
            Fact::Unknown("votequorum does not answer, and no controller is elected".to_owned())
        }
        Fact::Absent => Fact::Absent,
        Fact::Unknown(why) => Fact::Unknown(why.clone()),
    }
}

/// The cluster as a host sees it whose partition is known to have quorum. One that knows of
/// no controller has no such view: it tells of all nodes that they are offline and unclean.
pub(crate) fn monitor(facts: &Facts) -> Option<Monitor> {
    let mut monitor = facts.cluster.known()?.clone();
    monitor.dc.as_ref()?;
    monitor.quorate = quorum(facts) == Fact::Known(true);
    monitor.quorate.then_some(monitor)
}

/// The cluster as a member of a quorate partition sees it.
pub fn quorate(observed: &Observed) -> Option<Monitor> {
    observed.values().flatten().find_map(monitor)
}
