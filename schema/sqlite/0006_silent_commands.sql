-- Commands that made events are found by those events. Only the others (rejections, and commands that changed nothing) need
-- an index by stream: one of all commands cost every append a page for each of them.
DROP INDEX command_stream;
CREATE INDEX command_silent ON command (shard_id, stream_id, first_seq) WHERE last_seq < first_seq;
