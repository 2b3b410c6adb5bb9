//! Units as they are and as they should be. Only what differs is changed, and
//! a job is waited for. Not for units of our own making (`run`).

use std::{collections::BTreeMap, path::Path};

use wire::{Fact, OpError, UnitChange, UnitFact};

use crate::{
    ops::Session,
    session::Progress,
    systemd::{Properties, Systemd, Verb, Why, journal},
};

/// Where an administrator's units are: a mask is a link here.
const ADMINISTRATOR: &str = "/etc/systemd/system";

/// Units asked for at a time, of each up to four properties: the bus refuses a
/// connection more than 128 answers under way (`max_replies_per_connection` of its
/// system.conf), and a manager that just reads its files again answers late.
const AT_ONCE: usize = 16;

/// Looks at units.
pub(crate) async fn facts(session: &Session, names: &[String]) -> BTreeMap<String, Fact<UnitFact>> {
    if names.is_empty() {
        return BTreeMap::new();
    }
    let systemd = match session.systemd().await {
        Ok(systemd) => systemd,
        Err(error) => {
            return names
                .iter()
                .map(|name| (name.clone(), Fact::Unknown(error.message.clone())))
                .collect();
        }
    };
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    match systemd.list(&asked).await {
        Ok(listed) => {
            let all: Vec<(&String, (String, String))> = names.iter().zip(listed).collect();
            let mut out = BTreeMap::new();
            for some in all.chunks(AT_ONCE) {
                let facts = some.iter().map(|(name, (load, active))| async move {
                    let fact = match fact(systemd, name, load.clone(), active.clone()).await {
                        Ok(fact) => fact,
                        Err(error) => Fact::Unknown(cannot_ask(name, &error)),
                    };
                    ((*name).clone(), fact)
                });
                out.extend(futures::future::join_all(facts).await);
            }
            out
        }
        Err(error) => names
            .iter()
            .map(|name| (name.clone(), Fact::Unknown(cannot_ask(name, &error))))
            .collect(),
    }
}

fn cannot_ask(name: &str, error: &zbus::Error) -> String {
    format!("cannot ask systemd of {name}: {}", Why(error))
}

async fn fact(systemd: &Systemd, name: &str, load: String, active: String) -> zbus::Result<Fact<UnitFact>> {
    if load == "not-found" {
        return Ok(Fact::Absent);
    }
    let file = systemd.unit_property(name, "UnitFileState");
    // Of what does not run there is nothing more to know.
    let (file, since, pid, restarts) = if active == "inactive" {
        (file.await?, 0, 0, 0)
    } else {
        let since = systemd.unit_property(name, "ActiveEnterTimestampMonotonic");
        if name.ends_with(".service") {
            let pid = systemd.service_property(name, "MainPID");
            let restarts = systemd.service_property(name, "NRestarts");
            tokio::try_join!(file, since, pid, restarts)?
        } else {
            let (file, since) = tokio::try_join!(file, since)?;
            (file, since, 0, 0)
        }
    };
    Ok(Fact::Known(UnitFact {
        load,
        active,
        file,
        pid,
        restarts,
        since,
    }))
}

/// Brings units to their state, in order; how many things are different now.
///
/// What is on disk comes first for all of them, so that nothing starts by a
/// unit file that is about to be masked.
pub(crate) async fn change(
    session: &Session,
    changes: &[UnitChange],
    progress: &Progress,
) -> Result<u32, OpError> {
    if changes.is_empty() {
        return Ok(0);
    }
    let systemd = session.systemd().await?;
    // A quarter of a second of the manager's time, with all its units.
    if !session.unit_files_read() {
        reload(systemd).await?;
    }
    let mut on_disk = 0;
    for change in changes {
        on_disk += files(systemd, change).await?;
    }
    if on_disk > 0 {
        reload(systemd).await?;
    }
    let mut jobs = 0;
    for change in changes {
        jobs += state(systemd, change, progress).await?;
    }
    Ok(on_disk + jobs)
}

async fn reload(systemd: &Systemd) -> Result<(), OpError> {
    systemd
        .manager
        .reload()
        .await
        .map_err(|error| OpError::new(format!("cannot reload systemd: {}", Why(&error))))
}

