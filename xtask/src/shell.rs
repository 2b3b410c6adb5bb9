//! Running programs: each is printed first, so that it can be repeated by hand.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tally::Tally;

/// Why a chore failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be started.
    #[error("cannot run `{command}`: {why}")]
    Start {
        /// The program and its arguments.
        command: String,
        /// The system's reason.
        why: std::io::Error,
    },
    /// A program said no.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Tests failed; it was printed how many.
    #[error("tests failed")]
    Tests,
    /// Anything else, in words.
    #[error("{0}")]
    Said(String),
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A program to be run in the repository's root.
pub fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.current_dir(root());
    command
}

/// Cargo, the one that runs this.
pub fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command as one would type it in the repository's root.
fn shown(command: &Command) -> String {
    let root = root();
    let short = |word: &std::ffi::OsStr| {
        let path = Path::new(word);
        let path = path.strip_prefix(&root).unwrap_or(path);
        let text = path.to_string_lossy().into_owned();
        if text.ends_with("/bin/cargo") {
            "cargo".to_owned()
        } else {
            text
        }
    };
    let env = command
        .get_envs()
        .filter_map(|(k, v)| Some(format!("{}={}", k.to_string_lossy(), v?.to_string_lossy())));
    env.chain(std::iter::once(short(command.get_program())))
        .chain(command.get_args().map(short))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a program on this terminal and tells how long it took.
pub fn run(command: &mut Command) -> Result<Duration, Error> {
    println!("$ {}", shown(command));
    let began = Instant::now();
    let status = command.status().map_err(|why| Error::Start {
        command: shown(command),
        why,
    })?;
    if status.success() {
        Ok(began.elapsed())
    } else {
        Err(Error::Failed {
            command: shown(command),
            status,
        })
    }
}

/// Runs a program in silence and tells how long it took; what it said is in
/// the error if it fails.
pub fn run_quietly(command: &mut Command) -> Result<Duration, Error> {
    let began = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|why| Error::Start {
            command: shown(command),
            why,
        })?;
    let took = began.elapsed();
    if output.status.success() {
        return Ok(took);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = said.trim_end().lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(Error::Said(format!(
        "`{}` failed ({})\n{}",
        shown(command),
        output.status,
        tail.join("\n")
    )))
}

/// Runs tests: passes everything on and counts by the runner's own summaries.
/// A runner that fails without a summary counts as one failure.
pub fn run_tests(command: &mut Command) -> Result<Tally, Error> {
    println!("$ {}", shown(command));
    let name = shown(command);
    let start = |why| Error::Start {
        command: name.clone(),
        why,
    };
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|p| Box::new(p) as _),
        child.stderr.take().map(|p| Box::new(p) as _),
    ];
    let mut tally = Tally::default();
    let mut to_stderr = false;
    thread::scope(|scope| {
        let mut readers = vec![];
        for pipe in pipes.into_iter().flatten() {
            let err = std::mem::replace(&mut to_stderr, true);
            readers.push(scope.spawn(move || pass_on(pipe, err)));
        }
        for reader in readers {
            tally += reader.join().unwrap_or_default();
        }
    });
    let status = child.wait().map_err(start)?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

fn pass_on(pipe: Box<dyn Read + Send>, to_stderr: bool) -> Tally {
    let mut tally = Tally::default();
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if to_stderr {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
        tally += Tally::of_line(&line);
    }
    tally
}

/// Builds the product and gives the binary's path, as cargo tells it.
pub fn build(release: bool) -> Result<PathBuf, Error> {
    let mut words = vec!["--package", "quorate"];
    if release {
        words.push("--release");
    }
    built(&words, "quorate")
}

/// Builds something of the workspace and gives the path of the program of a name.
pub fn built(words: &[&str], name: &str) -> Result<PathBuf, Error> {
    let mut command = cargo();
    command.arg("build").args(words);
    println!("$ {}", shown(&command));
    command.arg("--message-format=json-render-diagnostics");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|why| Error::Start {
            command: shown(&command),
            why,
        })?;
    if !output.status.success() {
        return Err(Error::Failed {
            command: shown(&command),
            status: output.status,
        });
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some(name))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .ok_or_else(|| Error::Said(format!("cargo built no program named {name}")))
}

/// Seconds, to the tenth.
pub fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
