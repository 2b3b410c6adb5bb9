//! Mends taken out: each of the planner's guards is removed in a copy of this repository, and
//! the tests of `sim` must find that it is gone. So a law that cannot fail is seen.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

#[path = "mutants/list.rs"]
mod list;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use list::{MUTANTS, Mutant};

/// The longest that a build or a test may take, in seconds.
const LIMIT: u64 = 1200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file without its guards.
///
/// # Panics
/// If a guard does not stand there exactly once: the list is to be brought up to date.
fn taken_out(mutant: &Mutant, text: &str) -> String {
    let mut out = text.to_owned();
    for (guard, without) in mutant.edits {
        let found = out.matches(guard).count();
        assert_eq!(found, 1, "{}: in {}: {guard}", mutant.name, mutant.file);
        out = out.replacen(guard, without, 1);
    }
    out
}

/// Every guard is where the list has it.
#[test]
fn guards_stand_where_the_list_has_them() {
    for mutant in MUTANTS {
        let text = fs::read_to_string(root().join(mutant.file)).unwrap();
        assert_ne!(taken_out(mutant, &text), text, "{}", mutant.name);
    }
}

/// Copies what differs, so that cargo builds only that again.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (name, from) = entry.map(|e| (e.file_name(), e.path())).unwrap();
        if name == "target" || name == ".git" || from.is_symlink() {
            continue;
        }
        let to = to.join(&name);
        if from.is_dir() {
            copy(&from, &to);
            continue;
        }
        let content = fs::read(&from).unwrap();
        if fs::read(&to).ok().as_ref() != Some(&content) {
            fs::write(&to, content).unwrap();
            fs::set_permissions(&to, fs::metadata(&from).unwrap().permissions()).unwrap();
        }
    }
}

/// Runs cargo in the copy, within the time limit.
fn cargo(tree: &Path, words: &[&str]) -> Output {
    let said = tree.join("../said");
    let file = fs::File::create(&said).unwrap();
    let mut child = Command::new(env!("CARGO"))
        .args(["test", "--quiet"])
        .args(words)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.join("../target"))
        .env_remove("SIM_TELL")
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(LIMIT);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("cargo {words:?} took more than {LIMIT} s");
        }
        sleep(Duration::from_millis(100));
    };
    Output {
        status,
        stdout: fs::read(&said).unwrap(),
        stderr: Vec::new(),
    }
}

/// One test, built first: a copy that cannot be built has not been tried.
fn tried(tree: &Path, (package, target, test): (&str, &str, &str)) -> Output {
    let of = if target == "lib" {
        &["--lib"][..]
    } else {
        &["--test", target]
    };
    let words = |rest: &[&'static str]| [&["--package", package], of, rest].concat();
    let built = cargo(tree, &words(&["--no-run"]));
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(built.status.success(), "{package} cannot be built:\n{said}");
    cargo(tree, &[&words(&["--", "--exact"])[..], &[test]].concat())
}

/// Takes each mend out. `QUORATE_MUTANT` names one of them, to try it alone.
#[test]
#[ignore = "takes long: `cargo xtask test --long`"]
fn long_each_mend_is_missed() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let tree = place.join("tree");
    copy(&root(), &tree);
    let only = std::env::var("QUORATE_MUTANT").unwrap_or_default();
    let mut found = Vec::new();
    let chosen = || MUTANTS.iter().filter(|m| only.is_empty() || m.name == only);
    for mutant in chosen() {
        let path = tree.join(mutant.file);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, taken_out(mutant, &whole)).unwrap();
        let began = Instant::now();
        let tried = tried(&tree, mutant.test);
        fs::write(&path, &whole).unwrap();
        let said = String::from_utf8_lossy(&tried.stdout);
        let missed = !tried.status.success() && said.contains(mutant.law);
        println!(
            "{}: {} in {} s",
            mutant.name,
            if missed { "found" } else { "not found" },
            began.elapsed().as_secs()
        );
        if !missed {
            found.push(format!(
                "{}: not found by {:?}:\n{said}",
                mutant.name, mutant.test
            ));
        }
    }
    // With all of them in, the same tests find nothing.
    for mutant in chosen() {
        let tried = tried(&tree, mutant.test);
        let said = String::from_utf8_lossy(&tried.stdout);
        if !tried.status.success() {
            found.push(format!("{:?} fails without a mutant:\n{said}", mutant.test));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}
