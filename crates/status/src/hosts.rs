//! Hosts by themselves: room on their disks, and whether their clocks agree.

use std::collections::BTreeMap;

use names::HostName;
use render::Desired;
use wire::Facts;

use crate::{Observed, Problem, facts};

/// Less than this many free bytes is little, however large the disk.
const LITTLE: u64 = 2 << 30;
/// Less than this share of a disk is little, in percent.
const SHARE: u64 = 10;
/// Clocks are read in whole seconds and not at one moment: two that agree may be read so
/// far apart.
const APART: i64 = 2;

/// Disks that are nearly full, one problem for each file system.
pub(crate) fn disks(desired: &Desired, observed: &Observed) -> Vec<Problem> {
    let seen = desired
        .hosts
        .keys()
        .filter_map(|h| Some((h, facts(observed, h)?)));
    seen.flat_map(|(host, facts)| full(host, facts)).collect()
}

fn full(host: &HostName, facts: &Facts) -> Vec<Problem> {
    let mut told: Vec<(u64, u64)> = Vec::new();
    let mut out = Vec::new();
    for (mount, free) in &facts.disk_free {
        let size = facts.disk_size.get(mount).copied().unwrap_or_default();
        // A mount point that is on the same file system has the same figures.
        if told.contains(&(*free, size)) {
            continue;
        }
        told.push((*free, size));
        if *free < LITTLE || free.saturating_mul(100) < size.saturating_mul(SHARE) {
            out.push(Problem::Disk {
                host: host.clone(),
                mount: mount.clone(),
                free: *free,
                size,
            });
        }
    }
    out
}

/// Hosts whose clock is apart from those of most members.
pub(crate) fn clocks(desired: &Desired, observed: &Observed) -> Vec<Problem> {
    let seen = desired
        .hosts
        .keys()
        .filter_map(|h| Some((h, facts(observed, h)?.clock)));
    let clocks: BTreeMap<&HostName, i64> = seen.collect();
    let members = clocks.iter().filter(|(host, _)| desired.is_member(host));
    let mut times: Vec<i64> = members.map(|(_, clock)| *clock).collect();
    times.sort_unstable();
    let Some(middle) = times.get(times.len() / 2).copied() else {
        return Vec::new();
    };
    let apart = clocks.iter().map(|(host, clock)| (*host, clock - middle));
    apart
        .filter(|(_, seconds)| seconds.abs() > APART)
        .map(|(host, seconds)| Problem::Clock {
            host: host.clone(),
            seconds,
        })
        .collect()
}
