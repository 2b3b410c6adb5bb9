//! Readings of the power of hosts under an intent, each host by a task of its own. Not for
//! what a reading proves.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use evac::{HostId, Power};
use tokio::task::JoinHandle;
use wire::Fact;

use super::Latest;
use crate::{config::Host, fencer::Fencer};

/// Time between two readings of a host.
const PAUSE: Duration = Duration::from_millis(300);
/// Age from which a reading says nothing any more: agents take seconds.
const OLD: Duration = Duration::from_secs(10);

/// Hosts whose power is being read.
#[derive(Default)]
pub(crate) struct Powers {
    read: BTreeMap<HostId, Reader>,
}

struct Reader {
    latest: Latest<Fact<Power>>,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Powers {
    /// Reads these hosts from now on, and no others.
    pub(crate) fn watch<'a>(&mut self, fencer: &Arc<Fencer>, hosts: impl Iterator<Item = &'a Host>) {
        let mut wanted = BTreeMap::new();
        for host in hosts {
            let id = HostId::from(host.name.as_str());
            let reader = self
                .read
                .remove(&id)
                .unwrap_or_else(|| begin(fencer.clone(), host.clone()));
            wanted.insert(id, reader);
        }
        self.read = wanted;
    }

    /// The latest reading of a host.
    pub(crate) fn of(&self, host: &HostId) -> Fact<Power> {
        let Some(reader) = self.read.get(host) else {
            return Fact::Unknown("not asked for".to_owned());
        };
        match reader.latest.within(OLD) {
            Some(power) => (*power).clone(),
            None => Fact::Unknown("no reading yet, or none lately".to_owned()),
        }
    }

    /// Readings that end when a host is switched on.
    pub(crate) fn reading(&self, host: &HostId) -> Option<Latest<Fact<Power>>> {
        self.read.get(host).map(|reader| reader.latest.clone())
    }
}

fn begin(fencer: Arc<Fencer>, host: Host) -> Reader {
    let latest = Latest::default();
    let kept = latest.clone();
    let task = tokio::spawn(async move {
        // One reading at a time: devices serve few sessions.
        loop {
            let began = Instant::now();
            let power = fencer.read(&host).await;
            kept.keep(began, power);
            tokio::time::sleep(PAUSE).await;
        }
    });
    Reader { latest, task }
}
