//! Hash rings as this cloud wants them: the devices of its hosts, out of settings.
//! Which device keeps what is decided in `ring`, and what becomes of a ring that
//! is there already, by the planner.

use catalog::HashRing;
use cloud::Domain;
use diagnostic::{Diagnostic, did_you_mean};
use hashring::{Device, Entry, Fault, MOST_PART_POWER, Ring, Wanted};
use indexmap::IndexMap;
use model::{Model, Placed};
use wire::Content;

use crate::context::{Scope, Templates};

/// The share of a device of which nothing else is said.
const WEIGHT: u32 = 100;

/// The file of a cloud's first ring, and what it was made of.
pub type First = (Wanted, Content);

/// All hash rings by service and name; without those that cannot be, each of which is a finding.
pub fn of(model: &Model, templates: &mut Templates) -> IndexMap<(String, String), First> {
    let mut out = IndexMap::new();
    for (service, placed) in &model.services {
        for (name, spec) in &placed.service.hash_rings {
            match first(model, templates, placed, spec) {
                Ok(first) => {
                    out.insert((service.clone(), name.clone()), first);
                }
                // Rings of a service have their settings in common: it is said once.
                Err(finding) => templates.push(finding),
            }
        }
    }
    out
}

/// The setting that a template reads.
fn setting(text: &str) -> &str {
    let rest = text.split_once("settings.").map_or("", |(_, rest)| rest);
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    rest.split(|c| !inside(c)).next().unwrap_or_default()
}

fn first(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    spec: &HashRing,
) -> Result<First, Diagnostic> {
    let service = placed.service.name.value.as_str();
    let finding = |code, text: &str, message: String, label: &str, help: String| {
        let at = model.place(service, setting(text));
        Diagnostic::error(code, &model.source, at, message, label).help(help)
    };
    let scope = Scope {
        service,
        host: None,
        item: None,
    };
    let mut number = |text: &str, least: u32, most: u32| {
        let value = templates.text(&scope, text);
        let good = value.parse().ok().filter(|n| (least..=most).contains(n));
        good.ok_or_else(|| {
            let message = format!(
                "`{value}` is not a {} of a hash ring",
                setting(text).replace('_', "-")
            );
            let help = format!("a whole number from {least} to {most}");
            finding("ring::bad-number", text, message, "not such a number", help)
        })
    };
    let part_power = number(&spec.part_power, 1, u32::from(MOST_PART_POWER))?;
    let replicas = number(&spec.replicas, 1, 16)?;
    let min_part_hours = number(&spec.min_part_hours, 0, 10_000)?;
    let text = templates.text(&scope, &spec.devices);
    let bad = |message: String, help: String| {
        finding("ring::bad-device", &spec.devices, message, "not understood", help)
    };
    let entries = hashring::entries(&text).map_err(|word| {
        let help =
            "write `DEVICE` or `HOST/DEVICE`, then `region=1`, `zone=1`, `weight=100` where they matter";
        bad(format!("`{word}` is no part of a device"), help.to_owned())
    })?;
    let hosts = model.hosts_of(&spec.on.value);
    let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).collect();
    let stranger = entries
        .iter()
        .filter_map(|e| e.host.as_deref())
        .find(|h| !names.contains(h));
    if let Some(name) = stranger {
        let message = format!("no host for {} is called `{name}`", spec.on.value);
        let help = did_you_mean(name, names.iter().copied());
        let help = help.map_or_else(
            || format!("known: {}", names.join(", ")),
            |n| format!("did you mean `{n}`?"),
        );
        return Err(bad(message, help));
    }
    let wanted = Wanted {
        part_power: u8::try_from(part_power).unwrap_or(MOST_PART_POWER),
        replicas: usize::try_from(replicas).unwrap_or(1),
        min_part_hours,
        devices: devices(model, spec, &entries),
    };
    let made = Ring::first(&wanted).map_err(|fault| match fault {
        Fault::FewDevices { devices, replicas } => {
            let message = format!("{replicas} replicas have no room on {devices} devices");
            let help = format!(
                "two on one device are lost together: add devices or hosts, or set `{}` to {} at most",
                setting(&spec.replicas),
                devices.max(1)
            );
            let label = "each replica wants a device of its own";
            finding("ring::few-devices", &spec.replicas, message, label, help)
        }
        Fault::Loses { .. } | Fault::Parts { .. } => bad(
            "a first ring has nothing to lose".to_owned(),
            "report this".to_owned(),
        ),
    })?;
    let file = made
        .encode()
        .map_err(|error| bad(error.to_string(), "report this".to_owned()))?;
    Ok((wanted, file.into()))
}

/// The devices, host by host in the order of the cloud file. What shares a rack is a zone.
fn devices(model: &Model, spec: &HashRing, entries: &[Entry]) -> Vec<Device> {
    let hosts = model.hosts_of(&spec.on.value);
    let rack = |host: &cloud::Host| host.domains.get(&Domain::Rack).map(|r| r.value.clone());
    let mut racks: Vec<Option<String>> = Vec::new();
    let mut out = Vec::new();
    for host in hosts {
        let rack = rack(host);
        let zone = racks.iter().position(|r| *r == rack).unwrap_or_else(|| {
            racks.push(rack);
            racks.len() - 1
        });
        let name = host.name.as_str();
        let Some(address) = model.address(name) else {
            continue;
        };
        for entry in entries
            .iter()
            .filter(|e| e.host.as_deref().is_none_or(|h| h == name))
        {
            out.push(Device {
                host: name.to_owned(),
                name: entry.name.clone(),
                address: address.to_string(),
                port: spec.port,
                region: entry.region.unwrap_or(1),
                zone: entry
                    .zone
                    .unwrap_or_else(|| u32::try_from(zone).unwrap_or_default() + 1),
                weight: entry.weight.unwrap_or(WEIGHT),
            });
        }
    }
    out
}
