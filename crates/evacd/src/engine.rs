//! The loop: observe, decide, write down, act, observe again. Not for what is decided.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use evac::{Act, Decision, EngineSeen, Line, Name, Seen, decide};
use jiff::Timestamp;
use openstack::{Client, Limits};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use wire::Fact;

use crate::{
    Error,
    clock::{Clock, ms},
    commands::wishes,
    config::{Config, Host},
    fencer::Fencer,
    hands::{Hands, Tools},
    journal::Journal,
    metrics::Metrics,
    quorum::quorate,
    seen::{
        Detail, Latest, Memory, Overview, Powers, Sources, Survey, Wishes, drained, put_together, watch_nova,
    },
    store::{Rows, SqlStore, Store, StoreError},
    tell::Teller,
};

/// Time between two rounds while all is well.
const QUIET: Duration = Duration::from_millis(500);
/// The same while something is not.
const HURRIED: Duration = Duration::from_millis(200);
/// Age from which an answer about services says nothing any more.
const OLD: Duration = Duration::from_secs(12);
/// The same of what changes seldom: surveys of large clouds are rare.
const VERY_OLD: Duration = Duration::from_mins(30);
/// Time between two questions for quorum, and its age from which it is unknown.
const QUORUM: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// Time that a line of the journal has to reach the disk.
const TO_DISK: Duration = Duration::from_secs(1);
/// Time between two tries to make the tables.
const AGAIN: Duration = Duration::from_secs(1);

/// Programs that the engine runs; those of the host unless a test says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The cluster's command for its fencer.
    pub(crate) fence: PathBuf,
    /// Folder of fence agents; empty: where programs are.
    pub(crate) agents: PathBuf,
    /// Tells of quorum.
    pub(crate) quorum: PathBuf,
}

impl Default for Programs {
    fn default() -> Self {
        Self {
            fence: PathBuf::from("stonith_admin"),
            agents: PathBuf::new(),
            quorum: PathBuf::from(pacemaker::ASK_QUORUM[0]),
        }
    }
}

/// Runs the engine until another one takes over. To be ended by a signal is as good as any
/// other end: rows say what was begun.
pub async fn run(config: Config) -> Result<(), Error> {
    let store = SqlStore::new(&config.store)?;
    while let Err(why) = store.prepare().await {
        eprintln!("the engine waits for its database: {why}");
        tokio::time::sleep(AGAIN).await;
    }
    Engine::new(config, store, Programs::default())?.run().await
}

/// The client of the APIs, with the engine's limits.
pub(crate) fn client(config: &Config) -> Result<Client, Error> {
    let limits = Limits {
        ask: Duration::from_secs(5),
        ..Limits::default()
    };
    Client::new(config.identity.clone(), limits).map_err(|e| Error::Config(e.to_string()))
}

/// One engine.
pub(crate) struct Engine<S> {
    config: Arc<Config>,
    store: Arc<S>,
    fencer: Arc<Fencer>,
    hands: Hands<S>,
    journal: Arc<Mutex<Journal>>,
    teller: Teller,
    metrics: Metrics,
    powers: Powers,
    memory: Memory,
    quorum: Latest<Fact<bool>>,
    overview: Latest<Overview>,
    detail: Latest<Detail>,
    survey: Latest<Survey>,
    wishes: watch::Sender<Wishes>,
    held: Option<u64>,
    began: Instant,
    clock: Clock,
    /// Digest of the last line written down.
    noted: String,
    /// Why sources do not answer; empty: they do.
    complaints: BTreeMap<&'static str, String>,
    /// Ends with the engine.
    _tasks: JoinSet<()>,
}

