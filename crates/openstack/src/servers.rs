//! VMs: which host each is on, its states, and what it is made of. Not for whether one is
//! protected.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use wire::Fact;

use crate::{
    Cells, Client, Error, Result,
    fields::{items, needed, number, pairs, switch, text, texts, time},
    session::{Api, encode},
};

/// Flavor of a VM, as it was when the VM was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flavor {
    /// Name of the flavor.
    pub name: Fact<String>,
    /// Virtual processors.
    pub vcpus: Fact<u64>,
    /// Memory in MiB.
    pub ram_mib: Fact<u64>,
    /// Root disk in GiB; 0 takes the image's size.
    pub disk_gib: Fact<u64>,
    /// Second local disk in GiB.
    pub ephemeral_gib: Fact<u64>,
    /// Extra specs.
    pub extra_specs: Fact<BTreeMap<String, String>>,
}

/// Source of a VM's root disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its properties; unknown before version 2.98 of the API.
    pub properties: Fact<BTreeMap<String, String>>,
}

/// A volume that a VM has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Its id.
    pub id: String,
}

/// One VM.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// Its id, a UUID.
    pub id: String,
    /// Name that its owner gave it.
    pub name: Fact<String>,
    /// Project that it belongs to.
    pub project: Fact<String>,
    /// Host that it is on, as the compute service names it; absent: none yet, or none any more.
    pub host: Fact<String>,
    /// Name of the hypervisor that it is on.
    pub hypervisor: Fact<String>,
    /// State for users, such as `ACTIVE`.
    pub status: Fact<String>,
    /// State in the database, such as `active`.
    pub vm_state: Fact<String>,
    /// Task under way; absent: none.
    pub task_state: Fact<String>,
    /// Power by the hypervisor's last word: 1 runs, 4 is shut down.
    pub power_state: Fact<u64>,
    /// True: only administrators change it.
    pub locked: Fact<bool>,
    /// Tags.
    pub tags: Fact<Vec<String>>,
    /// Metadata of its owner.
    pub metadata: Fact<BTreeMap<String, String>>,
    /// Flavor as given.
    pub flavor: Flavor,
    /// Image of its root disk; absent: it boots from a volume.
    pub image: Fact<Image>,
    /// Volumes that it has.
    pub volumes: Fact<Vec<Volume>>,
    /// Availability zone that it is in.
    pub zone: Fact<String>,
    /// Availability zone that it asked for; absent: any; unknown before version 2.96 of the API.
    pub asked_zone: Fact<String>,
    /// Moment at which it was made.
    pub created: Fact<Timestamp>,
    /// Server groups that it is in; lists lack them, the single VM has them.
    pub groups: Fact<Vec<String>>,
}

fn image(item: &Value) -> Fact<Image> {
    match item.get("image") {
        None => Fact::Unknown("no `image` in the answer".to_owned()),
        // An empty text is how the API writes a VM that boots from a volume.
        Some(Value::String(text)) if text.is_empty() => Fact::Absent,
        Some(value) => text(value, "id").map(|id| Image {
            id,
            properties: pairs(value, "properties"),
        }),
    }
}

fn volumes(item: &Value) -> Fact<Vec<Volume>> {
    let key = "os-extended-volumes:volumes_attached";
    let Some(list) = item.get(key).and_then(Value::as_array) else {
        return Fact::Unknown(format!("no `{key}` in the answer"));
    };
    let ids = list.iter().map(|v| needed(v, "id").map(|id| Volume { id }));
    crate::fact(ids.collect())
}

fn parse(item: &Value) -> Result<Server> {
    let flavor = &item["flavor"];
    Ok(Server {
        id: needed(item, "id")?,
        name: text(item, "name"),
        project: text(item, "tenant_id"),
        host: text(item, "OS-EXT-SRV-ATTR:host"),
        hypervisor: text(item, "OS-EXT-SRV-ATTR:hypervisor_hostname"),
        status: text(item, "status"),
        vm_state: text(item, "OS-EXT-STS:vm_state"),
        task_state: text(item, "OS-EXT-STS:task_state"),
        power_state: number(item, "OS-EXT-STS:power_state"),
        locked: switch(item, "locked"),
        tags: texts(item, "tags"),
        metadata: pairs(item, "metadata"),
        flavor: Flavor {
            name: text(flavor, "original_name"),
            vcpus: number(flavor, "vcpus"),
            ram_mib: number(flavor, "ram"),
            disk_gib: number(flavor, "disk"),
            ephemeral_gib: number(flavor, "ephemeral"),
            extra_specs: pairs(flavor, "extra_specs"),
        },
        image: image(item),
        volumes: volumes(item),
        zone: text(item, "OS-EXT-AZ:availability_zone"),
        asked_zone: text(item, "pinned_availability_zone"),
        created: time(item, "created"),
        groups: texts(item, "server_groups"),
    })
}

/// A VM of a list. One without its host is of an unreachable cell, or the user is no
/// administrator: either way the list says nothing of a host.
fn listed(item: &Value) -> Result<Server> {
    let server = parse(item)?;
    match &server.host {
        Fact::Unknown(why) => Err(Error::Unknown(format!("VM {} is told in part: {why}", server.id))),
        _ => Ok(server),
    }
}

impl Client {
    /// All VMs that are on a host, of all projects.
    pub async fn servers_on(&self, _: &Cells, host: &str) -> Result<Vec<Server>> {
        let path = format!("/servers/detail?all_tenants=1&host={}", encode(host));
        let found = self.pages(Api::Images, &path, "servers", "id").await?;
        let servers: Vec<Server> = found.iter().map(listed).collect::<Result<_>>()?;
        // A filter that the API did not know would be left out without a word.
        let strange = servers
            .iter()
            .find(|s| s.host.known().map(String::as_str) != Some(host));
        match strange {
            Some(server) => Err(Error::Unknown(format!(
                "VM {} of another host than {host} is listed",
                server.id
            ))),
            None => Ok(servers),
        }
    }

    /// All VMs of the cloud.
    pub async fn servers(&self, _: &Cells) -> Result<Vec<Server>> {
        let path = "/servers/detail?all_tenants=1";
        let found = self.pages(Api::Images, path, "servers", "id").await?;
        found.iter().map(listed).collect()
    }

    /// One VM; absent where the API says itself that it has none of that id.
    pub async fn server(&self, id: &str) -> Fact<Server> {
        let asked = self.ask(Api::Images, &format!("/servers/{}", encode(id))).await;
        match asked {
            Ok(answer) => crate::fact(listed(&answer["server"])),
            Err(Error::Refused { status: 404, message }) if message.contains("could not be found") => {
                Fact::Absent
            }
            Err(error) => Fact::Unknown(error.to_string()),
        }
    }

    /// Fails unless an answer is a list of items.
    pub(crate) async fn list(&self, api: Api, path: &str, key: &str) -> Result<Vec<Value>> {
        let answer = self.ask(api, path).await?;
        items(&answer, key).cloned()
    }
}
