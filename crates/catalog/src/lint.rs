//! What can be wrong between the parts of a catalogue: a name that leads
//! nowhere, a file that is not there, a port taken twice, a clone without
//! interleave. What is wrong inside one value is found while reading it.

mod journeys;
mod names;
mod order;
mod pieces;
mod values;

use std::sync::Arc;

use diagnostic::{Diagnostic, Source, did_you_mean};
use indexmap::IndexMap;

use crate::service::{BY_SYSTEMD, Component, Kind, Service, UnitRun};
use crate::{BUDGET, CURES, Catalog, Spanned, UNSAFE, data};

pub(crate) use values::unsafe_value;

/// Roles a component or a file may name: those of the cloud file, and the
/// groups `cluster` (every host that is a member of the cluster) and `all`.
pub(crate) const ROLES: [&str; 11] = [
    "database",
    "messaging",
    "cache",
    "balancer",
    "api",
    "network",
    "storage",
    "compute",
    "arbitrator",
    "cluster",
    "all",
];

fn unknown(
    service: &Service,
    code: &'static str,
    what: &str,
    name: &Spanned<String>,
    known: &[&str],
) -> Diagnostic {
    unheard(&service.source, code, what, name, known)
}

fn unheard(
    source: &Arc<Source>,
    code: &'static str,
    what: &str,
    name: &Spanned<String>,
    known: &[&str],
) -> Diagnostic {
    let finding = Diagnostic::error(
        code,
        source,
        name.span.clone(),
        format!("there is no {what} `{}`", name.value),
        "not known",
    );
    match did_you_mean(&name.value, known.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => finding.help(format!("there is no {what} to be named here")),
        None => finding.help(format!("known: {}", known.join(", "))),
    }
}

fn unknown_roles(service: &Service, roles: &[Spanned<String>]) -> Vec<Diagnostic> {
    let unheard = roles.iter().filter(|r| !ROLES.contains(&r.value.as_str()));
    unheard
        .map(|r| unknown(service, "catalog::unknown-role", "role", r, &ROLES))
        .collect()
}

