//! Each finding of this crate, drawn as an operator sees it: `tests/diagnostics`.

#[path = "../../../tests/diagnostics/runner.rs"]
mod runner;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/diagnostics")
}

#[test]
fn findings_are_drawn_as_expected() {
    runner::run(&root(), |source, _| cloud::parse(source).1);
}

/// A code without a case is a finding that nobody has looked at.
#[test]
fn every_code_has_a_case() {
    let mut codes = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut codes);
    let cases: BTreeSet<String> = runner::cases(&root()).iter().map(|c| runner::code(c)).collect();
    assert_eq!(codes, cases);
}

/// The string literals of the sources that look like a code.
#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, codes);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for literal in text
            .lines()
            .filter(|l| !l.trim_start().starts_with("//"))
            .flat_map(|l| l.split('"'))
        {
            let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if literal
                .split_once("::")
                .is_some_and(|(area, what)| word(area) && word(what))
            {
                codes.insert(literal.to_owned());
            }
        }
    }
}
