//! Galera: which member may begin, and what stands in its way.
//!
//! The rules, from the Galera documentation ("Restarting the cluster",
//! "Crash recovery") and from what was measured in the lab:
//! - The position of a member is `uuid:seqno`. After a clean stop it stands in
//!   `grastate.dat`; after a power cut that file says -1 and the server itself
//!   must be asked (`--wsrep-recover`), which reads InnoDB.
//! - The member with the highest seqno begins; others join it. Members of
//!   another uuid belong to another cluster: then nobody begins.
//! - Where a position cannot be read (Aria's log can be broken by a power cut),
//!   it may be the highest: it is repaired and asked again, never passed over.
//! - A data directory that is not virgin and not ours is never initialised.

mod acts;
mod copy;
mod recover;

use std::collections::BTreeMap;

use names::HostName;
use wire::{Answer, Expect, Fact, Facts, NamedQuery, Query, Sql, Wait};

pub use acts::cleanup;
use acts::{birth, claim, claim_at_birth, try_again, weigh_alike};
pub use copy::{copies, dump, load, position};
use recover::{not_elsewhere, recover};

use crate::{Differs, Held, Intent, Member, Refusal, Seen, Stage, StageStep, Store};

/// What a fresh data directory of the package holds besides files.
const VIRGIN: [&str; 4] = ["mysql", "performance_schema", "sys", "test"];
/// The database in which the cloud's id is kept.
const OURS: &str = "quorate";
/// Seconds for a server that is asked for its position by somebody else: on a busy machine
/// it takes ten.
const ASKED_S: u64 = 20;
/// Said of a member whose server runs and does not answer yet.
const STARTING: &str = "its server is starting";
/// Printed by a member that is not asked for its position, since its server runs.
const RUNS: &str = "runs";
/// There while a member is given a copy. Left by a power cut, with a `grastate.dat` of no
/// history: one that is whole may have the file as well, from a copy that failed before.
const COPIES: &str = "sst_in_progress";
/// How long a member may take that is just given a copy, in milliseconds.
const SERVES_MS: u64 = 300_000;
const NIL: &str = "00000000-0000-0000-0000-000000000000";

fn sql(store: &Store, statements: &[&str]) -> Sql {
    Sql {
        socket: store.option("socket").to_owned(),
        user: store.option("user").to_owned(),
        statements: statements.iter().map(|s| (*s).to_owned()).collect(),
    }
}

/// A row when the store is this cloud's.
const OWNED: &str = "SELECT id FROM quorate.cloud WHERE id = '\u{27e6}secret:cloud/id\u{27e7}'";
/// A row when it is another cloud's.
const STRANGER: &str = "SELECT id FROM quorate.cloud WHERE id <> '\u{27e6}secret:cloud/id\u{27e7}'";

const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status', \
     'wsrep_local_state_comment', 'wsrep_cluster_size', 'wsrep_ready', 'wsrep_cluster_state_uuid', \
     'wsrep_last_committed')";

/// What a member counts among the others: one number (`pc.weight`, by default 1).
const WEIGHT: &str = r"SELECT REGEXP_SUBSTR(@@GLOBAL.wsrep_provider_options, '(?<=pc\\.weight = )[0-9]+')";

/// Shell words that hold where a server runs, in whatever state it is. One that is only
/// asked for its position serves nobody and ends by itself: it is waited for, up to
/// [`ASKED_S`]. The cluster's agent asks so as it starts, and taken for a server it held
/// the choice of a recovery off.
fn runs(store: &Store) -> String {
    let process = store.option("binary").rsplit('/').next().unwrap_or_default();
    let tenths = ASKED_S * 10;
    format!(
        "{{ servers() {{ grep -lsx {process} /proc/[0-9]*/comm | sed 's/comm$/cmdline/'; }}; n=0; \
         while [ $n -lt {tenths} ] && servers | xargs -r grep -ls -e --wsrep-recover | grep -q .; \
         do sleep 0.1; n=$((n + 1)); done; \
         servers | xargs -r grep -Ls -e --wsrep-recover | grep -q .; }}"
    )
}

