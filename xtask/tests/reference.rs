//! The generated pages of `docs/reference/` are as their sources make them;
//! `QUORATE_BLESS=1` writes them. And the sources are whole: each finding in the
//! code is explained, and nothing else is.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../tests/golden/compare.rs"]
mod compare;
#[path = "../../tests/diagnostics/runner.rs"]
mod runner;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use diagnostic::explanations;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The codes that stand in the code.
fn in_the_code() -> BTreeSet<String> {
    let crates = std::fs::read_dir(root().join("crates")).unwrap();
    let sources = crates.map(|c| c.unwrap().path().join("src"));
    sources.flat_map(|s| compare::codes(&s)).collect()
}

#[test]
fn every_finding_is_explained_and_no_other() {
    let explained: BTreeSet<String> = explanations().map(|e| e.code.to_owned()).collect();
    assert_eq!(in_the_code(), explained);
}

/// A case of a finding: its files and what is said of them. Those about hosts and
/// stores have none: they are not in a file.
fn case(code: &str) -> Option<(Vec<(String, String)>, String)> {
    let folder = code.replace("::", "--");
    let kinds = [
        "diagnostics",
        "diagnostics-model",
        "diagnostics-catalog",
        "diagnostics-render",
    ];
    let mut found = kinds.iter().map(|k| root().join("tests").join(k).join(&folder));
    let folder = found.find(|f| f.exists())?;
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let mut files = vec![(
        "yaml".to_owned(),
        read("cloud.yaml").or_else(|| read("service.yaml"))?,
    )];
    files.extend(runner::beside(&folder).into_iter().map(|(name, text)| {
        let kind = if name.rsplit('.').next() == Some("yaml") {
            "yaml"
        } else {
            "text"
        };
        (format!("{kind} title=\"{name}\""), text)
    }));
    Some((files, read("expected.txt")?))
}

#[test]
fn the_findings_page_is_as_its_table() {
    let mut page = String::from(
        "# Findings\n\n<!-- Generated from crates/diagnostic/src/findings.md and tests/diagnostics*: \
         QUORATE_BLESS=1 cargo test -p xtask --test reference -->\n\n\
         Everything that `quorate check`, `plan` and `apply` can say against a file or a cloud. \
         `quorate explain CODE` prints the same. A code never changes its meaning.\n",
    );
    for one in explanations() {
        write!(page, "\n## `{}`\n\n{}\n", one.code, one.text).unwrap();
        if let Some((files, said)) = case(one.code) {
            for (kind, file) in files {
                write!(page, "\n```{kind}\n{}\n```\n", file.trim_end()).unwrap();
            }
            write!(page, "\n```text\n{}\n```\n", said.trim_end()).unwrap();
        }
    }
    compare::text("docs/reference/findings.md", &page);
}
