//! What one host should have: packages, files, units, sysctls.

use catalog::{FileSpec, Spanned, UnitRun};
use cloud::Host;
use indexmap::IndexMap;
use model::{Model, Placed, resource_id};
use wire::{FileWrite, Own};

use crate::context::{Scope, Templates, Text};
use crate::rings::First;
use crate::{
    DesiredFile, DesiredGuests, DesiredHost, Reader, cures, ini, periodic, ports_of, scripts, systemd,
    units_of,
};

/// Whether only keys of a file are ours, by the catalogue's word or the operator's.
pub fn is_shared(model: &Model, spec: &FileSpec) -> bool {
    spec.shared
        || model
            .cloud
            .shared_files
            .iter()
            .any(|path| path.value == spec.to.value)
}

fn file(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    spec: &FileSpec,
    scope: &Scope<'_>,
) -> DesiredFile {
    let service = &placed.service.name.value;
    let path = match spec.from.value.strip_prefix('/') {
        Some(rooted) => rooted.to_owned(),
        None => format!("{}/{}", placed.service.folder, spec.from.value),
    };
    let to = templates.text(scope, &spec.to.value);
    let directory = spec.is_directory();
    let extension = path.rsplit('.').next().unwrap_or_default();
    let mut own = Own::File;
    let text = match extension {
        _ if directory => Text::default(),
        _ if spec.program => {
            own = Own::Program;
            Text::default()
        }
        "yaml" => {
            let shared = is_shared(model, spec);
            let ini = ini::render(templates, scope, &path, &to, &model.cloud.config, shared);
            if shared {
                own = Own::Keys {
                    wanted: ini.keys,
                    absent: ini.absent,
                };
            }
            ini.text
        }
        "j2" => templates.file(scope, &path),
        // Scripts and the like: braces of their own are not ours.
        _ => templates.plain(scope, &path),
    };
    DesiredFile {
        secret: text.secret,
        write: FileWrite {
            path: to,
            content: text.content,
            owner: spec.owner.clone(),
            group: spec.group.clone(),
            mode: spec.mode,
            directory,
            own,
        },
        service: service.clone(),
        once: spec.once,
        names: spec.names,
        ring: None,
        identity: templates.text(scope, &spec.identity),
        restart: restarted(model, templates, placed, &spec.restart, scope),
        reload: restarted(model, templates, placed, &spec.reload, scope),
    }
}

/// What is restarted on the scope's host for components: the resource of each that runs
/// there, or its unit where systemd runs it in every architecture.
pub(crate) fn restarted(
    model: &Model,
    templates: &mut Templates,
    placed: &Placed,
    names: &[Spanned<String>],
    scope: &Scope<'_>,
) -> Vec<Reader> {
    let components = names
        .iter()
        .filter_map(|n| placed.service.components.get(&n.value));
    let here = components.filter(|c| {
        scope.host.is_some_and(|host| model.is_on(host, &c.runs_on)) && templates.holds(scope, &c.when)
    });
    here.map(|c| match c.run {
        Some(UnitRun::Systemd) => Reader::Unit(c.unit.clone()),
        _ => Reader::Instance(resource_id(&placed.service.name.value, &c.name.value)),
    })
    .collect()
}

/// The items that a file is written for: none where its condition does not
/// hold, one without a name where it is not repeated.
fn items(templates: &mut Templates, spec: &FileSpec, scope: &Scope<'_>) -> Vec<Option<String>> {
    if !templates.holds(scope, &spec.when) {
        return Vec::new();
    }
    if spec.each.is_empty() {
        return vec![None];
    }
    templates.items(scope, &spec.each).into_iter().map(Some).collect()
}

/// Where a file (or directory) is on the scope's host: nowhere, once, or once for each item.
pub fn paths(templates: &mut Templates, spec: &FileSpec, scope: &Scope<'_>) -> Vec<String> {
    let items = items(templates, spec, scope);
    items
        .iter()
        .map(|item| {
            let scope = Scope {
                item: item.as_deref(),
                ..*scope
            };
            templates.text(&scope, &spec.to.value)
        })
        .collect()
}

