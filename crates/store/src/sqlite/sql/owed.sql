-- Of one shard and one class, in the order of the index.
SELECT shard_id, stream_kind, stream_id, opened_seq, due_at, key, body
  FROM obligation
 WHERE shard_id = $1 AND class = $2 AND due_at < $3 AND due_at >= $4 AND (due_at, stream_id, key) > ($4, $5, $6)
 ORDER BY due_at, stream_id, key
 LIMIT $7;
