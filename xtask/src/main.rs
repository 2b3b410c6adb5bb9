//! Chores of this repository, as `cargo xtask NAME`: the demonstration, all
//! tests, the benchmark, the release build.
//!
//! Everything here can be done by hand, and each command is printed before it
//! runs. Not part of the product: nothing in `crates/` may use it.

mod bench;
mod demo;
mod dist;
mod shell;
mod system;
mod tally;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::shell::Error;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds quorate and a whole cloud on three lab hosts, on this machine (root)
    Demo,
    /// Runs all tests: style, units, then the stories on lab hosts (root)
    Test(test::Args),
    /// Measures, each number beside its yardstick where there is one
    Bench(bench::Args),
    /// Builds the release binary and tells its size
    Dist,
    /// Installs the system packages that demo and test need (root)
    Tools,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Demo => demo::run(),
        Chore::Test(args) => test::run(&args),
        Chore::Bench(args) => bench::run(&args),
        Chore::Dist => dist::run().map(|_| ()),
        Chore::Tools => system::install(true, true),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Tests) => ExitCode::FAILURE, // the last line said how many
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