/// Masks, unmasks, enables, disables.
async fn files(systemd: &Systemd, change: &UnitChange) -> Result<u32, OpError> {
    let name = change.unit.as_str();
    let cannot =
        |verb: &str, error: &zbus::Error| OpError::new(format!("cannot {verb} {name}: {}", Why(error)));
    let mut changed = 0;
    if let Some(masked) = change.masked {
        let now = file_state(systemd, name).await;
        let is_masked = now.starts_with("masked");
        if masked && now != "masked" {
            if is_masked {
                // Only until the next boot: make it last.
                systemd
                    .manager
                    .unmask_unit_files(&[name], true)
                    .await
                    .map_err(|e| cannot("unmask", &e))?;
            }
            let path = Path::new(ADMINISTRATOR).join(name);
            if std::fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_symlink()) {
                let path = path.display();
                return Err(OpError::new(format!(
                    "cannot mask {name}: {path} is a file, and a mask is a link in its place"
                )));
            }
            systemd
                .manager
                .mask_unit_files(&[name], false, false)
                .await
                .map_err(|e| cannot("mask", &e))?;
            changed += 1;
        } else if !masked && is_masked {
            systemd
                .manager
                .unmask_unit_files(&[name], false)
                .await
                .map_err(|e| cannot("unmask", &e))?;
            if now == "masked-runtime" {
                systemd
                    .manager
                    .unmask_unit_files(&[name], true)
                    .await
                    .map_err(|e| cannot("unmask", &e))?;
            }
            changed += 1;
        }
    }
    if let Some(enabled) = change.enabled {
        let now = file_state(systemd, name).await;
        match (enabled, now.as_str()) {
            (true, "enabled" | "alias" | "generated")
            | (false, "disabled" | "static" | "indirect" | "masked" | "") => {}
            (true, "static") => {
                return Err(OpError::new(format!(
                    "cannot enable {name}: it has no [Install] section, so nothing would start it"
                )));
            }
            (true, "") => {
                return Err(OpError::new(format!(
                    "cannot enable {name}: there is no such unit"
                )));
            }
            (true, _) => {
                let (_, links) = systemd
                    .manager
                    .enable_unit_files(&[name], false, false)
                    .await
                    .map_err(|e| cannot("enable", &e))?;
                changed += u32::from(!links.is_empty());
            }
            (false, _) => {
                let links = systemd
                    .manager
                    .disable_unit_files(&[name], false)
                    .await
                    .map_err(|e| cannot("disable", &e))?;
                changed += u32::from(!links.is_empty());
            }
        }
    }
    Ok(changed)
}

/// As it is on disk now; the unit's own property is as of the last reload.
/// Empty where there is no such file.
async fn file_state(systemd: &Systemd, name: &str) -> String {
    systemd
        .manager
        .get_unit_file_state(name)
        .await
        .unwrap_or_default()
}

/// Starts, stops, restarts, reloads.
async fn state(systemd: &Systemd, change: &UnitChange, progress: &Progress) -> Result<u32, OpError> {
    let name = change.unit.as_str();
    if change.active.is_none() && !change.restart && !change.reload {
        return Ok(0);
    }
    let unit = look(systemd, name).await?;
    let active = unit.text("ActiveState");
    let up = matches!(active.as_str(), "active" | "reloading" | "refreshing");
    let verb = match change.active {
        Some(false) if matches!(active.as_str(), "inactive" | "failed") => return Ok(0),
        Some(false) => Verb::Stop,
        _ if change.restart => Verb::Restart,
        Some(true) if !up => Verb::Start,
        // What is not running has nothing to read again.
        _ if change.reload && up => Verb::Reload,
        _ => return Ok(0),
    };
    if unit.text("LoadState") == "not-found" {
        return Err(OpError::new(format!(
            "cannot {} {name}: there is no such unit here",
            verb.word()
        )));
    }
    if active == "failed" {
        // Also lifts the limit on starts in a row.
        let _ = systemd.manager.reset_failed_unit(name).await;
    }
    systemd.job(name, verb, progress).await?;
    if matches!(verb, Verb::Start | Verb::Restart) {
        verify(systemd, name, verb).await?;
    }
    Ok(1)
}

async fn look(systemd: &Systemd, name: &str) -> Result<Properties, OpError> {
    systemd
        .unit(name)
        .await
        .map_err(|error| OpError::new(cannot_ask(name, &error)))
}

/// A job ends as `done` also where a condition kept the unit from starting,
/// and where it failed right after.
async fn verify(systemd: &Systemd, name: &str, verb: Verb) -> Result<(), OpError> {
    let unit = look(systemd, name).await?;
    let why = match unit.text("ActiveState").as_str() {
        "failed" => "it failed right after",
        "inactive" if !unit.is("ConditionResult") => "a condition in its unit file does not hold here",
        _ => return Ok(()),
    };
    Err(OpError {
        tail: journal(name).await,
        command: Some(format!("systemctl {} {name}", verb.word())),
        ..OpError::new(format!("cannot {} {name}: {why}", verb.word()))
    })
}
