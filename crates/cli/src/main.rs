//! The `quorate` command: arguments in, one of the verbs, an exit status out.
//!
//! Exit status: 0 done; 1 it failed; 2 the input is wrong and nothing was
//! touched; 3 `plan --detailed-exitcode` found changes.

mod args;
mod beside;
mod commands;
mod console;
mod due;
mod failure;
mod heard;
mod machines;
mod nss;
mod place;
mod power;
mod project;
mod rotate;
mod runner;
mod saved;
mod say;
mod seen;
mod steps;
mod versions;
mod view;
mod watch;
mod window;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Verb};
use failure::Failure;

fn main() -> ExitCode {
    nss::pin();
    // One crypto provider for all: with two in the tree rustls would refuse to guess.
    // It can only fail when one is installed already, which is then the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say::errln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(dispatch(args));
    // Reads of standard input cannot be cancelled; nobody waits for them.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

async fn dispatch(args: Args) -> Result<ExitCode, Failure> {
    let catalog = args.catalog.as_slice();
    match args.verb {
        Verb::Init(a) => commands::init::run(&a, catalog),
        Verb::Check(a) => commands::check::run(&a, catalog),
        Verb::Observe(a) => commands::observe::run(&a, catalog).await,
        Verb::Plan(a) => commands::plan::run(&a, catalog).await,
        Verb::Apply(a) => {
            Box::pin(commands::apply::run(
                &a.run,
                &a.target,
                catalog,
                engines::Intent::Converge,
            ))
            .await
        }
        Verb::Recover(a) => Box::pin(commands::recover::run(&a, catalog)).await,
        Verb::Host(a) => commands::host::run(&a.verb, catalog).await,
        Verb::Power(a) => commands::power::run(&a.verb, catalog).await,
        Verb::Rotate(a) => commands::rotate::run(&a, catalog).await,
        Verb::Upkeep(a) => Box::pin(commands::upkeep::run(&a, catalog)).await,
        Verb::Backup(a) => commands::backup::run(a, catalog).await,
        Verb::Restore(a) => commands::restore::run(&a, catalog).await,
        Verb::Audit(a) => commands::audit::run(&a, catalog).await,
        Verb::Evac(a) => commands::evac::run(&a, catalog).await,
        Verb::Support(a) => commands::support::run(&a, catalog).await,
        Verb::Status(a) => commands::status::run(&a, catalog).await,
        Verb::Credentials(a) => commands::credentials::run(&a, catalog),
        Verb::Ssh(a) => commands::ssh::run(&a, catalog),
        Verb::Render(a) => commands::render::run(&a, catalog),
        Verb::Explain(a) => commands::explain::run(&a),
        Verb::Schema => commands::schema::run(catalog),
        Verb::Lab(a) => commands::lab::run(a, catalog).await,
        Verb::Agent(a) => commands::agent::run(&a).await,
    }
}
