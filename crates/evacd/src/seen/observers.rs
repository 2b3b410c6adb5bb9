//! Tables of heartbeats as the decider takes them. Not for asking the observer.

use evac::{BootId, Echo, Name, ObserverSeen, PathSeen, Says};
use heartbeat::{
    beat::{Dump, Storage, Unit},
    told::{Host, Peer, Table},
};
use names::HostName;
use wire::Fact;

/// Age from which an answer to a probe says nothing any more, in ms.
const ECHO_MS: u64 = 2_000;

/// One observer for each controller, in their order.
pub(super) fn observers(
    controllers: &[HostName],
    tables: &Result<heartbeat::Tables, heartbeat::Error>,
) -> Vec<ObserverSeen> {
    let seen = controllers.iter().map(|controller| {
        let unheard = ObserverSeen {
            controller: Name::from(controller.as_str()),
            age_ms: None,
            running_ms: 0,
        };
        let Ok(tables) = tables else { return unheard };
        if tables.own.controller == *controller {
            return observer(&tables.own, Some(0));
        }
        let peer = tables.peers.iter().find(|p| p.table.controller == *controller);
        peer.map_or(unheard, |peer| observer(&peer.table, heard(peer)))
    });
    seen.collect()
}

/// Time since a peer was heard on any network.
fn heard(peer: &Peer) -> Option<u64> {
    peer.heard.iter().filter_map(|h| h.age_ms.known().copied()).min()
}

fn observer(table: &Table, age_ms: Option<u64>) -> ObserverSeen {
    // One that did not look for a while tells ages that may be of its own pause.
    let late = table.late_ms.known().copied();
    let since = table.listens.iter().filter_map(|l| l.since_ms.known().copied());
    ObserverSeen {
        controller: Name::from(table.controller.as_str()),
        age_ms: age_ms.zip(late).map(|(age, late)| age.max(late)),
        running_ms: since.min().unwrap_or(0),
    }
}

/// Paths of a host to all observers, and its newest words about itself.
pub(super) fn host(told: &[(&Table, &Host)]) -> (Vec<PathSeen>, Option<Says>) {
    let mut paths = Vec::new();
    let mut says: Option<Says> = None;
    for (table, host) in told {
        paths.extend(host.paths.iter().filter_map(|path| path_seen(table, host, path)));
        let newer = words(host);
        let is_newer = |new: &Says| says.as_ref().is_none_or(|old| new.age_ms < old.age_ms);
        if newer.as_ref().is_some_and(is_newer) {
            says = newer;
        }
    }
    (paths, says)
}

/// A path; none where the observer does not listen there.
fn path_seen(table: &Table, host: &Host, path: &heartbeat::told::Path) -> Option<PathSeen> {
    let age_ms = match &path.age_ms {
        Fact::Known(age) => Some(*age),
        Fact::Absent => None,
        Fact::Unknown(_) => return None,
    };
    let echo = match &path.echo {
        Fact::Known(echo) if echo.age_ms > ECHO_MS => Echo::Unknown,
        Fact::Known(echo) if echo.answers => Echo::Answers,
        Fact::Known(_) => Echo::Silent,
        Fact::Absent | Fact::Unknown(_) => Echo::Unknown,
    };
    Some(PathSeen {
        observer: Name::from(table.controller.as_str()),
        network: Name::from(path.network.as_str()),
        age_ms,
        boot: age_ms.and_then(|_| boot(host)),
        echo,
    })
}

fn boot(host: &Host) -> Option<BootId> {
    host.boot.known().map(|boot| BootId::from(boot.as_str()))
}

fn words(host: &Host) -> Option<Says> {
    let age_ms = host
        .paths
        .iter()
        .filter_map(|p| p.age_ms.known().copied())
        .min()?;
    let health = &host.health;
    Some(Says {
        age_ms,
        boot: boot(host)?,
        storage_hangs: matches!(health.storage, Fact::Known(Storage::Hangs | Storage::Fails)),
        compute_dead: health.unit == Fact::Known(Unit::Inactive),
        kdump: health.dump == Fact::Known(Dump::UnderWay),
    })
}
