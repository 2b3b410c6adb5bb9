//! From the model to the desired state: what each host should have, what the
//! cluster should run, what stores and services should hold.
//!
//! Pure: the same model gives the same bytes. Secrets are placeholders here
//! (`⟦secret:NAME⟧`), filled in by fleet on the way to a host. It plans
//! nothing: whether a thing is already so is not its question.

mod absent;
mod apart;
mod balancer;
mod budget;
mod cluster;
mod context;
mod corosync;
mod cures;
mod files;
mod hostpage;
mod identity;
mod ini;
mod journeys;
mod memo;
mod parts;
mod periodic;
mod quote;
mod refuse;
mod rings;
mod scope;
mod scripts;
mod systemd;
mod views;

use diagnostic::Diagnostic;
use engines::{Definitions, Store};
use indexmap::IndexMap;
use model::{Model, resource_id};
use names::{HostName, ResourceId};
use pacemaker::{Cib, Resource};
use serde::Serialize;
use wire::{Expect, FileWrite, Op, Query};

pub use absent::DesiredAbsent;
pub use balancer::BalancerSection;
pub use budget::{Counted, Held, budget_page};
pub use catalog::Checks as CheckTimes;
pub use catalog::{Kind, UnitRun, Watched};
pub use context::{Templates, secret};
pub use corosync::{Corosync, CorosyncNode};
pub use cures::{DesiredCure, Standing};
pub use hostpage::host_page;
pub use identity::{IDENTITY, VERSION, cloud_told, hosts_told, members_told, services_told};
pub use parts::{Asked, DesiredNeeds, DesiredPart};

/// A file (or directory) on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredFile {
    /// What to write, with placeholders.
    pub write: FileWrite,
    /// Service it belongs to.
    pub service: String,
    /// Whether its content holds a secret: it is never shown.
    pub secret: bool,
    /// Only where nothing is there.
    pub once: bool,
    /// A table of hosts: the names in the content are ours, all other lines the operator's.
    pub names: bool,
    /// When not empty: a file that is there without this text is somebody else's.
    pub identity: String,
    /// Of a hash ring: what it is to be. The content is the first such ring, and not that of a
    /// cloud that has one already.
    pub ring: Option<hashring::Wanted>,
    /// Readers restarted on the host when it changes.
    pub restart: Vec<Reader>,
    /// Readers that read it again on the host when it changes, and go on.
    pub reload: Vec<Reader>,
}

/// Something on a host that reads a file; written as its resource, or as `unit/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// An instance of a resource, whoever runs it.
    Instance(ResourceId),
    /// A unit that systemd runs in every architecture.
    Unit(String),
}

impl Reader {
    /// The resource, of an instance.
    pub fn resource(&self) -> Option<&ResourceId> {
        match self {
            Self::Instance(resource) => Some(resource),
            Self::Unit(_) => None,
        }
    }

    /// The unit, of one that systemd runs everywhere.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::Unit(unit) => Some(unit),
            Self::Instance(_) => None,
        }
    }

    /// The name by which it is told.
    pub fn name(&self) -> &str {
        self.resource()
            .map_or_else(|| self.unit().unwrap_or_default(), ResourceId::as_str)
    }
}

impl Serialize for Reader {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Instance(resource) => resource.serialize(to),
            Self::Unit(unit) => to.collect_str(&format_args!("unit/{unit}")),
        }
    }
}

/// A unit on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredUnit {
    /// Name with suffix.
    pub unit: String,
    /// Who runs it.
    #[serde(skip)]
    pub run: UnitRun,
    /// Its resource in the cluster, when Pacemaker runs it; where systemd runs it
    /// by the choice of the architecture, the name that it has there elsewhere.
    pub resource: ResourceId,
    /// Run by systemd and not started before the scripts of its service are done.
    pub gated: bool,
    /// How it is asked whether it serves, of instances that are balanced or run by systemd.
    pub check: Option<LocalCheck>,
    /// Service.
    pub service: String,
}

/// How an instance is asked on its own host whether it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocalCheck {
    /// What to ask.
    pub query: Query,
    /// The answer of one that serves.
    pub expect: Expect,
}

