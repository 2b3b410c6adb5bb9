//! Free room of VM hosts by the placement API, with its own ratios and reserves applied. Not
//! for whether the scheduler would take a host: that also looks at traits and groups.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use wire::Fact;

use crate::{Client, Error, Result, fields::number, session::Api};

/// One kind of resource of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Room {
    /// The most that may be given away, by the ratio in force.
    pub capacity: u64,
    /// Given away.
    pub used: u64,
}

impl Room {
    /// The rest.
    pub fn free(self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }
}

/// Room of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Virtual processors.
    pub vcpus: Room,
    /// Memory in MiB.
    pub ram_mib: Room,
    /// Local disk in GiB; none where images lie elsewhere.
    pub disk_gib: Room,
}

/// Room for the smallest VM there is: hosts without it are full and not in the answer.
const SMALLEST: &str = "/allocation_candidates?resources=VCPU:1,MEMORY_MB:1";

fn room(resources: &Value, class: &str) -> Result<Room> {
    let Some(of) = resources.get(class) else {
        return Ok(Room::default());
    };
    match (number(of, "capacity"), number(of, "used")) {
        (Fact::Known(capacity), Fact::Known(used)) => Ok(Room { capacity, used }),
        _ => Err(Error::Unknown(format!("the room of {class} is not understood"))),
    }
}

impl Client {
    /// Free room by host, as the compute service names hosts. A host that is not in it is full.
    pub async fn capacity(&self) -> Result<BTreeMap<String, Capacity>> {
        let asked = futures::future::try_join(self.ask(Api::Placement, SMALLEST), self.hypervisors());
        let (answer, hypervisors) = asked.await?;
        let summaries = answer.get("provider_summaries").and_then(Value::as_object);
        let summaries =
            summaries.ok_or_else(|| Error::Unknown("no `provider_summaries` in the answer".to_owned()))?;
        let mut all = BTreeMap::new();
        for hypervisor in hypervisors {
            let (Fact::Known(host), Some(summary)) = (hypervisor.host, summaries.get(&hypervisor.id)) else {
                continue;
            };
            let resources = &summary["resources"];
            let capacity = Capacity {
                vcpus: room(resources, "VCPU")?,
                ram_mib: room(resources, "MEMORY_MB")?,
                disk_gib: room(resources, "DISK_GB")?,
            };
            all.insert(host, capacity);
        }
        Ok(all)
    }
}
