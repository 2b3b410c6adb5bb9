//! Large files between a host and here, piece by piece over the session. Not
//! for configuration: that is in a plan's steps.

use std::io::Read;

use tokio::sync::mpsc::{Receiver, Sender};
use wire::{Fact, FileSum, MAX_PIECE, Op, Reply};

use crate::session::{CallError, Session};

/// Pieces that may wait on their way: what reads and what writes go at their own pace.
pub const PIECES: usize = 4;

fn other(session: &Session) -> CallError {
    CallError::Failed(wire::OpError::new(format!(
        "{}: the agent answered something else",
        session.host
    )))
}

/// Size and hash of a file on a host; `None` where it is not there.
///
/// # Errors
/// When it cannot be read, or the connection is lost.
pub async fn sum(session: &Session, path: &str) -> Result<Option<FileSum>, CallError> {
    match session.call(Op::Sum(path.to_owned()), None).await? {
        Reply::Sum(Fact::Known(sum)) => Ok(Some(sum)),
        Reply::Sum(Fact::Absent) => Ok(None),
        Reply::Sum(Fact::Unknown(why)) => Err(CallError::Failed(wire::OpError::new(why))),
        _ => Err(other(session)),
    }
}

/// Sends a file's pieces on; ends early where nobody wants them any more.
///
/// # Errors
/// When it cannot be read, or the connection is lost.
pub async fn fetch(session: &Session, path: &str, pieces: Sender<Vec<u8>>) -> Result<(), CallError> {
    let mut offset = 0;
    loop {
        let take = Op::Take {
            path: path.to_owned(),
            offset,
            length: MAX_PIECE,
        };
        let Reply::Piece(bytes) = session.call(take, None).await? else {
            return Err(other(session));
        };
        if bytes.is_empty() {
            return Ok(());
        }
        offset += bytes.len() as u64;
        if pieces.send(bytes).await.is_err() {
            return Ok(());
        }
    }
}

/// Writes pieces into a new file on a host, for root alone.
///
/// # Errors
/// When it cannot be written, or the connection is lost.
pub async fn push(session: &Session, path: &str, mut pieces: Receiver<Vec<u8>>) -> Result<(), CallError> {
    let mut offset = 0;
    while let Some(bytes) = pieces.recv().await {
        let length = bytes.len() as u64;
        let put = Op::Put {
            path: path.to_owned(),
            offset,
            bytes,
        };
        session.call(put, None).await?;
        offset += length;
    }
    Ok(())
}

/// Pieces as something to read from, for a thread of its own.
#[derive(Debug)]
pub struct Pieces {
    pieces: Receiver<Vec<u8>>,
    rest: std::io::Cursor<Vec<u8>>,
}

impl Pieces {
    /// Reads what comes through a channel.
    pub fn new(pieces: Receiver<Vec<u8>>) -> Self {
        Self {
            pieces,
            rest: std::io::Cursor::new(Vec::new()),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let count = self.rest.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.pieces.blocking_recv() {
                Some(next) => self.rest = std::io::Cursor::new(next),
                None => return Ok(0),
            }
        }
    }
}

/// Something to write to, for a thread of its own: what is written goes through a
/// channel, in pieces that fit.
#[derive(Debug)]
pub struct IntoPieces(Sender<Vec<u8>>);

impl IntoPieces {
    /// Writes into a channel.
    pub fn new(pieces: Sender<Vec<u8>>) -> std::io::BufWriter<Self> {
        std::io::BufWriter::with_capacity(MAX_PIECE as usize, Self(pieces))
    }
}

impl std::io::Write for IntoPieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let piece = bytes.get(..MAX_PIECE as usize).unwrap_or(bytes);
        self.0
            .blocking_send(piece.to_vec())
            .map_err(|_| std::io::Error::other("the host does not take more"))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
