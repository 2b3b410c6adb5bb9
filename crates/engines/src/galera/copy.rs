//! How the databases of a cloud are copied out of Galera and into it.
//!
//! Out: a logical dump (`mariadb-dump --single-transaction`), which is one moment
//! of all databases, takes no lock and can be loaded into another cloud with other
//! members, passwords and patch releases. In: the databases are dropped and made
//! again by one command, so that it may be done again from any point, and nothing is
//! dropped under a load that goes on. A row in the store says that it was begun, and
//! that it is done.

use wire::{Answer, Command, Expect, Op, Query, Wait};

use super::{sql, variables};
use crate::{Copies, Copying, Store};

/// Hours rather than minutes: databases grow.
const LIMIT_MS: u64 = 6 * 3_600_000;

/// Connections of others than the server itself and its keepers: on the writer
/// there are the services', on the others none.
const CLIENTS: &str = "SELECT COUNT(*) FROM information_schema.processlist \
     WHERE user NOT IN ('root', 'mysql', 'system user', 'event_scheduler')";

/// Waits first for all that was acknowledged anywhere before.
const POSITION: [&str; 3] = [
    "SET SESSION wsrep_sync_wait = 1",
    "SELECT 1",
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_state_uuid', 'wsrep_last_committed')",
];

/// See [`crate::copies`].
pub fn copies(store: &Store) -> Copies {
    Copies {
        clients: Query::Sql(sql(store, &[CLIENTS])),
        position: Query::Sql(sql(store, &POSITION)),
        unfinished: Query::Sql(sql(
            store,
            &["SELECT backup FROM quorate.restored WHERE done = 0"],
        )),
    }
}

/// Reads the answer to [`Copies::position`].
pub fn position(answer: &Answer) -> Option<(String, u64)> {
    let Answer::Rows(rows) = answer else { return None };
    let found = variables(rows);
    let seqno = found.get("wsrep_last_committed")?.parse().ok()?;
    Some(((*found.get("wsrep_cluster_state_uuid")?).to_owned(), seqno))
}

/// See [`crate::dump`]. The names come from the catalogue, so they need no quotes.
pub fn dump(store: &Store, databases: &[String], file: &str) -> Command {
    // Two programs, one after the other: a pipe would hide how the first ended.
    let script = format!(
        "set -e; umask 077; mkdir -p \"$(dirname {file})\"; rm -f {file} {file}.sql; \
         mariadb-dump --socket={socket} --user={user} --single-transaction --skip-lock-tables --skip-add-locks \
         --skip-disable-keys --routines --triggers --events --hex-blob --default-character-set=utf8mb4 \
         --result-file={file}.sql --databases {databases}; \
         tail -c 200 {file}.sql | grep -q '^-- Dump completed'; \
         gzip --fast --stdout {file}.sql >{file}; rm -f {file}.sql",
        socket = store.option("socket"),
        user = store.option("user"),
        databases = databases.join(" "),
    );
    Command::new(
        format!("quorate-dump-{}", store.resource),
        &["sh", "-c", &script],
        LIMIT_MS,
    )
}

/// See [`crate::load`].
pub fn load(store: &Store, databases: &[String], file: &str, backup: &str, over: bool) -> Copying {
    let names: Vec<String> = databases.iter().map(|name| format!("'{name}'")).collect();
    let held = Query::Sql(sql(
        store,
        &[&format!(
            "SELECT DISTINCT table_schema FROM information_schema.tables WHERE table_schema IN ({})",
            names.join(", ")
        )],
    ));
    let row = |condition: &str| {
        Query::Sql(sql(
            store,
            &[&format!(
                "SELECT 1 FROM quorate.restored WHERE backup = '{backup}'{condition}"
            )],
        ))
    };
    let (begun, done) = (row(" AND done = 0"), row(" AND done = 1"));
    let mut first = Vec::new();
    if !over {
        first.push(Op::Wait(Wait {
            what: "the databases are empty".to_owned(),
            query: held.clone(),
            expect: Expect::NoRow,
            timeout_ms: 1000,
            every_ms: 500,
        }));
    }
    first.push(Op::Sql(sql(
        store,
        &[
            "CREATE DATABASE IF NOT EXISTS quorate",
            "CREATE TABLE IF NOT EXISTS quorate.restored (backup CHAR(64) NOT NULL PRIMARY KEY, done TINYINT NOT NULL)",
            &format!("REPLACE INTO quorate.restored VALUES ('{backup}', 0)"),
        ],
    )));
    let drop: Vec<String> = databases
        .iter()
        .map(|name| format!("DROP DATABASE IF EXISTS `{name}`;"))
        .collect();
    let drop = drop.join(" ");
    // What is read is whole: its hash was compared before. gzip's status is asked for
    // by itself, since a pipe tells that of its last program. The backup is named, so that
    // a load of another one is not taken for this one.
    let script = format!(
        "set -e; : {backup}; gzip --test {file}; \
         {{ echo '{drop}'; gzip --stdout --decompress {file}; }} | \
         mariadb --socket={socket} --user={user} --default-character-set=utf8mb4",
        socket = store.option("socket"),
        user = store.option("user"),
    );
    let run = Command::new(
        format!("quorate-load-{}", store.resource),
        &["sh", "-c", &script],
        LIMIT_MS,
    );
    let finish = format!("UPDATE quorate.restored SET done = 1 WHERE backup = '{backup}'");
    let ops = vec![
        Op::Unless {
            guards: vec![(begun.clone(), Expect::SomeRow)],
            ops: first,
        },
        Op::Run(run),
        Op::Sql(sql(store, &[&finish])),
    ];
    let connected = |condition: &str| {
        let names = names.join(", ");
        Query::Sql(sql(
            store,
            &[&format!(
                "SELECT user, host, db FROM information_schema.processlist WHERE db IN ({names}){condition}"
            )],
        ))
    };
    Copying {
        clients: connected(" AND user <> 'root'"),
        loaders: connected(""),
        held,
        begun,
        done: done.clone(),
        ops: vec![Op::Unless {
            guards: vec![(done, Expect::SomeRow)],
            ops,
        }],
        forget: Op::Sql(sql(
            store,
            &[&format!("DELETE FROM quorate.restored WHERE backup = '{backup}'")],
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load that goes on is waited for: nothing is dropped but by the load itself.
    #[test]
    fn nothing_is_dropped_under_a_load() {
        let names = ["one", "two"].map(str::to_owned);
        let of = |backup: &str| {
            let mut ops = load(&Store::default(), &names, "/copy", backup, true).ops;
            let Some(Op::Unless { ops, .. }) = ops.pop() else {
                panic!("no guard")
            };
            let dropped = ops.iter().filter_map(|op| match op {
                Op::Sql(sql) => Some(sql.statements.join(";")),
                _ => None,
            });
            assert!(
                dropped.clone().all(|said| !said.contains("DROP")),
                "{:?}",
                dropped.collect::<Vec<_>>()
            );
            let mut runs = ops.into_iter().filter_map(|op| match op {
                Op::Run(command) => Some(command.argv.join(" ")),
                _ => None,
            });
            runs.next().unwrap_or_default()
        };
        let script = of("a");
        let (one, copy) = (
            script.find("DROP DATABASE IF EXISTS `one`"),
            script.find("gzip --stdout"),
        );
        assert!(one.is_some() && one < copy, "{script}");
        assert!(script.contains("DROP DATABASE IF EXISTS `two`"), "{script}");
        assert_ne!(script, of("b"), "another backup is another command");
    }
}