/// Asks the server without starting it: prints `position UUID:SEQNO`, [`RUNS`] where it is
/// not asked since a server runs, or the reason why there is none. A member that is up is
/// not asked: InnoDB's lock would hold the question up for half a minute.
fn position_query(store: &Store) -> Query {
    // `--log-error` keeps the server's words out of the host's log.
    let script = format!(
        "{runs} && {{ echo {RUNS}; exit 0; }}; \
         f=$(mktemp) && chown {user} \"$f\" && \
         runuser -u {user} -- {binary} --defaults-file={config} --wsrep-recover --log-error=\"$f\" >/dev/null 2>&1; \
         sed -n 's/.*WSREP: Recovered position: *\\([^ ]*\\).*/position \\1/p' \"$f\" | tail -1; \
         grep -E 'ERROR' \"$f\" | tail -5; rm -f \"$f\"",
        runs = runs(store),
        user = store.option("os-user"),
        binary = store.option("binary"),
        config = store.option("config"),
    );
    Query::Run {
        argv: vec!["sh".to_owned(), "-c".to_owned(), script],
        timeout_ms: 60_000 + 1000 * ASKED_S,
    }
}

/// Status, `grastate.dat`, whose it is; when `deep`, the position from InnoDB.
pub fn queries(store: &Store, deep: bool) -> Vec<NamedQuery> {
    let datadir = store.option("datadir");
    let mut out = vec![
        NamedQuery {
            name: store.answer("status"),
            query: Query::Sql(sql(store, &[STATUS])),
        },
        NamedQuery {
            name: store.answer("weight"),
            query: Query::Sql(sql(store, &[WEIGHT])),
        },
        NamedQuery {
            name: store.answer("stranger"),
            query: Query::Sql(sql(store, &[STRANGER])),
        },
        NamedQuery {
            name: store.answer("owner"),
            query: Query::Sql(sql(store, &[OWNED])),
        },
        NamedQuery {
            name: store.answer("grastate"),
            query: Query::Read(format!("{datadir}/grastate.dat")),
        },
        NamedQuery {
            name: store.answer("directories"),
            query: Query::List(datadir.to_owned()),
        },
    ];
    if deep {
        out.push(NamedQuery {
            name: store.answer("position"),
            query: position_query(store),
        });
        // Its buffer of events is written with each of them, and by no start that only looks.
        let cache = format!("{datadir}/galera.cache");
        out.push(NamedQuery {
            name: store.answer("wrote"),
            query: Query::Run {
                argv: ["date", "--utc", "+%F %T UTC", "-r", cache.as_str()]
                    .map(str::to_owned)
                    .to_vec(),
                timeout_ms: 10_000,
            },
        });
    }
    out
}

/// A member as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The host could not be asked, or it would not say.
    Unknown(String),
    /// Serving, with what it says of itself. `empty`: it holds its own schema only.
    Up {
        primary: bool,
        comment: String,
        size: String,
        empty: bool,
    },
    /// Down, and nothing was ever in it.
    Virgin,
    /// Down, cut in the middle of being given a copy: it holds no history, so it cannot be
    /// the newest. It is given a copy again, and never begins.
    Cut,
    /// Down, with data that is not ours.
    Foreign(Vec<String>),
    /// Down, with ours.
    Down {
        uuid: String,
        seqno: Option<i64>,
        why_not: String,
    },
}

fn variables(rows: &[Vec<Option<String>>]) -> BTreeMap<&str, &str> {
    rows.iter()
        .filter_map(|row| match row.as_slice() {
            [Some(name), Some(value), ..] => Some((name.as_str(), value.as_str())),
            _ => None,
        })
        .collect()
}

