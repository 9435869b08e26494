SELECT shard_id::bigint, command_id, stream_kind, stream_id, arrived_at, payload
  FROM inbox
 WHERE shard_id = ANY ($1)
 ORDER BY arrived_at, command_id
 LIMIT $2
