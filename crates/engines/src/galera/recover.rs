//! Which member begins after an outage of all, and what stands in its way: positions that
//! cannot be read, and hosts that may be ahead of it.

use names::HostName;
use wire::{Answer, Fact};

use super::acts::{choice, new_history, set_aside, try_again};
use super::{NIL, State, refuse};
use crate::{Refusal, Seen, Stage, StageStep, Store};

/// Refuses a beginning where a host that was a member may hold what no member has.
/// `newest`: the history and the position at which one would begin; `None`: with nothing.
pub(super) fn not_elsewhere(
    store: &Store,
    former: &[(&HostName, State)],
    newest: Option<(&str, i64)>,
) -> Result<(), Refusal> {
    let begins = newest.map_or_else(|| "with nothing".to_owned(), |(_, at)| format!("at {at}"));
    for (host, state) in former {
        let (code, holds) = match state {
            State::Virgin | State::Cut | State::Foreign(_) => continue,
            State::Down {
                uuid,
                seqno: Some(seqno),
                ..
            } => match newest {
                Some((history, at)) if history == uuid && *seqno <= at => continue,
                Some((history, _)) if history != uuid => (
                    "store::uuids-differ",
                    format!("is at {seqno} of another history, {uuid}"),
                ),
                _ => ("store::newer-elsewhere", format!("is at {seqno}")),
            },
            State::Down { why_not, .. } => (
                "store::position-unknown",
                format!("holds data, and its position cannot be read: {why_not}"),
            ),
            State::Up { .. } => ("store::newer-elsewhere", "runs it".to_owned()),
            State::Unknown(why) => ("store::member-unknown", format!("cannot be seen: {why}")),
        };
        return Err(refuse(
            code,
            format!(
                "{}: {host} was a member, the cloud file names it no more, and it {holds}; the members would \
                 begin {begins}",
                store.resource
            ),
            "it may hold the newest writes: put it back into the cloud file as it was and let ssh reach it, then \
             `quorate recover`; take it out when the cloud serves",
        ));
    }
    Ok(())
}

/// The time of a member's last writes, for people; empty where it cannot be seen.
fn wrote_last(store: &Store, seen: &Seen<'_>, host: &str) -> String {
    let facts = seen.get(host).copied().flatten();
    let answer = facts.and_then(|f| f.answers.get(&store.answer("wrote")));
    match answer {
        Some(Fact::Known(Answer::Ran {
            status: 0, stdout, ..
        })) if !stdout.trim().is_empty() => format!(" ({host} wrote last at about {})", stdout.trim()),
        _ => String::new(),
    }
}

/// All members are down and seen, and at least one holds data of ours.
pub(super) fn recover(
    store: &Store,
    seen: &Seen<'_>,
    states: &[(&HostName, State)],
    former: &[(&HostName, State)],
    mut out: Stage,
) -> Result<Stage, Refusal> {
    let mut positions: Vec<(&HostName, &str, i64)> = Vec::new();
    let mut repairs = Vec::new();
    for (host, state) in states {
        match state {
            State::Down {
                uuid,
                seqno: Some(seqno),
                ..
            } => positions.push((host, uuid, *seqno)),
            State::Down {
                seqno: None, why_not, ..
            } if why_not.contains("Aria") => repairs.push(StageStep {
                name: format!("repair-{host}"),
                host: (*host).clone(),
                title: format!("set aside Aria's broken logs ({why_not})"),
                ops: vec![set_aside(store)],
                after: Vec::new(),
            }),
            State::Down {
                seqno: None, why_not, ..
            } => {
                return Err(refuse(
                    "store::position-unknown",
                    format!(
                        "{host}: the position of {} cannot be read: {why_not}",
                        store.resource
                    ),
                    "its data may be the newest; repair it by hand, or replace the host when its disk is known lost",
                ));
            }
            State::Up { .. } => {
                return Err(refuse(
                    "store::non-primary",
                    format!("{host}: {} is up without a primary component", store.resource),
                    "wait for the other members to come back; when they are lost for good, replace them",
                ));
            }
            State::Virgin | State::Cut => positions.push((host, NIL, -1)),
            State::Unknown(_) | State::Foreign(_) => {}
        }
    }
    if !repairs.is_empty() {
        out.explain.push(format!(
            "{}: a position could not be read and may be the highest; it is repaired and asked again",
            store.resource
        ));
        return Ok(Stage {
            before: repairs,
            ready: Vec::new(),
            after: Vec::new(),
            barrier: true,
            ..out
        });
    }
    let known: Vec<&(&HostName, &str, i64)> = positions.iter().filter(|(_, u, _)| *u != NIL).collect();
    if let Some((first_host, first, _)) = known.first()
        && let Some((host, other, _)) = known.iter().find(|(_, u, _)| u != first)
    {
        return Err(refuse(
            "store::uuids-differ",
            format!(
                "{first_host} belongs to cluster {first}, {host} to {other}: these are not members of one cluster"
            ),
            "find out which of them is this cloud's; the other's data must be moved away by hand",
        ));
    }
    let Some((host, uuid, seqno)) = known.iter().max_by_key(|(_, _, s)| *s) else {
        return Err(refuse(
            "store::no-position",
            format!("{}: no member has a position", store.resource),
            "restore a backup",
        ));
    };
    not_elsewhere(store, former, Some((*uuid, *seqno)))?;
    let all: Vec<String> = positions.iter().map(|(h, _, s)| format!("{h} at {s}")).collect();
    out.explain.push(format!(
        "{}: cluster {uuid}; {}; {host} begins, since nobody is ahead of it",
        store.resource,
        all.join(", ")
    ));
    if !store.lost.is_empty() {
        out.explain.push(format!(
            "{}: lost is what only {} held: writes acknowledged after position {seqno}, of the last moments \
             before the outage{}; a new history begins at {seqno}, so that nobody joins it by the old one",
            store.resource,
            store.lost.join(" and "),
            wrote_last(store, seen, host)
        ));
    }
    let written: Vec<String> = vec!["choose".to_owned()];
    out.before.push(StageStep {
        name: "choose".to_owned(),
        host: (*host).clone(),
        title: format!("let {host} begin at {uuid}:{seqno}"),
        ops: vec![if store.lost.is_empty() {
            choice(store, uuid, *seqno)
        } else {
            new_history(store, *seqno)
        }],
        after: Vec::new(),
    });
    if !out.before_cluster {
        let again = try_again(store, states).map(|again| StageStep {
            after: written,
            ..again
        });
        out.before.extend(again);
    }
    Ok(out)
}
