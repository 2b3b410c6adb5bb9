//! Rows that people write and read, and the store as the engine asks it.

use evac::{Answer, BootId, HostId, Intent, Sent};
use jiff::Timestamp;
use mysql_async::{Params, params, prelude::Queryable as _};

use super::{SqlStore, Trouble, connected, limited};
use crate::store::{Moved, People, Recovery, Result, Rows, Step, Store, Word};

impl Store for SqlStore {
    async fn read(&self, window_ms: u64) -> Result<Rows> {
        self.read_rows(window_ms).await
    }

    async fn claim(&self, controller: &str, above: u64) -> Result<u64> {
        self.claim_epoch(controller, above).await
    }

    async fn write(&self, intent: &Intent) -> Result<()> {
        self.write_intent(intent).await
    }

    async fn forget(&self, epoch: u64, host: &HostId, why: &str) -> Result<()> {
        self.forget_host(epoch, host, why).await
    }

    async fn insert(&self, sent: &Sent) -> Result<bool> {
        self.insert_sent(sent).await
    }

    async fn answer(&self, sent: &Sent, answer: &Answer) -> Result<()> {
        self.keep_answer(sent, answer).await
    }

    async fn intent(&self, epoch: u64, host: &HostId) -> Result<Option<Intent>> {
        self.read_intent(epoch, host).await
    }
}

impl People for SqlStore {
    async fn say(&self, word: Word, ms: Option<u64>, by: &str) -> Result<()> {
        let name = word.as_str();
        let statement = match ms {
            Some(0) => ("DELETE FROM word WHERE name = :name", params! { name }),
            ms => (
                "REPLACE INTO word (name, until_at, at, by_whom) VALUES \
                 (:name, UTC_TIMESTAMP(3) + INTERVAL :ms * 1000 MICROSECOND, UTC_TIMESTAMP(3), :by)",
                params! { name, ms, by },
            ),
        };
        self.free(vec![statement]).await.map(|_| ())
    }

    async fn confirm(&self, host: &HostId, boot: Option<&BootId>, by: &str) -> Result<()> {
        let (host, boot) = (host.as_str(), boot.map_or("", BootId::as_str));
        let statement = (
            "REPLACE INTO confirmed (host, boot, at, by_whom) VALUES (:host, :boot, UTC_TIMESTAMP(3), :by)",
            params! { host, boot, by },
        );
        self.free(vec![statement]).await.map(|_| ())
    }

    async fn prove(&self, host: &HostId, device: &str, by: &str) -> Result<()> {
        let host = host.as_str();
        let statement = (
            "REPLACE INTO proof (host, device, at, by_whom) VALUES (:host, :device, UTC_TIMESTAMP(3), :by)",
            params! { host, device, by },
        );
        self.free(vec![statement]).await.map(|_| ())
    }

    async fn recoveries(&self, most: u32) -> Result<Vec<Recovery>> {
        type Row = (
            u64,
            String,
            Option<String>,
            String,
            Option<String>,
            String,
            Option<String>,
        );
        let rows: Vec<Row> = self
            .rows(
                "SELECT id, host, boot, CAST(began_at AS CHAR), CAST(ended_at AS CHAR), why, outcome \
                 FROM recovery ORDER BY id DESC LIMIT :most",
                params! { most },
            )
            .await?;
        let rows = rows
            .into_iter()
            .map(|(id, host, boot, began, ended, why, outcome)| Recovery {
                id,
                host,
                boot,
                began: moment(&began),
                ended: ended.as_deref().map(moment),
                why,
                outcome,
            });
        Ok(rows.collect())
    }

    async fn recovery(&self, id: u64) -> Result<(Vec<Step>, Vec<Moved>)> {
        let steps: Vec<(String, u64, String, String)> = self
            .rows(
                "SELECT CAST(at AS CHAR), epoch, phase, why FROM step WHERE recovery = :id ORDER BY number",
                params! { id },
            )
            .await?;
        let moved: Vec<(String, String, String, String)> = self
            .rows(
                "SELECT vm, target, CAST(at AS CHAR), answer FROM sent WHERE recovery = :id ORDER BY at, vm",
                params! { id },
            )
            .await?;
        let steps = steps.into_iter().map(|(at, epoch, phase, why)| Step {
            at: moment(&at),
            epoch,
            phase,
            why,
        });
        let moved = moved.into_iter().map(|(vm, target, at, answer)| Moved {
            vm,
            target,
            at: moment(&at),
            answer: serde_json::from_str(&answer).unwrap_or(Answer::Unknown),
        });
        Ok((steps.collect(), moved.collect()))
    }
}

impl SqlStore {
    async fn rows<T>(&self, text: &'static str, values: Params) -> Result<Vec<T>>
    where
        T: mysql_async::prelude::FromRow + Send + 'static,
    {
        let mut held = self.reader.lock().await;
        let work = async {
            let conn = connected(&self.opts, &mut held).await?;
            conn.exec(text, values).await.map_err(Trouble::from)
        };
        let done = limited(work).await;
        self.settle(&mut held, done)
    }
}

/// A moment as the database writes it, in UTC.
fn moment(text: &str) -> Timestamp {
    let civil = text.parse::<jiff::civil::DateTime>().ok();
    let zoned = civil.and_then(|c| c.to_zoned(jiff::tz::TimeZone::UTC).ok());
    zoned.map_or(Timestamp::UNIX_EPOCH, |z| z.timestamp())
}
