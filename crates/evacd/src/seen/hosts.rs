//! All sources put together into what the decider takes. Pure: what was asked is handed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use evac::{Compute, ControlSeen, EngineSeen, Followed, HostId, HostSeen, Name, Room, Seen, VmId};
use jiff::Timestamp;
use openstack::{CONDUCTOR, SCHEDULER, Service};
use wire::Fact;

use super::{
    Detail, Overview, Powers, Survey,
    index::Index,
    observers,
    protect::{Asked, server},
};
use crate::{
    clock::ms,
    commands::DRAINED,
    config::{Config, Host},
    store::{Rows, StoreError},
};

/// Memory of this process of its own acts.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Restarts of compute services.
    pub(crate) computes: BTreeMap<HostId, Instant>,
    /// Restarts of VMs on their own hosts.
    pub(crate) vms: BTreeMap<VmId, Instant>,
}

/// Answers of all sources.
pub(crate) struct Sources<'a> {
    pub(crate) config: &'a Config,
    pub(crate) engine: EngineSeen,
    pub(crate) tables: Result<heartbeat::Tables, heartbeat::Error>,
    pub(crate) rows: Result<Rows, StoreError>,
    pub(crate) overview: Option<Arc<Overview>>,
    pub(crate) detail: Option<Arc<Detail>>,
    pub(crate) survey: Option<Arc<Survey>>,
    pub(crate) powers: &'a Powers,
    pub(crate) memory: &'a Memory,
    /// This host's clock, against which the services' moments are aged.
    pub(crate) now: Timestamp,
}

pub(super) const NOT_LATELY: &str = "no answer lately";
const NOT_ASKED: &str = "not asked for";

/// One observation of everything.
pub(crate) fn put_together(sources: &Sources<'_>) -> Seen {
    let places = places(sources);
    let asked = asked(sources, &places);
    let index = Index::new(sources, &asked);
    let hosts = sources.config.hosts.iter();
    let hosts = hosts.map(|host| host_seen(sources, &index, host, &asked));
    let hosts = hosts.filter(|host| !is_at_work(sources, &index, host));
    Seen {
        engine: sources.engine.clone(),
        observers: observers::observers(&sources.config.controllers, &sources.tables),
        control: control(sources.overview.as_deref()),
        store: match &sources.rows {
            Ok(rows) => Fact::Known(rows.store.clone()),
            Err(error) => Fact::Unknown(error.to_string()),
        },
        hosts: hosts.collect(),
        followed: followed(sources, &asked),
        migrations: super::moves::migrations(sources),
    }
}

/// All VMs of a survey for the decider; an error where the list is not whole.
pub(crate) fn protected(
    survey: &Survey,
    shared_instances: bool,
) -> Result<Vec<evac::Server>, openstack::Error> {
    let all = survey.servers.as_ref().map_err(Clone::clone)?;
    let places = all
        .iter()
        .filter_map(|vm| Some((vm.id.clone(), vm.host.known()?.clone())));
    let places: BTreeMap<String, String> = places.collect();
    let asked = Asked {
        aggregates: survey.aggregates.as_deref().map_err(Clone::clone)?,
        groups: survey.groups.as_deref().map_err(Clone::clone)?,
        places: Some(&places),
        shared_instances,
    };
    // A VM without a host lies on none: it is shelved, or was never placed.
    let on_hosts = all.iter().filter(|vm| vm.host.known().is_some());
    Ok(on_hosts.map(|vm| server(vm, &asked)).collect())
}

/// Hosts of VMs, the newest word last; none are needed while nobody is looked at.
fn places(sources: &Sources<'_>) -> BTreeMap<String, String> {
    let Some(detail) = &sources.detail else {
        return BTreeMap::new();
    };
    let surveyed = sources.survey.iter().flat_map(|s| s.servers.iter().flatten());
    let detailed = detail.servers.values().flatten().flatten();
    let followed = detail.followed.values().filter_map(Fact::known);
    let all = surveyed.chain(detailed).chain(followed);
    all.filter_map(|vm| Some((vm.id.clone(), vm.host.known()?.clone())))
        .collect()
}

fn asked<'a>(sources: &'a Sources<'_>, places: &'a BTreeMap<String, String>) -> Asked<'a> {
    let survey = sources.survey.as_deref();
    Asked {
        aggregates: survey
            .and_then(|s| s.aggregates.as_deref().ok())
            .unwrap_or_default(),
        groups: survey.and_then(|s| s.groups.as_deref().ok()).unwrap_or_default(),
        places: Some(places),
        shared_instances: sources.config.shared_instances,
    }
}

