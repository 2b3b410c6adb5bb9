//! The prober: sends at each tick, records every outcome, stops at its limits.
//!
//! It judges nothing. Probes that ask are sent at every tick whether or not
//! earlier requests were answered, up to a bounded number under way; probes that
//! write are sent one at a time. It needs a runtime whose threads are not kept
//! busy by others, or it measures them: [`ProbeReport`](crate::ProbeReport) shows
//! the longest time it was late.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};

use crate::{
    Ended, Error, History, Mark, Outcome, Probe, Record, Result, Subject,
    client::{self, Asks, Client, Writes},
    cpu,
    error::short,
    history::nanos,
    probes::check_all,
};

/// Longest a prober may run.
const DURATION_MAX: Duration = Duration::from_hours(24);
/// Most requests of a prober: each is kept in memory, at about 100 bytes.
const REQUESTS_MAX: u64 = 5_000_000;
/// Most unanswered requests of one probe; further ticks are skipped.
const UNDER_WAY_MAX: usize = 256;

/// What a prober may do at most. Both are required: it is load on what it measures.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// It stops by itself after this; at most 24 h.
    pub duration: Duration,
    /// It stops by itself after this many requests of all probes together; at
    /// most 5 million.
    pub requests: u64,
}

/// Starts probers. See [`Prober::start`].
#[derive(Debug, Clone, Copy)]
pub struct Prober;

/// A running prober. Dropping it ends it and loses its history.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Prober {
    /// Checks the probes, makes tables, queues and first tokens, and starts
    /// asking. Nothing is asked before all of it has worked.
    ///
    /// # Errors
    ///
    /// [`Error::Limits`] and [`Error::Invalid`] before anything was sent;
    /// [`Error::Prepare`] when a writer or the first token could not be prepared.
    pub async fn start(probes: Vec<Probe>, limits: Limits) -> Result<Handle> {
        if limits.duration.is_zero() || limits.duration > DURATION_MAX {
            return Err(Error::Limits("the duration is zero or above 24 h"));
        }
        if limits.requests == 0 || limits.requests > REQUESTS_MAX {
            return Err(Error::Limits("the number of requests is zero or above 5 million"));
        }
        if probes.is_empty() {
            return Err(Error::Limits("there is no probe"));
        }
        check_all(&probes)?;
        client::crypto();

        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = nanos(since_1970);
        let mut prepared = Vec::new();
        for probe in &probes {
            prepared.push(Client::prepare(probe, run).await?);
        }
        let shared = Arc::new(Shared {
            run,
            started: Instant::now(),
            cpu_ns: cpu::spent_ns(),
            subjects: probes.iter().map(Subject::of).collect(),
            left: AtomicU64::new(limits.requests),
            records: Mutex::default(),
            marks: Mutex::default(),
            stop: watch::Sender::new(None),
        });
        let mut tasks = JoinSet::new();
        let until = Arc::clone(&shared);
        tasks.spawn(async move {
            if timeout(limits.duration, until.stopped()).await.is_err() {
                until.end(Ended::Duration);
            }
        });
        let count = u32::try_from(probes.len()).unwrap_or(u32::MAX);
        for (index, (probe, client)) in (0_u32..).zip(probes.into_iter().zip(prepared)) {
            // Spread, so that probes of one interval do not come in bursts.
            let ticks = ticks(shared.started + probe.every * index / count, probe.every);
            let lane = Lane {
                shared: Arc::clone(&shared),
                name: probe.name.as_str().into(),
                ticks,
            };
            match client {
                Client::Asks(asker) => tasks.spawn(ask(lane, probe, asker)),
                Client::Writes(writer) => tasks.spawn(write(lane, probe, writer)),
            };
        }
        Ok(Handle { shared, tasks })
    }
}

impl Handle {
    /// Puts a mark into the history, now.
    pub fn mark(&self, text: &str) {
        let at_ns = self.shared.now();
        lock(&self.shared.marks).push(Mark {
            at_ns,
            text: short(text),
        });
    }

    /// Nanoseconds since the start, as in the records.
    pub fn now_ns(&self) -> u64 {
        self.shared.now()
    }

    /// When the latest good answer of a probe was there, in nanoseconds since
    /// the start: to wait until all is well before the next attack.
    pub fn last_good_ns(&self, probe: &str) -> Option<u64> {
        let records = lock(&self.shared.records);
        let mut good = records
            .iter()
            .rev()
            .filter(|r| &*r.probe == probe && r.outcome.good());
        good.next().map(|record| record.end_ns)
    }

    /// The history so far, with [`Ended::Running`] while it runs.
    pub fn snapshot(&self) -> History {
        self.shared.history()
    }

    /// Stops sending, waits for what is under way (one timeout at most) and
    /// gives the history.
    pub async fn stop(self) -> History {
        self.shared.end(Ended::Stopped);
        self.wait().await
    }

