//! Heartbeats: authenticated signs of life that VM hosts send to all controllers, and the
//! tables that controllers keep of them and gossip to each other.
//!
//! It tells who was heard, by whom, on which network, and how long ago. It decides nothing:
//! no host is called dead here, fenced, or spoken of to any service. It is not for members of
//! the cluster, which Corosync watches.
//!
//! Pure, with time and randomness handed in: [`beat`] and [`gossip`] (datagrams), [`replay`]
//! (what was heard before), [`table`] (what was heard, and when) and [`told`] (the answer to
//! those that ask). Edges: [`run`], the observer, and [`ask`], its client.
//!
//! A VM host has a key of its own. One that is stolen can forge its own life and nothing else:
//! a datagram counts for the host whose key made it, on the network that it names, at the
//! address that it was sent to, once. Controllers share one key for gossip.

pub mod beat;
mod client;
pub mod config;
mod echo;
pub mod gossip;
pub mod key;
mod observer;
pub mod replay;
mod serve;
mod sockets;
pub mod table;
pub mod told;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use client::ask;
pub use config::Config;
pub use key::Key;
pub use observer::run;
pub use told::Tables;

/// Failures of the observer and of those that ask it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration that contradicts itself.
    #[error("the observer's configuration: {0}")]
    Config(String),
    /// An address that no datagrams can be received at, for good.
    #[error("{address}: {why}: end the program that listens there, or change `port`")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// The system's word.
        why: io::Error,
    },
    /// A Unix socket that cannot be made, reached or read.
    #[error("{}: {why}", path.display())]
    Socket {
        /// Path of the socket.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
    /// No whole answer of the observer within the limit.
    #[error("{}: the observer has not answered within {limit_ms} ms: it is stopped or overloaded", path.display())]
    Late {
        /// Path of the socket.
        path: PathBuf,
        /// Limit, ms.
        limit_ms: u64,
    },
    /// An answer that is not of this version's form.
    #[error("{}: the observer's answer cannot be read: {why}", path.display())]
    Answer {
        /// Path of the socket.
        path: PathBuf,
        /// Place and kind of the error.
        why: serde_json::Error,
    },
}
