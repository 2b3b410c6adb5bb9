//! Proof that a host's fence devices are its own and do what they say, kept with its date. Not
//! for fencing a host that is in trouble.
//!
//! Reading proves that a device answers and agrees with what is heard of the host. Cutting, of
//! a host without VMs, proves each level: the first through the cluster's fencer.

use std::{path::PathBuf, time::Duration};

use evac::HostId;
use openstack::Cells;
use tokio::time::{Instant, sleep};
use wire::Fact;

use super::{Desk, drain::LOOK, service};
use crate::{
    Error,
    config::Host,
    engine::Programs,
    fencer::{Fencer, Reading},
    store::People as _,
};

/// Time in which a host that was cut falls silent.
const SILENT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });
/// Time in which a host that was switched on is heard again.
const HEARD: Duration = Duration::from_mins(10);
/// Age of a heartbeat from which a host counts as silent, in ms.
const SILENT_MS: u64 = 3_000;

/// A device that was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Its name.
    pub device: String,
    /// Observation.
    pub seen: String,
}

/// Proves all devices of a host; with `off` its power is cut and given back by each level.
pub async fn prove(
    desk: &Desk,
    host: &str,
    off: bool,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Proved>, Error> {
    let programs = Programs::default();
    let room = Room {
        observer: desk.config.observer.clone(),
        fencer: Fencer::new(programs.fence, programs.agents),
    };
    let host = desk.host(host)?;
    if host.devices.iter().all(Vec::is_empty) {
        return Err(Error::Refused(format!(
            "{} has no fence device: nothing could cut its power",
            host.name
        )));
    }
    if off {
        unused(desk, host.name.as_str()).await?;
    }
    let mut proved = Vec::new();
    for level in 0..host.devices.len() {
        let what = room.level(host, level, off, say).await?;
        for device in host.devices.get(level).into_iter().flatten() {
            let name = device.name(level);
            let by = if off {
                format!("{} by power off", desk.by)
            } else {
                desk.by.clone()
            };
            desk.store
                .prove(&HostId::from(host.name.as_str()), &name, &by)
                .await?;
            proved.push(Proved {
                device: name,
                seen: what.to_owned(),
            });
        }
    }
    Ok(proved)
}

/// Refuses a host that has VMs or may get some.
async fn unused(desk: &Desk, host: &str) -> Result<(), Error> {
    let found = service(&desk.client, host).await?;
    if found.enabled != Fact::Known(false) {
        return Err(Error::Refused(format!(
            "{host} takes VMs: `evac empty {host}` first"
        )));
    }
    let services = desk.client.services().await?;
    let cells = Cells::all(&services)?;
    let here = desk.client.servers_on(&cells, host).await?;
    if here.is_empty() {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{host} has {} VMs: `evac empty {host}` first",
        here.len()
    )))
}

/// Means of a proof.
struct Room {
    /// Socket of the observer of heartbeats.
    observer: PathBuf,
    fencer: Fencer,
}

impl Room {
    /// Proves one level; what was seen of it.
    async fn level(
        &self,
        host: &Host,
        level: usize,
        off: bool,
        say: &mut dyn FnMut(String),
    ) -> Result<&'static str, Error> {
        if off {
            self.cut(host, level, say).await?;
            return Ok("cut its power and gave it back");
        }
        self.read(host, level, self.heard(host.name.as_str()).await?)
            .await?;
        Ok("reads its power as on")
    }

    /// Reads all devices of a level of a host that is on.
    async fn read(&self, host: &Host, level: usize, heard: bool) -> Result<(), Error> {
        for device in host.devices.get(level).into_iter().flatten() {
            let name = device.name(level);
            let why = match self.fencer.status(device).await {
                Reading::On => continue,
                Reading::Off if heard => format!(
                    "{name} reads the power of {} as off while it is heard: it is another machine's device",
                    host.name
                ),
                Reading::Off => format!("{} is off by {name}: switch it on to prove it", host.name),
                Reading::Unknown(why) => format!("{name} of {}: {why}", host.name),
            };
            return Err(Error::Refused(why));
        }
        Ok(())
    }

    /// Cuts a host's power by one level, sees that it is silent, and gives it back.
    async fn cut(&self, host: &Host, level: usize, say: &mut dyn FnMut(String)) -> Result<(), Error> {
        let name = host.name.as_str();
        self.wait(name, true, HEARD).await?;
        self.read(host, level, true).await?;
        say(format!("{name}: level {} cuts its power", level + 1));
        let done = if level == 0 {
            self.fencer.off(&HostId::from(name), 0).await
        } else {
            self.fencer.level_off(host, level).await
        };
        // Whatever came of it, the host is not left without power.
        let silent = match done {
            Ok(()) => self.silenced(host, level).await,
            Err(why) => Err(Error::Refused(format!(
                "level {} did not cut the power of {name}: {why}",
                level + 1
            ))),
        };
        say(format!("{name}: is switched on"));
        let on = self.fencer.on(host).await;
        silent?;
        on.map_err(|why| Error::Refused(format!("{name} is off and was not switched on: {why}")))?;
        self.wait(name, true, HEARD).await
    }

    async fn silenced(&self, host: &Host, level: usize) -> Result<(), Error> {
        for device in host.devices.get(level).into_iter().flatten() {
            let reading = self.fencer.status(device).await;
            if reading != Reading::Off {
                let name = device.name(level);
                return Err(Error::Refused(format!(
                    "{name} of {} was cut and reads {reading:?}",
                    host.name
                )));
            }
        }
        self.wait(host.name.as_str(), false, SILENT).await
    }

    /// Waits until a host is heard, or is not.
    async fn wait(&self, host: &str, is_heard: bool, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        while self.heard(host).await? != is_heard {
            if Instant::now() > deadline {
                let what = if is_heard {
                    "is not heard"
                } else {
                    "is still heard: the device is another machine's"
                };
                return Err(Error::Refused(format!(
                    "{host} {what} after {} s",
                    limit.as_secs()
                )));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// True: some observer hears the host.
    async fn heard(&self, host: &str) -> Result<bool, Error> {
        let tables = heartbeat::ask(&self.observer).await;
        let tables = tables.map_err(|e| Error::Refused(e.to_string()))?;
        let all = std::iter::once(&tables.own).chain(tables.peers.iter().map(|p| &p.table));
        let told = all.flat_map(|t| &t.hosts).filter(|h| h.host.as_str() == host);
        let mut ages = told.flat_map(|h| &h.paths).filter_map(|p| p.age_ms.known());
        Ok(ages.any(|age| *age < SILENT_MS))
    }
}

#[cfg(test)]
#[path = "prove_tests.rs"]
mod tests;
