//! Running programs and waiting for conditions.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const TICK: Duration = Duration::from_millis(100);
/// After this a program that hangs is ended, so that the story fails and cleans up.
const HANGS: &str = "420";

/// What a program said, whole.
#[derive(Clone, Debug)]
pub struct Said {
    pub line: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "$ {}\n(exit status {:?} after {:.1?})",
            self.line, self.code, self.took
        )?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}\n---", self.out, self.err)
    }
}

impl Said {
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Fails with everything that was said unless it went well.
    #[track_caller]
    pub fn good(self) -> Self {
        assert!(self.ok(), "{self}");
        self
    }

    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }
}

/// A copy of the built program: the build directory may change under a story.
pub fn program() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stories");
        fs_err::create_dir_all(&dir).unwrap();
        let copy = dir.join("quorate");
        // Processes of an earlier story may still run the old file.
        let _ = fs_err::remove_file(&copy);
        fs_err::copy(env!("CARGO_BIN_EXE_quorate"), &copy).unwrap();
        copy
    })
}

/// Runs something to its end and says how it was.
pub fn run<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Said {
    let words = arguments
        .iter()
        .map(|a| a.as_ref().to_string_lossy().into_owned());
    let line = std::iter::once(program.display().to_string())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ");
    let began = Instant::now();
    let output = Command::new("timeout")
        .args(["--kill-after=5", HANGS])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Said {
        line,
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: began.elapsed(),
    }
}

/// Waits until `look` finds something; fails with what it saw last.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    match wait(limit, &mut look) {
        Ok(found) => found,
        Err(last) => panic!("waited {limit:?} in vain for {what}; last seen:\n{last}"),
    }
}

/// The same, for whoever knows what to do instead.
pub fn wait<T>(limit: Duration, look: &mut impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(last) if began.elapsed() > limit => return Err(last),
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

/// A line that tells how far a story is.
pub fn tell(text: &str) {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let began = BEGAN.get_or_init(Instant::now);
    eprintln!("[{:>6.1} s] {text}", began.elapsed().as_secs_f64());
}
