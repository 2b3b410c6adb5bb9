//! The executor: a plan's steps, in parallel along their edges.
//!
//! One loop owns the state; each step is a task that reports by channel and
//! shares nothing. After a failure nothing new is begun, what is in flight is
//! let end, and all failures are told: a half-done step is worse than a late
//! one. A step that only waits is given up, also at Ctrl-C: nothing is half-done
//! by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use plan::{Plan, Step};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use wire::{Op, Reply};

use crate::Sessions;
use crate::event::{Event, Outcome};
use crate::session::{CallError, Session};

/// Fills secrets into text; an error names the secret that is missing.
pub type Fill = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// How far a run may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Go on.
    No,
    /// Begin nothing new.
    AfterStepsInFlight,
}

/// Bounds and hooks of a run.
pub struct RunOptions {
    /// Steps at once, over all hosts.
    pub parallel: usize,
    /// Fills secrets.
    pub fill: Fill,
    /// Set by Ctrl-C.
    pub stop: watch::Receiver<Stop>,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps that changed something.
    pub changed: usize,
    /// Steps that failed.
    pub failed: usize,
    /// Steps that were not begun, or given up.
    pub left: usize,
}

enum Message {
    Progress { step: usize, host: String, line: String },
}

/// Executes `plan`; every event goes to `events`, which may be slow: it is unbounded.
pub async fn execute(
    plan: &Plan,
    sessions: &Sessions,
    options: RunOptions,
    events: mpsc::UnboundedSender<Event>,
) -> Summary {
    let begin = Instant::now();
    let ms = move || u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    // A reader that went away is not the run's concern.
    let tell = |event: Event| {
        let _ = events.send(event);
    };
    tell(Event::Began {
        at: jiff::Timestamp::now().to_string(),
        intent: plan.intent.clone(),
        steps: plan.steps.len(),
    });
    let index: BTreeMap<&str, usize> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(i, s)| (s.id.as_str(), i))
        .collect();
    let mut waiting: BTreeMap<usize, BTreeSet<usize>> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(i, s)| {
            (
                i,
                s.after
                    .iter()
                    .filter_map(|a| index.get(a.as_str()).copied())
                    .collect(),
            )
        })
        .collect();
    let bound = Arc::new(Semaphore::new(options.parallel.max(1)));
    let (messages, mut inbox) = mpsc::unbounded_channel();
    let (stop_waiting, waiting_is_vain) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut summary = Summary::default();
    let mut given_up = 0;
    let mut began_at: BTreeMap<usize, u64> = BTreeMap::new();
    let mut interrupt = options.stop.clone();
    loop {
        let stopped = summary.failed > 0 || *interrupt.borrow() == Stop::AfterStepsInFlight;
        if stopped {
            stop_waiting.send_replace(true);
        } else {
            let ready: Vec<usize> = waiting
                .iter()
                .filter(|(_, a)| a.is_empty())
                .map(|(i, _)| *i)
                .collect();
            for i in ready {
                waiting.remove(&i);
                let Some(step) = plan.steps.get(i) else {
                    continue;
                };
                let session = pick(step, sessions);
                let host = session
                    .as_ref()
                    .map_or_else(|why| why.0.clone(), |s| s.host.clone());
                began_at.insert(i, ms());
                tell(Event::Started {
                    ms: ms(),
                    step: step.id.clone(),
                    host: host.clone(),
                    title: step.title.clone(),
                });
                let (step, fill, bound, messages, vain) = (
                    step.clone(),
                    Arc::clone(&options.fill),
                    Arc::clone(&bound),
                    messages.clone(),
                    waiting_is_vain.clone(),
                );
                tasks.spawn(async move {
                    let _permit = bound.acquire_owned().await;
                    let outcome = match session {
                        Ok(session) => perform(i, &step, &session, &fill, &messages, vain).await,
                        Err((_, message)) => Outcome::Failed {
                            message,
                            status: None,
                            command: None,
                            tail: Vec::new(),
                        },
                    };
                    (i, host, outcome)
                });
            }
        }
        if tasks.is_empty() {
            break;
        }
        tokio::select! {
            Some(Message::Progress { step, host, line }) = inbox.recv() => {
                if let Some(s) = plan.steps.get(step) {
                    tell(Event::Progress { ms: ms(), step: s.id.clone(), host, line });
                }
            }
            Some(joined) = tasks.join_next() => {
                // A task that panicked is a bug; its step counts as failed.
                let Ok((i, host, outcome)) = joined else { summary.failed += 1; continue };
                match &outcome {
                    Outcome::Done { changed } => {
                        summary.changed += usize::from(*changed > 0);
                        for after in waiting.values_mut() {
                            after.remove(&i);
                        }
                    }
                    Outcome::Failed { .. } => summary.failed += 1,
                    Outcome::GivenUp => given_up += 1,
                }
                if let Some(s) = plan.steps.get(i) {
                    let took = ms().saturating_sub(began_at.get(&i).copied().unwrap_or_default());
                    tell(Event::Ended { ms: ms(), step: s.id.clone(), host, took, outcome });
                }
            }
            Ok(()) = interrupt.changed() => {}
        }
    }
    summary.left = waiting.len() + given_up;
    tell(Event::Finished {
        ms: ms(),
        changed: summary.changed,
        failed: summary.failed,
        left: summary.left,
    });
    summary
}

/// The first of the step's candidates that has a live session.
fn pick(step: &Step, sessions: &Sessions) -> Result<Arc<Session>, (String, String)> {
    let mut why = String::new();
    for host in &step.hosts {
        match sessions.get(host) {
            Some(Ok(session)) if session.alive() => return Ok(Arc::clone(session)),
            Some(Ok(_)) => why = format!("{host}: the connection was lost"),
            Some(Err(error)) => why = error.to_string(),
            None => why = format!("{host}: not connected"),
        }
    }
    Err((step.hosts.first().cloned().unwrap_or_default(), why))
}

async fn perform(
    index: usize,
    step: &Step,
    session: &Session,
    fill: &Fill,
    messages: &mpsc::UnboundedSender<Message>,
    mut vain: watch::Receiver<bool>,
) -> Outcome {
    let mut changed = 0;
    // A wait after a change is its gate: given up, the next run would go on past it.
    let only_waits = step.ops.iter().all(|op| matches!(op, Op::Wait(_)));
    for op in &step.ops {
        let mut op: Op = op.clone();
        if let Err(message) = op.fill(&|text: &str| fill(text)) {
            return Outcome::Failed {
                message,
                status: None,
                command: None,
                tail: Vec::new(),
            };
        }
        let (progress, mut lines) = mpsc::unbounded_channel();
        let (host, forward) = (session.host.clone(), messages.clone());
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                if forward
                    .send(Message::Progress {
                        step: index,
                        host: host.clone(),
                        line,
                    })
                    .is_err()
                {
                    return;
                }
            }
        });
        let done = tokio::select! {
            done = session.call(op, Some(progress)) => done,
            Ok(_) = vain.wait_for(|vain| *vain), if only_waits => return Outcome::GivenUp,
        };
        match done {
            Ok(Reply::Changed(n)) => changed += n,
            // A question's answer is for its asker.
            Ok(_) => {}
            Err(CallError::Failed(error)) => {
                return Outcome::Failed {
                    message: error.message,
                    status: error.status,
                    command: error.command,
                    tail: error.tail,
                };
            }
            Err(CallError::Lost) => {
                return Outcome::Failed {
                    message: "the connection to the host was lost".to_owned(),
                    status: None,
                    command: None,
                    tail: Vec::new(),
                };
            }
        }
    }
    Outcome::Done { changed }
}
