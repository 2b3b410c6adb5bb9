//! What a host is in the cloud, for those who stand before it without the
//! cloud file: a support engineer, a monitor, a later quorate. One thing is
//! planned from it: a service that it names and the cloud file does not is taken
//! off the host. It holds no secret, and neither settings nor options of
//! power devices, which could be some.
//!
//! Members of the cluster are told of all hosts, others of the members and of themselves:
//! who left is asked of members, and a list of all hosts on each of them grows with the
//! square of the cloud.

use std::collections::HashSet;

use cloud::Fencing;
use indexmap::IndexMap;
use model::{Model, resource_id};
use names::{HostName, ResourceId};
use serde::{Deserialize, Serialize};
use wire::{FileWrite, Own};

use crate::{DesiredFile, DesiredVip, cluster};

/// Where it lies.
pub const IDENTITY: &str = "/var/lib/quorate/model.json";
/// The version of the vault that wrote a host last, see `vault`.
pub const VERSION: &str = "/var/lib/quorate/vault";
/// The generation is no secret, so its key is none.
const KEY: [u8; 32] = *b"quorate: generation of the model";

#[derive(Clone, Serialize)]
struct Member {
    name: HostName,
    address: String,
    roles: Vec<&'static str>,
}

/// What is read back of a host's file: some of what it says of its cloud.
#[derive(Deserialize)]
struct Told<T> {
    cloud: T,
}

/// The services that a host was told of: out of the text of its file. None where
/// that is not such a file.
pub fn services_told(text: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Cloud {
        services: Vec<String>,
    }
    serde_json::from_str(text)
        .ok()
        .map(|told: Told<Cloud>| told.cloud.services)
}

/// The hosts that a host was told of, each with its management address: out of the
/// text of its file. None where that is not such a file.
pub fn hosts_told(text: &str) -> Option<Vec<(HostName, String)>> {
    #[derive(Deserialize)]
    struct Cloud {
        hosts: Vec<Host>,
    }
    #[derive(Deserialize)]
    struct Host {
        name: HostName,
        address: String,
    }
    let told: Told<Cloud> = serde_json::from_str(text).ok()?;
    let hosts = told.cloud.hosts.into_iter();
    Some(hosts.map(|h| (h.name, h.address)).collect())
}

/// The name of the cloud that a host was told of: out of the text of its file. None where that
/// is not such a file.
pub fn cloud_told(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Cloud {
        name: String,
    }
    serde_json::from_str(text)
        .ok()
        .map(|told: Told<Cloud>| told.cloud.name)
}

/// The hosts of each component that a host was told of, by the component's resource id:
/// out of the text of its file. None where that is not such a file.
pub fn members_told(text: &str) -> Option<Vec<(String, Vec<HostName>)>> {
    #[derive(Deserialize)]
    struct Cloud {
        runs_on: IndexMap<String, Vec<HostName>>,
    }
    let told: Told<Cloud> = serde_json::from_str(text).ok()?;
    Some(told.cloud.runs_on.into_iter().collect())
}

/// The same on all members.
#[derive(Clone, Serialize)]
struct Whole {
    name: String,
    release: String,
    distribution: &'static str,
    architecture: &'static str,
    profile: &'static str,
    region: String,
    fencing: bool,
    timeouts: cloud::Timeouts,
    hosts: Vec<Member>,
    services: Vec<String>,
    /// Hosts by component, under the name that the cluster has for it.
    runs_on: IndexMap<ResourceId, Vec<HostName>>,
    vips: Vec<DesiredVip>,
}

#[derive(Serialize)]
struct Identity<'a> {
    generation: &'a str,
    host: &'a HostName,
    roles: Vec<&'static str>,
    cloud: &'a Whole,
}

/// The file by which a host knows the version of the vault: an older copy is refused.
pub(crate) fn version() -> DesiredFile {
    DesiredFile {
        write: FileWrite {
            path: VERSION.to_owned(),
            content: format!("{}\n", crate::secret("vault/version")).into(),
            owner: "root".to_owned(),
            group: "root".to_owned(),
            mode: 0o600,
            directory: false,
            own: Own::File,
        },
        service: String::new(),
        // No secret is in it; a change of it is one of secrets alone.
        secret: true,
        once: false,
        ring: None,
        identity: String::new(),
        names: false,
        restart: Vec::new(),
        reload: Vec::new(),
    }
}

