//! The echo: whether a host's kernel answers a connection, to tell a silent sender from a
//! silent host.
//!
//! It sends nothing over the connection, and proves nobody's death: a host that does not
//! answer may be cut off.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::time::timeout;

/// Port of the host's ssh server: refused, it is an answer too.
const PORT: u16 = 22;
/// Limit of an answer.
const LIMIT: Duration = Duration::from_millis(500);

/// Answer of the kernel at an address to a connection from an own address; `None` when this
/// host cannot ask.
pub async fn answers(from: IpAddr, to: IpAddr) -> Option<bool> {
    let socket = match to {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.ok()?;
    socket.bind(SocketAddr::new(from, 0)).ok()?;
    match timeout(LIMIT, socket.connect(SocketAddr::new(to, PORT))).await {
        Ok(Ok(_)) => Some(true),
        Ok(Err(why)) => read(&why),
        Err(_) => Some(false),
    }
}

/// The meaning of an error: refused by the host, unreachable on its network, or our own.
fn read(why: &Error) -> Option<bool> {
    match why.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Some(true),
        ErrorKind::HostUnreachable | ErrorKind::TimedOut => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_our_own_is_no_silence() {
        let check = |kind: ErrorKind, expect| assert_eq!(read(&Error::from(kind)), expect, "{kind}");
        check(ErrorKind::ConnectionRefused, Some(true));
        check(ErrorKind::ConnectionReset, Some(true));
        check(ErrorKind::HostUnreachable, Some(false));
        check(ErrorKind::TimedOut, Some(false));
        check(ErrorKind::NetworkUnreachable, None);
        check(ErrorKind::AddrNotAvailable, None);
        check(ErrorKind::PermissionDenied, None);
    }

    #[tokio::test]
    async fn who_refuses_answers_and_who_has_no_address_cannot_ask() {
        let [here, nowhere] = ["127.0.0.1", "198.51.100.1"].map(|a| a.parse().unwrap());
        assert_eq!(answers(here, here).await, Some(true));
        assert_eq!(answers(nowhere, here).await, None);
    }
}
