//! `cargo xtask demo`: from an empty machine to a cloud that answers.
//!
//! Run again, it finds everything there and changes nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::shell::{self, Error, build, program, root, seconds};
use crate::system;

/// The cloud that is built.
const CLOUD: &str = "examples/three-controllers.yaml";
/// Its name, by which its lab is known.
const NAME: &str = "demo";

/// Builds quorate, the lab, and the cloud on it; tells how to look at it.
fn build_all(parts: &mut Vec<(&'static str, Duration)>) -> Result<std::path::PathBuf, Error> {
    let began = Instant::now();
    system::install(true, false)?;
    if let Some(why) = system::no_lab() {
        return Err(Error::Said(format!("no lab can run here: {why}")));
    }
    parts.push(("system packages", began.elapsed()));
    let began = Instant::now();
    let quorate = build(false)?;
    parts.push(("build", began.elapsed()));
    let verb = |words: &[&str]| shell::run(program(&quorate).args(words).arg(CLOUD));
    parts.push(("lab up", verb(&["lab", "up"])?));
    parts.push(("apply", verb(&["apply", "--yes"])?));
    parts.push(("apply again", verb(&["apply", "--yes"])?));
    parts.push(("status", verb(&["status"])?));
    Ok(quorate)
}

/// The chore.
pub fn run() -> Result<(), Error> {
    let mut parts = vec![];
    let done = build_all(&mut parts);
    println!();
    for (part, took) in &parts {
        println!("{part:<16} {:>9}", seconds(*took));
    }
    let quorate = done?;
    let quorate = quorate.strip_prefix(root()).unwrap_or(&quorate);
    say_how(quorate);
    Ok(())
}

fn say_how(quorate: &Path) {
    let quorate = quorate.display();
    println!(
        "
Log in, as the administrator of the cloud or on a controller (where the openstack client is, and /root/openrc):
  {quorate} credentials --format openrc {CLOUD}
  {quorate} ssh --file {CLOUD} c1
Cut a controller's power, look, and switch it on again:
  {quorate} lab cut {NAME} c1
  {quorate} status {CLOUD}
  {quorate} lab on {NAME} c1
Take everything down:
  {quorate} lab down {NAME}"
    );
}
