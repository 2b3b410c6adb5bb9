//! The one error type of the crate.
//!
//! It is for what stops a prober from starting or a read-back from ending. A
//! probe that fails while the prober runs is not an error but an
//! [`Outcome`](crate::Outcome): it is what the prober is there to see.

use std::io;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a prober could not start, or a history not be read. Each names the probe.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The probe as written cannot be meant; nothing was sent.
    #[error("probe `{probe}`: {reason}")]
    Invalid {
        /// Name of the probe, or what stands in its place.
        probe: String,
        /// What is wrong, as a sentence fragment.
        reason: String,
    },
    /// The limits allow nothing, or more than a prober may do.
    #[error("cannot probe: {0}")]
    Limits(&'static str),
    /// The table, queue or first token could not be made before the start.
    #[error("probe `{probe}`: cannot prepare: {reason}")]
    Prepare {
        /// Name of the probe.
        probe: String,
        /// What the other side or the network said.
        reason: String,
    },
    /// What was written could not be read back in the time given. This is not
    /// a loss: nothing is known.
    #[error("probe `{probe}`: cannot read back: {reason}")]
    ReadBack {
        /// Name of the probe.
        probe: String,
        /// What the other side or the network said last.
        reason: String,
    },
    /// Reading or writing a history failed.
    #[error("cannot read or write the history")]
    Io(#[from] io::Error),
    /// A line of a history is not one.
    #[error("line {line} of the history is not understood")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A history has no first or no last line: the prober died, or the file is cut.
    #[error("the history has no `{0}` line")]
    Torn(&'static str),
}

/// Longest text of a reason kept in a history, in bytes: a failing probe
/// repeats it at each tick.
const REASON_MAX: usize = 160;

/// The text of an error's deepest source, on one line and cut to a bounded
/// length. The root says `Connection refused`; the layers above say who asked.
pub(crate) fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    short(&deepest.to_string())
}

/// `text` on one line and at most [`REASON_MAX`] bytes long.
pub(crate) fn short(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > REASON_MAX {
        let cut = (0..=REASON_MAX).rev().find(|&at| line.is_char_boundary(at));
        line.truncate(cut.unwrap_or(0));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{REASON_MAX, short};

    #[test]
    fn a_reason_is_one_bounded_line() {
        assert_eq!(short("refused\n  by  peer"), "refused by peer");
        let long = short(&"é".repeat(400));
        assert!(long.len() <= REASON_MAX + '…'.len_utf8());
    }
}