/// The file of one host.
pub struct Identities {
    /// The account of members.
    whole: Whole,
    /// The account of hosts beside the cluster, without themselves.
    beside: Whole,
    generation: String,
}

fn roles(host: &cloud::Host) -> Vec<&'static str> {
    host.roles.iter().map(|r| r.as_str()).collect()
}

fn member(host: &cloud::Host) -> Member {
    let address = host.addresses.values().next();
    Member {
        name: host.name.value.clone(),
        address: address.map_or_else(String::new, |a| a.value.to_string()),
        roles: roles(host),
    }
}

/// Hosts of the cloud file by name, with the addresses that hosts are told.
pub(crate) fn named(model: &Model) -> Vec<(HostName, String)> {
    let all = model.cloud.hosts.iter().map(member);
    all.map(|m| (m.name, m.address)).collect()
}

impl Identities {
    /// What all hosts have in common.
    pub fn new(model: &Model) -> Self {
        let cloud = &model.cloud;
        let whole = Whole {
            name: cloud.name.value.as_str().to_owned(),
            release: cloud.release.value.clone(),
            distribution: cloud.distribution.as_str(),
            architecture: cloud.architecture.as_str(),
            profile: cloud.profile.as_str(),
            region: cloud.region.value.clone(),
            fencing: matches!(cloud.fencing, Fencing::Power),
            timeouts: cloud.timeouts,
            hosts: cloud.hosts.iter().map(member).collect(),
            services: model.services.keys().cloned().collect(),
            runs_on: model
                .components()
                .map(|(p, c)| {
                    let id = resource_id(&p.service.name.value, &c.name.value);
                    (id, model.names_on(&c.runs_on))
                })
                .collect(),
            vips: cluster::addresses(model),
        };
        // Made from the content: the same cloud has the same generation however
        // often and from where it is applied, and another one shows that a host
        // was away while the others changed.
        let text = serde_json::to_string(&whole).unwrap_or_default();
        let generation = wire::digest(&KEY, text.as_bytes()).chars().take(16).collect();
        let members: HashSet<&HostName> = cloud.controllers().map(|h| &h.name.value).collect();
        let mut beside = Whole {
            hosts: Vec::new(),
            runs_on: IndexMap::new(),
            ..whole.clone()
        };
        let near = whole.hosts.iter().filter(|h| members.contains(&h.name));
        beside.hosts.extend(near.cloned());
        for (resource, hosts) in &whole.runs_on {
            let near = hosts.iter().filter(|h| members.contains(h));
            beside.runs_on.insert(resource.clone(), near.cloned().collect());
        }
        Self {
            whole,
            beside,
            generation,
        }
    }

    /// The account of one host beside the cluster.
    fn beside(&self, model: &Model, host: &cloud::Host) -> Whole {
        let mut out = self.beside.clone();
        out.hosts.push(member(host));
        for (placed, component) in model.components() {
            let id = resource_id(&placed.service.name.value, &component.name.value);
            if component.runs_on.iter().any(|r| model.has(host, &r.value))
                && let Some(hosts) = out.runs_on.get_mut(&id)
            {
                hosts.push(host.name.value.clone());
            }
        }
        out
    }

    /// The file of one host.
    pub fn file(&self, model: &Model, host: &cloud::Host) -> DesiredFile {
        let beside = (!host.is_controller()).then(|| self.beside(model, host));
        let identity = Identity {
            generation: &self.generation,
            host: &host.name.value,
            roles: roles(host),
            cloud: beside.as_ref().unwrap_or(&self.whole),
        };
        let mut content = serde_json::to_string_pretty(&identity).unwrap_or_default();
        content.push('\n');
        DesiredFile {
            write: FileWrite {
                path: IDENTITY.to_owned(),
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
        }
    }
}
