//! Rows in memory, for tests of the engine: they outlive an engine that is dropped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use evac::{Answer, HostId, Intent, IntentRow, Leader, Name, Phase, Sent, SentRow};

use super::{Result, Rows, Store, StoreError};

#[derive(Default)]
struct Kept {
    leader: Option<Leader>,
    /// Intent, and when its phase began and when it was opened.
    intents: Vec<(Intent, Instant, Instant)>,
    sent: Vec<(Sent, Answer, Instant)>,
    opened: Vec<Instant>,
    proofs: BTreeMap<HostId, BTreeMap<String, u64>>,
    fails: bool,
}

#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Mutex<Kept>>);

impl MemoryStore {
    pub(crate) fn prove(&self, host: &str, device: &str) {
        let mut kept = self.0.lock().unwrap();
        kept.proofs
            .entry(HostId::from(host))
            .or_default()
            .insert(device.to_owned(), 0);
    }

    /// The database fails from now on, or no longer.
    pub(crate) fn fail(&self, fails: bool) {
        self.0.lock().unwrap().fails = fails;
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        self.0.lock().unwrap().leader.as_ref().map(|l| l.epoch)
    }

    pub(crate) fn phases(&self) -> Vec<(String, Phase)> {
        let kept = self.0.lock().unwrap();
        kept.intents
            .iter()
            .map(|(i, ..)| (i.host.to_string(), i.phase))
            .collect()
    }

    fn under<T>(&self, epoch: u64, work: impl FnOnce(&mut Kept) -> T) -> Result<T> {
        let mut kept = self.0.lock().unwrap();
        if kept.fails {
            return Err(StoreError::Failed("no database".to_owned()));
        }
        if kept.leader.as_ref().map(|l| l.epoch) != Some(epoch) {
            return Err(StoreError::Overtaken(epoch));
        }
        Ok(work(&mut kept))
    }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap()
}

impl Store for MemoryStore {
    async fn read(&self, window_ms: u64) -> Result<Rows> {
        let kept = self.0.lock().unwrap();
        if kept.fails {
            return Err(StoreError::Failed("no database".to_owned()));
        }
        let intents = kept.intents.iter().map(|(intent, phase, opened)| IntentRow {
            intent: intent.clone(),
            phase_ms: ms(*phase),
            opened_ms: ms(*opened),
        });
        let sent = kept.sent.iter().map(|(sent, answer, at)| SentRow {
            sent: sent.clone(),
            answer: answer.clone(),
            age_ms: ms(*at),
        });
        let store = evac::Store {
            leader: kept.leader.clone(),
            intents: intents.collect(),
            sent: sent.collect(),
            opened_ms: kept
                .opened
                .iter()
                .map(|at| ms(*at))
                .filter(|age| *age < window_ms)
                .collect(),
            ..evac::Store::default()
        };
        Ok(Rows {
            store,
            proofs: kept.proofs.clone(),
        })
    }

    async fn claim(&self, controller: &str, above: u64) -> Result<u64> {
        let mut kept = self.0.lock().unwrap();
        if kept.leader.as_ref().map_or(0, |l| l.epoch) != above {
            return Err(StoreError::Overtaken(above));
        }
        kept.leader = Some(Leader {
            epoch: above + 1,
            controller: Name::from(controller),
        });
        Ok(above + 1)
    }

    async fn write(&self, intent: &Intent) -> Result<()> {
        self.under(intent.epoch, |kept| {
            let now = Instant::now();
            if let Some(row) = kept.intents.iter_mut().find(|row| row.0.host == intent.host) {
                let phase_at = if row.0.phase == intent.phase { row.1 } else { now };
                *row = (intent.clone(), phase_at, row.2);
            } else {
                kept.intents.push((intent.clone(), now, now));
                kept.opened.push(now);
            }
        })
    }

    async fn forget(&self, epoch: u64, host: &HostId, _: &str) -> Result<()> {
        self.under(epoch, |kept| {
            kept.intents.retain(|row| row.0.host != *host);
            kept.sent.retain(|row| row.0.host != *host);
        })
    }

    async fn insert(&self, sent: &Sent) -> Result<bool> {
        self.under(sent.epoch, |kept| {
            let there = kept
                .sent
                .iter()
                .any(|row| row.0.vm == sent.vm && row.0.epoch == sent.epoch);
            let evacuated = kept
                .intents
                .iter()
                .any(|r| r.0.host == sent.host && r.0.phase == Phase::Evacuating);
            if there || !evacuated {
                return false;
            }
            kept.sent.push((sent.clone(), Answer::Unknown, Instant::now()));
            true
        })
    }

    async fn answer(&self, sent: &Sent, answer: &Answer) -> Result<()> {
        self.under(sent.epoch, |kept| {
            let row = kept.sent.iter_mut().find(|row| row.0 == *sent);
            if let Some(row) = row {
                row.1 = answer.clone();
            }
        })
    }

    async fn intent(&self, epoch: u64, host: &HostId) -> Result<Option<Intent>> {
        self.under(epoch, |kept| {
            let row = kept.intents.iter().find(|row| row.0.host == *host);
            row.map(|row| row.0.clone())
        })
    }
}
