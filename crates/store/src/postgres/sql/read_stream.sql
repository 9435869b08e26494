SELECT seq, stream_kind, stream_id, stream_version, event_type, type_version, hlc, epoch, at, command_id, meta, data
  FROM event
 WHERE shard_id = $1 AND stream_id = $2 AND stream_version > $3
 ORDER BY stream_version
 LIMIT $4
