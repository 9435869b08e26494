UPDATE shard SET epoch = max(epoch + 1, $3), owner = $2, acquired_at = $4
 WHERE shard_id = $1
RETURNING epoch;
