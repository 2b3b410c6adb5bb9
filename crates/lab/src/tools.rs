//! Running the machine's own programs, with their last words in the error.
//!
//! The lab drives `ip`, `mount`, `systemd-nspawn` and the like instead of
//! speaking netlink itself: each step can then be repeated by hand. Not for
//! anything inside a host but the one way in, `power::shell`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{LabError, Tool};

/// Every program that the lab runs, with its Debian package.
const TOOLS: &str = include_str!("tools.txt");

/// The search path for programs: a service's or a test's own may lack sbin.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The programs that this machine lacks for a lab, each with its package.
///
/// Empty when the lab can work.
pub(crate) fn missing_tools() -> Vec<Tool> {
    TOOLS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, package)| Tool {
            name,
            package: package.trim_start(),
        })
        .filter(|tool| !PATH.split(':').any(|dir| Path::new(dir).join(tool.name).exists()))
        .collect()
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn run(argv: &[&str]) -> Result<String, LabError> {
    run_with(argv, "")
}

/// Runs a program with a text on its standard input and returns what it printed.
pub(crate) fn run_with(argv: &[&str], input: &str) -> Result<String, LabError> {
    let shown = argv.join(" ");
    let failed = |source| LabError::Io {
        what: format!("running `{shown}`"),
        source,
    };
    let (program, arguments) = argv.split_first().unwrap_or((&"", &[]));
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading is judged by its status below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LabError::Command {
        command: shown,
        status: output.status.to_string(),
        stderr: tail(&String::from_utf8_lossy(&output.stderr), 20),
    })
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}

/// The last lines of a file, empty when there is none.
pub(crate) fn tail_of(path: &Path, lines: usize) -> String {
    let text = fs_err::read(path).unwrap_or_default();
    tail(&String::from_utf8_lossy(&text), lines)
}

/// Whether this process is root.
pub(crate) fn need_root() -> Result<(), LabError> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err(LabError::NotRoot)
    }
}

/// Whether a directory's file system has room.
pub(crate) fn need_room(dir: &Path, wanted_mib: u64) -> Result<(), LabError> {
    let stat = rustix::fs::statvfs(dir)
        .map_err(|e| LabError::io(format!("asking for the room in {}", dir.display()))(e.into()))?;
    let free_mib = stat.f_bavail.saturating_mul(stat.f_frsize) >> 20;
    if free_mib < wanted_mib {
        return Err(LabError::NoRoom {
            dir: dir.to_owned(),
            free_mib,
            wanted_mib,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_tells_its_last_words() {
        let error = run(&["sh", "-c", "echo broken >&2; exit 3"]).unwrap_err();
        assert!(
            matches!(&error, LabError::Command { stderr, .. } if stderr == "broken"),
            "{error}"
        );
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(run_with(&["cat"], "hello").unwrap(), "hello");
    }

    #[test]
    fn tail_takes_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
        assert_eq!(tail("", 5), "");
    }
}
