//! The client of the observer on the same host. It interprets nothing.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use crate::{Error, Tables};

/// Limit of a question, connection and answer together, ms.
const LIMIT_MS: u64 = 1_000;

/// The tables of all observers, from the one that listens at a Unix socket.
pub async fn ask(path: impl AsRef<Path>) -> Result<Tables, Error> {
    let path = path.as_ref();
    let late = |_| Error::Late {
        path: path.to_owned(),
        limit_ms: LIMIT_MS,
    };
    let answer = tokio::time::timeout(Duration::from_millis(LIMIT_MS), read(path))
        .await
        .map_err(late)?;
    let answer = answer.map_err(|why| Error::Socket {
        path: path.to_owned(),
        why,
    })?;
    serde_json::from_slice(&answer).map_err(|why| Error::Answer {
        path: path.to_owned(),
        why,
    })
}

async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    UnixStream::connect(path).await?.read_to_end(&mut answer).await?;
    Ok(answer)
}
