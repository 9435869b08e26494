SELECT s.shard_id::bigint, e.seq
  FROM shard s
 CROSS JOIN LATERAL (SELECT seq FROM event WHERE event.shard_id = s.shard_id ORDER BY seq DESC LIMIT 1) AS e
 ORDER BY s.shard_id
