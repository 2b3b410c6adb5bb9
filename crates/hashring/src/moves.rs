//! From one ring to the next: what is lost is given away, what is too near or too
//! much moves. Of each part one replica moves at most. What the shares are is
//! decided in `share`; when it may be done, by the caller.

use std::collections::{BTreeMap, VecDeque};

use crate::share::places;
use crate::{Device, Fault, Ring, Share, Wanted, parts, shares};

/// A device that keeps nothing yet of a part's replica.
const NOBODY: u16 = u16::MAX;

/// A ring under change.
pub(crate) struct Work {
    pub(crate) devices: Vec<Option<Device>>,
    pub(crate) rows: Vec<Vec<u16>>,
    share: Share,
    loads: Vec<usize>,
    /// Of each part the replicas that were given to somebody in this change, as bits: they
    /// may be given to another at no cost, and nothing else of the part may move any more.
    given: Vec<u64>,
    /// The rows before, those that are lost as nobody's.
    before: Vec<Vec<u16>>,
    /// The places of each device as numbers, and of each place the most; to compare texts
    /// for every part would take seconds.
    at: Vec<[usize; 3]>,
    most: Vec<usize>,
}

impl Work {
    /// Devices of what is wanted get the ids that they have, others the first that are free.
    pub(crate) fn new(ring: &Ring, wanted: &Wanted) -> Result<Self, Fault> {
        let mut devices: Vec<Option<Device>> = vec![None; ring.devices.len()];
        let mut fresh = Vec::new();
        for device in &wanted.devices {
            let known = ring
                .devices
                .iter()
                .position(|d| d.as_ref().is_some_and(|d| d.is(device)));
            match known.and_then(|id| devices.get_mut(id)) {
                Some(slot) if slot.is_none() => *slot = Some(device.clone()),
                _ => fresh.push(device.clone()),
            }
        }
        // Whose id a device gets that is no more is told apart from it: see below.
        let mut rows = ring.rows.clone();
        let gone = |id: u16| devices.get(usize::from(id)).is_none_or(Option::is_none);
        for id in rows.iter_mut().flatten() {
            if gone(*id) {
                *id = NOBODY;
            }
        }
        loses(ring, &rows)?;
        for device in fresh {
            match devices.iter_mut().find(|d| d.is_none()) {
                Some(free) => *free = Some(device),
                None => devices.push(Some(device)),
            }
        }
        while devices.last().is_some_and(Option::is_none) {
            devices.pop();
        }
        let parts = parts(wanted.part_power);
        let share = shares(&devices, wanted.replicas, parts)?;
        let mut numbers: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        let mut at = Vec::new();
        for device in &devices {
            at.push(device.as_ref().map_or([0; 3], |device| {
                places(device).map(|place| {
                    let next = numbers.len();
                    *numbers.entry(place).or_insert(next)
                })
            }));
        }
        let mut most = vec![1; numbers.len().max(1)];
        for (place, number) in &numbers {
            if let (Some(here), Some(limit)) = (most.get_mut(*number), share.most.get(place)) {
                *here = *limit;
            }
        }
        let mut work = Self {
            loads: vec![0; devices.len()],
            given: vec![0; parts],
            before: rows.clone(),
            devices,
            rows,
            share,
            at,
            most,
        };
        work.count();
        work.shorten(wanted.replicas);
        // More replicas are copies: what is there stays.
        work.rows.resize_with(wanted.replicas, || vec![NOBODY; parts]);
        Ok(work)
    }

    /// Whether the number of replicas changes.
    pub(crate) fn changes_rows(&self) -> bool {
        self.before.len() != self.rows.len()
    }

    fn count(&mut self) {
        self.loads.fill(0);
        for id in self.rows.iter().flatten() {
            if let Some(load) = self.loads.get_mut(usize::from(*id)) {
                *load += 1;
            }
        }
    }

    /// Takes replicas away where there are to be fewer: those that nobody has, then of
    /// those who keep the most above their share.
    fn shorten(&mut self, replicas: usize) {
        while self.rows.len() > replicas {
            let Some(last) = self.rows.len().checked_sub(1) else {
                return;
            };
            for part in 0..self.given.len() {
                let id = |row: &Vec<u16>| usize::from(row[part]);
                let worst = (0..=last).max_by_key(|&row| self.surplus(id(&self.rows[row])));
                if let Some(worst) = worst {
                    if let Some(load) = self.loads.get_mut(id(&self.rows[worst])) {
                        *load -= 1;
                    }
                    let keep = self.rows[last][part];
                    self.rows[worst][part] = keep;
                }
            }
            self.rows.truncate(last);
        }
    }

