//! What an agent can be asked to do, and what it answers.
//!
//! Every operation asks, compares, changes and asks again: `changed` in a
//! reply means that the world is different now.

use serde::{Deserialize, Serialize};

use crate::balance::Balance;
use crate::{Answer, Content, Expect, Facts, Observe, Query, Sql, Wait};

/// A file as it should be. Written beside its place, synced, then renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWrite {
    /// Absolute path; missing parent directories are made (0755, root).
    pub path: String,
    /// Bytes, secrets filled in.
    pub content: Content,
    /// User name.
    pub owner: String,
    /// Group name.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
    /// Make a directory instead; `content` is not used.
    pub directory: bool,
    /// How much of it is written.
    pub own: Own,
}

/// How much of a file is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Own {
    /// All of it.
    #[default]
    File,
    /// One text of a file that a package brought: it is replaced in what is there.
    Edit(Edit),
    /// Keys of an INI file: they are set in what is there, and nothing else of it changes.
    /// A file that is not there is written as `content`, the same keys as a text.
    Keys {
        /// Keys and their values.
        wanted: Vec<ini::Key>,
        /// Keys that are to be gone, each with its section before it.
        absent: Vec<(String, String)>,
    },
    /// A link to the program that is the host's agent, for what of it stays and runs there.
    /// Its version is known to the agent alone, which tells it by [`PROGRAM`].
    Program,
}

/// Digest of a link to the program that is the host's agent. It equals that of no content.
pub const PROGRAM: &str = "program";

/// A text of a file replaced by another. Only files that are known are changed: of any
/// other it is not known what the change would make of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The text, which is in the file just once.
    pub from: String,
    /// What comes in its place.
    pub to: String,
    /// SHA-256 of each file that is known, and of what it is afterwards, in hex.
    pub known: Vec<(String, String)>,
}

/// A change of a unit's state; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitChange {
    /// Unit name with its suffix.
    pub unit: String,
    /// Mask or unmask.
    pub masked: Option<bool>,
    /// Enable or disable.
    pub enabled: Option<bool>,
    /// Start (or stop) and wait for the job.
    pub active: Option<bool>,
    /// Restart and wait for the job, whether or not anything else changed.
    pub restart: bool,
    /// Reload and wait.
    pub reload: bool,
}

/// A command, run as a transient systemd unit named by its step and a digest of what is
/// run: one that is already running under the name is waited for, never started twice. One
/// of the same step that runs something else is waited for first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Name of the step, such as `quorate-schema`, with which the unit's name begins.
    /// Letters, digits, dash.
    pub unit: String,
    /// Program and arguments. No secret may be in it.
    pub argv: Vec<String>,
    /// User to run as; empty for root.
    pub user: String,
    /// Environment, through a root-only file: secrets may be in it.
    pub env: Vec<(String, String)>,
    /// Standard input, through a root-only file: secrets may be in it.
    pub stdin: Option<String>,
    /// Working directory; empty for `/`.
    pub cwd: String,
    /// Killed after that, and it failed.
    pub timeout_ms: u64,
}

impl Command {
    /// A command as root in `/`, without environment or input of its own.
    pub fn new(unit: String, argv: &[&str], timeout_ms: u64) -> Self {
        Self {
            unit,
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            user: String::new(),
            env: Vec::new(),
            stdin: None,
            cwd: String::new(),
            timeout_ms,
        }
    }
}

/// One section of the CIB, replaced whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CibSection {
    /// `crm_config`, `resources`, `constraints`, `fencing-topology`, `rsc_defaults`, `op_defaults`.
    pub name: String,
    /// The whole element as XML. May hold placeholders.
    pub xml: String,
}

/// How something behind a virtual address is asked from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A `GET` over a new connection.
    Http {
        /// Whole URL.
        url: String,
        /// The only authorities trusted, PEM; a placeholder until it is sent.
        ca: String,
        /// The good answer.
        status: u16,
    },
    /// A TCP server at `address:port` that speaks first, as MySQL's does.
    Greeting(String),
}

/// Something asked again and again, to see when it is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// What it goes by; two of one name are one thing at two places, and an answer of either will do.
    pub name: String,
    /// How it is asked.
    pub ask: Ask,
}

