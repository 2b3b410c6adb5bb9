//! `quorate restore`: a cloud with the databases of a backup. It is `apply` with
//! one step more: after the store is up and before schemas and services, the
//! databases are loaded. Everything that speaks against it is said before
//! anything is touched; after that, run again it goes on from what is there.

use std::process::ExitCode;

use backup::{DATABASES, Manifest, SCHEME, VAULT};
use camino::Utf8PathBuf;
use engines::Intent;
use fleet::Session;
use fleet::pieces::{self, IntoPieces, PIECES};
use render::DesiredRestore;
use tokio::sync::mpsc;
use vault::Vault;
use wire::Op;

use super::apply::{ask, converge};
use super::backup::failed;
use super::plan::{make, refused};
use crate::args::{ApplyArgs, RestoreArgs};
use crate::failure::Failure;
use crate::place;
use crate::project::Project;
use crate::runner::Runner;
use crate::{say, seen, versions};

/// Where the databases lie on the member that loads them.
const STAGED: &str = "/var/lib/quorate/restore/databases.sql.gz";

/// What speaks against this backup for this cloud, before any host is asked.
fn against(project: &Project, manifest: &Manifest) -> Vec<(&'static str, String)> {
    let cloud = &project.model.cloud;
    let mut out = Vec::new();
    if manifest.release != cloud.release.value {
        out.push((
            "restore::another-release",
            format!(
                "the backup is of release {}, the cloud of {}: its tables are others",
                manifest.release, cloud.release.value
            ),
        ));
    }
    if manifest.region != cloud.region.value {
        out.push((
            "restore::another-region",
            format!(
                "the backup is of region `{}`, the cloud of `{}`: what is stored names the region",
                manifest.region, cloud.region.value
            ),
        ));
    }
    let wanted = |name: &String| project.desired.databases.iter().any(|d| d.names.contains(name));
    for name in manifest.databases.iter().filter(|n| !wanted(n)) {
        out.push((
            "restore::no-service",
            format!("the backup holds the database `{name}`, for which the cloud has no service"),
        ));
    }
    if manifest.part(DATABASES).is_none() {
        out.push((
            "restore::nothing-there",
            "the backup holds no database".to_owned(),
        ));
    }
    out
}

/// The keys that may open the backup: the one that was named, and this cloud's.
fn identities(args: &RestoreArgs, project: &Project) -> Vec<Utf8PathBuf> {
    let named = args.identity.iter().cloned();
    named.chain(vault::identities(&project.state)).collect()
}

/// The vault that was saved with the databases.
fn saved_vault(args: &RestoreArgs, project: &Project) -> Result<(Manifest, Vault), Failure> {
    let identity = identities(args, project);
    let mut sealed = Vec::new();
    let manifest = backup::read_part(&args.backup, &identity, VAULT, &mut sealed)?;
    let name = args.backup.join(VAULT);
    let vault = Vault::read(&name, &sealed, &identity).map_err(backup::Error::Key)?;
    Ok((manifest, vault))
}

/// Brings the databases to the member that loads them, unless they are there.
async fn stage(
    args: &RestoreArgs,
    project: &Project,
    manifest: &Manifest,
    session: &Session,
) -> Result<(), Failure> {
    let host = &session.host;
    let part = manifest.part(DATABASES);
    let there = async || -> Result<bool, Failure> {
        let sum = pieces::sum(session, STAGED).await.map_err(|e| failed(host, e))?;
        Ok(sum.as_ref().map(|s| (s.size, s.blake3.as_str())) == part.map(|p| (p.size, p.blake3.as_str())))
    };
    if there().await? {
        return Ok(());
    }
    let (sender, waiting) = mpsc::channel(PIECES);
    let (path, identity) = (args.backup.clone(), identities(args, project));
    let reader = tokio::task::spawn_blocking(move || -> Result<(), backup::Error> {
        let mut out = IntoPieces::new(sender);
        backup::read_part(&path, &identity, DATABASES, &mut out)?;
        Ok(std::io::Write::flush(&mut out)?)
    });
    let pushed = pieces::push(session, STAGED, waiting).await;
    let read = reader.await.map_err(std::io::Error::other)?;
    pushed.map_err(|e| failed(host, e))?;
    read?;
    if there().await? {
        Ok(())
    } else {
        Err(Failure::world(
            format!("{host}: {STAGED} is not what was sent"),
            "is its disk sound? run it again",
        ))
    }
}

