-- As many shards as the store says, whoever wrote that first.
INSERT INTO shard (shard_id)
SELECT n FROM generate_series(0, (SELECT v::int FROM meta WHERE k = 'shard_count') - 1) AS n
ON CONFLICT (shard_id) DO NOTHING