fn control(overview: Option<&Overview>) -> ControlSeen {
    let Some(overview) = overview else {
        let unknown = || NOT_LATELY.to_owned();
        return ControlSeen {
            answer_ms: Fact::Unknown(unknown()),
            scheduler: Fact::Unknown(unknown()),
            conductor: Fact::Unknown(unknown()),
        };
    };
    let up = |binary: &str| match &overview.services {
        Ok(services) => Fact::Known(
            services
                .iter()
                .any(|s| s.binary == binary && s.up == Fact::Known(true)),
        ),
        Err(error) => Fact::Unknown(error.to_string()),
    };
    ControlSeen {
        answer_ms: match &overview.services {
            Ok(_) => Fact::Known(overview.answer_ms),
            Err(error) => Fact::Unknown(error.to_string()),
        },
        scheduler: up(SCHEDULER),
        conductor: up(CONDUCTOR),
    }
}

fn host_seen(sources: &Sources<'_>, index: &Index<'_>, host: &Host, asked: &Asked<'_>) -> HostSeen {
    let name = host.name.as_str();
    let id = HostId::from(name);
    let (paths, says) = observers::host(index.told.get(name).map_or(&[], Vec::as_slice));
    let service = service(sources, index, name);
    HostSeen {
        rack: host.domain.as_deref().map(Name::from),
        aggregates: index.aggregates.get(name).cloned().unwrap_or_default(),
        zone: service
            .known()
            .and_then(|s| s.zone.known())
            .map(|z| Name::from(z.as_str())),
        paths,
        says,
        compute: compute(&service, sources.now),
        agent: agent(sources, index, name),
        room: room(sources, name),
        servers: servers(sources, index, &id, asked),
        power: sources.powers.of(&id),
        // No storage is asked to refuse a host, and no heartbeat tells of a watchdog.
        storage_fenced: Fact::Absent,
        watchdog: None,
        proved_ms: proved(sources, host, &id),
        restarted_ms: sources.memory.computes.get(&id).map(|at| ms(at.elapsed())),
        host: id,
    }
}

/// True: the host was drained and has no VM, so that it may be restarted by those who work on
/// it. It is left out: there is nothing to save on it, and cutting its power would be harm.
fn is_at_work(sources: &Sources<'_>, index: &Index<'_>, host: &HostSeen) -> bool {
    let drained = matches!(&host.compute, Fact::Known(c) if is_drained(c));
    let listed = sources.detail.as_ref().and_then(|d| d.servers.get(&host.host));
    drained && !index.may_be_begun(&host.host) && matches!(listed, Some(Ok(servers)) if servers.is_empty())
}

/// True: the host takes no VMs since it was drained.
fn is_drained(compute: &Compute) -> bool {
    !compute.enabled && !compute.forced_down && compute.reason.as_deref() == Some(DRAINED)
}

/// Hosts that are drained, by the services.
pub(crate) fn drained(overview: Option<&Overview>) -> BTreeSet<HostId> {
    let services = overview
        .and_then(|o| o.services.as_deref().ok())
        .unwrap_or_default();
    let is_drained = |s: &&Service| {
        s.enabled == Fact::Known(false) && s.disabled_reason.known().is_some_and(|r| r == DRAINED)
    };
    let drained = services.iter().filter(is_drained);
    drained.map(|s| HostId::from(s.host.as_str())).collect()
}

fn service<'a>(sources: &Sources<'_>, index: &Index<'a>, host: &str) -> Fact<&'a Service> {
    match sources.overview.as_ref().map(|o| &o.services) {
        Some(Ok(_)) => index.services.get(host).map_or(Fact::Absent, |s| Fact::Known(*s)),
        Some(Err(error)) => Fact::Unknown(error.to_string()),
        None => Fact::Unknown(NOT_LATELY.to_owned()),
    }
}

fn compute(service: &Fact<&Service>, now: Timestamp) -> Fact<Compute> {
    let service = match service {
        Fact::Known(service) => service,
        Fact::Absent => return Fact::Absent,
        Fact::Unknown(why) => return Fact::Unknown(why.clone()),
    };
    let (Fact::Known(id), Fact::Known(up), Fact::Known(enabled), Fact::Known(forced_down)) =
        (&service.id, &service.up, &service.enabled, &service.forced_down)
    else {
        return Fact::Unknown("its service is told in part".to_owned());
    };
    Fact::Known(Compute {
        id: Name::from(id.as_str()),
        up: *up,
        forced_down: *forced_down,
        enabled: *enabled,
        reason: service.disabled_reason.known().cloned(),
        report_ms: age(&service.reported, now),
    })
}

