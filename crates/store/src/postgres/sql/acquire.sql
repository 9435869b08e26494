-- Rows are locked in one order, so that two takeovers cannot wait for each other.
WITH locked AS MATERIALIZED (
    SELECT shard_id FROM shard WHERE shard_id = ANY ($1) ORDER BY shard_id FOR UPDATE
)
UPDATE shard s
   SET epoch = GREATEST(s.epoch + 1, $3), owner = $2, acquired_at = $4
  FROM locked
 WHERE s.shard_id = locked.shard_id
RETURNING s.shard_id, s.epoch