/// What one host should have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DesiredHost {
    /// Packages.
    pub packages: Vec<String>,
    /// Units masked.
    pub mask: Vec<String>,
    /// Files, directories first.
    pub files: Vec<DesiredFile>,
    /// Changes of files that packages brought.
    #[serde(skip)]
    pub cures: Vec<DesiredCure>,
    /// Files that must not be there.
    pub absent: Vec<String>,
    /// Sysctls.
    pub sysctls: IndexMap<String, String>,
    /// Units.
    pub units: Vec<DesiredUnit>,
    /// TCP ports that will be listened on, each with its service and unit (empty for an agent's).
    pub ports: Vec<(u16, String, String)>,
    /// What a support archive holds of its services: programs by `SERVICE/FILE`.
    #[serde(skip)]
    pub support: IndexMap<String, Vec<String>>,
    /// Machines of users that run on it.
    #[serde(skip)]
    pub guests: Vec<DesiredGuests>,
}

/// How machines of users are told of and shut down on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredGuests {
    /// Service.
    pub service: String,
    /// Program that prints the names of those that run, one a line.
    pub list: Vec<String>,
    /// Program that has them shut down, and fails if some still run.
    pub shut: Vec<String>,
    /// Seconds that it may take.
    pub timeout: u64,
    /// Commands that move them while they run; none where they cannot be moved.
    pub moves: Option<DesiredMoves>,
}

/// Commands that empty one VM host, and let it have VMs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredMoves {
    /// Lets no VM come any more and moves all away; it fails, with a list, while one is left.
    pub empty: DesiredScript,
    /// Lets VMs come again, and ends once they can.
    pub fill: DesiredScript,
}

/// A service's databases and their only user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredDatabase {
    /// Service.
    pub service: String,
    /// The databases; the first is the user's name too.
    pub names: Vec<String>,
    /// Its parts, in the order in which they are made.
    #[serde(skip)]
    pub parts: Vec<engines::DatabasePart>,
    /// What to ask: a row for each part.
    pub query: Query,
    /// The answer then.
    pub expect: Expect,
}

/// A command run once for the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredScript {
    /// Service.
    pub service: String,
    /// Name within the service.
    pub name: String,
    /// Hosts that may run it, in order.
    pub hosts: Vec<HostName>,
    /// What to run.
    pub op: Op,
    /// Done when all hold; empty: always run when the service is new.
    pub guards: Vec<(Query, Expect)>,
    /// Hosts that it takes in, where it is for those of a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<DesiredEach>,
    /// Other scripts of the service that go first.
    pub after: Vec<String>,
    /// Whether its database goes first.
    pub database: bool,
    /// Services whose API it, or a script that it goes after, asks: it runs when they answer.
    pub asks: Vec<String>,
}

/// Hosts that a script takes in once they run. Its guards expect their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredEach {
    /// The hosts.
    pub hosts: Vec<HostName>,
    /// Question whose rows name those that can be taken in.
    pub ready: Option<Query>,
}

/// A command that removes a service's records of hosts that left the cloud: their names are
/// added to its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredForget {
    /// The command; it has no guards.
    pub script: DesiredScript,
    /// Things that a host must not have when it leaves.
    pub held_by: Option<DesiredHeldBy>,
}

/// Reason for a host to stay in the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredHeldBy {
    /// Question: each row is a host and how many of them it has.
    pub query: Query,
    /// For people: `VMs`.
    pub what: String,
    /// The operator's way out; `{host}` is its name.
    pub help: String,
}

/// A command by which hosts tell what is wrong with their part of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredFaults {
    /// Name of the answer.
    pub answer: String,
    /// Hosts that are asked.
    pub hosts: Vec<HostName>,
    /// The command.
    pub query: Query,
}

/// An API behind a virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredApi {
    /// Name: the service's where the component is called `api`, else its resource's.
    pub name: String,
    /// Service.
    pub service: String,
    /// Public URL.
    pub url: String,
    /// What to ask for, and the expected status.
    pub check: String,
    /// Resource id behind it.
    pub resource: ResourceId,
    /// Hosts behind it.
    pub members: Vec<HostName>,
}

/// A service's virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredVip {
    /// Service.
    pub service: String,
    /// Address.
    pub address: String,
    /// Resource id; services that share an address share it.
    pub resource: ResourceId,
    /// The host that it prefers; written as an empty text without one.
    #[serde(serialize_with = "names::or_empty::serialize")]
    pub home: Option<HostName>,
}