/// All findings of a catalogue.
pub fn lint(catalog: &Catalog) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let services: Vec<&str> = catalog.services.keys().map(String::as_str).collect();
    let mut ports: IndexMap<u16, (&Service, &Spanned<u16>)> = IndexMap::new();
    let mut listened: Vec<(u16, &Service, &Component)> = Vec::new();
    for service in catalog.services.values() {
        if !service.folder.ends_with(&format!("/{}", service.name.value)) {
            out.push(
                Diagnostic::error(
                    "catalog::name-is-not-folder",
                    &service.source,
                    service.name.span.clone(),
                    format!(
                        "the folder is `{}`, the service says `{}`",
                        service.folder, service.name.value
                    ),
                    "must be the folder's name",
                )
                .help("rename one of them"),
            );
        }
        for need in &service.needs {
            if !catalog.services.contains_key(&need.value) {
                out.push(unknown(
                    service,
                    "catalog::unknown-need",
                    "service",
                    need,
                    &services,
                ));
            }
        }
        let components: Vec<&str> = service.components.keys().map(String::as_str).collect();
        for component in service.components.values() {
            out.extend(unknown_roles(service, &component.runs_on));
            for after in &component.after {
                let (other, part) = after.value.split_once('.').unwrap_or((after.value.as_str(), ""));
                match catalog.services.get(other) {
                    None => out.push(unknown(
                        service,
                        "catalog::unknown-after",
                        "service",
                        after,
                        &services,
                    )),
                    Some(s) if !part.is_empty() && !s.components.contains_key(part) => {
                        let known: Vec<&str> = s.components.keys().map(String::as_str).collect();
                        out.push(unknown(
                            service,
                            "catalog::unknown-after",
                            "component",
                            after,
                            &known,
                        ));
                    }
                    Some(_) => {}
                }
            }
            if component.run.is_none_or(|run| run == UnitRun::Cluster)
                && component.kind != Kind::Singleton
                && component
                    .resource
                    .clone
                    .get("interleave")
                    .is_some_and(|v| v != "true")
            {
                out.push(
                    Diagnostic::error(
                        "catalog::clone-without-interleave",
                        &service.source,
                        component.name.span.clone(),
                        format!("the clone of `{}` is not interleaved", component.name.value),
                        "one instance's restart would restart all that depend on it, everywhere",
                    )
                    .help("leave `interleave` out: it is true by default"),
                );
            }
            listened_twice(service, component, &mut listened, &mut out);
            if let Some(endpoint) = &component.endpoint {
                if let Some((other, first)) = ports.get(&endpoint.port.value) {
                    let finding = Diagnostic::error(
                        "catalog::duplicate-port",
                        &service.source,
                        endpoint.port.span.clone(),
                        format!(
                            "port {} is already that of `{}`",
                            endpoint.port.value, other.name.value
                        ),
                        "taken",
                    )
                    .help("give one of them another port: a balancer has each once");
                    out.push(if other.source == service.source {
                        finding.also(first.span.clone(), "first here")
                    } else {
                        finding
                    });
                } else {
                    ports.insert(endpoint.port.value, (service, &endpoint.port));
                }
                if endpoint.mode == "tcp" && (endpoint.websocket || endpoint.brake.is_some()) {
                    let message = "`websocket` and `brake` do nothing where bytes are passed".to_owned();
                    out.push(
                        Diagnostic::error(
                            "catalog::http-in-tcp",
                            &service.source,
                            endpoint.port.span.clone(),
                            message,
                            "the endpoint is `mode: tcp`",
                        )
                        .help("leave them out, or say `mode: http`"),
                    );
                }
                if endpoint.mode != "http" && endpoint.mode != "tcp" {
                    out.push(
                        Diagnostic::error(
                            "catalog::unknown-mode",
                            &service.source,
                            endpoint.port.span.clone(),
                            format!("`{}` is not a mode of an endpoint", endpoint.mode),
                            "of this endpoint",
                        )
                        .help("`http` or `tcp`"),
                    );
                }
            }
        }
        journeys::lint(catalog, service, &mut out);
        for file in &service.files {
            out.extend(unknown_roles(service, &file.on));
            if let Some(ring) = &file.ring
                && !service.hash_rings.contains_key(&ring.value)
            {
                let known: Vec<&str> = service.hash_rings.keys().map(String::as_str).collect();
                out.push(unknown(
                    service,
                    "catalog::unknown-hash-ring",
                    "hash ring",
                    ring,
                    &known,
                ));
            }
            if !file.from.value.is_empty() && catalog.file(service, &file.from.value).is_none() {
                let (place, path) = match file.from.value.strip_prefix('/') {
                    Some(rooted) => ("catalogue", rooted.to_owned()),
                    None => ("folder", format!("{}/{}", service.folder, file.from.value)),
                };
                out.push(
                    Diagnostic::error(
                        "catalog::missing-file",
                        &service.source,
                        file.from.span.clone(),
                        format!("`{}` is not in the {place}", file.from.value),
                        "no such file",
                    )
                    .help(format!("make `catalog/{path}`")),
                );
            }
            for restart in file.restart.iter().chain(&file.reload) {
                if !components.contains(&restart.value.as_str()) {
                    out.push(unknown(
                        service,
                        "catalog::unknown-component",
                        "component",
                        restart,
                        &components,
                    ));
                }
            }
        }
        let secrets: Vec<&str> = service.secrets.keys().map(String::as_str).collect();
        for key in service.rings.values().flatten() {
            if !secrets.contains(&key.value.as_str()) {
                out.push(unknown(
                    service,
                    "catalog::unknown-ring-key",
                    "secret",
                    key,
                    &secrets,
                ));
            }
        }
        for ring in service
            .hash_rings
            .values()
            .filter(|r| !ROLES.contains(&r.on.value.as_str()))
        {
            out.push(unknown(
                service,
                "catalog::unknown-role",
                "role",
                &ring.on,
                &ROLES,
            ));
        }
        let settings: Vec<&str> = service.settings.keys().map(String::as_str).collect();
        for refused in service
            .refuse
            .iter()
            .filter(|r| !settings.contains(&r.at.value.as_str()) && r.at.value != crate::Refused::KEYS_EVERY)
        {
            let at = &refused.at;
            out.push(unknown(
                service,
                "catalog::unknown-setting",
                "setting",
                at,
                &settings,
            ));
        }
        let steps: Vec<&str> = service.steps.iter().map(|s| s.name.value.as_str()).collect();
        let moves = service.guests.iter().filter_map(|g| g.moves.as_ref());
        let moves = moves.flat_map(|m| [&m.empty, &m.fill]);
        let forget = service.forget.iter().map(|f| &f.step);
        for step in service.steps.iter().chain(forget).chain(moves) {
            out.extend(unknown_roles(service, &step.on));
            out.extend(unknown_roles(service, step.each.as_slice()));
        }
        for step in &service.steps {
            if step.done_when.is_none() {
                let message = format!("the step `{}` does not say when it is done", step.name.value);
                let label = "would be run at every apply";
                let at = step.name.span.clone();
                out.push(
                    Diagnostic::error("catalog::step-without-guard", &service.source, at, message, label)
                        .help("add `done-when: { sql: … }`, a query that has a row once it is done"),
                );
            }
            for after in &step.after {
                // Another service's name: its API has to answer.
                let api = (service.needs.iter().find(|n| n.value == after.value))
                    .and_then(|n| catalog.services.get(&n.value))
                    .is_some_and(Service::has_api);
                if after.value != "database" && !steps.contains(&after.value.as_str()) && !api {
                    out.push(unknown(service, "catalog::unknown-step", "step", after, &steps));
                }
                if after.value == "database" && service.database.is_none() {
                    out.push(
                        Diagnostic::error(
                            "catalog::no-database",
                            &service.source,
                            after.span.clone(),
                            format!("`{}` keeps no database", service.name.value),
                            "there is none to wait for",
                        )
                        .help("say `database: NAME`, or leave `database` out of `after`"),
                    );
                }
            }
        }
        for file in service.files.iter().filter(|f| data::is_data(f)) {
            out.extend(data::read(catalog, &catalog.path(service, &file.from.value)).1);
        }
    }
    unused(catalog, &mut out);
    cures(catalog, &mut out);
    order::lint(catalog, &mut out);
    for path in catalog.files.keys() {
        let pieces = pieces::pieces(catalog, path);
        for piece in &pieces {
            values::literal_secret(catalog, piece, &mut out);
            values::unsafe_pair(catalog, piece, &pieces, &mut out);
            values::stickiness(catalog, piece, &mut out);
            values::http_in_tcp(catalog, piece, &mut out);
            names::secrets(catalog, piece, &mut out);
            names::addresses(catalog, piece, &mut out);
            names::provided(catalog, piece, &mut out);
            names::one_host(catalog, piece, &mut out);
        }
    }
    out
}

