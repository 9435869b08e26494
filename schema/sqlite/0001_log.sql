-- The log and what changes with it, on SQLite. Mirror of schema/postgres/0001_log.sql: the same tables and keys.
-- Ids are 16-byte BLOBs, instants are microseconds since 1970 in UTC, payloads are MessagePack.
-- Every key begins with the shard (blob, meta and node_session belong to no shard).

CREATE TABLE meta (
    k TEXT PRIMARY KEY,
    v TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who may write. Changed by takeovers only; an append reads it.
CREATE TABLE shard (
    shard_id    INTEGER PRIMARY KEY,
    epoch       INTEGER NOT NULL DEFAULT 0,
    owner       BLOB,
    acquired_at INTEGER
) STRICT;

-- The log. Rows are only ever added. `stream_id` alone identifies a stream; its kind is kept for people and readers.
CREATE TABLE event (
    shard_id       INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    stream_kind    TEXT    NOT NULL,
    stream_id      BLOB    NOT NULL,
    stream_version INTEGER NOT NULL,
    event_type     TEXT    NOT NULL,
    type_version   INTEGER NOT NULL,
    hlc            INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    command_id     BLOB    NOT NULL,
    meta           BLOB    NOT NULL,
    data           BLOB    NOT NULL,
    PRIMARY KEY (shard_id, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX event_stream ON event (shard_id, stream_id, stream_version);

-- Every command that was decided, taken or rejected, with what is needed to answer it again and to decide it again.
-- The rowid orders those that share a `first_seq` (rejections between two events); PostgreSQL has a column `ord` for it.
CREATE TABLE command (
    shard_id    INTEGER NOT NULL,
    command_id  BLOB    NOT NULL,
    stream_kind TEXT    NOT NULL,
    stream_id   BLOB    NOT NULL,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    accepted    INTEGER NOT NULL,
    payload     BLOB    NOT NULL,
    ctx         BLOB    NOT NULL,
    reply       BLOB    NOT NULL,
    delta       BLOB    NOT NULL
) STRICT;

-- A table of its own order with two narrow indexes: rows arrive at the end, only 16-byte keys land at random.
CREATE UNIQUE INDEX command_key ON command (shard_id, command_id);
CREATE INDEX command_stream ON command (shard_id, stream_id, first_seq);

-- What is owed to the world: the outbox and the timers. Deleted by its outcome.
CREATE TABLE obligation (
    shard_id    INTEGER NOT NULL,
    stream_id   BLOB    NOT NULL,
    key         TEXT    NOT NULL,
    stream_kind TEXT    NOT NULL,
    class       INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    opened_seq  INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    PRIMARY KEY (shard_id, stream_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX obligation_due ON obligation (shard_id, class, due_at, stream_id, key);

-- Commands that other processes leave for a shard's owner; consumed by the append that records them.
CREATE TABLE inbox (
    shard_id    INTEGER NOT NULL,
    command_id  BLOB    NOT NULL,
    stream_kind TEXT    NOT NULL,
    stream_id   BLOB    NOT NULL,
    arrived_at  INTEGER NOT NULL,
    payload     BLOB    NOT NULL,
    PRIMARY KEY (shard_id, command_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_arrival ON inbox (shard_id, arrived_at, command_id);

-- A cache of folded states: may be emptied at any time.
CREATE TABLE snapshot (
    shard_id       INTEGER NOT NULL,
    stream_id      BLOB    NOT NULL,
    stream_kind    TEXT    NOT NULL,
    stream_version INTEGER NOT NULL,
    state_revision INTEGER NOT NULL,
    data           BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX snapshot_key ON snapshot (shard_id, stream_id);

-- How far each reader of the log has come in each shard.
CREATE TABLE projection (
    name     TEXT    NOT NULL,
    shard_id INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (shard_id, name)
) STRICT, WITHOUT ROWID;

-- Processes that run. An expired session is dead for ever.
CREATE TABLE node_session (
    session_id BLOB PRIMARY KEY,
    node       TEXT    NOT NULL,
    address    TEXT,
    build      TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Texts too large for an event, under their SHA-256 in lower-case hex.
CREATE TABLE blob (
    digest TEXT NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX blob_key ON blob (digest);
