//! Plain English in documentation comments, as far as a pattern can tell.
//!
//! Not a judge of style: it counts one habit that a reader has to translate, a
//! relative clause in place of the noun ("What it goes by." for "Name of the probe.").
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

use std::path::{Path, PathBuf};

/// Lines that had the habit when counting began, less what was mended since.
///
/// To be lowered with each mend and never raised: code that a change touches is
/// to be reworded, and the rest waits for its turn.
const LEFT: usize = 747;
const HABIT: [&str; 7] = ["What", "Who", "Whether", "Where", "Whose", "Nobody", "Somebody"];

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The line begins a documentation comment's sentence with a relative clause.
fn has_habit(line: &str) -> bool {
    let line = line.trim_start();
    let text = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "));
    let first = text.and_then(|text| text.split_whitespace().next());
    first.is_some_and(|word| HABIT.contains(&word.trim_end_matches([',', ':', ';'])))
}

#[test]
fn the_habit_is_recognised() {
    assert!(has_habit("    /// What it goes by."));
    assert!(has_habit("//! Whether, and when."));
    assert!(!has_habit("    /// Name of the probe: what it goes by."));
    assert!(!has_habit("    // What a comment says inside is free."));
    assert!(!has_habit("/// Whatever."));
}

#[test]
fn documentation_begins_with_a_noun_more_and_more() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = vec![];
    for folder in ["crates", "xtask"] {
        rust_files(&root.join(folder), &mut files);
    }
    let count: usize = (files.iter())
        .map(|file| std::fs::read_to_string(file).unwrap())
        .map(|text| text.lines().filter(|line| has_habit(line)).count())
        .sum();
    assert!(
        count <= LEFT,
        "{count} lines of documentation begin with a relative clause, {LEFT} did: begin the new ones with a noun"
    );
}
