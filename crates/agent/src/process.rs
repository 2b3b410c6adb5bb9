//! Short programs that only look (`dpkg-query`, `crm_mon`), as our children,
//! with a limit on their time and all they started ended with them. Not for
//! programs that change something: those are transient units (`run`).

use std::{
    io::ErrorKind,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

/// More than any of these programs says.
const MAX_OUTPUT: u64 = 32 << 20;

/// The search path of root, the same for all that is started.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit status, -1 when killed.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Why a program did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no such program.
    #[error("`{0}` is not installed")]
    Missing(String),
    /// It did not end in time.
    #[error("`{0}` did not end within {1} s")]
    TimedOut(String, f64),
    /// It could not be started or read.
    #[error("cannot run `{0}`: {1}")]
    Io(String, std::io::Error),
}

/// Ends a process group unless the program ended by itself: also when the
/// call that wanted it was given up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs a program to its end.
pub(crate) async fn run<S: AsRef<str>>(
    argv: &[S],
    stdin: Option<&str>,
    limit: Duration,
) -> Result<Ran, Failure> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Failure::Missing(String::new()));
    };
    let program = program.as_ref();
    let io = |error| Failure::Io(program.to_owned(), error);
    let mut child = Command::new(program)
        .args(arguments.iter().map(AsRef::as_ref))
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/root")
        .current_dir("/")
        .stdin(if stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Missing(program.to_owned()),
            _ => io(error),
        })?;
    let mut group = Group(
        child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw),
    );
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut input), Some(text)) = (input, stdin) {
            // A program may end without reading all of it; its status tells.
            let _ = input.write_all(text.as_bytes()).await;
        }
    };
    let whole = async { tokio::join!(child.wait(), text(out), text(err), feed) };
    let Ok((status, stdout, stderr, ())) = tokio::time::timeout(limit, whole).await else {
        return Err(Failure::TimedOut(program.to_owned(), limit.as_secs_f64()));
    };
    group.0 = None;
    Ok(Ran {
        status: code(status.map_err(io)?),
        stdout,
        stderr,
    })
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let _ = stream.take(MAX_OUTPUT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a text, at most 20.
pub(crate) fn tail(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(20))
        .map(|&line| line.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn output_status_and_input() {
        let ran = run(
            &["sh", "-c", "cat; echo oops >&2; exit 3"],
            Some("hello"),
            Duration::from_secs(5),
        )
        .await
        .unwrap();
        assert_eq!(
            (ran.status, ran.stdout.as_str(), ran.stderr.as_str()),
            (3, "hello", "oops\n")
        );
        let missing = run(&["no-such-program"], None, Duration::from_secs(5)).await;
        assert!(matches!(missing, Err(Failure::Missing(_))));
    }

    #[tokio::test]
    async fn the_whole_group_ends_in_time() {
        let start = Instant::now();
        let script = "sleep 60 & echo $!; wait";
        let late = run(&["sh", "-c", script], None, Duration::from_millis(200)).await;
        assert!(matches!(late, Err(Failure::TimedOut(..))));
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn tails() {
        let text: String = (0..30).fold(String::new(), |text, n| text + &format!("{n}\n\n"));
        let tail = tail(&text);
        assert_eq!(
            (tail.len(), tail[0].as_str(), tail[19].as_str()),
            (20, "10", "29")
        );
    }
}
