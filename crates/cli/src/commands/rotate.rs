//! `quorate rotate`: secrets replaced while the cloud runs, each stage by `apply`.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use engines::Intent;

use super::apply::converge;
use crate::args::{ApplyArgs, RotateArgs, Rotated};
use crate::due;
use crate::failure::Failure;
use crate::project::Project;
use crate::rotate::{self, Authority};
use crate::runner::Runner;
use crate::say;

/// Runs it. Each stage is whole on all hosts before the next begins.
pub async fn run(args: &RotateArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.run.file, catalog)?;
    let mut run = Runner::open(project, &args.run, "rotate").await?;
    // What is not done yet of an earlier change would be mixed with this one.
    if !converge(&mut run, &args.run, Intent::Converge, &[]).await? {
        return Ok(ExitCode::from(1));
    }
    if args.what == Rotated::Keys && run.project.model.rings().is_empty() {
        return Err(Failure::Input(
            "error: no service of this cloud has a ring of keys\n\nhint: `certificates` and `authority` can be replaced".to_owned(),
        ));
    }
    replace(&mut run, &args.run, args.what).await?;
    say::outln!("{}: replaced", run.project.model.cloud.name.value);
    Ok(ExitCode::SUCCESS)
}

/// Replaces secrets on a cloud that is as its file says, under the run's locks. Who is
/// interrupted leaves word of it in the vault.
pub async fn replace(run: &mut Runner, args: &ApplyArgs, what: Rotated) -> Result<(), Failure> {
    let now = jiff::Timestamp::now();
    let rings = run.project.model.rings();
    let name = run.project.authority();
    loop {
        run.change_vault(|vault| {
            due::begin(vault, now)?;
            match what {
                Rotated::Certificates => rotate::certificates(vault),
                Rotated::Keys => rings.iter().for_each(|ring| rotate::ring(vault, ring)),
                Rotated::Authority => rotate::advance(vault, &name, now)?,
            }
            Ok(())
        })?;
        finish(run, args).await?;
        if what != Rotated::Authority || rotate::authority(&run.project.vault_as_saved()?) == Authority::One {
            break;
        }
    }
    Ok(())
}

/// Puts what the vault holds on all hosts.
///
/// # Errors
/// What `apply` has, and an operator who does not want it: the vault and the hosts
/// would else go on to differ.
pub async fn finish(run: &mut Runner, args: &ApplyArgs) -> Result<(), Failure> {
    if !converge(run, args, Intent::Converge, &[]).await? {
        return Err(Failure::world(
            "stopped: the vault has secrets that the hosts do not have yet",
            "`quorate apply` brings them there",
        ));
    }
    run.change_vault(|vault| {
        due::finished(vault);
        Ok(())
    })
}