/// HAProxy's socket for administrators, as its configuration in the catalogue says.
pub const BALANCER_SOCKET: &str = "/run/haproxy.sock";

/// A resource whose instances stand behind the balancers, in a section of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesiredBalanced {
    /// Service.
    pub service: String,
    /// Resource id, and the name of the balancers' section.
    pub resource: ResourceId,
    /// Virtual address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// All requests go to one member.
    pub single_writer: bool,
    /// Section without checks that has the same servers, for when all are out here.
    pub fallback: Option<String>,
    /// Hosts, and the names of the servers.
    pub members: Vec<HostName>,
}

impl DesiredBalanced {
    /// Its sections at the balancers.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.resource.as_str()).chain(self.fallback.as_deref())
    }

    /// The servers of a host in all sections, as `SECTION/SERVER`.
    pub fn servers(&self, host: &str) -> impl Iterator<Item = String> {
        self.sections().map(move |section| format!("{section}/{host}"))
    }
}

/// Databases that are to be loaded before the services start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRestore {
    /// The member that does it: what is loaded lies there.
    pub host: HostName,
    /// What to ask and to do.
    pub load: engines::Copying,
}

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Desired {
    /// By host name.
    pub hosts: IndexMap<HostName, DesiredHost>,
    /// Members of the cluster with their node ids.
    pub nodes: Vec<(HostName, u32)>,
    /// Networks of the cluster's links, in the order of their numbers; empty where there is but one.
    pub links: Vec<String>,
    /// The cluster's configuration.
    pub cib: Cib,
    /// Instances that systemd runs, as the cluster would run them in another architecture.
    pub elsewhere: Vec<Resource>,
    /// Virtual addresses.
    pub vips: Vec<DesiredVip>,
    /// Seconds in which all must have been whole before an address comes home.
    pub home_after: u32,
    /// Resources that wait for scripts of their service.
    pub gated: Vec<ResourceId>,
    /// Databases.
    pub databases: Vec<DesiredDatabase>,
    /// Scripts.
    pub scripts: Vec<DesiredScript>,
    /// Commands that remove records of hosts that left.
    #[serde(skip)]
    pub forget: Vec<DesiredForget>,
    /// Commands for hosts that are left where most of a role's are given up.
    #[serde(skip)]
    pub left_alone: Vec<DesiredScript>,
    /// Commands by which hosts tell what is wrong with their part of a service.
    #[serde(skip)]
    pub faults: Vec<DesiredFaults>,
    /// Stores and brokers.
    pub stores: Vec<Store>,
    /// APIs.
    pub apis: Vec<DesiredApi>,
    /// What users do, in the order in which it is walked.
    #[serde(skip)]
    pub journeys: Vec<wire::Journey>,
    /// What stands behind the balancers.
    pub balanced: Vec<DesiredBalanced>,
    /// Hosts that have a balancer.
    pub balancers: Vec<HostName>,
    /// Sections of the balancers; all hosts of the cloud file are in them.
    #[serde(skip)]
    pub sections: Vec<BalancerSection>,
    /// Hosts of the cloud file with their management addresses.
    #[serde(skip)]
    pub named: Vec<(HostName, String)>,
    /// Corosync's configuration; all members of the cloud file are in it.
    #[serde(skip)]
    pub corosync: Corosync,
    /// How the SQL store is asked on its own hosts: socket and user.
    pub sql: Option<(String, String)>,
    /// Resource id of the SQL store; empty without one.
    pub sql_resource: ResourceId,
    /// Hosts of the SQL store.
    pub sql_hosts: Vec<HostName>,
    /// Services of the cloud, its foundation among them.
    #[serde(skip)]
    pub services: Vec<String>,
    /// Services that the catalogue has and this cloud does not.
    #[serde(skip)]
    pub absent: IndexMap<String, DesiredAbsent>,
    /// Its components.
    #[serde(skip)]
    pub parts: Vec<DesiredPart>,
    /// What each service stands on.
    #[serde(skip)]
    pub needs: IndexMap<String, DesiredNeeds>,
    /// How long each layer waits for another, here.
    #[serde(skip)]
    pub budget: (Vec<Counted>, Vec<Held>),
    /// All units of its services, wherever they are.
    #[serde(skip)]
    pub units: Vec<String>,
    /// Set by whoever restores a backup; never by a cloud file.
    #[serde(skip)]
    pub restore: Option<DesiredRestore>,
    /// Hosts of the cloud file that are left out of this, see [`Desired::without`].
    #[serde(skip)]
    pub apart: Vec<HostName>,
    /// Those of them that are given up: what only they hold is lost.
    #[serde(skip)]
    pub lost: Vec<HostName>,
    /// Hosts that the cloud file says are away, each with the reason.
    #[serde(skip)]
    pub away: IndexMap<HostName, String>,
}

