//! The endpoint of a component: its ports, and how balancers pass requests to it and ask
//! whether it serves.

use cloud::tree::Spanned;

use crate::Kind;

/// The endpoint of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the keys of the file, each independent of the others"
)]
pub struct Endpoint {
    /// `http` or `tcp`.
    pub mode: String,
    /// Port on the VIP and on each host.
    pub port: Spanned<u16>,
    /// Path below the port of the public URL.
    pub path: String,
    /// Path that a health check asks; empty for a TCP connect.
    pub check: String,
    /// Port of the health check where it is not the service's.
    pub check_port: Option<u16>,
    /// TCP port at which the process says by itself, beside its workers, whether any of them
    /// takes requests; no number where it has none.
    pub process_port: String,
    /// TLS on the VIP.
    pub tls: bool,
    /// TLS to the back ends.
    pub backend_tls: bool,
    /// One server gets all, another only when it is down, and no fail-back.
    pub single_writer: bool,
    /// Service type in Keystone's catalogue; empty when not an API.
    pub service_type: String,
    /// HTTP requests that become two-way streams of bytes; they stay open for long.
    pub websocket: bool,
    /// Connections at most that a balancer takes at once; none: as many as the balancer has.
    pub connections: Option<u32>,
    /// Requests that cost much, and how many one client may send.
    pub brake: Option<Brake>,
    /// How it is asked, where that is not as the budget says.
    pub checks: Checks,
    /// Further lines for the balancer's section.
    pub options: Vec<String>,
}

/// Times in milliseconds, and counts, of a balancer's health check, where they are not those
/// of the budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Between two questions to a server that is up.
    pub every: Option<u32>,
    /// Between two questions while its state changes.
    pub suspect: Option<u32>,
    /// Between two questions to a server that is down.
    pub down: Option<u32>,
    /// Until a question without an answer has failed.
    pub timeout: Option<u32>,
    /// Questions that fail until it is down.
    pub fall: Option<u32>,
    /// Questions that are answered until it is up.
    pub rise: Option<u32>,
}

/// A limit for each client address on requests that cost much and prove nothing yet: logins.
///
/// Balancers answer 429 beyond it. Hosts of the cloud are excepted: services log in for
/// their users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
    /// Method and path of the requests; `*` is any one part of a path.
    pub asks: Vec<(String, String)>,
    /// Requests of one client under way at once.
    pub at_once: u32,
    /// Requests of one client in ten seconds.
    pub in_ten_seconds: u32,
    /// Refusals (401) of one client in ten seconds, after which it is answered 429.
    pub refused: u32,
}

impl Endpoint {
    /// A second section without checks, for when all servers are out: plain HTTP that any
    /// instance answers.
    ///
    /// A busy host misses its checks and still answers in the end. Bytes that are passed
    /// through, a single writer and long streams are never sent where a check failed.
    pub fn has_fallback(&self, kind: Kind) -> bool {
        kind == Kind::Stateless && self.mode == "http" && !self.single_writer && !self.websocket
    }

    /// The port of its process, where the platform has one.
    pub fn process_port(&self) -> Option<u16> {
        self.process_port.parse().ok()
    }

    /// True if balancers ask it for an answer; else only whether a connection is taken,
    /// which the kernel does for a process that stands still.
    pub fn answers(&self) -> bool {
        !self.check.is_empty() || self.process_port().is_some()
    }

    /// Its ports on each host.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        std::iter::once(self.port.value).chain(self.process_port())
    }
}
