//! The files of a transient unit: its environment and input, root-only and
//! gone as soon as the program has them, and its log. Not for the unit itself.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use wire::Command;

use crate::session::Progress;

pub(super) const DIRECTORY: &str = "/run/quorate/units";

/// Lines of output told at a time; the log has them all.
const LINES: usize = 20;

/// The files of one unit: what it reads, root-only, and what it says.
pub(super) struct Place {
    pub(super) environment: PathBuf,
    pub(super) input: PathBuf,
    pub(super) log: PathBuf,
}

impl Place {
    pub(super) fn new(unit: &str) -> Self {
        let file = |suffix: &str| Path::new(DIRECTORY).join(format!("{unit}.{suffix}"));
        Self {
            environment: file("env"),
            input: file("stdin"),
            log: file("log"),
        }
    }

    /// Writes what the program will read, and an empty log.
    pub(super) fn prepare(&self, command: &Command) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(DIRECTORY)?;
        private(&self.environment, environment(&command.env).as_bytes())?;
        private(
            &self.input,
            command.stdin.as_deref().unwrap_or_default().as_bytes(),
        )?;
        private(&self.log, b"")
    }

    /// Takes away what may hold secrets, as soon as the program has it.
    pub(super) fn forget(&self) {
        let _ = fs::remove_file(&self.environment);
        let _ = fs::remove_file(&self.input);
    }
}

fn private(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(content)
}

/// The text of an environment file (systemd.exec(5)): in double quotes only
/// these four are special.
fn environment(variables: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        text.push_str(name);
        text.push_str("=\"");
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '$' | '`') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("\"\n");
    }
    text
}

/// Tells the whole lines written since `from`; up to where.
pub(super) fn tell(log: &Path, from: u64, progress: &Progress) -> u64 {
    let mut text = Vec::new();
    let read = fs::File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(1 << 20).read_to_end(&mut text)
    });
    let Some(end) = read
        .ok()
        .and_then(|_| text.iter().rposition(|&byte| byte == b'\n'))
    else {
        return from;
    };
    text.truncate(end + 1);
    let lines = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = lines
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
        progress.say(*line);
    }
    from + text.len() as u64
}

/// Tells a last line without an end.
pub(super) fn tell_rest(log: &Path, from: u64, progress: &Progress) {
    let rest = fs::read(log).unwrap_or_default();
    let rest = usize::try_from(from)
        .ok()
        .and_then(|from| rest.get(from..))
        .unwrap_or_default();
    let rest = String::from_utf8_lossy(rest);
    if !rest.trim().is_empty() {
        progress.say(rest.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_quote_what_is_special() {
        let variables = [
            ("A".to_owned(), "plain value".to_owned()),
            ("B".to_owned(), "q\" s\\ d$x `y` '\nz".to_owned()),
        ];
        assert_eq!(
            environment(&variables),
            "A=\"plain value\"\nB=\"q\\\" s\\\\ d\\$x \\`y\\` '\nz\"\n"
        );
    }
}