/// What was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it goes by.
    pub name: String,
    /// Good answers.
    pub ok: u64,
    /// Requests without a good answer, one retry of the connection included.
    pub failed: u64,
    /// The longest time between two good answers, less the interval, in milliseconds.
    pub away_ms: u64,
    /// When that ended, in milliseconds since the beginning.
    pub at_ms: u64,
    /// Why requests failed.
    pub reasons: Vec<String>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Look, change nothing.
    Observe(Observe),
    /// Ask one thing.
    Ask(Query),
    /// Take the host's lock for this session. Held until the session ends.
    Lock {
        /// Who: `user@machine`, the verb, the run's id.
        owner: String,
    },
    /// Bring files to their state. Replies how many changed.
    Files(Vec<FileWrite>),
    /// Remove files (those that are there).
    Remove(Vec<String>),
    /// Install what is missing, with services kept from starting.
    Packages(Vec<String>),
    /// Bring all installed packages to the newest versions of the host's sources.
    Upgrade,
    /// Bring units to their state, in this order; reloads systemd first.
    Units(Vec<UnitChange>),
    /// Bring sysctls to their value now (files make them last).
    Sysctls(Vec<(String, String)>),
    /// Run a command.
    Run(Command),
    /// Statements to a database.
    Sql(Sql),
    /// A request to an API that changes something.
    Http(crate::HttpGet),
    /// Say commands to a daemon's own Unix socket, one after the other. It answers each with
    /// nothing; whatever it says is why it would not.
    Tell {
        /// Path of the socket.
        path: String,
        /// The commands, one a line.
        lines: Vec<String>,
    },
    /// Replace CIB sections; foreign property sets are kept.
    Cib(Vec<CibSection>),
    /// Take servers out of the host's balancer, or let them in. One that does not
    /// run sends nobody anywhere: then there is nothing to do.
    Balance(Balance),
    /// Begin to ask these again and again, until [`Op::Seen`] or the session's end.
    Probe(Vec<Probed>),
    /// End that, and tell what was seen.
    Seen,
    /// Walk journeys: one after the other, or at the same time where all only read.
    Walk(Vec<crate::Journey>),
    /// Wait for something.
    Wait(Wait),
    /// Do the inner ones in order unless all guards hold already.
    Unless {
        /// All must hold for the operations to be skipped.
        guards: Vec<(Query, Expect)>,
        /// What to do else.
        ops: Vec<Op>,
    },
    /// Add a line to the host's audit log.
    Audit(String),
    /// Size and hash of a file, however large.
    Sum(String),
    /// Bytes of a file.
    Take {
        /// Absolute path.
        path: String,
        /// From that byte on.
        offset: u64,
        /// At most that many, and at most [`MAX_PIECE`].
        length: u32,
    },
    /// Write bytes into a file for root alone; at offset 0 it is begun anew.
    Put {
        /// Absolute path; its folder is made (0700, root).
        path: String,
        /// At that byte: the end of what is there.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// The largest piece of a file that goes in one frame, in bytes: small against
/// [`crate::MAX_FRAME`], so that other calls of the session get their turn.
pub const MAX_PIECE: u32 = 4 << 20;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To `Observe`. Boxed: facts are far larger than the rest.
    Facts(Box<Facts>),
    /// To `Ask`.
    Answer(crate::Fact<Answer>),
    /// To [`Op::Seen`].
    Seen(Vec<Seen>),
    /// To [`Op::Walk`], in its order.
    Walked(Vec<crate::Walked>),
    /// To all that change: how many things are different now.
    Changed(u32),
    /// To `Sum`.
    Sum(crate::Fact<FileSum>),
    /// To `Take`; fewer bytes than asked for at the end of the file.
    Piece(Vec<u8>),
}

/// What tells that two copies of a file are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Bytes.
    pub size: u64,
    /// blake3 of its content, hex.
    pub blake3: String,
}

