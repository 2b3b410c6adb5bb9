//! The executor: a plan's steps, in parallel along their edges.
//!
//! One loop owns the state; each step is a task that reports by channel and
//! shares nothing. After a failure nothing new is begun, what is in flight is
//! let end, and all failures are told: a half-done step is worse than a late
//! one. A step that only waits is given up, also at Ctrl-C: nothing is half-done
//! by it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use plan::{Plan, Step};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
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

/// A step under way.
struct UnderWay {
    step: usize,
    host: String,
    /// Milliseconds since the run began.
    since: u64,
}

/// State of a run; the loop in [`execute`] owns it.
struct Run<'a> {
    plan: &'a Plan,
    begin: Instant,
    events: mpsc::UnboundedSender<Event>,
    /// Steps not begun, each with those that it still waits for.
    waiting: BTreeMap<usize, BTreeSet<usize>>,
    tasks: JoinSet<Outcome>,
    under_way: HashMap<Id, UnderWay>,
    summary: Summary,
    given_up: usize,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            plan,
            begin: Instant::now(),
            events,
            waiting: BTreeMap::new(),
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            summary: Summary::default(),
            given_up: 0,
        }
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A reader that went away is not the run's concern.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Reads the edges. A step that goes after none of the plan fails, so that nothing begins:
    /// without that edge it might run beside what it has to wait for.
    fn edges(&mut self) {
        let plan = self.plan;
        let steps = || plan.steps.iter().enumerate();
        let index: BTreeMap<&str, usize> = steps().map(|(i, s)| (s.id.as_str(), i)).collect();
        for (i, step) in steps() {
            let lost = step.after.iter().find(|a| !index.contains_key(a.as_str()));
            let Some(lost) = lost else {
                let after = step.after.iter().filter_map(|a| index.get(a.as_str()).copied());
                self.waiting.insert(i, after.collect());
                continue;
            };
            let host = step.hosts.first().map_or_else(String::new, ToString::to_string);
            let message = format!("it goes after {lost}, which is no step of this plan: nothing was begun");
            self.end(i, host, self.ms(), Outcome::failed(message));
        }
    }

    /// Steps that may begin now, no more than may run at once.
    fn ready(&mut self, parallel: usize) -> Vec<usize> {
        let room = parallel.max(1).saturating_sub(self.tasks.len());
        let free = self.waiting.iter().filter(|(_, after)| after.is_empty());
        let ready: Vec<usize> = free.map(|(i, _)| *i).take(room).collect();
        for i in &ready {
            self.waiting.remove(i);
        }
        ready
    }

    fn start(
        &mut self,
        i: usize,
        step: &Step,
        host: String,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let since = self.ms();
        self.tell(Event::Started {
            ms: since,
            step: step.id.clone(),
            host: host.clone(),
            title: step.title.clone(),
        });
        let id = self.tasks.spawn(work).id();
        self.under_way.insert(id, UnderWay { step: i, host, since });
    }

    fn progress(&self, message: Message) {
        let Message::Progress { step, host, line } = message;
        if let Some(step) = self.plan.steps.get(step) {
            self.tell(Event::Progress {
                ms: self.ms(),
                step: step.id.clone(),
                host,
                line,
            });
        }
    }

    /// A task has ended, or panicked: that is a bug, and its step failed.
    fn joined(&mut self, joined: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match joined {
            Ok(ended) => ended,
            Err(error) => {
                let message = "the program that did it has a fault: how far it came is not known";
                (error.id(), Outcome::failed(message.to_owned()))
            }
        };
        if let Some(UnderWay { step, host, since }) = self.under_way.remove(&id) {
            self.end(step, host, since, outcome);
        }
    }

    fn end(&mut self, i: usize, host: String, since: u64, outcome: Outcome) {
        match &outcome {
            Outcome::Done { changed } => {
                self.summary.changed += usize::from(*changed > 0);
                for after in self.waiting.values_mut() {
                    after.remove(&i);
                }
            }
            Outcome::Failed { .. } => self.summary.failed += 1,
            Outcome::GivenUp => self.given_up += 1,
        }
        if let Some(step) = self.plan.steps.get(i) {
            let ms = self.ms();
            self.tell(Event::Ended {
                ms,
                step: step.id.clone(),
                host,
                took: ms.saturating_sub(since),
                outcome,
            });
        }
    }

    fn finish(mut self) -> Summary {
        self.summary.left = self.waiting.len() + self.given_up;
        self.tell(Event::Finished {
            ms: self.ms(),
            changed: self.summary.changed,
            failed: self.summary.failed,
            left: self.summary.left,
        });
        self.summary
    }
}

/// Executes `plan`; every event goes to `events`, which may be slow: it is unbounded.
pub async fn execute(
    plan: &Plan,
    sessions: &Sessions,
    options: RunOptions,
    events: mpsc::UnboundedSender<Event>,
) -> Summary {
    let mut run = Run::new(plan, events);
    run.tell(Event::Began {
        at: jiff::Timestamp::now().to_string(),
        intent: plan.intent.clone(),
        steps: plan.steps.len(),
    });
    run.edges();
    let (messages, mut inbox) = mpsc::unbounded_channel();
    let (stop_waiting, vain) = watch::channel(false);
    let mut interrupt = options.stop.clone();
    loop {
        if run.summary.failed > 0 || *interrupt.borrow() == Stop::AfterStepsInFlight {
            stop_waiting.send_replace(true);
        } else {
            for i in run.ready(options.parallel) {
                let Some(step) = plan.steps.get(i) else {
                    continue;
                };
                let session = pick(step, sessions);
                let host = session
                    .as_ref()
                    .map_or_else(|why| why.0.clone(), |s| s.host.to_string());
                let (own, fill) = (step.clone(), Arc::clone(&options.fill));
                let (messages, vain) = (messages.clone(), vain.clone());
                run.start(i, step, host, async move {
                    match session {
                        Ok(session) => perform(i, &own, &session, &fill, &messages, vain).await,
                        Err((_, message)) => Outcome::failed(message),
                    }
                });
            }
        }
        if run.tasks.is_empty() {
            break;
        }
        tokio::select! {
            Some(message) = inbox.recv() => run.progress(message),
            Some(joined) = run.tasks.join_next_with_id() => {
                // Lines of a step stand before its end.
                while let Ok(message) = inbox.try_recv() {
                    run.progress(message);
                }
                run.joined(joined);
            }
            Ok(()) = interrupt.changed() => {}
        }
    }
    run.finish()
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
    Err((
        step.hosts.first().map_or_else(String::new, ToString::to_string),
        why,
    ))
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
            return Outcome::failed(message);
        }
        let (progress, mut lines) = mpsc::unbounded_channel();
        let (host, forward) = (session.host.to_string(), messages.clone());
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
                return Outcome::failed("the connection to the host was lost".to_owned());
            }
        }
    }
    Outcome::Done { changed }
}

#[cfg(test)]
mod tests;
