//! `quorate explain`: what a finding means. Asks nobody and reads no file.

use std::process::ExitCode;

use crate::args::ExplainArgs;
use crate::failure::Failure;
use crate::say;

/// Runs it.
pub fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let Some(code) = &args.code else {
        for one in diagnostic::explanations() {
            say::outln!("{}", one.code);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(found) = diagnostic::explanations().find(|e| e.code == code) else {
        let near = diagnostic::did_you_mean(code, diagnostic::explanations().map(|e| e.code));
        let hint = near.map_or_else(
            || "`quorate explain` without a code lists them all".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(Failure::Input(format!(
            "error: there is no finding `{code}`\n\nhint: {hint}"
        )));
    };
    say::outln!("{}\n\n{}", found.code, found.text);
    Ok(ExitCode::SUCCESS)
}
