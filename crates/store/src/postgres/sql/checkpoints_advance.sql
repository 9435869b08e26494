-- Compare and set, many at once: $1 name, $2 shards, $3 expected (0 for none), $4 new. As many rows are changed as were as
-- expected.
WITH want AS (
    SELECT * FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS w (shard_id, expected, seq)
),
moved AS (
    UPDATE projection p SET seq = want.seq
      FROM want
     WHERE p.shard_id = want.shard_id AND p.name = $1 AND p.seq = want.expected
    RETURNING 1
),
begun AS (
    INSERT INTO projection (name, shard_id, seq)
    SELECT $1, shard_id, seq FROM want WHERE expected = 0
    ON CONFLICT (shard_id, name) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM moved) + (SELECT count(*) FROM begun)
