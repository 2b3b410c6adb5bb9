//! The cloud file and the catalogue resolved: every placement, address, port,
//! virtual address and secret name. Valid by construction: where there is a
//! [`Model`], nothing in it leads nowhere.
//!
//! Pure: it makes no secrets (it names those that are wanted), renders no
//! files and knows no service by name.

mod check;
mod draft;
mod fence;
mod schema;
mod secrets;
mod settings;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use catalog::{Catalog, Component, Cure, Endpoint, Kind, Packages, Pairs, Service, Spanned, UnitRun};
use cloud::{Cloud, Host, Role, VipSource};
use diagnostic::{Diagnostic, Source};
use indexmap::IndexMap;
use names::{HostName, ResourceId};

pub use draft::{Wanted, Wish, draft};
pub use schema::schema;
pub use secrets::{SecretKind, SecretNeed};

/// A service as this cloud runs it.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What the catalogue says.
    pub service: Service,
    /// Settings: the catalogue's defaults, the profile's, then the operator's.
    pub settings: IndexMap<String, String>,
    /// Packages on each host that runs any part of it, and those by role.
    pub packages: Packages,
    /// What holds of it in this release on this distribution.
    pub platform: Pairs,
}

/// A virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// Service in front of which it stands; with a shared address the first of them.
    pub service: String,
    /// The address.
    pub address: IpAddr,
    /// Prefix length of its network.
    pub prefix: u8,
    /// Balancers in order of preference.
    pub hosts: Vec<HostName>,
}

/// A component's endpoint, resolved.
#[derive(Clone, Debug)]
pub struct Served {
    /// Service.
    pub service: String,
    /// Component.
    pub component: String,
    /// Resource id of the component.
    pub resource: ResourceId,
    /// What the catalogue says.
    pub endpoint: Endpoint,
    /// Name of the balancers' section without checks, used while all servers are out.
    pub fallback: Option<String>,
    /// Its virtual address.
    pub vip: IpAddr,
    /// Hosts behind it.
    pub members: Vec<HostName>,
}

/// The whole.
#[derive(Clone, Debug)]
pub struct Model {
    /// As the operator meant it.
    pub cloud: Cloud,
    /// The foundation first, then the services in the file's order.
    pub services: IndexMap<String, Placed>,
    /// Services of the catalogue that this cloud does not have.
    pub others: IndexMap<String, Placed>,
    /// By service.
    pub vips: IndexMap<String, Vip>,
    /// All files of the catalogue.
    pub catalog: Arc<Catalog>,
    /// The cloud file, for findings that only show when it is rendered.
    pub source: Arc<Source>,
    /// Place of each host in the cloud's list, by name.
    places: HashMap<HostName, usize>,
    /// Storage is the API hosts' work: no host has the role.
    storage_by_api: bool,
}

/// The name by which the cluster and everything else knows a component.
pub fn resource_id(service: &str, component: &str) -> ResourceId {
    if component == "main" {
        service.into()
    } else {
        format!("{service}-{component}").into()
    }
}

fn names(hosts: &[&Host]) -> Vec<HostName> {
    hosts.iter().map(|h| h.name.value.clone()).collect()
}

impl Model {
    /// Resolves a cloud against a catalogue. `None` where a finding is an error.
    pub fn resolve(
        cloud: &Cloud,
        source: &Arc<Source>,
        catalog: &Arc<Catalog>,
    ) -> (Option<Self>, Vec<Diagnostic>) {
        let mut findings = Vec::new();
        check::not_built(cloud, source, &mut findings);
        check::distribution(cloud, source, catalog, &mut findings);
        let release = check::release(cloud, source, catalog, &mut findings);
        let chosen = check::services(cloud, source, catalog, &mut findings);
        let placed = |service: Service| {
            let defaults = service.settings.iter();
            let mut settings: IndexMap<String, String> =
                defaults.map(|(k, s)| (k.clone(), s.default.clone())).collect();
            if let Some(profile) = service.profiles.get(cloud.profile.as_str()) {
                settings.extend(profile.clone());
            }
            if let Some(given) = cloud.settings.get(service.name.value.as_str()) {
                settings.extend(
                    given
                        .value
                        .value
                        .iter()
                        .map(|(k, v)| (k.clone(), v.value.value.to_string())),
                );
            }
            let packages = release
                .and_then(|r| r.packages.get(cloud.distribution.as_str()))
                .and_then(|p| p.get(&service.name.value))
                .cloned()
                .unwrap_or_default();
            let name = service.name.value.clone();
            let platform = catalog.platform(&cloud.release.value, cloud.distribution.as_str(), &name);
            (
                name,
                Placed {
                    service: service.on(&platform),
                    settings,
                    packages,
                    platform,
                },
            )
        };
        let mut services: IndexMap<String, Placed> = chosen.into_iter().map(placed).collect();
        fence::agents(cloud, &mut services, source, &mut findings);
        let rest = catalog
            .services
            .iter()
            .filter(|(name, _)| !services.contains_key(*name));
        let others = rest.map(|(_, service)| placed(service.clone())).collect();
        let mut model = Self {
            cloud: cloud.clone(),
            services,
            others,
            vips: IndexMap::new(),
            catalog: Arc::clone(catalog),
            source: Arc::clone(source),
            places: (cloud.hosts.iter().enumerate())
                .map(|(at, h)| (h.name.value.clone(), at))
                .collect(),
            storage_by_api: !cloud.hosts.iter().any(|h| h.has(Role::Storage)),
        };
        model.vips = check::vips(&model, source, &mut findings);
        check::overrides(&model, source, &mut findings);
        check::cures(&model, source, &mut findings);
        let good = !findings.iter().any(Diagnostic::is_error) && cloud.complete;
        (good.then_some(model), findings)
    }

