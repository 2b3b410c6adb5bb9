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
    Detail, Overview, Powers, Survey, observers,
    protect::{Asked, server},
};
use crate::{
    clock::ms,
    commands::DRAINED,
    config::{Config, Host},
    store::{Rows, StoreError},
};

/// What this process remembers of its own acts.
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
    let hosts = sources
        .config
        .hosts
        .iter()
        .map(|host| host_seen(sources, host, &asked))
        .filter(|host| !is_at_work(sources, host));
    let (store, _) = split(&sources.rows);
    Seen {
        engine: sources.engine.clone(),
        observers: observers::observers(&sources.config.controllers, &sources.tables),
        control: control(sources.overview.as_deref()),
        hosts: hosts.collect(),
        followed: followed(sources, &asked),
        migrations: super::moves::migrations(sources),
        store,
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

pub(super) fn split(rows: &Result<Rows, StoreError>) -> (Fact<evac::Store>, Option<&Rows>) {
    match rows {
        Ok(rows) => (Fact::Known(rows.store.clone()), Some(rows)),
        Err(error) => (Fact::Unknown(error.to_string()), None),
    }
}

/// Hosts of VMs, the newest word last.
fn places(sources: &Sources<'_>) -> BTreeMap<String, String> {
    let surveyed = sources
        .survey
        .iter()
        .filter_map(|s| s.servers.as_ref().ok())
        .flatten();
    let detailed = sources
        .detail
        .iter()
        .flat_map(|d| d.servers.values())
        .filter_map(|s| s.as_ref().ok());
    let followed = sources
        .detail
        .iter()
        .flat_map(|d| d.followed.values())
        .filter_map(Fact::known);
    let all = surveyed.chain(detailed.flatten()).chain(followed);
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

fn host_seen(sources: &Sources<'_>, host: &Host, asked: &Asked<'_>) -> HostSeen {
    let name = host.name.as_str();
    let id = HostId::from(name);
    let (paths, says) = match &sources.tables {
        Ok(tables) => observers::host(name, tables),
        Err(_) => (Vec::new(), None),
    };
    let service = service(sources, name);
    HostSeen {
        rack: host.domain.as_deref().map(Name::from),
        aggregates: aggregates(asked, name),
        zone: service
            .known()
            .and_then(|s| s.zone.known())
            .map(|z| Name::from(z.as_str())),
        paths,
        says,
        compute: compute(&service, sources.now),
        agent: agent(sources, name),
        room: room(sources, name),
        servers: servers(sources, &id, asked),
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
fn is_at_work(sources: &Sources<'_>, host: &HostSeen) -> bool {
    let drained = matches!(&host.compute, Fact::Known(c) if is_drained(c));
    let begun = sources
        .rows
        .as_ref()
        .is_ok_and(|r| r.store.intents.iter().any(|i| i.intent.host == host.host));
    let listed = sources.detail.as_ref().and_then(|d| d.servers.get(&host.host));
    drained && !begun && matches!(listed, Some(Ok(servers)) if servers.is_empty())
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

fn aggregates(asked: &Asked<'_>, host: &str) -> Vec<Name> {
    let on_host = |a: &&openstack::Aggregate| a.hosts.known().is_some_and(|h| h.iter().any(|h| h == host));
    asked
        .aggregates
        .iter()
        .filter(on_host)
        .map(|a| Name::from(a.name.as_str()))
        .collect()
}

fn service<'a>(sources: &'a Sources<'_>, host: &str) -> Fact<&'a Service> {
    let Some(overview) = &sources.overview else {
        return Fact::Unknown(NOT_LATELY.to_owned());
    };
    match &overview.services {
        Ok(services) => {
            let found = services
                .iter()
                .find(|s| s.binary == openstack::COMPUTE && s.host == host);
            found.map_or(Fact::Absent, Fact::Known)
        }
        Err(error) => Fact::Unknown(error.to_string()),
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

fn agent(sources: &Sources<'_>, host: &str) -> Fact<bool> {
    match sources.overview.as_ref().map(|o| &o.agents) {
        Some(Ok(agents)) => openstack::carries_ports(agents, host),
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

/// VMs of a host: of one that is looked at by the look, of another by the last survey.
fn servers(sources: &Sources<'_>, host: &HostId, asked: &Asked<'_>) -> Fact<Vec<evac::Server>> {
    let one = |vm: &openstack::Server| {
        let mut vm = server(vm, asked);
        vm.restarted_ms = sources.memory.vms.get(&vm.vm).map(|at| ms(at.elapsed()));
        vm
    };
    match sources.detail.as_ref().and_then(|d| d.servers.get(host)) {
        Some(Ok(found)) => return Fact::Known(found.iter().map(one).collect()),
        Some(Err(error)) => return Fact::Unknown(error.to_string()),
        None => {}
    }
    // What is to be moved is looked at; a survey is good enough for failed VMs of a live host.
    let begun = split(&sources.rows)
        .1
        .is_none_or(|r| r.store.intents.iter().any(|row| row.intent.host == *host));
    match sources.survey.as_ref().map(|s| &s.servers) {
        Some(Ok(all)) if !begun => {
            let here = all
                .iter()
                .filter(|vm| vm.host.known().is_some_and(|h| h == host.as_str()));
            Fact::Known(here.map(one).filter(|vm| vm.restart).collect())
        }
        Some(Err(error)) => Fact::Unknown(error.to_string()),
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
    let Some(rows) = split(&sources.rows).1 else {
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
