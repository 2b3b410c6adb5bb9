//! Waits until an answer is as it should be, and tells meanwhile what is
//! missing. Not for jobs of systemd, which tell by themselves when they end.

use std::time::{Duration, Instant};

use wire::{OpError, Wait};

use crate::{query, session::Progress};

/// Asks until it holds. Nothing is changed by it.
pub(crate) async fn wait(wait: &Wait, progress: &Progress) -> Result<u32, OpError> {
    let limit = Duration::from_millis(wait.timeout_ms);
    let every = Duration::from_millis(wait.every_ms.max(10));
    let start = Instant::now();
    let mut told = String::new();
    loop {
        let asked = Instant::now();
        // The last question may not outlive the limit by more than a little.
        let left = limit
            .saturating_sub(start.elapsed())
            .max(Duration::from_millis(500));
        let missing = match tokio::time::timeout(left, query::ask(&wait.query)).await {
            Ok(answer) => match wire::holds(&answer, &wait.expect) {
                Ok(()) => return Ok(0),
                Err(missing) => missing,
            },
            Err(_) => "no answer yet".to_owned(),
        };
        if missing != told {
            progress.say(format!("{}: {missing}", wait.what));
            told = missing;
        }
        if start.elapsed() + every > limit {
            let after = limit.as_secs_f64();
            return Err(OpError::new(format!(
                "{}: not so after {after} s: last seen: {told}",
                wait.what
            )));
        }
        tokio::time::sleep(every.saturating_sub(asked.elapsed())).await;
    }
}
