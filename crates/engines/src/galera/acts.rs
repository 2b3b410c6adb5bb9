//! What is done to Galera's members: the operations that a stage is made of.
//! Which of them, and when, is decided in the parent.

use names::HostName;
use wire::{Command, Expect, FileWrite, Op, Own, Query};

use super::{ASKED_S, OWNED, State, runs, sql};
use crate::{StageStep, Store};

/// Lets the cluster manager forget failures of a resource and try again.
pub fn cleanup(resource: &str) -> Op {
    let argv = ["crm_resource", "--cleanup", "--resource", resource];
    Op::Run(Command::new(format!("quorate-cleanup-{resource}"), &argv, 60_000))
}

/// One run of the script that the option `birth` names, unless its work is done.
fn birth_step(
    store: &Store,
    name: String,
    host: &HostName,
    words: &[&str],
    done: &str,
    title: String,
) -> StageStep {
    let script = store.option("birth").to_owned();
    let guard = Query::Run {
        argv: vec![script.clone(), done.to_owned()],
        timeout_ms: 10_000,
    };
    let run = Op::Run(Command {
        unit: format!("quorate-{}-{name}", store.resource),
        argv: std::iter::once(script.as_str())
            .chain(words.iter().copied())
            .map(str::to_owned)
            .collect(),
        user: String::new(),
        env: vec![(
            "QUORATE_UUID".to_owned(),
            "\u{27e6}secret:cloud/id\u{27e7}".to_owned(),
        )],
        stdin: None,
        cwd: String::new(),
        timeout_ms: 300_000,
    });
    StageStep {
        ops: vec![Op::Unless {
            guards: vec![(guard, Expect::Exit(0))],
            ops: vec![run],
        }],
        name,
        host: host.clone(),
        title,
        after: Vec::new(),
    }
}

/// The first generation. `alone`: members that may not have had a generation of
/// one yet; `join`: those that join, one after the other.
pub(super) fn birth(store: &Store, alone: &[&HostName], join: &[&HostName]) -> Vec<StageStep> {
    let mut out = Vec::new();
    for host in alone {
        // The first stays up, so running is done; the others must have stopped again.
        let (word, done) = if store.members.first() == Some(host) {
            ("first", "has-joined")
        } else {
            ("other", "was-alone")
        };
        let title = format!("start {} on {host} alone", store.resource);
        out.push(birth_step(
            store,
            format!("alone-{host}"),
            host,
            &["alone", word],
            done,
            title,
        ));
    }
    let mut before: Vec<String> = out.iter().map(|s| s.name.clone()).collect();
    for host in join {
        let title = format!("let {} on {host} join", store.resource);
        let mut step = birth_step(
            store,
            format!("join-{host}"),
            host,
            &["join"],
            "has-joined",
            title,
        );
        step.after = before;
        before = vec![step.name.clone()];
        out.push(step);
    }
    out
}

/// Has a member count so much among the others from now on.
fn weigh(store: &Store, weight: usize) -> Op {
    let argv = [store.option("birth"), "weigh", &weight.to_string()];
    let unit = format!("quorate-{}-weight", store.resource);
    Op::Run(Command::new(unit, &argv, 60_000))
}

/// Has a member count as much as each other one: the first of a birth counted more than
/// all of them.
pub(super) fn weigh_alike(store: &Store, host: &HostName) -> StageStep {
    let resource = &store.resource;
    StageStep {
        name: "alike".to_owned(),
        host: host.clone(),
        title: format!("let {host} count as much as the other members of {resource}"),
        ops: vec![weigh(store, 1)],
        after: Vec::new(),
    }
}

/// The same as [`claim`] at a birth: until everything is made the first counts more than
/// all others together, of which each is lost for moments in the rush of first starts.
pub(super) fn claim_at_birth(store: &Store) -> Option<StageStep> {
    let mut claim = claim(store)?;
    if store.members.len() > 1 {
        claim.ops.push(weigh(store, store.members.len()));
    }
    Some(claim)
}

