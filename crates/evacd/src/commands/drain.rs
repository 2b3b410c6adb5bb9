//! A host emptied of VMs: for work on it, not for one that died.
//!
//! It goes on from whatever it finds: to be run again after being killed is how it is resumed.
//! A VM is asked to move once, then watched; at most so many move at a time.

mod watch;

use std::{collections::BTreeMap, time::Duration};

use openstack::{Cells, Client, Migration, MigrationFilter, Server, ServiceChange};
use tokio::time::{Instant, sleep};
use wire::Fact;

use super::{id, service};
use crate::Error;
use watch::{Next, Watched, Way, is_over};

/// Reason that a drained host is disabled for.
pub const DRAINED: &str = "drained by quorate";
/// Time between two looks; tests look more often.
pub(super) const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
/// Looks that may fail one after the other.
const BLIND: u32 = 60;
/// Time in which something has to change on the host.
const STILL: Duration = Duration::from_mins(15);

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
    /// VMs that left while it was looked at.
    pub moved: Vec<String>,
    /// VMs that could not: the host is empty where there are none.
    pub left: Vec<Left>,
}

/// VMs and moves of a host at one look.
struct Look {
    servers: Vec<Server>,
    moves: Vec<Migration>,
}

/// Keeps new VMs away from a host and moves all of its VMs elsewhere, so many at a time. `say`
/// hears of each step.
pub async fn empty(
    client: &Client,
    host: &str,
    at_once: usize,
    say: &mut dyn FnMut(String),
) -> Result<Emptied, Error> {
    let mut drain = Drain {
        client,
        host,
        at_once: at_once.max(1),
        say,
        watched: BTreeMap::new(),
        out: Emptied::default(),
        still: None,
    };
    drain.disable().await?;
    loop {
        let seen = drain.look().await?;
        if drain.step(&seen).await {
            return Ok(drain.out);
        }
        sleep(LOOK).await;
    }
}

/// A host that is being emptied.
struct Drain<'a> {
    client: &'a Client,
    host: &'a str,
    at_once: usize,
    say: &'a mut dyn FnMut(String),
    watched: BTreeMap<String, Watched>,
    out: Emptied,
    /// Last state, and since when it has been the same.
    still: Option<(String, Instant)>,
}