/// Ports that two components listen on at the same hosts. That of an endpoint is
/// compared with those of other endpoints elsewhere.
fn listened_twice<'c>(
    service: &'c Service,
    component: &'c Component,
    listened: &mut Vec<(u16, &'c Service, &'c Component)>,
    out: &mut Vec<Diagnostic>,
) {
    // Roles that one host may have together: all of a controller's, and storage.
    let apart = |role: &str| ["compute", "arbitrator"].contains(&role);
    let meet = |a: &str, b: &str| a == b || [a, b].contains(&"all") || !(apart(a) || apart(b));
    let together = |a: &[Spanned<String>], b: &[Spanned<String>]| {
        a.iter().any(|a| b.iter().any(|b| meet(&a.value, &b.value)))
    };
    let endpoint = (component.endpoint.iter()).flat_map(|e| e.ports().map(|p| (p, p == e.port.value)));
    let mine: Vec<(u16, bool)> = endpoint
        .chain(component.ports.iter().map(|p| (*p, false)))
        .collect();
    for (port, balanced) in &mine {
        let other = listened.iter().find(|(p, _, c)| {
            let either = !c.when.is_empty() && !component.when.is_empty();
            let both = *balanced && c.endpoint.as_ref().is_some_and(|e| e.port.value == *port);
            p == port && !either && !both && together(&c.runs_on, &component.runs_on)
        });
        if let Some((_, other, part)) = other {
            let message = format!(
                "port {port} is already that of `{}.{}`",
                other.name.value, part.name.value
            );
            let at = component.name.span.clone();
            out.push(
                Diagnostic::error(
                    "catalog::duplicate-port",
                    &service.source,
                    at,
                    message,
                    "listens there too",
                )
                .help("give one of them another port: on a host it belongs to whoever starts first"),
            );
        }
    }
    listened.extend(mine.into_iter().map(|(port, _)| (port, service, component)));
}

/// Services and components that a cure restarts and that there are not.
fn cures(catalog: &Catalog, out: &mut Vec<Diagnostic>) {
    let services: Vec<&str> = catalog.services.keys().map(String::as_str).collect();
    for cure in catalog.cures.values() {
        for (service, components) in &cure.restart {
            let Some(found) = catalog.services.get(&service.value) else {
                out.push(unheard(
                    &cure.source,
                    "catalog::unknown-need",
                    "service",
                    service,
                    &services,
                ));
                continue;
            };
            let known: Vec<&str> = found.components.keys().map(String::as_str).collect();
            let strange = components.iter().filter(|c| !known.contains(&c.value.as_str()));
            out.extend(
                strange.map(|c| unheard(&cure.source, "catalog::unknown-component", "component", c, &known)),
            );
        }
    }
}

/// Files that were laid over the catalogue and that nothing reads: a folder too
/// many in the path, or a name that was meant otherwise.
fn unused(catalog: &Catalog, out: &mut Vec<Diagnostic>) {
    let services = catalog.services.values();
    let named: Vec<String> = services
        .flat_map(|s| s.files.iter().map(|f| catalog.path(s, &f.from.value)))
        .collect();
    for path in catalog.origins.keys() {
        let read = path.ends_with("/service.yaml")
            || path == BY_SYSTEMD
            || path == BUDGET
            || path == UNSAFE
            || ["releases/", "platforms/", "fragments/", CURES]
                .iter()
                .any(|f| path.starts_with(f));
        if read || named.contains(path) {
            continue;
        }
        let near = did_you_mean(path, named.iter().map(String::as_str));
        let known: Vec<&str> = catalog.services.values().map(|s| s.folder.as_str()).collect();
        let source = catalog.source(path);
        let first = source.text.lines().next().map_or(0, str::len);
        let message = format!("nothing reads `{path}`");
        out.push(
            Diagnostic::error("catalog::unused-file", &source, 0..first, message, "not read")
                .help(near.map_or_else(
                    || {
                        format!(
                            "folders of the catalogue are {}, beside `releases`",
                            known.join(", ")
                        )
                    },
                    |near| format!("did you mean `{near}`?"),
                ))
                .warning(),
        );
    }
}
