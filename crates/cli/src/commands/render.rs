//! `quorate render`: what each host would get, as files to read; secrets stay
//! placeholders. Golden tests compare just this. Beside it the budget of times, and what
//! losses cost.

use std::process::ExitCode;

use camino::Utf8PathBuf;

use crate::args::RenderArgs;
use crate::failure::Failure;
use crate::project::Project;
use crate::say;

/// Runs it.
pub fn run(args: &RenderArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    if args.to.exists() {
        return Err(Failure::Input(format!(
            "error: `{}` is there already\n\nhint: name a folder that is not",
            args.to
        )));
    }
    for (host, desired) in &project.desired.hosts {
        let folder = args.to.join(host.as_str());
        fs_err::create_dir_all(&folder)?;
        fs_err::write(folder.join("host.txt"), render::host_page(desired))?;
        for file in desired.files.iter().filter(|f| !f.write.directory) {
            let path = folder.join(file.write.path.trim_start_matches('/'));
            if let Some(parent) = path.parent() {
                fs_err::create_dir_all(parent)?;
            }
            fs_err::write(&path, &file.write.content)?;
        }
    }
    fs_err::write(
        args.to.join("cib.xml"),
        project.desired.cib.document(&project.desired.nodes),
    )?;
    fs_err::write(
        args.to.join("journeys.json"),
        serde_json::to_string_pretty(&project.desired.journeys)?,
    )?;
    let page = format!(
        "# The budget of {}\n\n{}",
        project.model.cloud.name.value,
        render::budget_page(&project.desired)
    );
    fs_err::write(args.to.join("budget.md"), page)?;
    let losses = plan::losses(&project.desired);
    let page = format!(
        "# What a loss costs in {}\n\nUntil when what a user begins after a fault comes to a good end again; \
         the names in brackets are numbers of budget.md.\n{}",
        project.model.cloud.name.value,
        plan::losses_page(&losses)
    );
    fs_err::write(args.to.join("losses.md"), page)?;
    fs_err::write(
        args.to.join("losses.json"),
        serde_json::to_string_pretty(&losses)?,
    )?;
    say::outln!("{}", args.to);
    Ok(ExitCode::SUCCESS)
}