/// `grastate.dat`: lines of `key: value`.
fn grastate(text: &str) -> (String, Option<i64>) {
    let field = |key: &str| {
        text.lines()
            .find_map(|l| l.strip_prefix(key).and_then(|r| r.strip_prefix(':')))
            .map(|v| v.trim().to_owned())
    };
    let seqno = field("seqno")
        .and_then(|s| s.parse::<i64>().ok())
        .filter(|s| *s >= 0);
    (field("uuid").unwrap_or_default(), seqno)
}

fn state(store: &Store, facts: Option<&Facts>) -> State {
    let Some(facts) = facts else {
        return State::Unknown("the host could not be asked".to_owned());
    };
    let answer = |what: &str| facts.answers.get(&store.answer(what));
    let mut copies = false;
    let directories: Result<Vec<&str>, String> = match crate::listing(facts, &store.answer("directories")) {
        Fact::Known(found) => {
            copies = found.others.iter().any(|name| name == COPIES);
            Ok(found.folders.iter().map(String::as_str).collect())
        }
        // The package is not installed yet.
        Fact::Absent => Ok(Vec::new()),
        Fact::Unknown(why) => Err(why),
    };
    match answer("status") {
        Some(Fact::Known(Answer::Rows(rows))) => {
            let variables = variables(rows);
            let get = |k: &str| variables.get(k).copied().unwrap_or_default();
            return State::Up {
                primary: get("wsrep_cluster_status") == "Primary" && get("wsrep_ready") == "ON",
                comment: get("wsrep_local_state_comment").to_owned(),
                size: get("wsrep_cluster_size").to_owned(),
                empty: directories
                    .is_ok_and(|d| d.iter().all(|d| VIRGIN.contains(d) || d.starts_with(['#', '.']))),
            };
        }
        Some(Fact::Absent) => {}
        Some(Fact::Unknown(why)) => return State::Unknown(why.clone()),
        Some(Fact::Known(_)) | None => return State::Unknown("it was not asked".to_owned()),
    }
    let directories = match directories {
        Ok(found) => found,
        Err(why) => return State::Unknown(format!("its data directory cannot be seen: {why}")),
    };
    let ours = directories.contains(&OURS);
    let others: Vec<String> = directories
        .iter()
        .filter(|d| !VIRGIN.contains(d) && !d.starts_with('#') && !d.starts_with('.') && **d != OURS)
        .map(|d| (*d).to_owned())
        .collect();
    let text = match answer("grastate") {
        Some(Fact::Known(Answer::Text(text))) => Some(text.as_str()),
        Some(Fact::Absent) => None,
        _ => return State::Unknown("grastate.dat could not be read".to_owned()),
    };
    let (uuid, seqno) = text.map(grastate).unwrap_or_default();
    if !ours {
        return if others.is_empty() {
            State::Virgin
        } else {
            State::Foreign(others)
        };
    }
    // A part of a copy may be any part of a server, and answer with any position. One with
    // nothing of ours in it is like a new member, which at a birth has others to join it to.
    if copies && uuid == NIL {
        return State::Cut;
    }
    if seqno.is_some() && uuid != NIL {
        return State::Down {
            uuid,
            seqno,
            why_not: String::new(),
        };
    }
    match answer("position") {
        Some(Fact::Known(Answer::Ran { stdout, stderr, .. })) => {
            let found = stdout.lines().find_map(|l| l.strip_prefix("position "));
            match found.and_then(|p| p.trim().rsplit_once(':')) {
                Some((u, s)) => match s.parse::<i64>() {
                    Ok(s) if s >= 0 && u != NIL => State::Down {
                        uuid: u.to_owned(),
                        seqno: Some(s),
                        why_not: String::new(),
                    },
                    // Cut in the middle of its copy: no history is in it, so it is not the newest.
                    Ok(s) if s < 0 && u == NIL && [NIL, ""].contains(&uuid.as_str()) => State::Cut,
                    _ => State::Down {
                        uuid,
                        seqno: None,
                        why_not: "it never joined a cluster whole".to_owned(),
                    },
                },
                None => State::Down {
                    uuid,
                    seqno: None,
                    why_not: match stdout.trim() {
                        RUNS => STARTING.to_owned(),
                        "" => format!("its server told nothing {}", stderr.trim())
                            .trim_end()
                            .to_owned(),
                        said => said.to_owned(),
                    },
                },
            }
        }
        other => State::Down {
            uuid,
            seqno: None,
            why_not: match other {
                Some(Fact::Unknown(why)) => why.clone(),
                _ => "not asked yet".to_owned(),
            },
        },
    }
}

