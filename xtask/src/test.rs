//! `cargo xtask test`: everything that is tested, with one number at the end.
//!
//! Style first, since it is cheap; then unit tests; then the lab stories, one
//! at a time, since they share the machine. A failure does not end the run:
//! all that is wrong is said at once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{self, Error, cargo, run_tests};
use crate::system;
use crate::tally::Tally;

/// What to test.
#[derive(clap::Args)]
pub struct Args {
    /// Also the tests that take long
    #[arg(long)]
    long: bool,
    /// Runs the lab stories so many times
    #[arg(long, default_value_t = 1, value_name = "N")]
    repeat: u32,
    /// Leaves out what needs a lab
    #[arg(long)]
    no_lab: bool,
    /// Only tests whose name contains this; no style checks then
    filter: Option<String>,
}

/// Parts of a run: name, count, and how long each took.
#[derive(Default)]
struct Suites(Vec<(String, Tally, Duration)>);

impl Suites {
    /// Runs one part and keeps its count.
    fn run(&mut self, name: &str, part: impl FnOnce() -> Result<Tally, Error>) -> Result<(), Error> {
        let began = Instant::now();
        let tally = part()?;
        self.0.push((name.to_owned(), tally, began.elapsed()));
        Ok(())
    }
}

/// Runs the tests. The last line is `N passed, N failed`; a style check counts
/// as one test.
pub fn run(args: &Args) -> Result<(), Error> {
    let began = Instant::now();
    let mut suites = Suites::default();
    let can_lab = if args.no_lab {
        println!("lab: left out, as asked");
        // The test that needs it fails with its own words.
        if let Err(error) = system::install(false, true) {
            eprintln!("error: {error}");
        }
        false
    } else {
        // Where it fails, what needs it fails below with its own words.
        if let Err(error) = system::install(true, true) {
            eprintln!("error: {error}");
        }
        let why_not = system::no_lab();
        if let Some(why) = &why_not {
            eprintln!("error: the lab stories cannot run: {why} (--no-lab leaves them out)");
            suites.run("lab stories, not run", || Ok(Tally::of(false)))?;
        }
        why_not.is_none()
    };
    if args.filter.is_none() {
        let style: [(&str, &[&str]); 2] = [
            ("rustfmt", &["fmt", "--all", "--check"]),
            (
                "clippy",
                &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
            ),
        ];
        for (name, words) in style {
            suites.run(name, || {
                let done = shell::run(cargo().args(words));
                if let Err(error) = &done {
                    eprintln!("error: {error}");
                }
                Ok(Tally::of(done.is_ok()))
            })?;
        }
    }
    units(args, &mut suites)?;
    if args.long {
        suites.run("plans performed", || {
            let mut command = cargo();
            command.args(["test", "--workspace", "--no-fail-fast"]);
            command.args(["--test", "faults", "--test", "mutants"]);
            command.args(["--", "--ignored", "--nocapture", "long_"]);
            run_tests(&mut command)
        })?;
    }
    if can_lab {
        lab(args, &mut suites)?;
    }
    println!();
    let mut all = Tally::default();
    for (name, tally, took) in &suites.0 {
        println!(
            "{name:<24} {:>4} passed, {} failed {:>6} s",
            tally.passed,
            tally.failed,
            took.as_secs()
        );
        all += *tally;
    }
    println!("{:<24} {:>29} s", "all parts", began.elapsed().as_secs());
    println!("{} passed, {} failed", all.passed, all.failed);
    if all.failed == 0 {
        Ok(())
    } else {
        Err(Error::Tests)
    }
}

/// Unit tests, in nextest where it is installed; it runs no tests in
/// documentation, so cargo does these.
fn units(args: &Args, suites: &mut Suites) -> Result<(), Error> {
    let mut command = cargo();
    if has_nextest() {
        command
            .args([
                "nextest",
                "run",
                "--workspace",
                "--no-fail-fast",
                "--no-tests=pass",
            ])
            .args(&args.filter);
        suites.run("unit tests", || run_tests(&mut command))?;
        command = cargo();
        command
            .args(["test", "--quiet", "--workspace", "--doc", "--no-fail-fast", "--"])
            .args(&args.filter);
        suites.run("documentation", || run_tests(&mut command))?;
    } else {
        command
            .args(["test", "--workspace", "--no-fail-fast", "--"])
            .args(&args.filter);
        suites.run("unit tests", || run_tests(&mut command))?;
    }
    Ok(())
}

/// The stories on lab hosts, and what is tried with the programs of their image.
///
/// Of the whole workspace, as the unit tests were: asked for a package alone,
/// cargo would choose other features and build most dependencies again.
fn lab(args: &Args, suites: &mut Suites) -> Result<(), Error> {
    let stories = |targets: &[&str]| {
        let mut command = cargo();
        command.args(["test", "--workspace", "--no-fail-fast"]);
        for target in targets {
            command.args(["--test", target]);
        }
        command
            .args(["--", "--ignored", "--test-threads=1", "--nocapture"])
            .args(&args.filter);
        if !args.long {
            // Not "passed" without having been run: cargo tells them as filtered out.
            command.args(["--skip", "long_"]);
        }
        command
    };
    if args.long {
        suites.run("the lab itself", || run_tests(&mut stories(&["real"])))?;
    }
    for round in 1..=args.repeat {
        let name = if args.repeat == 1 {
            "lab stories".to_owned()
        } else {
            format!("lab stories, round {round}")
        };
        suites.run(&name, || run_tests(&mut stories(&["lab"])))?;
    }
    // They take their programs from the image that the stories made.
    suites.run("the image's programs", || {
        run_tests(&mut stories(&["image", "nss"]))
    })
}

fn has_nextest() -> bool {
    let mut ask: Command = cargo();
    ask.args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    ask.status().is_ok_and(|status| status.success())
}
