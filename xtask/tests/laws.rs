//! Laws of the design that can be read off the source: which crate may depend
//! on what, what its code may name, where `unsafe` stands; and that examples
//! and code map keep up. ARCHITECTURE.md has the laws and their reasons.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "laws/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use diagnostic::{Source, draw};
use source::Code;

/// Crates that do no I/O.
const PURE: [&str; 16] = [
    "names",
    "diagnostic",
    "ini",
    "cloud",
    "catalog",
    "model",
    "render",
    "pacemaker",
    "engines",
    "hashring",
    "losses",
    "plan",
    "sim",
    "wire",
    "status",
    "evac",
];
/// What a crate needs that does I/O.
const IMPURE: [&str; 6] = ["tokio", "reqwest", "openssh", "zbus", "mysql_async", "lapin"];

/// Services of OpenStack, and the crates that may know them.
const SERVICES: [&str; 10] = [
    "keystone",
    "glance",
    "nova",
    "neutron",
    "cinder",
    "heat",
    "horizon",
    "placement",
    "swift",
    "barbican",
];
const KNOW_SERVICES: [&str; 3] = ["openstack", "evac", "evacd"];

/// Stores and brokers, and the crates that may know them; `sim` answers in their place.
const STORES: [&str; 6] = ["mariadb", "galera", "mysql", "rabbitmq", "memcached", "redis"];
const KNOW_STORES: [&str; 2] = ["engines", "sim"];
/// A library's name, not the store's.
const LIBRARIES: [&str; 1] = ["mysql_async"];

/// `quorate ssh` becomes the operator's ssh; it says nothing over it.
const SSH_FOR_PEOPLE: &str = "cli/src/commands/ssh.rs";

/// The files with `unsafe`, each with its reasons inside.
const UNSAFE: [&str; 2] = ["crates/cli/src/nss.rs", "crates/lab/src/shutdown.rs"];

/// No file is longer; those over the second are told, since they are to be split.
const LINES: usize = 700;
const LINES_WANTED: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Names of the crates below `crates/`, by folder.
fn crates() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// All Rust files below a folder, relative to the root, in order.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut files = vec![];
    walk(&root().join(folder), &mut files);
    files.sort();
    files
        .iter()
        .map(|f| f.strip_prefix(root()).unwrap().to_owned())
        .collect()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

