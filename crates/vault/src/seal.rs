//! Encryption of streams for those who can read a vault: what leaves the cloud
//! and holds secrets, such as a backup. Not for the vault's own form.

use std::io::{self, BufRead, Read, Write};

use camino::{Utf8Path, Utf8PathBuf};

use crate::{Error, keys};

/// Encrypts what is written to it. Nothing can be read of it before
/// [`Sealing::finish`]: an end that is missing is seen by whoever decrypts.
pub struct Sealing<W: Write>(age::stream::StreamWriter<W>);

impl<W: Write> std::fmt::Debug for Sealing<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing")
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Sealing<W> {
    /// Writes the end; gives back what was written to.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

/// Begins to encrypt for these recipients; `age -d` can read it.
pub fn seal<W: Write>(recipients: &[String], out: W) -> Result<Sealing<W>, Error> {
    let recipients = keys::parse_recipients(recipients)?;
    let refs = recipients.iter().map(|r| &**r as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(refs).map_err(|_| Error::NoRecipients)?;
    Ok(Sealing(encryptor.wrap_output(out)?))
}

/// Reads what [`seal`] wrote. Reading fails at the first piece (64 KiB) that was
/// altered, and at the end where it was cut off. `path` stands in errors.
pub fn unseal<R: BufRead>(
    path: &Utf8Path,
    input: R,
    identity: &[Utf8PathBuf],
) -> Result<impl Read + use<R>, Error> {
    open(path, input, identity, &[])
}

/// The same; `recipients` are whom it is for, as far as somebody knows.
pub(crate) fn open<R: BufRead>(
    path: &Utf8Path,
    input: R,
    identity: &[Utf8PathBuf],
    recipients: &[String],
) -> Result<age::stream::StreamReader<R>, Error> {
    let keys = keys::read_identities(identity)?;
    let decryptor = age::Decryptor::new_buffered(input)
        .map_err(|e| Error::corrupt(path, format!("it is not an age file: {e}")))?;
    let refs = keys.usable.iter().map(|k| &**k as &dyn age::Identity);
    decryptor.decrypt(refs).map_err(|e| match e {
        age::DecryptError::NoMatchingKeys => Error::NotForUs {
            path: path.to_owned(),
            recipients: recipients.to_vec(),
            tried: identity.to_vec(),
            skipped: keys.skipped.clone(),
        },
        other => Error::corrupt(path, other.to_string()),
    })
}
