//! Words of a person that the engine heeds: release, pause, a death confirmed. Not for what it
//! does with them.

use std::time::Duration;

use evac::{BootId, HostId};
use wire::Fact;

use super::Desk;
use crate::{
    Error,
    store::{People as _, Word},
};

/// Age of a heartbeat below which a host is not believed to be dead, in ms.
const HEARD_MS: u64 = 3_000;

/// Releases the brakes for a time.
pub async fn release(desk: &Desk, time: Duration) -> Result<(), Error> {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(desk.store.say(Word::Release, Some(ms), &desk.by).await?)
}

/// Has the engine do nothing until it is resumed.
pub async fn pause(desk: &Desk) -> Result<(), Error> {
    Ok(desk.store.say(Word::Pause, None, &desk.by).await?)
}

/// Has the engine go on, with all brakes.
pub async fn resume(desk: &Desk) -> Result<(), Error> {
    desk.store.say(Word::Release, Some(0), &desk.by).await?;
    Ok(desk.store.say(Word::Pause, Some(0), &desk.by).await?)
}

/// Keeps a person's word that a host is dead, for the boot that was heard last. Refused while
/// it is heard.
pub async fn confirm(desk: &Desk, host: &str) -> Result<Option<BootId>, Error> {
    desk.host(host)?;
    let tables = heartbeat::ask(&desk.config.observer)
        .await
        .map_err(|e| Error::Refused(e.to_string()))?;
    let all = std::iter::once(&tables.own).chain(tables.peers.iter().map(|p| &p.table));
    let told = all.flat_map(|t| &t.hosts).filter(|h| h.host.as_str() == host);
    let mut last: Option<(u64, BootId)> = None;
    for one in told {
        let ages = one.paths.iter().filter_map(|p| p.age_ms.known().copied());
        let (Some(age), Fact::Known(boot)) = (ages.min(), &one.boot) else {
            continue;
        };
        if last.as_ref().is_none_or(|(least, _)| age < *least) {
            last = Some((age, BootId::from(boot.as_str())));
        }
    }
    match last {
        Some((age, _)) if age < HEARD_MS => Err(Error::Refused(format!(
            "{host} was heard {age} ms ago: it is alive. Cut its power first, or wait until it is silent"
        ))),
        last => {
            let boot = last.map(|(_, boot)| boot);
            desk.store
                .confirm(&HostId::from(host), boot.as_ref(), &desk.by)
                .await?;
            Ok(boot)
        }
    }
}
