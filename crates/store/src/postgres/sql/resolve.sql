-- Waits for the append in flight, which holds the row's lock.
UPDATE shard SET epoch = GREATEST(epoch + 1, $3) WHERE shard_id = $1 AND epoch = $2 RETURNING epoch
