//! Cost of verbs for three controllers and many more hosts, from the cloud file and, where
//! a verb asks hosts, from facts as they sent them. Run by `cargo xtask bench scale`, which
//! measures the process:
//!
//! ```text
//! scale make DIR N SERVICES   writes the cloud file and the facts of 3 + N hosts
//! scale VERB DIR              reads both, as a run does, and does the verb's work
//! ```
//!
//! A tenth of the hosts have another file than they should, so there is something
//! to plan.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench's own code: to panic is to report"
)]

#[path = "../../../tests/golden/examples.rs"]
mod examples;
#[path = "../tests/support/large.rs"]
mod large;
#[path = "../tests/support/world.rs"]
mod world;

use std::fs;
use std::path::Path;

use plan::{Intent, Observed};
use render::Desired;
use wire::Facts;

fn make(dir: &Path, computes: usize, services: &str) {
    let text = large::cloud(computes, services);
    let observed = large::observed(&large::desired(&text));
    let all: Vec<(names::HostName, Facts)> = observed.into_iter().map(|(h, f)| (h, f.unwrap())).collect();
    fs::write(dir.join("cloud.yaml"), text).unwrap();
    fs::write(dir.join("facts"), wire::encode(&all).unwrap()).unwrap();
}

fn desired(dir: &Path) -> Desired {
    large::desired(&fs::read_to_string(dir.join("cloud.yaml")).unwrap())
}

fn observed(dir: &Path) -> Observed {
    let all: Vec<(names::HostName, Facts)> = wire::decode(&fs::read(dir.join("facts")).unwrap()).unwrap();
    all.into_iter().map(|(h, f)| (h, Ok(f))).collect()
}

fn plan(dir: &Path) {
    let (desired, observed) = (desired(dir), observed(dir));
    let plan = plan::plan(
        &desired,
        &observed,
        Intent::Converge,
        world::DISTRIBUTION,
        &world::digest,
    )
    .unwrap();
    let outages = plan::outage(&plan, &desired, &plan::Measures::new());
    println!(
        "{} hosts, {} steps, {} outages",
        desired.hosts.len(),
        plan.steps.len(),
        outages.len()
    );
}

/// The files and pages of `render`, but for the writing.
fn render(dir: &Path) {
    let desired = desired(dir);
    let pages = desired.hosts.values().map(|h| render::host_page(h).len());
    let files = desired.hosts.values().flat_map(|h| &h.files);
    println!(
        "{} bytes of pages, {} of files, {} of the cluster's",
        pages.sum::<usize>(),
        files.map(|f| f.write.content.len()).sum::<usize>(),
        desired.cib.document(&desired.nodes).len()
    );
}

fn losses(dir: &Path) {
    let all = plan::losses(&desired(dir));
    println!("{} losses, {} bytes", all.len(), plan::losses_page(&all).len());
}

fn status(dir: &Path) {
    let snapshot = status::snapshot("large", &desired(dir), None, &observed(dir));
    println!("{}: {}", snapshot.verdict.as_str(), snapshot.reason);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", dir, computes, services] => make(Path::new(dir), computes.parse().unwrap(), services),
        ["check", dir] => println!("{} hosts", desired(Path::new(dir)).hosts.len()),
        ["plan", dir] => plan(Path::new(dir)),
        ["render", dir] => render(Path::new(dir)),
        ["losses", dir] => losses(Path::new(dir)),
        ["status", dir] => status(Path::new(dir)),
        // Cargo's own runner of benches: measured by xtask only.
        _ => {}
    }
}
