SELECT stream_version, state_revision, data FROM snapshot WHERE shard_id = $1 AND stream_id = $2;
