//! A drained host given back: enabled once VMs can run on it. Not for hosts that died, which
//! the engine brings back.

use std::time::Duration;

use openstack::{COMPUTE, Client, ServiceChange, carries_ports};
use tokio::time::{Instant, sleep};
use wire::Fact;

use super::{DRAINED, drain::LOOK, id};
use crate::Error;

/// Time that a host has to be up after it is enabled.
const UP: Duration = Duration::from_mins(5);

/// Gives a drained host back and waits until VMs can run on it.
pub async fn fill(client: &Client, host: &str, say: &mut dyn FnMut(String)) -> Result<(), Error> {
    let deadline = Instant::now() + UP;
    let mut last = String::new();
    loop {
        let Some(why) = missing(client, host, say).await? else {
            return Ok(());
        };
        if why != last {
            say(format!("{host}: {why}"));
            last.clone_from(&why);
        }
        if Instant::now() > deadline {
            return Err(Error::Refused(format!(
                "{host} is not in use after {} s: {why}",
                UP.as_secs()
            )));
        }
        sleep(LOOK).await;
    }
}

/// First thing that a host lacks for VMs; enables it once nothing else is missing.
async fn missing(client: &Client, host: &str, say: &mut dyn FnMut(String)) -> Result<Option<String>, Error> {
    let (services, agents) = tokio::join!(client.services(), client.network_agents());
    let (services, agents) = match (services, agents) {
        (Ok(services), Ok(agents)) => (services, agents),
        (Err(error), _) | (_, Err(error)) => return Ok(Some(error.to_string())),
    };
    let found = services.iter().find(|s| s.binary == COMPUTE && s.host == host);
    let Some(found) = found else {
        return Err(Error::Refused(format!("the compute service has no host {host}")));
    };
    if found.forced_down == Fact::Known(true) {
        return Err(Error::Refused(format!(
            "{host} is forced down: instance HA brings it back, see `evac explain {host}`"
        )));
    }
    let other = found.disabled_reason.known().filter(|reason| *reason != DRAINED);
    match (&found.enabled, other) {
        (Fact::Known(false), Some(reason)) => {
            return Err(Error::Refused(format!(
                "{host} is disabled for another reason: {reason}"
            )));
        }
        (Fact::Known(_), _) => {}
        _ => return Ok(Some("its service is told in part".to_owned())),
    }
    if found.up != Fact::Known(true) {
        return Ok(Some("its compute service is not up".to_owned()));
    }
    if carries_ports(&agents, host) != Fact::Known(true) {
        return Ok(Some("no agent that connects ports is alive there".to_owned()));
    }
    if found.enabled == Fact::Known(false) {
        let change = ServiceChange {
            enabled: Some(true),
            ..ServiceChange::default()
        };
        match client.change_service(id(found)?, &change).await {
            Ok(()) => say(format!("{host} takes VMs")),
            Err(error) => return Ok(Some(error.to_string())),
        }
        return Ok(Some("it is being enabled".to_owned()));
    }
    Ok(None)
}
