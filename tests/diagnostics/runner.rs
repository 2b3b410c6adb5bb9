//! Runs a folder of cases: `CODE/cloud.yaml` (with `--` for `::`) must give
//! findings of that code and no other, drawn as `CODE/expected.txt` says. Further
//! files of the folder are for whoever checks.
//!
//! Include it from a crate's test with `#[path]`; it is no crate, since it is a
//! hundred lines that only tests want. `QUORATE_BLESS=1` writes what is expected.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own code: to panic is to report, and not every test wants all of it"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diagnostic::{Diagnostic, Source, draw};

/// Runs all cases of a folder and panics with everything that is wrong.
pub fn run(folder: &Path, check: impl Fn(&Arc<Source>, &Path) -> Vec<Diagnostic>) {
    let bless = std::env::var_os("QUORATE_BLESS").is_some_and(|v| v == "1");
    let cases = cases(folder);
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| one(case, bless, &check).err())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// The folders of cases, in order.
pub fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

/// What lies in a case's folder beside its own file and what is expected, by name.
pub fn beside(case: &Path) -> Vec<(String, String)> {
    let own = ["cloud.yaml", "service.yaml", "expected.txt"];
    let mut files: Vec<(String, String)> = std::fs::read_dir(case)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), p))
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// The code that a case is for.
pub fn code(case: &Path) -> String {
    case.file_name()
        .unwrap()
        .to_string_lossy()
        .replacen("--", "::", 1)
}

fn one(
    case: &Path,
    bless: bool,
    check: impl Fn(&Arc<Source>, &Path) -> Vec<Diagnostic>,
) -> Result<(), String> {
    let code = code(case);
    // A case of the catalogue is a service.
    let name = if case.join("service.yaml").exists() {
        "service.yaml"
    } else {
        "cloud.yaml"
    };
    let text = std::fs::read_to_string(case.join(name)).map_err(|e| format!("{code}: {name}: {e}"))?;
    let findings = check(&Source::new(name, text), case);
    let drawn = draw(&findings, false, 100);
    if findings.is_empty() {
        return Err(format!("{code}: nothing was found"));
    }
    if let Some(other) = findings.iter().find(|f| f.code != code) {
        return Err(format!(
            "{code}: another code was found, {}:\n{drawn}",
            other.code
        ));
    }
    if let Some(mute) = findings
        .iter()
        .find(|f| f.help.is_none() && !code.starts_with("file::"))
    {
        return Err(format!("{code}: no cure is told: {mute}"));
    }
    let file = case.join("expected.txt");
    if bless {
        return std::fs::write(&file, drawn).map_err(|e| format!("{code}: {e}"));
    }
    let expected = std::fs::read_to_string(&file)
        .map_err(|e| format!("{code}: expected.txt: {e} (QUORATE_BLESS=1 writes it)"))?;
    if expected == drawn {
        return Ok(());
    }
    Err(format!(
        "{code}: drawn otherwise than expected.txt says (QUORATE_BLESS=1 accepts):\n{drawn}"
    ))
}
