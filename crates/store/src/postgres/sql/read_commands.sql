-- The page ends where a `first_seq` does: that of its last row is read to the end.
SELECT shard_id::bigint, command_id, stream_kind, stream_id, first_seq, last_seq, accepted, payload, ctx, reply, delta
  FROM command
 WHERE shard_id = $1 AND stream_id = $2 AND first_seq > $3
   AND first_seq <= COALESCE((SELECT first_seq FROM command WHERE shard_id = $1 AND stream_id = $2 AND first_seq > $3
                               ORDER BY first_seq LIMIT 1 OFFSET $4 - 1), 9223372036854775807)
 ORDER BY first_seq, ord