    /// Returns when a limit has been reached and nothing is under way any more;
    /// the history is then to be had from [`stop`](Self::stop).
    pub async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Waits until a limit is reached and gives the history.
    pub async fn wait(mut self) -> History {
        self.ended().await;
        self.shared.history()
    }
}

/// What all tasks of a prober share.
#[derive(Debug)]
struct Shared {
    run: u64,
    started: Instant,
    /// CPU time of the process at the start.
    cpu_ns: u64,
    subjects: Vec<Subject>,
    /// Requests left.
    left: AtomicU64,
    records: Mutex<Vec<Record>>,
    marks: Mutex<Vec<Mark>>,
    /// Once it has ended: why, when, and the CPU time spent.
    stop: watch::Sender<Option<(Ended, u64, u64)>>,
}

impl Shared {
    fn now(&self) -> u64 {
        nanos(self.started.elapsed())
    }

    fn spent(&self) -> u64 {
        cpu::spent_ns().saturating_sub(self.cpu_ns)
    }

    /// Ends the prober; the first reason stays.
    fn end(&self, why: Ended) {
        let (now, spent) = (self.now(), self.spent());
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert((why, now, spent));
            first
        });
    }

    /// Returns once the prober has ended.
    async fn stopped(&self) {
        // The sender lives as long as `self`, so this cannot fail before it is true.
        let _ = self.stop.subscribe().wait_for(Option::is_some).await.map(drop);
    }

    /// Whether one more request may be sent; ends the prober if not.
    fn permit(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        let may = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok();
        if !may {
            self.end(Ended::Requests);
        }
        may
    }

    fn history(&self) -> History {
        let (ended, stopped_ns, cpu_ns) = self
            .stop
            .borrow()
            .unwrap_or_else(|| (Ended::Running, self.now(), self.spent()));
        let mut records = lock(&self.records).clone();
        records.sort_by_key(|record| record.end_ns);
        let (subjects, marks) = (self.subjects.clone(), lock(&self.marks).clone());
        History {
            run: self.run,
            subjects,
            records,
            marks,
            stopped_ns,
            cpu_ns,
            ended,
        }
    }
}

/// One probe's place in the prober.
struct Lane {
    shared: Arc<Shared>,
    name: Arc<str>,
    ticks: Interval,
}

impl Lane {
    /// Waits for the next tick; false once the prober has ended.
    async fn tick(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.shared.stopped() => false,
            _ = self.ticks.tick() => self.shared.permit(),
        }
    }

    /// Records a request that was sent at `start_ns` and whose outcome is known now.
    fn record(&self, seq: u64, start_ns: u64, outcome: Outcome) {
        record(&self.shared, &self.name, seq, start_ns, outcome);
    }
}

fn record(shared: &Shared, probe: &Arc<str>, seq: u64, start_ns: u64, outcome: Outcome) {
    let (probe, end_ns) = (Arc::clone(probe), shared.now());
    lock(&shared.records).push(Record {
        probe,
        seq,
        start_ns,
        end_ns,
        outcome,
    });
}

/// Asks at every tick, whatever is still under way.
async fn ask(mut lane: Lane, probe: Probe, asker: Arc<Asks>) {
    let most = probe.timeout.as_nanos() / probe.every.as_nanos().max(1) + 2;
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(UNDER_WAY_MAX);
    let mut under_way = JoinSet::new();
    let mut seq = 0;
    while lane.tick().await {
        seq += 1;
        let start_ns = lane.shared.now();
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= most {
            lane.record(seq, start_ns, Outcome::Skipped);
            continue;
        }
        let (asker, limit) = (Arc::clone(&asker), probe.timeout);
        let (shared, name) = (Arc::clone(&lane.shared), Arc::clone(&lane.name));
        under_way.spawn(async move {
            let no_answer = |_| Outcome::Failed("timeout".into());
            let outcome = timeout(limit, asker.ask()).await.unwrap_or_else(no_answer);
            record(&shared, &name, seq, start_ns, outcome);
        });
    }
    while under_way.join_next().await.is_some() {}
}

/// Writes at every tick that finds the write before it done.
async fn write(mut lane: Lane, probe: Probe, mut writer: Box<Writes>) {
    let mut id = 0;
    while lane.tick().await {
        id += 1;
        let start_ns = lane.shared.now();
        let outcome = match timeout(probe.timeout, writer.write(id)).await {
            Ok(Ok(())) => Outcome::Ok,
            Ok(Err(reason)) => Outcome::Failed(reason),
            Err(_) => Outcome::Failed("timeout".into()),
        };
        if !outcome.good() {
            writer.reset();
        }
        lane.record(id, start_ns, outcome);
    }
}

fn ticks(first: Instant, every: Duration) -> Interval {
    let mut ticks = interval_at(first, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// A task that panicked while it held the lock leaves whole records behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
