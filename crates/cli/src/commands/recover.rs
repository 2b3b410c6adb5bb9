//! `quorate recover`: stores and services back after an outage; with `--without`, although
//! members of the stores never come back.
//!
//! Writes that only the lost hosts hold are then given up, so it is said which may be, and
//! asked. A store with a history of its own begins, and the cluster keeps a mark of each
//! lost host: should it return, what it holds is set aside.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use camino::Utf8PathBuf;
use engines::Intent;
use names::{HostName, ResourceId};
use plan::Observed;

use super::apply;
use crate::args::{ApplyArgs, RecoverArgs};
use crate::failure::Failure;
use crate::heard;
use crate::project::Project;
use crate::runner::Runner;
use crate::say;

/// Runs it.
pub async fn run(args: &RecoverArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    if args.without.is_empty() {
        return Box::pin(apply::run(&args.run, &[], catalog, Intent::Recover)).await;
    }
    Box::pin(without(args, catalog)).await
}

/// Has the operator type the names of what is to be given up; without a terminal to ask at,
/// `instead` names the option to say.
pub fn typed(names: &str, instead: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(no_terminal(names, instead));
    }
    say::out!("To go on, type {names}: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.split_whitespace().eq(names.split_whitespace()))
}

pub(super) fn no_terminal(names: &str, instead: &str) -> Failure {
    Failure::world(
        format!("there is no terminal to type {names} at, and nothing was changed"),
        format!("say `{instead}`"),
    )
}

/// Those named, which are members of the cluster, and another is left.
fn named(project: &Project, lost: &[String]) -> Result<Vec<HostName>, Failure> {
    if let Some(host) = lost
        .iter()
        .find(|h| !project.desired.hosts.contains_key(h.as_str()))
    {
        return Err(project.no_host(host));
    }
    if let Some(host) = lost.iter().find(|h| !project.desired.is_member(h)) {
        return Err(Failure::explained(
            "host::not-a-member",
            &format!("{host} is not a member of the cluster: no recovery waits for it"),
            "`quorate recover`",
        ));
    }
    let nodes = lost.iter().filter_map(|lost| {
        let mut nodes = project.desired.nodes.iter().map(|(name, _)| name);
        nodes.find(|name| *name == lost).cloned()
    });
    let nodes: Vec<HostName> = nodes.collect();
    if lost_of(project, &nodes).1 > 0 {
        return Ok(nodes);
    }
    Err(Failure::explained(
        "recover::nobody-left",
        &format!("without {} there is no member of the cluster", lost.join(" and ")),
        "bring one of them back; else make the cloud anew from a backup: `quorate restore`",
    ))
}

/// How many members are given up, and how many are left.
fn lost_of(project: &Project, lost: &[HostName]) -> (usize, usize) {
    let nodes = project.desired.nodes.iter();
    let gone = nodes.filter(|(name, _)| lost.contains(name)).count();
    (gone, project.desired.nodes.len() - gone)
}

/// Tells what it means that those left are no majority.
fn tell_of_majority(project: &Project, lost: &[HostName]) {
    let (gone, left) = lost_of(project, lost);
    if gone < left {
        return;
    }
    let names = lost.join(" and ");
    let fences = project.desired.cib.properties.get("stonith-enabled");
    let proof = if fences.is_some_and(|v| v == "true") {
        "nothing starts before their fence devices prove that they are off (`quorate host confirm-dead` where a device \
         is dead too)"
    } else {
        "the file has no fence devices, so nothing but your word proves that they are off"
    };
    say::errln!(
        "{names} are {gone} of the cluster's {} members: those left are no majority, and are given quorum by your word. \
         Should the lost run elsewhere and hear each other, there are two clouds; {proof}. Never switch them on together \
         with their old disks where they cannot hear the others",
        gone + left
    );
}

/// Stores of which a member serves: nothing of them is to be given up.
fn serving(project: &Project, observed: &Observed) -> Vec<ResourceId> {
    let seen = engines::seen(observed);
    let stores = project.desired.stores.iter();
    let serve = stores.filter(|s| engines::members(s, &seen).iter().any(|m| m.healthy));
    serve.map(|s| s.resource.clone()).collect()
}

async fn without(args: &RecoverArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let begin = std::time::Instant::now();
    let project = Project::open(&args.run.file, catalog)?;
    let lost = &named(&project, &args.without)?;
    let mut run = Runner::open(project, &args.run, "recover").await?;
    let mut heard = Vec::new();
    for host in lost {
        heard.extend(heard::paths(&run.project, &run.sessions, host).await);
    }
    if !heard.is_empty() {
        return Err(Failure::explained(
            "recover::answers",
            &format!(
                "nothing was changed, since what is to be given up may be alive:\n  {}\n",
                heard.join("\n  ")
            ),
            "bring it back and run `quorate recover`: it may hold the newest writes; or cut its power, if it is \
             to be given up",
        ));
    }
    // One look, by what is asked of those that are left.
    let given_up = run.project.desired.given_up(lost);
    let whole = std::mem::replace(&mut run.project.desired, given_up);
    let observed = run.observe(true).await?;
    let serve = serving(&run.project, &observed);
    let given_up = std::mem::replace(&mut run.project.desired, whole);
    // Of a majority that is lost more is to be done than for the stores.
    let (gone, left) = lost_of(&run.project, lost);
    if gone < left && serve.len() == run.project.desired.stores.len() {
        return Err(Failure::explained(
            "recover::serves",
            &format!(
                "nothing was changed: {} serve without {}",
                serve.join(" and "),
                lost.join(" and ")
            ),
            format!(
                "nothing is to be given up: `quorate host replace {}` lets an empty machine join under its name; \
                 `away: REASON` in the cloud file lets you change the cloud meanwhile",
                lost.join(" ")
            ),
        ));
    }
    let nodes = run.project.desired.nodes.iter();
    for (host, node) in nodes.filter(|(host, _)| lost.contains(host)) {
        for line in heard::last(&run.project, &run.sessions, host, *node).await {
            say::errln!("{line}");
        }
    }
    tell_of_majority(&run.project, lost);
    run.project.desired = given_up;
    let (_, plan) = run.plan_anew(observed, true, Intent::Recover).await?;
    for line in &plan.explain {
        say::errln!("{line}");
    }
    let names = lost.join(" ");
    say::errln!(
        "given up: {names}; what is there alone is lost, and its stores are set aside should it return"
    );
    if !args.run.yes && !typed(&names, "--yes")? {
        return Ok(ExitCode::from(1));
    }
    run.audit(&format!("gives up {names}")).await;
    let go_on = ApplyArgs {
        parallel: args.run.parallel,
        ..ApplyArgs::of(&args.run.file, true)
    };
    apply::converge(&mut run, &go_on, Intent::Recover, &[]).await?;
    say::outln!(
        "{}: {} changes in {:.1} s; it serves without {names}; `quorate host replace {}` lets an empty machine \
         join under its name",
        run.project.model.cloud.name.value,
        run.changed,
        begin.elapsed().as_secs_f64(),
        lost.first().map_or("", HostName::as_str)
    );
    Ok(ExitCode::SUCCESS)
}
