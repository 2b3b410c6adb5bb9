//! A program run to its end, with a limit, its options on standard input. Not for shells: no
//! text is interpreted.

use std::{io::ErrorKind, path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt as _, process::Command};

/// The search path of root.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// End of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Exit status; none: it was killed.
    pub(crate) status: Option<i32>,
    /// Printed text.
    pub(crate) said: String,
    /// Last line of its complaints.
    pub(crate) complaint: String,
}

/// Runs a program. It is killed when it takes longer than the limit, or when nobody waits any more.
pub(crate) async fn run(
    program: &Path,
    arguments: &[&str],
    input: &str,
    limit: Duration,
) -> Result<Ended, String> {
    let name = program.display();
    let spawned = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", SEARCH)
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{name} is not installed"),
        _ => format!("cannot run {name}: {error}"),
    })?;
    let stdin = child.stdin.take();
    let whole = async {
        if let Some(mut stdin) = stdin {
            // One that ends without reading says why itself.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(limit, whole).await;
    let output = output.map_err(|_| format!("{name} took longer than {} ms", limit.as_millis()))?;
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    let last = complaints
        .lines()
        .rfind(|l| !l.trim().is_empty())
        .unwrap_or_default();
    Ok(Ended {
        status: output.status.code(),
        said: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: last.trim().to_owned(),
    })
}
