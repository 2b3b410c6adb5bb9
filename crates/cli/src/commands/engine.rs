//! `quorate agent evac|empty|fill`: the engine that has VMs come up elsewhere, and what moves
//! them from a host that is to be worked on. They run on a controller.

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8Path;
use evacd::commands::{self, Desk};
use openstack::{Client, Credentials, Limits};

use crate::args::{EngineArgs, EngineVerb, EvacVerb, GuestsArgs};
use crate::failure::Failure;
use crate::say;

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn failed(error: evacd::Error) -> Failure {
    Failure::world(error.to_string(), "")
}

/// Runs the engine, or answers a person.
pub async fn run(args: &EngineArgs) -> Result<ExitCode, Failure> {
    let config = evacd::Config::load(args.config.as_std_path()).map_err(failed)?;
    match &args.verb {
        EngineVerb::Run => evacd::run(config).await.map_err(failed)?,
        EngineVerb::Asked(verb) => {
            let desk = Desk::new(config, args.by.clone()).map_err(failed)?;
            answer(&desk, verb).await.map_err(failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn answer(desk: &Desk, verb: &EvacVerb) -> Result<(), evacd::Error> {
    match verb {
        EvacVerb::Audit => say::outln!("{}", commands::audit(desk).await?.text()),
        EvacVerb::Rehearse => {
            let told = commands::Rehearsal::now(desk).await?;
            say::outln!("{}", told.text());
        }
        EvacVerb::History { last } => {
            let told = commands::history(desk, *last).await?;
            say::out!("{}", commands::history_text(&told));
        }
        EvacVerb::Show { id } => say::out!("{}", commands::show_text(&commands::show(desk, *id).await?)),
        EvacVerb::Explain { host } => {
            for line in commands::why(desk, host)? {
                say::outln!("{line}");
            }
        }
        EvacVerb::Release { minutes } => {
            commands::release(desk, Duration::from_secs(minutes.saturating_mul(60))).await?;
            say::outln!("the brakes are released for {minutes} minutes");
        }
        EvacVerb::Pause => {
            commands::pause(desk).await?;
            say::outln!("the engine does nothing until `quorate evac resume`");
        }
        EvacVerb::Resume => {
            commands::resume(desk).await?;
            say::outln!("the engine goes on, with all brakes");
        }
        EvacVerb::ConfirmDead { host } => {
            commands::confirm(desk, host).await?;
            say::outln!("{host} counts as dead, for this death alone");
        }
        EvacVerb::Prove { host, off } => {
            for one in commands::prove(desk, host, *off, &mut tell).await? {
                say::outln!("{host}: {}: {}", one.device, one.seen);
            }
        }
    }
    Ok(())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what is worked hands over its lines"
)]
fn tell(line: String) {
    say::errln!("{line}");
}

fn client(path: &Utf8Path) -> Result<Client, Failure> {
    let text = fs_err::read(path)?;
    let wrong = |why: String| Failure::Input(format!("error: {path}: {why}"));
    let credentials: Credentials = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    Client::new(credentials, Limits::default()).map_err(|e| wrong(e.to_string()))
}

/// Moves all VMs from a host.
pub async fn empty(args: &GuestsArgs) -> Result<ExitCode, Failure> {
    let client = client(&args.credentials)?;
    let done = commands::empty(&client, &args.host, args.at_once, &mut tell)
        .await
        .map_err(failed)?;
    for left in &done.left {
        say::outln!("{} stays: {}", left.vm, left.why);
    }
    if done.left.is_empty() {
        say::outln!("{} is empty: {} VMs left it", args.host, done.moved.len());
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::world(
        format!("{} VMs are still on {}", done.left.len(), args.host),
        "move, stop or delete them, and run it again",
    ))
}

/// Lets VMs come to a host again.
pub async fn fill(args: &GuestsArgs) -> Result<ExitCode, Failure> {
    let client = client(&args.credentials)?;
    commands::fill(&client, &args.host, &mut tell)
        .await
        .map_err(failed)?;
    say::outln!("VMs can run on {}", args.host);
    Ok(ExitCode::SUCCESS)
}
