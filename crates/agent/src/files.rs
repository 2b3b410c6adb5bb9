//! Files as they are and as they should be. A file is written beside its
//! place, synced and renamed, so that a reader, a crash or a full disk sees
//! the old one or the new one and nothing between. Not for what is in them.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use wire::{Edit, Fact, FileFact, FileWrite, KeyFact, KeyQuery, OpError, Own, Stat};

use crate::{host, names::Names};

/// No configuration is larger; what is, is not digested but said to be unknown.
const MAX_SIZE: u64 = 64 << 20;

/// Digest of what is neither a file nor a link: it equals that of no content.
const DIRECTORY: &str = "directory";

/// How much of a file is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Digest,
    Lines,
    Text,
}

/// Looks at files; of those in `texts` also the text, of those in `lines` each line's digest,
/// of those in `keys` what these hold.
pub(crate) fn facts(
    key: &[u8; 32],
    paths: &[String],
    texts: &[String],
    lines: &[String],
    keys: &BTreeMap<String, Vec<KeyQuery>>,
) -> BTreeMap<String, Fact<FileFact>> {
    let names = Names::read();
    paths
        .iter()
        .chain(texts)
        .map(|path| {
            let wanted = match () {
                () if texts.contains(path) => Wanted::Text,
                () if lines.contains(path) => Wanted::Lines,
                () => Wanted::Digest,
            };
            let fact = match fact(key, path, wanted, &names) {
                Ok(mut fact) => {
                    if let Some(asked) = keys.get(path).filter(|_| fact.link.is_none()) {
                        fact.keys = key_facts(key, path, asked);
                    }
                    Fact::Known(fact)
                }
                Err(error) if is_absent(&error) => Fact::Absent,
                Err(error) => Fact::Unknown(format!("cannot read {path}: {error}")),
            };
            (path.clone(), fact)
        })
        .collect()
}

/// Leaves out text and lines of files that have the digest they should have: who asks
/// has them.
pub(crate) fn differing(
    mut facts: BTreeMap<String, Fact<FileFact>>,
    same: &BTreeMap<String, String>,
) -> BTreeMap<String, Fact<FileFact>> {
    for (path, digest) in same {
        if let Some(Fact::Known(fact)) = facts.get_mut(path)
            && fact.digest == *digest
        {
            fact.text = None;
            fact.lines.clear();
        }
    }
    facts
}

/// Whether the error says that nothing is there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn fact(key: &[u8; 32], path: &str, wanted: Wanted, names: &Names) -> io::Result<FileFact> {
    let meta = fs::symlink_metadata(path)?;
    let stat = Stat {
        owner: names.user(meta.uid()),
        group: names.group(meta.gid()),
        mode: meta.permissions().mode() & 0o7777,
    };
    let kind = meta.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(path)?;
        let own = program().is_ok_and(|program| program == target);
        let target = target.to_string_lossy().into_owned();
        let digest = if own {
            wire::PROGRAM.to_owned()
        } else {
            wire::digest(key, target.as_bytes())
        };
        return Ok(FileFact {
            digest,
            size: target.len() as u64,
            stat,
            link: Some(target),
            lines: Vec::new(),
            text: None,
            keys: Vec::new(),
        });
    }
    if !kind.is_file() {
        let digest = if kind.is_dir() { DIRECTORY } else { "special" }.to_owned();
        return Ok(FileFact {
            digest,
            size: 0,
            stat,
            link: None,
            lines: Vec::new(),
            text: None,
            keys: Vec::new(),
        });
    }
    if meta.len() > MAX_SIZE {
        return Err(io::Error::other(format!("it has {} bytes", meta.len())));
    }
    let content = fs::read(path)?;
    Ok(FileFact {
        digest: wire::digest(key, &content),
        size: content.len() as u64,
        stat,
        link: None,
        lines: if wanted == Wanted::Lines {
            let text = String::from_utf8_lossy(&content);
            text.lines()
                .map(|line| wire::digest(key, line.as_bytes()))
                .collect()
        } else {
            Vec::new()
        },
        text: (wanted == Wanted::Text).then(|| String::from_utf8_lossy(&content).into_owned()),
        keys: Vec::new(),
    })
}

