//! Running a plan: the journal, the console and Ctrl-C around the executor.

use std::sync::atomic::{AtomicU32, Ordering};

use camino::Utf8Path;
use fleet::{Fill, Journal, RunOptions, Sessions, Stop, Summary};
use plan::Plan;
use tokio::sync::{mpsc, watch};

use crate::console::Console;
use crate::failure::Failure;
use crate::say;

/// Set by Ctrl-C: the first lets the steps in flight end, the second ends this process.
pub fn interrupts() -> watch::Receiver<Stop> {
    let (stop, stopped) = watch::channel(Stop::No);
    tokio::spawn(async move {
        static TIMES: AtomicU32 = AtomicU32::new(0);
        while tokio::signal::ctrl_c().await.is_ok() {
            if TIMES.fetch_add(1, Ordering::Relaxed) == 0 {
                say::errln!(
                    "\nstopping after the steps in flight; run it again to go on (Ctrl-C once more stops at once)"
                );
                let _ = stop.send(Stop::AfterStepsInFlight);
            } else {
                std::process::exit(130);
            }
        }
    });
    stopped
}

/// Executes one plan with a journal of its own under `state/runs`.
pub async fn run(
    plan: &Plan,
    sessions: &Sessions,
    fill: &Fill,
    state: &Utf8Path,
    id: &str,
    parallel: usize,
    stop: watch::Receiver<Stop>,
) -> Result<Summary, Failure> {
    let mut journal = Journal::create(&state.join("runs"), id, &serde_json::to_string_pretty(plan)?)?;
    let (events, mut inbox) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        let mut console = Console::new();
        let mut trouble = None;
        while let Some(event) = inbox.recv().await {
            // A full disk here must not stop what is under way on the hosts.
            if let Err(error) = journal.write(&event)
                && trouble.is_none()
            {
                trouble = Some(error);
            }
            console.event(&event);
        }
        trouble
    });
    let options = RunOptions {
        parallel,
        fill: Fill::clone(fill),
        stop,
    };
    let summary = fleet::execute(plan, sessions, options, events).await;
    if let Ok(Some(error)) = reader.await {
        say::errln!("warning: the journal is incomplete: {error}");
    }
    Ok(summary)
}
