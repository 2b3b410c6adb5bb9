//! `quorate status`: the cloud as it is, and how much more can be lost.

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use fleet::{Fill, Sessions};
use status::{Snapshot, Verdict};
use wire::{Op, Reply, Walked};

use super::backup::failed;
use crate::args::{Output, StatusArgs};
use crate::failure::Failure;
use crate::project::Project;
use crate::seen;

fn text(snapshot: &Snapshot) -> String {
    let mut lines = vec![format!(
        "{}: {} ({})",
        snapshot.cloud,
        snapshot.verdict.as_str(),
        snapshot.reason
    )];
    if !snapshot.next.is_empty() {
        lines.push(format!("next: {}", snapshot.next));
    }
    lines.extend(snapshot.remarks.iter().map(|r| format!("note: {r}")));
    lines.push(String::new());
    for m in &snapshot.members {
        let vips: Vec<String> = snapshot
            .vips
            .iter()
            .filter(|v| v.host.as_deref() == Some(m.host.as_str()))
            .map(|v| {
                let away = if v.is_away() {
                    format!(" (away from {})", v.home)
                } else {
                    String::new()
                };
                format!("{}{away}", v.address)
            })
            .collect();
        lines.push(format!("  {:<12} {:<12} {}", m.host, m.state, vips.join(" ")));
    }
    lines.push(String::new());
    for link in &snapshot.links {
        let silent: Vec<String> = link.silent.iter().map(|(a, b)| format!("{a} and {b}")).collect();
        let how = if silent.is_empty() {
            "connected".to_owned()
        } else {
            format!("silent between {}", silent.join(", "))
        };
        lines.push(format!("  {:<12} link {how}", link.network));
    }
    if !snapshot.beside.is_empty() {
        let hosts: Vec<String> = (snapshot.beside.iter())
            .map(|h| format!("{} {}", h.host, h.state))
            .collect();
        lines.push(format!("  {:<12} {}", "beside", hosts.join(", ")));
    }
    for store in &snapshot.stores {
        let members: Vec<String> = store
            .members
            .iter()
            .map(|m| format!("{} {}", m.host, m.state))
            .collect();
        lines.push(format!("  {:<12} {}", store.name, members.join(", ")));
    }
    for api in &snapshot.apis {
        lines.push(format!(
            "  {:<12} {} {} (on {})",
            api.service,
            api.url,
            api.detail,
            api.instances.join(", ")
        ));
    }
    if !snapshot.journeys.is_empty() {
        lines.push(String::new());
    }
    for walked in &snapshot.journeys {
        let how = match walked.failed {
            None => format!("{:.1} s", Duration::from_millis(walked.took_ms).as_secs_f64()),
            Some(_) => "fails".to_owned(),
        };
        lines.push(format!(
            "  {:<12} {:<6} {how}",
            walked.service,
            walked.kind.as_str()
        ));
    }
    if !snapshot.problems.is_empty() {
        lines.push(String::new());
        lines.extend(snapshot.problems.iter().map(|p| format!("  - {p}")));
    }
    lines.join("\n")
}

/// Looks once; with `journeys` all of them are walked besides.
pub async fn look(project: &Project, journeys: bool) -> Result<Snapshot, Failure> {
    let (fill, vault) = seen::filler(project.vault()?);
    let sessions = seen::connect(project).await?;
    let observed = seen::observe(project, &sessions, &fill, vault.digest_key()?, false).await?;
    let name = project.model.cloud.name.value.as_str();
    let snapshot = status::snapshot(name, &project.desired, project.no_fencing(), &observed);
    if !journeys {
        return Ok(snapshot);
    }
    let walked = walk(project, &sessions, &fill).await?;
    Ok(snapshot.walked(walked))
}

/// Has the first host that can be asked walk all journeys: what they need is behind
/// virtual addresses, which are the same from everywhere.
async fn walk(project: &Project, sessions: &Sessions, fill: &Fill) -> Result<Vec<Walked>, Failure> {
    let nobody = || Failure::world("no host could be asked to walk the journeys", "quorate ssh");
    let mut answering = sessions
        .iter()
        .filter_map(|(host, s)| Some((host, s.as_ref().ok()?)));
    let (host, session) = answering.next().ok_or_else(nobody)?;
    let mut op = Op::Walk(project.desired.journeys.clone());
    op.fill(&|text: &str| fill(text))
        .map_err(|e| Failure::world(e, "run `quorate apply`, which makes what is missing"))?;
    match session.call(op, None).await {
        Ok(Reply::Walked(walked)) => Ok(walked),
        Ok(_) => Err(Failure::world("the agent answered something else", "")),
        Err(error) => Err(failed(host, error)),
    }
}

/// Runs it. The exit status is that of the question, not of the verdict, but for `down`: 1.
pub async fn run(args: &StatusArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.shown.file, catalog)?;
    let snapshot = look(&project, args.journeys).await?;
    match args.shown.output {
        Output::Json => anstream::println!("{}", serde_json::to_string_pretty(&snapshot)?),
        Output::Text => anstream::println!("{}", text(&snapshot)),
    }
    Ok(if snapshot.verdict == Verdict::Down {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}
