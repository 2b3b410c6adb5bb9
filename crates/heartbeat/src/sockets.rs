//! UDP sockets, one on each own address of the observer.
//!
//! They wait for nobody: the observer looks at all of them again and again.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use rustix::net::sockopt;

use crate::Error;
use crate::config::Config;
use crate::gossip::LONGEST;

/// Bytes that the kernel keeps while nobody looks: some thousand datagrams.
const KEPT: usize = 4 << 20;
/// Datagrams of one socket that are taken before the next socket has its turn.
const TURN: usize = 1_024;
/// Time until an address that the host does not have is tried again, ms.
const TRY_AGAIN_MS: u64 = 1_000;

/// Sockets in the order of [`Config::listen`].
pub struct Sockets(Vec<Ear>);

struct Ear {
    address: SocketAddr,
    socket: Option<UdpSocket>,
    tried_at: Option<u64>,
}

impl Sockets {
    /// Sockets of all own addresses, none of them open.
    pub fn new(config: &Config) -> Self {
        let ear = |address: IpAddr| Ear {
            address: SocketAddr::new(address, config.port),
            socket: None,
            tried_at: None,
        };
        Self(config.listen.iter().map(|l| ear(l.address)).collect())
    }

    /// Opens what is not open and due; the places of those that are open now. Fails where
    /// another program has the address.
    pub fn open(&mut self, now_ms: u64) -> Result<Vec<usize>, Error> {
        let mut opened = vec![];
        for (place, ear) in self.0.iter_mut().enumerate() {
            let waits = |at: u64| now_ms.saturating_sub(at) < TRY_AGAIN_MS;
            if ear.socket.is_some() || ear.tried_at.is_some_and(waits) {
                continue;
            }
            ear.tried_at = Some(now_ms);
            match bound(ear.address) {
                Ok(socket) => {
                    ear.socket = Some(socket);
                    opened.push(place);
                }
                Err(why) if why.kind() == ErrorKind::AddrNotAvailable => {}
                Err(why) => {
                    return Err(Error::Listen {
                        address: ear.address,
                        why,
                    });
                }
            }
        }
        Ok(opened)
    }

    /// Hands over what has arrived: place of the socket, sender, datagram. True when more
    /// may be there.
    pub fn read(&self, mut take: impl FnMut(usize, IpAddr, &[u8])) -> bool {
        let mut buffer = [0; LONGEST];
        let mut more = false;
        for (place, ear) in self.0.iter().enumerate() {
            let Some(socket) = &ear.socket else {
                continue;
            };
            for taken in 0.. {
                if taken == TURN {
                    more = true;
                    break;
                }
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => take(place, from.ip(), buffer.get(..length).unwrap_or_default()),
                    // Told by ICMP, of something that was sent before.
                    Err(why)
                        if matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
                    Err(_) => break,
                }
            }
        }
        more
    }

    /// Sends a datagram, or loses it: the next one follows soon.
    pub fn send(&self, place: usize, to: IpAddr, datagram: &[u8]) {
        if let Some(ear) = self.0.get(place)
            && let Some(socket) = &ear.socket
        {
            let _ = socket.send_to(datagram, SocketAddr::new(to, ear.address.port()));
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // More than an unprivileged program may have; without the right, as much as it may.
    sockopt::set_socket_recv_buffer_size_force(&socket, KEPT)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, KEPT))?;
    Ok(socket)
}
