//! What fleet and agent say to each other: typed requests, facts and replies.
//!
//! Both ends are the same binary (the hello carries its hash and a stranger is
//! refused), so frames are postcard: compact, typed, and not self-describing.
//! This crate holds no behaviour beyond encoding, filling in secrets and judging an
//! answer by what is expected of it; it may not do I/O and knows neither stores nor services: what to ask of them comes
//! in as a [`Query`] and what to expect of the answer as an [`Expect`].

mod balance;
mod cluster;
mod content;
mod expect;
mod fact;
mod journey;
mod op;
mod query;

pub use balance::{Balance, ServerState, let_in};
pub use cluster::satisfied;
pub use content::Content;
pub use expect::holds;
pub use fact::{Address, Fact, Facts, FileFact, KeyFact, Listener, OsRelease, Stat, UnitFact};
pub use journey::{Journey, JourneyKind, JourneyRequest, Walked};
pub use op::{
    Ask, CibSection, Command, Edit, FileSum, FileWrite, MAX_PIECE, Op, OpError, Own, PROGRAM, Probed, Reply,
    Seen, UnitChange,
};
pub use query::{
    Answer, ClusterWant, Expect, HttpGet, KeyQuery, Listing, NamedQuery, Observe, Query, ResourceWant, Sql,
    Wait,
};

use serde::{Deserialize, Serialize};

/// Raised whenever a frame changes its shape; both ends must agree.
pub const PROTOCOL: u32 = 2;

/// The largest frame either side accepts, in bytes: a hostile or broken peer
/// must not make us allocate without end.
pub const MAX_FRAME: usize = 64 << 20;

/// Who changed a host, when and from where: a line a stage of each run. Older
/// lines are in the same file with `.1` behind its name.
pub const AUDIT_LOG: &str = "/var/log/quorate/audit.log";

/// First frame of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the agent's build.
    pub protocol: u32,
    /// Hash of the agent's binary, hex.
    pub build: String,
    /// `gethostname()` on the host.
    pub hostname: String,
    /// The host's boot id (`/proc/sys/kernel/random/boot_id`): changes with each boot.
    pub boot_id: String,
}

/// From fleet to agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "one of them lives at a time; nearly all are calls"
)]
pub enum ToAgent {
    /// Do this; answered by [`FromAgent::Done`] with the same id. Calls run at the same time.
    Call {
        /// Chosen by fleet, unique in the session.
        id: u64,
        /// What to do.
        op: Op,
    },
    /// No more calls; the agent ends when those under way have ended.
    Bye,
}

/// From agent to fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromAgent {
    /// First frame.
    Hello(Hello),
    /// A line of progress of a call under way (what it waits for, a command's output).
    Progress {
        /// The call.
        id: u64,
        /// One line, no newline at its end.
        line: String,
    },
    /// A call has ended.
    Done {
        /// The call.
        id: u64,
        /// What came of it.
        result: Result<Reply, OpError>,
    },
}

/// Encodes a frame's payload.
///
/// # Errors
/// When the value cannot be encoded, which for these types means a bug.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_stdvec(value)
}

/// Decodes a frame's payload.
///
/// # Errors
/// When the bytes are not a value of this type: the peer is another build.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}

/// The digest by which contents are compared between what should be and what is.
///
/// Keyed, so that the digest of a file that holds a password tells nothing to
/// one who reads a plan or a journal (blake3 keyed mode). Hex, 32 characters:
/// 128 bits are plenty against accident, and the key keeps out intent.
pub fn digest(key: &[u8; 32], content: &[u8]) -> String {
    let full = blake3::keyed_hash(key, content).to_hex();
    full.as_str().get(..32).unwrap_or_default().to_owned()
}
