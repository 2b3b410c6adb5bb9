//! `quorate observe`: all facts of all hosts; nothing is changed.

use std::collections::BTreeMap;
use std::process::ExitCode;

use camino::Utf8PathBuf;
use serde::Serialize;
use wire::Facts;

use crate::args::{Output, Shown};
use crate::failure::Failure;
use crate::project::Project;
use crate::say;
use crate::seen;

#[derive(Serialize)]
struct Host<'a> {
    facts: Option<&'a Facts>,
    unreachable: Option<&'a str>,
}

/// Runs it.
pub async fn run(args: &Shown, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    let (fill, vault) = seen::filler(project.vault()?);
    let sessions = seen::connect(&project).await?;
    let observed = seen::observe(&project, &sessions, &fill, vault.digest_key()?, false).await?;
    match args.output {
        Output::Json => {
            let hosts: BTreeMap<&str, Host<'_>> = observed
                .iter()
                .map(|(h, f)| {
                    (
                        h.as_str(),
                        Host {
                            facts: f.as_ref().ok(),
                            unreachable: f.as_ref().err().map(String::as_str),
                        },
                    )
                })
                .collect();
            // The cluster's own configuration holds the passwords of fence devices.
            let text = serde_json::to_string_pretty(&hosts)?;
            let shown = seen::scrubber(&project, &vault)?.scrub(text.as_bytes());
            say::outln!("{}", String::from_utf8_lossy(&shown));
        }
        Output::Text => {
            for (host, facts) in &observed {
                match facts {
                    Err(why) => say::outln!("{host}: unreachable: {why}"),
                    Ok(f) => {
                        let files = f.files.values().filter(|x| x.known().is_some()).count();
                        let packages = f.packages.values().filter(|x| x.known().is_some()).count();
                        let os =
                            f.os.known()
                                .map_or_else(|| "?".to_owned(), |o| format!("{}-{}", o.id, o.version));
                        say::outln!(
                            "{host}: {os}, {} MiB memory, {files} of {} files, {packages} of {} packages, cluster {}",
                            f.memory_kib >> 10,
                            f.files.len(),
                            f.packages.len(),
                            if f.cluster.known().is_some() {
                                "running"
                            } else {
                                "not running"
                            }
                        );
                    }
                }
            }
        }
    }
    Ok(if observed.values().all(Result::is_ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}