/// What keys of an INI file hold; nothing where it cannot be read as one.
fn key_facts(key: &[u8; 32], path: &str, asked: &[KeyQuery]) -> Vec<KeyFact> {
    let Ok(text) = fs::read_to_string(path) else {
        return Vec::new();
    };
    let found = ini::keys(&text);
    let facts = asked.iter().map(|asked| {
        let values = ini::values(&found, &asked.section, &asked.name);
        KeyFact {
            section: asked.section.clone(),
            name: asked.name.clone(),
            values: values.iter().map(|v| wire::digest(key, v.as_bytes())).collect(),
            text: asked.plain.then(|| values.to_vec()),
        }
    });
    facts.filter(|fact| !fact.values.is_empty()).collect()
}

/// Brings files to their state; how many are different now.
pub(crate) fn write(files: &[FileWrite]) -> Result<u32, OpError> {
    let names = Names::read();
    let mut changed = 0;
    for file in files {
        changed += u32::from(write_one(file, &names)?);
    }
    Ok(changed)
}

/// Removes what is there; how many were.
pub(crate) fn remove(paths: &[String]) -> Result<u32, OpError> {
    let mut changed = 0;
    for path in paths {
        let gone = match fs::symlink_metadata(path) {
            // Only an empty one: what is in it was not asked for, and keeps it.
            Ok(meta) if meta.is_dir() => match fs::remove_dir(path) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => continue,
                done => done,
            },
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match gone.and_then(|()| sync_directory(Path::new(path))) {
            Ok(()) => changed += 1,
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(OpError::new(format!("cannot remove {path}: {error}"))),
        }
    }
    Ok(changed)
}

fn write_one(file: &FileWrite, names: &Names) -> Result<bool, OpError> {
    let path = file.path.as_str();
    let cannot = |why: &dyn std::fmt::Display| OpError::new(format!("cannot write {path}: {why}"));
    if !path.starts_with('/') {
        return Err(cannot(&"the path is not absolute"));
    }
    let uid = names
        .uid(&file.owner)
        .ok_or_else(|| cannot(&format!("there is no user `{}` here", file.owner)))?;
    let gid = names
        .gid(&file.group)
        .ok_or_else(|| cannot(&format!("there is no group `{}` here", file.group)))?;
    let result = match &file.own {
        _ if file.directory => directory(file, uid, gid),
        Own::File => content(file, uid, gid),
        Own::Keys { wanted, absent } => {
            merged(file, wanted, absent).and_then(|file| content(&file, uid, gid))
        }
        Own::Edit(edit) => match edited(file, edit) {
            Ok(Some(file)) => content(&file, uid, gid),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        },
        Own::Program => link(Path::new(path), uid, gid),
    };
    result.map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            let free = parent(Path::new(path))
                .to_str()
                .and_then(host::free)
                .unwrap_or_default();
            cannot(&format!(
                "no space left on device (needs {} bytes, {free} free)",
                file.content.len()
            ))
        }
        _ => cannot(&error),
    })
}

