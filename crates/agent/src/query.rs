//! Asks one thing and says what came back: known, absent or unknown with the
//! reason. Not for judging the answer (`expect`).

use std::{io::ErrorKind, time::Duration};

use tokio::net::TcpStream;
use wire::{Answer, Fact, Listing, Query};

use crate::{
    files::is_absent,
    http, pacemaker,
    process::{self, Failure},
    socket, sql,
};

const CONNECT: Duration = Duration::from_secs(1);

/// The largest text that is read for an answer, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// Asks.
pub(crate) async fn ask(query: &Query) -> Fact<Answer> {
    match query {
        Query::Sql(statements) => sql::ask(statements).await,
        Query::Http(request) => http::ask(request).await,
        Query::Read(path) => read(path),
        Query::Run { argv, timeout_ms } => {
            match process::run(argv, None, Duration::from_millis(*timeout_ms)).await {
                Ok(ran) => Fact::Known(Answer::Ran {
                    status: ran.status,
                    stdout: ran.stdout,
                    stderr: ran.stderr,
                }),
                Err(Failure::Missing(_)) => Fact::Absent,
                Err(failure) => Fact::Unknown(failure.to_string()),
            }
        }
        Query::Socket { path, line } => socket::ask(path, line).await,
        Query::Tcp(address) => tcp(address).await,
        Query::Cluster => match pacemaker::cluster().await {
            Fact::Known(seen) => Fact::Known(Answer::Cluster(Box::new(seen))),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        },
        Query::List(path) => list(path),
    }
}

/// The entries of a folder. Only where there is none is it absent: one that cannot be
/// read to its end may hold anything.
fn list(path: &str) -> Fact<Answer> {
    let read = || {
        let mut out = Listing::default();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                out.folders.push(name);
            } else {
                out.others.push(name);
            }
        }
        Ok(out)
    };
    match read() {
        Ok(listing) => Fact::Known(Answer::Listing(listing)),
        Err(error) => unlisted(path, &error),
    }
}

/// The fact of a folder that could not be listed.
fn unlisted(path: &str, error: &std::io::Error) -> Fact<Answer> {
    // Where the folder itself is gone; an entry that went under way is unknown too.
    if error.kind() == ErrorKind::NotFound
        && std::fs::symlink_metadata(path).is_err_and(|e| e.kind() == ErrorKind::NotFound)
    {
        return Fact::Absent;
    }
    Fact::Unknown(format!("cannot list {path}: {error}"))
}

fn read(path: &str) -> Fact<Answer> {
    let text = std::fs::metadata(path).and_then(|meta| {
        if meta.len() > MAX_TEXT {
            return Err(std::io::Error::other(format!("it has {} bytes", meta.len())));
        }
        std::fs::read(path)
    });
    match text {
        Ok(bytes) => Fact::Known(Answer::Text(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if is_absent(&error) => Fact::Absent,
        Err(error) => Fact::Unknown(format!("cannot read {path}: {error}")),
    }
}

async fn tcp(address: &str) -> Fact<Answer> {
    // Parsed here, so that no name is ever looked up.
    let Ok(target) = address.parse::<std::net::SocketAddr>() else {
        return Fact::Unknown(format!("`{address}` is not an address and a port"));
    };
    match tokio::time::timeout(CONNECT, TcpStream::connect(target)).await {
        Ok(Ok(_)) => Fact::Known(Answer::Open),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Fact::Absent,
        Ok(Err(error)) => Fact::Unknown(format!("cannot connect to {address}: {error}")),
        Err(_) => Fact::Unknown(format!("{address} did not answer within {} s", CONNECT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tcp_open_refused_nonsense() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(ask(&Query::Tcp(address.clone())).await, Fact::Known(Answer::Open));
        drop(listener);
        assert!(ask(&Query::Tcp(address)).await.is_absent());
        assert!(matches!(
            ask(&Query::Tcp("host:80".to_owned())).await,
            Fact::Unknown(_)
        ));
    }

    #[tokio::test]
    async fn folders_known_absent_and_unknown() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir_all(path("data/mysql")).unwrap();
        std::fs::write(path("data/ibdata1"), "x").unwrap();
        let listing = Listing {
            folders: vec!["mysql".to_owned()],
            others: vec!["ibdata1".to_owned()],
        };
        assert_eq!(
            ask(&Query::List(path("data"))).await,
            Fact::Known(Answer::Listing(listing))
        );
        assert!(ask(&Query::List(path("none"))).await.is_absent());
        // A file in its place, and a link that leads nowhere: somebody was there.
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        for name in ["data/ibdata1", "link"] {
            let fact = ask(&Query::List(path(name))).await;
            assert!(matches!(fact, Fact::Unknown(_)), "{name}: {fact:?}");
        }
        let broken = std::io::Error::from_raw_os_error(5);
        let fact = unlisted(&path("data"), &broken);
        assert!(
            matches!(&fact, Fact::Unknown(why) if why.contains("Input/output error")),
            "{fact:?}"
        );
        // An entry that vanishes while it is read says nothing of the folder.
        let gone = std::io::Error::from(ErrorKind::NotFound);
        assert!(matches!(unlisted(&path("data"), &gone), Fact::Unknown(_)));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_absent() {
        let query = |program: &str| Query::Run {
            argv: vec![program.to_owned()],
            timeout_ms: 5000,
        };
        assert!(ask(&query("no-such-program")).await.is_absent());
        assert!(matches!(
            ask(&query("true")).await,
            Fact::Known(Answer::Ran { status: 0, .. })
        ));
    }
}
