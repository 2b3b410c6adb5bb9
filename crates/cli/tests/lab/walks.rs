//! Users who go on all the while: the journeys of a cloud, walked again and again.
//!
//! A walk that hangs holds up no other: each begins at its time, so that what works
//! again is seen at the next beginning. What this measures is when what a user begins
//! comes to a good end, which is more than that an API answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plan::{Fault, Loss, Of, Until};
use probe::Traveller;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use wire::{Journey, JourneyKind, Op, Walked};

use crate::cloud::Cloud;
use crate::said::{tell, until};

/// Between the beginnings of two walks of one journey while all is well. They are load: a
/// walk that has something done costs the cloud some processor's seconds, and two
/// processors run all of its hosts.
fn every(kind: JourneyKind) -> Duration {
    Duration::from_secs(match kind {
        JourneyKind::Read => 30,
        JourneyKind::Write => 60,
        JourneyKind::Action => 120,
    })
}

/// After one that failed the next begins so soon.
pub const AGAIN: Duration = Duration::from_secs(5);
/// Between the beginnings of different journeys: all at once they would be a storm.
const APART: Duration = Duration::from_millis(300);

/// Most walks of one journey at a time.
const AT_ONCE: usize = 2;

struct Walk {
    began: Instant,
    ended: Instant,
    walked: Walked,
}

type Log = Arc<Mutex<Vec<Walk>>>;

/// Walks on the way.
pub struct Walks {
    // Ends what is under way when it goes.
    _runtime: Runtime,
    log: Log,
    names: Vec<(String, JourneyKind)>,
    /// What the first good walk of each took.
    first: BTreeMap<(String, JourneyKind), Duration>,
    /// Has each journey begun once more at once.
    begin: Vec<Arc<Notify>>,
}

/// What each loss is foretold to cost.
pub fn foretold(cloud: &Cloud) -> Vec<Loss> {
    let [text] = cloud.rendered(["losses.json"]);
    serde_json::from_str(&text).unwrap()
}

/// Until when a journey is foretold to work again after a power cut.
pub fn worst_of_a_cut(foretold: &[Loss], host: &str, service: &str, kind: JourneyKind) -> Until {
    let mut cuts = foretold
        .iter()
        .filter(|l| l.fault == Fault::Power && l.host == host);
    let found = cuts.find(|l| l.service == service && l.of == Of::Journey(kind));
    found.map_or(Until::NOW, |l| l.worst)
}

/// The journeys of a cloud, ready to be walked.
pub fn journeys(cloud: &Cloud) -> Vec<Journey> {
    let [text] = cloud.rendered(["journeys.json"]);
    let mut op = Op::Walk(serde_json::from_str(&text).unwrap());
    let vault = cloud.vault();
    op.fill(&|text: &str| vault.fill(text)).unwrap();
    match op {
        Op::Walk(journeys) => journeys,
        _ => Vec::new(),
    }
}

/// Walks a journey from now on until it comes to a good end: how long that took in all,
/// and why the walks before failed.
#[track_caller]
pub fn until_well(journey: &Journey, limit: Duration) -> (Duration, Vec<String>) {
    let runtime = Runtime::new().unwrap();
    let mut traveller = Traveller::default();
    let mut failures = Vec::new();
    let began = Instant::now();
    until(
        &format!("{} {}", journey.service, journey.kind.as_str()),
        limit,
        || match runtime.block_on(traveller.walk(journey)).failed {
            None => Ok(()),
            Some(why) => {
                failures.push(why.clone());
                Err(why)
            }
        },
    );
    (began.elapsed(), failures)
}

