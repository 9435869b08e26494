SELECT seq, stream_kind, stream_id, stream_version, event_type, type_version, hlc, epoch, at, command_id, meta, data
  FROM event
 WHERE shard_id = $1 AND seq > $2
 ORDER BY seq
 LIMIT $3