impl Desired {
    /// Whether a host is a member of the cluster.
    pub fn is_member(&self, host: &str) -> bool {
        self.nodes.iter().any(|(n, _)| n == host)
    }

    /// The store that holds the databases.
    pub fn sql_store(&self) -> Option<&Store> {
        self.stores.iter().find(|s| s.resource == self.sql_resource)
    }
}

/// Renders a model. Findings are faults of the catalogue's templates.
pub fn render(model: &Model) -> (Desired, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let mut templates = Templates::new(model, &mut findings);
    let nodes = cluster::nodes(model);
    let mut out = Desired {
        corosync: corosync::of(model, &nodes),
        nodes,
        vips: cluster::addresses(model),
        home_after: model.cloud.timeouts.home_after,
        links: cluster::links(model),
        sections: balancer::sections(model),
        named: identity::named(model),
        services: model.services.keys().cloned().collect(),
        budget: budget::of(model, &templates),
        needs: parts::needs(model),
        away: (model.cloud.hosts.iter())
            .filter_map(|h| Some((h.name.value.clone(), h.away.as_ref()?.value.clone())))
            .collect(),
        ..Desired::default()
    };
    refuse::refuse(model, &mut templates);
    let rings = rings::of(model, &mut templates);
    let identities = identity::Identities::new(model);
    for host in &model.cloud.hosts {
        let mut desired = files::host(model, &mut templates, &rings, host);
        desired.files.push(identity::version());
        desired.files.push(identities.file(model, host));
        out.hosts.insert(host.name.value.clone(), desired);
    }
    let first = out.hosts.values().flat_map(|h| &h.files);
    findings.extend(corosync::own_members(model, &out.corosync, first));
    out.cib = cluster::cib(model, &mut templates);
    out.elsewhere = systemd::elsewhere(model, &mut templates);
    if let Some((placed, component)) = model.sql_store() {
        out.sql = placed
            .service
            .sql
            .as_ref()
            .map(|s| (s.socket.clone(), s.user.clone()));
        out.sql_resource = resource_id(&placed.service.name.value, &component.name.value);
        out.sql_hosts = model.names_on(&component.runs_on);
    }
    for placed in model.services.values() {
        let service = &placed.service.name.value;
        if let (Some(database), Some((socket, user))) = (&placed.service.database, &out.sql) {
            let password = secret(&format!("{service}/database"));
            let names = database.names();
            let made = engines::database(&names, &password, socket, user);
            out.databases.push(DesiredDatabase {
                service: service.clone(),
                names,
                parts: made.parts,
                query: made.query,
                expect: made.expect,
            });
        }
        let made = scripts::of(model, &mut templates, placed, out.sql.as_ref());
        out.scripts.extend(made);
        out.forget
            .extend(scripts::forget(model, &mut templates, placed, out.sql.as_ref()));
        out.left_alone
            .extend(scripts::left_alone(model, &mut templates, placed));
        out.faults.extend(scripts::faults(model, &mut templates, placed));
    }
    let units = model.components().map(|(_, c)| &c.unit).filter(|u| !u.is_empty());
    out.units = units.cloned().collect();
    out.absent = absent::of(model, &mut templates, &out);
    // What this cloud does not have is not waited for.
    let here: Vec<ResourceId> = present(model, &mut templates)
        .map(|(p, c)| resource_id(&p.service.name.value, &c.name.value))
        .collect();
    let clustered = model.clustered().filter(|(id, ..)| here.contains(id));
    for (resource, placed, component) in clustered {
        let service = &placed.service.name.value;
        if !placed.service.steps.is_empty() {
            out.gated.push(resource.clone());
        }
        if !component.engine.value.is_empty() {
            let scope = context::Scope {
                service,
                host: None,
                item: None,
            };
            let options: IndexMap<String, String> = component
                .engine_options
                .iter()
                .map(|(k, v)| (k.clone(), templates.text(&scope, v)))
                .collect();
            let members = model.names_on(&component.runs_on);
            let definitions = options.get("definitions").and_then(|path| {
                let host = out.hosts.get(members.first()?)?;
                let file = host.files.iter().find(|f| f.write.path == *path)?;
                let text = String::from_utf8_lossy(&file.write.content).into_owned();
                Some(Definitions::parse(text).map_err(|why| (path, why)))
            });
            let definitions = definitions.transpose().unwrap_or_else(|(path, why)| {
                let at = component.engine.span.clone();
                let message = format!("what {resource} should hold cannot be read out of {path}: {why}");
                let source = &placed.service.source;
                let finding = Diagnostic::error("catalog::template", source, at, message, "of this store");
                findings.push(finding.help("its template has to write one JSON object"));
                None
            });
            out.stores.push(Store {
                engine: component.engine.value.clone(),
                resource,
                members,
                options,
                definitions: definitions.unwrap_or_default(),
                lost: Vec::new(),
                away: Vec::new(),
            });
        }
    }
    out.balancers = model.names_of("balancer");
    for served in model.served() {
        out.balanced.push(DesiredBalanced {
            service: served.service.clone(),
            resource: served.resource.clone(),
            address: served.vip.to_string(),
            port: served.endpoint.port.value,
            single_writer: served.endpoint.single_writer,
            fallback: served.fallback.clone(),
            members: served.members.clone(),
        });
        // A stream has no page that is cheap to ask for.
        if served.endpoint.mode == "http" && !served.endpoint.websocket {
            let scheme = if served.endpoint.tls { "https" } else { "http" };
            let base = format!(
                "{scheme}://{}:{}",
                context::url_host(served.vip),
                served.endpoint.port.value
            );
            let check = if served.endpoint.path.is_empty() {
                &served.endpoint.check
            } else {
                &served.endpoint.path
            };
            let main = served.component == "api";
            out.apis.push(DesiredApi {
                name: if main {
                    served.service.as_str()
                } else {
                    &served.resource
                }
                .to_owned(),
                check: format!("{base}{check}"),
                url: format!("{base}{}", served.endpoint.path),
                service: served.service,
                resource: served.resource,
                members: served.members,
            });
        }
    }
    out.parts = parts::of(model, &mut templates);
    out.journeys = journeys::of(model, &mut templates);
    findings.extend(templates.finish());
    (out, findings)
}

