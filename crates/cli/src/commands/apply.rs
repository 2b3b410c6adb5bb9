//! `quorate apply` and `quorate recover`: one machine with two intents.
//!
//! Lock, observe, plan, execute; then again, until a plan is empty: what was
//! done is looked at, never assumed. A plan that ends at a barrier, and a run
//! that was interrupted, are taken up the same way. A plan that was kept is done
//! as far as it still stands, and no further.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use camino::Utf8PathBuf;
use engines::Intent;
use plan::Plan;

use super::backup;
use super::plan::{digester, narrow};
use crate::args::ApplyArgs;
use crate::failure::Failure;
use crate::project::Project;
use crate::runner::Runner;
use crate::saved::Saved;
use crate::say;

/// After so many stages something undoes what we do.
const STAGES: usize = 8;

/// Whether the operator wants this.
pub fn agreed(plan: &Plan, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    say::out!("{}", plan::show(plan, true));
    ask()
}

/// Asks whoever sits there.
pub fn ask() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::world("there is nobody to ask", "say `--yes`"));
    }
    say::out!("Do this? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Runs it. `targets`: only what belongs to these; all without one.
pub async fn run(
    args: &ApplyArgs,
    targets: &[String],
    catalog: &[Utf8PathBuf],
    intent: Intent,
) -> Result<ExitCode, Failure> {
    let verb = match intent {
        Intent::Converge => "apply",
        Intent::Recover => "recover",
    };
    let begin = std::time::Instant::now();
    if let Some(saved) = Saved::read(&args.file)? {
        if intent == Intent::Recover || !targets.is_empty() {
            return Err(Failure::Input(format!(
                "error: `{}` is a plan: it is done as it is, by `quorate apply` without a target",
                args.file
            )));
        }
        return keep_to(&saved, args, catalog).await;
    }
    let mut run = Runner::open(Project::open(&args.file, catalog)?, args, verb).await?;
    if !converge(&mut run, args, intent, targets).await? {
        return Ok(ExitCode::from(1));
    }
    let so = if targets.is_empty() {
        "the cloud is as the file says".to_owned()
    } else {
        format!("{} is as the file says", targets.join(", "))
    };
    say::outln!(
        "{}: {} changes in {:.1} s; {so}",
        run.project.model.cloud.name.value,
        run.changed,
        begin.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// Plans and does, until there is nothing left to do. `false`: the operator did
/// not want it.
pub async fn converge(
    run: &mut Runner,
    args: &ApplyArgs,
    intent: Intent,
    targets: &[String],
) -> Result<bool, Failure> {
    for stage in 0..STAGES {
        let (observed, whole) = run.look(intent == Intent::Recover, intent).await?;
        let mut plan = match narrow(whole, targets) {
            // Once it is done there is nothing of its name any more.
            Err(_) if stage > 0 => Plan::default(),
            plan => plan?,
        };
        run.foretell(&mut plan);
        if plan.is_empty() {
            for line in &plan.explain {
                say::errln!("{line}");
            }
            run.seen().await;
            return Ok(true);
        }
        // A move that became due meanwhile was not in what was agreed to.
        if (stage == 0 || plan.moves()) && !agreed(&plan, args.yes)? {
            run.seen().await;
            return Ok(false);
        }
        if stage == 0 && plan.members {
            backup::before_members(run, &observed).await?;
        }
        run.stage(&plan, &observed).await?;
    }
    run.seen().await;
    Err(Failure::world(
        format!("after {STAGES} stages there is still something to do"),
        "`quorate plan` shows what keeps changing",
    ))
}

/// Does a plan that was kept.
async fn keep_to(saved: &Saved, args: &ApplyArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let begin = std::time::Instant::now();
    let project = Project::open(&saved.file, catalog)?;
    {
        // Before a host is touched, its lock included.
        let (fill, vault) = crate::seen::filler(project.vault()?);
        saved.belongs(&project, &digester(&fill, vault.digest_key()?))?;
    }
    let mut run = Runner::open(project, args, "apply").await?;
    let observed = run.observe(false).await?;
    let fresh = run.plan(&observed, Intent::Converge)?;
    let (mut plan, refused) = {
        let digest = digester(&run.fill, run.key);
        saved.stands(&fresh, &observed, &digest)
    };
    run.foretell(&mut plan);
    for refused in &refused {
        say::errln!("not done: {}: {}", refused.step, refused.why);
    }
    if !plan.is_empty() {
        if !agreed(&plan, args.yes)? {
            return Ok(ExitCode::from(1));
        }
        if plan.members {
            backup::before_members(&run, &observed).await?;
        }
        run.stage(&plan, &observed).await?;
        run.seen().await;
    }
    say::outln!(
        "{}: {} changes in {:.1} s; the plan is done{}",
        run.project.model.cloud.name.value,
        run.changed,
        begin.elapsed().as_secs_f64(),
        if plan.barrier {
            ", and `quorate plan` shows what comes next"
        } else {
            ""
        }
    );
    if refused.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::world(
        format!(
            "{} of the plan's steps were not done: the cloud is not as it was when it was made",
            refused.len()
        ),
        "make it again: `quorate plan --out`",
    ))
}
