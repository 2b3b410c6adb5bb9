//! `quorate check`: everything that is wrong with a cloud file, at once.

use std::process::ExitCode;

use camino::Utf8Path;

use crate::args::{Output, Shown};
use crate::failure::Failure;
use crate::project::{draw, load};

/// Runs it. Findings go to standard error as text, to standard output as JSON.
pub fn run(args: &Shown, catalog: Option<&Utf8Path>) -> Result<ExitCode, Failure> {
    let (project, findings) = load(&args.file, catalog)?;
    let good = project.is_some();
    match args.output {
        Output::Json => anstream::println!("{}", serde_json::to_string_pretty(&findings)?),
        Output::Text => {
            if !findings.is_empty() {
                anstream::eprint!("{}", draw(&findings));
            }
            if let Some(project) = project {
                let services = project
                    .model
                    .services
                    .values()
                    .filter(|p| !p.service.foundation)
                    .count();
                anstream::println!(
                    "{}: {} hosts, {services} services, {} virtual addresses: good",
                    args.file,
                    project.model.cloud.hosts.len(),
                    project.model.vips.len()
                );
            }
        }
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}