fn hold(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} against the law:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Names of all packages that one of ours is built of, its tests left out.
fn needed(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([
            "tree",
            "--offline",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let first = |line: &str| line.split(' ').next().map(str::to_owned);
    tree.lines().filter_map(first).collect()
}

#[test]
fn pure_crates_depend_on_nothing_that_does_io() {
    let mut wrong = vec![];
    for package in PURE {
        let found = needed(package);
        assert!(found.contains(package));
        wrong.extend(
            IMPURE
                .iter()
                .filter(|i| found.contains(**i))
                .map(|i| format!("{package} depends on {i}")),
        );
    }
    hold(&wrong);
}

/// A first build is waited for: it compiles neither clients that only stories on lab hosts
/// have, nor a resolver of names beside the C library's.
#[test]
fn the_product_is_not_built_of_what_only_tests_need() {
    let found = needed("quorate");
    assert!(found.contains("probe"));
    let heavy = ["lapin", "hickory-resolver", "jsonschema", "proptest"];
    let wrong = heavy.iter().filter(|h| found.contains(**h));
    hold(
        &wrong
            .map(|h| format!("quorate depends on {h}"))
            .collect::<Vec<_>>(),
    );
    let profiles = read(Path::new("Cargo.toml"));
    assert!(
        !profiles.contains("[profile.dev.package.\"*\"]"),
        "this also optimises macros and build scripts, which takes as long as they save"
    );
}

/// Every place in the product's own code (no tests, no comments) that names
/// one of `words`, but for the crates that may.
fn named(words: &[&str], except: &[&str]) -> Vec<String> {
    let mut wrong = vec![];
    for package in crates() {
        if except.contains(&package.as_str()) {
            continue;
        }
        let folder = format!("crates/{package}/src");
        let files = rust_files(&folder);
        let tests: BTreeSet<PathBuf> = files
            .iter()
            .flat_map(|f| Code::new(&read(f)).test_modules(f))
            .collect();
        for file in files.iter().filter(|f| !tests.contains(*f)) {
            let code = Code::new(&read(file)).without_comments_and_tests();
            for (number, line) in code.lines().enumerate() {
                let line = LIBRARIES
                    .iter()
                    .fold(line.to_owned(), |l, name| l.replace(name, ""));
                let found = words.iter().filter(|w| source::names(&line, w));
                wrong.extend(
                    found.map(|w| format!("{}:{}: {w}: {}", file.display(), number + 1, line.trim())),
                );
            }
        }
    }
    wrong
}

#[test]
fn code_names_no_service() {
    hold(&named(&SERVICES, &KNOW_SERVICES));
}

#[test]
fn only_engines_name_stores_and_brokers() {
    hold(&named(&STORES, &KNOW_STORES));
}

#[test]
fn only_fleet_runs_ssh() {
    let mut wrong = vec![];
    for package in crates() {
        for file in rust_files(&format!("crates/{package}/src")) {
            let allowed = package == "fleet" || file.ends_with(SSH_FOR_PEOPLE);
            let code = Code::new(&read(&file)).without_comments_and_tests();
            let lines = code.lines().enumerate();
            let lines = lines.filter(|(_, l)| !allowed && l.contains("Command::new(\"ssh\")"));
            wrong.extend(lines.map(|(i, _)| format!("{}:{}", file.display(), i + 1)));
        }
    }
    hold(&wrong);
}

/// Text of a host reaches a terminal through one filter: `say.rs` alone prints.
#[test]
fn one_file_of_the_command_prints() {
    let mut wrong = vec![];
    for file in rust_files("crates/cli/src") {
        let code = Code::new(&read(&file)).without_comments_and_tests();
        let prints = |line: &str| line.contains("anstream") || bare_print(line);
        let lines = code.lines().enumerate();
        let lines = lines.filter(|(_, l)| !file.ends_with("say.rs") && prints(l));
        wrong.extend(lines.map(|(i, _)| format!("{}:{}", file.display(), i + 1)));
    }
    hold(&wrong);
}

/// A macro of the standard library that prints.
fn bare_print(line: &str) -> bool {
    ["println!", "print!", "dbg!"]
        .iter()
        .any(|word| line.contains(word))
}

#[test]
fn unsafe_stands_in_named_files_only() {
    let mut wrong = vec![];
    for file in rust_files("crates").into_iter().chain(rust_files("xtask")) {
        if UNSAFE.iter().any(|u| Path::new(u) == file) {
            continue;
        }
        let code = Code::new(&read(&file)).without_comments_and_strings();
        let lines = code
            .lines()
            .enumerate()
            .filter(|(_, l)| source::words(l).any(|w| w == "unsafe"));
        wrong.extend(lines.map(|(i, _)| format!("{}:{}", file.display(), i + 1)));
    }
    hold(&wrong);
}

#[test]
fn no_file_is_long() {
    let mut wrong = vec![];
    for file in rust_files("crates").into_iter().chain(rust_files("xtask")) {
        let lines = read(&file).lines().count();
        let told = format!("{}: {lines} lines", file.display());
        if lines > LINES {
            wrong.push(told);
        } else if lines > LINES_WANTED {
            println!("note: {told}, aim under {LINES_WANTED}");
        }
    }
    hold(&wrong);
}

#[test]
fn every_crate_says_what_it_is_for() {
    let mut wrong = vec![];
    let map = read(Path::new("ARCHITECTURE.md"));
    for package in crates() {
        let root_file = ["lib.rs", "main.rs"]
            .map(|name| Path::new("crates").join(&package).join("src").join(name))
            .into_iter()
            .find(|file| root().join(file).exists())
            .unwrap();
        if !read(&root_file).starts_with("//! ") {
            wrong.push(format!(
                "{} does not open with a `//!` paragraph",
                root_file.display()
            ));
        }
        if !map.contains(&format!("`crates/{package}`")) {
            wrong.push(format!(
                "ARCHITECTURE.md has no `crates/{package}` in its code map"
            ));
        }
    }
    hold(&wrong);
}

#[test]
fn every_example_is_right() {
    let (catalog, findings) = catalog::Catalog::load(catalog::embedded());
    assert!(findings.is_empty(), "{}", draw(&findings, false, 100));
    let catalog = Arc::new(catalog);
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        count += 1;
        let source = Source::new(
            path.display().to_string(),
            std::fs::read_to_string(&path).unwrap(),
        );
        let (cloud, mut findings) = cloud::parse(&source);
        let model = cloud.and_then(|cloud| {
            let (model, more) = model::Model::resolve(&cloud, &source, &catalog);
            findings.extend(more);
            model
        });
        assert!(findings.is_empty(), "{}", draw(&findings, false, 100));
        assert!(model.is_some(), "{}", path.display());
    }
    assert!(count >= 3, "{count} examples");
}

/// The short file that the guide shows is the one that is tested.
#[test]
fn the_guide_shows_the_example_as_it_is() {
    let example = read(Path::new("examples/three-controllers.yaml"));
    let file: String = example
        .lines()
        .filter(|l| !l.starts_with('#'))
        .flat_map(|l| [l, "\n"])
        .collect();
    for page in ["README.md", "docs/guide/first-cloud.md"] {
        assert!(
            read(Path::new(page)).contains(&file),
            "{page} shows another file than the example"
        );
    }
}
