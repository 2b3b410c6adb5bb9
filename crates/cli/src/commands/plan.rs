//! `quorate plan`: what apply would do, and why.

use std::fmt::Write as _;
use std::process::ExitCode;

use camino::Utf8PathBuf;
use engines::{Intent, Refusal};
use fleet::Fill;
use plan::{Observed, Plan};

use crate::args::{Output, PlanArgs};
use crate::failure::Failure;
use crate::project::Project;
use crate::saved::Saved;
use crate::{say, seen, versions};

/// Fills a content and digests it.
pub fn digester(fill: &Fill, key: [u8; 32]) -> impl Fn(&[u8]) -> String {
    move |content: &[u8]| {
        let filled = std::str::from_utf8(content).ok().and_then(|t| fill(t).ok());
        wire::digest(&key, filled.as_deref().map_or(content, str::as_bytes))
    }
}

/// What of a plan belongs to these; all of it without one.
pub fn narrow(plan: Plan, targets: &[String]) -> Result<Plan, Failure> {
    if targets.is_empty() {
        return Ok(plan);
    }
    plan::part(&plan, targets).map_err(|unknown| {
        Failure::Input(format!(
            "error: nothing in the plan belongs to {}\n\nhint: a target is a host, a service, a resource or a step's name, as `quorate plan -o json` has them",
            unknown.join(", ")
        ))
    })
}

/// Makes a plan, or gives all reasons against one.
pub fn make(
    project: &Project,
    observed: &Observed,
    intent: Intent,
    fill: &Fill,
    key: [u8; 32],
) -> Result<Result<Plan, Vec<Refusal>>, Failure> {
    let digest = digester(fill, key);
    // Texts by which a file is known as this cloud's may hold secrets of its own.
    let mut desired = project.desired.clone();
    for host in desired.hosts.values_mut() {
        for file in &mut host.files {
            // Where a secret is not in the vault no host's file holds it: what is there is
            // another cloud's, and the placeholder is in none.
            if let Ok(filled) = fill(&file.identity) {
                file.identity = filled;
            }
        }
    }
    let plan = plan::plan(
        &desired,
        observed,
        intent,
        project.model.cloud.distribution.as_str(),
        &digest,
    );
    if let Ok(plan) = &plan {
        flawless(plan, &desired)?;
    }
    Ok(plan)
}

/// A plan that breaks a law is not shown as one that can be done, nor done.
fn flawless(plan: &Plan, desired: &render::Desired) -> Result<(), Failure> {
    let flaws = plan::lint(plan, desired);
    if flaws.is_empty() {
        return Ok(());
    }
    let words = flaws.iter().fold(String::new(), |out, flaw| {
        format!("{out}\n  {}: {} [{:?}]", flaw.step, flaw.what, flaw.law)
    });
    Err(Failure::world(
        format!("nothing was changed, since the plan breaks a law of its own:{words}"),
        "this is a fault of quorate: report it with the archive of `quorate support`",
    ))
}

/// All reasons against a plan as a failure.
pub fn refused(refusals: &[Refusal]) -> Failure {
    let mut hints = Vec::new();
    let mut message = String::from("nothing was changed, since:");
    for r in refusals {
        let _ = write!(message, "\n  {} [{}]", r.message, r.code);
        if !hints.contains(&r.cure) {
            hints.push(r.cure.clone());
        }
    }
    Failure::World { message, hints }
}

/// Runs it.
pub async fn run(args: &PlanArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.shown.file, catalog)?;
    let (fill, vault) = seen::filler(project.vault()?);
    let mut sessions = seen::connect(&project).await?;
    versions::refuse(&vault, &project.vault_path(), &versions::known(&sessions).await)?;
    let key = vault.digest_key()?;
    let mut observed = seen::observe(&project, &sessions, &fill, key, false).await?;
    let gone = seen::connect_gone(&project, &sessions, &observed, false).await?;
    if !gone.is_empty() {
        sessions.extend(gone);
        observed = seen::observe(&project, &sessions, &fill, key, false).await?;
    }
    let whole = make(&project, &observed, Intent::Converge, &fill, key)?;
    let whole = whole.map_err(|reasons| refused(&reasons))?;
    let mut plan = narrow(whole, &args.target)?;
    plan.outages = plan::outage(&plan, &project.desired, &crate::watch::measures(&project.state));
    if let Some(out) = &args.out {
        Saved::new(&project, &plan, &observed, &digester(&fill, key))?.write(out)?;
    }
    match args.shown.output {
        Output::Json => say::outln!("{}", serde_json::to_string_pretty(&plan)?),
        Output::Text => say::out!("{}", plan::show(&plan, !args.brief)),
    }
    Ok(if args.detailed_exitcode && !plan.is_empty() {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}
