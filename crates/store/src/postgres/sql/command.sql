SELECT shard_id::bigint, command_id, stream_kind, stream_id, first_seq, last_seq, accepted, payload, ctx, reply, delta
  FROM command
 WHERE shard_id = $1 AND command_id = $2
