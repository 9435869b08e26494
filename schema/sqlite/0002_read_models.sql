-- Read models: what people query. Every table is a fold of the log, written by projectors only, and may be dropped and
-- rebuilt at any time. Why no foreign keys: rows of different shards arrive in any order. Why checks: a status that the
-- domain does not know is a fault of a fold and must not reach a reader.
-- `shard_id` and `src_seq` name the newest event in a row. Columns are explained in schema/README.md.
-- Instants are texts, RFC 3339 in UTC with six decimals, so that they sort as instants do; documents and ids are texts;
-- truth values are 0 and 1. Differences to PostgreSQL end there.

create table deliverables (
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
create index deliverables_due on deliverables (status, next_run_at);
create index deliverables_user on deliverables (user_id, created_at);

create table deliverable_versions (
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
create unique index deliverable_versions_number on deliverable_versions (deliverable_id, version_number);
create index deliverable_versions_status on deliverable_versions (status, created_at);

create table schedules (
    id text not null,
    deliverable_id text,
    user_id text,
    rule text not null,
    timezone text not null,
    status text not null check (status in ('active', 'paused', 'ended')),
    pause_note text,
    catch_up text not null,
    catch_up_window_s integer,
    overlap text not null check (overlap in ('skip', 'buffer_one')),
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
create index schedules_due on schedules (status, next_due_at);
create index schedules_deliverable on schedules (deliverable_id);

create table orchestration_runs (
    id text not null,
    definition text not null,
    orchestration_name text not null,
    user_id text not null,
    status text not null check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
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
    created_at text not null,
    started_at text,
    completed_at text,
    trace_id text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (id)
) strict;
create index orchestration_runs_status on orchestration_runs (status, created_at);
create index orchestration_runs_deliverable on orchestration_runs (deliverable_id, version_number);
create index orchestration_runs_root on orchestration_runs (root_run_id);

create table orchestration_steps (
    run_id text not null,
    step_id text not null,
    step_index integer not null,
    action text not null,
    status text not null check (status in ('pending', 'queued', 'running', 'completed', 'failed', 'dead', 'skipped')),
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
    shard_id integer not null,
    src_seq integer not null,
    primary key (run_id, step_id)
) strict;

create table job_queue (
    job_id text not null,
    workflow_run_id text not null,
    step_id text not null,
    user_id text not null,
    status text not null check (status in ('queued', 'leased', 'running', 'success', 'failed', 'dead', 'cancelled')),
    priority integer not null,
    lease_until text,
    attempts integer not null,
    max_attempts integer not null,
    next_run_at text,
    created_at text not null,
    updated_at text not null,
    shard_id integer not null,
    src_seq integer not null,
    primary key (job_id)
) strict;
create index job_queue_next on job_queue (next_run_at, status, priority);
create index job_queue_status on job_queue (status, updated_at);
create index job_queue_run on job_queue (workflow_run_id);

create table job_attempts (
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

create table sync_registry (
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
create index sync_registry_resource on sync_registry (user_id, platform, resource_id);

create table platform_items (
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

create table platform_content_items (
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
create index platform_content_items_fetched on platform_content_items (user_id, platform, fetched_at);

create table content_retentions (
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

create table activity_log (
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
create index activity_log_created on activity_log (created_at);
create index activity_log_user on activity_log (user_id, created_at);

create table notifications (
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
create index notifications_user on notifications (user_id, created_at);
create index notifications_status on notifications (status, created_at);

-- What people read: texts with what retains them. A text that a document was made of never expires; when several
-- documents were, the first of them stands here. The view is part of what a rebuild puts in place of the live tables.
create view platform_content as
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
