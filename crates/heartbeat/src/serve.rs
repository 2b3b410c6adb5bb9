//! The Unix socket that answers with the tables of all observers: one document a connection,
//! for root alone. Nothing is read from it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::{Error, Tables};

/// Limit for one that reads its answer.
const LIMIT: Duration = Duration::from_secs(1);
/// Answers under way at once.
const AT_ONCE: usize = 16;
/// Connections that wait to be taken.
const WAITING: i32 = 64;

/// The socket, open to root alone. One that an earlier observer left is replaced.
pub fn listen(path: &Path) -> Result<UnixListener, Error> {
    opened(path).map_err(|why| Error::Socket {
        path: path.to_owned(),
        why,
    })
}

fn opened(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Before it listens: nobody connects to it with its first mode.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, WAITING)?;
    UnixListener::from_std(socket.into())
}

/// Answers of the observer, as many at once as are allowed.
pub struct Answers(Arc<Semaphore>);

impl Answers {
    /// No answers under way.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Writes the tables to a connection, in the background; hangs up when too many are
    /// under way.
    pub fn give(&self, mut to: UnixStream, tables: &Tables) {
        let Ok(allowed) = Arc::clone(&self.0).try_acquire_owned() else {
            return;
        };
        // Tables have text keys and numbers only: there is nothing that JSON refuses.
        let Ok(text) = serde_json::to_vec(tables) else {
            return;
        };
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LIMIT, to.write_all(&text)).await;
            drop(allowed);
        });
    }
}
