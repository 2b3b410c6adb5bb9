//! Instances that systemd runs where another architecture has Pacemaker run
//! them: what makes systemd do it, and how such an instance is asked.

use catalog::{BY_SYSTEMD, Component, Kind, UnitRun};
use cloud::{Architecture, Host};
use model::{Model, Placed, resource_id};
use names::ResourceId;
use pacemaker::Resource;
use wire::{Expect, FileWrite, HttpGet, Own, Query};

use crate::context::{Scope, Templates, secret, url_host};
use crate::{DesiredFile, DesiredHost, DesiredUnit, LocalCheck, cluster};

/// Where what is added to the unit lies: after [`by_pacemaker`] in the order of names.
pub fn by_systemd(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}.d/quorate.conf")
}

/// What Pacemaker adds to a unit that it starts, until it stops it or the host
/// boots (`systemd_create_override` in its `lib/services/systemd.c`).
fn by_pacemaker(unit: &str) -> String {
    format!("/run/systemd/system/{unit}.d/50-pacemaker.conf")
}

/// The component's unit on a host of its role; nothing where it has none.
pub fn unit(model: &Model, placed: &Placed, component: &Component, host: &Host) -> DesiredUnit {
    let architecture = model.cloud.architecture;
    let run = component.run_in(architecture);
    let instance = component.by_architecture(architecture);
    let service = &placed.service.name.value;
    // The cluster tells of its processes, and not that they answer: one that stands still
    // is started for as long as nobody has found it.
    let checked = component.endpoint.as_ref().is_some_and(|e| !e.check.is_empty());
    let balanced = checked && component.kind == Kind::Stateless;
    DesiredUnit {
        unit: component.unit.clone(),
        run,
        resource: if run == UnitRun::Cluster || instance {
            resource_id(service, &component.name.value)
        } else {
            ResourceId::default()
        },
        gated: instance && !placed.service.steps.is_empty(),
        check: (instance || balanced)
            .then(|| check(model, component, host))
            .flatten(),
        service: service.clone(),
    }
}

/// As the balancer asks, but on the host itself; without an endpoint: whether
/// its first port is open.
fn check(model: &Model, component: &Component, host: &Host) -> Option<LocalCheck> {
    let address = url_host(model.address(host.name.as_str())?);
    if let Some(e) = component.endpoint.as_ref().filter(|e| !e.check.is_empty()) {
        let port = e.check_port.unwrap_or(e.port.value);
        // Who answers for another has nothing to hide.
        let tls = e.backend_tls && port == e.port.value;
        let scheme = if tls { "https" } else { "http" };
        return Some(LocalCheck {
            query: Query::Http(HttpGet {
                method: "GET".to_owned(),
                url: format!("{scheme}://{address}:{port}{}", e.check),
                ca: tls.then(|| secret("tls/ca.crt")),
                auth: None,
                headers: Vec::new(),
                body: None,
            }),
            expect: Expect::Status(200),
        });
    }
    let port = component.endpoint.as_ref().map(|e| e.port.value);
    let port = port.or(component.ports.first().copied())?;
    Some(LocalCheck {
        query: Query::Tcp(format!("{address}:{port}")),
        expect: Expect::Open,
    })
}

/// What tells systemd to run a unit, or not to: each is there in one
/// architecture and not in the other.
pub fn files(
    templates: &mut Templates,
    placed: &Placed,
    component: &Component,
    host: &str,
    out: &mut DesiredHost,
) {
    let service = &placed.service.name.value;
    let scope = Scope {
        service,
        host: Some(host),
        item: None,
    };
    out.absent.push(by_pacemaker(&component.unit));
    out.files.push(DesiredFile {
        write: FileWrite {
            path: by_systemd(&component.unit),
            content: templates.file(&scope, BY_SYSTEMD).content,
            owner: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o644,
            directory: false,
            own: Own::File,
        },
        service: service.clone(),
        secret: false,
        once: false,
        names: false,
        ring: None,
        identity: String::new(),
        restart: Vec::new(),
        reload: Vec::new(),
    });
}

/// What the cluster runs here and systemd would elsewhere has nothing of systemd's.
pub fn no_files(component: &Component, out: &mut DesiredHost) {
    if component.by_architecture(Architecture::Core) {
        out.absent.push(by_systemd(&component.unit));
    }
}

/// The instances that systemd runs here as another architecture's cluster has them.
pub fn elsewhere(model: &Model, templates: &mut Templates) -> Vec<Resource> {
    let here: Vec<(&Placed, &Component)> = crate::present(model, templates)
        .filter(|(_, c)| c.by_architecture(model.cloud.architecture))
        .collect();
    here.into_iter()
        .map(|(placed, component)| {
            let id = resource_id(&placed.service.name.value, &component.name.value);
            cluster::resource(model, templates, &id, placed, component)
        })
        .collect()
}
