CREATE VIEW platform_content as
select
    c.source_id,
    c.item_id,
    c.content_hash,
    c.user_id,
    c.platform,
    c.resource_id,
    c.resource_name,
    c.title,
    c.link,
    c.author,
    c.content,
    c.content_bytes,
    c.source_timestamp,
    c.fetched_at,
    r.retained_version is not null as retained,
    r.reason as retained_reason,
    r.reference as retained_ref,
    r.retained_at,
    case when r.retained_version is null then c.expires_at end as expires_at,
    i.gone_at,
    c.metadata,
    c.first_version,
    c.stream_version,
    c.shard_id,
    c.src_seq
from platform_content_items c
left join platform_items i on i.source_id = c.source_id and i.item_id = c.item_id
left join content_retentions r
    on r.source_id = c.source_id
    and r.retained_version = (
        select min(k.retained_version)
        from content_retentions k
        where k.source_id = c.source_id and k.from_version < c.stream_version and k.upto_version >= c.first_version
    );

CREATE VIEW workflow_runs as
select
    id as workflow_run_id,
    orchestration_name as workflow_key,
    user_id,
    trigger -> 'event' ->> 'intent_id' as intent_id,
    trigger -> 'event' ->> 'id' as trigger_event_id,
    case status when 'completed' then 'success' when 'failed' then 'failed' when 'cancelled' then 'failed' else 'running' end
        as status,
    created_at,
    coalesce(completed_at, started_at, created_at) as updated_at,
    completed_at,
    workflow_owner,
    workflow_version
from orchestration_runs
where workflow_owner is not null;

