//! Questions of people to the engine on a controller. Each is a function that gives a value or says
//! why not; printing is the caller's.

mod audit;
mod drain;
mod explain;
mod fill;
mod prove;
mod rehearse;
mod words;

use openstack::{COMPUTE, Client, Service};
use wire::Fact;

use crate::{Config, Error, SqlStore};

pub use audit::{Audit, audit};
pub use drain::{DRAINED, Emptied, Left, empty};
pub use explain::{history, history_text, show, show_text, why};
pub use fill::fill;
pub use prove::{Proved, prove};
pub(crate) use rehearse::wishes;
pub use rehearse::{Rehearsal, replay};
pub use words::{confirm, pause, release, resume};

/// Means of the commands.
#[derive(Debug)]
pub struct Desk {
    /// The configuration.
    pub config: Config,
    /// The APIs.
    pub client: Client,
    /// The rows.
    pub store: SqlStore,
    /// Name of the person who asks, for the record.
    pub by: String,
}

impl Desk {
    /// A desk for a person.
    pub fn new(config: Config, by: String) -> Result<Self, Error> {
        let client = crate::engine::client(&config)?;
        let store = SqlStore::new(&config.store)?;
        Ok(Self {
            config,
            client,
            store,
            by,
        })
    }

    /// A guarded host, by its name.
    fn host(&self, name: &str) -> Result<&crate::config::Host, Error> {
        let known = || {
            let names: Vec<&str> = self.config.hosts.iter().map(|h| h.name.as_str()).collect();
            Error::Refused(format!(
                "{name} is no VM host of this cloud: it has {}",
                names.join(", ")
            ))
        };
        self.config.host(name).ok_or_else(known)
    }
}

/// The compute service of a host.
async fn service(client: &Client, host: &str) -> Result<Service, Error> {
    let services = client.services().await?;
    let found = services
        .into_iter()
        .find(|s| s.binary == COMPUTE && s.host == host);
    found.ok_or_else(|| Error::Refused(format!("the compute service has no host {host}")))
}

/// The id of a service whose cell can be reached.
fn id(service: &Service) -> Result<&str, Error> {
    match &service.id {
        Fact::Known(id) => Ok(id),
        _ => Err(Error::Refused(format!(
            "the cell of {} cannot be reached",
            service.host
        ))),
    }
}
