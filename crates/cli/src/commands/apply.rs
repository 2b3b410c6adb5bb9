//! `quorate apply` and `quorate recover`: one machine with two intents.
//!
//! Lock, observe, plan, execute; then again, until a plan is empty: what was
//! done is looked at, never assumed. A plan that ends at a barrier, and a run
//! that was interrupted, are taken up the same way.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use camino::Utf8PathBuf;
use engines::Intent;
use fleet::{CallError, Sessions, Stop};
use plan::Plan;
use wire::Op;

use super::plan::make;
use crate::args::ApplyArgs;
use crate::failure::Failure;
use crate::project::Project;
use crate::{seen, steps};

/// After so many stages something undoes what we do.
const STAGES: usize = 8;

/// Takes every reachable host's lock; the first that is held ends it.
async fn lock(sessions: &Sessions, owner: &str) -> Result<(), Failure> {
    for (host, session) in sessions {
        let Ok(session) = session else { continue };
        match session
            .call(
                Op::Lock {
                    owner: owner.to_owned(),
                },
                None,
            )
            .await
        {
            Ok(_) => {}
            Err(CallError::Failed(error)) => {
                let by = error.held_by.clone().unwrap_or_else(|| error.to_string());
                return Err(Failure::world(
                    format!("{host} is being changed by another run: {}", by.trim()),
                    "wait for it to end; its lock goes with its connection",
                ));
            }
            Err(CallError::Lost) => {
                return Err(Failure::world(
                    format!("{host}: the connection was lost"),
                    "run it again",
                ));
            }
        }
    }
    Ok(())
}

async fn audit(sessions: &Sessions, line: &str) {
    for session in sessions.values().flatten() {
        // A host that lost its connection has a failed step to tell of it.
        let _ = session.call(Op::Audit(line.to_owned()), None).await;
    }
}

fn agreed(plan: &Plan, args: &ApplyArgs) -> Result<bool, Failure> {
    if args.yes {
        return Ok(true);
    }
    anstream::print!("{}", plan::show(plan, true));
    if !std::io::stdin().is_terminal() {
        return Err(Failure::world("there is nobody to ask", "say `--yes`"));
    }
    anstream::print!("Do this? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Who runs this, for locks and audit lines.
fn whoami(verb: &str, id: &str) -> String {
    let user = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "root".to_owned());
    let machine = nix::unistd::gethostname()
        .map(|h| h.to_string_lossy().into_owned())
        .unwrap_or_default();
    format!("{user}@{machine} {verb} run {id}")
}

/// Runs it.
pub async fn run(args: &ApplyArgs, catalog: &[Utf8PathBuf], intent: Intent) -> Result<ExitCode, Failure> {
    let verb = match intent {
        Intent::Converge => "apply",
        Intent::Recover => "recover",
    };
    let begin = std::time::Instant::now();
    let project = Project::open(&args.file, catalog)?;
    let id = uuid::Uuid::now_v7().to_string();
    let sessions = seen::connect(&project).await?;
    let who = whoami(verb, &id);
    lock(&sessions, &who).await?;
    let (vault, made) = project.vault_for_change(args.seed)?;
    let (fill, vault) = seen::filler(vault);
    let key = vault.digest_key()?;
    let stop = steps::interrupts();
    let mut changed = 0;
    for stage in 0..STAGES {
        let observed = seen::observe(&project, &sessions, &fill, key, intent == Intent::Recover).await?;
        let plan = match make(&project, &observed, intent, &fill, key) {
            Ok(plan) => plan,
            Err(refused) => {
                if made && stage == 0 {
                    project.forget_vault()?;
                }
                return Err(refused);
            }
        };
        for line in &plan.explain {
            anstream::eprintln!("{line}");
        }
        if plan.is_empty() {
            anstream::println!(
                "{}: {changed} changes in {:.1} s; the cloud is as the file says",
                project.model.cloud.name.value,
                begin.elapsed().as_secs_f64()
            );
            return Ok(ExitCode::SUCCESS);
        }
        // A move that became due meanwhile was not in what was agreed to.
        if (stage == 0 || plan.moves()) && !agreed(&plan, args)? {
            return Ok(ExitCode::from(1));
        }
        audit(
            &sessions,
            &format!("{who}: stage {stage}, {} steps", plan.steps.len()),
        )
        .await;
        let journal = if stage == 0 {
            id.clone()
        } else {
            format!("{id}.{stage}")
        };
        let summary = steps::run(
            &plan,
            &sessions,
            &fill,
            &project.state,
            &journal,
            args.parallel,
            stop.clone(),
        )
        .await?;
        changed += summary.changed;
        audit(
            &sessions,
            &format!(
                "{who}: stage {stage} ended, {} changed, {} failed",
                summary.changed, summary.failed
            ),
        )
        .await;
        if summary.failed > 0 {
            return Err(Failure::world(
                format!("{} steps failed, {} were not begun", summary.failed, summary.left),
                format!("mend it and run `quorate {verb}` again: it goes on from what is there"),
            ));
        }
        if *stop.borrow() == Stop::AfterStepsInFlight {
            return Err(Failure::world(
                "stopped",
                format!("run `quorate {verb}` again: it goes on from what is there"),
            ));
        }
    }
    Err(Failure::world(
        format!("after {STAGES} stages there is still something to do"),
        "`quorate plan` shows what keeps changing",
    ))
}
