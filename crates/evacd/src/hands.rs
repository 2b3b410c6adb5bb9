//! The acts of a decision, done: each at most once at a time, none waited for by the next
//! round. Not for whether they should be done, and not for rows, which come first.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use evac::{Act, Answer, HostId, Phase, Sent};
use openstack::{Client, Error, Power, ServiceChange};
use tokio::task::JoinSet;
use wire::Fact;

use crate::{
    config::Config,
    fencer::Fencer,
    process::run,
    seen::{Latest, Memory, Powers},
    store::{Store, StoreError},
};

/// Time after a failure in which the same is not begun again.
const PAUSE: Duration = Duration::from_secs(1);
/// Time from the insert of an evacuation's row within which it is sent.
const SEND_WITHIN: Duration = Duration::from_secs(3);
/// Time that the command has that restarts a compute service.
const RESTART: Duration = Duration::from_mins(1);
/// Tries to keep an answer that is known.
const TRIES: usize = 3;

/// An act that ended.
pub(crate) struct Ended {
    /// The act, in words.
    pub(crate) act: String,
    /// How it ended.
    pub(crate) result: Result<(), String>,
}

/// Means of acts.
pub(crate) struct Tools<S> {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Arc<S>,
    pub(crate) client: Arc<Client>,
    pub(crate) fencer: Arc<Fencer>,
}

impl<S> Clone for Tools<S> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            store: self.store.clone(),
            client: self.client.clone(),
            fencer: self.fencer.clone(),
        }
    }
}

/// Acts that are under way.
pub(crate) struct Hands<S> {
    tools: Tools<S>,
    under_way: JoinSet<(String, Ended)>,
    busy: BTreeMap<String, Instant>,
    failed: BTreeMap<String, Instant>,
}

