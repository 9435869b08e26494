-- $1: one buffer with every id and payload of the group. The others are JSON arrays of rows that say where in it theirs are.
-- $2: events [shard, seq, at byte, kind, version, type, type version, hlc, epoch, at, meta bytes, data bytes]
INSERT INTO event (shard_id, seq, stream_kind, stream_version, event_type, type_version, hlc, epoch, at,
                   stream_id, command_id, meta, data)
SELECT value ->> 0, value ->> 1, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9,
       substr($1, (value ->> 2) + 1, 16), substr($1, (value ->> 2) + 17, 16),
       substr($1, (value ->> 2) + 33, value ->> 10), substr($1, (value ->> 2) + 33 + (value ->> 10), value ->> 11)
  FROM json_each($2);
-- $3: commands [shard, at byte, kind, first seq, last seq, accepted, payload bytes, ctx bytes, reply bytes, delta bytes]
INSERT INTO command (shard_id, stream_kind, first_seq, last_seq, accepted,
                     stream_id, command_id, payload, ctx, reply, delta)
SELECT value ->> 0, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
       substr($1, (value ->> 1) + 1, 16), substr($1, (value ->> 1) + 17, 16),
       substr($1, (value ->> 1) + 33, value ->> 6),
       substr($1, (value ->> 1) + 33 + (value ->> 6), value ->> 7),
       substr($1, (value ->> 1) + 33 + (value ->> 6) + (value ->> 7), value ->> 8),
       substr($1, (value ->> 1) + 33 + (value ->> 6) + (value ->> 7) + (value ->> 8), value ->> 9)
  FROM json_each($3);
-- The inbox row of a command goes with it. (Here and below: the planner uses the whole key only when it is written from
-- its end.)
DELETE FROM inbox
 WHERE (command_id, shard_id) IN (SELECT substr($1, (value ->> 1) + 17, 16), value ->> 0 FROM json_each($3));
-- $4: obligations that end [shard, at byte, key]
DELETE FROM obligation
 WHERE (key, stream_id, shard_id) IN (SELECT value ->> 2, substr($1, (value ->> 1) + 1, 16), value ->> 0 FROM json_each($4));
-- $5: obligations that begin [shard, at byte, key, kind, class, due at, priority, opened seq, body bytes]
INSERT OR REPLACE INTO obligation (shard_id, stream_id, key, stream_kind, class, due_at, priority, opened_seq, body)
SELECT value ->> 0, substr($1, (value ->> 1) + 1, 16), value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
       value ->> 7, substr($1, (value ->> 1) + 17, value ->> 8)
  FROM json_each($5);
COMMIT;
