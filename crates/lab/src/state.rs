//! The records of running labs: what was asked for, which process is which
//! host, which cables are out, and the log of power events.
//!
//! They lie below `/run`, one file a fact, written by renaming. A record is
//! never believed alone: a process is looked up before it is named alive.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::LabError;
use crate::names;
use crate::procfs::Identity;
use crate::spec::{LabSpec, check_name};

/// Whether a host has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// It runs.
    On,
    /// It does not.
    Off,
}

/// Who did something to a host's power or cables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// Somebody at this machine.
    Operator,
    /// Somebody over the BMC, such as a fence agent.
    Bmc,
    /// The host itself.
    Host,
}

/// What happened to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The power was cut.
    Cut,
    /// The power was switched on.
    On,
    /// It was asked to shut down.
    Shutdown,
    /// It switched itself off after a clean shutdown.
    Off,
    /// It rebooted itself.
    Reboot,
    /// Its container ended otherwise.
    Died,
    /// Cables were pulled.
    Unplug,
    /// Cables were put back.
    Plug,
}

/// One line of a lab's event log, `/run/quorate-lab/NAME/bmc.log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it began, in RFC 3339.
    pub at: jiff::Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The host.
    pub host: String,
    /// What happened.
    pub event: EventKind,
    /// By whom.
    pub by: Actor,
    /// The network, when only its cable was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// One lab of this machine.
#[derive(Clone, Debug, Serialize)]
pub struct LabSummary {
    /// The cloud's name.
    pub name: String,
    /// The cloud's state directory.
    pub state: Utf8PathBuf,
    /// The hosts.
    pub hosts: Vec<HostSummary>,
}

/// One host of a lab.
#[derive(Clone, Debug, Serialize)]
pub struct HostSummary {
    /// Its name.
    pub name: String,
    /// Its addresses, each with the name of its network.
    pub addresses: Vec<(String, std::net::IpAddr)>,
    /// Whether it has power.
    pub power: Power,
    /// The networks whose cable is out.
    pub unplugged: BTreeSet<String>,
}

/// The processes of a host, or why they are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostRecord {
    /// The supervisor.
    pub(crate) supervisor: Option<Identity>,
    /// The container's manager.
    pub(crate) container: Option<Identity>,
    /// Why the supervisor gave up.
    pub(crate) failed: Option<String>,
}

/// Writes a record so that a reader sees the old or the new one, never half.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), LabError> {
    let what = || format!("writing {}", path.display());
    if let Some(dir) = path.parent() {
        fs_err::create_dir_all(dir).map_err(LabError::io(what()))?;
    }
    let text = serde_json::to_vec_pretty(value).map_err(|e| LabError::io(what())(e.into()))?;
    let aside = path.with_extension(format!("new{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .map_err(LabError::io(what()))?;
    file.write_all(&text).map_err(LabError::io(what()))?;
    std::fs::rename(&aside, path).map_err(LabError::io(what()))
}

/// Reads a record; nothing if there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LabError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(LabError::io(format!("reading {}", path.display()))(e)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| LabError::Record {
            path: path.to_owned(),
            why: e.to_string(),
        })
}

/// Records what a lab is to be.
pub(crate) fn save(spec: &LabSpec) -> Result<(), LabError> {
    let dir = names::run_dir(&spec.name);
    let hosts = dir.join("hosts");
    fs_err::create_dir_all(&hosts).map_err(LabError::io("making the lab's records"))?;
    write(&dir.join("lab.json"), spec)
}

/// The description of a lab that was brought up, if it was.
pub(crate) fn find(lab: &str) -> Result<Option<LabSpec>, LabError> {
    check_name(lab)?;
    read(&names::run_dir(lab).join("lab.json"))
}

/// The description of a lab that was brought up.
pub(crate) fn load(lab: &str) -> Result<LabSpec, LabError> {
    find(lab)?.ok_or_else(|| LabError::UnknownLab {
        name: lab.to_owned(),
        known: match labs().as_slice() {
            [] => "none".to_owned(),
            known => known.join(", "),
        },
    })
}

