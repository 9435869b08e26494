//! What steps of workflows made, kept for others: the same statements on both databases.
//!
//! Owns: the rows of `step_cache`.
//! Refuses to know: which steps may use them, and for how long.

use nightshift_domain::{ids::RunId, time::Timestamp};
use nightshift_ports::{log::StoreError, step_cache::Entry};
use uuid::Uuid;

use crate::error::corrupt;

/// Columns of an entry, in the order of the statement that reads one.
pub(crate) type EntryRow =
    (String, Option<i64>, Option<String>, i64, Option<i64>, Uuid, String, i64, Option<i64>, Option<Uuid>);

pub(crate) const KEPT: &str = "SELECT value, status_code, etag, stored_at, expires_at, run_id, step_id, hits, last_hit_at, \
     last_hit_run FROM step_cache WHERE key = $1 AND (expires_at IS NULL OR expires_at > $2)";

pub(crate) const KEEP: &str = "INSERT INTO step_cache (key, value, status_code, etag, stored_at, expires_at, run_id, step_id, hits, \
     last_hit_at, last_hit_run) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (key) DO UPDATE SET \
     value = excluded.value, status_code = excluded.status_code, etag = excluded.etag, stored_at = excluded.stored_at, \
     expires_at = excluded.expires_at, run_id = excluded.run_id, step_id = excluded.step_id, hits = excluded.hits, \
     last_hit_at = excluded.last_hit_at, last_hit_run = excluded.last_hit_run \
     WHERE step_cache.stored_at <= excluded.stored_at";

pub(crate) const HIT: &str = "UPDATE step_cache SET hits = hits + 1, \
     last_hit_run = CASE WHEN last_hit_at IS NULL OR last_hit_at <= $2 THEN $3 ELSE last_hit_run END, \
     last_hit_at = CASE WHEN last_hit_at IS NULL OR last_hit_at <= $2 THEN $2 ELSE last_hit_at END WHERE key = $1";

pub(crate) const EXPIRED: &str = "DELETE FROM step_cache WHERE expires_at <= $1";

pub(crate) const SURPLUS: &str = "DELETE FROM step_cache WHERE key IN (SELECT key FROM step_cache ORDER BY \
     CASE WHEN last_hit_at > stored_at THEN last_hit_at ELSE stored_at END DESC, key DESC LIMIT 9223372036854775807 \
     OFFSET $1)";

/// An entry as it stands in a row.
pub(crate) fn entry(row: EntryRow) -> Result<Entry, StoreError> {
    let (value, status_code, etag, stored_at, expires_at, run, step, hits, last_hit_at, last_hit_run) = row;
    let value = serde_json::from_str(&value).map_err(|error| corrupt(format!("a kept value is no JSON: {error}")))?;
    Ok(Entry {
        value,
        status_code: status_code.and_then(|code| u16::try_from(code).ok()),
        etag,
        stored_at: Timestamp(stored_at),
        expires_at: expires_at.map(Timestamp),
        run: RunId::from_uuid(run),
        step,
        hits: u64::try_from(hits).unwrap_or(0),
        last_hit_at: last_hit_at.map(Timestamp),
        last_hit_run: last_hit_run.map(RunId::from_uuid),
    })
}

/// Implements the port; `$write` gives what executes a writing statement.
macro_rules! step_cache {
    ($store:ty, $readers:ident, |$it:ident, $doing:ident| $write:expr) => {
        #[async_trait::async_trait]
        impl nightshift_ports::step_cache::StepCache for $store {
            async fn kept(
                &self,
                key: &str,
                now: nightshift_domain::time::Timestamp,
            ) -> Result<Option<nightshift_ports::step_cache::Entry>, nightshift_ports::log::StoreError> {
                let row: Option<crate::step_cache::EntryRow> = sqlx::query_as(crate::step_cache::KEPT)
                    .bind(key)
                    .bind(now.micros())
                    .fetch_optional(&self.inner.$readers)
                    .await
                    .map_err(crate::error::failed("look for a kept output"))?;
                row.map(crate::step_cache::entry).transpose()
            }

            async fn keep(
                &self,
                key: &str,
                kept: &nightshift_ports::step_cache::Entry,
            ) -> Result<(), nightshift_ports::log::StoreError> {
                let $it = self;
                let $doing = sqlx::query(crate::step_cache::KEEP)
                    .bind(key)
                    .bind(kept.value.to_string())
                    .bind(kept.status_code.map(i64::from))
                    .bind(kept.etag.as_deref())
                    .bind(kept.stored_at.micros())
                    .bind(kept.expires_at.map(nightshift_domain::time::Timestamp::micros))
                    .bind(kept.run.uuid())
                    .bind(kept.step.as_str())
                    .bind(crate::record::number(kept.hits))
                    .bind(kept.last_hit_at.map(nightshift_domain::time::Timestamp::micros))
                    .bind(kept.last_hit_run.map(nightshift_domain::ids::RunId::uuid));
                $write.map(drop).map_err(crate::error::failed("keep an output"))
            }

            async fn count_hit(
                &self,
                key: &str,
                run: nightshift_domain::ids::RunId,
                at: nightshift_domain::time::Timestamp,
            ) -> Result<(), nightshift_ports::log::StoreError> {
                let $it = self;
                let $doing = sqlx::query(crate::step_cache::HIT).bind(key).bind(at.micros()).bind(run.uuid());
                $write.map(drop).map_err(crate::error::failed("count a kept output"))
            }

            async fn prune(
                &self,
                now: nightshift_domain::time::Timestamp,
                entries_max: u64,
            ) -> Result<u64, nightshift_ports::log::StoreError> {
                let failed = crate::error::failed("prune the kept outputs");
                let $it = self;
                let $doing = sqlx::query(crate::step_cache::EXPIRED).bind(now.micros());
                let expired = $write.map_err(&failed)?.rows_affected();
                let $doing = sqlx::query(crate::step_cache::SURPLUS).bind(crate::record::number(entries_max));
                let surplus = $write.map_err(&failed)?.rows_affected();
                Ok(expired + surplus)
            }
        }
    };
}

pub(crate) use step_cache;
