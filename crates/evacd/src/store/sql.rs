//! Rows in a replicated SQL database. Not for what a row means.
//!
//! Reads wait until this member has all that was committed anywhere before (`wsrep_sync_wait`).
//! A write that loses against another writer fails whole and is not tried again here: the next
//! round reads first.

mod people;
mod read;
mod write;

use std::{fmt, time::Duration};

use mysql_async::{Conn, Error, Opts, OptsBuilder, Params, SslOpts, prelude::Queryable as _};
use tokio::sync::Mutex;

use super::{Result, StoreError, ages::Ages, schema::TABLES};
use crate::config::StoreConfig;

/// Time that a connection or a transaction may take.
const LIMIT: Duration = Duration::from_secs(2);

/// A statement with its values.
type Statement = (&'static str, Params);

/// The rows of one database, over one connection for reads and one for writes.
pub struct SqlStore {
    opts: Opts,
    name: String,
    reader: Mutex<Option<Conn>>,
    writer: Mutex<Option<Conn>>,
    ages: std::sync::Mutex<Ages>,
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl SqlStore {
    /// A store that has not connected yet.
    pub fn new(config: &StoreConfig) -> Result<Self> {
        Ok(Self {
            opts: opts(config)?,
            name: format!("{} at {}:{}", config.database, config.host, config.port),
            reader: Mutex::default(),
            writer: Mutex::default(),
            ages: std::sync::Mutex::default(),
        })
    }

    /// Makes the tables that are missing.
    pub async fn prepare(&self) -> Result<()> {
        let mut held = self.writer.lock().await;
        let work = async {
            let conn = connected(&self.opts, &mut held).await?;
            for table in TABLES {
                conn.query_drop(table).await?;
            }
            Ok(())
        };
        let done = limited(work).await;
        self.settle(&mut held, done)
    }

    /// The outcome of some work; a connection on which it failed is not used again.
    fn settle<T>(&self, held: &mut Option<Conn>, done: Result<T, Trouble>) -> Result<T> {
        done.map_err(|trouble| {
            *held = None;
            match trouble {
                Trouble::Overtaken(epoch) => StoreError::Overtaken(epoch),
                Trouble::Late => {
                    StoreError::Failed(format!("{}: no answer within {} s", self.name, LIMIT.as_secs()))
                }
                Trouble::Sql(error) => StoreError::Failed(format!("{}: {}", self.name, describe(&error))),
                Trouble::Strange(why) => StoreError::Failed(format!("{}: {why}", self.name)),
            }
        })
    }
}

/// Event in between.
enum Trouble {
    Overtaken(u64),
    Late,
    Sql(Error),
    /// A row that is not understood.
    Strange(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

async fn limited<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    tokio::time::timeout(LIMIT, work)
        .await
        .unwrap_or(Err(Trouble::Late))
}

/// The connection that is held, or a new one.
async fn connected<'a>(opts: &Opts, held: &'a mut Option<Conn>) -> Result<&'a mut Conn, Trouble> {
    if held.is_none() {
        *held = Some(Conn::new(opts.clone()).await?);
    }
    held.as_mut().ok_or(Trouble::Late)
}

fn opts(config: &StoreConfig) -> Result<Opts> {
    let tls = match &config.ca {
        Some(path) => {
            let cannot = |e| StoreError::Failed(format!("cannot read {}: {e}", path.display()));
            let pem = std::fs::read(path).map_err(cannot)?;
            let tls = SslOpts::default()
                .with_root_certs(vec![pem.into()])
                .with_disable_built_in_roots(true);
            Some(tls)
        }
        None => None,
    };
    let opts = OptsBuilder::default()
        .ip_or_hostname(config.host.to_string())
        .resolved_ips(Some(vec![config.host]))
        .tcp_port(config.port)
        .user(Some(&config.user))
        .pass(Some(config.password.expose()))
        .db_name(Some(&config.database))
        .ssl_opts(tls)
        // On loopback the driver would change to the server's socket file, which may be another server's.
        .prefer_socket(Some(false))
        // Stated, so that the driver does not ask the server for them at each connect.
        .max_allowed_packet(Some(16 << 20))
        .wait_timeout(Some(3600))
        .setup(vec![
            "SET SESSION wsrep_sync_wait = 7",
            "SET SESSION time_zone = '+00:00'",
            "SET SESSION innodb_lock_wait_timeout = 2",
        ]);
    Ok(opts.into())
}

fn describe(error: &Error) -> String {
    match error {
        Error::Server(server) => format!("{} ({})", server.message, server.code),
        Error::Io(mysql_async::IoError::Io(io)) => io.to_string(),
        other => other.to_string(),
    }
}
