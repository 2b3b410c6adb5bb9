//! Hosts emptied of VMs and filled again: for work on a host, not for one that died.
//!
//! Both go on from whatever they find: to be run again after being killed is how they are
//! resumed. A VM is asked to move once, then watched; at most so many move at a time.

mod watch;

use std::{collections::BTreeMap, time::Duration};

use openstack::{COMPUTE, Cells, Client, Migration, MigrationFilter, Server, ServiceChange, carries_ports};
use tokio::time::{Instant, sleep};
use wire::Fact;

use super::{id, service};
use crate::Error;
use watch::{Next, Watched};

/// Reason that a drained host is disabled for.
pub const DRAINED: &str = "drained by quorate";
/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Looks that may fail one after the other.
const BLIND: u32 = 60;
/// Time in which something has to change on a host that is being emptied.
const STILL: Duration = Duration::from_mins(15);
/// Time that a host has to be up after it is enabled.
const UP: Duration = Duration::from_mins(5);

/// A VM that is still on the host, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its id.
    pub vm: String,
    /// Why it cannot be moved, and what would help.
    pub why: String,
}

/// Outcome of emptying a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emptied {
    /// VMs that left.
    pub moved: Vec<String>,
    /// VMs that could not: the host is empty where there are none.
    pub left: Vec<Left>,
}

/// What one look at a host shows.
struct Look {
    servers: Vec<Server>,
    moves: Vec<Migration>,
}

/// How long a host has shown the same.
#[derive(Default)]
struct Still(Option<(String, Instant)>);

impl Still {
    fn for_too_long(&mut self, seen: &Look) -> bool {
        let servers = seen.servers.iter().map(|s| (&s.id, &s.task_state, &s.vm_state));
        let moves = seen.moves.iter().map(|m| (&m.id, &m.status));
        let now = format!(
            "{:?} {:?}",
            servers.collect::<Vec<_>>(),
            moves.collect::<Vec<_>>()
        );
        match &self.0 {
            Some((before, since)) if *before == now => since.elapsed() > STILL,
            _ => {
                self.0 = Some((now, Instant::now()));
                false
            }
        }
    }
}

async fn look(client: &Client, host: &str) -> Result<Look, openstack::Error> {
    let cells = Cells::all(&client.services().await?)?;
    let filter = MigrationFilter {
        host: Some(host.to_owned()),
        ..MigrationFilter::default()
    };
    let (servers, moves) = tokio::try_join!(
        client.servers_on(&cells, host),
        client.migrations(&cells, &filter)
    )?;
    Ok(Look { servers, moves })
}

/// Keeps new VMs away from a host and moves all of its VMs elsewhere, so many at a time. `say`
/// hears of each step.
pub async fn empty(
    client: &Client,
    host: &str,
    at_once: usize,
    say: &mut dyn FnMut(String),
) -> Result<Emptied, Error> {
    disable(client, host, say).await?;
    let mut watched: BTreeMap<String, Watched> = BTreeMap::new();
    let mut out = Emptied::default();
    let mut blind = 0;
    let mut still = Still::default();
    loop {
        let seen = match look(client, host).await {
            Ok(seen) => seen,
            Err(error) if blind < BLIND => {
                blind += 1;
                say(format!("cannot look at {host}: {error}"));
                sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        blind = 0;
        confirm(client, host, &seen, say).await;
        out.left.clear();
        let mut under_way = 0;
        let mut ready = Vec::new();
        let gone = watched
            .keys()
            .filter(|vm| !seen.servers.iter().any(|s| s.id == **vm));
        for vm in gone.cloned().collect::<Vec<_>>() {
            watched.remove(&vm);
            say(format!("VM {vm} has left {host}"));
            out.moved.push(vm);
        }
        for server in &seen.servers {
            match watched
                .entry(server.id.clone())
                .or_default()
                .next(server, &seen.moves)
            {
                Next::Wait => under_way += 1,
                Next::Move(way) => ready.push((server.id.clone(), way)),
                Next::Leave(why) => out.left.push(Left {
                    vm: server.id.clone(),
                    why,
                }),
            }
        }
        for (vm, way) in ready {
            if under_way < at_once.max(1) {
                under_way += 1;
                let asked = way.ask(client, &vm).await;
                say(format!(
                    "VM {vm}: {way}: {}",
                    asked
                        .as_ref()
                        .map_or_else(ToString::to_string, |()| "asked".to_owned())
                ));
                watched.entry(vm).or_default().asked(&asked, &seen.moves);
            }
        }
        if still.for_too_long(&seen) {
            let why = format!(
                "nothing has happened for {} minutes: see its tasks and moves",
                STILL.as_secs() / 60
            );
            let here = seen
                .servers
                .iter()
                .filter(|s| !out.left.iter().any(|l| l.vm == s.id));
            let here: Vec<Left> = here
                .map(|s| Left {
                    vm: s.id.clone(),
                    why: why.clone(),
                })
                .collect();
            out.left.extend(here);
            return Ok(out);
        }
        let waits = unconfirmed(host, &seen.moves).next().is_some();
        if under_way == 0 && !waits {
            return Ok(out);
        }
        sleep(LOOK).await;
    }
}

/// Takes a host out for new VMs, unless somebody did.
async fn disable(client: &Client, host: &str, say: &mut dyn FnMut(String)) -> Result<(), Error> {
    let found = service(client, host).await?;
    if found.enabled == Fact::Known(false) {
        return Ok(());
    }
    let change = ServiceChange {
        enabled: Some(false),
        reason: Some(DRAINED.to_owned()),
        forced_down: None,
    };
    client.change_service(id(&found)?, &change).await?;
    say(format!("{host} takes no new VMs"));
    Ok(())
}

/// Cold migrations from the host that wait for a word. Resizes wait for their owner's.
fn unconfirmed<'a>(host: &'a str, moves: &'a [Migration]) -> impl Iterator<Item = &'a Migration> {
    moves.iter().filter(move |m| {
        m.kind.known().is_some_and(|k| k == "migration")
            && m.status
                .known()
                .is_some_and(|s| s == "finished" || s == "confirming")
            && m.source.known().is_some_and(|s| s == host)
    })
}

async fn confirm(client: &Client, host: &str, seen: &Look, say: &mut dyn FnMut(String)) {
    for one in unconfirmed(host, &seen.moves) {
        let waits = match client.server(&one.vm).await {
            Fact::Known(server) => {
                server.vm_state.known().is_some_and(|s| s == "resized") && server.task_state == Fact::Absent
            }
            Fact::Absent | Fact::Unknown(_) => false,
        };
        if waits && let Err(error) = client.confirm(&one.vm).await {
            say(format!("VM {}: its migration is not confirmed: {error}", one.vm));
        }
    }
}

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

/// What a host lacks for VMs; enables it once nothing else is missing.
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
