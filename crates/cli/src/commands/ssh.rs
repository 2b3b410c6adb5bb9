//! `quorate ssh HOST`: the operator's own ssh, told how to reach the host.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use camino::Utf8PathBuf;

use crate::args::SshArgs;
use crate::failure::Failure;
use crate::project::Project;

/// Runs it; does not come back when ssh could be started.
pub fn run(args: &SshArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    let targets = project.targets();
    let Some(target) = targets.iter().find(|t| t.name == args.host) else {
        return Err(project.no_host(&args.host));
    };
    let error = Command::new("ssh")
        .args(target.words())
        .args(&args.command)
        .exec();
    Err(Failure::world(
        format!("cannot run ssh: {error}"),
        "install OpenSSH's client",
    ))
}
