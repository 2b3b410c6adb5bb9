//! Rows written one at a time, each committed before the next.
//!
//! The table has the run and the id as its key, so runs do not mix and a
//! replicated table has the primary key it needs. An id is never tried twice: a
//! write whose acknowledgement did not come may have happened, and trying it
//! again would hide which.

use std::{collections::BTreeMap, time::Duration};

use mysql_async::{Conn, Error, Opts, OptsBuilder, SslOpts, prelude::Queryable};
use tokio::time::{sleep, timeout};

use crate::{SqlWrite, error::short};

/// Between two tries to read back.
const PAUSE: Duration = Duration::from_millis(300);

/// A writer and the connection it holds, if it holds one.
pub(crate) struct Writer {
    opts: Opts,
    table: String,
    run: u64,
    conn: Option<Conn>,
}

impl Writer {
    pub(crate) fn new(sql: &SqlWrite, run: u64) -> Self {
        Self {
            opts: opts(sql),
            table: sql.table.clone(),
            run,
            conn: None,
        }
    }

    /// Creates the table where it is not there.
    pub(crate) async fn prepare(&mut self) -> Result<(), String> {
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS `{}` (run BIGINT UNSIGNED NOT NULL, \
             id BIGINT UNSIGNED NOT NULL, PRIMARY KEY (run, id))",
            self.table
        );
        self.run(statement).await
    }

    /// Writes `id`, connecting first where there is no connection. After an
    /// error, and after being dropped before its end, [`reset`](Self::reset) is due.
    pub(crate) async fn write(&mut self, id: u64) -> Result<(), String> {
        let statement = format!(
            "INSERT INTO `{}` (run, id) VALUES ({}, {id})",
            self.table, self.run
        );
        self.run(statement).await
    }

    /// Drops the connection: nothing is known about it.
    pub(crate) fn reset(&mut self) {
        self.conn = None;
    }

    async fn run(&mut self, statement: String) -> Result<(), String> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(Conn::new(self.opts.clone()).await.map_err(|e| connecting(&e))?),
        };
        conn.query_drop(statement).await.map_err(|error| why(&error))
    }
}

/// All ids of a run and how often each is there, trying until it worked or
/// `within` is over.
pub(crate) async fn read(sql: &SqlWrite, run: u64, within: Duration) -> Result<BTreeMap<u64, u64>, String> {
    let mut last = String::from("timeout");
    let reading = async {
        loop {
            match select(sql, run).await {
                Ok(found) => return found,
                Err(error) => last = why(&error),
            }
            sleep(PAUSE).await;
        }
    };
    let read = timeout(within, reading).await;
    read.map_err(|_| last)
}

async fn select(sql: &SqlWrite, run: u64) -> Result<BTreeMap<u64, u64>, Error> {
    let mut conn = Conn::new(opts(sql)).await?;
    for statement in &sql.before_read {
        conn.query_drop(statement).await?;
    }
    let statement = format!("SELECT id FROM `{}` WHERE run = {run}", sql.table);
    let ids: Vec<u64> = conn.query(statement).await?;
    conn.disconnect().await?;
    let mut found = BTreeMap::new();
    for id in ids {
        *found.entry(id).or_default() += 1;
    }
    Ok(found)
}

/// Drops the table.
pub(crate) async fn cleanup(sql: &SqlWrite, within: Duration) -> Result<(), String> {
    let dropping = async {
        let mut conn = Conn::new(opts(sql)).await?;
        conn.query_drop(format!("DROP TABLE IF EXISTS `{}`", sql.table))
            .await?;
        conn.disconnect().await
    };
    timeout(within, dropping)
        .await
        .map_err(|_| "timeout")?
        .map_err(|e| why(&e))
}

fn opts(sql: &SqlWrite) -> Opts {
    let tls = sql.ca_pem.as_ref().map(|pem| {
        SslOpts::default()
            .with_root_certs(vec![pem.clone().into_bytes().into()])
            .with_disable_built_in_roots(true)
            .with_danger_tls_hostname_override(sql.server_name.clone())
    });
    OptsBuilder::default()
        .ip_or_hostname(sql.host.to_string())
        .resolved_ips(Some(vec![sql.host]))
        .tcp_port(sql.port)
        .user(Some(&sql.user))
        .pass(Some(sql.password.expose()))
        .db_name(Some(&sql.database))
        .ssl_opts(tls)
        // On loopback the driver would change to the server's socket file, past what is measured.
        .prefer_socket(Some(false))
        // Stated, so that the driver does not ask the server for them at each connect.
        .max_allowed_packet(Some(1 << 20))
        .wait_timeout(Some(60))
        .setup(vec!["SET autocommit = 1"])
        .into()
}

fn connecting(error: &Error) -> String {
    format!("connect: {}", why(error))
}

/// The code is what is counted: the text beside it may hold ids and addresses.
fn why(error: &Error) -> String {
    match error {
        Error::Server(server) => short(&format!("error {}: {}", server.code, server.message)),
        other => crate::error::root(other),
    }
}
