INSERT INTO inbox (shard_id, command_id, stream_kind, stream_id, arrived_at, payload)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (shard_id, command_id) DO NOTHING;
