//! Facts: what a host said of itself. Each is known, absent, or unknown with
//! the reason; unknown is never taken for absent.

use std::collections::BTreeMap;

use pacemaker::{LiveCib, Monitor};
use serde::{Deserialize, Serialize};

use crate::Answer;

/// One observed thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact<T> {
    /// It is there, and this is it.
    Known(T),
    /// It is certainly not there.
    Absent,
    /// It could not be seen; the reason.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value when known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// The same fact of another type.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(value) => Fact::Known(change(value)),
            Self::Absent => Fact::Absent,
            Self::Unknown(why) => Fact::Unknown(why),
        }
    }

    /// Whether it is certainly not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// `/etc/os-release`, the two fields that choose packages and paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsRelease {
    /// `ID`, such as `debian`.
    pub id: String,
    /// `VERSION_ID`, such as `13`; empty where the file has none.
    pub version: String,
}

/// Owner and mode of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// User name, or the number where the host has no name for it.
    pub owner: String,
    /// Group name, or the number.
    pub group: String,
    /// Permission bits, such as `0o640`.
    pub mode: u32,
}

/// A file as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// [`crate::digest`] of its content under the cloud's key. For a symbolic
    /// link: of its target, with `link` set.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Owner and mode.
    pub stat: Stat,
    /// Target, when it is a symbolic link.
    pub link: Option<String>,
    /// [`crate::digest`] of each line, only where asked for (`Observe::lines`).
    pub lines: Vec<String>,
    /// The text itself, only where asked for (`Observe::texts`), for a diff.
    pub text: Option<String>,
    /// Of the keys asked for (`Observe::keys`) those that it has. None of a file that
    /// is not text.
    pub keys: Vec<KeyFact>,
}

/// A key of an INI file as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFact {
    /// Its section.
    pub section: String,
    /// Its name.
    pub name: String,
    /// [`crate::digest`] of each value, in the file's order.
    pub values: Vec<String>,
    /// The values themselves, only where asked for.
    pub text: Option<Vec<String>>,
}

/// A systemd unit as it is. The words are systemd's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFact {
    /// `LoadState`: loaded, not-found, masked, …
    pub load: String,
    /// `ActiveState`: active, inactive, failed, activating, …
    pub active: String,
    /// `UnitFileState`: enabled, disabled, masked, static, …
    pub file: String,
    /// `MainPID`, 0 when none.
    pub pid: u32,
    /// `NRestarts`.
    pub restarts: u32,
    /// `ActiveEnterTimestampMonotonic`, µs; tells a restart from staying up.
    pub since: u64,
}

/// A listening TCP socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// Textual address, `0.0.0.0` or `::` when on all.
    pub address: String,
    /// Port.
    pub port: u16,
    /// The process' `comm`, empty when it could not be told.
    pub process: String,
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// Interface name.
    pub interface: String,
    /// Textual address without prefix length.
    pub address: String,
    /// Prefix length.
    pub prefix: u8,
}

/// Everything one host answered in one round trip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `gethostname()`.
    pub hostname: String,
    /// Changes with each boot.
    pub boot_id: String,
    /// Distribution.
    pub os: Fact<OsRelease>,
    /// Seconds since the epoch by the host's clock.
    pub clock: i64,
    /// Memory in KiB, total.
    pub memory_kib: u64,
    /// Free bytes by mount point asked for (`/`, `/var`).
    pub disk_free: BTreeMap<String, u64>,
    /// Bytes by mount point that files could take if there were none.
    pub disk_size: BTreeMap<String, u64>,
    /// Addresses on the host now, VIPs included.
    pub addresses: Vec<Address>,
    /// Listening TCP sockets.
    pub listeners: Vec<Listener>,
    /// By path.
    pub files: BTreeMap<String, Fact<FileFact>>,
    /// By unit name.
    pub units: BTreeMap<String, Fact<UnitFact>>,
    /// Version by package name.
    pub packages: BTreeMap<String, Fact<String>>,
    /// By sysctl key (dots). `Unknown` where the host does not let it be read.
    pub sysctls: BTreeMap<String, Fact<String>>,
    /// By the query's name. A query that could not be asked is `Unknown`; a
    /// service that is not there (no socket, connection refused) is `Absent`.
    pub answers: BTreeMap<String, Fact<Answer>>,
    /// The cluster as `crm_mon` has it, when asked for; `Absent` when it does not run here.
    pub cluster: Fact<Monitor>,
    /// The cluster's CIB, when asked for; its text only where that was asked for too
    /// (`Observe::cib_text`).
    pub cib: Fact<LiveCib>,
}
