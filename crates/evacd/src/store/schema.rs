//! Tables of the store, made where they are missing. Not for changing tables of other
//! versions: there are none yet.

/// Statements that make the tables. Each has a primary key, as a replicated table needs, and
/// moments are in UTC by the database's clock.
pub(super) const TABLES: [&str; 8] = [
    // Every write counts `writes` up: two writers on two members then conflict at commit.
    "CREATE TABLE IF NOT EXISTS leader (id TINYINT UNSIGNED NOT NULL PRIMARY KEY, \
     epoch BIGINT UNSIGNED NOT NULL, controller VARCHAR(64) NOT NULL, taken_at DATETIME(3) NOT NULL, \
     writes BIGINT UNSIGNED NOT NULL)",
    "CREATE TABLE IF NOT EXISTS recovery (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
     host VARCHAR(64) NOT NULL, boot VARCHAR(64) NULL, began_at DATETIME(3) NOT NULL, \
     ended_at DATETIME(3) NULL, why TEXT NOT NULL, outcome TEXT NULL, KEY (began_at))",
    "CREATE TABLE IF NOT EXISTS intent (host VARCHAR(64) NOT NULL PRIMARY KEY, \
     epoch BIGINT UNSIGNED NOT NULL, phase VARCHAR(16) NOT NULL, body LONGTEXT NOT NULL, \
     opened_at DATETIME(3) NOT NULL, phase_at DATETIME(3) NOT NULL, recovery BIGINT UNSIGNED NOT NULL)",
    "CREATE TABLE IF NOT EXISTS step (recovery BIGINT UNSIGNED NOT NULL, at DATETIME(3) NOT NULL, \
     number BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, epoch BIGINT UNSIGNED NOT NULL, \
     phase VARCHAR(16) NOT NULL, why TEXT NOT NULL, KEY (recovery))",
    // `gone` is 0 while the row is in force, then the number of its recovery: of a VM there is
    // one row in force in an epoch.
    "CREATE TABLE IF NOT EXISTS sent (vm VARCHAR(64) NOT NULL, host VARCHAR(64) NOT NULL, \
     epoch BIGINT UNSIGNED NOT NULL, body LONGTEXT NOT NULL, answer LONGTEXT NOT NULL, \
     target VARCHAR(64) NOT NULL, at DATETIME(3) NOT NULL, recovery BIGINT UNSIGNED NOT NULL, \
     gone BIGINT UNSIGNED NOT NULL DEFAULT 0, PRIMARY KEY (vm, epoch, gone), KEY (recovery))",
    "CREATE TABLE IF NOT EXISTS proof (host VARCHAR(64) NOT NULL, device VARCHAR(128) NOT NULL, \
     at DATETIME(3) NOT NULL, by_whom VARCHAR(128) NOT NULL, PRIMARY KEY (host, device))",
    "CREATE TABLE IF NOT EXISTS word (name VARCHAR(16) NOT NULL PRIMARY KEY, until_at DATETIME(3) NULL, \
     at DATETIME(3) NOT NULL, by_whom VARCHAR(128) NOT NULL)",
    "CREATE TABLE IF NOT EXISTS confirmed (host VARCHAR(64) NOT NULL, boot VARCHAR(64) NOT NULL, \
     at DATETIME(3) NOT NULL, by_whom VARCHAR(128) NOT NULL, PRIMARY KEY (host, boot))",
];
