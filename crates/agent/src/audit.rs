//! The host's own log of who changed it, one line a run. Not a journal of
//! steps: that is the operator's.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use wire::{AUDIT_LOG, OpError};

/// A line has some 150 bytes: with one older file these are the last 28,000 to
/// 56,000, which is years of changes.
const LARGEST: u64 = 4 << 20;

/// Appends a line with the time before it, and where it came from behind it.
pub(crate) fn append(line: &str) -> Result<u32, OpError> {
    let line = match client() {
        Some(address) => format!("{line} (from {address})"),
        None => line.to_owned(),
    };
    append_in(Path::new(AUDIT_LOG), &line)
}

/// The address that the operator's ssh came from. sudo takes it out of our own
/// environment, not out of that of our ancestors.
fn client() -> Option<String> {
    let mut process = std::process::id().to_string();
    for _ in 0..10 {
        let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
        let found = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(b"SSH_CONNECTION="));
        if let Some(connection) = found {
            let text = String::from_utf8_lossy(connection).into_owned();
            return text.split(' ').next().map(str::to_owned);
        }
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"))?;
        parent.trim().clone_into(&mut process);
    }
    None
}

fn append_in(path: &Path, line: &str) -> Result<u32, OpError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let attempt = || {
        if fs::metadata(directory).is_err() {
            DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        }
        if fs::metadata(path).is_ok_and(|meta| meta.len() > LARGEST) {
            fs::rename(path, path.with_extension("log.1"))?;
        }
        // One write of one line: appends of several agents do not mix.
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let text = format!("{} {}\n", now(), line.trim_end());
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o640)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    };
    attempt().map_err(|error: std::io::Error| {
        OpError::new(format!("cannot append to {}: {error}", path.display()))
    })?;
    Ok(1)
}

/// The time in RFC 3339, to the second.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("quorate/audit.log");
        append_in(&log, "ops@box apply").unwrap();
        append_in(&log, "evil\nline\n").unwrap();
        let text = fs::read_to_string(&log).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("Z ops@box apply"), "{text}");
        assert!(lines[1].ends_with("evil line"), "{text}");
        let mode = fs::metadata(&log).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn a_large_log_is_set_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.log");
        let older = dir.path().join("audit.log.1");
        append_in(&log, "first").unwrap();
        assert!(!older.exists());
        let large = vec![b'x'; usize::try_from(LARGEST).unwrap()];
        fs::write(&log, &large).unwrap();
        append_in(&log, "in it").unwrap();
        append_in(&log, "after it").unwrap();
        assert!(fs::metadata(&older).unwrap().len() > LARGEST);
        assert!(fs::read_to_string(&log).unwrap().ends_with("after it\n"));
        assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 1);
    }
}
