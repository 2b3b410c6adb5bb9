//! Whole texts against files of the repository; `QUORATE_BLESS=1` writes them.
//!
//! Include it from a crate's test with `#[path]`, like `examples.rs` beside it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own code: to panic is to report, and not every test wants all of it"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|p| p.join("Cargo.lock").exists())
        .unwrap()
        .to_owned()
}

/// Whether files are written instead of compared.
pub fn bless() -> bool {
    std::env::var_os("QUORATE_BLESS").is_some_and(|v| v == "1")
}

/// A text file of the repository.
pub fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// One text against one file, `path` from the repository's root.
pub fn text(path: &str, actual: &str) {
    let file = root().join(path);
    if bless() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some(told) = difference(&expected, actual) {
        panic!("{path} differs (QUORATE_BLESS=1 accepts):\n{told}");
    }
}

/// A whole folder: differing, missing and left-over files are all told at once.
pub fn tree(path: &str, actual: &BTreeMap<String, String>) {
    let folder = root().join(path);
    if bless() {
        let _ = std::fs::remove_dir_all(&folder);
        for (name, text) in actual {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        return;
    }
    let mut there = BTreeMap::new();
    walk(&folder, &folder, &mut there);
    let mut wrong = Vec::new();
    for (name, text) in actual {
        match there.remove(name) {
            None => wrong.push(format!("missing: {name}")),
            Some(old) => {
                wrong.extend(difference(&old, text).map(|d| format!("differs: {name}\n{d}")));
            }
        }
    }
    wrong.extend(there.keys().map(|name| format!("left over: {name}")));
    assert!(
        wrong.is_empty(),
        "{path} (QUORATE_BLESS=1 accepts):\n{}",
        wrong.join("\n")
    );
}

fn walk(root: &Path, folder: &Path, out: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, out);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            out.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The first lines that differ, for people.
fn difference(old: &str, new: &str) -> Option<String> {
    if old == new {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let mut out = format!("line {}:\n", same + 1);
    for (sign, lines) in [('-', &old), ('+', &new)] {
        for line in lines.iter().skip(same).take(5) {
            let _ = writeln!(out, "{sign} {line}");
        }
    }
    Some(out)
}

/// The string literals of a crate's sources that look like a finding's code.
pub fn codes(folder: &Path) -> std::collections::BTreeSet<String> {
    let mut files = BTreeMap::new();
    walk(folder, folder, &mut files);
    let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    files
        .values()
        .flat_map(|text| text.lines())
        .filter(|l| !l.trim_start().starts_with("//"))
        .flat_map(|l| l.split('"'))
        .filter(|l| l.split_once("::").is_some_and(|(a, b)| word(a) && word(b)))
        .map(str::to_owned)
        .collect()
}
