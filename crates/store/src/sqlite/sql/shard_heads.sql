SELECT s.shard_id, s.epoch,
       COALESCE((SELECT e.seq FROM event e WHERE e.shard_id = s.shard_id ORDER BY e.seq DESC LIMIT 1), 0)
  FROM shard s
 ORDER BY s.shard_id;
