//! Hash rings: which devices keep the replicas of each part of a hash space, and
//! the file by which servers and clients of an object store find them.
//!
//! A ring is made of what is wanted and of the ring before it, and of nothing
//! else: the same input gives the same bytes on every machine. A change moves the
//! least, and of each part one replica at most, so that whoever asks while data
//! is still on the way finds a majority. Nothing is known here of hosts that are
//! down, of services or of how a file gets to a host.
//!
//! Two rules, in this order:
//!
//! - **Apart**: the replicas of a part are in as many regions, zones, hosts and
//!   devices as there can be, see [`Share::most`]. Two are never on one device, and on
//!   one host only where there are fewer hosts than replicas.
//! - **By weight**: within what the first rule leaves, a device's share of its
//!   host is that of its weight, a host's of its zone, and so on, each to within
//!   one part, see [`Share::quota`].

mod device;
mod file;
mod moves;
mod share;

use serde::Serialize;

pub use device::{Device, Entry, entries};
pub use share::{Share, shares};

/// What a ring should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// There are two to the power of that many parts, for ever.
    pub part_power: u8,
    /// Replicas of each part.
    pub replicas: usize,
    /// Hours between two changes that move what is not lost: in that time the replicators
    /// have brought to its place what the first moved.
    pub min_part_hours: u32,
    /// Where the replicas may be.
    pub devices: Vec<Device>,
}

/// The largest number of parts, as a power of two: 2 MiB a replica in memory.
pub const MOST_PART_POWER: u8 = 20;

/// A ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// By id; none where one was taken out.
    pub devices: Vec<Option<Device>>,
    /// By replica, then by part: the id of the device.
    pub rows: Vec<Vec<u16>>,
    /// Raised by each change.
    pub version: u64,
    /// When parts were last moved, in whole hours since the epoch; 0: never.
    pub moved: u64,
}

/// Why there is no such ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are fewer devices that may keep something than replicas.
    FewDevices {
        /// Devices with a weight.
        devices: usize,
        /// Replicas.
        replicas: usize,
    },
    /// Devices are taken away that keep several replicas of the same parts, or the only one.
    Loses {
        /// How many parts.
        parts: usize,
        /// The devices, `HOST/DEVICE`.
        devices: Vec<String>,
    },
    /// The number of parts is another than that of the ring there is.
    Parts {
        /// The power of two that the ring has.
        is: u8,
        /// The one that is wanted.
        wanted: u8,
    },
}

/// What is to become of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It stays as it is.
    Same,
    /// It stays as it is for now: that many replicas are to move, not before an hour.
    Later {
        /// Replicas that are to move.
        moves: usize,
        /// The hour since the epoch.
        hour: u64,
    },
    /// It becomes this one.
    Change {
        /// The new ring.
        ring: Ring,
        /// Replicas that another device keeps now than before.
        moves: usize,
    },
}

/// The number of parts.
fn parts(power: u8) -> usize {
    1 << power.min(MOST_PART_POWER)
}

impl Ring {
    /// The first ring.
    ///
    /// The devices are laid on a line, each as often as it is to keep a part, those
    /// of a host side by side, and so of a zone and a region. Part `p` is kept where
    /// the line is at `p`, `p` and all parts further, and so on. Who has no more than
    /// all parts of the line is met once, so no device is met twice, and what lies
    /// together shares a part no more often than it must. Then replicas change places
    /// with each other: else a device would share its parts with the same few always,
    /// and those alone would have the work when it is lost.
    ///
    /// # Errors
    /// Where there are too few devices.
    pub fn first(wanted: &Wanted) -> Result<Self, Fault> {
        let devices: Vec<Option<Device>> = wanted.devices.iter().cloned().map(Some).collect();
        let parts = parts(wanted.part_power);
        let shares = shares(&devices, wanted.replicas, parts)?;
        let line: Vec<u16> = shares
            .in_order
            .iter()
            .flat_map(|&id| {
                let quota = shares.quota.get(id).copied().unwrap_or_default();
                // There are no more devices than ids.
                std::iter::repeat_n(u16::try_from(id).unwrap_or_default(), quota)
            })
            .collect();
        let mut ring = Self {
            rows: line.chunks(parts).map(<[u16]>::to_vec).collect(),
            devices,
            version: 1,
            moved: 0,
        };
        let mut work = moves::Work::new(&ring, wanted)?;
        work.mix();
        ring.rows = work.rows;
        Ok(ring)
    }

    /// The ring that follows this one. `now`: seconds since the epoch.
    ///
    /// What devices kept that are no more is given to others at once. All other
    /// moves wait until those before have had their time.
    ///
    /// # Errors
    /// Where what is wanted would lose replicas, or cannot be.
    pub fn next(&self, wanted: &Wanted, now: i64) -> Result<Next, Fault> {
        let is = self.part_power();
        if is != wanted.part_power {
            return Err(Fault::Parts {
                is,
                wanted: wanted.part_power,
            });
        }
        let now = u64::try_from(now).unwrap_or_default() / 3600;
        // Whole hours: one more, so that it is never less.
        let free_from = match (self.moved, wanted.min_part_hours) {
            (0, _) | (_, 0) => 0,
            (moved, hours) => moved + u64::from(hours) + 1,
        };
        let mut work = moves::Work::new(self, wanted)?;
        work.give();
        // What is lost, and who is there, does not wait.
        let at_once = work.moves() > 0 || work.devices != self.devices || work.changes_rows();
        if now >= free_from {
            work.settle();
        } else if !at_once {
            work.settle();
            return Ok(match work.moves() {
                0 => Next::Same,
                moves => Next::Later {
                    moves,
                    hour: free_from,
                },
            });
        }
        let moves = work.moves();
        if moves == 0 && !at_once {
            return Ok(Next::Same);
        }
        let ring = Self {
            devices: work.devices,
            rows: work.rows,
            version: self.version + 1,
            moved: if moves > 0 { now } else { self.moved },
        };
        Ok(Next::Change { ring, moves })
    }

    /// Two to the power of this is the number of parts.
    pub fn part_power(&self) -> u8 {
        let parts = self.rows.first().map_or(1, Vec::len);
        u8::try_from(parts.trailing_zeros()).unwrap_or_default()
    }

    /// How many replicas each device keeps, by id.
    pub fn loads(&self) -> Vec<usize> {
        let mut out = vec![0; self.devices.len()];
        for id in self.rows.iter().flatten() {
            if let Some(load) = out.get_mut(usize::from(*id)) {
                *load += 1;
            }
        }
        out
    }
}
