//! Files that are too large for one frame, piece by piece: copies of databases
//! on their way out and in. Not for configuration (`files`).

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use wire::{Fact, FileSum, MAX_PIECE, OpError};

use crate::files::is_absent;

/// Size and hash.
pub(crate) fn sum(path: &str) -> Fact<FileSum> {
    let read = || -> io::Result<FileSum> {
        let mut hasher = blake3::Hasher::new();
        let size = io::copy(&mut File::open(path)?, &mut hasher)?;
        Ok(FileSum {
            size,
            blake3: hasher.finalize().to_hex().to_string(),
        })
    };
    match read() {
        Ok(sum) => Fact::Known(sum),
        Err(error) if is_absent(&error) => Fact::Absent,
        Err(error) => Fact::Unknown(format!("cannot read {path}: {error}")),
    }
}

/// Bytes from `offset` on.
pub(crate) fn take(path: &str, offset: u64, length: u32) -> Result<Vec<u8>, OpError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length.min(MAX_PIECE).into()).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| OpError::new(format!("cannot read {path}: {error}")))
}

/// Writes at the end of what is there; synced, since a power cut may follow.
pub(crate) fn put(path: &str, offset: u64, bytes: &[u8]) -> Result<u32, OpError> {
    let write = || -> io::Result<()> {
        if let Some(folder) = Path::new(path).parent()
            && fs::metadata(folder).is_err()
        {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(offset == 0).mode(0o600);
        let mut file = options.open(path)?;
        let there = file.metadata()?.len();
        if there != offset {
            let why = format!("it has {there} bytes, and the next piece is for {offset}");
            return Err(io::Error::other(why));
        }
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        file.sync_data()
    };
    write().map_err(|error| OpError::new(format!("cannot write {path}: {error}")))?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn pieces_make_the_whole_and_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/copy").to_string_lossy().into_owned();
        assert!(sum(&path).is_absent());
        put(&path, 0, b"an older, longer one").unwrap();
        put(&path, 0, b"hello ").unwrap();
        put(&path, 6, b"world").unwrap();
        let error = put(&path, 12, b"!").unwrap_err();
        assert!(error.message.contains("it has 11 bytes"), "{error}");
        assert_eq!(take(&path, 0, 5).unwrap(), b"hello");
        assert_eq!(take(&path, 6, 100).unwrap(), b"world");
        assert_eq!(take(&path, 11, 100).unwrap(), b"");
        let Fact::Known(found) = sum(&path) else { panic!() };
        assert_eq!(
            (found.size, found.blake3),
            (11, blake3::hash(b"hello world").to_hex().to_string())
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(Path::new(&path)), 0o600);
        assert_eq!(mode(Path::new(&path).parent().unwrap()), 0o700);
    }
}
