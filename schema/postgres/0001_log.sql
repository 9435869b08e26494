-- The log and what changes with it, on PostgreSQL. Mirror of schema/sqlite/0001_log.sql: the same tables and keys.
-- Instants are microseconds since 1970 in UTC, payloads are MessagePack.
-- Every key begins with the shard (blob, meta and node_session belong to no shard).

CREATE TABLE meta (
    k TEXT PRIMARY KEY,
    v TEXT NOT NULL
);

-- Who may write. Changed by takeovers only; an append locks the row and leaves it as it is, so that a long snapshot
-- elsewhere cannot slow appends down by old versions of it.
CREATE TABLE shard (
    shard_id    INTEGER PRIMARY KEY,
    epoch       BIGINT NOT NULL DEFAULT 0,
    owner       UUID,
    acquired_at BIGINT
);

-- The log. Rows are only ever added. `stream_id` alone identifies a stream; its kind is kept for people and readers.
CREATE TABLE event (
    shard_id       INTEGER  NOT NULL,
    seq            BIGINT   NOT NULL,
    stream_kind    TEXT     NOT NULL,
    stream_id      UUID     NOT NULL,
    stream_version BIGINT   NOT NULL,
    event_type     TEXT     NOT NULL,
    type_version   SMALLINT NOT NULL,
    hlc            BIGINT   NOT NULL,
    epoch          BIGINT   NOT NULL,
    at             BIGINT   NOT NULL,
    command_id     UUID     NOT NULL,
    meta           BYTEA    NOT NULL,
    data           BYTEA    NOT NULL,
    PRIMARY KEY (shard_id, seq)
);

CREATE UNIQUE INDEX event_stream ON event (shard_id, stream_id, stream_version);

-- Every command that was decided, taken or rejected, with what is needed to answer it again and to decide it again.
-- `ord` orders those that share a `first_seq` (rejections between two events).
CREATE TABLE command (
    shard_id    INTEGER NOT NULL,
    command_id  UUID    NOT NULL,
    stream_kind TEXT    NOT NULL,
    stream_id   UUID    NOT NULL,
    first_seq   BIGINT  NOT NULL,
    last_seq    BIGINT  NOT NULL,
    ord         BIGINT  NOT NULL,
    accepted    BOOLEAN NOT NULL,
    payload     BYTEA   NOT NULL,
    ctx         BYTEA   NOT NULL,
    reply       BYTEA   NOT NULL,
    delta       BYTEA   NOT NULL
);

CREATE UNIQUE INDEX command_key ON command (shard_id, command_id);
CREATE INDEX command_stream ON command (shard_id, stream_id, first_seq, ord);

-- What is owed to the world: the outbox and the timers. Deleted by its outcome. Rows come and go all the time, so it is
-- vacuumed by absolute numbers. Keys compare by bytes, as on SQLite.
CREATE TABLE obligation (
    shard_id    INTEGER  NOT NULL,
    stream_id   UUID     NOT NULL,
    key         TEXT     COLLATE "C" NOT NULL,
    stream_kind TEXT     NOT NULL,
    class       SMALLINT NOT NULL,
    due_at      BIGINT   NOT NULL,
    priority    SMALLINT NOT NULL,
    opened_seq  BIGINT   NOT NULL,
    body        BYTEA    NOT NULL,
    PRIMARY KEY (shard_id, stream_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE INDEX obligation_due ON obligation (shard_id, class, due_at, stream_id, key);

-- Commands that other processes leave for a shard's owner; consumed by the append that records them.
CREATE TABLE inbox (
    shard_id    INTEGER NOT NULL,
    command_id  UUID    NOT NULL,
    stream_kind TEXT    NOT NULL,
    stream_id   UUID    NOT NULL,
    arrived_at  BIGINT  NOT NULL,
    payload     BYTEA   NOT NULL,
    PRIMARY KEY (shard_id, command_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE INDEX inbox_arrival ON inbox (shard_id, arrived_at, command_id);

-- A cache of folded states: may be emptied at any time.
CREATE TABLE snapshot (
    shard_id       INTEGER NOT NULL,
    stream_id      UUID    NOT NULL,
    stream_kind    TEXT    NOT NULL,
    stream_version BIGINT  NOT NULL,
    state_revision BIGINT  NOT NULL,
    data           BYTEA   NOT NULL
);

CREATE UNIQUE INDEX snapshot_key ON snapshot (shard_id, stream_id);

-- How far each reader of the log has come in each shard. Updated in place all the time: room for it on each page.
CREATE TABLE projection (
    name     TEXT    NOT NULL,
    shard_id INTEGER NOT NULL,
    seq      BIGINT  NOT NULL,
    PRIMARY KEY (shard_id, name)
) WITH (fillfactor = 50);

-- Processes that run. An expired session is dead for ever.
CREATE TABLE node_session (
    session_id UUID PRIMARY KEY,
    node       TEXT   NOT NULL,
    address    TEXT,
    build      TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Texts too large for an event, under their SHA-256 in lower-case hex.
CREATE TABLE blob (
    digest TEXT  NOT NULL,
    bytes  BYTEA NOT NULL
);

CREATE UNIQUE INDEX blob_key ON blob (digest);