/// A file that a host gets for two of its roles is one, and restarts what either says. So is
/// the program, whichever services keep it there.
fn merge(files: &mut Vec<DesiredFile>, file: DesiredFile) {
    let shared = file.write.own == Own::Program;
    let same = |f: &&mut DesiredFile| (shared || f.service == file.service) && f.write == file.write;
    let Some(there) = files.iter_mut().find(same) else {
        files.push(file);
        return;
    };
    for (readers, more) in [
        (&mut there.restart, file.restart),
        (&mut there.reload, file.reload),
    ] {
        let new: Vec<Reader> = more.into_iter().filter(|r| !readers.contains(r)).collect();
        readers.extend(new);
    }
}

/// Everything for one host.
pub fn host(
    model: &Model,
    templates: &mut Templates,
    rings: &IndexMap<(String, String), First>,
    host: &Host,
) -> DesiredHost {
    let mut out = DesiredHost {
        units: units_of(model, templates, host),
        ports: ports_of(model, templates, host),
        cures: cures::of(model, templates, host.name.as_str()),
        ..DesiredHost::default()
    };
    let on = |roles: &[Spanned<String>]| roles.iter().any(|r| model.has(host, &r.value));
    let name = host.name.as_str();
    for (service, placed) in &model.services {
        let here = placed.service.components.values().any(|c| on(&c.runs_on))
            || placed.service.files.iter().any(|f| on(&f.on));
        if !here {
            continue;
        }
        let by_role = placed.packages.by_role.iter();
        let by_role = by_role.filter(|(role, _)| model.has(host, role));
        let packages = placed.packages.everywhere.iter();
        for package in packages.chain(by_role.flat_map(|(_, names)| names)) {
            if !out.packages.contains(package) {
                out.packages.push(package.clone());
            }
        }
        let looks = &placed.service.support;
        let looks = looks
            .iter()
            .map(|(file, argv)| (format!("{service}/{file}"), argv.clone()));
        out.support.extend(looks);
        if let Some(guests) = placed.service.guests.as_ref().filter(|g| on(&g.on)) {
            out.guests.push(DesiredGuests {
                service: service.clone(),
                list: guests.list.clone(),
                shut: guests.shut.clone(),
                timeout: guests.timeout,
                moves: scripts::moves(model, templates, placed, guests, &host.name.value),
            });
        }
        for unit in &placed.service.mask {
            if !out.mask.contains(unit) {
                out.mask.push(unit.clone());
            }
        }
        let plain = Scope {
            service,
            host: Some(name),
            item: None,
        };
        for (key, value) in &placed.service.sysctls {
            let value = templates.text(&plain, value);
            out.sysctls.insert(key.clone(), value);
        }
        for spec in &placed.service.files {
            if !on(&spec.on) {
                continue;
            }
            for item in items(templates, spec, &plain) {
                let scope = Scope {
                    item: item.as_deref(),
                    ..plain
                };
                let mut desired = file(model, templates, placed, spec, &scope);
                if let Some(ring) = &spec.ring {
                    // Where there can be no such ring, that was found.
                    let Some((wanted, first)) = rings.get(&(service.clone(), ring.value.clone())) else {
                        continue;
                    };
                    desired.write.content.clone_from(first);
                    desired.ring = Some(wanted.clone());
                }
                merge(&mut out.files, desired);
            }
        }
        out.files.extend(periodic::files(model, templates, placed, name));
    }
    let here: Vec<_> = crate::present(model, templates)
        .filter(|(_, c)| !c.unit.is_empty() && on(&c.runs_on))
        .collect();
    for (placed, component) in here {
        if component.by_architecture(model.cloud.architecture) {
            systemd::files(templates, placed, component, name, &mut out);
        } else {
            systemd::no_files(component, &mut out);
        }
    }
    if !out.sysctls.is_empty() {
        // The live value lasts until the next boot; the file makes it last.
        let mut content = String::from("# Written by quorate.\n");
        for (key, value) in &out.sysctls {
            content.push_str(key);
            content.push_str(" = ");
            content.push_str(value);
            content.push('\n');
        }
        out.files.push(DesiredFile {
            write: FileWrite {
                path: "/etc/sysctl.d/90-quorate.conf".to_owned(),
                content: content.into(),
                owner: "root".to_owned(),
                group: "root".to_owned(),
                mode: 0o644,
                directory: false,
                own: Own::File,
            },
            service: String::new(),
            secret: false,
            once: false,
            names: false,
            ring: None,
            identity: String::new(),
            restart: Vec::new(),
            reload: Vec::new(),
        });
    }
    out.files.sort_by_key(|f| !f.write.directory);
    out
}
