//! Questions to a host and what the answers should be, as data: so that the
//! agent can ask a store or an API without knowing which one it is.

use std::collections::BTreeMap;

use names::ResourceId;
use pacemaker::Monitor;
use serde::{Deserialize, Serialize};

/// What to observe in one round trip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observe {
    /// Key of [`crate::digest`].
    pub key: [u8; 32],
    /// Files to digest.
    pub files: Vec<String>,
    /// Of these also the text (never ask for one that holds a secret).
    pub texts: Vec<String>,
    /// Of these the digest of each line: a change is shown line by line where the text is
    /// not to leave the host.
    pub lines: Vec<String>,
    /// Digests that files should have, by path: of one that has it neither text nor lines
    /// are told, which whoever asks has already.
    pub same: BTreeMap<String, String>,
    /// Keys of INI files that are shared with the operator, by the file's path. Nothing
    /// else of these files leaves the host.
    pub keys: BTreeMap<String, Vec<KeyQuery>>,
    /// Units.
    pub units: Vec<String>,
    /// Packages.
    pub packages: Vec<String>,
    /// Sysctl keys.
    pub sysctls: Vec<String>,
    /// Mount points whose free space is wanted.
    pub mounts: Vec<String>,
    /// Questions to services on the host. Asked at the same time.
    pub queries: Vec<NamedQuery>,
    /// Whether `crm_mon` and the CIB are wanted.
    pub cluster: bool,
    /// Of the CIB also the text, in which fence devices have passwords.
    pub cib_text: bool,
}

/// A key of an INI file that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyQuery {
    /// Its section.
    pub section: String,
    /// Its name.
    pub name: String,
    /// Whether its values may be told: they are no secret.
    pub plain: bool,
}

/// A question and the name its answer goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedQuery {
    /// Key in `Facts::answers`.
    pub name: String,
    /// The question.
    pub query: Query,
}

/// SQL over the host's own socket, as the user the agent runs as (root).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sql {
    /// Path of the Unix socket.
    pub socket: String,
    /// Database user, such as `root` (peer authentication).
    pub user: String,
    /// One statement a string; a query's rows are those of the last one.
    pub statements: Vec<String>,
}

/// An HTTP request from the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpGet {
    /// `GET`, `POST`, `PUT`, `DELETE`, `HEAD`.
    pub method: String,
    /// Whole URL.
    pub url: String,
    /// The only CA trusted, PEM; `None` for plain HTTP on loopback.
    pub ca: Option<String>,
    /// Basic authentication. The password may be a secret's placeholder.
    pub auth: Option<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body, sent as JSON; may hold placeholders.
    pub body: Option<String>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Ask a database.
    Sql(Sql),
    /// Ask an API.
    Http(HttpGet),
    /// Read a small text file.
    Read(String),
    /// Run a program that only looks; argv. No shell.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// Ends it after that.
        timeout_ms: u64,
    },
    /// Say one line to a daemon's own Unix socket and hear all that it answers.
    Socket {
        /// Path of the socket.
        path: String,
        /// The line; where the daemon takes several commands in one, so may this.
        line: String,
    },
    /// Whether something accepts TCP connections at `address:port`.
    Tcp(String),
    /// `crm_mon`'s view.
    Cluster,
    /// The entries of a folder. One that is not there is absent; one that cannot be read
    /// is unknown.
    List(String),
}

/// The entries of a folder by name, in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Folders in it.
    pub folders: Vec<String>,
    /// Everything else in it.
    pub others: Vec<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Rows of the last statement; NULL is `None`.
    Rows(Vec<Vec<Option<String>>>),
    /// Status and body (at most 256 KiB of it) of a response.
    Http {
        /// Status code.
        status: u16,
        /// Body as text.
        body: String,
        /// Response headers, lower-case names (a token comes in one).
        headers: BTreeMap<String, String>,
    },
    /// A file's text, or what a daemon said.
    Text(String),
    /// A program's end.
    Ran {
        /// Exit status, -1 when killed.
        status: i32,
        /// Standard output.
        stdout: String,
        /// Standard error.
        stderr: String,
    },
    /// The TCP connection was accepted.
    Open,
    /// The cluster as `crm_mon` has it.
    Cluster(Box<Monitor>),
    /// A folder's entries.
    Listing(Listing),
}

/// What a resource of the cluster should look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceWant {
    /// Its id (of the primitive inside a clone).
    pub id: ResourceId,
    /// Role as `crm_mon` says it: `Started`, `Promoted`. `Stopped`: not running on `node`.
    pub role: String,
    /// On at least that many nodes.
    pub count: u32,
    /// When not empty: on just this node as well.
    pub node: String,
}

/// What the cluster should look like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterWant {
    /// At least that many nodes online (and not pending, standby or in maintenance).
    pub online: u32,
    /// These resources.
    pub resources: Vec<ResourceWant>,
    /// No action under way and none failed: `crmadmin`'s idle. Not judged when false.
    pub idle: bool,
}

/// What an answer should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// Just these rows.
    Rows(Vec<Vec<String>>),
    /// At least one row.
    SomeRow,
    /// No row.
    NoRow,
    /// Each of these is the first column of a row.
    Names(Vec<String>),
    /// The first column of each row names a variable, the second its value; all of these hold.
    Vars(BTreeMap<String, String>),
    /// That status.
    Status(u16),
    /// A JSON array body has at least `count` elements whose `field` (JSON pointer) equals `value` (compared as text).
    JsonCount {
        /// JSON pointer into each element.
        field: String,
        /// As text: `true`, `rabbit@c1`.
        value: String,
        /// How many at least.
        count: u32,
    },
    /// Of a JSON array body, more than half of the elements have it with one of them left out; or
    /// there are no more elements than are expected.
    JsonMajority {
        /// JSON pointer into each element.
        field: String,
        /// As text: `true`.
        value: String,
        /// The `name` of the element that is not counted.
        without: String,
        /// So many elements, or fewer, are not counted.
        expected: u32,
    },
    /// The text, body or standard output contains this.
    Contains(String),
    /// A line of the text or standard output ends with this.
    LineEnds(String),
    /// A program ended with that status.
    Exit(i32),
    /// The TCP port answers.
    Open,
    /// The cluster looks so.
    Cluster(ClusterWant),
}

/// Wait until an answer is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// For people: `all 3 members are Synced`.
    pub what: String,
    /// The question.
    pub query: Query,
    /// What it should be.
    pub expect: Expect,
    /// Gives up after that.
    pub timeout_ms: u64,
    /// Asks that often.
    pub every_ms: u64,
}
