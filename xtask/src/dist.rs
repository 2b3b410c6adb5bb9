//! `cargo xtask dist`: the binary as it is released.

use std::path::PathBuf;

use crate::shell::{Error, build};

/// Builds it and prints where it is and its size; gives its path.
pub fn run() -> Result<PathBuf, Error> {
    let path = build(true)?;
    println!("{}: {}", path.display(), megabytes(size(&path)?));
    Ok(path)
}

/// A file's size.
pub fn size(path: &std::path::Path) -> Result<u64, Error> {
    let metadata =
        std::fs::metadata(path).map_err(|e| Error::Said(format!("cannot see {}: {e}", path.display())))?;
    Ok(metadata.len())
}

/// Megabytes (10⁶ bytes), to the tenth.
pub fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