impl Walks {
    /// Walks each journey until it comes to a good end, and from then on all of them.
    pub fn start(journeys: Vec<Journey>) -> Self {
        let mut first = Vec::new();
        for journey in &journeys {
            let (took, _) = until_well(journey, Duration::from_mins(5));
            first.push(took);
            tell(&format!(
                "  {:<10} {:<7} {:5.1} s with nothing lost",
                journey.service,
                journey.kind.as_str(),
                took.as_secs_f64()
            ));
        }
        let runtime = Runtime::new().unwrap();
        let log = Log::default();
        let names: Vec<_> = journeys.iter().map(|j| (j.service.clone(), j.kind)).collect();
        let first = names.iter().cloned().zip(first).collect();
        let mut begin = Vec::new();
        for journey in journeys {
            let now = Arc::new(Notify::new());
            runtime.spawn(lane(journey, Arc::clone(&log), Arc::clone(&now)));
            begin.push(now);
        }
        Self {
            _runtime: runtime,
            log,
            names,
            first,
            begin,
        }
    }

    /// When each journey that was begun after a moment first came to a good end, from that
    /// moment on; begins all at once and waits until all have.
    #[track_caller]
    pub fn until_all_work(
        &self,
        since: Instant,
        limit: Duration,
    ) -> BTreeMap<(String, JourneyKind), Duration> {
        for now in &self.begin {
            now.notify_one();
            std::thread::sleep(APART);
        }
        until("every journey", limit, || {
            let found = self.first_good(since);
            let missing: Vec<String> = (self.names.iter())
                .filter(|name| !found.contains_key(name))
                .map(|(service, kind)| {
                    let why = self.failures(since, service, *kind).join("; ");
                    format!("{service} {}: {why}", kind.as_str())
                })
                .collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(missing.join("\n"))
            }
        });
        self.first_good(since)
    }

    /// How much later than the first a journey is begun where all are.
    pub fn begun_after(&self, service: &str, kind: JourneyKind) -> Duration {
        let mut names = self.names.iter();
        let at = names.position(|n| *n == (service.to_owned(), kind));
        APART * u32::try_from(at.unwrap_or_default()).unwrap()
    }

    fn first_good(&self, since: Instant) -> BTreeMap<(String, JourneyKind), Duration> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out: BTreeMap<(String, JourneyKind), Duration> = BTreeMap::new();
        for walk in log
            .iter()
            .filter(|w| w.began >= since && w.walked.failed.is_none())
        {
            let took = walk.ended.duration_since(since);
            let best = out
                .entry((walk.walked.service.clone(), walk.walked.kind))
                .or_insert(took);
            *best = took.min(*best);
        }
        out
    }

    /// What the longest good walk of a journey took that had ended before a moment.
    pub fn took_before(&self, moment: Instant, service: &str, kind: JourneyKind) -> Duration {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let good = log.iter().filter(|w| {
            w.walked.failed.is_none()
                && w.ended < moment
                && (w.walked.service.as_str(), w.walked.kind) == (service, kind)
        });
        let first = self.first.get(&(service.to_owned(), kind)).copied();
        good.map(|w| w.ended.duration_since(w.began))
            .chain(first)
            .max()
            .unwrap_or_default()
    }

    /// The walks of a journey that failed, which were begun after a moment: from when to
    /// when, in seconds after it, and why.
    fn failures(&self, since: Instant, service: &str, kind: JourneyKind) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |w: &&Walk| w.began >= since && w.walked.service == service && w.walked.kind == kind;
        let after = |at: Instant| at.duration_since(since).as_secs();
        let failed = log.iter().filter(of).filter_map(|w| {
            let why = w.walked.failed.as_ref()?;
            Some(format!("{}-{} s: {why}", after(w.began), after(w.ended)))
        });
        failed.collect()
    }
}

async fn lane(journey: Journey, log: Log, now: Arc<Notify>) {
    let idle: Arc<Mutex<Vec<Traveller>>> = Arc::default();
    let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let every = every(journey.kind);
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = now.notified() => {}
        }
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (journey, log, idle) = (journey.clone(), Arc::clone(&log), Arc::clone(&idle));
        let now = Arc::clone(&now);
        tokio::spawn(async move {
            let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut traveller = free.unwrap_or_default();
            let began = Instant::now();
            let walked = traveller.walk(&journey).await;
            let (ended, failed) = (Instant::now(), walked.failed.is_some());
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(traveller);
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Walk { began, ended, walked });
            drop(place);
            if failed {
                tokio::time::sleep(AGAIN).await;
                now.notify_one();
            }
        });
    }
}