/// The names of the labs that have records.
pub(crate) fn labs() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(names::run_root()) else {
        return vec![];
    };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|e| e.path().join("lab.json").exists())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// The labs of this machine, by name, with their hosts' power.
pub fn list() -> Result<Vec<LabSummary>, LabError> {
    let mut found = vec![];
    for lab in labs() {
        let Some(spec) = find(&lab)? else { continue };
        let mut hosts = vec![];
        for host in &spec.hosts {
            hosts.push(HostSummary {
                name: host.name.clone(),
                addresses: host.addresses.clone(),
                power: power(&lab, &host.name)?,
                unplugged: unplugged(&lab, &host.name)?,
            });
        }
        found.push(LabSummary {
            name: spec.name,
            state: spec.state,
            hosts,
        });
    }
    Ok(found)
}

/// A host's processes, as last recorded.
pub(crate) fn host_record(lab: &str, host: &str) -> Result<HostRecord, LabError> {
    Ok(read(&names::host_file(lab, host, "json"))?.unwrap_or_default())
}

/// Whether a host has power.
pub(crate) fn power(lab: &str, host: &str) -> Result<Power, LabError> {
    let alive = host_record(lab, host)?.container.is_some_and(Identity::alive);
    Ok(if alive { Power::On } else { Power::Off })
}

/// The networks whose cable a host is without.
pub(crate) fn unplugged(lab: &str, host: &str) -> Result<BTreeSet<String>, LabError> {
    Ok(read(&names::host_file(lab, host, "unplugged"))?.unwrap_or_default())
}

/// Keeps others from switching a host while the value lives.
pub(crate) fn lock_host(lab: &str, host: &str) -> Result<std::fs::File, LabError> {
    let path = names::host_file(lab, host, "lock");
    let what = || format!("locking {}", path.display());
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(LabError::io(what()))?;
    file.lock().map_err(LabError::io(what()))?;
    Ok(file)
}

/// Writes down an event that began at a time and ends now.
pub(crate) fn tell(
    lab: &str,
    host: &str,
    kind: EventKind,
    by: Actor,
    network: Option<&str>,
    began: Instant,
) -> Result<(), LabError> {
    let now = jiff::Timestamp::now();
    let took = began.elapsed();
    let event = Event {
        at: now.checked_sub(took).unwrap_or(now),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        host: host.to_owned(),
        event: kind,
        by,
        network: network.map(str::to_owned),
    };
    log(lab, &event)
}

/// Appends to a lab's event log: one line, in one write.
fn log(lab: &str, event: &Event) -> Result<(), LabError> {
    let path = names::run_dir(lab).join("bmc.log");
    let what = || format!("writing {}", path.display());
    let mut line = serde_json::to_vec(event).map_err(|e| LabError::io(what())(e.into()))?;
    line.push(b'\n');
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(LabError::io(what()))?;
    file.write_all(&line).map_err(LabError::io(what()))
}

/// A lab's power events, oldest first. A line that is no event is passed over.
pub fn events(lab: &str) -> Result<Vec<Event>, LabError> {
    load(lab)?;
    let text = std::fs::read_to_string(names::run_dir(lab).join("bmc.log")).unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_absence_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c1.json");
        assert_eq!(read::<HostRecord>(&path).unwrap(), None);
        let record = HostRecord {
            failed: Some("x".to_owned()),
            ..HostRecord::default()
        };
        write(&path, &record).unwrap();
        assert_eq!(read(&path).unwrap(), Some(record));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(read::<HostRecord>(&path), Err(LabError::Record { .. })));
    }

    #[test]
    fn an_event_is_one_line_of_json() {
        let event = Event {
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
            took_ms: 7,
            host: "c1".to_owned(),
            event: EventKind::Cut,
            by: Actor::Bmc,
            network: None,
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"at":"2026-01-02T03:04:05Z","took_ms":7,"host":"c1","event":"cut","by":"bmc"}"#
        );
    }
}