    /// Cures of this release and distribution, in the catalogue's order.
    pub fn cures(&self) -> impl Iterator<Item = &Cure> {
        let here = |all: &[String], word: &str| all.is_empty() || all.iter().any(|w| w == word);
        let (release, distribution) = (
            self.cloud.release.value.as_str(),
            self.cloud.distribution.as_str(),
        );
        let all = self.catalog.cures.values();
        all.filter(move |c| here(&c.releases, release) && here(&c.distributions, distribution))
            .filter(|c| {
                c.restart
                    .iter()
                    .any(|(service, _)| self.services.contains_key(&service.value))
            })
    }

    /// Where in the cloud file a service's setting is given, or else the service named;
    /// the beginning for one of the foundation.
    pub fn place(&self, service: &str, setting: &str) -> std::ops::Range<usize> {
        let given = self.cloud.settings.get(service);
        let given = given.and_then(|s| s.value.value.get(setting));
        let asked = self.cloud.services.iter().find(|s| s.value.as_str() == service);
        given
            .map(|value| value.value.span.clone())
            .or_else(|| asked.map(|name| name.span.clone()))
            .unwrap_or(0..0)
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.cloud.hosts.get(*self.places.get(name)?)
    }

    /// True if a host has a role, is of `cluster` (its members) or of `all`.
    ///
    /// In a cloud where nobody is said to be for storage, those do it that have the
    /// APIs: three controllers alone are a whole cloud.
    pub fn has(&self, host: &Host, role: &str) -> bool {
        match role {
            "all" => true,
            "cluster" => host.is_controller(),
            "storage" if self.storage_by_api => host.has(Role::Api),
            _ => Role::WORDS.iter().any(|(word, r)| *word == role && host.has(*r)),
        }
    }

    /// Hosts of which [`Model::has`] holds, in the file's order.
    pub fn hosts_of(&self, role: &str) -> Vec<&Host> {
        let hosts = self.cloud.hosts.iter();
        hosts.filter(|h| self.has(h, role)).collect()
    }

    /// Names of [`Model::hosts_of`].
    pub fn names_of(&self, role: &str) -> Vec<HostName> {
        names(&self.hosts_of(role))
    }

    /// Hosts that have any of some roles, in the file's order.
    pub fn hosts_on(&self, roles: &[Spanned<String>]) -> Vec<&Host> {
        let hosts = self.cloud.hosts.iter();
        hosts
            .filter(|h| roles.iter().any(|r| self.has(h, &r.value)))
            .collect()
    }

    /// Whether a host has any of some roles.
    pub fn is_on(&self, host: &str, roles: &[Spanned<String>]) -> bool {
        self.host(host)
            .is_some_and(|h| roles.iter().any(|r| self.has(h, &r.value)))
    }

    /// Names of [`Model::hosts_on`].
    pub fn names_on(&self, roles: &[Spanned<String>]) -> Vec<HostName> {
        names(&self.hosts_on(roles))
    }

    /// Every component with its service.
    pub fn components(&self) -> impl Iterator<Item = (&Placed, &Component)> {
        self.services
            .values()
            .flat_map(|p| p.service.components.values().map(move |c| (p, c)))
    }

    /// Components that Pacemaker runs, with their resource ids.
    pub fn clustered(&self) -> impl Iterator<Item = (ResourceId, &Placed, &Component)> {
        self.components()
            .filter(|(_, c)| c.run_in(self.cloud.architecture) == UnitRun::Cluster)
            .map(|(p, c)| (resource_id(&p.service.name.value, &c.name.value), p, c))
    }

    /// Every endpoint behind a virtual address.
    pub fn served(&self) -> Vec<Served> {
        let mut out = Vec::new();
        for (placed, component) in self.components() {
            let service = &placed.service.name.value;
            if let (Some(endpoint), Some(vip)) = (&component.endpoint, self.vips.get(service)) {
                let resource = resource_id(service, &component.name.value);
                let members = self.names_on(&component.runs_on);
                let fallback = endpoint.has_fallback(component.kind) && members.len() > 1;
                out.push(Served {
                    service: service.clone(),
                    component: component.name.value.clone(),
                    fallback: fallback.then(|| format!("{resource}-fallback")),
                    resource,
                    endpoint: endpoint.clone(),
                    vip: vip.address,
                    members,
                });
            }
        }
        out
    }

    /// The component that is this cloud's SQL store, with its socket and user.
    pub fn sql_store(&self) -> Option<(&Placed, &Component)> {
        self.components()
            .find(|(p, c)| p.service.sql.is_some() && c.kind == Kind::Promotable)
    }

    /// A value of the platform, empty where it has none.
    pub fn platform(&self, service: &str, key: &str) -> &str {
        let value = self.services.get(service).and_then(|p| p.platform.get(key));
        value.map_or("", String::as_str)
    }

    /// A host's management address.
    pub fn address(&self, host: &str) -> Option<IpAddr> {
        self.host(host)
            .and_then(|h| h.addresses.values().next())
            .map(|a| a.value)
    }

    /// Whether one address serves all.
    pub fn shared_vip(&self) -> bool {
        matches!(self.cloud.vips.source, VipSource::Shared(_))
    }
}
