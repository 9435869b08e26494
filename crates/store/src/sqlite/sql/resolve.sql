UPDATE shard SET epoch = max(epoch + 1, $3) WHERE shard_id = $1 AND owner = $4 AND epoch >= $2 RETURNING epoch;
