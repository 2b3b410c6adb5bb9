//! What can go wrong with a vault, and what cures it.

use camino::{Utf8Path, Utf8PathBuf};

/// Why a vault cannot do what was asked. [`Error::cure`] tells what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No file.
    #[error("there is no vault at `{path}`")]
    Missing {
        /// Where it should be.
        path: Utf8PathBuf,
    },
    /// [`crate::Vault::create`] over a vault.
    #[error("there is a vault at `{path}` already")]
    Exists {
        /// Where it is.
        path: Utf8PathBuf,
    },
    /// None of our identities is among its recipients.
    #[error("cannot decrypt `{path}`: it is not for {}", list(.tried, .skipped))]
    NotForUs {
        /// The vault.
        path: Utf8PathBuf,
        /// Who can read it, as far as the files beside it tell.
        recipients: Vec<String>,
        /// The identity files that were tried.
        tried: Vec<Utf8PathBuf>,
        /// Keys that could not be tried, with the reason.
        skipped: Vec<String>,
    },
    /// Damaged, tampered with, or not a vault.
    #[error("cannot read `{path}`: {why}")]
    Corrupt {
        /// The vault.
        path: Utf8PathBuf,
        /// What is wrong, without any content.
        why: String,
    },
    /// An identity file that holds no identity.
    #[error("cannot use `{path}` as an identity: {why}")]
    BadIdentity {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A recipient that is no age or SSH key.
    #[error("`{text}` is not a recipient")]
    BadRecipient {
        /// As it was given.
        text: String,
    },
    /// Nobody to encrypt for.
    #[error("the vault has no recipients")]
    NoRecipients,
    /// A name that is not in the vault.
    #[error("there is no secret `{name}` in the vault")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A name that cannot be one.
    #[error("`{name}` cannot be the name of a secret")]
    BadName {
        /// The name.
        name: String,
    },
    /// Another changes the vault.
    #[error("the vault is being changed by {by} (`{path}`)")]
    Locked {
        /// The lock's file.
        path: Utf8PathBuf,
        /// Who.
        by: String,
    },
    /// `⟦secret:` without an end.
    #[error("a reference to a secret has no end: `⟦secret:{start}…`")]
    OpenPlaceholder {
        /// What follows, in part.
        start: String,
    },
    /// The system gives no random numbers.
    #[error("cannot get random numbers")]
    Random(#[source] rand::rand_core::OsError),
    /// A certificate could not be made.
    #[error("cannot make the certificate `{name}`")]
    Certificate {
        /// The secret.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// Reading or writing.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// What to do about it, when we know.
    pub fn cure(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => {
                "if the cloud exists, bring this file back from your backup or repository: its hosts hold these \
                 secrets and new ones would lock quorate out"
                    .to_owned()
            }
            Self::Exists { .. } => "open it; to start over, move it away first".to_owned(),
            Self::NotForUs { recipients, .. } if recipients.is_empty() => {
                "name the right identity file in QUORATE_IDENTITY".to_owned()
            }
            Self::NotForUs { recipients, .. } => format!(
                "it is for {}: name the identity file of one of them in QUORATE_IDENTITY, or ask one of them to add you",
                recipients.join(", ")
            ),
            Self::Corrupt { .. } => "bring this file back from your backup or repository".to_owned(),
            Self::BadIdentity { .. } => {
                "an identity file holds `AGE-SECRET-KEY-1…` or an SSH ed25519 key without passphrase".to_owned()
            }
            Self::BadRecipient { .. } => {
                "write one recipient a line: `age1…` or `ssh-ed25519 …`; `#` starts a comment".to_owned()
            }
            Self::Locked { .. } => "wait for it to end; its lock goes with it".to_owned(),
            Self::NoRecipients => "put a recipient in the file `recipients` beside the vault".to_owned(),
            Self::BadName { .. } => "use letters, digits, `-`, `_`, `.` and `@`, in words apart by `/`".to_owned(),
            Self::Unknown { .. }
            | Self::OpenPlaceholder { .. }
            | Self::Random(_)
            | Self::Certificate { .. }
            | Self::Io(_) => return None,
        })
    }

    pub(crate) fn corrupt(path: &Utf8Path, why: String) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            why,
        }
    }

    pub(crate) fn open_placeholder(after: &str) -> Self {
        Self::OpenPlaceholder {
            start: after.chars().take(20).collect(),
        }
    }
}

fn list(tried: &[Utf8PathBuf], skipped: &[String]) -> String {
    let mut out = if tried.is_empty() {
        "the identities here, as there are none".to_owned()
    } else {
        tried
            .iter()
            .map(|p| format!("`{p}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for skip in skipped {
        out.push_str("; ");
        out.push_str(skip);
    }
    out
}
