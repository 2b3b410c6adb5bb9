//! Processes of the compute service, and the one request that takes a host out or puts it
//! back. Not for what a report's age means.

use jiff::Timestamp;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value};
use wire::Fact;

use crate::{
    Client, Error, Result,
    fields::{items, needed, switch, text, time},
    session::{Api, encode},
};

/// Name of the process that runs VMs on a host.
pub const COMPUTE: &str = "nova-compute";
/// Name of the process that chooses hosts.
pub const SCHEDULER: &str = "nova-scheduler";
/// Name of the process that leads VMs from host to host.
pub const CONDUCTOR: &str = "nova-conductor";

/// One process of the compute service on one host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// Its id, a UUID; unknown where its cell cannot be reached.
    pub id: Fact<String>,
    /// Name of the process.
    pub binary: String,
    /// Host that it runs on.
    pub host: String,
    /// True: up, by its last report's age or its being forced down.
    pub up: Fact<bool>,
    /// True: takes new VMs.
    pub enabled: Fact<bool>,
    /// True: down by request, whatever it reports.
    pub forced_down: Fact<bool>,
    /// Reason given when it was disabled.
    pub disabled_reason: Fact<String>,
    /// Moment of its last report.
    pub reported: Fact<Timestamp>,
    /// Availability zone of its host.
    pub zone: Fact<String>,
}

/// Wanted state of a service; `None` leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// True: takes new VMs.
    pub enabled: Option<bool>,
    /// Reason, for a service that is disabled.
    pub reason: Option<String>,
    /// True: down by request.
    pub forced_down: Option<bool>,
}

impl ServiceChange {
    fn body(&self) -> Value {
        let mut body = Map::new();
        if let Some(enabled) = self.enabled {
            let word = if enabled { "enabled" } else { "disabled" };
            body.insert("status".to_owned(), word.into());
        }
        if let Some(reason) = &self.reason {
            body.insert("disabled_reason".to_owned(), reason.as_str().into());
        }
        if let Some(down) = self.forced_down {
            body.insert("forced_down".to_owned(), down.into());
        }
        body.into()
    }
}

fn parse(item: &Value) -> Result<Service> {
    let word = |key: &str, yes: &str, no: &str| match text(item, key) {
        Fact::Known(word) if word == yes => Fact::Known(true),
        Fact::Known(word) if word == no => Fact::Known(false),
        Fact::Known(word) => Fact::Unknown(format!("`{key}` is {word}")),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(why) => Fact::Unknown(why),
    };
    Ok(Service {
        id: text(item, "id"),
        binary: needed(item, "binary")?,
        host: needed(item, "host")?,
        up: word("state", "up", "down"),
        enabled: word("status", "enabled", "disabled"),
        forced_down: switch(item, "forced_down"),
        disabled_reason: text(item, "disabled_reason"),
        reported: time(item, "updated_at"),
        zone: text(item, "zone"),
    })
}

/// Word that the cells of all VM hosts can be reached. Lists with a filter or in pages leave
/// out unreachable cells and do not say so; the list of services names them.
#[derive(Debug)]
pub struct Cells(());

impl Cells {
    /// Reads it off the services; fails where a cell cannot be reached.
    pub fn all(services: &[Service]) -> Result<Self> {
        let lost = services.iter().find(|s| matches!(s.id, Fact::Unknown(_)));
        lost.map_or(Ok(Self(())), |service| {
            let host = &service.host;
            let why = format!("the cell of {host} cannot be reached: lists are not whole");
            Err(Error::Unknown(why))
        })
    }
}

impl Client {
    /// All processes of the compute service.
    pub async fn services(&self) -> Result<Vec<Service>> {
        let answer = self.ask(Api::Compute, "/os-services").await?;
        items(&answer, "services")?.iter().map(parse).collect()
    }

    /// Changes a service in one request: no moment has only a part of it.
    pub async fn change_service(&self, id: &str, change: &ServiceChange) -> Result<()> {
        let path = format!("/os-services/{}", encode(id));
        self.change(Method::PUT, &path, change.body()).await
    }
}
