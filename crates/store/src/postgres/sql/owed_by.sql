SELECT shard_id::bigint, stream_kind, stream_id, opened_seq, due_at, key, body
  FROM obligation
 WHERE shard_id = $1 AND stream_id = $2
 ORDER BY key
