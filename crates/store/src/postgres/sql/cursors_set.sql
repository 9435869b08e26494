INSERT INTO projection (name, shard_id, seq)
SELECT $1, n.shard_id, n.seq FROM unnest($2::int[], $3::bigint[]) AS n (shard_id, seq)
ON CONFLICT (shard_id, name) DO UPDATE SET seq = excluded.seq
