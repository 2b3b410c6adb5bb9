//! Asks one thing and says what came back: known, absent or unknown with the
//! reason. Not for judging the answer (`expect`).

use std::{io::ErrorKind, time::Duration};

use tokio::net::TcpStream;
use wire::{Answer, Fact, Query};

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
        Query::Cluster => match pacemaker::crm_mon().await {
            Fact::Known(xml) => Fact::Known(Answer::Cluster(xml)),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        },
    }
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
