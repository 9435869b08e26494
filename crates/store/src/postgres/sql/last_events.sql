-- A statement of its own: its snapshot begins after the lock was waited for.
SELECT a.shard_id, e.seq, e.hlc
  FROM unnest($1::int[]) AS a (shard_id)
 CROSS JOIN LATERAL (SELECT seq, hlc FROM event WHERE event.shard_id = a.shard_id ORDER BY seq DESC LIMIT 1) AS e