fn directory(file: &FileWrite, uid: u32, gid: u32) -> io::Result<bool> {
    let path = Path::new(&file.path);
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => adjust(path, &meta, file.mode, uid, gid),
        Ok(_) => Err(io::Error::other("something that is not a directory is there")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_parents(path)?;
            // Closed to all until it has its owner.
            fs::DirBuilder::new().mode(0o700).create(path)?;
            adjust(path, &fs::symlink_metadata(path)?, file.mode, uid, gid)?;
            sync_directory(path)?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// The whole file that comes of our keys and of what is there.
fn merged(file: &FileWrite, wanted: &[ini::Key], absent: &[(String, String)]) -> io::Result<FileWrite> {
    let have = match fs::symlink_metadata(&file.path) {
        // Its target is the operator's, and so is the choice to have a link.
        Ok(meta) if meta.is_symlink() => {
            return Err(io::Error::other(
                "a link is there, and the file is shared: put the file itself in its place",
            ));
        }
        Ok(_) => fs::read(&file.path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(file.clone()),
        Err(error) => return Err(error),
    };
    let text =
        |bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("what is there is no text in UTF-8"));
    Ok(FileWrite {
        content: ini::merge(&text(have)?, wanted, absent).into(),
        ..file.clone()
    })
}

/// The whole file that comes of replacing a text in what is there. Of a file that is not
/// known nothing: whoever looks again sees what it is, and says so.
fn edited(file: &FileWrite, edit: &Edit) -> io::Result<Option<FileWrite>> {
    let have = match fs::symlink_metadata(&file.path) {
        Ok(meta) if meta.is_file() => fs::read(&file.path)?,
        Ok(_) => return Ok(None),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let digest = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
    let now = digest(&have);
    let Some((_, after)) = edit.known.iter().find(|(before, _)| *before == now) else {
        return Ok(None);
    };
    let text = String::from_utf8(have).map_err(|_| io::Error::other("what is there is no text in UTF-8"))?;
    let content = text.replacen(&edit.from, &edit.to, 1).into_bytes();
    if digest(&content) != *after {
        return Err(io::Error::other(format!(
            "the change would make {} of it, and not {after}",
            digest(&content)
        )));
    }
    Ok(Some(FileWrite {
        content: content.into(),
        ..file.clone()
    }))
}

fn content(file: &FileWrite, uid: u32, gid: u32) -> io::Result<bool> {
    let path = Path::new(&file.path);
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(io::Error::other("a directory is there")),
        Ok(meta)
            if meta.is_file()
                && meta.len() == file.content.len() as u64
                && fs::read(path)? == *file.content =>
        {
            return adjust(path, &meta, file.mode, uid, gid);
        }
        // A link is replaced: whatever it points to was not asked for.
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => make_parents(path)?,
        Err(error) => return Err(error),
    }
    // One fixed name a file: what a killed agent left is overwritten.
    let temporary = temporary(path)?;
    let result = write_beside(&temporary, file, uid, gid).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = result {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(path)?;
    Ok(true)
}

fn write_beside(temporary: &Path, file: &FileWrite, uid: u32, gid: u32) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)?;
    out.write_all(&file.content)?;
    // The owner first: a change of owner takes set-uid bits away.
    std::os::unix::fs::fchown(&out, Some(uid), Some(gid))?;
    out.set_permissions(Permissions::from_mode(file.mode))?;
    out.sync_all()
}

/// The program that runs as this agent.
fn program() -> io::Result<PathBuf> {
    fs::read_link("/proc/self/exe")
}

/// Makes a link to this agent's program; whether there was another.
fn link(path: &Path, uid: u32, gid: u32) -> io::Result<bool> {
    let program = program()?;
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() && fs::read_link(path)? == program => {
            let owned = meta.uid() == uid && meta.gid() == gid;
            if !owned {
                std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
            }
            return Ok(!owned);
        }
        Ok(meta) if meta.is_dir() => return Err(io::Error::other("a directory is there")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => make_parents(path)?,
        Err(error) => return Err(error),
    }
    let temporary = temporary(path)?;
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(program, &temporary)?;
    std::os::unix::fs::lchown(&temporary, Some(uid), Some(gid))?;
    fs::rename(&temporary, path)?;
    sync_directory(path)?;
    Ok(true)
}

/// Owner and mode alone; whether they were different.
fn adjust(path: &Path, meta: &fs::Metadata, mode: u32, uid: u32, gid: u32) -> io::Result<bool> {
    let owned = meta.uid() == uid && meta.gid() == gid;
    if owned && meta.permissions().mode() & 0o7777 == mode {
        return Ok(false);
    }
    if !owned {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(true)
}

fn make_parents(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parent(path))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn temporary(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("it names no file"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".quorate-new");
    Ok(path.with_file_name(hidden))
}

/// Makes a change of names in the directory of `path` last.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

#[cfg(test)]
mod tests;
