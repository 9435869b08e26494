-- Waits for the append in flight, which holds the row's lock. The owner may ask twice: when the answer was lost, its epoch
-- is higher already.
UPDATE shard SET epoch = GREATEST(epoch + 1, $3) WHERE shard_id = $1 AND owner = $4 AND epoch >= $2 RETURNING epoch
