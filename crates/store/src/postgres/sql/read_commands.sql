-- Commands that made events are found by the first of them, the others by an index of their own.
-- The page ends where a `first_seq` does: that of its last row is read to the end. Only commands without events can share one.
WITH mine AS MATERIALIZED (
    (SELECT c.command_id, c.first_seq, c.ord
       FROM event e
       JOIN command c ON c.shard_id = e.shard_id AND c.command_id = e.command_id AND c.first_seq = e.seq
      WHERE e.shard_id = $1 AND e.stream_id = $2 AND e.seq > $3 AND c.last_seq >= c.first_seq
        AND e.stream_version > COALESCE((SELECT p.stream_version FROM event p
                                          WHERE p.shard_id = $1 AND p.seq = $3 AND p.stream_id = $2), 0)
      ORDER BY e.stream_version
      LIMIT $4)
     UNION ALL
    SELECT command_id, first_seq, ord
      FROM command
     WHERE shard_id = $1 AND stream_id = $2 AND first_seq > $3 AND last_seq < first_seq
)
SELECT c.shard_id::bigint, c.command_id, c.stream_kind, c.stream_id, c.first_seq, c.last_seq, c.accepted, c.payload, c.ctx,
       c.reply, c.delta
  FROM mine
  JOIN command c ON c.shard_id = $1 AND c.command_id = mine.command_id
 WHERE mine.first_seq <= COALESCE((SELECT first_seq FROM mine ORDER BY first_seq LIMIT 1 OFFSET $4 - 1), 9223372036854775807)
 ORDER BY mine.first_seq, mine.ord