CREATE TABLE activity_log (
    id text not null,
    user_id text not null,
    event_type text not null,
    event_ref text,
    summary text not null,
    metadata text not null,
    created_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

CREATE TABLE blob (
    digest TEXT NOT NULL,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE bulk_jobs (
    id text not null,
    user_id text not null,
    verb text not null check (verb in ('retry', 'reset', 'discard')),
    filter text not null,
    status text not null check (status in ('running', 'cancelling', 'completed', 'cancelled')),
    requested_by text not null,
    note text not null,
    cancelled_by text,
    total integer not null,
    chosen integer not null,
    done integer not null,
    refused integer not null,
    refusals text not null,
    created_at text not null,
    updated_at text not null,
    ended_at text,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

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

CREATE TABLE content_retentions (
    source_id text not null,
    retained_version integer not null,
    from_version integer not null,
    upto_version integer not null,
    reason text not null,
    reference text not null,
    retained_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (source_id, retained_version)
) strict, without rowid;

CREATE TABLE deliverable_versions (
    id text not null,
    deliverable_id text not null,
    user_id text not null,
    version_number integer not null,
    status text not null
        check (status in ('generating', 'staged', 'reviewing', 'approved', 'rejected', 'suggested', 'delivered', 'failed')),
    draft_content text,
    final_content text,
    content_digest text,
    content_bytes integer,
    edit_diff text,
    edit_categories text,
    edit_distance_score real,
    feedback_notes text,
    source_snapshots text not null,
    analyst_metadata text,
    delivery_status text check (delivery_status in ('pending', 'delivering', 'delivered', 'failed')),
    delivery_error text,
    delivery_external_id text,
    delivery_external_url text,
    delivery_count integer not null,
    run_id text,
    slot_id text,
    nominal_at text,
    trigger text check (trigger in ('schedule', 'event', 'manual')),
    approved_by text,
    created_at text not null,
    staged_at text,
    approved_at text,
    rejected_at text,
    delivered_at text,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

CREATE TABLE deliverables (
    id text not null,
    user_id text not null,
    title text not null,
    description text not null,
    deliverable_type text not null,
    type_config text not null,
    type_classification text not null,
    recipient_context text not null,
    template_structure text not null,
    schedule text,
    sources text not null,
    destination text,
    status text not null check (status in ('active', 'paused', 'archived')),
    origin text not null check (origin in ('user_configured', 'analyst_suggested', 'signal_emergent')),
    trigger_type text not null check (trigger_type in ('schedule', 'event', 'manual')),
    governance text not null check (governance in ('manual', 'semi_auto', 'full_auto')),
    semi_auto_window_s integer not null,
    schedule_id text,
    last_triggered_at text,
    last_run_at text,
    next_run_at text,
    last_skip_at text,
    last_skip_reason text,
    pause_note text,
    current_slot text,
    current_run_id text,
    current_since text,
    created_at text not null,
    updated_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

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

CREATE TABLE human_approvals (
    id text not null,
    run_id text not null,
    step_id text not null,
    round integer not null,
    user_id text not null,
    status text not null check (status in ('pending', 'approved', 'retried', 'aborted', 'void')),
    question text not null,
    options text not null,
    advisory integer not null check (advisory in (0, 1)),
    severity text,
    assignee text,
    group_name text,
    payload text,
    payload_digest text not null,
    deadline_at text,
    requested_at text not null,
    decided_at text,
    decided_by text,
    decision text check (decision in ('continue', 'retry', 'abort')),
    comment text,
    modifications text,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

CREATE TABLE inbox (
    shard_id    INTEGER NOT NULL,
    command_id  BLOB    NOT NULL,
    stream_kind TEXT    NOT NULL,
    stream_id   BLOB    NOT NULL,
    arrived_at  INTEGER NOT NULL,
    payload     BLOB    NOT NULL,
    PRIMARY KEY (shard_id, command_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE intent_events (
    event_type text not null,
    event_id text not null,
    user_id text not null,
    intent_id text,
    correlation text,
    payload text,
    told integer not null,
    created_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (event_type, event_id)
) strict;

CREATE TABLE job_attempts (
    run_id text not null,
    step_id text not null,
    attempt integer not null,
    worker text not null,
    token text not null,
    started_at text not null,
    finished_at text,
    success integer check (success in (0, 1)),
    failure_class text
        check (failure_class in ('transient', 'permanent', 'timeout', 'rate_limited', 'cancelled', 'lost')),
    status_code integer,
    error_text text,
    stale integer not null check (stale in (0, 1)),
    shard_id integer not null,
    src_seq integer not null,
    primary key (run_id, step_id, attempt)
) strict, without rowid;

CREATE TABLE job_queue (
    job_id text not null,
    workflow_run_id text not null,
    step_id text not null,
    user_id text not null,
    definition text not null,
    definition_owner text,
    queue text not null,
    status text not null check (status in ('queued', 'leased', 'running', 'success', 'failed', 'dead', 'cancelled')),
    priority integer not null,
    lease_until text,
    attempts integer not null,
    max_attempts integer not null,
    next_run_at text,
    error_class text
        check (error_class in ('transient', 'permanent', 'timeout', 'rate_limited', 'cancelled', 'lost')),
    error_text text,
    note text,
    created_at text not null,
    updated_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (job_id)
) strict;

CREATE TABLE meta (
    k TEXT PRIMARY KEY,
    v TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE node_session (
    session_id BLOB PRIMARY KEY,
    node       TEXT    NOT NULL,
    address    TEXT,
    build      TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notifications (
    id text not null,
    user_id text not null,
    deliverable_id text,
    version_number integer,
    message text not null,
    subject text not null,
    channel text not null check (channel in ('in_app', 'email')),
    urgency text not null check (urgency in ('low', 'normal', 'high')),
    source_type text not null
        check (source_type in ('system', 'monitor', 'tp', 'deliverable', 'event_trigger', 'suggestion')),
    source_id text,
    context text not null,
    status text not null check (status in ('pending', 'sent', 'failed')),
    error_message text,
    created_at text not null,
    sent_at text,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

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

CREATE TABLE orchestration_definitions (
    id text not null,
    version text not null,
    owner text not null,
    name text not null,
    display_name text not null,
    description text not null,
    status text not null check (status in ('active', 'deprecated', 'archived')),
    in_force integer not null check (in_force in (0, 1)),
    digest text not null,
    source text,
    parameters text not null,
    triggers text not null,
    plan text not null,
    created_by text not null,
    created_at text not null,
    updated_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id, version)
) strict;

CREATE TABLE orchestration_runs (
    id text not null,
    definition text not null,
    orchestration_name text not null,
    user_id text not null,
    status text not null check (status in ('pending', 'running', 'checkpoint', 'completed', 'failed', 'cancelled')),
    definition_id text,
    workflow_owner text,
    workflow_version text,
    definition_digest text,
    parameters text,
    trigger text,
    deliverable_id text,
    version_number integer,
    title text not null,
    root_run_id text not null,
    parent_orchestration_run_id text,
    priority integer not null,
    nominal_at text not null,
    plan text not null,
    results text not null,
    error_details text,
    total_steps integer not null,
    completed_steps integer not null,
    pending_approvals integer not null,
    advisory text,
    pause_note text,
    created_at text not null,
    started_at text,
    completed_at text,
    trace_id text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

CREATE TABLE orchestration_steps (
    run_id text not null,
    step_id text not null,
    step_index integer not null,
    action text not null,
    status text not null
        check (status in ('pending', 'queued', 'running', 'checkpoint', 'completed', 'failed', 'dead', 'skipped')),
    attempt_number integer not null,
    max_attempts integer not null,
    depends_on text not null,
    output text,
    error_details text,
    worker text,
    token text,
    queued_at text,
    started_at text,
    completed_at text,
    next_retry_at text,
    waits_for text,
    approval text,
    instances integer,
    shard_id integer not null,
    src_seq integer not null,
    primary key (run_id, step_id)
) strict;

CREATE TABLE platform_content_items (
    source_id text not null,
    item_id text not null,
    content_hash text not null,
    user_id text not null,
    platform text not null,
    resource_id text not null,
    resource_name text not null,
    title text not null,
    link text,
    author text,
    content text,
    content_bytes integer not null,
    source_timestamp text,
    fetched_at text not null,
    expires_at text not null,
    metadata text not null,
    first_version integer not null,
    stream_version integer not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (source_id, item_id, content_hash)
) strict;

CREATE TABLE platform_items (
    source_id text not null,
    item_id text not null,
    content_hash text not null,
    stream_version integer not null,
    gone_at text,
    expired_at text,
    shard_id integer not null,
    src_seq integer not null,
    primary key (source_id, item_id)
) strict, without rowid;

CREATE TABLE projection (
    name     TEXT    NOT NULL,
    shard_id INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (shard_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_pauses (
    queue text not null,
    paused_by text not null,
    note text not null,
    paused_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (queue)
) strict;

CREATE TABLE rate_limits (
    rl_key text not null,
    kind text not null check (kind in ('places', 'rate')),
    capacity real not null,
    refill_rate real,
    set_by text not null,
    note text not null,
    set_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (rl_key)
) strict;

CREATE TABLE schedules (
    id text not null,
    deliverable_id text,
    definition_id text,
    user_id text,
    rule text not null,
    timezone text not null,
    status text not null check (status in ('active', 'paused', 'ended')),
    pause_note text,
    catch_up text not null,
    catch_up_window_s integer,
    overlap text not null check (overlap in ('skip', 'buffer_one', 'buffer_all', 'cancel_other', 'allow')),
    jitter_s integer not null,
    next_due_at text,
    last_fired_at text,
    last_nominal_at text,
    fired_count integer not null,
    skipped_count integer not null,
    last_skip_reason text,
    tz_revision text not null,
    created_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;

CREATE TABLE shard (
    shard_id    INTEGER PRIMARY KEY,
    epoch       INTEGER NOT NULL DEFAULT 0,
    owner       BLOB,
    acquired_at INTEGER
) STRICT;

CREATE TABLE snapshot (
    shard_id       INTEGER NOT NULL,
    stream_id      BLOB    NOT NULL,
    stream_kind    TEXT    NOT NULL,
    stream_version INTEGER NOT NULL,
    state_revision INTEGER NOT NULL,
    data           BLOB    NOT NULL
) STRICT;

CREATE TABLE step_cache (
    key          TEXT PRIMARY KEY,
    value        TEXT NOT NULL,
    status_code  INTEGER,
    etag         TEXT,
    stored_at    INTEGER NOT NULL,
    expires_at   INTEGER,
    run_id       BLOB NOT NULL,
    step_id      TEXT NOT NULL,
    hits         INTEGER NOT NULL,
    last_hit_at  INTEGER,
    last_hit_run BLOB
) STRICT;

CREATE TABLE sync_registry (
    source_id text not null,
    user_id text not null,
    platform text not null,
    resource_id text not null,
    resource_name text not null,
    last_synced_at text,
    last_checked_at text,
    platform_cursor text not null,
    item_count integer not null,
    source_latest_at text,
    failing_since text,
    last_error text,
    omitted text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (source_id)
) strict;

CREATE INDEX activity_log_created on activity_log (created_at);

CREATE INDEX activity_log_user on activity_log (user_id, created_at);

CREATE UNIQUE INDEX blob_key ON blob (digest);

CREATE INDEX bulk_jobs_created on bulk_jobs (created_at);

CREATE INDEX bulk_jobs_user on bulk_jobs (user_id, created_at);

CREATE UNIQUE INDEX command_key ON command (shard_id, command_id);

CREATE INDEX command_silent ON command (shard_id, stream_id, first_seq) WHERE last_seq < first_seq;

CREATE UNIQUE INDEX deliverable_versions_number on deliverable_versions (deliverable_id, version_number);

CREATE INDEX deliverable_versions_status on deliverable_versions (status, created_at);

CREATE INDEX deliverables_created on deliverables (created_at);

CREATE INDEX deliverables_due on deliverables (status, next_run_at);

CREATE INDEX deliverables_user on deliverables (user_id, created_at);

CREATE UNIQUE INDEX event_stream ON event (shard_id, stream_id, stream_version);

CREATE INDEX human_approvals_assignee on human_approvals (assignee);

CREATE INDEX human_approvals_group on human_approvals (group_name);

CREATE INDEX human_approvals_run on human_approvals (run_id);

CREATE INDEX human_approvals_status on human_approvals (status, requested_at);

CREATE INDEX human_approvals_user on human_approvals (user_id, requested_at);

CREATE INDEX inbox_arrival ON inbox (shard_id, arrived_at, command_id);

CREATE INDEX intent_events_created on intent_events (created_at);

CREATE INDEX intent_events_type on intent_events (event_type, created_at);

CREATE INDEX intent_events_user on intent_events (user_id, created_at);

CREATE INDEX job_queue_letters ON job_queue (status, job_id) WHERE status = 'dead';

CREATE INDEX job_queue_next on job_queue (next_run_at, status, priority);

CREATE INDEX job_queue_order on job_queue (priority, created_at);

CREATE INDEX job_queue_run on job_queue (workflow_run_id);

CREATE INDEX job_queue_status on job_queue (status, updated_at);

CREATE INDEX job_queue_user on job_queue (user_id, status, updated_at);

CREATE INDEX notifications_status on notifications (status, created_at);

CREATE INDEX notifications_user on notifications (user_id, created_at);

CREATE INDEX obligation_due ON obligation (shard_id, class, due_at, stream_id, key);

CREATE INDEX orchestration_definitions_name on orchestration_definitions (owner, name);

CREATE INDEX orchestration_runs_created on orchestration_runs (created_at);

CREATE INDEX orchestration_runs_definition on orchestration_runs (definition_id, created_at);

CREATE INDEX orchestration_runs_deliverable on orchestration_runs (deliverable_id, version_number);

CREATE INDEX orchestration_runs_parent on orchestration_runs (parent_orchestration_run_id);

CREATE INDEX orchestration_runs_root on orchestration_runs (root_run_id);

CREATE INDEX orchestration_runs_status on orchestration_runs (status, created_at);

CREATE INDEX orchestration_runs_user on orchestration_runs (user_id, created_at);

CREATE INDEX platform_content_items_fetched on platform_content_items (user_id, platform, fetched_at);

CREATE INDEX schedules_definition on schedules (definition_id);

CREATE INDEX schedules_deliverable on schedules (deliverable_id);

CREATE INDEX schedules_due on schedules (status, next_due_at);

CREATE INDEX schedules_next on schedules (next_due_at);

CREATE INDEX schedules_user on schedules (user_id, next_due_at);

CREATE UNIQUE INDEX snapshot_key ON snapshot (shard_id, stream_id);

CREATE INDEX step_cache_expires ON step_cache (expires_at);

CREATE INDEX sync_registry_resource on sync_registry (user_id, platform, resource_id);
