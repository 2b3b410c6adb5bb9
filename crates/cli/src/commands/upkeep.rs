//! `quorate upkeep`: what is due now of the work that needs the vault, and nothing
//! else; for a timer. It applies nothing that its operator has not: a cloud that is
//! not as its file says keeps its secrets until somebody has looked at it.

use std::fs::TryLockError;
use std::io::Write as _;
use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use engines::Intent;
use jiff::Timestamp;

use super::{backup, rotate};
use crate::args::{ApplyArgs, BackupMake, Rotated, UpkeepArgs};
use crate::due::{self, Work};
use crate::failure::Failure;
use crate::project::Project;
use crate::runner::{Runner, whoami};
use crate::say;

/// Runs it.
pub async fn run(args: &UpkeepArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    if args.unit {
        say::out!("{}", units(&project, catalog)?);
        return Ok(ExitCode::SUCCESS);
    }
    let name = project.model.cloud.name.value.as_str().to_owned();
    // A cloud that was never applied from here has none, and is told so.
    project.vault_as_saved()?;
    let _lock = lock(&project)?;
    // Read under the lock: what another run has just done is not due any more.
    let vault = project.vault_as_saved()?;
    let now = Timestamp::now();
    // Where backups lie may be out of reach; keys are turned all the same, and a backup is
    // made whatever became of the keys.
    let newest = backup::newest(&project).await;
    let last = newest.as_ref().ok().copied().flatten();
    let due: Vec<Work> = plan(&project, &vault, last)
        .into_iter()
        .filter(|(_, at)| *at <= now)
        .map(|(work, _)| work)
        .collect();
    drop(vault);
    let secrets = secrets(&due, args, catalog).await;
    for work in secrets.iter().flatten() {
        say::outln!("{name}: {} done", work.says());
    }
    let saved = match newest {
        Ok(_) if due.contains(&Work::Backup) => {
            let make = BackupMake {
                file: args.file.clone(),
                to: None,
                keep: Some(project.model.cloud.upkeep.backup.keep),
            };
            backup::make(&make, catalog).await.map(|_| ())
        }
        Ok(_) => Ok(()),
        Err(failure) => Err(failure),
    };
    match (secrets, saved) {
        (Err(first), Err(second)) => {
            second.report();
            return Err(first);
        }
        (Err(one), Ok(())) | (Ok(_), Err(one)) => return Err(one),
        (Ok(_), Ok(())) => {}
    }
    let last = backup::newest(&project).await?;
    for (work, at) in plan(&project, &project.vault_as_saved()?, last) {
        say::outln!("{name}: {} due {}", work.says(), at.strftime("%Y-%m-%dT%H:%MZ"));
    }
    Ok(ExitCode::SUCCESS)
}

fn plan(project: &Project, vault: &vault::Vault, last: Option<Timestamp>) -> Vec<(Work, Timestamp)> {
    let upkeep = &project.model.cloud.upkeep;
    due::all(vault, &project.model.rings(), upkeep, last)
}

/// One at a time from here; the hosts' locks see to those from elsewhere.
fn lock(project: &Project) -> Result<fs_err::File, Failure> {
    let path = project.state.join("upkeep.lock");
    let mut file = fs_err::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)?;
    match file.file().try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let by = fs_err::read_to_string(&path)?;
            return Err(Failure::world(
                format!("the cloud's upkeep is under way: {}", by.trim()),
                "wait for it to end; its lock goes with it",
            ));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.file().set_len(0)?;
    let id = uuid::Uuid::now_v7().to_string();
    file.write_all(whoami("upkeep", &id).as_bytes())?;
    Ok(file)
}

/// Replaces what is due of the secrets; what was done.
async fn secrets(due: &[Work], args: &UpkeepArgs, catalog: &[Utf8PathBuf]) -> Result<Vec<Work>, Failure> {
    let works: Vec<Work> = due.iter().copied().filter(|w| *w != Work::Backup).collect();
    if works.is_empty() {
        return Ok(works);
    }
    let apply = ApplyArgs::of(&args.file, true);
    let project = Project::open(&args.file, catalog)?;
    let mut run = Runner::open(project, &apply, "upkeep").await?;
    // With it what expires soon is issued anew, in one write. Under the hosts' locks, which
    // also tell whether this copy is the newest.
    run.change_vault(|vault| due::begin(vault, Timestamp::now()))?;
    settled(&mut run).await?;
    // First what was begun: a ring is not turned over one that is not everywhere yet.
    rotate::finish(&mut run, &apply).await?;
    for work in &works {
        match work {
            // What was issued anew above went out with that.
            Work::Finish | Work::Certificates | Work::Backup => {}
            Work::Keys => rotate::replace(&mut run, &apply, Rotated::Keys).await?,
            Work::Authority => rotate::replace(&mut run, &apply, Rotated::Authority).await?,
        }
    }
    Ok(works)
}

/// That nothing differs but secrets.
async fn settled(run: &mut Runner) -> Result<(), Failure> {
    let observed = run.observe(false).await?;
    let plan = run.plan(&observed, Intent::Converge)?;
    let changes = plan.steps.iter().flat_map(|s| &s.changes);
    let mut foreign: Vec<&str> = changes
        .filter(|change| !change.is_of_secrets_alone())
        .map(|change| change.what.as_str())
        .collect();
    foreign.dedup();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Failure::world(
        format!(
            "the cloud is not as its file says, and upkeep applies nothing else: {}",
            foreign.join(", ")
        ),
        "`quorate plan` shows it; secrets are replaced once `quorate apply` has been run",
    ))
}

/// A word of a unit's command line.
fn quoted(word: &str) -> String {
    let word = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", word.replace('%', "%%").replace('$', "$$"))
}

/// A service and a timer for this machine, as files with their names above them.
fn units(project: &Project, catalog: &[Utf8PathBuf]) -> Result<String, Failure> {
    let whole =
        |path: &Utf8Path| -> Result<String, Failure> { Ok(quoted(path.canonicalize_utf8()?.as_str())) };
    let program = Utf8PathBuf::try_from(std::env::current_exe()?).map_err(std::io::Error::other)?;
    let mut command = vec![quoted(program.as_str())];
    for folder in catalog {
        command.extend(["--catalog".to_owned(), whole(folder)?]);
    }
    command.extend(["upkeep".to_owned(), whole(&project.file)?]);
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current())
        .map_err(std::io::Error::from)?
        .map_or_else(|| "root".to_owned(), |user| user.name);
    let (name, command) = (&project.model.cloud.name.value, command.join(" "));
    let unit = format!("quorate-upkeep-{name}");
    Ok(format!(
        "# /etc/systemd/system/{unit}.service\n\
         [Unit]\nDescription=Upkeep of the cloud {name}\nWants=network-online.target\nAfter=network-online.target\n\n\
         [Service]\nType=oneshot\nUser={user}\nExecStart={command}\n\n\
         # /etc/systemd/system/{unit}.timer\n\
         [Unit]\nDescription=Upkeep of the cloud {name}, as far as it is due\n\n\
         [Timer]\nOnCalendar=hourly\nRandomizedDelaySec=600\nPersistent=true\n\n\
         [Install]\nWantedBy=timers.target\n"
    ))
}
