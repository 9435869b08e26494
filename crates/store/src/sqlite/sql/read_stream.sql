-- As read_shard.sql, of one stream.
SELECT CAST(group_concat(framed, '') AS BLOB)
  FROM (SELECT concat(seq, ' ', stream_version, ' ', type_version, ' ', hlc, ' ', epoch, ' ', at, ' ', stream_kind, ' ',
                      event_type, ' ', length(meta), ' ', length(data), x'0a', stream_id, command_id, meta, data) AS framed
          FROM event
         WHERE shard_id = $1 AND stream_id = $2 AND stream_version > $3
         ORDER BY stream_version
         LIMIT $4);
