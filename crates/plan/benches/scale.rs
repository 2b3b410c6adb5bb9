//! What planning costs for three controllers and many more hosts, from facts as
//! the hosts sent them. Run by `cargo xtask bench`, which measures the process:
//!
//! ```text
//! scale make DIR N    writes the cloud file and the facts of 3 + N hosts
//! scale plan DIR      reads both, as a run does, and plans
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
#[path = "../tests/support/world.rs"]
mod world;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use plan::{Intent, Observed};
use wire::{Fact, Facts};

fn cloud(computes: usize) -> String {
    let mut hosts = String::new();
    for n in 0..computes + 3 {
        let (name, role) = if n < 3 {
            (format!("c{}", n + 1), "controller")
        } else {
            (format!("n{n}"), "compute")
        };
        let address = format!("198.18.{}.{}", n / 200, 10 + n % 200);
        writeln!(hosts, "  {name}: {{ role: {role}, address: {address} }}").unwrap();
    }
    format!(
        "cloud: large\nrelease: \"2025.1\"\nnetworks: {{ management: {{ cidr: 198.18.0.0/16 }} }}\n\
         hosts:\n{hosts}vips: {{ pool: 198.18.250.100-198.18.250.119 }}\nservices: [keystone]\n"
    )
}

fn make(dir: &Path, computes: usize) {
    let text = cloud(computes);
    let desired = world::known_by(examples::desired_of(&examples::model_of(
        "cloud.yaml",
        &text,
        &[],
    )));
    let mut observed = world::all(&desired, world::applied);
    for (_, facts) in observed.iter_mut().step_by(10) {
        let file = facts.as_mut().unwrap().files.values_mut().next().unwrap();
        let Fact::Known(file) = file else {
            panic!("{file:?}")
        };
        file.digest = "0".repeat(32);
    }
    let all: Vec<(String, Facts)> = observed.into_iter().map(|(h, f)| (h, f.unwrap())).collect();
    fs::write(dir.join("cloud.yaml"), text).unwrap();
    fs::write(dir.join("facts"), wire::encode(&all).unwrap()).unwrap();
}

fn plan(dir: &Path) {
    let text = fs::read_to_string(dir.join("cloud.yaml")).unwrap();
    let desired = world::known_by(examples::desired_of(&examples::model_of(
        "cloud.yaml",
        &text,
        &[],
    )));
    let bytes = fs::read(dir.join("facts")).unwrap();
    let all: Vec<(String, Facts)> = wire::decode(&bytes).unwrap();
    let observed: Observed = all.into_iter().map(|(h, f)| (h, Ok(f))).collect();
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

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", dir, computes] => make(Path::new(dir), computes.parse().unwrap()),
        ["plan", dir] => plan(Path::new(dir)),
        // Cargo's own runner of benches: measured by xtask only.
        _ => {}
    }
}
