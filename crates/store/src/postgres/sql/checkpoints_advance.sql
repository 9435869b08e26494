-- Compare and set: $1 name, $2 shard, $3 expected (0 for none), $4 new. A row is changed if and only if it was as expected.
INSERT INTO projection (name, shard_id, seq)
SELECT $1, $2, $4 WHERE $3 = 0 OR EXISTS (SELECT 1 FROM projection WHERE shard_id = $2 AND name = $1)
ON CONFLICT (shard_id, name) DO UPDATE SET seq = excluded.seq WHERE projection.seq = $3
