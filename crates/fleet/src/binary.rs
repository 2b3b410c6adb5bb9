//! This program as it is pushed to hosts: its hash and its compressed bytes.
//!
//! The agent is the same file as the operator's program, so that both ends
//! always speak the same protocol. It is compressed with gzip, since gzip is
//! essential on every host and zstd is not, and only once a version: the
//! result is kept in the user's cache, behind a digest: what a full disk or a power
//! cut left there is made again.

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
    size: u64,
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
        let size = std::io::copy(&mut file, &mut hasher)?;
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
            size,
            packed: OnceCell::new(),
        })
    }

    /// 24 hex characters of the program's hash.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Bytes of the program, not compressed.
    pub fn size(&self) -> u64 {
        self.size
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
                    self.cache.join(format!("quorate-{}.packed", self.hash)),
                );
                tokio::task::spawn_blocking(move || pack(&path, &kept))
                    .await
                    .map_err(std::io::Error::other)?
            })
            .await?;
        Ok(Arc::clone(packed))
    }
}

/// Bytes of the digest in front of the kept copy.
const DIGEST: usize = blake3::OUT_LEN;

/// The compressed bytes of a kept copy; none unless their digest is right.
fn intact(mut kept: Vec<u8>) -> Option<Vec<u8>> {
    let digest = kept.get(..DIGEST)?;
    let right = blake3::hash(kept.get(DIGEST..)?).as_bytes() == digest;
    kept.drain(..DIGEST);
    right.then_some(kept)
}

fn pack(path: &Utf8Path, kept: &Utf8Path) -> std::io::Result<Arc<Vec<u8>>> {
    if let Some(bytes) = fs_err::read(kept).ok().and_then(intact) {
        return Ok(Arc::new(bytes));
    }
    let program = fs_err::read(path)?;
    // Level 4: 3 × faster than the default and a tenth larger; this is paid once a version.
    let mut encoder = GzEncoder::new(Vec::with_capacity(program.len() / 3), Compression::new(4));
    encoder.write_all(&program)?;
    let bytes = encoder.finish()?;
    // Best effort: without a cache the next run compresses again.
    let _ = keep(kept, &bytes);
    Ok(Arc::new(bytes))
}

fn keep(kept: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = kept.parent() {
        fs_err::create_dir_all(dir)?;
    }
    let temporary = kept.with_extension(format!("{}.part", std::process::id()));
    let mut file = fs_err::File::create(&temporary)?;
    file.write_all(blake3::hash(bytes).as_bytes())?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs_err::rename(&temporary, kept)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn a_damaged_copy_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let program = dir.join("program");
        fs_err::write(&program, "what runs".repeat(1000)).unwrap();
        let packed = async || {
            let binary = Binary::load(&program, &dir.join("cache")).unwrap();
            let mut out = String::new();
            let bytes = binary.packed().await.unwrap();
            flate2::read::GzDecoder::new(bytes.as_slice())
                .read_to_string(&mut out)
                .unwrap();
            assert_eq!((out.len() as u64, out.len()), (binary.size(), 9000));
        };
        packed().await;
        let kept = fs_err::read_dir(dir.join("cache"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let right = fs_err::read(&kept).unwrap();
        let mut turned = right.clone();
        *turned.last_mut().unwrap() ^= 1;
        for wrong in [
            Vec::new(),
            right[..8].to_vec(),
            right[..right.len() / 2].to_vec(),
            turned,
        ] {
            fs_err::write(&kept, wrong).unwrap();
            packed().await;
            assert_eq!(fs_err::read(&kept).unwrap(), right, "the copy is not mended");
        }
    }
}