    /// How much more a device keeps than it should; nobody keeps the most.
    fn surplus(&self, id: usize) -> i64 {
        let number = |n: Option<&usize>| n.map(|n| i64::try_from(*n).unwrap_or(i64::MAX));
        match (number(self.loads.get(id)), number(self.share.quota.get(id))) {
            (Some(load), Some(quota)) => load - quota,
            _ => i64::MAX,
        }
    }

    /// How many replicas of a part are at each place; `without`: one that is on its way.
    fn here(&self, part: usize, place: usize, depth: usize, without: u16) -> usize {
        let ids = self.rows.iter().map(|row| row[part]);
        ids.filter(|&id| id != NOBODY && id != without)
            .filter(|&id| self.at[usize::from(id)][depth] == place)
            .count()
    }

    /// Whether a device may keep a part, when the one `from` keeps it no more: no place
    /// has then more replicas of it than it may, nor, if it had, more than it had.
    fn fits(&self, part: usize, from: u16, to: u16) -> bool {
        if self.rows.iter().any(|row| row[part] == to) {
            return false;
        }
        let to = self.at[usize::from(to)];
        (0..3).all(|depth| {
            let others = self.here(part, to[depth], depth, from);
            let most = self.most.get(to[depth]).copied().unwrap_or(1);
            let stays = from != NOBODY && self.at[usize::from(from)][depth] == to[depth];
            others < most || stays
        })
    }

    /// The ids that may keep something, who lacks most first.
    fn takers(&self) -> Vec<u16> {
        let mut ids: Vec<usize> = (0..self.devices.len())
            .filter(|&id| self.share.quota[id] > 0)
            .collect();
        ids.sort_by_key(|&id| (self.surplus(id), id));
        ids.into_iter().filter_map(|id| u16::try_from(id).ok()).collect()
    }

    fn put(&mut self, row: usize, part: usize, to: u16) {
        let from = usize::from(self.rows[row][part]);
        if let Some(load) = self.loads.get_mut(from) {
            *load -= 1;
        }
        self.rows[row][part] = to;
        self.loads[usize::from(to)] += 1;
        self.given[part] |= 1 << row;
    }

    /// Whether a replica may move: it was given away just now, or nothing of its part was.
    fn may_move(&self, row: usize, part: usize) -> bool {
        self.given[part] == 0 || self.given[part] >> row & 1 == 1
    }

    /// How many replicas somebody else keeps than before.
    pub(crate) fn moves(&self) -> usize {
        let parts = 0..self.given.len();
        let row =
            |row: usize, part: usize| self.before.get(row).map(|r| r[part]) != Some(self.rows[row][part]);
        parts
            .map(|part| (0..self.rows.len()).filter(|r| row(*r, part)).count())
            .sum()
    }

    /// Lets replicas change places where both are as far from the others of their parts
    /// as before: who keeps how much stays.
    pub(crate) fn mix(&mut self) {
        let parts = self.given.len();
        for row in (0..self.rows.len()).cycle().take(2 * self.rows.len()) {
            for part in 0..parts {
                let other = scatter(row * parts + part) % parts;
                let (a, b) = (self.rows[row][part], self.rows[row][other]);
                if a != b && self.fits(part, a, b) && self.fits(other, b, a) {
                    self.rows[row][part] = b;
                    self.rows[row][other] = a;
                }
            }
        }
    }

    /// Gives away what nobody keeps, evenly.
    pub(crate) fn give(&mut self) {
        for part in 0..self.given.len() {
            for row in 0..self.rows.len() {
                if self.rows[row][part] != NOBODY {
                    continue;
                }
                let takers = self.takers();
                let free = |id: &u16| self.rows.iter().all(|r| r[part] != *id);
                let near = takers.iter().copied().find(|id| self.fits(part, NOBODY, *id));
                if let Some(to) = near.or_else(|| takers.iter().copied().find(free)) {
                    self.put(row, part, to);
                }
            }
        }
        self.hand_on(true);
    }

    /// Moves what is too near to another replica, then what is too much.
    pub(crate) fn settle(&mut self) {
        for part in 0..self.given.len() {
            self.part_apart(part);
        }
        self.level();
    }

    /// Whether some place has more replicas of a part than it may.
    fn is_near(&self, part: usize, id: u16) -> bool {
        (0..3).any(|depth| {
            let place = self.at[usize::from(id)][depth];
            self.here(part, place, depth, NOBODY) > self.most.get(place).copied().unwrap_or(1)
        })
    }