/// Members: `Synced` (or what Galera says), `down`, `unknown`.
pub fn members(store: &Store, seen: &Seen<'_>) -> Vec<Member> {
    store
        .members
        .iter()
        .map(|host| {
            let (word, healthy, detail) = match state(store, seen.get(host).copied().flatten()) {
                State::Up {
                    primary,
                    comment,
                    size,
                    ..
                } => {
                    let healthy = primary && (comment == "Synced" || comment == "Donor/Desynced");
                    let word = if primary {
                        comment
                    } else {
                        "non-Primary".to_owned()
                    };
                    (word, healthy, format!("sees {size} of {}", store.members.len()))
                }
                State::Cut => (
                    "down".to_owned(),
                    false,
                    "cut in the middle of its copy".to_owned(),
                ),
                State::Virgin => ("absent".to_owned(), false, "never started".to_owned()),
                State::Foreign(names) => ("foreign".to_owned(), false, format!("holds {}", names.join(", "))),
                State::Down { uuid, seqno, why_not } => {
                    let at = seqno.map_or_else(|| "position not known".to_owned(), |s| format!("at {s}"));
                    (
                        "down".to_owned(),
                        false,
                        [uuid, at, why_not]
                            .into_iter()
                            .filter(|w| !w.is_empty())
                            .collect::<Vec<_>>()
                            .join(", "),
                    )
                }
                State::Unknown(why) => ("unknown".to_owned(), false, why),
            };
            Member {
                host: host.clone(),
                state: word,
                healthy,
                detail,
            }
        })
        .collect()
}

