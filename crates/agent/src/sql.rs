//! SQL over the host's own socket, as the user the agent runs as: no password
//! exists. Not for knowing what store it is or what the statements mean.

use std::{fmt, io::ErrorKind, time::Duration};

use mysql_async::{Conn, Error, IoError, Opts, OptsBuilder, Row, Value, prelude::Queryable as _};
use wire::{Answer, Fact, OpError, Sql};

const CONNECT: Duration = Duration::from_secs(2);
const ASK: Duration = Duration::from_secs(5);
const EXECUTE: Duration = Duration::from_mins(5);

/// Error code of a statement that cannot be parsed. The server's text quotes
/// the statement from there on, which may hold a password.
const PARSE_ERROR: u16 = 1064;

type Rows = Vec<Vec<Option<String>>>;

enum Failure {
    /// Nobody listens on the socket.
    Absent(String),
    /// The statement of that number (from one) failed.
    Statement(usize, String),
    Other(String),
}

/// Asks; a server that is not there is absent.
pub(crate) async fn ask(sql: &Sql) -> Fact<Answer> {
    match run(sql, ASK).await {
        Ok(rows) => Fact::Known(Answer::Rows(rows)),
        Err(Failure::Absent(_)) => Fact::Absent,
        Err(Failure::Statement(_, why) | Failure::Other(why)) => Fact::Unknown(why),
    }
}

/// Runs statements in order. Counts them: what a statement changed cannot be
/// told from outside, the guards around it ask.
pub(crate) async fn execute(sql: &Sql) -> Result<u32, OpError> {
    match run(sql, EXECUTE).await {
        Ok(_) => Ok(u32::try_from(sql.statements.len()).unwrap_or(u32::MAX)),
        Err(Failure::Absent(why) | Failure::Other(why)) => Err(OpError::new(why)),
        Err(Failure::Statement(number, why)) => {
            let verb = sql
                .statements
                .get(number - 1)
                .map(|text| verb(text))
                .unwrap_or_default();
            let message = format!(
                "cannot run statement {number} of {} ({verb}): {why}",
                sql.statements.len()
            );
            Err(OpError {
                command: Some(format!("{verb} … on {}", sql.socket)),
                ..OpError::new(message)
            })
        }
    }
}

/// What kind of statement it is: its first two words, which hold no secret.
fn verb(statement: &str) -> String {
    statement.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

async fn run(sql: &Sql, limit: Duration) -> Result<Rows, Failure> {
    let late = |limit: Duration| {
        Failure::Other(format!(
            "{} did not answer within {} s",
            sql.socket,
            limit.as_secs()
        ))
    };
    let mut connection = tokio::time::timeout(CONNECT, Conn::new(options(sql)))
        .await
        .map_err(|_| late(CONNECT))?
        .map_err(|error| failed_to_connect(sql, &error))?;
    let rows = tokio::time::timeout(limit, statements(&mut connection, sql))
        .await
        .map_err(|_| late(limit))?;
    // Politely, so that the server does not count an aborted connection.
    let _ = tokio::time::timeout(CONNECT, connection.disconnect()).await;
    rows
}

/// The sizes are stated: the client would ask the server for them, and a
/// member outside its cluster's quorum refuses any query that is not `SHOW`.
fn options(sql: &Sql) -> Opts {
    OptsBuilder::default()
        .socket(Some(&sql.socket))
        .user(Some(&sql.user))
        .max_allowed_packet(Some(16 << 20))
        .wait_timeout(Some(3600))
        .into()
}

async fn statements(connection: &mut Conn, sql: &Sql) -> Result<Rows, Failure> {
    let mut rows = Vec::new();
    for (index, statement) in sql.statements.iter().enumerate() {
        rows = query(connection, statement)
            .await
            .map_err(|error| Failure::Statement(index + 1, describe(&error)))?;
    }
    Ok(rows
        .into_iter()
        .map(|row| row.unwrap().into_iter().map(text).collect())
        .collect())
}

async fn query(connection: &mut Conn, statement: &str) -> Result<Vec<Row>, Error> {
    let mut result = connection.query_iter(statement).await?;
    let rows = result.collect().await?;
    result.drop_result().await?;
    Ok(rows)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

fn failed_to_connect(sql: &Sql, error: &Error) -> Failure {
    let why = format!("cannot connect to {}: {}", sql.socket, describe(error));
    match error {
        Error::Io(IoError::Io(io))
            if matches!(io.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            Failure::Absent(why)
        }
        _ => Failure::Other(why),
    }
}

fn describe(error: &Error) -> String {
    let described: &dyn fmt::Display = match error {
        Error::Server(server) if server.code == PARSE_ERROR => &"the server cannot parse it (1064)",
        Error::Server(server) => return format!("{} ({})", server.message, server.code),
        Error::Io(IoError::Io(io)) => io,
        other => other,
    };
    described.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_socket_is_absent_and_an_error_tells_no_secret() {
        let sql = Sql {
            socket: "/nonexistent/db.sock".to_owned(),
            user: "root".to_owned(),
            statements: vec!["ALTER USER 'x' IDENTIFIED BY 'hunter2'".to_owned()],
        };
        assert!(ask(&sql).await.is_absent());
        let error = execute(&sql).await.unwrap_err();
        assert!(
            error
                .message
                .starts_with("cannot connect to /nonexistent/db.sock: "),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