fn agent(sources: &Sources<'_>, index: &Index<'_>, host: &str) -> Fact<bool> {
    match sources.overview.as_ref().map(|o| &o.agents) {
        Some(Ok(_)) => {
            let agents = index.agents.get(host).into_iter().flatten();
            openstack::carries_ports(agents.copied(), host)
        }
        Some(Err(error)) => Fact::Unknown(error.to_string()),
        None => Fact::Unknown(NOT_LATELY.to_owned()),
    }
}

fn room(sources: &Sources<'_>, host: &str) -> Fact<Room> {
    match sources.overview.as_ref().map(|o| &o.capacity) {
        Some(Ok(capacity)) => {
            // One that is not told of is full.
            let free = capacity.get(host).copied().unwrap_or_default();
            Fact::Known(Room {
                ram_mb: free.ram_mib.free(),
                vcpus: free.vcpus.free(),
            })
        }
        Some(Err(error)) => Fact::Unknown(error.to_string()),
        None => Fact::Unknown(NOT_LATELY.to_owned()),
    }
}

/// VMs of a host: of one that is looked at by the look. Of another, those that are to be
/// restarted when they fail, by the last survey.
fn servers(
    sources: &Sources<'_>,
    index: &Index<'_>,
    host: &HostId,
    asked: &Asked<'_>,
) -> Fact<Vec<evac::Server>> {
    let aged = |mut vm: evac::Server| {
        vm.restarted_ms = sources.memory.vms.get(&vm.vm).map(|at| ms(at.elapsed()));
        vm
    };
    match sources.detail.as_ref().and_then(|d| d.servers.get(host)) {
        Some(Ok(found)) => return Fact::Known(found.iter().map(|vm| aged(server(vm, asked))).collect()),
        Some(Err(error)) => return Fact::Unknown(error.to_string()),
        None => {}
    }
    match &sources.survey {
        Some(survey) if !index.may_be_begun(host) => {
            match survey.restartable(sources.config.shared_instances) {
                Ok(all) => {
                    let here = all.get(host).into_iter().flatten();
                    Fact::Known(here.cloned().map(aged).collect())
                }
                Err(error) => Fact::Unknown(error.to_string()),
            }
        }
        _ => Fact::Unknown(NOT_ASKED.to_owned()),
    }
}

/// Age of the oldest proof of a host's devices; absent where one has none.
fn proved(sources: &Sources<'_>, host: &Host, id: &HostId) -> Fact<u64> {
    let rows = match &sources.rows {
        Ok(rows) => rows,
        Err(error) => return Fact::Unknown(error.to_string()),
    };
    let mut oldest = None;
    for (level, devices) in host.devices.iter().enumerate() {
        for device in devices {
            let Some(age) = rows.proofs.get(id).and_then(|p| p.get(&device.name(level))) else {
                return Fact::Absent;
            };
            oldest = oldest.max(Some(*age));
        }
    }
    oldest.map_or(Fact::Absent, Fact::Known)
}

fn followed(sources: &Sources<'_>, asked: &Asked<'_>) -> Vec<Followed> {
    let Ok(rows) = &sources.rows else {
        return Vec::new();
    };
    let mut vms: Vec<&VmId> = rows.store.sent.iter().map(|row| &row.sent.vm).collect();
    vms.sort();
    vms.dedup();
    let of = |vm: &VmId| match sources.detail.as_ref().and_then(|d| d.followed.get(vm)) {
        Some(Fact::Known(found)) => Fact::Known(server(found, asked)),
        Some(Fact::Absent) => Fact::Absent,
        Some(Fact::Unknown(why)) => Fact::Unknown(why.clone()),
        None => Fact::Unknown(NOT_ASKED.to_owned()),
    };
    vms.into_iter()
        .map(|vm| Followed {
            vm: vm.clone(),
            server: of(vm),
        })
        .collect()
}

/// Age of a moment that a service wrote, in ms; none where it lies ahead.
pub(super) fn age(moment: &Fact<Timestamp>, now: Timestamp) -> u64 {
    let Some(moment) = moment.known() else { return 0 };
    u64::try_from(moment.duration_until(now).as_millis()).unwrap_or(0)
}

#[cfg(test)]
#[path = "scale_tests.rs"]
mod tests;
