//! One at a time reads, changes and writes a vault: a lock of the kernel on a file beside
//! it, which names its holder and ends with it.

use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use fs_err as fs;

use crate::Error;

/// Time that another change is waited for: it reads and writes one file.
const PATIENCE: Duration = Duration::from_secs(10);

/// The right to change a vault, until dropped.
#[derive(Debug)]
pub struct Lock(fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays: removed, two could hold "the" lock.
        let _ = self.0.set_len(0);
    }
}

impl Lock {
    /// Takes the lock of the vault at `path`; `by` is told to those who wait.
    ///
    /// # Errors
    /// Another holds it for ten seconds.
    pub fn take(path: &Utf8Path, by: &str) -> Result<Self, Error> {
        Self::within(path, by, PATIENCE)
    }

    fn within(path: &Utf8Path, by: &str, patience: Duration) -> Result<Self, Error> {
        let path = path.with_extension("lock");
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        let begin = Instant::now();
        loop {
            match file.file().try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begin.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::WouldBlock) => {
                    let mut by = String::new();
                    file.read_to_string(&mut by)?;
                    let by = by.trim().to_owned();
                    return Err(Error::Locked { path, by });
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(by.as_bytes())?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use camino::Utf8PathBuf;

    use super::*;

    #[test]
    fn one_at_a_time_and_told_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("vault.age")).unwrap();
        let first = Lock::within(&path, "one@a", Duration::ZERO).unwrap();
        let second = Lock::within(&path, "two@b", Duration::ZERO);
        assert!(matches!(second, Err(Error::Locked { by, .. }) if by == "one@a"));
        drop(first);
        Lock::within(&path, "two@b", Duration::ZERO).unwrap();
    }
}
