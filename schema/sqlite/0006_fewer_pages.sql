-- Commands that made events are found by those events. Only the others (rejections, and commands that changed nothing) need
-- an index by stream: one of all commands cost every append a page for each of them.
DROP INDEX command_stream;
CREATE INDEX command_silent ON command (shard_id, stream_id, first_seq) WHERE last_seq < first_seq;

-- Bulk jobs choose among the dead only; in an index of all states each job changed its place, at random, with its state.
DROP INDEX job_queue_letters;
CREATE INDEX job_queue_letters ON job_queue (status, job_id) WHERE status = 'dead';