impl Drain<'_> {
    /// Takes the host out for new VMs, unless somebody did.
    async fn disable(&mut self) -> Result<(), Error> {
        let found = service(self.client, self.host).await?;
        if found.enabled == Fact::Known(false) {
            return Ok(());
        }
        let change = ServiceChange {
            enabled: Some(false),
            reason: Some(DRAINED.to_owned()),
            forced_down: None,
        };
        self.client.change_service(id(&found)?, &change).await?;
        (self.say)(format!("{} takes no new VMs", self.host));
        Ok(())
    }

    /// Looks until a look is whole.
    async fn look(&mut self) -> Result<Look, Error> {
        let mut blind = 0;
        loop {
            match look(self.client, self.host).await {
                Ok(seen) => return Ok(seen),
                Err(error) if blind < BLIND => {
                    blind += 1;
                    (self.say)(format!("cannot look at {}: {error}", self.host));
                    sleep(LOOK).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does what a look asks for; true: nothing is left to do, or nothing can be done.
    async fn step(&mut self, seen: &Look) -> bool {
        self.see_off(seen);
        // A move that is not over counts, whether or not its VM is still listed.
        let ending = self.endings(seen).await;
        let (mut under_way, ready) = self.sort(seen);
        under_way += ending.len();
        for (vm, way) in ready {
            if under_way < self.at_once {
                under_way += 1;
                self.ask(vm, way, &seen.moves).await;
            }
        }
        if under_way == 0 {
            return true;
        }
        if !self.is_still(seen) {
            return false;
        }
        let why = format!("nothing has happened for {} minutes", STILL.as_secs() / 60);
        let here = seen.servers.iter().map(|s| &s.id).chain(&ending);
        let stuck: Vec<Left> = here
            .filter(|vm| !self.out.left.iter().any(|l| l.vm == **vm))
            .map(|vm| Left {
                vm: vm.clone(),
                why: format!("{why}: see its task and its moves"),
            })
            .collect();
        self.out.left.extend(stuck);
        true
    }

    /// VMs that have left since the last look.
    fn see_off(&mut self, seen: &Look) {
        let here = |vm: &String| seen.servers.iter().any(|s| s.id == *vm);
        let gone: Vec<String> = self.watched.keys().filter(|vm| !here(vm)).cloned().collect();
        for vm in gone {
            self.watched.remove(&vm);
            (self.say)(format!("VM {vm} has left {}", self.host));
            self.out.moved.push(vm);
        }
    }

    /// How many VMs are under way, and those that may be asked to move; the rest is left.
    fn sort(&mut self, seen: &Look) -> (usize, Vec<(String, Way)>) {
        self.out.left.clear();
        let (mut under_way, mut ready) = (0, Vec::new());
        for server in &seen.servers {
            let vm = server.id.clone();
            let watched = self.watched.entry(vm.clone()).or_default();
            match watched.next(server, &seen.moves) {
                Next::Wait => under_way += 1,
                Next::Move(way) => ready.push((vm, way)),
                Next::Leave(why) => self.out.left.push(Left { vm, why }),
            }
        }
        (under_way, ready)
    }

    async fn ask(&mut self, vm: String, way: Way, moves: &[Migration]) {
        let answer = way.ask(self.client, &vm).await;
        let said = answer
            .as_ref()
            .map_or_else(ToString::to_string, |()| "asked for".to_owned());
        (self.say)(format!("VM {vm}: {way} {said}"));
        self.watched.entry(vm).or_default().asked(&answer, moves);
    }

    /// VMs that are no longer listed and whose move is not over. A cold migration waits for a
    /// word, which is given here; a resize waits for its owner's.
    async fn endings(&mut self, seen: &Look) -> Vec<String> {
        let mut out = Vec::new();
        let here = |vm: &str| seen.servers.iter().any(|s| s.id == vm);
        let host = self.host;
        let gone = |m: &&Migration| !here(&m.vm) && m.source.known().is_some_and(|s| s == host);
        for one in seen.moves.iter().filter(gone) {
            let word = |fact: &Fact<String>, is: &str| fact.known().is_some_and(|w| w == is);
            let open = one.status.known().is_none_or(|s| !is_over(s));
            let waits = word(&one.status, "finished") && word(&one.kind, "migration");
            let moves = open && !word(&one.kind, "evacuation");
            if moves || (waits && self.confirm(&one.vm).await) {
                out.push(one.vm.clone());
            }
        }
        out
    }

    /// Confirms a cold migration; true while it is not known to be over.
    async fn confirm(&mut self, vm: &str) -> bool {
        let server = match self.client.server(vm).await {
            Fact::Known(server) => server,
            Fact::Absent => return false,
            Fact::Unknown(_) => return true,
        };
        if server.task_state != Fact::Absent {
            return true;
        }
        if server.vm_state.known().is_none_or(|s| s != "resized") {
            // A row of long ago: the VM has gone on since.
            return false;
        }
        if let Err(error) = self.client.confirm(vm).await {
            (self.say)(format!("VM {vm}: its migration is not confirmed: {error}"));
        }
        true
    }

    /// True: nothing has changed for too long.
    fn is_still(&mut self, seen: &Look) -> bool {
        let servers = seen.servers.iter().map(|s| (&s.id, &s.task_state, &s.vm_state));
        let moves = seen.moves.iter().map(|m| (&m.id, &m.status));
        let (servers, moves): (Vec<_>, Vec<_>) = (servers.collect(), moves.collect());
        let now = format!("{servers:?} {moves:?}");
        match &self.still {
            Some((before, since)) if *before == now => since.elapsed() > STILL,
            _ => {
                self.still = Some((now, Instant::now()));
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
    let servers = client.servers_on(&cells, host);
    let (servers, moves) = tokio::try_join!(servers, client.migrations(&cells, &filter))?;
    Ok(Look { servers, moves })
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
