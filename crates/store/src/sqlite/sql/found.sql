-- $1: identity, $2: number of shards. An existing store keeps its own; a number of shards never changes.
INSERT INTO meta (k, v) VALUES ('cluster_id', $1) ON CONFLICT (k) DO NOTHING;
INSERT INTO meta (k, v) VALUES ('shard_count', CAST($2 AS TEXT)) ON CONFLICT (k) DO NOTHING;
WITH RECURSIVE numbers (n) AS (
    SELECT 0
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n + 1 < (SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'shard_count')
)
INSERT INTO shard (shard_id) SELECT n FROM numbers WHERE true ON CONFLICT (shard_id) DO NOTHING;
