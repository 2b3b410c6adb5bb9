//! The one error type of the crate, and how a failed question becomes a fact. Not for
//! failures of whoever calls.

use wire::Fact;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Fate of a request that was not answered with success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing reached a server: nothing was done.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The API refused: nothing was done.
    #[error("refused with status {status}: {message}")]
    Refused {
        /// HTTP status, 400 to 499.
        status: u16,
        /// Words of the API, on one line.
        message: String,
    },
    /// Sent, and not answered in a way that tells what was done.
    #[error("unknown: {0}")]
    Unknown(String),
}

impl Error {
    /// True where the request certainly changed nothing.
    pub fn changed_nothing(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// The fact that an answer states; a failed question leaves it unknown.
pub fn fact<T>(answer: Result<T>) -> Fact<T> {
    match answer {
        Ok(value) => Fact::Known(value),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// Longest text of a reason that is kept, in bytes.
const REASON_MAX: usize = 300;

/// Foreign words on one line and of bounded length.
pub(crate) fn short(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > REASON_MAX {
        let cut = (0..=REASON_MAX).rev().find(|&at| line.is_char_boundary(at));
        line.truncate(cut.unwrap_or(0));
        line.push('…');
    }
    line
}
