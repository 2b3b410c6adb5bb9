//! A host: its files, units and packages, and systemd in few words.

use std::collections::{BTreeMap, BTreeSet};

use wire::{Content, FileWrite, Own, UnitChange};

use crate::{Failure, digest};

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its bytes, with placeholders of secrets.
    pub content: Content,
    /// Digest of the content, secrets filled in.
    pub digest: String,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// When it was written.
    pub written: i64,
}

/// A unit as systemd has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Masked.
    pub masked: bool,
    /// Started at boot.
    pub enabled: bool,
    /// Runs.
    pub active: bool,
}

/// A kind of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sense {
    /// Answers to questions.
    Answers,
    /// Files.
    Files,
    /// The cluster and its configuration.
    Cluster,
    /// Folders of stores, which no program lists.
    Data,
}

/// A host.
#[derive(Clone, Debug)]
pub struct Machine {
    /// It has power, and is reached.
    pub up: bool,
    /// Its disk has room.
    pub room: bool,
    /// Its processes stand still, and copies take for ever.
    pub slow: bool,
    /// Facts that cannot be seen of it.
    pub hidden: BTreeSet<Sense>,
    /// Times it was started.
    pub boots: u32,
    /// Files by path.
    pub files: BTreeMap<String, File>,
    /// Units that were ever touched.
    pub units: BTreeMap<String, Unit>,
    /// Packages.
    pub packages: BTreeSet<String>,
    /// Kernel settings that were set.
    pub sysctls: BTreeMap<String, String>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            up: true,
            room: true,
            slow: false,
            hidden: BTreeSet::new(),
            boots: 1,
            files: BTreeMap::new(),
            units: BTreeMap::new(),
            packages: BTreeSet::new(),
            sysctls: BTreeMap::new(),
        }
    }
}

impl Machine {
    /// Writes a file.
    ///
    /// # Errors
    /// On a full disk.
    pub fn write(&mut self, file: &FileWrite, now: i64) -> Result<(), Failure> {
        if !self.room {
            return Err(format!("cannot write {}: no space left on device", file.path));
        }
        let content = match &file.own {
            // Of a shared file the operator has written nothing here.
            Own::File | Own::Keys { .. } => file.content.clone(),
            Own::Edit(edit) => edit.to.clone().into(),
            Own::Program => wire::PROGRAM.as_bytes().to_vec().into(),
        };
        let made = File {
            digest: if file.directory {
                "directory".to_owned()
            } else if file.own == Own::Program {
                wire::PROGRAM.to_owned()
            } else {
                digest(&content)
            },
            content,
            owner: file.owner.clone(),
            group: file.group.clone(),
            mode: file.mode,
            written: now,
        };
        self.files.insert(file.path.clone(), made);
        Ok(())
    }

    /// A file's text.
    pub fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(&self.files.get(path)?.content).ok()
    }

    /// True if a drop-in of a unit says how systemd is to run it.
    pub fn is_told(&self, unit: &str) -> bool {
        let dropin = format!("/etc/systemd/system/{unit}.d/quorate.conf");
        self.files.contains_key(&dropin)
    }

    /// Changes a unit's masks and boot.
    pub fn change(&mut self, change: &UnitChange) -> &mut Unit {
        let unit = self.units.entry(change.unit.clone()).or_default();
        unit.masked = change.masked.unwrap_or(unit.masked);
        unit.enabled = change.enabled.unwrap_or(unit.enabled);
        unit
    }
}
