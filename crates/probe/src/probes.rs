//! What to ask: probes as data, written in JSON or made by the caller.
//!
//! No I/O happens here. Checks that need none (an impossible interval, TLS
//! without a CA) are made by [`Probe::check`] before anything is sent.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Shortest interval of a probe: below it the prober measures itself.
const EVERY_MIN: Duration = Duration::from_millis(5);
/// Longest timeout of a probe: [`Handle::stop`](crate::Handle::stop) waits for one.
const TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// One thing asked again and again, at its own interval.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Unique among the probes of a prober; it names the rows of the report.
    pub name: String,
    /// Time between two requests, at least 5 ms. It is the resolution of the
    /// measurement. In JSON `every_ms`.
    #[serde(rename = "every_ms", with = "millis")]
    pub every: Duration,
    /// A request without a good answer by then has failed, 60 s at most. For
    /// a writer it covers reconnecting too. In JSON `timeout_ms`.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    /// How to ask.
    pub kind: Kind,
}

/// How a probe asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An HTTP request judged by its status.
    Http(Http),
    /// A TCP server that speaks first.
    Greeting(Greeting),
    /// A token obtained with the token before it.
    Renewing(Renewing),
    /// A row inserted and committed.
    SqlWrite(SqlWrite),
    /// A message published and confirmed.
    Publish(Publish),
}

/// The name of a [`Kind`], without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// See [`Kind::Http`].
    Http,
    /// See [`Kind::Greeting`].
    Greeting,
    /// See [`Kind::Renewing`].
    Renewing,
    /// See [`Kind::SqlWrite`].
    SqlWrite,
    /// See [`Kind::Publish`].
    Publish,
}

impl Label {
    /// Whether acknowledgements of this kind are promises to be read back.
    pub fn writes(self) -> bool {
        matches!(self, Self::SqlWrite | Self::Publish)
    }
}

/// An HTTP request. A good answer has an expected status and a whole body, of
/// which at most 1 MiB is read. Redirects are not followed and no proxy is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// `GET` if not given.
    #[serde(default = "get")]
    pub method: String,
    /// `http` or `https`, best with a numeric address.
    pub url: String,
    /// The only authorities trusted, as PEM; required for `https`.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Headers, by name and value. Values are kept out of logs and histories.
    #[serde(default)]
    pub headers: Vec<(String, Secret)>,
    /// The body, if any.
    #[serde(default)]
    pub body: Option<Secret>,
    /// Statuses that are a good answer; 200 if not given.
    #[serde(default = "ok")]
    pub expect_status: Vec<u16>,
    /// Whether each request makes its own connection.
    #[serde(default)]
    pub connection: Connection,
    /// Whether a failed connection is tried once more, at once.
    #[serde(default)]
    pub retry: Retry,
}

/// A connection to a TCP server that speaks first, as those of MySQL and SSH do;
/// its first byte is a good answer. A balancer takes the connection in any case:
/// only the server behind it can have sent that byte.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// Numeric address and port.
    pub address: SocketAddr,
    /// Whether a failed connection is tried once more, at once.
    #[serde(default)]
    pub retry: Retry,
}

/// Whether each request makes its own connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// A new one for each request: what a new client sees.
    #[default]
    Fresh,
    /// Kept and used again: what a pooled client sees.
    Kept,
}

/// Whether a request whose connection fails (refused, reset) is made once more,
/// within the same timeout. An answer with a wrong status is never retried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// Every failure counts.
    #[default]
    None,
    /// Like most client libraries. The answer is recorded as
    /// [`Outcome::Retried`](crate::Outcome::Retried).
    Once,
}

/// Token by token: the first is bought with the password, each later one with
/// the one before, so that the probe does not pay the password's hash (about
/// 0.24 CPU seconds with bcrypt) at each tick.
///
/// After an answer of 401, 403 or 404 to the token held, the next request uses the
/// password again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewing {
    /// Where tokens are made by `POST`.
    pub url: String,
    /// The only authorities trusted, as PEM; required for `https`.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// The JSON body with the password.
    pub first_body: Secret,
    /// The JSON body of every later request; `{token}` stands for the token
    /// held. If not given, the token method of the Identity API v3, unscoped.
    #[serde(default = "by_token")]
    pub next_body: String,
    /// The response header that holds the token; `X-Subject-Token` if not given.
    #[serde(default = "subject_token")]
    pub token_header: String,
    /// The status of success; 201 if not given.
    #[serde(default = "created")]
    pub expect_status: u16,
    /// Whether each request makes its own connection.
    #[serde(default)]
    pub connection: Connection,
}

/// A writer of rows: one autocommitted `INSERT` a tick, of the next id, into a
/// table of its own that is made at the start. One host: what stands before
/// several of them is what is measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlWrite {
    /// Numeric, as a static binary must not ask the host's resolver.
    pub host: IpAddr,
    /// TCP port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// An existing database in which the user may create a table.
    pub database: String,
    /// The table; `probe_writes` if not given. Letters, digits and `_` only.
    #[serde(default = "table")]
    pub table: String,
    /// The only authorities trusted, as PEM. Without it the link is plain text.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// The name to find in the certificate; the host's address if not given.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Statements run on the connection before [`read_back`](crate::read_back),
    /// for example one that makes reads wait for replication.
    #[serde(default)]
    pub before_read: Vec<String>,
}

