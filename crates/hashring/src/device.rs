//! A device of a ring, and how an operator writes several. Whether a host is
//! there is not known here.

use serde::Serialize;

/// Something that keeps replicas: a mounted file system, or a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its host.
    pub host: String,
    /// Its folder's name on the host.
    pub name: String,
    /// The host's address.
    pub address: String,
    /// TCP port of the server that keeps it.
    pub port: u16,
    /// Regions fail apart: sites.
    pub region: u32,
    /// Zones of a region fail apart: racks.
    pub zone: u32,
    /// Its share, against those of others; with 0 it is emptied.
    pub weight: u32,
}

impl Device {
    /// Whether they are the same device, perhaps with another weight or at another place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name && (self.host == other.host || self.address == other.address)
    }
}

/// What an operator says of a device, or of one on each host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its host; none for all.
    pub host: Option<String>,
    /// Its folder's name.
    pub name: String,
    /// Its region, where that is said.
    pub region: Option<u32>,
    /// Its zone, where that is said.
    pub zone: Option<u32>,
    /// Its weight, where that is said.
    pub weight: Option<u32>,
}

/// Reads `DEVICE` or `HOST/DEVICE`, then `region=`, `zone=` and `weight=` in any order;
/// several behind commas.
///
/// # Errors
/// The words that are not understood.
pub fn entries(text: &str) -> Result<Vec<Entry>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(entry)
        .collect()
}

fn entry(text: &str) -> Result<Entry, String> {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let (host, name) = match first.split_once('/') {
        Some((host, name)) => (Some(host.to_owned()), name),
        None => (None, first),
    };
    let inside = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let plain =
        |word: &str| word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(inside);
    if !plain(name) || host.as_deref().is_some_and(|h| !plain(h)) {
        return Err(first.to_owned());
    }
    let mut out = Entry {
        host,
        name: name.to_owned(),
        region: None,
        zone: None,
        weight: None,
    };
    for word in words {
        let number = word.split_once('=').and_then(|(key, value)| {
            let value = value.parse().ok().filter(|v| *v <= 1_000_000)?;
            Some((key, value))
        });
        match number {
            Some(("region", value)) => out.region = Some(value),
            Some(("zone", value)) => out.zone = Some(value),
            Some(("weight", value)) => out.weight = Some(value),
            _ => return Err(word.to_owned()),
        }
    }
    Ok(out)
}