impl<S: Store + 'static> Hands<S> {
    pub(crate) fn new(tools: Tools<S>) -> Self {
        Self {
            tools,
            under_way: JoinSet::new(),
            busy: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Acts that ended since the last call.
    pub(crate) fn ended(&mut self) -> Vec<Ended> {
        let mut all = Vec::new();
        while let Some(joined) = self.under_way.try_join_next() {
            let Ok((key, ended)) = joined else { continue };
            self.busy.remove(&key);
            if ended.result.is_err() {
                self.failed.insert(key, Instant::now());
            } else {
                self.failed.remove(&key);
            }
            all.push(ended);
        }
        self.failed.retain(|_, at| at.elapsed() < PAUSE);
        all
    }

    /// True: the act can be begun now.
    pub(crate) fn free(&self, act: &Act) -> bool {
        key(act).is_some_and(|key| !self.busy.contains_key(&key) && !self.failed.contains_key(&key))
    }

    /// Begins an act that is no row, under an epoch.
    pub(crate) fn begin(&mut self, act: Act, epoch: u64, powers: &Powers, memory: &mut Memory) {
        let Some(key) = key(&act) else { return };
        match &act {
            Act::RestartCompute { host } => {
                memory.computes.insert(host.clone(), Instant::now());
            }
            Act::RestartVm { vm, .. } => {
                memory.vms.insert(vm.clone(), Instant::now());
            }
            _ => {}
        }
        let reading = match &act {
            Act::PowerOn { host } => powers.reading(host),
            _ => None,
        };
        self.busy.insert(key.clone(), Instant::now());
        let tools = self.tools.clone();
        self.under_way.spawn(async move {
            let words = in_words(&act);
            let result = tools.perform(act, epoch, reading).await;
            (key, Ended { act: words, result })
        });
    }
}

/// Subject of an act: of one thing, one at a time. None for rows and messages.
fn key(act: &Act) -> Option<String> {
    match act {
        Act::PowerOff { host, .. } | Act::PowerOn { host } => Some(format!("power {host}")),
        Act::MarkDown { host, .. }
        | Act::Disable { host, .. }
        | Act::ForceUp { host, .. }
        | Act::Enable { host, .. } => Some(format!("service {host}")),
        Act::RestartCompute { host } => Some(format!("restart {host}")),
        Act::Evacuate(Sent { vm, .. }) | Act::RestartVm { vm, .. } => Some(format!("vm {vm}")),
        // No storage is fenced here: hosts are told to have none that could be.
        Act::FenceStorage { .. } | Act::AllowStorage { .. } => None,
        Act::Claim { .. } | Act::StandDown { .. } | Act::Write(_) | Act::Forget { .. } | Act::Tell { .. } => {
            None
        }
    }
}

fn in_words(act: &Act) -> String {
    match act {
        Act::PowerOff { host, .. } => format!("{host}: power off"),
        Act::PowerOn { host } => format!("{host}: power on"),
        Act::MarkDown { host, .. } => format!("{host}: mark down"),
        Act::Disable { host, .. } => format!("{host}: disable"),
        Act::ForceUp { host, .. } => format!("{host}: force up"),
        Act::Enable { host, .. } => format!("{host}: enable"),
        Act::RestartCompute { host } => format!("{host}: restart its compute service"),
        Act::Evacuate(sent) => format!("{}: evacuate VM {} to {}", sent.host, sent.vm, sent.target),
        Act::RestartVm { vm, host } => format!("{host}: restart VM {vm}"),
        other => format!("{other:?}"),
    }
}

impl<S: Store> Tools<S> {
    async fn perform(
        &self,
        act: Act,
        epoch: u64,
        reading: Option<Latest<Fact<evac::Power>>>,
    ) -> Result<(), String> {
        let service = |change: ServiceChange, id: evac::Name| async move {
            let done = self.client.change_service(id.as_str(), &change).await;
            done.map_err(|error| error.to_string())
        };
        match act {
            Act::PowerOff { host, .. } => self.power_off(&host, epoch).await,
            Act::PowerOn { host } => self.power_on(&host, reading).await,
            Act::MarkDown {
                service: id, reason, ..
            } => {
                let change = ServiceChange {
                    enabled: Some(false),
                    reason: Some(cut(&reason)),
                    forced_down: Some(true),
                };
                service(change, id).await
            }
            Act::Disable {
                service: id, reason, ..
            }
            | Act::Enable {
                service: id,
                stays_disabled: Some(reason),
                ..
            } => service(disabled(&reason), id).await,
            Act::Enable { service: id, .. } => {
                let change = ServiceChange {
                    enabled: Some(true),
                    ..ServiceChange::default()
                };
                service(change, id).await
            }
            Act::ForceUp { service: id, .. } => {
                let change = ServiceChange {
                    forced_down: Some(false),
                    ..ServiceChange::default()
                };
                service(change, id).await
            }
            Act::RestartCompute { host } => self.restart_compute(&host).await,
            Act::Evacuate(sent) => self.evacuate(&sent).await,
            Act::RestartVm { vm, host } => self.restart_vm(vm.as_str(), host.as_str()).await,
            other => Err(format!("{other:?} is not done here")),
        }
    }

    /// The intent is read once more: another engine, or heartbeats, may have ended it.
    async fn power_off(&self, host: &HostId, epoch: u64) -> Result<(), String> {
        let intent = self.store.intent(epoch, host).await.map_err(|e| e.to_string())?;
        match intent.map(|i| i.phase) {
            Some(Phase::Fencing | Phase::Refencing) => self.fencer.off(host, epoch).await,
            _ => Err("it is no longer to be cut off".to_owned()),
        }
    }

    async fn power_on(
        &self,
        host: &HostId,
        reading: Option<Latest<Fact<evac::Power>>>,
    ) -> Result<(), String> {
        let Some(host) = self.config.host(host.as_str()) else {
            return Err("it is not in the configuration".to_owned());
        };
        let done = self.fencer.on(host).await;
        // What was read before says nothing any more.
        if let Some(reading) = reading {
            reading.clear();
        }
        done
    }

    async fn restart_compute(&self, host: &HostId) -> Result<(), String> {
        let command = self.config.restart_compute.as_deref().unwrap_or_default();
        let words: Vec<String> = command
            .iter()
            .map(|w| w.replace("{host}", host.as_str()))
            .collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err("no `restart_compute` is configured: restart it there by hand".to_owned());
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run(Path::new(program), &arguments, "", RESTART).await?;
        match ended.status {
            Some(0) => Ok(()),
            status => Err(format!("{program} ended with {status:?}: {}", ended.complaint)),
        }
    }

    /// The row first; the request once, and only if the row is new and was written just now.
    async fn evacuate(&self, sent: &Sent) -> Result<(), String> {
        let began = Instant::now();
        match self.store.insert(sent).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(
                    "it was sent before in this epoch, or its host is no longer evacuated".to_owned(),
                );
            }
            Err(error) => return Err(error.to_string()),
        }
        let late = began.elapsed() > SEND_WITHIN;
        let result = if late {
            Err(Error::NotSent(format!(
                "its row took {} ms",
                began.elapsed().as_millis()
            )))
        } else {
            self.client
                .evacuate(sent.vm.as_str(), Some(sent.target.as_str()))
                .await
        };
        match result {
            Ok(()) => self.keep(sent, Answer::Accepted).await,
            Err(error) if error.changed_nothing() => {
                self.keep(sent, Answer::Refused(error.to_string())).await?;
                Err(error.to_string())
            }
            // The row says already that nothing is known.
            Err(error) => Err(error.to_string()),
        }
    }

    async fn keep(&self, sent: &Sent, answer: Answer) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.store.answer(sent, &answer).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Overtaken(epoch)) => return Err(StoreError::Overtaken(epoch).to_string()),
                Err(StoreError::Failed(why)) => last = why,
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Err(format!("its answer {answer:?} is not kept: {last}"))
    }

    /// Looked at once more: the list may be a minute old, and its owner may have stopped it.
    async fn restart_vm(&self, vm: &str, host: &str) -> Result<(), String> {
        let server = match self.client.server(vm).await {
            Fact::Known(server) => server,
            Fact::Absent => return Err("it was deleted".to_owned()),
            Fact::Unknown(why) => return Err(why),
        };
        let failed = server.host.known().is_some_and(|h| h == host)
            && server.vm_state.known().is_some_and(|s| s == "active")
            && server.task_state == Fact::Absent
            && matches!(server.power_state, Fact::Known(4 | 6));
        if !failed {
            return Err("it is no longer a VM that should run and does not".to_owned());
        }
        self.client
            .switch(vm, Power::HardReboot)
            .await
            .map_err(|e| e.to_string())
    }
}

fn disabled(reason: &str) -> ServiceChange {
    ServiceChange {
        enabled: Some(false),
        reason: Some(cut(reason)),
        forced_down: None,
    }
}

/// The longest reason that the compute service takes, in characters.
const REASON: usize = 255;

fn cut(reason: &str) -> String {
    reason.chars().take(REASON).collect()
}
