//! Writes of the engine: each a transaction that counts only while the epoch is ours.
//!
//! The count of writes in the leader's row is part of each: a claim on one member and a write
//! on another then change the same row, and the database lets only the first pass.

use evac::{Answer, HostId, Intent, Phase, Sent};
use mysql_async::{Params, TxOpts, params, prelude::Queryable as _};
use serde::Serialize;

use super::{SqlStore, Statement, Trouble, connected, limited};
use crate::store::Result;

const OURS: &str = "UPDATE leader SET writes = writes + 1 WHERE id = 1 AND epoch = :epoch";

impl SqlStore {
    /// Does statements under an epoch; how many rows the last one changed.
    pub(super) async fn under(&self, epoch: u64, statements: Vec<Statement>) -> Result<u64> {
        let mut held = self.writer.lock().await;
        let work = async {
            let conn = connected(&self.opts, &mut held).await?;
            let mut tx = conn.start_transaction(TxOpts::default()).await?;
            tx.exec_drop(OURS, params! { epoch }).await?;
            if tx.affected_rows() != 1 {
                tx.rollback().await?;
                return Err(Trouble::Overtaken(epoch));
            }
            let mut changed = 0;
            for (text, values) in statements {
                tx.exec_drop(text, values).await?;
                changed = tx.affected_rows();
            }
            tx.commit().await?;
            Ok(changed)
        };
        let done = limited(work).await;
        self.settle(&mut held, done)
    }

    /// Does statements that no epoch guards; how many rows the last one changed.
    pub(super) async fn free(&self, statements: Vec<Statement>) -> Result<u64> {
        let mut held = self.writer.lock().await;
        let work = async {
            let conn = connected(&self.opts, &mut held).await?;
            let mut tx = conn.start_transaction(TxOpts::default()).await?;
            let mut changed = 0;
            for (text, values) in statements {
                tx.exec_drop(text, values).await?;
                changed = tx.affected_rows();
            }
            tx.commit().await?;
            Ok(changed)
        };
        let done = limited(work).await;
        self.settle(&mut held, done)
    }

    pub(super) async fn claim_epoch(&self, controller: &str, above: u64) -> Result<u64> {
        let changed = self
            .free(vec![
                (
                    "INSERT IGNORE INTO leader (id, epoch, controller, taken_at, writes) \
                     VALUES (1, 0, '', UTC_TIMESTAMP(3), 0)",
                    Params::Empty,
                ),
                (
                    "UPDATE leader SET epoch = epoch + 1, controller = :controller, \
                     taken_at = UTC_TIMESTAMP(3), writes = writes + 1 WHERE id = 1 AND epoch = :above",
                    params! { controller, above },
                ),
            ])
            .await?;
        if changed == 1 {
            Ok(above + 1)
        } else {
            Err(crate::store::StoreError::Overtaken(above))
        }
    }

    pub(super) async fn write_intent(&self, intent: &Intent) -> Result<()> {
        let (host, epoch, why) = (intent.host.as_str(), intent.epoch, intent.why.as_str());
        let (phase, body) = (phase(intent.phase), json(intent));
        let boot = intent.boot.as_ref().map(evac::BootId::as_str);
        let statements = vec![
            (
                "INSERT INTO recovery (host, boot, began_at, why) SELECT :host, :boot, UTC_TIMESTAMP(3), :why \
                 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM intent WHERE host = :host)",
                params! { host, boot, why },
            ),
            (
                "INSERT INTO intent (host, epoch, phase, body, opened_at, phase_at, recovery) \
                 SELECT :host, :epoch, :phase, :body, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), MAX(id) \
                 FROM recovery WHERE host = :host \
                 ON DUPLICATE KEY UPDATE epoch = :epoch, body = :body, \
                 phase_at = IF(phase = :phase, phase_at, UTC_TIMESTAMP(3)), phase = :phase",
                params! { host, epoch, phase, body },
            ),
            (
                "INSERT INTO step (recovery, at, epoch, phase, why) \
                 SELECT recovery, UTC_TIMESTAMP(3), :epoch, :phase, :why FROM intent WHERE host = :host",
                params! { host, epoch, phase, why },
            ),
        ];
        self.under(epoch, statements).await.map(|_| ())
    }

    pub(super) async fn forget_host(&self, epoch: u64, host: &HostId, why: &str) -> Result<()> {
        let host = host.as_str();
        let statements = vec![
            (
                "UPDATE sent SET gone = recovery WHERE host = :host AND gone = 0",
                params! { host },
            ),
            (
                "UPDATE recovery SET ended_at = UTC_TIMESTAMP(3), outcome = :why \
                 WHERE id = (SELECT recovery FROM intent WHERE host = :host)",
                params! { host, why },
            ),
            ("DELETE FROM confirmed WHERE host = :host", params! { host }),
            ("DELETE FROM intent WHERE host = :host", params! { host }),
        ];
        self.under(epoch, statements).await.map(|_| ())
    }

    pub(super) async fn insert_sent(&self, sent: &Sent) -> Result<bool> {
        let (vm, host, epoch) = (sent.vm.as_str(), sent.host.as_str(), sent.epoch);
        let (target, body, answer) = (sent.target.as_str(), json(sent), json(&Answer::Unknown));
        let phase = phase(Phase::Evacuating);
        let statement = (
            "INSERT IGNORE INTO sent (vm, host, epoch, body, answer, target, at, recovery) \
             SELECT :vm, :host, :epoch, :body, :answer, :target, UTC_TIMESTAMP(3), recovery \
             FROM intent WHERE host = :host AND phase = :phase",
            params! { vm, host, epoch, body, answer, target, phase },
        );
        Ok(self.under(epoch, vec![statement]).await? == 1)
    }

    pub(super) async fn keep_answer(&self, sent: &Sent, answer: &Answer) -> Result<()> {
        let (vm, epoch, answer) = (sent.vm.as_str(), sent.epoch, json(answer));
        let statement = (
            "UPDATE sent SET answer = :answer WHERE vm = :vm AND epoch = :epoch AND gone = 0",
            params! { vm, epoch, answer },
        );
        self.under(epoch, vec![statement]).await.map(|_| ())
    }
}

/// Name of a phase in the tables.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Fencing => "Fencing",
        Phase::Refencing => "Refencing",
        Phase::Evacuating => "Evacuating",
        Phase::Returning => "Returning",
    }
}

/// JSON of one of the decider's types, which all can be written.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
