SELECT shard_id, head
  FROM (SELECT s.shard_id, (SELECT e.seq FROM event e WHERE e.shard_id = s.shard_id ORDER BY e.seq DESC LIMIT 1) AS head
          FROM shard s)
 WHERE head IS NOT NULL
 ORDER BY shard_id;
