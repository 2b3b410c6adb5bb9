//! How much each device should keep, and how often a part may be in one place.
//! Which part is kept where is not decided here.

use std::collections::BTreeMap;

use crate::{Device, Fault};

/// A place at which replicas can be together: a region, a zone of it, a host of that.
pub(crate) type Place = Vec<String>;

/// What each device is to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Replicas by device id.
    pub quota: Vec<usize>,
    /// How many replicas of one part may be at a place, [`most`]; places that are not here have one.
    pub most: BTreeMap<Vec<String>, usize>,
    /// Ids of the devices that keep something; what lies together stands together.
    pub in_order: Vec<usize>,
}

/// A device's places, the widest first.
pub(crate) fn places(device: &Device) -> [Place; 3] {
    let region = format!("{:010}", device.region);
    let zone = format!("{:010}", device.zone);
    [
        vec![region.clone()],
        vec![region.clone(), zone.clone()],
        vec![region, zone, device.host.clone()],
    ]
}

/// A tree of places; a leaf is a device.
struct Node {
    place: Place,
    inner: Vec<Node>,
    id: Option<usize>,
    weight: f64,
    /// How many replicas of a part it can keep without two that could be further apart.
    room: usize,
}

/// The least number that, taken as the most for each, leaves room for `wanted`.
fn level(rooms: &[usize], wanted: usize) -> usize {
    (1..=wanted)
        .find(|l| rooms.iter().map(|r| r.min(l)).sum::<usize>() >= wanted)
        .unwrap_or(wanted)
}

/// Divides `total` by weight; none gets more than its cap. Whole numbers, by the largest remainders.
fn divide(total: usize, weights: &[f64], caps: &[usize]) -> Vec<usize> {
    #[expect(clippy::cast_precision_loss, reason = "at most 2^20 parts of some replicas")]
    let exact = |n: usize| n as f64;
    let mut share = vec![0.0; weights.len()];
    let mut full = vec![false; weights.len()];
    loop {
        let fixed: f64 = (0..weights.len())
            .filter(|&i| full[i])
            .map(|i| exact(caps[i]))
            .sum();
        let weight: f64 = (0..weights.len()).filter(|&i| !full[i]).map(|i| weights[i]).sum();
        let rest = (exact(total) - fixed).max(0.0);
        let mut again = false;
        for i in 0..weights.len() {
            share[i] = if full[i] {
                exact(caps[i])
            } else if weight > 0.0 {
                rest * weights[i] / weight
            } else {
                0.0
            };
            if !full[i] && share[i] > exact(caps[i]) {
                full[i] = true;
                again = true;
            }
        }
        if !again {
            break;
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is between nothing and all"
    )]
    // What is a whole number but for the last bit is one.
    let mut out: Vec<usize> = share.iter().map(|s| (s + 1e-9).floor() as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).filter(|&i| out[i] < caps[i]).collect();
    order.sort_by(|&a, &b| {
        let rest = |i: usize| share[i] - exact(out[i]);
        rest(b).total_cmp(&rest(a)).then(a.cmp(&b))
    });
    let short = total.saturating_sub(out.iter().sum());
    for i in order.into_iter().take(short) {
        out[i] += 1;
    }
    out
}

fn give(node: &Node, total: usize, most: usize, parts: usize, out: &mut Share) {
    if let Some(id) = node.id {
        out.quota[id] = total;
        out.in_order.push(id);
        return;
    }
    out.most.insert(node.place.clone(), most);
    let rooms: Vec<usize> = node.inner.iter().map(|n| n.room).collect();
    let level = level(&rooms, most);
    let each: Vec<usize> = rooms.iter().map(|r| *r.min(&level)).collect();
    let caps: Vec<usize> = each.iter().map(|m| m * parts).collect();
    let weights: Vec<f64> = node.inner.iter().map(|n| n.weight).collect();
    let totals = divide(total, &weights, &caps);
    for ((inner, total), most) in node.inner.iter().zip(totals).zip(each) {
        give(inner, total, most, parts, out);
    }
}

/// The tree below a place, of the devices with these ids.
fn tree(place: &[String], ids: &[usize], devices: &[Option<Device>], on_host: usize) -> Node {
    let depth = place.len();
    let inner: Vec<Node> = if depth == 3 {
        let leaf = |&id: &usize| Node {
            place: Vec::new(),
            inner: Vec::new(),
            id: Some(id),
            weight: devices[id].as_ref().map_or(0.0, |d| f64::from(d.weight)),
            room: 1,
        };
        ids.iter().map(leaf).collect()
    } else {
        let mut below: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for &id in ids {
            if let Some(device) = &devices[id] {
                below.entry(places(device)[depth].clone()).or_default().push(id);
            }
        }
        let nodes = below
            .iter()
            .map(|(place, ids)| tree(place, ids, devices, on_host));
        nodes.collect()
    };
    let room = inner.iter().map(|n| n.room).sum();
    Node {
        place: place.to_vec(),
        id: None,
        weight: inner.iter().map(|n| n.weight).sum(),
        room: if depth == 3 { on_host.min(room) } else { room },
        inner,
    }
}

/// What each device is to keep of `parts` parts.
///
/// From the widest place to the narrowest: of each part a place gets no more than
/// it must where all get alike, and within that its share is that of its weight.
///
/// # Errors
/// Where there are fewer devices with a weight than replicas.
pub fn shares(devices: &[Option<Device>], replicas: usize, parts: usize) -> Result<Share, Fault> {
    let keeps = |id: &usize| matches!(&devices[*id], Some(d) if d.weight > 0);
    let ids: Vec<usize> = (0..devices.len()).filter(keeps).collect();
    if ids.len() < replicas || replicas == 0 {
        return Err(Fault::FewDevices {
            devices: ids.len(),
            replicas,
        });
    }
    let mut hosts: BTreeMap<Place, usize> = BTreeMap::new();
    for device in ids.iter().filter_map(|&id| devices[id].as_ref()) {
        let [.., host] = places(device);
        *hosts.entry(host).or_default() += 1;
    }
    let on_each: Vec<usize> = hosts.values().copied().collect();
    let root = tree(&[], &ids, devices, level(&on_each, replicas));
    let mut out = Share {
        quota: vec![0; devices.len()],
        ..Share::default()
    };
    give(&root, replicas * parts, replicas, parts, &mut out);
    Ok(out)
}
