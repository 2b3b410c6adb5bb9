//! `quorate status`: the cloud as it is, and how much more can be lost.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use status::{Snapshot, Verdict};

use crate::args::{Output, Shown};
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
    if !snapshot.problems.is_empty() {
        lines.push(String::new());
        lines.extend(snapshot.problems.iter().map(|p| format!("  - {p}")));
    }
    lines.join("\n")
}

/// Looks once.
pub async fn look(project: &Project) -> Result<Snapshot, Failure> {
    let (fill, vault) = seen::filler(project.vault()?);
    let sessions = seen::connect(project).await?;
    let observed = seen::observe(project, &sessions, &fill, vault.digest_key()?, false).await?;
    let name = project.model.cloud.name.value.as_str();
    Ok(status::snapshot(
        name,
        &project.desired,
        project.no_fencing(),
        &observed,
    ))
}

/// Runs it. The exit status is that of the question, not of the verdict, but for `down`: 1.
pub async fn run(args: &Shown, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    let snapshot = look(&project).await?;
    match args.output {
        Output::Json => anstream::println!("{}", serde_json::to_string_pretty(&snapshot)?),
        Output::Text => anstream::println!("{}", text(&snapshot)),
    }
    Ok(if snapshot.verdict == Verdict::Down {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}