/// Runs it.
pub async fn run(args: &RestoreArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    if !args.backup.as_str().starts_with(SCHEME) {
        return Box::pin(load(args, project)).await;
    }
    let folder = place::fetch(&project, &args.backup).await?;
    let fetched = args.backup.file_name().map(|name| folder.path().join(name));
    let fetched = fetched.and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let args = RestoreArgs {
        backup: fetched.unwrap_or_default(),
        ..args.clone()
    };
    Box::pin(load(&args, project)).await
}

/// The same of a file that is here.
async fn load(args: &RestoreArgs, mut project: Project) -> Result<ExitCode, Failure> {
    let name = project.model.cloud.name.value.as_str().to_owned();
    if let Some(typed) = args.replace.as_ref().filter(|typed| **typed != name) {
        return Err(Failure::Input(format!(
            "error: `--replace {typed}` is not the name of this cloud\n\nhint: it is `{name}`"
        )));
    }
    let (manifest, saved) = saved_vault(args, &project)?;
    let against = against(&project, &manifest);
    if !against.is_empty() {
        return Err(Failure::input(
            &against,
            "nothing was touched; describe the cloud as the one that was backed up",
        ));
    }
    let id = manifest.backup_id()?;
    let Some(host) = project.desired.sql_hosts.first().cloned() else {
        return Err(Failure::world(
            "no host of the cloud file could load the databases of the backup: it has no database server"
                .to_owned(),
            "nothing was touched; describe the cloud as the one that was backed up",
        ));
    };
    let load = project
        .desired
        .sql_store()
        .and_then(|store| engines::load(store, &manifest.databases, STAGED, &id, args.replace.is_some()));
    project.desired.restore = load.map(|load| DesiredRestore {
        host: host.clone(),
        load,
    });
    refuse(&project, &saved, args.replace.is_some()).await?;
    say::errln!(
        "{name} gets the databases of {} from {}: {}",
        manifest.cloud,
        manifest.at,
        manifest.databases.join(", ")
    );
    if !args.yes && !ask()? {
        return Ok(ExitCode::from(1));
    }
    let begin = std::time::Instant::now();
    let apply = ApplyArgs {
        parallel: args.parallel,
        ..ApplyArgs::of(&args.file, true)
    };
    project.vault_for_change(None, |_| Ok(()))?;
    project.change_vault(|vault| {
        adopt(&project, vault, &saved);
        Ok(())
    })?;
    let mut run = Runner::open(project, &apply, "restore").await?;
    run.audit(&format!("backup {id} of {} from {}", manifest.cloud, manifest.at))
        .await;
    let Some(Ok(session)) = run.sessions.get(&host) else {
        return Err(Failure::world(
            format!("{host} cannot be reached"),
            "run it again",
        ));
    };
    stage(args, &run.project, &manifest, session).await?;
    converge(&mut run, &apply, Intent::Converge, &[]).await?;
    // Password hashes do not stay about once they are in the store; and who runs
    // this again after it has ended wants it again.
    let mut last = vec![Op::Remove(vec![STAGED.to_owned()])];
    last.extend(
        run.project
            .desired
            .restore
            .as_ref()
            .map(|r| r.load.forget.clone()),
    );
    for op in last {
        if let Some(Ok(session)) = run.sessions.get(&host) {
            session.call(op, None).await.map_err(|e| failed(&host, e))?;
        }
    }
    say::outln!(
        "{name}: {} changes in {:.1} s; the cloud has the databases of the backup",
        run.changed,
        begin.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

fn adopt(project: &Project, vault: &mut Vault, saved: &Vault) {
    for name in project.model.secrets_of_data() {
        vault.adopt(saved, &name);
    }
}

/// Everything that hosts say against it: as for `apply`, and databases that are not empty.
async fn refuse(project: &Project, saved: &Vault, over: bool) -> Result<(), Failure> {
    let sessions = seen::connect(project).await?;
    let mut vault = project.vault()?;
    versions::refuse(&vault, &project.vault_path(), &versions::known(&sessions).await)?;
    adopt(project, &mut vault, saved);
    let (fill, vault) = seen::filler(vault);
    let key = vault.digest_key()?;
    let observed = seen::observe(project, &sessions, &fill, key, false).await?;
    make(project, &observed, Intent::Converge, &fill, key)?.map_err(|reasons| refused(&reasons))?;
    let held = plan::held(observed.values().flatten());
    if !over && !held.is_empty() {
        let name = &project.model.cloud.name.value;
        return Err(Failure::explained(
            "restore::not-empty",
            &format!("{name}: the databases are not empty: {}", held.join(", ")),
            format!("nothing was touched; to lose what is in them, say `--replace {name}`"),
        ));
    }
    Ok(())
}
