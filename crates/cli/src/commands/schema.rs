//! `quorate schema`: the cloud file's JSON Schema, for editors.

use std::process::ExitCode;

use camino::Utf8PathBuf;

use crate::failure::Failure;
use crate::project::catalog;
use crate::say;

/// Runs it. Services and their settings are those of the catalogue with `overlays`.
pub fn run(overlays: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    say::outln!("{}", text(overlays)?);
    Ok(ExitCode::SUCCESS)
}

/// The schema as text.
pub fn text(overlays: &[Utf8PathBuf]) -> Result<String, Failure> {
    let (catalog, _) = catalog(overlays)?;
    Ok(serde_json::to_string_pretty(&model::schema(&catalog))?)
}
