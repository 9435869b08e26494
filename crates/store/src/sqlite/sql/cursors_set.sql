-- $1: name, $2: [shard, seq] pairs as JSON.
INSERT INTO projection (name, shard_id, seq)
SELECT $1, value ->> 0, value ->> 1 FROM json_each($2) WHERE true
ON CONFLICT (shard_id, name) DO UPDATE SET seq = excluded.seq;
