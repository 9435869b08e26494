-- Compare and set, many at once: $1 name, $2 rows of JSON [shard, expected (0 for none), new]. As many rows are changed as
-- were as expected.
UPDATE projection SET seq = want.value ->> 2
  FROM json_each($2) AS want
 WHERE projection.shard_id = want.value ->> 0 AND projection.name = $1 AND projection.seq = want.value ->> 1;
INSERT INTO projection (name, shard_id, seq)
SELECT $1, value ->> 0, value ->> 2 FROM json_each($2) WHERE value ->> 1 = 0
ON CONFLICT (shard_id, name) DO NOTHING;
