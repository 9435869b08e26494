SELECT s.shard_id::bigint, s.epoch, COALESCE(e.seq, 0)
  FROM shard s
  LEFT JOIN LATERAL (SELECT seq FROM event WHERE event.shard_id = s.shard_id ORDER BY seq DESC LIMIT 1) AS e ON true
 ORDER BY s.shard_id
