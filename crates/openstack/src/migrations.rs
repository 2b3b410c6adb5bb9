//! Moves of VMs between hosts, of all kinds, as the database has them. Not for which of
//! them are still open: that is for whoever decides.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use wire::Fact;

use crate::{
    Cells, Client, Result,
    fields::{needed, number, text, time},
    session::{Api, encode},
};

/// One move of one VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// Its id, a UUID.
    pub id: String,
    /// Its number in its cell, rising.
    pub number: Fact<u64>,
    /// VM that moves.
    pub vm: String,
    /// `evacuation`, `live-migration`, `migration` or `resize`.
    pub kind: Fact<String>,
    /// State, such as `accepted`, `done` or `error`.
    pub status: Fact<String>,
    /// Host that the VM leaves.
    pub source: Fact<String>,
    /// Host that the VM goes to; absent: not chosen yet.
    pub dest: Fact<String>,
    /// Moment at which it was asked for.
    pub created: Fact<Timestamp>,
    /// Moment of its last change.
    pub updated: Fact<Timestamp>,
}

/// Which moves are meant; `None` takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationFilter {
    /// Host at either end.
    pub host: Option<String>,
    /// Id of the VM.
    pub vm: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// State.
    pub status: Option<String>,
}

impl MigrationFilter {
    fn query(&self) -> String {
        let words = [
            ("host", &self.host),
            ("instance_uuid", &self.vm),
            ("migration_type", &self.kind),
            ("status", &self.status),
        ];
        let words = words.iter().filter_map(|(key, value)| {
            let value = value.as_ref()?;
            Some(format!("{key}={}", encode(value)))
        });
        let words: Vec<String> = words.collect();
        if words.is_empty() {
            String::new()
        } else {
            format!("?{}", words.join("&"))
        }
    }
}

fn parse(item: &Value) -> Result<Migration> {
    Ok(Migration {
        id: needed(item, "uuid")?,
        number: number(item, "id"),
        vm: needed(item, "instance_uuid")?,
        kind: text(item, "migration_type"),
        status: text(item, "status"),
        source: text(item, "source_compute"),
        dest: text(item, "dest_compute"),
        created: time(item, "created_at"),
        updated: time(item, "updated_at"),
    })
}

impl Client {
    /// All moves that a filter takes, newest first.
    pub async fn migrations(&self, _: &Cells, filter: &MigrationFilter) -> Result<Vec<Migration>> {
        let path = format!("/os-migrations{}", filter.query());
        let found = self.pages(Api::Compute, &path, "migrations", "uuid").await?;
        found.iter().map(parse).collect()
    }
}