impl<S: Store + 'static> Engine<S> {
    pub(crate) fn new(config: Config, store: S, programs: Programs) -> Result<Self, Error> {
        let config = Arc::new(config);
        let client = Arc::new(client(&config)?);
        let fencer = Arc::new(Fencer::new(programs.fence, programs.agents));
        let journal = Journal::open(&config.journal)
            .map_err(|e| Error::Config(format!("{}: {e}", config.journal.display())))?;
        let teller = Teller::new(&config).map_err(Error::Config)?;
        let (wishes, heard) = watch::channel(Wishes::default());
        let mut tasks = JoinSet::new();
        let (overview, detail, survey) = watch_nova(&client, &heard, &mut tasks);
        let quorum = Latest::default();
        tasks.spawn(ask_quorum(programs.quorum, quorum.clone()));
        let store = Arc::new(store);
        let tools = Tools {
            config: config.clone(),
            store: store.clone(),
            client,
            fencer: fencer.clone(),
        };
        Ok(Self {
            metrics: Metrics::new(config.metrics.clone()),
            config,
            store,
            fencer,
            hands: Hands::new(tools),
            journal: Arc::new(Mutex::new(journal)),
            teller,
            powers: Powers::default(),
            memory: Memory::default(),
            quorum,
            overview,
            detail,
            survey,
            wishes,
            held: None,
            began: Instant::now(),
            clock: Clock::new(),
            noted: String::new(),
            complaints: BTreeMap::new(),
            _tasks: tasks,
        })
    }

    pub(crate) async fn run(mut self) -> Result<(), Error> {
        loop {
            let pause = self.round().await?;
            tokio::time::sleep(pause).await;
        }
    }

    /// One round; the time until the next.
    pub(crate) async fn round(&mut self) -> Result<Duration, Error> {
        let late_ms = self.clock.late_ms();
        let began = Instant::now();
        for ended in self.hands.ended() {
            if let Err(why) = &ended.result {
                self.metrics.counts.failures += 1;
                eprintln!("{}: {why}", ended.act);
            }
        }
        let rows = self.store.read(self.config.policy.rate_ms).await;
        // Heartbeats last: their ages are of the moment at which they are asked for.
        let observed = Instant::now();
        let tables = heartbeat::ask(&self.config.observer).await;
        self.complain("heartbeats", tables.as_ref().err());
        self.complain("rows", rows.as_ref().err());
        let seen = self.observe(late_ms, tables, rows);
        let decision = decide(&self.config.policy, &seen);
        self.wish(&seen, &decision);
        self.note(&seen, &decision).await;
        self.metrics.counts.rounds += 1;
        if let Err(why) = self.metrics.write(&seen, &decision, began.elapsed()) {
            eprintln!("the metrics are not written: {why}");
        }
        self.teller.tell(&decision.acts);
        let plain = decision.hosts.is_empty() && decision.look.is_empty();
        for act in decision.acts {
            // An old observation is no reason to act: this process stood still.
            if ms(observed.elapsed()) > self.config.policy.late_ms {
                eprintln!(
                    "the round took {} ms: the rest of its acts is left",
                    observed.elapsed().as_millis()
                );
                break;
            }
            self.act(act).await?;
        }
        let pause = if plain { QUIET } else { HURRIED };
        self.clock.due = Instant::now() + pause;
        Ok(pause)
    }

    /// Tells once why a source does not answer.
    fn complain(&mut self, source: &'static str, error: Option<&impl ToString>) {
        let why = error.map(ToString::to_string).unwrap_or_default();
        let before = self.complaints.entry(source).or_default();
        if *before != why {
            let said = if why.is_empty() { "answers again" } else { &why };
            eprintln!("{source}: {said}");
            *before = why;
        }
    }

    fn observe(
        &self,
        late_ms: u64,
        tables: Result<heartbeat::Tables, heartbeat::Error>,
        rows: Result<Rows, StoreError>,
    ) -> Seen {
        let quorate = self.quorum.within(QUORUM.1);
        put_together(&Sources {
            config: &self.config,
            engine: EngineSeen {
                controller: Name::from(self.config.me.as_str()),
                held: self.held,
                quorate: quorate
                    .map_or_else(|| Fact::Unknown("not told lately".to_owned()), |q| (*q).clone()),
                running_ms: ms(self.began.elapsed()),
                late_ms,
            },
            tables,
            rows,
            overview: self.overview.within(OLD),
            detail: self.detail.within(OLD),
            survey: self.survey.within(VERY_OLD),
            powers: &self.powers,
            memory: &self.memory,
            now: Timestamp::now(),
        })
    }

    /// Subjects of the next questions.
    fn wish(&mut self, seen: &Seen, decision: &Decision) {
        let mut wishes = wishes(seen, decision);
        wishes.drained = drained(self.overview.within(OLD).as_deref());
        if let Fact::Known(store) = &seen.store {
            let begun = |h: &&Host| {
                store
                    .intents
                    .iter()
                    .any(|row| row.intent.host.as_str() == h.name.as_str())
            };
            self.powers
                .watch(&self.fencer, self.config.hosts.iter().filter(begun));
        }
        self.wishes.send_if_modified(|now| {
            let changed = *now != wishes;
            *now = wishes;
            changed
        });
    }

    /// Writes a decision down that is acted on, or that says something new.
    async fn note(&mut self, seen: &Seen, decision: &Decision) {
        let news = in_short(decision);
        let acts = decision.acts.iter().any(|act| match act {
            Act::Tell { .. } => false,
            Act::Claim { .. } | Act::StandDown { .. } | Act::Write(_) | Act::Forget { .. } => true,
            act => self.hands.free(act),
        });
        if !acts && news == self.noted {
            return;
        }
        self.noted = news;
        let line = Line {
            at: Timestamp::now().to_string(),
            policy: self.config.policy.clone(),
            seen: seen.clone(),
            decision: decision.clone(),
        };
        let journal = self.journal.clone();
        let written = tokio::task::spawn_blocking(move || match journal.try_lock() {
            Ok(mut journal) => journal.add(&line).map_err(|e| e.to_string()),
            Err(_) => Err("the line before is still being written".to_owned()),
        });
        // A disk that fails is no reason to leave VMs down.
        match timeout(TO_DISK, written).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(why))) => eprintln!("the journal is not written: {why}"),
            Ok(Err(_)) | Err(_) => eprintln!("the journal is not written within {} s", TO_DISK.as_secs()),
        }
    }

    async fn act(&mut self, act: Act) -> Result<(), Error> {
        match act {
            Act::Claim { above, .. } => match self.store.claim(self.config.me.as_str(), above).await {
                Ok(epoch) => self.held = Some(epoch),
                Err(why) => eprintln!("epoch {} was not claimed: {why}", above + 1),
            },
            Act::StandDown { why } => return Err(Error::StoodDown(why)),
            Act::Write(intent) => {
                self.count("write");
                if let Err(why) = self.store.write(&intent).await {
                    eprintln!("{}: its intent is not written: {why}", intent.host);
                }
            }
            Act::Forget { host, why } => {
                self.count("forget");
                let epoch = self.held.unwrap_or(0);
                if let Err(error) = self.store.forget(epoch, &host, &why).await {
                    eprintln!("{host}: its intent is not ended: {error}");
                }
            }
            act => {
                let (Some(epoch), true) = (self.held, self.hands.free(&act)) else {
                    return Ok(());
                };
                self.count(kind(&act));
                self.hands.begin(act, epoch, &self.powers, &mut self.memory);
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: &'static str) {
        *self.metrics.counts.acts.entry(kind).or_default() += 1;
    }
}

fn kind(act: &Act) -> &'static str {
    match act {
        Act::PowerOff { .. } => "power_off",
        Act::PowerOn { .. } => "power_on",
        Act::MarkDown { .. } => "mark_down",
        Act::Disable { .. } => "disable",
        Act::ForceUp { .. } => "force_up",
        Act::Enable { .. } => "enable",
        Act::RestartCompute { .. } => "restart_compute",
        Act::Evacuate(_) => "evacuate",
        Act::RestartVm { .. } => "restart_vm",
        _ => "other",
    }
}

/// A decision without the numbers that change each round.
fn in_short(decision: &Decision) -> String {
    let hosts: Vec<_> = decision.hosts.iter().map(|v| (v.host.as_str(), v.is)).collect();
    let vms: Vec<_> = decision.vms.iter().map(|v| (v.vm.as_str(), v.step)).collect();
    let brakes: Vec<_> = decision.brakes.iter().map(|b| (b.brake, b.released)).collect();
    format!("{} {hosts:?} {vms:?} {brakes:?}", decision.idle.is_some())
}

async fn ask_quorum(program: PathBuf, kept: Latest<Fact<bool>>) {
    loop {
        let began = Instant::now();
        let quorate = quorate(&program).await;
        kept.keep(began, quorate);
        tokio::time::sleep(QUORUM.0).await;
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
