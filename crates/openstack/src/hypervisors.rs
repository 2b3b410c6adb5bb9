//! Hypervisors: which provider of resources is which host. Not for how much is free there.

use serde::Serialize;
use serde_json::Value;
use wire::Fact;

use crate::{
    Client, Result,
    fields::{needed, text},
    session::Api,
};

/// One hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hypervisor {
    /// Its id, a UUID; the placement API knows it by the same.
    pub id: String,
    /// Its own name.
    pub name: String,
    /// Host of the process that runs it, as the compute service names it.
    pub host: Fact<String>,
}

fn parse(item: &Value) -> Result<Hypervisor> {
    Ok(Hypervisor {
        id: needed(item, "id")?,
        name: needed(item, "hypervisor_hostname")?,
        host: text(&item["service"], "host"),
    })
}

impl Client {
    /// All hypervisors.
    pub async fn hypervisors(&self) -> Result<Vec<Hypervisor>> {
        let found = self
            .pages(Api::Compute, "/os-hypervisors/detail", "hypervisors", "id")
            .await?;
        found.iter().map(parse).collect()
    }
}
