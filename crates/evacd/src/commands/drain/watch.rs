//! One VM on its way off a host: what is done with it next. Not for hosts.

use std::{fmt, time::Duration};

use openstack::{Client, Error, Migration, Server};
use tokio::time::Instant;
use wire::Fact;

/// Tries to move a VM after which it is left.
const TRIES: u32 = 3;
/// Time in which a request that was sent has to show itself.
const SHOWS: Duration = Duration::from_mins(1);

/// How a VM is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// While it runs.
    Live,
    /// With its power off.
    Cold,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live migration",
            Self::Cold => "cold migration",
        })
    }
}

impl Way {
    pub(super) async fn ask(self, client: &Client, vm: &str) -> Result<(), Error> {
        match self {
            Self::Live => client.live_migrate(vm, None).await,
            Self::Cold => client.migrate(vm).await,
        }
    }
}

/// Next step with a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It moves, or something else is done to it.
    Wait,
    /// It is to be asked to move.
    Move(Way),
    /// It cannot be moved.
    Leave(String),
}

/// Memory of a VM from looks before.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    tries: u32,
    /// Highest number of a move when it was last asked, and the moment.
    asked: Option<(u64, Instant)>,
    refused: Option<String>,
}

impl Watched {
    /// Keeps the answer to a request.
    pub(super) fn asked(&mut self, answer: &Result<(), Error>, moves: &[Migration]) {
        self.tries += 1;
        match answer {
            Ok(()) | Err(Error::Unknown(_)) => {
                let highest = moves.iter().filter_map(|m| m.number.known()).max();
                self.asked = Some((highest.copied().unwrap_or(0), Instant::now()));
                self.refused = None;
            }
            Err(error) => self.refused = Some(error.to_string()),
        }
    }

    /// The next step of a VM that is on the host.
    pub(super) fn next(&mut self, server: &Server, moves: &[Migration]) -> Next {
        let own = moves.iter().filter(|m| m.vm == server.id);
        let newest = own.max_by_key(|m| m.number.known().copied());
        let under_way = newest.is_some_and(|m| m.status.known().is_none_or(|s| !is_over(s)));
        if server.task_state != Fact::Absent || under_way {
            return Next::Wait;
        }
        if let Some((before, at)) = self.asked {
            let number = newest.and_then(|m| m.number.known().copied()).unwrap_or(0);
            if number <= before && at.elapsed() < SHOWS {
                return Next::Wait;
            }
            self.asked = None;
            let how = newest.filter(|_| number > before).and_then(|m| m.status.known());
            self.refused = Some(match how {
                Some(status) => format!("its move ended as {status}; see its log on the host"),
                None => format!("its move did not show itself within {} s", SHOWS.as_secs()),
            });
        }
        if self.tries >= TRIES {
            let why = self.refused.clone().unwrap_or_default();
            return Next::Leave(format!("tried {} times: {why}", self.tries));
        }
        match server.vm_state.known().map(String::as_str) {
            Some("active" | "paused") => Next::Move(Way::Live),
            Some("stopped") => Next::Move(Way::Cold),
            Some("resized") => {
                Next::Leave("a resize waits for its owner: `server resize confirm` or `revert`".to_owned())
            }
            Some("error") => Next::Leave("it is in ERROR: repair or delete it".to_owned()),
            Some("suspended") => Next::Leave("it is suspended: resume it first".to_owned()),
            Some("rescued") => Next::Leave("it is in rescue: unrescue it first".to_owned()),
            Some(other) => Next::Leave(format!("a VM that is {other} cannot be moved")),
            None => Next::Wait,
        }
    }
}

/// States of a move in which nothing is done any more.
pub(super) fn is_over(status: &str) -> bool {
    let over = [
        "completed",
        "done",
        "finished",
        "confirmed",
        "reverted",
        "error",
        "failed",
        "cancelled",
    ];
    over.contains(&status)
}
