//! The host's own log of who changed it, one line a run. Not a journal of
//! steps: that is the operator's.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use wire::OpError;

const DIRECTORY: &str = "/var/log/quorate";

/// Appends a line with the time before it.
pub(crate) fn append(line: &str) -> Result<u32, OpError> {
    append_in(Path::new(DIRECTORY), line)
}

fn append_in(directory: &Path, line: &str) -> Result<u32, OpError> {
    let path = directory.join("audit.log");
    let attempt = || {
        if fs::metadata(directory).is_err() {
            DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
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
            .open(&path)?;
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
        let log = dir.path().join("quorate");
        append_in(&log, "ops@box apply").unwrap();
        append_in(&log, "evil\nline\n").unwrap();
        let text = fs::read_to_string(log.join("audit.log")).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("Z ops@box apply"), "{text}");
        assert!(lines[1].ends_with("evil line"), "{text}");
        let mode = fs::metadata(log.join("audit.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
}