/// The components that this cloud has: those whose condition holds.
fn present<'m, 't>(
    model: &'m Model,
    templates: &'t mut Templates,
) -> impl Iterator<Item = (&'m model::Placed, &'m catalog::Component)> + use<'m, 't> {
    model.components().filter(|(placed, component)| {
        let scope = context::Scope {
            service: &placed.service.name.value,
            host: None,
            item: None,
        };
        templates.holds(&scope, &component.when)
    })
}

/// The unit that runs a component, where it has one.
fn units_of(model: &Model, templates: &mut Templates, host: &cloud::Host) -> Vec<DesiredUnit> {
    present(model, templates)
        .filter(|(_, c)| !c.unit.is_empty())
        .filter(|(_, c)| model.is_on(host.name.as_str(), &c.runs_on))
        .map(|(p, c)| systemd::unit(model, p, c, host))
        .collect()
}

/// The ports of all components on a host.
fn ports_of(model: &Model, templates: &mut Templates, host: &cloud::Host) -> Vec<(u16, String, String)> {
    present(model, templates)
        .filter(|(_, c)| model.is_on(host.name.as_str(), &c.runs_on))
        .flat_map(|(p, c)| {
            let ports = c
                .endpoint
                .iter()
                .flat_map(catalog::Endpoint::ports)
                .chain(c.ports.iter().copied());
            ports.map(|port| (port, p.service.name.value.clone(), c.unit.clone()))
        })
        .collect()
}