/// Why an operation failed. The words are whole sentences without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpError {
    /// What could not be done and why: `cannot write /etc/x: No space left on device`.
    pub message: String,
    /// A command's exit status.
    pub status: Option<i32>,
    /// A command's last 20 lines, or an API's answer.
    pub tail: Vec<String>,
    /// The command line or the request, without secrets.
    pub command: Option<String>,
    /// Set when the host's lock is held: its owner and start.
    pub held_by: Option<String>,
}

impl OpError {
    /// An error with a message alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: None,
            tail: Vec::new(),
            command: None,
            held_by: None,
        }
    }
}

impl std::fmt::Display for OpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OpError {}

impl Op {
    /// Fills secrets into every place that may hold one, by `fill`, which maps
    /// text with placeholders to text with values.
    ///
    /// # Errors
    /// The first that `fill` gives: an unknown secret.
    pub fn fill<E>(&mut self, fill: &dyn Fn(&str) -> Result<String, E>) -> Result<(), E> {
        fn text<E>(s: &mut String, fill: &dyn Fn(&str) -> Result<String, E>) -> Result<(), E> {
            *s = fill(s)?;
            Ok(())
        }
        fn http<E>(get: &mut crate::HttpGet, fill: &dyn Fn(&str) -> Result<String, E>) -> Result<(), E> {
            if let Some((_, password)) = &mut get.auth {
                text(password, fill)?;
            }
            if let Some(ca) = &mut get.ca {
                text(ca, fill)?;
            }
            if let Some(body) = &mut get.body {
                text(body, fill)?;
            }
            get.headers.iter_mut().try_for_each(|(_, v)| text(v, fill))
        }
        fn query<E>(q: &mut Query, fill: &dyn Fn(&str) -> Result<String, E>) -> Result<(), E> {
            match q {
                Query::Http(get) => http(get, fill),
                Query::Sql(sql) => sql.statements.iter_mut().try_for_each(|s| text(s, fill)),
                Query::Read(_)
                | Query::Run { .. }
                | Query::Socket { .. }
                | Query::Tcp(_)
                | Query::Cluster
                | Query::List(_) => Ok(()),
            }
        }
        match self {
            Self::Observe(observe) => observe
                .queries
                .iter_mut()
                .try_for_each(|q| query(&mut q.query, fill)),
            Self::Ask(q) => query(q, fill),
            Self::Files(files) => files.iter_mut().try_for_each(|f| {
                // Content that is not text holds no placeholder.
                if let Ok(s) = std::str::from_utf8(&f.content) {
                    f.content = fill(s)?.into();
                }
                let Own::Keys { wanted, .. } = &mut f.own else {
                    return Ok(());
                };
                let mut values = wanted.iter_mut().flat_map(|key| &mut key.values);
                values.try_for_each(|v| text(v, fill))
            }),
            Self::Run(command) => {
                command.env.iter_mut().try_for_each(|(_, v)| text(v, fill))?;
                command.stdin.as_mut().map_or(Ok(()), |s| text(s, fill))
            }
            Self::Sql(sql) => sql.statements.iter_mut().try_for_each(|s| text(s, fill)),
            Self::Http(get) => http(get, fill),
            Self::Cib(sections) => sections.iter_mut().try_for_each(|s| text(&mut s.xml, fill)),
            Self::Wait(wait) => query(&mut wait.query, fill),
            Self::Probe(all) => all.iter_mut().try_for_each(|probed| match &mut probed.ask {
                Ask::Http { ca, .. } => text(ca, fill),
                Ask::Greeting(_) => Ok(()),
            }),
            Self::Walk(all) => {
                (all.iter_mut().flat_map(crate::Journey::secrets)).try_for_each(|s| text(s, fill))
            }
            Self::Unless { guards, ops } => {
                guards.iter_mut().try_for_each(|(q, _)| query(q, fill))?;
                ops.iter_mut().try_for_each(|op| op.fill(fill))
            }
            Self::Lock { .. }
            | Self::Remove(_)
            | Self::Packages(_)
            | Self::Units(_)
            | Self::Tell { .. }
            | Self::Sysctls(_)
            | Self::Balance(_)
            | Self::Seen
            | Self::Upgrade
            | Self::Audit(_)
            | Self::Sum(_)
            | Self::Take { .. }
            | Self::Put { .. } => Ok(()),
        }
    }
}