/// Every member is Synced: each is asked for itself by its own wait.
pub fn ready(store: &Store) -> Vec<Wait> {
    let size = store.members.len();
    let expect = [
        ("wsrep_cluster_status", "Primary".to_owned()),
        ("wsrep_local_state_comment", "Synced".to_owned()),
        ("wsrep_ready", "ON".to_owned()),
        ("wsrep_cluster_size", size.to_string()),
    ];
    vec![Wait {
        what: format!("{} is Synced and sees all {size} members", store.resource),
        query: Query::Sql(sql(store, &[STATUS])),
        expect: Expect::Vars(expect.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        timeout_ms: 300_000,
        every_ms: 250,
    }]
}

/// The member is Synced, in a primary component and ready.
pub fn serves(store: &Store) -> Vec<Wait> {
    let expect = [
        ("wsrep_cluster_status", "Primary"),
        ("wsrep_local_state_comment", "Synced"),
        ("wsrep_ready", "ON"),
    ];
    vec![Wait {
        what: format!("{} is Synced", store.resource),
        query: Query::Sql(sql(store, &[STATUS])),
        expect: Expect::Vars(
            expect
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        ),
        timeout_ms: SERVES_MS,
        every_ms: 250,
    }]
}

/// How much each member counts in a majority, by host. What cannot be seen is not there.
pub fn weights(store: &Store, seen: &Seen<'_>) -> BTreeMap<HostName, u32> {
    let weighs = |host: &HostName| {
        let facts = seen.get(host).copied().flatten()?;
        match facts.answers.get(&store.answer("weight"))? {
            // Where no provider is loaded it is no number.
            Fact::Known(Answer::Rows(rows)) => rows.first()?.first()?.as_ref()?.parse().ok(),
            _ => None,
        }
    };
    let members = store.members.iter();
    members
        .filter_map(|host| Some((host.clone(), weighs(host)?)))
        .collect()
}

/// Members that count more than one, since what made the cloud was cut off before its
/// end: were such a member lost, the others would be no majority.
pub fn differs(store: &Store, seen: &Seen<'_>) -> Vec<Differs> {
    let others = weights(store, seen)
        .into_iter()
        .filter(|(_, weight)| *weight != 1);
    others
        .map(|(host, have)| Differs {
            held: Held {
                what: format!("weight of {host}"),
                want: "1".to_owned(),
                mend: weigh_alike(store, &host).ops,
            },
            have: Some(have.to_string()),
            member: Some(host),
        })
        .collect()
}

fn refuse(code: &'static str, message: String, cure: &str) -> Refusal {
    Refusal {
        code,
        message,
        cure: cure.to_owned(),
    }
}

/// The next stage: see the rules at the top.
pub fn stage(store: &Store, former: &[HostName], seen: &Seen<'_>, intent: Intent) -> Result<Stage, Refusal> {
    let states_of = |hosts: &'_ [HostName]| -> Vec<State> {
        let hosts = hosts.iter();
        hosts
            .map(|h| state(store, seen.get(h).copied().flatten()))
            .collect()
    };
    let states: Vec<(&HostName, State)> = store.members.iter().zip(states_of(&store.members)).collect();
    let former: Vec<(&HostName, State)> = former.iter().zip(states_of(former)).collect();
    for (host, state) in &states {
        if let State::Foreign(names) = state {
            return Err(refuse(
                "store::foreign",
                format!(
                    "{host}: the data directory of {} holds somebody's databases: {}",
                    store.resource,
                    names.join(", ")
                ),
                "nothing was touched; move the data away by hand, or take another host",
            ));
        }
    }
    let up = |s: &State| matches!(s, State::Up { primary: true, .. });
    let synced = |s: &State| matches!(s, State::Up { primary: true, comment, .. } if comment == "Synced");
    if states.iter().all(|(_, s)| synced(s)) {
        return Ok(Stage {
            after: owner_check(store, seen)?,
            ..Stage::default()
        });
    }
    // Away by the operator's word is not lost by it: it may hold the newest writes.
    if !store.away.is_empty() && !states.iter().any(|(_, s)| up(s)) {
        return Err(refuse(
            "store::member-unknown",
            format!(
                "{}: no primary component, and {} is away: it cannot be seen what it holds",
                store.resource,
                store.away.join(" and ")
            ),
            "bring it back, then run it again; or, if it never comes back, `quorate recover --without` it",
        ));
    }
    let mut out = Stage {
        ready: ready(store),
        after: claim(store).into_iter().collect(),
        ..Stage::default()
    };
    let unborn = states
        .iter()
        .all(|(_, s)| matches!(s, State::Virgin | State::Up { empty: true, .. }));
    let managed = crate::managed(store, seen);
    if unborn && !managed {
        not_elsewhere(store, &former, None)?;
        out.explain.push(format!(
            "{}: no member ever held anything; {} begins, the others join it one by one",
            store.resource,
            store.members.first().map_or("", HostName::as_str)
        ));
        // Where several are in one view already, nobody may begin beside them.
        let joined = |s: &State| matches!(s, State::Up { size, .. } if size != "1");
        let begun = states.iter().any(|(_, s)| joined(s));
        let alone: Vec<&HostName> = states.iter().filter(|_| !begun).map(|(h, _)| *h).collect();
        let first = store.members.first();
        let join: Vec<&HostName> = states
            .iter()
            .filter(|(h, s)| if begun { !joined(s) } else { Some(*h) != first })
            .map(|(h, _)| *h)
            .collect();
        out.before = birth(store, &alone, &join);
        out.before_cluster = true;
        out.after = claim_at_birth(store).into_iter().collect();
        let first = first.filter(|_| store.members.len() > 1);
        out.last = first.map(|host| weigh_alike(store, host)).into_iter().collect();
        return Ok(out);
    }
    if !managed && states.iter().any(|(_, s)| up(s)) && states.iter().any(|(_, s)| *s == State::Virgin) {
        out.explain.push(format!(
            "{}: a primary component is up; virgin members join it one by one",
            store.resource
        ));
        let join: Vec<&HostName> = states
            .iter()
            .filter(|(_, s)| *s == State::Virgin)
            .map(|(h, _)| *h)
            .collect();
        out.before = birth(store, &[], &join);
        out.before_cluster = true;
        return Ok(out);
    }
    // A primary component lives: the others join it, and nobody may begin beside it.
    if states.iter().any(|(_, s)| up(s)) {
        owner_check(store, seen)?;
        out.explain.push(format!(
            "{}: a primary component is up; the others join it",
            store.resource
        ));
        if intent == Intent::Recover {
            out.before.extend(try_again(store, &states));
        }
        return Ok(out);
    }
    let unknown: Vec<String> = states
        .iter()
        .filter_map(|(h, s)| match s {
            State::Unknown(why) => Some(format!("{h} ({why})")),
            _ => None,
        })
        .collect();
    if !unknown.is_empty() {
        return Err(refuse(
            "store::member-unknown",
            format!(
                "{}: no primary component, and it cannot be seen what these members hold: {}",
                store.resource,
                unknown.join(", ")
            ),
            "bring them back, then run it again: one of them may hold the newest writes",
        ));
    }
    if states.iter().all(|(_, s)| *s == State::Virgin) {
        not_elsewhere(store, &former, None)?;
        out.explain.push(format!(
            "{}: no member was ever started; {} begins, since nobody has anything to lose",
            store.resource,
            store.members.first().map_or("", HostName::as_str)
        ));
        return Ok(out);
    }
    // The content of the databases, half a restore too, is told only by one that serves.
    out.again = true;
    if intent == Intent::Converge {
        // They may be just starting by themselves: the cluster manager knows how.
        out.explain.push(format!(
            "{}: down; the cluster manager is starting it",
            store.resource
        ));
        return Ok(out);
    }
    if states
        .iter()
        .any(|(_, s)| matches!(s, State::Down { why_not, .. } if why_not == STARTING))
    {
        out.explain
            .push(format!("{}: the cluster manager is starting it", store.resource));
        return Ok(out);
    }
    // What is given up is marked in the cluster first: by that the lost one's store is set
    // aside should it return.
    if !store.lost.is_empty() && !managed {
        out.explain.push(format!(
            "{}: the cluster is started first, so that it knows who is given up",
            store.resource
        ));
        return Ok(Stage {
            barrier: true,
            ready: Vec::new(),
            after: Vec::new(),
            ..out
        });
    }
    // Where the cluster manager does not run yet, it must find the choice made.
    out.before_cluster = !managed;
    recover(store, seen, &states, &former, out)
}

/// A store that is up says whose it is. The id is compared by the store itself,
/// since it is known on the way to the host only. Nobody's is claimed.
fn owner_check(store: &Store, seen: &Seen<'_>) -> Result<Vec<StageStep>, Refusal> {
    let some = |what: &str| {
        seen.iter().find(|(_, f)| {
            let answer = f.and_then(|f| f.answers.get(&store.answer(what)));
            matches!(answer, Some(Fact::Known(Answer::Rows(rows))) if !rows.is_empty())
        })
    };
    if let Some((host, _)) = some("stranger") {
        return Err(refuse(
            "store::another-cloud",
            format!("{host}: {} belongs to another cloud", store.resource),
            "nothing was touched; is the address right, and is this the vault that the cloud was made with?",
        ));
    }
    Ok(if some("owner").is_some() {
        Vec::new()
    } else {
        claim(store).into_iter().collect()
    })
}

#[cfg(test)]
mod tests;
