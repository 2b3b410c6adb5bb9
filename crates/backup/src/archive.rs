//! The sealed file: written whole or not at all, and believed only when every
//! byte of it is as the manifest says.

use std::io::{self, BufReader, BufWriter, Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use tar::{Archive, Builder, EntryType, Header};
use vault::{seal, unseal};

use crate::{Error, FORMAT, Manifest, Part};

const MANIFEST: &str = "manifest.json";
/// A manifest names a handful of parts; what is larger is none.
const MAX_MANIFEST: u64 = 1 << 20;

/// Where a part's bytes come from.
pub enum Source {
    /// At hand.
    Bytes(Vec<u8>),
    /// Read as they come.
    Stream(Box<dyn Read + Send>),
}

/// The content of a backup: its manifest, and the bytes of each part in order.
pub struct Content {
    /// The manifest.
    pub manifest: Manifest,
    /// As many as it has parts.
    pub sources: Vec<Source>,
}

/// Hashes and counts what is read through it.
struct Measured<R> {
    inner: R,
    hasher: blake3::Hasher,
    size: u64,
}

impl<R> Measured<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: blake3::Hasher::new(),
            size: 0,
        }
    }

    fn is(&self, part: &Part) -> bool {
        self.size == part.size && self.hasher.finalize().to_hex().as_str() == part.blake3
    }
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }
}

fn header(size: u64, manifest: &Manifest) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_entry_type(EntryType::Regular);
    header.set_mtime(u64::try_from(manifest.at.as_second()).unwrap_or_default());
    header
}

/// Writes a backup to `path`, where nothing may be: beside it under another
/// name, synced, then renamed. A run that ends early leaves nothing under that
/// name.
pub fn write(path: &Utf8Path, recipients: &[String], content: Content) -> Result<(), Error> {
    let folder = path.parent().filter(|f| !f.as_str().is_empty());
    let folder = folder.unwrap_or(Utf8Path::new("."));
    let file = tempfile::Builder::new()
        .prefix(".backup-")
        .suffix(".part")
        .tempfile_in(folder)?; // mode 0600
    let manifest = content.manifest;
    let sealed = seal(recipients, BufWriter::new(file)).map_err(Error::Key)?;
    let mut tar = Builder::new(sealed);
    let text = manifest.text()?;
    tar.append_data(
        &mut header(text.len() as u64, &manifest),
        MANIFEST,
        text.as_slice(),
    )?;
    for (part, source) in manifest.parts.iter().zip(content.sources) {
        let reader: Box<dyn Read + Send> = match source {
            Source::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
            Source::Stream(reader) => reader,
        };
        let mut reader = Measured::new(reader);
        tar.append_data(
            &mut header(part.size, &manifest),
            &part.name,
            (&mut reader).take(part.size),
        )?;
        if !reader.is(part) {
            return Err(Error::Changed {
                part: part.name.clone(),
            });
        }
    }
    let file = tar
        .into_inner()?
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|e| e.error)?;
    fs::File::open(folder)?.sync_all()?; // the rename itself
    Ok(())
}

/// Reads the whole of a backup and gives each part to `each`; fails unless all
/// is there and as it was written.
fn walk(
    path: &Utf8Path,
    identity: &[Utf8PathBuf],
    each: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> Result<Manifest, Error> {
    let damaged = |why: String| Error::Damaged {
        path: path.to_owned(),
        why,
    };
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("its end is missing".to_owned()),
        // age's word for a piece whose seal does not fit, also the last one of a cut file.
        io::ErrorKind::InvalidData => damaged("it was cut off or altered".to_owned()),
        _ => damaged(error.to_string()),
    };
    let file = BufReader::with_capacity(1 << 20, fs::File::open(path)?);
    let plain = unseal(path, file, identity).map_err(|error| match error {
        vault::Error::Corrupt { why, .. } => damaged(why),
        other => Error::Key(other),
    })?;
    let mut archive = Archive::new(plain);
    let mut entries = archive.entries().map_err(broken)?;
    let mut next = |wanted: &str| match entries.next() {
        Some(Ok(entry)) if entry.path_bytes() == wanted.as_bytes() => Ok(entry),
        Some(Ok(entry)) => Err(damaged(format!(
            "`{}` stands where `{wanted}` should",
            String::from_utf8_lossy(&entry.path_bytes())
        ))),
        Some(Err(error)) => Err(broken(error)),
        None => Err(damaged(format!("`{wanted}` is not in it"))),
    };
    let mut text = Vec::new();
    next(MANIFEST)?
        .take(MAX_MANIFEST)
        .read_to_end(&mut text)
        .map_err(broken)?;
    // Judged by its format first: a newer one may have other keys.
    let format: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| damaged(format!("its manifest is no JSON: {e}")))?;
    let number = format.get("format").and_then(serde_json::Value::as_u64);
    if number != Some(FORMAT.into()) {
        let word = |key: &str| format.get(key).and_then(serde_json::Value::as_str).unwrap_or("?");
        return Err(Error::Format {
            path: path.to_owned(),
            found: number.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
            quorate: word("quorate").to_owned(),
        });
    }
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| damaged(format!("its manifest is not as expected: {e}")))?;
    for part in &manifest.parts {
        let mut reader = Measured::new(next(&part.name)?);
        each(&part.name, &mut reader).map_err(broken)?;
        io::copy(&mut reader, &mut io::sink()).map_err(broken)?;
        if !reader.is(part) {
            return Err(damaged(format!("`{}` is not what the manifest says", part.name)));
        }
    }
    if entries.next().is_some() {
        return Err(damaged("there is more in it than the manifest says".to_owned()));
    }
    // The last piece says that it is the last: only then was nothing cut off.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    Ok(manifest)
}

/// Reads all of a backup: it can be decrypted, nothing is missing, and every
/// part is what its manifest says.
pub fn verify(path: &Utf8Path, identity: &[Utf8PathBuf]) -> Result<Manifest, Error> {
    walk(path, identity, &mut |_, _| Ok(()))
}

/// Reads all of a backup and writes one part of it to `out`. What was written is
/// to be believed only when this comes back well.
pub fn read_part(
    path: &Utf8Path,
    identity: &[Utf8PathBuf],
    name: &str,
    out: &mut dyn Write,
) -> Result<Manifest, Error> {
    walk(path, identity, &mut |found, reader| {
        if found == name {
            io::copy(reader, out)?;
        }
        Ok(())
    })
}