/// A publisher of persistent messages into a durable quorum queue of its own,
/// one at a time, each awaiting its confirm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// `amqp` or `amqps` URIs with numeric hosts; the next is tried after an error.
    pub uris: Vec<Secret>,
    /// The only authorities trusted, as PEM; required for `amqps`.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// The name to find in the certificate; the URI's host if not given.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The queue, 1 to 255 bytes, declared at the start.
    pub queue: String,
}

/// A text that is not shown by `Debug` and cannot be serialised.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, to be sent and not to be shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Kind {
    /// The kind's name.
    pub fn label(&self) -> Label {
        match self {
            Self::Http(_) => Label::Http,
            Self::Greeting(_) => Label::Greeting,
            Self::Renewing(_) => Label::Renewing,
            Self::SqlWrite(_) => Label::SqlWrite,
            Self::Publish(_) => Label::Publish,
        }
    }
}

impl Probe {
    /// Checks what can be checked without sending anything.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the first thing wrong.
    pub fn check(&self) -> Result<()> {
        let tls = |ca: &Option<String>, url: &str, plain: &str, tls: &str| {
            if url.starts_with(plain) || (url.starts_with(tls) && ca.is_some()) {
                Ok(())
            } else if url.starts_with(tls) {
                Err(format!("`{tls}` needs a `ca_pem` to be verified against"))
            } else {
                Err(format!("the URL starts with neither `{plain}` nor `{tls}`"))
            }
        };
        let checked = if self.name.is_empty() {
            Err("the name is empty".into())
        } else if self.every < EVERY_MIN {
            Err(format!("the interval is below {EVERY_MIN:?}"))
        } else if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            Err(format!("the timeout is zero or above {TIMEOUT_MAX:?}"))
        } else {
            match &self.kind {
                Kind::Http(http) => tls(&http.ca_pem, &http.url, "http://", "https://"),
                Kind::Renewing(new) => tls(&new.ca_pem, &new.url, "http://", "https://"),
                Kind::SqlWrite(sql) if !identifier(&sql.table) => {
                    Err(format!("`{}` is not a plain table name", sql.table))
                }
                Kind::SqlWrite(_) | Kind::Greeting(_) => Ok(()),
                Kind::Publish(publish) if !(1..=255).contains(&publish.queue.len()) => {
                    Err("the queue's name is not 1 to 255 bytes long".into())
                }
                Kind::Publish(publish) if publish.uris.is_empty() => Err("no URI".into()),
                Kind::Publish(publish) => publish
                    .uris
                    .iter()
                    .try_for_each(|uri| tls(&publish.ca_pem, uri.expose(), "amqp://", "amqps://")),
            }
        };
        checked.map_err(|reason| self.invalid(reason))
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> Error {
        Error::Invalid {
            probe: self.name.clone(),
            reason: reason.into(),
        }
    }
}

/// Checks all probes and that their names are unique.
pub(crate) fn check_all(probes: &[Probe]) -> Result<()> {
    let mut names = BTreeSet::new();
    for probe in probes {
        probe.check()?;
        if !names.insert(&probe.name) {
            return Err(probe.invalid("the name is used twice"));
        }
    }
    Ok(())
}

fn identifier(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn get() -> String {
    "GET".into()
}

fn ok() -> Vec<u16> {
    vec![200]
}

fn created() -> u16 {
    201
}

fn table() -> String {
    "probe_writes".into()
}

fn subject_token() -> String {
    "X-Subject-Token".into()
}

fn by_token() -> String {
    r#"{"auth":{"identity":{"methods":["token"],"token":{"id":"{token}"}}}}"#.into()
}

/// A duration as a whole number of milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Probe, check_all};

    fn parse(text: &str) -> Probe {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_probe_is_json_and_hides_its_secrets() {
        let probe = parse(
            r#"{"name":"p","every_ms":250,"timeout_ms":1000,"kind":{"publish":{
                "uris":["amqps://u:hush@192.0.2.1/%2f"],"ca_pem":"x","queue":"q"}}}"#,
        );
        probe.check().unwrap();
        assert!(!format!("{probe:?}").contains("hush"));
        assert!(probe.kind.label().writes());
    }

    #[test]
    fn tls_without_a_ca_and_twins_are_refused() {
        let mut probe = parse(
            r#"{"name":"p","every_ms":50,"timeout_ms":1000,
                "kind":{"http":{"url":"http://192.0.2.1/"}}}"#,
        );
        let twice = check_all(&[probe.clone(), probe.clone()]).unwrap_err();
        assert_eq!(twice.to_string(), "probe `p`: the name is used twice");
        let Kind::Http(http) = &mut probe.kind else {
            panic!()
        };
        http.url = "https://192.0.2.1/".into();
        let bare = probe.check().unwrap_err();
        assert_eq!(
            bare.to_string(),
            "probe `p`: `https://` needs a `ca_pem` to be verified against"
        );
    }
}
