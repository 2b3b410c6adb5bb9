//! What a service that this cloud does not have would have on its hosts: so that
//! one which was taken out of the cloud file is taken off them, whole.
//!
//! Whether it was ever there is the planner's question: a host's own account of
//! its cloud tells.

use catalog::{FileSpec, Spanned, UnitRun};
use indexmap::IndexMap;
use model::Model;
use names::{HostName, ResourceId};

use crate::context::{Scope, Templates};
use crate::{Desired, DesiredScript, DesiredUnit, files, periodic, scripts, systemd};

/// What goes when a service goes, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredAbsent {
    /// Files by host, those in a directory before it. State that grows on a host is not among them.
    pub files: IndexMap<HostName, Vec<String>>,
    /// Units by host. The distribution's, which are masked, stay so: the package stays too.
    pub units: IndexMap<HostName, Vec<DesiredUnit>>,
    /// What takes back what its scripts did elsewhere.
    pub undo: Vec<DesiredScript>,
    /// Its databases, which stay; the first is their user's name too.
    pub databases: Vec<String>,
    /// Its user on the broker, who stays.
    pub broker: Option<String>,
}

/// Every service of the catalogue that the cloud does not have. `desired`: what
/// the services that it has want; none of that goes.
pub fn of(model: &Model, templates: &mut Templates, desired: &Desired) -> IndexMap<String, DesiredAbsent> {
    let mut out = IndexMap::new();
    let architecture = model.cloud.architecture;
    for (name, placed) in &model.others {
        let mut absent = DesiredAbsent {
            databases: placed
                .service
                .database
                .as_ref()
                .map_or_else(Vec::new, catalog::Database::names),
            broker: placed.service.broker.as_ref().map(|b| b.user.clone()),
            undo: scripts::undone(model, templates, placed, desired.sql.as_ref()),
            ..DesiredAbsent::default()
        };
        for (host, wanted) in &desired.hosts {
            let on = |roles: &[Spanned<String>]| model.is_on(host, roles);
            let units: Vec<DesiredUnit> = placed
                .service
                .components
                .values()
                .filter(|c| !c.unit.is_empty() && c.run_in(architecture) != UnitRun::Nobody && on(&c.runs_on))
                .filter(|c| wanted.units.iter().all(|u| u.unit != c.unit))
                .map(|c| DesiredUnit {
                    unit: c.unit.clone(),
                    run: c.run_in(architecture),
                    resource: ResourceId::default(),
                    gated: false,
                    check: None,
                    service: name.clone(),
                })
                .collect();
            let mut paths: Vec<(bool, String)> = Vec::new();
            // A file that is the operator's too stays: what else is in it was not ours.
            let ours = |f: &&FileSpec| !f.once && !files::is_shared(model, f);
            let here = placed.service.files.iter().filter(|f| on(&f.on));
            for spec in here.filter(ours) {
                let directory = spec.is_directory();
                let scope = Scope {
                    service: name,
                    host: Some(host),
                    item: None,
                };
                let found = files::paths(templates, spec, &scope);
                paths.extend(found.into_iter().map(|path| (directory, path)));
            }
            let here = placed.service.components.values();
            let told = here.filter(|c| c.by_architecture(architecture) && on(&c.runs_on));
            paths.extend(told.map(|c| (false, systemd::by_systemd(&c.unit))));
            let recurs = placed.service.periodic.values();
            let recurs = recurs.filter(|p| on(&p.on));
            paths.extend(recurs.flat_map(|p| periodic::paths(name, p).map(|path| (false, path))));
            paths.retain(|(_, path)| wanted.files.iter().all(|f| f.write.path != *path));
            // The deepest first, so that a directory is empty when its turn comes.
            paths.sort_by_key(|(directory, path)| (*directory, std::cmp::Reverse(path.len())));
            if !units.is_empty() {
                absent.units.insert(host.clone(), units);
            }
            if !paths.is_empty() {
                let paths = paths.into_iter().map(|(_, path)| path).collect();
                absent.files.insert(host.clone(), paths);
            }
        }
        out.insert(name.clone(), absent);
    }
    out
}
