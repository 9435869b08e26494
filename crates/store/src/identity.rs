//! Which store this is: what `meta` says, held against what was asked for.

use nightshift_ports::log::LogInfo;
use uuid::Uuid;

use crate::OpenError;

/// The facts of a log from the rows of `meta`.
pub(crate) fn info_of(rows: &[(String, String)], schema: u32, engine: &'static str) -> Result<LogInfo, OpenError> {
    let value = |key: &str| rows.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let broken = |key: &str| OpenError::Database {
        doing: "read the identity of the store",
        why: format!("meta.{key} is {:?}", value(key)),
    };
    let cluster_id = value("cluster_id").and_then(|v| v.parse().ok()).ok_or_else(|| broken("cluster_id"))?;
    let shard_count = value("shard_count").and_then(|v| v.parse().ok()).ok_or_else(|| broken("shard_count"))?;
    Ok(LogInfo { cluster_id, shard_count, schema, engine })
}

/// Refuses a store that is not the one that was meant.
pub(crate) fn check_identity(info: &LogInfo, shards: Option<u16>, expected: Option<Uuid>) -> Result<(), OpenError> {
    if let Some(asked) = shards.filter(|asked| *asked != info.shard_count) {
        return Err(OpenError::ShardCount { stored: info.shard_count, asked });
    }
    if let Some(expected) = expected.filter(|expected| *expected != info.cluster_id) {
        return Err(OpenError::WrongCluster { found: info.cluster_id, expected });
    }
    Ok(())
}
