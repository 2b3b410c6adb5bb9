//! Runs against scripted agents: order, bounds, failures, interruptions.

use std::time::Duration;

use futures::FutureExt as _;
use names::HostName;
use wire::{Expect, OpError, Query, Wait};

use super::*;
use crate::ConnectError;
use crate::session::scripted::Reaction;

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

/// A step that removes a file named like it.
fn step(id: &str, hosts: &[&str], after: &[&str]) -> Step {
    Step {
        id: id.into(),
        hosts: hosts.iter().map(|h| host(h)).collect(),
        title: format!("do {id}"),
        why: "a test".to_owned(),
        changes: Vec::new(),
        effects: Vec::new(),
        after: after.iter().map(|a| (*a).into()).collect(),
        ops: vec![Op::Remove(vec![id.to_owned()])],
    }
}

fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        intent: "test".to_owned(),
        steps,
        ..Plan::default()
    }
}

/// The file that an operation removes.
fn named(op: &Op) -> &str {
    match op {
        Op::Remove(files) => &files[0],
        _ => "",
    }
}

const DONE: Option<Result<Reply, OpError>> = Some(Ok(Reply::Changed(1)));

/// A moment of work.
fn works() -> Reaction {
    tokio::time::sleep(Duration::from_secs(1)).map(|()| DONE).boxed()
}

fn sessions(hosts: &[&str], react: impl Fn(Op) -> Reaction + Clone + Send + 'static) -> Sessions {
    let session = |host: &str| Arc::new(Session::scripted(host, react.clone()));
    hosts.iter().map(|h| (host(h), Ok(session(h)))).collect()
}

fn plain() -> Fill {
    Arc::new(|text: &str| Ok(text.to_owned()))
}

/// Executes a plan; the events, and what came of it.
async fn executed(plan: &Plan, sessions: &Sessions, parallel: usize, fill: Fill) -> (Summary, Vec<Event>) {
    let (_stop, stop) = watch::channel(Stop::No);
    stopped(plan, sessions, RunOptions { parallel, fill, stop }).await
}

async fn stopped(plan: &Plan, sessions: &Sessions, options: RunOptions) -> (Summary, Vec<Event>) {
    let (events, mut inbox) = mpsc::unbounded_channel();
    let run = execute(plan, sessions, options, events);
    let summary = tokio::time::timeout(Duration::from_mins(1), run).await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = inbox.recv().await {
        told.push(event);
    }
    // Every step that was begun has one end, and the last word is the summary.
    let count = |wanted: fn(&Event) -> bool| told.iter().filter(|e| wanted(e)).count();
    let started = count(|e| matches!(e, Event::Started { .. }));
    let ended = count(|e| matches!(e, Event::Ended { .. }));
    assert!(ended >= started, "{told:?}");
    assert!(matches!(told.last(), Some(Event::Finished { .. })), "{told:?}");
    assert_eq!(summary.left, plan.steps.len() - ended + given_up(&told));
    (summary, told)
}

fn given_up(told: &[Event]) -> usize {
    let ended = |e: &&Event| {
        matches!(
            e,
            Event::Ended {
                outcome: Outcome::GivenUp,
                ..
            }
        )
    };
    told.iter().filter(ended).count()
}

/// `+id` where a step starts, `-id` where it ends.
fn order(told: &[Event]) -> Vec<String> {
    let word = |event: &Event| match event {
        Event::Started { step, .. } => Some(format!("+{step}")),
        Event::Ended { step, .. } => Some(format!("-{step}")),
        _ => None,
    };
    told.iter().filter_map(word).collect()
}

fn failure<'a>(told: &'a [Event], id: &str) -> &'a str {
    let mut all = told.iter().filter_map(|event| match event {
        Event::Ended {
            step,
            outcome: Outcome::Failed { message, .. },
            ..
        } if step == id => Some(message),
        _ => None,
    });
    all.next()
        .unwrap_or_else(|| panic!("{id} did not fail: {told:?}"))
}

#[tokio::test]
async fn steps_run_beside_each_other_along_their_edges() {
    let plan = plan(vec![
        step("a", &["c1"], &[]),
        step("b", &["c2"], &[]),
        step("c", &["c1"], &["a", "b"]),
    ]);
    let (summary, told) = executed(&plan, &sessions(&["c1", "c2"], |_| works()), 8, plain()).await;
    let order = order(&told);
    assert_eq!(order[..2], ["+a", "+b"]);
    assert_eq!(order[4..], ["+c", "-c"]);
    assert_eq!((summary.changed, summary.failed, summary.left), (3, 0, 0));
}

