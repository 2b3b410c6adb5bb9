//! `quorate rotate`: secrets replaced while the cloud runs, each stage by `apply`.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use engines::Intent;

use super::apply::converge;
use crate::args::{RotateArgs, Rotated};
use crate::failure::Failure;
use crate::project::Project;
use crate::rotate::{self, Authority};
use crate::runner::Runner;

/// Runs it. Each stage is whole on all hosts before the next begins.
pub async fn run(args: &RotateArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let open = async || {
        let project = Project::open(&args.run.file, catalog)?;
        Runner::open(project, &args.run, "rotate").await
    };
    let finish = async || {
        let mut run = open().await?;
        converge(&mut run, &args.run, Intent::Converge, &[])
            .await
            .map(|_| ())
    };
    // What is not done yet of an earlier change would be mixed with this one.
    finish().await?;
    let project = Project::open(&args.run.file, catalog)?;
    match args.what {
        Rotated::Certificates => {
            project.change_vault(|vault| {
                rotate::certificates(vault);
                Ok(())
            })?;
            finish().await?;
        }
        Rotated::Keys => {
            let rings = project.model.rings();
            if rings.is_empty() {
                return Err(Failure::Input(
                    "error: no service of this cloud has a ring of keys\n\nhint: `certificates` and `authority` can be replaced".to_owned(),
                ));
            }
            project.change_vault(|vault| {
                for ring in &rings {
                    rotate::ring(vault, ring);
                }
                Ok(())
            })?;
            finish().await?;
        }
        Rotated::Authority => {
            let name = project.authority();
            loop {
                project.change_vault(|vault| rotate::advance(vault, &name, jiff::Timestamp::now()))?;
                finish().await?;
                if rotate::authority(&project.vault()?) == Authority::One {
                    break;
                }
            }
        }
    }
    anstream::println!("{}: replaced", project.model.cloud.name.value);
    Ok(ExitCode::SUCCESS)
}
