SELECT shard_id, command_id, stream_kind, stream_id, arrived_at, payload
  FROM inbox
 WHERE shard_id IN (SELECT value FROM json_each($1))
 ORDER BY arrived_at, command_id
 LIMIT $2;
