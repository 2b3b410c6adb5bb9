//! Host aggregates: groups of VM hosts that administrators name. Not for zones' meaning.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use wire::Fact;

use crate::{
    Client, Result,
    fields::{needed, pairs, text, texts},
    session::Api,
};

/// One aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aggregate {
    /// Its name.
    pub name: String,
    /// Availability zone that it makes; absent: none.
    pub zone: Fact<String>,
    /// Hosts in it.
    pub hosts: Fact<Vec<String>>,
    /// Metadata.
    pub metadata: Fact<BTreeMap<String, String>>,
}

fn parse(item: &Value) -> Result<Aggregate> {
    Ok(Aggregate {
        name: needed(item, "name")?,
        zone: text(item, "availability_zone"),
        hosts: texts(item, "hosts"),
        metadata: pairs(item, "metadata"),
    })
}

impl Client {
    /// All aggregates.
    pub async fn aggregates(&self) -> Result<Vec<Aggregate>> {
        let found = self.list(Api::Compute, "/os-aggregates", "aggregates").await?;
        found.iter().map(parse).collect()
    }
}
