//! This program as it is pushed to hosts: its hash and its compressed bytes.
//!
//! The agent is the same file as the operator's program, so that both ends
//! always speak the same protocol. It is compressed with gzip, since gzip is
//! essential on every host and zstd is not, and only once a version: the
//! result is kept in the user's cache.

use std::io::Write as _;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;

/// The running program, ready to be pushed.
#[derive(Debug)]
pub struct Binary {
    path: Utf8PathBuf,
    cache: Utf8PathBuf,
    hash: String,
    packed: OnceCell<Arc<Vec<u8>>>,
}

impl Binary {
    /// Reads the program at `path`; `cache` is a directory for the compressed copy.
    ///
    /// # Errors
    /// When the program cannot be read.
    pub fn load(path: &Utf8Path, cache: &Utf8Path) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let mut file = fs_err::File::open(path)?;
        std::io::copy(&mut file, &mut hasher)?;
        let hash = hasher
            .finalize()
            .to_hex()
            .as_str()
            .get(..24)
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            path: path.to_owned(),
            cache: cache.to_owned(),
            hash,
            packed: OnceCell::new(),
        })
    }

    /// 24 hex characters of the program's hash.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The compressed bytes; made at the first call, then kept.
    ///
    /// # Errors
    /// When the program cannot be read. A cache that cannot be written is not an error.
    pub async fn packed(&self) -> std::io::Result<Arc<Vec<u8>>> {
        let packed = self
            .packed
            .get_or_try_init(|| async {
                let (path, kept) = (
                    self.path.clone(),
                    self.cache.join(format!("quorate-{}.gz", self.hash)),
                );
                tokio::task::spawn_blocking(move || pack(&path, &kept))
                    .await
                    .map_err(std::io::Error::other)?
            })
            .await?;
        Ok(Arc::clone(packed))
    }
}

fn pack(path: &Utf8Path, kept: &Utf8Path) -> std::io::Result<Arc<Vec<u8>>> {
    if let Ok(bytes) = fs_err::read(kept) {
        return Ok(Arc::new(bytes));
    }
    let program = fs_err::read(path)?;
    // Level 4: 3 × faster than the default and a tenth larger; this is paid once a version.
    let mut encoder = GzEncoder::new(Vec::with_capacity(program.len() / 3), Compression::new(4));
    encoder.write_all(&program)?;
    let bytes = encoder.finish()?;
    if let Some(dir) = kept.parent() {
        // Best effort: without a cache the next run compresses again.
        let temporary = kept.with_extension(format!("{}.part", std::process::id()));
        let _ = fs_err::create_dir_all(dir)
            .and_then(|()| fs_err::write(&temporary, &bytes))
            .and_then(|()| fs_err::rename(&temporary, kept));
    }
    Ok(Arc::new(bytes))
}
