//! The host's lock: one operator changes a host at a time. A lock of the
//! kernel (`flock`) on a file that names its holder, so that a dead agent
//! holds nothing and a living one can be told to the next. Not for parts of a
//! host: there is one lock.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
    sync::Mutex,
};

use wire::OpError;

const PATH: &str = "/run/quorate/lock";

/// The lock, held until dropped.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody holds it from here on, and the file should not say so. The
        // file itself stays: removing it would let two hold "the" lock.
        let _ = self.0.set_len(0);
    }
}

/// Takes the lock for this session; taking it twice is no change.
pub(crate) fn take(held: &Mutex<Option<Lock>>, owner: &str) -> Result<u32, OpError> {
    take_at(Path::new(PATH), held, owner)
}

fn take_at(path: &Path, held: &Mutex<Option<Lock>>, owner: &str) -> Result<u32, OpError> {
    let mut held = held
        .lock()
        .map_err(|_| OpError::new("the agent has a bug here: its lock is poisoned"))?;
    if held.is_some() {
        return Ok(0);
    }
    match try_take(path, owner) {
        Ok(lock) => {
            *held = Some(lock);
            Ok(1)
        }
        Err(Refusal::Held(by)) => {
            let message = format!("the host is locked by {by}");
            Err(OpError {
                held_by: Some(by),
                ..OpError::new(message)
            })
        }
        Err(Refusal::Io(error)) => Err(OpError::new(format!("cannot take {}: {error}", path.display()))),
    }
}

enum Refusal {
    Held(String),
    Io(std::io::Error),
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn try_take(path: &Path, owner: &str) -> Result<Lock, Refusal> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut by = String::new();
            file.read_to_string(&mut by)?;
            let by = by.trim();
            return Err(Refusal::Held(if by.is_empty() {
                "another run".to_owned()
            } else {
                by.to_owned()
            }));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(
        file,
        "{owner} since {} (agent {})",
        crate::audit::now(),
        std::process::id()
    )?;
    Ok(Lock(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_refused_released() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/lock");
        let (first, second) = (Mutex::default(), Mutex::default());
        assert_eq!(take_at(&path, &first, "ann@desk apply 1"), Ok(1));
        assert_eq!(take_at(&path, &first, "ann@desk apply 1"), Ok(0));
        let by = take_at(&path, &second, "bob").unwrap_err().held_by.unwrap();
        assert!(by.starts_with("ann@desk apply 1 since 2"), "{by}");
        assert!(by.ends_with(&format!("(agent {})", std::process::id())), "{by}");
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert_eq!(take_at(&path, &second, "bob"), Ok(1));
    }
}
