//! What can be wrong with a backup, and what cures it.

use camino::Utf8PathBuf;

/// Why a backup cannot be made or read. [`Error::cure`] tells what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Cut off, altered, or not a backup.
    #[error("`{path}` is not a whole backup: {why}")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Of a form that this quorate does not know.
    #[error("`{path}` is a backup of format {found}, by quorate {quorate}")]
    Format {
        /// The file.
        path: Utf8PathBuf,
        /// Its format.
        found: u32,
        /// Who made it.
        quorate: String,
    },
    /// It cannot be decrypted with the keys at hand.
    #[error(transparent)]
    Key(vault::Error),
    /// What should go into it is not what was announced.
    #[error("`{part}` changed while it was copied")]
    Changed {
        /// The part.
        part: String,
    },
    /// A manifest cannot be written.
    #[error("cannot write the manifest")]
    Manifest(#[from] serde_json::Error),
    /// A place that cannot be one.
    #[error("`{place}` is no place for backups: {why}")]
    Place {
        /// As written.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// Nobody says who asks.
    #[error("a bucket is asked with credentials, and there are none")]
    NoCredentials,
    /// A bucket, or what is in it.
    #[error("{place}: {why}")]
    Bucket {
        /// What was asked for.
        place: Utf8PathBuf,
        /// What is wrong.
        why: String,
        /// What to do; may be empty.
        cure: &'static str,
    },
    /// Reading or writing.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// What to do about it, when we know.
    pub fn cure(&self) -> Option<String> {
        Some(match self {
            Self::Damaged { .. } => {
                "nothing was touched; take another copy of it, or an older backup".to_owned()
            }
            Self::Format { .. } => {
                "nothing was touched; read it with the quorate that made it, or a newer one".to_owned()
            }
            Self::Key(error) => return error.cure(),
            Self::Changed { .. } => "run it again".to_owned(),
            Self::Place { .. } => {
                "a folder, or `s3://BUCKET/PREFIX`; where the service is says `AWS_ENDPOINT_URL`".to_owned()
            }
            Self::NoCredentials => {
                "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or write them into `~/.aws/credentials`"
                    .to_owned()
            }
            Self::Bucket { cure, .. } => return (!cure.is_empty()).then(|| (*cure).to_owned()),
            Self::Manifest(_) | Self::Io(_) => return None,
        })
    }
}
