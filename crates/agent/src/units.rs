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

/// A change of a mask: a link in the administrator's place, or one until the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mask {
    Set,
    Lift,
    LiftUntilBoot,
}

/// Changes of the mask of a unit whose file is in this state.
fn masks(masked: bool, now: &str) -> &'static [Mask] {
    match (masked, now) {
        // Only until the next boot: make it last.
        (true, "masked-runtime") => &[Mask::LiftUntilBoot, Mask::Set],
        (false, "masked-runtime") => &[Mask::Lift, Mask::LiftUntilBoot],
        (false, now) if now.starts_with("masked") => &[Mask::Lift],
        (true, "masked") | (false, _) => &[],
        (true, _) => &[Mask::Set],
    }
}

/// True if a unit whose file is in this state has to be enabled or disabled.
///
/// # Errors
/// The reason why it cannot be enabled.
fn enabling(enabled: bool, now: &str) -> Result<bool, &'static str> {
    match (enabled, now) {
        (true, "enabled" | "alias" | "generated")
        | (false, "disabled" | "static" | "indirect" | "masked" | "") => Ok(false),
        (true, "static") => Err("it has no [Install] section, so nothing would start it"),
        (true, "") => Err("there is no such unit"),
        _ => Ok(true),
    }
}

/// Masks, unmasks, enables, disables.
async fn files(systemd: &Systemd, change: &UnitChange) -> Result<u32, OpError> {
    let name = change.unit.as_str();
    let cannot =
        |verb: &str, error: &zbus::Error| OpError::new(format!("cannot {verb} {name}: {}", Why(error)));
    let mut changed = 0;
    if let Some(masked) = change.masked {
        let todo = masks(masked, &file_state(systemd, name).await);
        for mask in todo {
            match mask {
                Mask::Set => self::mask(systemd, name).await?,
                Mask::Lift | Mask::LiftUntilBoot => {
                    let runtime = *mask == Mask::LiftUntilBoot;
                    let lifted = systemd.manager.unmask_unit_files(&[name], runtime).await;
                    lifted.map_err(|e| cannot("unmask", &e))?;
                }
            }
        }
        changed += u32::from(!todo.is_empty());
    }
    if let Some(enabled) = change.enabled {
        let todo = enabling(enabled, &file_state(systemd, name).await)
            .map_err(|why| OpError::new(format!("cannot enable {name}: {why}")))?;
        if todo && enabled {
            let (_, links) = systemd
                .manager
                .enable_unit_files(&[name], false, false)
                .await
                .map_err(|e| cannot("enable", &e))?;
            changed += u32::from(!links.is_empty());
        } else if todo {
            let links = systemd
                .manager
                .disable_unit_files(&[name], false)
                .await
                .map_err(|e| cannot("disable", &e))?;
            changed += u32::from(!links.is_empty());
        }
    }
    Ok(changed)
}

async fn mask(systemd: &Systemd, name: &str) -> Result<(), OpError> {
    let path = Path::new(ADMINISTRATOR).join(name);
    if std::fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_symlink()) {
        let path = path.display();
        return Err(OpError::new(format!(
            "cannot mask {name}: {path} is a file, and a mask is a link in its place"
        )));
    }
    let masked = systemd.manager.mask_unit_files(&[name], false, false).await;
    masked.map_err(|error| OpError::new(format!("cannot mask {name}: {}", Why(&error))))?;
    Ok(())
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

/// The job of a unit in this `ActiveState`; none where it is as it should be.
fn job(change: &UnitChange, active: &str) -> Option<Verb> {
    let up = matches!(active, "active" | "reloading" | "refreshing");
    let down = matches!(active, "inactive" | "failed");
    match change.active {
        Some(false) => (!down).then_some(Verb::Stop),
        _ if change.restart => Some(Verb::Restart),
        Some(true) if !up => Some(Verb::Start),
        // A unit that does not run has nothing to read again.
        _ => (change.reload && up).then_some(Verb::Reload),
    }
}

/// Starts, stops, restarts, reloads.
async fn state(systemd: &Systemd, change: &UnitChange, progress: &Progress) -> Result<u32, OpError> {
    let name = change.unit.as_str();
    if change.active.is_none() && !change.restart && !change.reload {
        return Ok(0);
    }
    let unit = look(systemd, name).await?;
    let active = unit.text("ActiveState");
    let Some(verb) = job(change, &active) else {
        return Ok(0);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_brought_to_its_state_by_one_job() {
        let check = |active, restart, reload, now: &str, expect| {
            let change = UnitChange {
                unit: "a.service".to_owned(),
                active,
                restart,
                reload,
                ..UnitChange::default()
            };
            assert_eq!(job(&change, now), expect, "{change:?} of one that is {now}");
        };
        check(Some(true), false, false, "active", None);
        check(Some(true), false, false, "inactive", Some(Verb::Start));
        check(Some(true), false, false, "failed", Some(Verb::Start));
        // It may never come to its end.
        check(Some(true), false, false, "activating", Some(Verb::Start));
        check(Some(true), false, false, "deactivating", Some(Verb::Start));
        check(Some(false), false, false, "inactive", None);
        check(Some(false), false, false, "failed", None);
        check(Some(false), false, false, "active", Some(Verb::Stop));
        check(Some(false), false, false, "activating", Some(Verb::Stop));
        // To stop it is stronger than any other wish.
        check(Some(false), true, true, "active", Some(Verb::Stop));
        check(Some(false), true, true, "inactive", None);
        check(None, true, false, "active", Some(Verb::Restart));
        check(None, true, false, "inactive", Some(Verb::Restart));
        check(Some(true), true, true, "active", Some(Verb::Restart));
        check(None, false, true, "active", Some(Verb::Reload));
        check(Some(true), false, true, "reloading", Some(Verb::Reload));
        check(Some(true), false, true, "inactive", Some(Verb::Start));
        for down in ["inactive", "failed", "activating", "deactivating"] {
            check(None, false, true, down, None);
        }
        check(None, false, false, "active", None);
    }

    #[test]
    fn a_mask_lasts_and_leaves_whole() {
        assert_eq!(masks(true, "enabled"), [Mask::Set]);
        assert_eq!(masks(true, ""), [Mask::Set]);
        assert_eq!(masks(true, "masked"), []);
        assert_eq!(masks(true, "masked-runtime"), [Mask::LiftUntilBoot, Mask::Set]);
        assert_eq!(masks(false, "masked"), [Mask::Lift]);
        assert_eq!(masks(false, "masked-runtime"), [Mask::Lift, Mask::LiftUntilBoot]);
        assert_eq!(masks(false, "enabled"), []);
        assert_eq!(masks(false, ""), []);
    }

    #[test]
    fn what_cannot_be_enabled_says_why() {
        for now in ["enabled", "alias", "generated"] {
            assert_eq!(enabling(true, now), Ok(false), "{now}");
            assert_eq!(enabling(false, now), Ok(true), "{now}");
        }
        for now in ["disabled", "indirect", "masked", "linked", "enabled-runtime"] {
            assert_eq!(enabling(true, now), Ok(true), "{now}");
        }
        for now in ["disabled", "static", "indirect", "masked", ""] {
            assert_eq!(enabling(false, now), Ok(false), "{now}");
        }
        assert!(enabling(true, "static").unwrap_err().contains("[Install]"));
        assert!(enabling(true, "").unwrap_err().contains("no such unit"));
    }
}
