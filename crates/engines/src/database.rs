//! A database in the SQL store and its only user: how they are made, and in which
//! of their parts they are not as they should be.

use wire::{Expect, Query, Sql};

/// A part of a database that can be mended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasePart {
    /// The first column of its row in the answer, and for people.
    pub what: String,
    /// The second column when it is as it should be.
    pub want: String,
    /// Statements that make it so; all may be said again.
    pub make: Vec<String>,
}

/// How a database is made in the SQL store, and how one sees that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseMade {
    /// Its parts, in the order in which they are made.
    pub parts: Vec<DatabasePart>,
    /// What to ask: a row for each part.
    pub query: Query,
    /// The answer when all is as it should be.
    pub expect: Expect,
}

/// What `ALL PRIVILEGES` on a database grants in every version since MariaDB 10.3.
/// Newer ones grant more; `GRANT ALL` gives these too.
const PRIVILEGES: [&str; 18] = [
    "ALTER",
    "ALTER ROUTINE",
    "CREATE",
    "CREATE ROUTINE",
    "CREATE TEMPORARY TABLES",
    "CREATE VIEW",
    "DELETE",
    "DELETE HISTORY",
    "DROP",
    "EVENT",
    "EXECUTE",
    "INDEX",
    "INSERT",
    "LOCK TABLES",
    "REFERENCES",
    "SELECT",
    "SHOW VIEW",
    "TRIGGER",
];

fn part(what: String, want: &str, make: Vec<String>) -> DatabasePart {
    DatabasePart {
        what,
        want: want.to_owned(),
        make,
    }
}

/// Databases, and a user with the name of the first who may do everything in them
/// and nothing outside, over TLS only. `socket` and `user` are how the store is
/// asked on its own host. No names give nothing. Source: `GRANT`, `CREATE USER`, `mysql.global_priv` and
/// `information_schema.SCHEMA_PRIVILEGES` of MariaDB 11.
pub fn database(names: &[String], password: &str, socket: &str, user: &str) -> DatabaseMade {
    let name = names.first().map_or("", String::as_str);
    let made = names.iter().map(|database| {
        part(
            format!("database {database}"),
            "there",
            vec![format!(
                "CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4"
            )],
        )
    });
    let granted = names.iter().map(|database| {
        part(
            grants(name, database),
            "all on its database",
            vec![format!("GRANT ALL PRIVILEGES ON `{database}`.* TO '{name}'@'%'")],
        )
    });
    let parts: Vec<DatabasePart> = made
        .chain(std::iter::once(part(
            format!("user {name}"),
            "there, over TLS only",
            vec![
                format!("CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED BY '{password}' REQUIRE SSL"),
                format!("ALTER USER '{name}'@'%' IDENTIFIED BY '{password}' REQUIRE SSL ACCOUNT UNLOCK"),
            ],
        )))
        .chain(granted)
        .chain(std::iter::once(part(
            format!("grants of {name} elsewhere"),
            "none",
            vec![
                format!("REVOKE ALL PRIVILEGES ON *.* FROM '{name}'@'%'"),
                format!("REVOKE GRANT OPTION ON *.* FROM '{name}'@'%'"),
            ],
        )))
        .collect();
    let want = parts.iter().map(|p| vec![p.what.clone(), p.want.clone()]);
    DatabaseMade {
        query: Query::Sql(Sql {
            socket: socket.to_owned(),
            user: user.to_owned(),
            statements: vec![question(names, password)],
        }),
        expect: Expect::Rows(want.collect()),
        parts,
    }
}

/// What grants are called: those on the first database by their user alone.
fn grants(name: &str, database: &str) -> String {
    if name == database {
        format!("grants of {name}")
    } else {
        format!("grants of {name} on {database}")
    }
}

/// One statement with a row for each part: its name, and how it is in words.
fn question(names: &[String], password: &str) -> String {
    let name = names.first().map_or("", String::as_str);
    let privileges: Vec<String> = PRIVILEGES.iter().map(|p| format!("SELECT '{p}' AS p")).collect();
    let privileges = privileges.join(" UNION ALL ");
    let all = PRIVILEGES.len();
    let account = format!("FROM mysql.global_priv WHERE user = '{name}' AND host = '%'");
    // As `mysql_native_password` keeps it: a SHA-1 of a SHA-1.
    let hash = format!("CONCAT('*', UPPER(SHA1(UNHEX(SHA1('{password}')))))");
    // A name with its quotes, as the store writes a grantee, quoted once more.
    let grantee = format!("'\\'{name}\\'@\\'%\\''");
    let made = names.iter().map(|database| {
        format!(
            "SELECT 'database {database}', IF(EXISTS(SELECT 1 FROM information_schema.schemata WHERE \
             schema_name = '{database}'), 'there', 'missing')"
        )
    });
    let made: Vec<String> = made.collect();
    let made = made.join(" UNION ALL ");
    let allowed = names.iter().map(|database| {
        let what = grants(name, database);
        format!(
            "UNION ALL SELECT '{what}', CASE COUNT(*) WHEN 0 THEN 'all on its database' \
             WHEN {all} THEN 'missing' ELSE CONCAT('without ', GROUP_CONCAT(p ORDER BY p SEPARATOR ', ')) \
             END FROM ({privileges}) wanted WHERE p NOT IN (SELECT privilege_type FROM \
             information_schema.schema_privileges WHERE grantee = {grantee} AND table_schema = '{database}')"
        )
    });
    let allowed = allowed.collect::<Vec<String>>().join(" ");
    format!(
        "{made} \
         UNION ALL SELECT 'user {name}', COALESCE((SELECT CASE \
         WHEN COALESCE(JSON_VALUE(priv, '$.authentication_string'), '') <> {hash} THEN 'another password' \
         WHEN COALESCE(JSON_VALUE(priv, '$.account_locked'), 'false') IN ('true', '1') THEN 'locked' \
         WHEN COALESCE(JSON_VALUE(priv, '$.ssl_type'), 0) = 0 THEN 'there, also without TLS' \
         ELSE 'there, over TLS only' END {account}), 'missing') \
         {allowed} \
         UNION ALL SELECT 'grants of {name} elsewhere', COALESCE((SELECT \
         IF(COALESCE(JSON_VALUE(priv, '$.access'), 0) = 0, 'none', 'some on all databases') {account}), 'none')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_databases_have_one_user() {
        let check = |names: &[&str], parts: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            let made = database(&names, "word", "/run/socket", "root");
            let whats: Vec<&str> = made.parts.iter().map(|p| p.what.as_str()).collect();
            assert_eq!(whats, parts);
            // The rows of the answer are those parts, in their order.
            let Query::Sql(sql) = &made.query else {
                panic!("{:?}", made.query)
            };
            let asked: Vec<usize> = whats
                .iter()
                .filter_map(|w| sql.statements[0].find(&format!("SELECT '{w}'")))
                .collect();
            assert_eq!(asked.len(), parts.len());
            assert!(asked.is_sorted());
        };
        let one = ["database a", "user a", "grants of a", "grants of a elsewhere"];
        check(&["a"], &one);
        let two = [
            "database a",
            "database b",
            "user a",
            "grants of a",
            "grants of a on b",
            "grants of a elsewhere",
        ];
        check(&["a", "b"], &two);
    }
}