/// Says to the cluster that this cloud owns the store.
pub(super) fn claim(store: &Store) -> Option<StageStep> {
    let statements = [
        "CREATE DATABASE IF NOT EXISTS quorate",
        "CREATE TABLE IF NOT EXISTS quorate.cloud (id CHAR(36) NOT NULL PRIMARY KEY)",
        "INSERT IGNORE INTO quorate.cloud VALUES ('\u{27e6}secret:cloud/id\u{27e7}')",
    ];
    Some(StageStep {
        name: "claim".to_owned(),
        host: store.members.first()?.clone(),
        title: format!("mark {} as this cloud's", store.resource),
        ops: vec![Op::Unless {
            guards: vec![(Query::Sql(sql(store, &[OWNED])), Expect::SomeRow)],
            ops: vec![Op::Sql(sql(store, &statements))],
        }],
        after: Vec::new(),
    })
}

/// A `grastate.dat` that tells who begins, and where; nothing where a server runs
/// already: it keeps its position itself, and an old one in that file would be
/// believed after the next kill.
pub(super) fn choice(store: &Store, uuid: &str, seqno: i64) -> Op {
    let file = Op::Files(vec![FileWrite {
        path: format!("{}/grastate.dat", store.option("datadir")),
        content: format!(
            "# GALERA saved state\nversion: 2.1\nuuid:    {uuid}\nseqno:   {seqno}\nsafe_to_bootstrap: 1\n"
        )
        .into(),
        owner: store.option("os-user").to_owned(),
        group: store.option("os-user").to_owned(),
        mode: 0o660,
        directory: false,
        own: Own::File,
    }]);
    let running = Query::Run {
        argv: vec!["sh".to_owned(), "-c".to_owned(), runs(store)],
        timeout_ms: 10_000 + 1000 * ASKED_S,
    };
    Op::Unless {
        guards: vec![(running, Expect::Exit(0))],
        ops: vec![file],
    }
}

/// The same, also said to the cluster's agent, which else waits for the position of each
/// member; and with a history of its own: a member that was given up and returns is of
/// another one, so it neither leads this one on nor joins it by its events alone.
pub(super) fn new_history(store: &Store, seqno: i64) -> Op {
    let script = format!(
        "set -e; {runs} && exit 0; f={datadir}/grastate.dat; u=$(cat /proc/sys/kernel/random/uuid); \
         printf '# GALERA saved state\\nversion: 2.1\\nuuid:    %s\\nseqno:   {seqno}\\nsafe_to_bootstrap: 1\\n' \
         \"$u\" >\"$f.new\"; chown {user}:{user} \"$f.new\"; chmod 660 \"$f.new\"; sync \"$f.new\"; \
         mv \"$f.new\" \"$f\"; \
         crm_attribute --node \"$(crm_node -n)\" --lifetime reboot --name {resource}-safe-to-bootstrap --update 1",
        resource = store.resource,
        runs = runs(store),
        datadir = store.option("datadir"),
        user = store.option("os-user"),
    );
    let argv = ["sh", "-c", script.as_str()];
    Op::Run(Command::new(
        format!("quorate-history-{}", store.resource),
        &argv,
        30_000 + 1000 * ASKED_S,
    ))
}

pub(super) fn try_again(store: &Store, states: &[(&HostName, State)]) -> Option<StageStep> {
    let (host, _) = states.first()?;
    Some(StageStep {
        name: "try-again".to_owned(),
        host: (*host).clone(),
        title: format!("let the cluster start {} again", store.resource),
        ops: vec![cleanup(&store.resource)],
        after: Vec::new(),
    })
}

/// Moves Aria's logs away, not beside the data, where a folder is a database. They
/// are kept, in case somebody wants to look.
pub(super) fn set_aside(store: &Store) -> Op {
    let script = format!(
        "set -e; d=/var/lib/quorate/aside/{resource}-$(date +%s); mkdir -p \"$d\"; \
         mv {datadir}/aria_log* \"$d\"/",
        resource = store.resource,
        datadir = store.option("datadir"),
    );
    let argv = ["sh", "-c", script.as_str()];
    Op::Run(Command::new(
        format!("quorate-aria-{}", store.resource),
        &argv,
        30_000,
    ))
}
