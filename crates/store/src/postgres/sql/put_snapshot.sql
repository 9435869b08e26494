-- A newer one of the same revision stays.
INSERT INTO snapshot (shard_id, stream_id, stream_kind, stream_version, state_revision, data)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (shard_id, stream_id) DO UPDATE
   SET stream_version = excluded.stream_version, state_revision = excluded.state_revision, data = excluded.data
 WHERE excluded.stream_version >= snapshot.stream_version OR excluded.state_revision <> snapshot.state_revision;
