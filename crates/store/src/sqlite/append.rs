//! The append on SQLite: check and write in one transaction, in two exchanges with the connection's thread.

use std::collections::HashMap;

use nightshift_ports::{
    batch,
    log::{AppendError, ShardBatch, Verdict},
};
use sqlx::Row;

use super::{SqliteStore, Writer, pack::Packed};

impl SqliteStore {
    pub(super) async fn append_group(&self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError> {
        batch::check(group)?;
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = self.writer().await.map_err(|error| AppendError::NotWritten { why: error.to_string() })?;
        let outcome = writer.append(group).await;
        // After a failure, and after a group of which nothing may be written, the transaction is still open.
        writer.settle().await;
        outcome
    }
}

impl Writer {
    async fn append(&mut self, group: &[ShardBatch]) -> Result<Vec<Verdict>, AppendError> {
        let owned = self.check(group).await?;
        let verdicts: Vec<Verdict> = group
            .iter()
            .map(|batch| match owned.get(&i64::from(batch.shard.0)) {
                Some(&(epoch, head)) if epoch == batch.epoch && head == i64_of(batch.expected_head) => {
                    Verdict::Committed
                }
                _ => Verdict::Fenced,
            })
            .collect();
        let mine = group.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Committed);
        if mine.clone().next().is_some() {
            self.write(Packed::of(mine.map(|(batch, _)| batch))?).await?;
        }
        Ok(verdicts)
    }

    /// Begins, and reads epoch and head of each shard.
    async fn check(&mut self, group: &[ShardBatch]) -> Result<HashMap<i64, (i64, i64)>, AppendError> {
        let shards: Vec<u16> = group.iter().map(|batch| batch.shard.0).collect();
        self.begun = true;
        let rows = sqlx::query(include_str!("sql/append_check.sql"))
            .bind(serde_json::json!(shards).to_string())
            .fetch_all(&mut self.conn)
            .await
            .map_err(|error| append_error(&error))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|error| append_error(&error))
    }

    /// Writes everything and commits.
    async fn write(&mut self, packed: Packed) -> Result<(), AppendError> {
        sqlx::query(include_str!("sql/append_write.sql"))
            .bind(packed.bytes)
            .bind(packed.events)
            .bind(packed.commands)
            .bind(packed.closes)
            .bind(packed.opens)
            .execute(&mut self.conn)
            .await
            .map_err(|error| append_error(&error))?;
        self.begun = false;
        Ok(())
    }
}

fn i64_of(seq: u64) -> i64 {
    crate::record::number(seq)
}

/// SQLite's result code without its extension; none for an error that is not SQLite's.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}

/// What a failure means: the transaction is rolled back after it, so nothing of it stays.
fn append_error(error: &sqlx::Error) -> AppendError {
    let why = error.to_string();
    match primary_code(error) {
        // TOOBIG, CONSTRAINT, MISMATCH: this group will never fit.
        Some(18..=20) => AppendError::Contradiction { why },
        // FULL, IOERR, BUSY, LOCKED, NOMEM, READONLY and whatever else SQLite says before the commit is durable.
        Some(_) => AppendError::NotWritten { why },
        // The connection's thread is gone: it is not known how far it came.
        None => AppendError::Unknown { why },
    }
}
