-- $1: numbers of the shards of the group, as JSON.
BEGIN IMMEDIATE;
SELECT s.shard_id, s.epoch,
       COALESCE((SELECT e.seq FROM event e WHERE e.shard_id = s.shard_id ORDER BY e.seq DESC LIMIT 1), 0) AS head
  FROM json_each($1) AS asked
  JOIN shard s ON s.shard_id = asked.value;
