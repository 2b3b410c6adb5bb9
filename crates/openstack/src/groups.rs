//! Server groups: VMs that are to stand together or apart. Not for keeping the rule.

use serde::Serialize;
use serde_json::Value;
use wire::Fact;

use crate::{
    Client, Error, Result,
    fields::{items, needed, text, texts},
    session::Api,
};

/// One server group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerGroup {
    /// Its id, a UUID.
    pub id: String,
    /// `affinity`, `anti-affinity`, or one of these with `soft-` before it.
    pub policy: Fact<String>,
    /// Ids of its VMs.
    pub members: Fact<Vec<String>>,
}

fn parse(item: &Value) -> Result<ServerGroup> {
    Ok(ServerGroup {
        id: needed(item, "id")?,
        policy: text(item, "policy"),
        members: texts(item, "members"),
    })
}

/// Groups of a page: this list is paged by number, not by marker.
const PAGE: usize = 200;
/// Pages after which a list is taken to have no end.
const MAX_PAGES: usize = 200;

impl Client {
    /// All server groups of all projects.
    pub async fn server_groups(&self) -> Result<Vec<ServerGroup>> {
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let offset = page * PAGE;
            let path = format!("/os-server-groups?all_projects=True&limit={PAGE}&offset={offset}");
            let answer = self.ask(Api::Compute, &path).await?;
            let found = items(&answer, "server_groups")?;
            for item in found {
                all.push(parse(item)?);
            }
            if found.len() < PAGE {
                return Ok(all);
            }
        }
        Err(Error::Unknown("the list of server groups has no end".to_owned()))
    }
}
