-- One row for a page: a line of numbers and names, then ids and payloads, event after event. Rows cost more to hand over
-- than to read.
SELECT CAST(group_concat(framed, '') AS BLOB)
  FROM (SELECT concat(seq, ' ', stream_version, ' ', type_version, ' ', hlc, ' ', epoch, ' ', at, ' ', stream_kind, ' ',
                      event_type, ' ', length(meta), ' ', length(data), x'0a', stream_id, command_id, meta, data) AS framed
          FROM event
         WHERE shard_id = $1 AND seq > $2
         ORDER BY seq
         LIMIT $3);
