//! Reads of the engine: all rows of one moment.

use std::collections::BTreeMap;

use evac::{BootId, Confirmed, HostId, Intent, IntentRow, Leader, Name, Sent, SentRow};
use mysql_async::{Conn, IsolationLevel, TxOpts, params, prelude::Queryable};
use serde::de::DeserializeOwned;

use super::{SqlStore, Trouble, connected, limited};
use crate::store::{Result, Rows, ages::Ages};

impl SqlStore {
    pub(super) async fn read_rows(&self, window_ms: u64) -> Result<Rows> {
        let mut held = self.reader.lock().await;
        let work = async {
            let conn = connected(&self.opts, &mut held).await?;
            let mut options = TxOpts::default();
            options
                .with_consistent_snapshot(true)
                .with_isolation_level(IsolationLevel::RepeatableRead)
                .with_readonly(true);
            let mut tx = conn.start_transaction(options).await?;
            let raw = Raw::read(&mut tx, window_ms).await?;
            tx.rollback().await?;
            let mut ages = self
                .ages
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            raw.rows(&mut ages)
        };
        let done = limited(work).await;
        self.settle(&mut held, done)
    }

    pub(super) async fn read_intent(&self, epoch: u64, host: &HostId) -> Result<Option<Intent>> {
        let mut held = self.reader.lock().await;
        let work = async {
            let conn: &mut Conn = connected(&self.opts, &mut held).await?;
            let found: Option<(u64, Option<String>)> = conn
                .exec_first(
                    "SELECT leader.epoch, intent.body FROM leader LEFT JOIN intent ON intent.host = :host \
                     WHERE leader.id = 1",
                    params! { "host" => host.as_str() },
                )
                .await?;
            match found {
                Some((now, _)) if now != epoch => Err(Trouble::Overtaken(epoch)),
                Some((_, Some(body))) => parse(&body).map(Some),
                Some((_, None)) => Ok(None),
                None => Err(Trouble::Overtaken(epoch)),
            }
        };
        let done = limited(work).await;
        self.settle(&mut held, done)
    }
}

/// Rows as the database tells them.
struct Raw {
    leader: Option<(u64, String)>,
    /// Body, moment of the phase, and ages in ms of phase and opening.
    intents: Vec<(String, String, i64, i64)>,
    /// Body, answer, moment, age in ms.
    sent: Vec<(String, String, String, i64)>,
    opened: Vec<i64>,
    /// Name, milliseconds that are left; none: for ever.
    words: Vec<(String, Option<i64>)>,
    confirmed: Vec<(String, String)>,
    proofs: Vec<(String, String, i64)>,
}

impl Raw {
    async fn read(tx: &mut impl Queryable, window_ms: u64) -> Result<Self, Trouble> {
        Ok(Self {
            leader: tx
                .query_first("SELECT epoch, controller FROM leader WHERE id = 1 AND epoch > 0")
                .await?,
            intents: tx
                .query(
                    "SELECT body, CAST(phase_at AS CHAR), \
                     TIMESTAMPDIFF(MICROSECOND, phase_at, UTC_TIMESTAMP(3)) DIV 1000, \
                     TIMESTAMPDIFF(MICROSECOND, opened_at, UTC_TIMESTAMP(3)) DIV 1000 FROM intent ORDER BY host",
                )
                .await?,
            sent: tx
                .query(
                    "SELECT body, answer, CAST(at AS CHAR), \
                     TIMESTAMPDIFF(MICROSECOND, at, UTC_TIMESTAMP(3)) DIV 1000 \
                     FROM sent WHERE gone = 0 ORDER BY vm, epoch, host",
                )
                .await?,
            opened: tx
                .exec(
                    "SELECT TIMESTAMPDIFF(MICROSECOND, began_at, UTC_TIMESTAMP(3)) DIV 1000 FROM recovery \
                     WHERE began_at > UTC_TIMESTAMP(3) - INTERVAL :window_ms * 1000 MICROSECOND ORDER BY id",
                    params! { window_ms },
                )
                .await?,
            words: tx
                .query(
                    "SELECT name, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), until_at) DIV 1000 FROM word \
                     WHERE until_at IS NULL OR until_at > UTC_TIMESTAMP(3)",
                )
                .await?,
            confirmed: tx.query("SELECT host, boot FROM confirmed ORDER BY host, boot").await?,
            proofs: tx
                .query(
                    "SELECT host, device, TIMESTAMPDIFF(MICROSECOND, at, UTC_TIMESTAMP(3)) DIV 1000 FROM proof",
                )
                .await?,
        })
    }

    fn rows(self, ages: &mut Ages) -> Result<Rows, Trouble> {
        let mut store = evac::Store {
            leader: self.leader.map(|(epoch, controller)| Leader {
                epoch,
                controller: Name::from(controller),
            }),
            opened_ms: self.opened.into_iter().map(ms).collect(),
            ..evac::Store::default()
        };
        for (body, at, phase, opened) in self.intents {
            let intent: Intent = parse(&body)?;
            let phase_ms = ages.of(format!("intent {} {at}", intent.host), ms(phase));
            store.intents.push(IntentRow {
                intent,
                phase_ms,
                opened_ms: ms(opened),
            });
        }
        for (body, answer, at, age) in self.sent {
            let sent: Sent = parse(&body)?;
            let age_ms = ages.of(
                format!("sent {} {} {} {at}", sent.vm, sent.host, sent.epoch),
                ms(age),
            );
            store.sent.push(SentRow {
                sent,
                answer: parse(&answer)?,
                age_ms,
            });
        }
        ages.end();
        for (name, left) in self.words {
            match name.as_str() {
                "pause" => store.paused = true,
                "release" => store.released_ms = Some(left.map_or(u64::MAX, ms)),
                other => return Err(Trouble::Strange(format!("the word `{other}` is not known"))),
            }
        }
        let confirmed = self.confirmed.into_iter().map(|(host, boot)| Confirmed {
            host: HostId::from(host),
            // An empty text stands for a boot that was never heard of: a key has no null.
            boot: (!boot.is_empty()).then(|| BootId::from(boot)),
        });
        store.confirmed = confirmed.collect();
        let mut proofs: BTreeMap<HostId, BTreeMap<String, u64>> = BTreeMap::new();
        for (host, device, age) in self.proofs {
            proofs
                .entry(HostId::from(host))
                .or_default()
                .insert(device, ms(age));
        }
        Ok(Rows { store, proofs })
    }
}

/// Milliseconds of a difference; one of a clock that was set back is none.
fn ms(difference: i64) -> u64 {
    u64::try_from(difference).unwrap_or(0)
}

fn parse<T: DeserializeOwned>(body: &str) -> Result<T, Trouble> {
    serde_json::from_str(body).map_err(|error| Trouble::Strange(format!("a row is not understood: {error}")))
}