    fn part_apart(&mut self, part: usize) {
        let mut near: Vec<(usize, u16)> = (0..self.rows.len())
            .map(|row| (row, self.rows[row][part]))
            .filter(|(row, id)| self.may_move(*row, part) && self.is_near(part, *id))
            .collect();
        near.sort_by_key(|(row, id)| (-self.surplus(usize::from(*id)), *row));
        let takers = self.takers();
        let mut found = None;
        for (row, id) in near {
            // Not to another device at the same place.
            let apart = |to: &u16| {
                self.fits(part, id, *to)
                    && (0..3).all(|depth| {
                        let place = self.at[usize::from(*to)][depth];
                        let most = self.most.get(place).copied().unwrap_or(1);
                        self.here(part, place, depth, id) < most
                    })
            };
            if let Some(to) = takers.iter().copied().find(apart) {
                found = Some((row, to));
                break;
            }
        }
        if let Some((row, to)) = found {
            self.put(row, part, to);
        }
    }

    /// Brings every device to its share: straight from who has too much to who lacks,
    /// else by way of others.
    fn level(&mut self) {
        for part in 0..self.given.len() {
            let mut full: Vec<(usize, u16)> = (0..self.rows.len())
                .map(|row| (row, self.rows[row][part]))
                .filter(|(row, id)| self.may_move(*row, part) && self.surplus(usize::from(*id)) > 0)
                .collect();
            full.sort_by_key(|(row, id)| (-self.surplus(usize::from(*id)), *row));
            let takers = self.takers();
            let lacks = |to: &&u16| self.surplus(usize::from(**to)) < 0;
            let way = full.into_iter().find_map(|(row, from)| {
                let mut lacking = takers.iter().take_while(lacks);
                let to = lacking.find(|to| self.fits(part, from, **to))?;
                Some((row, *to))
            });
            if let Some((row, to)) = way {
                self.put(row, part, to);
            }
        }
        self.hand_on(false);
    }

    /// As long as there is a way to level something, see [`Self::way`].
    fn hand_on(&mut self, given_only: bool) {
        while let Some(way) = self.way(given_only) {
            for (row, part, to) in way {
                self.put(row, part, to);
            }
        }
    }

    /// The shortest way from a device that has too much to one that lacks, over others
    /// that hand on as much as they get; each hand-over is of a part of its own.
    /// `given_only`: of what was given away in this change, which moves nothing more.
    fn way(&self, given_only: bool) -> Option<Vec<(usize, usize, u16)>> {
        let count = self.devices.len();
        let mut from: Vec<Option<(usize, usize, u16)>> = vec![None; count];
        let mut seen = vec![false; count];
        let mut queue: VecDeque<usize> = (0..count).filter(|&id| self.surplus(id) > 0).collect();
        for &id in &queue {
            seen[id] = true;
        }
        while let Some(at) = queue.pop_front() {
            for part in 0..self.given.len() {
                if given_only && self.given[part] == 0 {
                    continue;
                }
                let here = u16::try_from(at).unwrap_or(NOBODY);
                let mut rows = 0..self.rows.len();
                let Some(row) = rows.find(|&row| self.rows[row][part] == here) else {
                    continue;
                };
                if !self.may_move(row, part) || path(&from, at).iter().any(|(_, p, _)| *p == part) {
                    continue;
                }
                for to in self.takers() {
                    let next = usize::from(to);
                    if seen[next] || !self.fits(part, here, to) {
                        continue;
                    }
                    seen[next] = true;
                    from[next] = Some((row, part, here));
                    if self.surplus(next) < 0 {
                        return Some(path(&from, next));
                    }
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// A number that looks as if it had been drawn, and is always the same: the finalizer of
/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
fn scatter(number: usize) -> usize {
    let mut x = u64::try_from(number)
        .unwrap_or_default()
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((x ^ (x >> 31)) >> 16).unwrap_or_default()
}

/// The hand-overs that end at a device.
fn path(from: &[Option<(usize, usize, u16)>], mut at: usize) -> Vec<(usize, usize, u16)> {
    let mut out = Vec::new();
    while let Some((row, part, before)) = from[at] {
        out.push((row, part, u16::try_from(at).unwrap_or(NOBODY)));
        at = usize::from(before);
    }
    out
}

/// What is taken away at once may be one replica of a part, and never the last.
fn loses(ring: &Ring, rows: &[Vec<u16>]) -> Result<(), Fault> {
    let parts = ring.rows.first().map_or(0, Vec::len);
    let gone = |part: &usize| rows.iter().filter(|row| row[*part] == NOBODY).count();
    let lost: Vec<usize> = (0..parts)
        .filter(|part| gone(part) > 1 || gone(part) == rows.len())
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let mut devices: Vec<String> = lost
        .iter()
        .flat_map(|&part| {
            ring.rows
                .iter()
                .zip(rows)
                .map(move |(old, new)| (old[part], new[part]))
        })
        .filter(|(_, new)| *new == NOBODY)
        .filter_map(|(old, _)| ring.devices.get(usize::from(old))?.as_ref())
        .map(|d| format!("{}/{}", d.host, d.name))
        .collect();
    devices.sort();
    devices.dedup();
    Err(Fault::Loses {
        parts: lost.len(),
        devices,
    })
}
