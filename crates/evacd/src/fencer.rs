//! Power of VM hosts: cut by the cluster's own fencer, read back and switched on by the stock
//! agents. Not for the order of devices when power is cut: that is the fencer's topology.
//!
//! The reading does not pass through the fencer, so what cuts and what proves are two paths.
//! An agent takes its options as lines on standard input: no secret stands in a process list.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use evac::{HostId, Name, Power};
use wire::Fact;

use crate::{
    config::{Device, Host},
    process::{Ended, run},
};

/// Time that the fencer has to cut a host's power, over all levels.
const OFF: Duration = Duration::from_mins(2);
/// Time that an agent has.
const AGENT: Duration = Duration::from_secs(20);
/// Exit status of an agent whose device is off, by the agents' common interface.
const IS_OFF: i32 = 2;

/// State of one device or of a whole level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The power is on.
    On,
    /// The power is off.
    Off,
    /// It could not be read.
    Unknown(String),
}

/// Programs that cut and read power, and hosts cut so far.
pub(crate) struct Fencer {
    /// The cluster's command for its fencer.
    command: PathBuf,
    /// Folder of the agents; empty: they are looked for where programs are.
    agents: PathBuf,
    cut: Mutex<BTreeMap<HostId, Cut>>,
}

#[derive(Clone, Copy)]
struct Cut {
    epoch: u64,
    ended: Instant,
}

impl Fencer {
    pub(crate) fn new(command: PathBuf, agents: PathBuf) -> Self {
        Self {
            command,
            agents,
            cut: Mutex::default(),
        }
    }

    /// Has the cluster cut a host's power. Done means that its devices said so.
    pub(crate) async fn off(&self, host: &HostId, epoch: u64) -> Result<(), String> {
        let timeout = OFF.as_secs().to_string();
        let words = ["--fence", host.as_str(), "--timeout", &timeout];
        // Its own limit first: its answer says more than ours.
        let ended = run(&self.command, &words, "", OFF + Duration::from_secs(10)).await?;
        if ended.status != Some(0) {
            return Err(said(&self.command.display().to_string(), &ended));
        }
        let cut = Cut {
            epoch,
            ended: Instant::now(),
        };
        self.lock().insert(host.clone(), cut);
        Ok(())
    }

    /// Reads a host's power by the first level that answers.
    pub(crate) async fn read(&self, host: &Host) -> Fact<Power> {
        let began = Instant::now();
        let mut why = Vec::new();
        for (level, devices) in host.devices.iter().enumerate().filter(|(_, d)| !d.is_empty()) {
            let (on, device) = match self.level(devices).await {
                (Reading::On, device) => (true, device),
                (Reading::Off, device) => (false, device),
                (Reading::Unknown(reason), _) => {
                    why.push(reason);
                    continue;
                }
            };
            let id = HostId::from(host.name.as_str());
            // A reading that began before the command ended may be of the time before.
            let cut = self.lock().get(&id).copied().filter(|cut| cut.ended <= began);
            return Fact::Known(Power {
                on,
                after_off: cut.map(|cut| cut.epoch),
                device: Name::from(device.name(level)),
            });
        }
        if why.is_empty() {
            return Fact::Absent;
        }
        Fact::Unknown(why.join("; "))
    }

    /// Reading of a level, with the device that decided: on where any device is on, off where all are.
    async fn level<'a>(&self, devices: &'a [Device]) -> (Reading, &'a Device) {
        let readings = futures::future::join_all(devices.iter().map(|d| self.status(d))).await;
        let mut both: Vec<(Reading, &Device)> = readings.into_iter().zip(devices).collect();
        let decides = |(reading, _): &(Reading, &Device)| match reading {
            Reading::On => 0,
            Reading::Unknown(_) => 1,
            Reading::Off => 2,
        };
        both.sort_by_key(decides);
        both.swap_remove(0)
    }

    /// Reads one device.
    pub(crate) async fn status(&self, device: &Device) -> Reading {
        match self.agent(device, "status").await {
            Err(why) => Reading::Unknown(why),
            Ok(ended) => match ended.status {
                Some(0) => Reading::On,
                Some(IS_OFF) => Reading::Off,
                _ => Reading::Unknown(said(&device.agent, &ended)),
            },
        }
    }

    /// Switches a host on at all levels, the last first: a device may get its own power
    /// from a later level. Done where one level did it whole.
    pub(crate) async fn on(&self, host: &Host) -> Result<(), String> {
        // From here on no reading tells of our off any more.
        self.lock().remove(&HostId::from(host.name.as_str()));
        let mut why = Vec::new();
        let mut done = false;
        for devices in host.devices.iter().rev().filter(|d| !d.is_empty()) {
            match self.each(devices, "on").await {
                Ok(()) => done = true,
                Err(reason) => why.push(reason),
            }
        }
        match (done, why.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(format!("{} has no fence device", host.name)),
            (false, false) => Err(why.join("; ")),
        }
    }

    /// Cuts a host's power by the devices of one level, past the cluster's fencer.
    pub(crate) async fn level_off(&self, host: &Host, level: usize) -> Result<(), String> {
        self.each(host.devices.get(level).map_or(&[], Vec::as_slice), "off")
            .await
    }

    async fn each(&self, devices: &[Device], action: &str) -> Result<(), String> {
        for device in devices {
            let ended = self.agent(device, action).await?;
            if ended.status != Some(0) {
                return Err(said(&device.agent, &ended));
            }
        }
        Ok(())
    }

    async fn agent(&self, device: &Device, action: &str) -> Result<Ended, String> {
        let mut input = format!("action={action}\n");
        for (key, value) in &device.options {
            let _ = writeln!(input, "{key}={}", value.expose());
        }
        run(&self.agents.join(&device.agent), &[], &input, AGENT).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<HostId, Cut>> {
        self.cut.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn said(program: &str, ended: &Ended) -> String {
    let status = ended
        .status
        .map_or_else(|| "killed".to_owned(), |s| format!("status {s}"));
    if ended.complaint.is_empty() {
        format!("{program}: {status}")
    } else {
        format!("{program}: {status}: {}", ended.complaint)
    }
}

#[cfg(test)]
#[path = "fencer_tests.rs"]
mod tests;