/// A step that waits for room has not started, and a failure meanwhile leaves it alone.
#[tokio::test]
async fn no_step_is_told_to_start_before_it_has_room() {
    let names = ["a", "b", "c", "d", "e"];
    let all = plan(names.iter().map(|n| step(n, &["c1"], &[])).collect());
    let (summary, told) = executed(&all, &sessions(&["c1"], |_| works()), 2, plain()).await;
    assert_eq!(summary.changed, 5);
    let mut under_way = 0_i32;
    for word in order(&told) {
        under_way += if word.starts_with('+') { 1 } else { -1 };
        assert!((0..=2).contains(&under_way), "{told:?}");
    }
    let second = |op: Op| match named(&op) {
        "b" => futures::future::ready(Some(Err(OpError::new("it broke")))).boxed(),
        _ => works(),
    };
    let (summary, told) = executed(&all, &sessions(&["c1"], second), 2, plain()).await;
    let mut seen = order(&told);
    seen[2..].sort();
    assert_eq!(seen, ["+a", "+b", "-a", "-b"]);
    assert_eq!((summary.changed, summary.failed, summary.left), (1, 1, 3));
    assert_eq!(failure(&told, "b"), "it broke");
}

#[tokio::test]
async fn a_step_that_goes_after_none_of_the_plan_stops_it() {
    let plan = plan(vec![step("a", &["c1"], &[]), step("b", &["c1"], &["gone"])]);
    let asked = sessions(&["c1"], |_| panic!("nothing may be done"));
    let (summary, told) = executed(&plan, &asked, 2, plain()).await;
    let why = failure(&told, "b");
    assert!(why.contains("goes after gone"), "{why}");
    assert_eq!((summary.changed, summary.failed, summary.left), (0, 1, 1));
}

/// A fault of our own in a step is told as its end, and what goes after it is not begun.
#[tokio::test]
async fn a_task_that_panics_has_its_end() {
    let mut run = wire::Command::new("b".to_owned(), &["true"], 1_000);
    run.stdin = Some("b".to_owned());
    let mut broken = step("b", &["c1"], &[]);
    broken.ops = vec![Op::Run(run)];
    let plan = plan(vec![step("a", &["c1"], &[]), broken, step("c", &["c1"], &["b"])]);
    let fill: Fill = Arc::new(|text: &str| {
        assert_ne!(text, "b", "a bug");
        Ok(text.to_owned())
    });
    let (summary, told) = executed(&plan, &sessions(&["c1"], |_| works()), 2, fill).await;
    assert!(failure(&told, "b").contains("fault"));
    assert_eq!((summary.changed, summary.failed, summary.left), (1, 1, 1));
}

#[tokio::test]
async fn who_only_waits_is_given_up_and_who_changes_is_let_end() {
    let wait = |what: &str| {
        Op::Wait(Wait {
            what: what.to_owned(),
            query: Query::Cluster,
            expect: Expect::Open,
            timeout_ms: 300_000,
            every_ms: 100,
        })
    };
    let mut waits = step("a", &["c1"], &[]);
    waits.ops = vec![wait("for ever")];
    let mut changes = step("b", &["c1"], &[]);
    changes.ops.push(wait("a moment"));
    let plan = plan(vec![waits, changes, step("c", &["c1"], &["b"])]);
    let (stop, interrupts) = watch::channel(Stop::No);
    let stop = Arc::new(stop);
    let react = move |op: Op| match op {
        Op::Wait(wait) if wait.what == "for ever" => futures::future::pending().boxed(),
        Op::Wait(_) => works(),
        _ => {
            stop.send_replace(Stop::AfterStepsInFlight);
            works()
        }
    };
    let options = RunOptions {
        parallel: 4,
        fill: plain(),
        stop: interrupts,
    };
    let (summary, told) = stopped(&plan, &sessions(&["c1"], react), options).await;
    let mut seen = order(&told);
    seen[2..].sort();
    assert_eq!(seen, ["+a", "+b", "-a", "-b"]);
    assert_eq!(given_up(&told), 1);
    assert_eq!((summary.changed, summary.failed, summary.left), (1, 0, 2));
}

#[tokio::test]
async fn the_first_host_that_is_reached_does_it() {
    let mut known = sessions(&["c1", "c2"], |_| works());
    let error = ConnectError {
        host: host("c1"),
        message: "cannot connect: no route".to_owned(),
        cure: String::new(),
    };
    known.insert(host("c1"), Err(error));
    let both = plan(vec![step("a", &["c1", "c2"], &[])]);
    let (_, told) = executed(&both, &known, 2, plain()).await;
    assert!(
        told.iter()
            .any(|e| matches!(e, Event::Started { host, .. } if host == "c2"))
    );
    let one = plan(vec![step("a", &["c1"], &[])]);
    let (summary, told) = executed(&one, &known, 2, plain()).await;
    assert!(failure(&told, "a").contains("no route"));
    assert_eq!((summary.failed, summary.left), (1, 0));
    // And a connection that breaks under a step is told as that.
    let lost = sessions(&["c1"], |_| futures::future::ready(None).boxed());
    let (_, told) = executed(&one, &lost, 2, plain()).await;
    assert_eq!(failure(&told, "a"), "the connection to the host was lost");
}
