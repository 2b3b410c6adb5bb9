//! Moves of VMs as the decider takes them. Not for VMs and hosts.

use std::collections::BTreeMap;

use evac::{HostId, Migration, MigrationKind, Progress, VmId};
use jiff::Timestamp;
use wire::Fact;

use super::hosts::{NOT_LATELY, Sources, age};

/// Moves of all hosts under an intent, and those under way anywhere; unknown unless each of
/// these hosts was asked about.
pub(super) fn migrations(sources: &Sources<'_>) -> Fact<Vec<Migration>> {
    let Ok(rows) = &sources.rows else {
        return Fact::Unknown("the store is unknown".to_owned());
    };
    let mut found: Vec<&openstack::Migration> = Vec::new();
    match sources.survey.as_ref().map(|s| &s.open) {
        Some(Ok(open)) => found.extend(open),
        Some(Err(error)) if rows.store.intents.is_empty() => return Fact::Unknown(error.to_string()),
        None if rows.store.intents.is_empty() => return Fact::Unknown(NOT_LATELY.to_owned()),
        Some(Err(_)) | None => {}
    }
    for row in &rows.store.intents {
        let host = &row.intent.host;
        match sources.detail.as_ref().and_then(|d| d.migrations.get(host)) {
            None => return Fact::Unknown(format!("{NOT_LATELY} about {host}")),
            Some(Err(error)) => return Fact::Unknown(error.to_string()),
            Some(Ok(moves)) => found.extend(moves),
        }
    }
    // The look at a host is younger than the survey, and comes after it.
    let mut all: BTreeMap<&str, Migration> = BTreeMap::new();
    for one in found {
        let Some(parsed) = migration(one, sources.now) else {
            return Fact::Unknown(format!("migration {} is told in part", one.id));
        };
        all.insert(&one.id, parsed);
    }
    let mut all: Vec<Migration> = all.into_values().collect();
    all.sort_by_key(|m| m.id);
    Fact::Known(all)
}

fn migration(of: &openstack::Migration, now: Timestamp) -> Option<Migration> {
    Some(Migration {
        id: *of.number.known()?,
        vm: VmId::from(of.vm.as_str()),
        kind: match of.kind.known()?.as_str() {
            "evacuation" => MigrationKind::Evacuation,
            "live-migration" => MigrationKind::Live,
            _ => MigrationKind::Cold,
        },
        source: HostId::from(of.source.known()?.as_str()),
        dest: of.dest.known().map(|dest| HostId::from(dest.as_str())),
        progress: match of.status.known()?.as_str() {
            "done" => Progress::Done,
            // A cold migration is over for its hosts when it waits to be confirmed.
            "completed" | "confirmed" | "reverted" | "finished" => Progress::Completed,
            "error" | "failed" | "cancelled" => Progress::Failed,
            _ => Progress::Open,
        },
        age_ms: age(&of.created, now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_each_state() {
        let check = |kind: &str, status: &str, expect: Progress| {
            let known = |text: &str| Fact::Known(text.to_owned());
            let one = openstack::Migration {
                id: "m".to_owned(),
                number: Fact::Known(7),
                vm: "vm".to_owned(),
                kind: known(kind),
                status: known(status),
                source: known("n1"),
                dest: Fact::Absent,
                created: Fact::Known(Timestamp::UNIX_EPOCH),
                updated: Fact::Absent,
            };
            let now = Timestamp::from_millisecond(5_000).unwrap();
            let parsed = migration(&one, now).unwrap();
            assert_eq!(
                (parsed.progress, parsed.age_ms),
                (expect, 5_000),
                "{kind} {status}"
            );
            let ahead = migration(&one, Timestamp::from_millisecond(-5_000).unwrap());
            assert_eq!(ahead.unwrap().age_ms, 0);
            let partial = openstack::Migration {
                status: Fact::Unknown(String::new()),
                ..one
            };
            assert_eq!(migration(&partial, now), None);
        };
        check("evacuation", "accepted", Progress::Open);
        check("evacuation", "pre-migrating", Progress::Open);
        check("evacuation", "done", Progress::Done);
        check("evacuation", "completed", Progress::Completed);
        check("evacuation", "failed", Progress::Failed);
        check("evacuation", "error", Progress::Failed);
        check("migration", "finished", Progress::Completed);
        check("live-migration", "running", Progress::Open);
        check("live-migration", "cancelled", Progress::Failed);
        check("resize", "a word of tomorrow", Progress::Open);
    }
}
