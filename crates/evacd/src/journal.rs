//! The journal's files: one line a decision, with all that it was made of, on disk before
//! anything is done. Not for rows that the engine goes on from: those are in the store.

use std::{
    fs::{File, OpenOptions, rename},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use evac::Line;

/// Size from which a file is put aside, in bytes.
const FULL: u64 = 64 << 20;
/// Files that are kept beside the current one.
const KEPT: u32 = 4;

/// The file that lines are added to.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let size = file.metadata()?.len();
        let path = path.to_owned();
        let mut journal = Self { path, file, size };
        if size > 0 {
            // A line that a crash cut short ends here.
            journal.put(b"\n")?;
        }
        Ok(journal)
    }

    /// Adds a line and waits until it is on disk.
    pub(crate) fn add(&mut self, line: &Line) -> io::Result<()> {
        if self.size > FULL {
            self.turn()?;
        }
        let mut text = line.to_text()?;
        text.push('\n');
        self.put(text.as_bytes())?;
        self.file.sync_data()
    }

    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)?;
        self.size += text.len() as u64;
        Ok(())
    }

    /// Puts the file aside and begins another.
    fn turn(&mut self) -> io::Result<()> {
        for number in (0..KEPT).rev() {
            let from = aside(&self.path, number);
            if from.exists() {
                rename(from, aside(&self.path, number + 1))?;
            }
        }
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

/// Name of a file that was put aside; 0 is the current one.
fn aside(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// All lines, oldest first; a line that is not whole is left out.
pub fn lines(path: &Path) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for file in (0..=KEPT).rev().map(|n| aside(path, n)).filter(|f| f.exists()) {
        let text = std::fs::read_to_string(file)?;
        lines.extend(text.lines().filter_map(|line| Line::parse(line).ok()));
    }
    Ok(lines)
}
