-- The whole group in one statement, which is one transaction.
-- $1-$3: the shards of the group, the epochs and heads their writer believes in.
WITH want AS (
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS w (shard_id, epoch, head)
),
-- A lock and no update: a hot row under somebody's long snapshot would grow a version for each append.
locked AS MATERIALIZED (
    SELECT s.shard_id, s.epoch, w.head
      FROM shard s
      JOIN want w ON w.shard_id = s.shard_id AND w.epoch = s.epoch
     ORDER BY s.shard_id
       FOR NO KEY UPDATE OF s
),
-- The head believed in is the head: also after a failover that lost events.
mine AS MATERIALIZED (
    SELECT l.shard_id, l.epoch, l.head
      FROM locked l
     WHERE l.head = COALESCE((SELECT e.seq FROM event e WHERE e.shard_id = l.shard_id ORDER BY e.seq DESC LIMIT 1), 0)
),
new_events AS (
    INSERT INTO event (shard_id, seq, stream_kind, stream_id, stream_version, event_type, type_version, hlc, epoch, at,
                       command_id, meta, data)
    SELECT n.shard_id, n.seq, n.stream_kind, n.stream_id, n.stream_version, n.event_type, n.type_version, n.hlc, mine.epoch,
           n.at, n.command_id, n.meta, n.data
      FROM unnest($4::int[], $5::bigint[], $6::text[], $7::uuid[], $8::bigint[], $9::text[], $10::smallint[], $11::bigint[],
                  $12::bigint[], $13::uuid[], $14::bytea[], $15::bytea[])
           AS n (shard_id, seq, stream_kind, stream_id, stream_version, event_type, type_version, hlc, at, command_id, meta, data)
      JOIN mine USING (shard_id)
),
-- Only commands before the first event of the batch can share a `first_seq` with commands of earlier batches, which then
-- made no events.
new_commands AS (
    INSERT INTO command (shard_id, command_id, stream_kind, stream_id, first_seq, last_seq, ord, accepted,
                         payload, ctx, reply, delta)
    SELECT n.shard_id, n.command_id, n.stream_kind, n.stream_id, n.first_seq, n.last_seq,
           n.ord + CASE WHEN n.first_seq = mine.head + 1
                        THEN COALESCE((SELECT max(k.ord) + 1 FROM command k
                                        WHERE k.shard_id = n.shard_id AND k.stream_id = n.stream_id
                                          AND k.first_seq = n.first_seq AND k.last_seq < k.first_seq), 0)
                        ELSE 0 END,
           n.accepted, n.payload, n.ctx, n.reply, n.delta
      FROM unnest($16::int[], $17::uuid[], $18::text[], $19::uuid[], $20::bigint[], $21::bigint[], $22::bigint[],
                  $23::boolean[], $24::bytea[], $25::bytea[], $26::bytea[], $27::bytea[])
           AS n (shard_id, command_id, stream_kind, stream_id, first_seq, last_seq, ord, accepted, payload, ctx, reply, delta)
      JOIN mine USING (shard_id)
),
consumed AS (
    DELETE FROM inbox i
     USING unnest($16::int[], $17::uuid[]) AS n (shard_id, command_id)
      JOIN mine ON mine.shard_id = n.shard_id
     WHERE i.shard_id = n.shard_id AND i.command_id = n.command_id
),
-- No key is both opened and closed here: parts of one statement do not see each other.
opened AS (
    INSERT INTO obligation (shard_id, stream_id, key, stream_kind, class, due_at, priority, opened_seq, body)
    SELECT n.*
      FROM unnest($28::int[], $29::uuid[], $30::text[], $31::text[], $32::smallint[], $33::bigint[], $34::smallint[],
                  $35::bigint[], $36::bytea[])
           AS n (shard_id, stream_id, key, stream_kind, class, due_at, priority, opened_seq, body)
      JOIN mine ON mine.shard_id = n.shard_id
    ON CONFLICT (shard_id, stream_id, key) DO UPDATE
       SET stream_kind = excluded.stream_kind, class = excluded.class, due_at = excluded.due_at,
           priority = excluded.priority, opened_seq = excluded.opened_seq, body = excluded.body
),
closed AS (
    DELETE FROM obligation o
     USING unnest($37::int[], $38::uuid[], $39::text[]) AS n (shard_id, stream_id, key)
      JOIN mine ON mine.shard_id = n.shard_id
     WHERE o.shard_id = n.shard_id AND o.stream_id = n.stream_id AND o.key = n.key
)
SELECT shard_id FROM mine
