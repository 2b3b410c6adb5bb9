//! The journal of a run: JSON lines beside the cloud file, one writer, synced
//! at the end of each step. It is history; the truth is on the hosts, and
//! losing it loses nothing else.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Event;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: fs_err::File,
    /// Its directory: `runs/<id>`.
    pub dir: Utf8PathBuf,
}

impl Journal {
    /// Makes `runs/<id>` with the plan and an empty list of events.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn create(runs: &Utf8Path, id: &str, plan_json: &str) -> std::io::Result<Self> {
        let dir = runs.join(id);
        fs_err::create_dir_all(&dir)?;
        fs_err::write(dir.join("plan.json"), plan_json)?;
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("events.jsonl"))?;
        Ok(Self { file, dir })
    }

    /// Appends an event; syncs when it closes a step.
    ///
    /// # Errors
    /// When it cannot be written: the disk is full.
    pub fn write(&mut self, event: &Event) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if matches!(event, Event::Ended { .. } | Event::Finished { .. }) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}
